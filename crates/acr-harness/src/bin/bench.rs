//! Measures what the client costs: `cargo xtask bench requests`.
//!
//! Exit codes: 0 measured, 1 an operation failed, 2 bad usage.

use std::process::ExitCode;

use acr_harness::bench::requests::Requests;
use acr_harness::interop::report::chain;

const USAGE: &str = "\
usage: bench requests

requests   how many requests the client's work costs on the wire, counted at acr-mock in the same process";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["requests"] => match Requests::count() {
            Ok(requests) => {
                println!("{requests}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("bench requests: {}", chain(&*error));
                ExitCode::FAILURE
            }
        },
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}
