#![cfg_attr(feature = "transport", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "transport"),
    doc = "The format of recordings. The README describes it."
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
mod exchange;
#[cfg(feature = "transport")]
mod failure;
mod http_form;
#[cfg(feature = "transport")]
mod recorder;
mod recording;
#[cfg(feature = "transport")]
mod redact;
#[cfg(feature = "transport")]
mod replay;
#[cfg(feature = "transport")]
mod request_key;
#[cfg(feature = "transport")]
mod tee;

pub use body::Body;
pub use exchange::{BodyEnd, Exchange, Failure, FailureKind, Origin, Request, Response};
#[cfg(feature = "transport")]
pub use recorder::Recorder;
pub use recording::{ReadError, Recording, read};
#[cfg(feature = "transport")]
pub use replay::Replay;

/// The placeholder for a redacted value. In a recording it stands for any text.
pub const REDACTED: &str = "REDACTED";
