//! Measures what client and mock cost: `cargo xtask bench requests`, `cargo xtask bench mock`.
//!
//! Exit codes: 0 measured, 1 an operation failed or a goal is missed by more than a tenth, 2 bad usage.

use std::path::Path;
use std::process::ExitCode;

use acr_verify::bench::requests::Requests;
use acr_verify::bench::{memory, mock};
use acr_verify::interop::report::chain;

const USAGE: &str = "\
usage: bench requests
       bench mock

requests   how many requests the client's work costs on the wire, counted at acr-mock in the same process
mock       what acr-mock costs beside a bare server and docker-registry, in process, in memory, and others by waiting;
           wants to be built with --release";

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
        ["mock"] => measure_mock(),
        // What the measurement starts beside itself.
        ["memory", name] => match memory::measure(name) {
            Some(bytes) => {
                println!("{bytes}");
                ExitCode::SUCCESS
            }
            None => {
                eprintln!("bench memory: `{name}` cannot be measured here");
                ExitCode::FAILURE
            }
        },
        ["serve-bare", content, metadata] => {
            match mock::serve_bare(Path::new(content), Path::new(metadata)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("bench serve-bare: {}", chain(&*error));
                    ExitCode::FAILURE
                }
            }
        }
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

fn measure_mock() -> ExitCode {
    if cfg!(debug_assertions) {
        println!("built without --release, so that the times say little");
    }
    let figures = match mock::measure() {
        Ok(figures) => figures,
        Err(error) => {
            eprintln!("bench mock: {}", chain(&*error));
            return ExitCode::FAILURE;
        }
    };
    let missed = figures.missed();
    for goal in &missed {
        println!("missed: {goal}");
    }
    println!("{figures}");
    if missed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
