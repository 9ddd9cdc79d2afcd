//! x

mod body;
mod clock;
mod origin;

pub use crate::body::{Body, BodyError};
pub use crate::clock::{Clock, ClockHold, SystemClock, VirtualClock};
pub use crate::origin::Origin;
