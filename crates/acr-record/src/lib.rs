#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
mod exchange;
mod http_form;
mod recording;

pub use body::{Body, BodyEnd};
pub use exchange::{Exchange, Failure, FailureKind, Origin, Request, Response};
pub use recording::{ReadError, Recording, read};

/// The placeholder for a redacted value. In a recording it stands for any text.
pub const REDACTED: &str = "REDACTED";
