//! Other people's software on our mock, and our client on a server that we did not write.
//!
//! Each program needs something that a Rust toolchain does not bring: [`python`] an interpreter and PyPI, [`skopeo`]
//! two packages of Debian. Without it the program is skipped, and says so.

pub mod crane;
pub mod docker_registry;
pub mod languages;
pub mod mock;
pub mod process;
pub mod python;
pub mod report;
pub mod skopeo;

use std::process::Command;

use acr_client::{ErrorKind, RepositoryClient};

/// Runs a command to its end and returns what it wrote to stdout.
///
/// # Errors
///
/// If it cannot start or ends with another code than 0; the error holds the last lines of what it wrote to stderr.
pub fn output_of(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{name} does not start: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(3)..].join("; ");
    Err(format!("{name} ended with {}: {last}", output.status))
}

/// Holds a registry without Azure's API to this: a tag is not deleted, the client says so and what to do instead, and
/// the tag is still there.
async fn without_acr_api(repository: &RepositoryClient, tag: &str) -> crate::Result<()> {
    match repository.delete_tag(tag).await {
        Ok(was_there) => return Err(format!("delete_tag says {was_there}").into()),
        Err(error) if error.kind() != ErrorKind::Unsupported => return Err(error.into()),
        Err(error) if !error.to_string().contains("no ACR API here") => return Err(error.into()),
        Err(_) => {}
    }
    let tags = repository.list_tags().collect_all().await?;
    if tags.iter().any(|found| found == tag) {
        Ok(())
    } else {
        Err(format!("{tag} is gone").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = output_of(&mut Command::new("no-such-program-anywhere")).unwrap_err();
        assert!(error.contains("no-such-program-anywhere"), "{error}");
    }

    #[test]
    fn a_program_that_fails_is_quoted() {
        let mut command = Command::new(env!("CARGO"));
        let error = output_of(command.arg("no-such-command-of-cargo")).unwrap_err();
        assert!(error.contains("no-such-command-of-cargo"), "{error}");
    }
}
