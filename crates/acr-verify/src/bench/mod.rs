//! What client and mock cost.
//!
//! Requests are counted by the mock, so they are the same on every machine; times are held against those of a bare server.

pub mod memory;
pub mod mock;
pub mod requests;
