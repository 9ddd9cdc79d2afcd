//! The client for programs without an async runtime.
//!
//! - [`jobs`], [`blobs`]: what it does, on a registry in the same process and on one over TLS.
//! - [`images`]: whole images.
//! - [`complete`]: no method and no function is forgotten.
//! - [`threads`]: from where it may be called, and what it leaves behind.

mod blobs;
mod complete;
mod images;
mod jobs;
mod served;
mod threads;
