//! Other people's software on our mock, our client on other people's servers: `cargo xtask interop PROGRAM`.
//!
//! Exit codes: 0 all passed, 1 something failed, 2 bad usage, 3 skipped (the last line says why).

use std::path::Path;
use std::process::ExitCode;

use acr_verify::interop::{Ending, python, report, skopeo};

const USAGE: &str = "\
usage: interop python
       interop skopeo [--install] [--crane PATH]

python   Microsoft's azure-containerregistry, sync and async, on acr-mock; needs Python 3 with venv, and PyPI
skopeo   skopeo on acr-mock, acr-client on docker-registry; needs both programs, which --install installs
         with apt-get (as root); with --crane also acr-client on `PATH registry serve`";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["python"] => python::run(),
        ["skopeo", rest @ ..] => match skopeo_options(rest) {
            Some((install, crane)) => skopeo::run(install, crane.map(Path::new)).await,
            None => return usage(),
        },
        ["--help" | "-h" | "help"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => return usage(),
    };
    match outcome {
        Ok(()) => {
            println!("interop {}: passed", arguments[0]);
            ExitCode::SUCCESS
        }
        Err(Ending::Failed(failure)) => {
            eprintln!("interop {}: {}", arguments[0], report::chain(&*failure));
            ExitCode::FAILURE
        }
        Err(Ending::Skipped(reason)) => {
            println!("skipped: {reason}");
            ExitCode::from(3)
        }
    }
}

/// Reads what follows `skopeo`: whether to install, and where crane is.
fn skopeo_options<'a>(mut rest: &[&'a str]) -> Option<(bool, Option<&'a str>)> {
    let (mut install, mut crane) = (false, None);
    loop {
        rest = match rest {
            [] => return Some((install, crane)),
            ["--install", more @ ..] if !install => {
                install = true;
                more
            }
            ["--crane", path, more @ ..] if crane.is_none() => {
                crane = Some(*path);
                more
            }
            _ => return None,
        };
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}
