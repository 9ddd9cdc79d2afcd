//! The integration tests of acr-mock, a module for each concept.

#![allow(clippy::unwrap_used, reason = "in a test, to panic is to fail")]

#[cfg(feature = "cli")]
mod binary;
mod examples;
mod fault;
mod proxy;
mod raw;
mod server;
mod third_party;
