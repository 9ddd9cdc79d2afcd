//! The program `interop` where it cannot do its work: it says so, and never passes silently.

use std::process::{Command, Output};

#[test]
fn without_its_programs_it_is_skipped_with_a_reason_in_the_last_line() {
    for (program, missing) in [("python", "python3"), ("skopeo", "skopeo")] {
        let output = interop(&[program]);
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(3), "{program}: {stdout}");
        let last = stdout.lines().last().unwrap();
        let reason = last
            .strip_prefix("skipped: ")
            .unwrap_or_else(|| panic!("{last:?}"));
        assert!(reason.contains(missing), "{reason}");
    }
}

#[test]
fn an_install_without_a_package_manager_is_skipped() {
    let output = interop(&["skopeo", "--install"]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{stdout}");
    assert!(
        stdout
            .lines()
            .last()
            .unwrap()
            .starts_with("skipped: apt-get"),
        "{stdout}"
    );
}

#[test]
fn bad_usage_is_neither_passed_nor_skipped() {
    for arguments in [
        &[][..],
        &["perl"],
        &["python", "--install"],
        &["skopeo", "--instal"],
    ] {
        let output = interop(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("usage: "));
    }
}

/// Runs the program where no other program can be found.
fn interop(arguments: &[&str]) -> Output {
    let nothing = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_acr-verify"))
        .arg("interop")
        .args(arguments)
        .env("PATH", nothing.path())
        .output()
        .unwrap()
}
