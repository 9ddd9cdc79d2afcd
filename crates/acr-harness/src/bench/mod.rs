//! What the client costs, measured on acr-mock in the same process.
//!
//! Requests are counted by the mock, so they are the same on every machine.

pub mod memory;
pub mod requests;
