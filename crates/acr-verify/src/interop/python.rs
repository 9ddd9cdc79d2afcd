//! Microsoft's Python SDK on acr-mock: makes a virtual environment, installs the SDK, and runs `python/interop.py`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::mock::MockProcess;
use super::output_of;
use crate::Ending;

/// Runs the checks and lets Python print their table.
///
/// # Errors
///
/// Skipped without a Python that can make virtual environments, or where PyPI cannot be reached; failed if a check
/// failed.
pub fn run() -> Result<(), Ending> {
    let folder = tempfile::tempdir()?;
    let python = environment(folder.path())?;

    let mock = MockProcess::start(&["--anonymous-pull"])?;
    let status = Command::new(python)
        // Python would write its cache into the repository.
        .arg("-B")
        .arg(script())
        .args(["--endpoint", mock.ready("endpoint")?])
        .arg("--ca")
        .arg(mock.ca()?)
        .arg("--server")
        .arg(format!("acr-mock {}", mock.ready("version")?))
        .status()?;
    mock.stop()?;
    if !status.success() {
        return Err(format!("interop.py ended with {status}").into());
    }
    Ok(())
}

/// Makes a virtual environment with the SDK in this folder; returns its interpreter.
pub(crate) fn environment(folder: &Path) -> Result<PathBuf, Ending> {
    println!("making a virtual environment with azure-containerregistry and aiohttp");
    environment_with(
        folder,
        &["azure-containerregistry", "azure-core", "aiohttp"],
    )
}

/// The same with what these arguments of pip name. One that is there already is used again.
pub(crate) fn environment_with(folder: &Path, packages: &[&str]) -> Result<PathBuf, Ending> {
    install(find_python()?, &folder.join("venv"), packages)
}

/// The oldest Python that the current SDK and aiohttp run on may change; this is the one that the script needs.
const PROBE: &str = "import sys, venv, ensurepip; sys.exit(0 if sys.version_info >= (3, 9) else \
                     'older than 3.9')";

fn find_python() -> Result<&'static str, Ending> {
    let mut reasons = Vec::new();
    for name in ["python3", "python"] {
        match output_of(Command::new(name).args(["-c", PROBE])) {
            Ok(_) => return Ok(name),
            Err(reason) => reasons.push(reason),
        }
    }
    let reasons = reasons.join("; ");
    Err(Ending::skipped(format!(
        "no Python of at least 3.9 with venv and pip ({reasons})"
    )))
}

/// Makes the environment with the packages in it; returns its interpreter.
fn install(python: &str, folder: &Path, packages: &[&str]) -> Result<PathBuf, Ending> {
    output_of(Command::new(python).args(["-m", "venv"]).arg(folder))
        .map_err(|reason| Ending::skipped(format!("no virtual environment: {reason}")))?;
    let python = if cfg!(windows) {
        folder.join("Scripts/python.exe")
    } else {
        folder.join("bin/python")
    };
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ])
    .args(packages);
    output_of(&mut pip)
        .map_err(|reason| Ending::skipped(format!("pip installs nothing: {reason}")))?;
    Ok(python)
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python/interop.py")
}
