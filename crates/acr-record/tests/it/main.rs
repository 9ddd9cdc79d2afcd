//! Recordings: the format, and what is recorded and replayed through a client.

#![allow(clippy::unwrap_used, reason = "in a test, to panic is to fail")]

mod format;
#[cfg(feature = "transport")]
#[path = "../../examples/record_and_replay.rs"]
mod record_and_replay;
#[cfg(feature = "transport")]
mod recorder;
#[cfg(feature = "transport")]
mod replay;
#[cfg(feature = "transport")]
mod session;
