//! The client for programs without an async runtime.
//!
//! - [`jobs`], [`blobs`]: what it does, on a registry in the same process and on one over TLS.
//! - [`complete`]: no method is forgotten.
//! - [`threads`]: from where it may be called, and what it leaves behind.

mod blobs;
mod complete;
mod jobs;
mod served;
mod threads;
