//! What a release needs beside tests and lints: licences and sources of the dependencies, versions and platforms that
//! the manifests promise, the build of docs.rs.

use crate::cargo::{self, Steps};
use crate::tools::{DENY, DOCS_RS, MINIMAL_VERSIONS, OLDEST, WASM};
use crate::workspace;

pub(crate) fn run(steps: &mut Steps) -> Result<(), String> {
    let published = workspace::published(steps.root())?;
    let published = published
        .iter()
        .flat_map(|member| ["--package", &member.name]);
    let published: Vec<&str> = published.collect();
    deny(steps)?;
    if steps.can(&WASM) {
        // The core with a transport of the program's own, as a web page would have it.
        steps.cargo(&[
            "check",
            "--package",
            "acr-client",
            "--no-default-features",
            "--target",
            "wasm32-unknown-unknown",
        ])?;
    }
    let locked = ["--all-features", "--locked", "--offline"];
    if steps.can(&OLDEST) {
        let check = [&["check"], published.as_slice(), &locked].concat();
        steps.cargo_of(&cargo::oldest(), &[], &check)?;
    }
    if steps.can(&DOCS_RS) {
        let doc = [&["doc", "--no-deps"], published.as_slice(), &locked].concat();
        let flags = [("RUSTDOCFLAGS", "--cfg docsrs -Dwarnings")];
        steps.cargo_of(&cargo::nightly(), &flags, &doc)?;
    }
    if steps.can(&MINIMAL_VERSIONS) {
        minimal_versions(steps, &published)?;
    }
    Ok(())
}

/// Runs cargo-deny with `.cargo/deny.toml`.
fn deny(steps: &mut Steps) -> Result<(), String> {
    if !steps.can(&DENY) {
        return Ok(());
    }
    let offline: &[&str] = if cargo::network_is_off() {
        &["--offline"]
    } else {
        &[]
    };
    // Without the advisories cargo-deny does not look for yanked crates either; cargo does when it packages.
    let mut fetch = cargo::command(steps.root());
    fetch.arg("deny").args(offline).args(["fetch", "db"]);
    let has_advisories = fetch.output().is_ok_and(|output| output.status.success());
    let mut checks = vec!["deny", "--locked"];
    if has_advisories {
        checks.extend(offline);
        checks.extend(["check", "advisories"]);
    } else {
        steps.leave_out("advisories", "cargo deny fetch db".to_owned());
        checks.extend(["--offline", "check"]);
    }
    checks.extend(["licenses", "bans", "sources"]);
    steps.cargo_as_given(&checks)
}

/// Builds with the oldest direct dependencies that the manifests allow. The lock file for it is apart, and made anew
/// each time.
fn minimal_versions(steps: &mut Steps, published: &[&str]) -> Result<(), String> {
    let lock = steps.root().join("target/minimal-versions/Cargo.lock");
    let lock = lock.display().to_string();
    let lock = [("CARGO_RESOLVER_LOCKFILE_PATH", lock.as_str())];
    let nightly = cargo::nightly();
    steps.cargo_of(
        &nightly,
        &lock,
        &["-Zdirect-minimal-versions", "update", "--quiet"],
    )?;
    let check = [&["check"], published, &["--all-features", "--locked"]].concat();
    steps.cargo_of(&nightly, &lock, &check)
}
