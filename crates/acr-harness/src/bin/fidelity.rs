//! Replays recorded exchanges on acr-mock and compares: `cargo xtask fidelity [FILE...]`.
//!
//! Exit codes: 0 all match, 1 something differs, 2 bad usage or a file or line that cannot be read.

use std::path::PathBuf;
use std::process::ExitCode;

use acr_harness::fidelity;
use acr_harness::interop::report::chain;

const USAGE: &str = "\
usage: fidelity [FILE...]

FILE   exchanges, one JSON object a line, in the form that fixtures/README.md describes;
       without any, those of fixtures/ are replayed";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments
        .iter()
        .any(|argument| argument == "--help" || argument == "-h")
    {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = arguments.iter().find(|argument| argument.starts_with('-')) {
        eprintln!("fidelity: unknown option {unknown}\n\n{USAGE}");
        return ExitCode::from(2);
    }
    let files = match arguments.is_empty() {
        true => match fidelity::own_files() {
            Ok(files) => files,
            Err(error) => return unreadable(&chain(&*error)),
        },
        false => arguments.iter().map(PathBuf::from).collect(),
    };
    let exchanges = match fidelity::read(&files) {
        Ok(exchanges) => exchanges,
        Err(error) => return unreadable(&chain(&*error)),
    };
    match fidelity::replay(exchanges) {
        Ok(report) => {
            println!("{report}");
            match report.mismatches() {
                0 => ExitCode::SUCCESS,
                _ => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            eprintln!("fidelity: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn unreadable(problem: &str) -> ExitCode {
    eprintln!("fidelity: {problem}");
    ExitCode::from(2)
}
