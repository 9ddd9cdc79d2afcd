//! What client and mock cost.
//!
//! Requests are counted by the mock, so they are the same on every machine; times are held against those of a bare server
//! or of a bare client.

pub mod content;
mod goal;
pub mod memory;
pub mod mock;
mod raw_http;
pub mod requests;
mod spread;
mod usage;
