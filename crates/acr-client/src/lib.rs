#![doc = include_str!("../README.md")]

pub mod clock;
mod context;
pub mod transport;

pub use self::clock::Clock;
pub use self::context::OperationContext;
pub use self::transport::Transport;
