//! The integration tests of acr-protocol, a module for each concept.

#![allow(clippy::unwrap_used, reason = "in a test, to panic is to fail")]

mod autotrait;
mod fixtures;
mod parsed_values;
mod responses;
mod round_trips;
mod routes;
mod support;
