//! Replays recorded exchanges on acr-mock and compares: `cargo xtask fidelity [FILE...]`.
//!
//! Exit codes: 0 all match, 1 something differs, 2 bad usage or a file or line that cannot be read.

use std::path::PathBuf;
use std::process::ExitCode;

use acr_verify::Result;
use acr_verify::fidelity::{self, report::Report};
use acr_verify::interop::report::chain;

const USAGE: &str = "\
usage: fidelity [FILE...]

FILE   exchanges, one JSON object a line, in the form that fixtures/README.md describes;
       without any, those of fixtures/ are replayed";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = arguments.iter().find(|argument| argument.starts_with('-'));
    if let Some("-h" | "--help") = option.map(String::as_str) {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let result = match option {
        Some(unknown) => Err(format!("unknown option {unknown}\n\n{USAGE}").into()),
        None => run(arguments.iter().map(PathBuf::from).collect()),
    };
    match result {
        Ok(report) => {
            println!("{report}");
            ExitCode::from(u8::from(report.mismatches() > 0))
        }
        Err(error) => {
            eprintln!("fidelity: {}", chain(&*error));
            ExitCode::from(2)
        }
    }
}

fn run(mut files: Vec<PathBuf>) -> Result<Report> {
    if files.is_empty() {
        files = fidelity::own_files()?;
    }
    fidelity::replay(fidelity::read(&files)?)
}
