//! The binary `acr-mock`: a registry for tests in any language, until its parent is done with it.
//!
//! Its contract (flags, environment, ready line, exit codes) is that of the README; others rely on it.

mod cli;
mod healthcheck;
mod log;
mod run;
mod serving;
mod signals;

use std::process::ExitCode;

use self::cli::Work;
use self::log::Log;

fn main() -> ExitCode {
    let work = match cli::parse() {
        Ok(work) => work,
        Err(exit) => return exit,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::of("cannot start", &error));
    let done = runtime.and_then(|runtime| {
        runtime.block_on(async {
            match &work {
                Work::Serve(settings) => {
                    let log = Log::new(settings.args.log);
                    serving::serve(settings, &log)
                        .await
                        .map(|()| ExitCode::SUCCESS)
                }
                Work::Run(run) => run::run(run).await,
                Work::Healthcheck(url) => healthcheck::check(url.as_deref()).await,
            }
        })
    });
    done.unwrap_or_else(|failure| {
        log::complain(&failure.text);
        failure.exit
    })
}

/// Why the program ends before its time: one line, and an exit code.
struct Failure {
    text: String,
    exit: ExitCode,
}

impl Failure {
    fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            exit: ExitCode::FAILURE,
        }
    }

    fn usage(text: impl Into<String>) -> Self {
        Self {
            exit: ExitCode::from(cli::USAGE),
            ..Self::new(text)
        }
    }

    fn of(what: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        Self {
            text: format!("{what}: {}", log::chain(error)),
            exit: ExitCode::FAILURE,
        }
    }
}
