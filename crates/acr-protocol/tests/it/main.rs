//! The integration tests of acr-protocol, a module for each concept.

#![allow(clippy::unwrap_used, reason = "in a test, to panic is to fail")]

mod autotrait;
#[path = "../../examples/both_sides.rs"]
mod both_sides;
mod fixtures;
mod parsed_values;
mod responses;
mod round_trips;
mod routes;
mod support;

#[test]
fn the_example_runs() {
    both_sides::main().unwrap();
}
