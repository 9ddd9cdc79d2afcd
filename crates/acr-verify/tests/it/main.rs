//! The integration tests of acr-verify, a module for each concept.

#![allow(clippy::unwrap_used, reason = "in a test, to panic is to fail")]

mod fidelity;
mod interop;
mod record;
