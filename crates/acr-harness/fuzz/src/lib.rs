//! The module `fuzz` of acr-harness, built alone: the rest of that crate, with its servers and its TLS, would take
//! minutes to build with coverage, and none of it is looked at.

#[path = "../../src/fuzz/mod.rs"]
mod fuzz;

pub use fuzz::*;
