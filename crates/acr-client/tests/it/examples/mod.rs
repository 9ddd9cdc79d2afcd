//! The examples as their users start them: as programs of their own, which `cargo test` builds before this.

mod clean_up;
mod images;
mod quickstart;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use acr_client::{ContainerRegistryClient, Credential};
use acr_mock::{AcrMock, RegistryBuilder};
use tempfile::NamedTempFile;

use crate::seeded;

#[test]
fn every_example_runs_without_a_registry() {
    let folder = tempfile::tempdir().unwrap();
    let pull = ["samples/app", "v1", folder.path().to_str().unwrap()];
    let file = folder.path().join("large.bin");
    fs::write(&file, vec![7; 5 << 20]).unwrap();
    // One of its own: another run may write the sample meanwhile.
    let large = [file.to_str().unwrap()];
    let mut examples: Vec<(&str, &[&str], &str)> = vec![
        (
            "list_repositories",
            &[],
            "samples/base  3 manifests, 1 tags",
        ),
        ("list_tags", &[], "samples/app:v1  sha256:"),
        ("lock_release", &[], "refused: "),
        ("push_image", &[], "samples/app:v1 is sha256:"),
        ("pull_image", &pull, "bytes"),
        ("promote", &[], "prod/app:v1 is sha256:"),
        ("mirror", &[], "samples/tool: 2 tags"),
        ("clean_up", &[], "would be deleted with --yes"),
        ("clean_up", &["--newest", "3", "--yes"], "  deleted"),
        ("delete_manifest", &[], "v1 is deleted"),
        ("delete_blob", &[], " is deleted"),
        ("custom_transport", &[], "get_manifest  200 OK"),
        ("testing_with_the_mock", &[], "after two refusals"),
        ("parallel_blobs", &pull, "blobs, "),
        ("large_blob", &large, "has 5242880 verified bytes"),
        ("attach_sbom", &[], "  application/spdx+json, 26 bytes"),
    ];
    if cfg!(feature = "blocking") {
        examples.push(("blocking", &[], "read and verified"));
    }
    if cfg!(feature = "azure-core") {
        examples.push(("azure_identity", &[], "signed in at"));
    }
    for (example, arguments, expected) in examples {
        // Without programs either: one of them would ask the Azure CLI.
        let output = run(example, arguments, &[], &[("PATH", "")]);
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{example}: {stdout}{stderr}");
        assert!(stdout.contains(expected), "{example}: {stdout}");
    }
}

#[test]
fn an_argument_that_is_missing_is_named_and_nothing_is_done_without_it() {
    for (example, arguments, expected) in [
        ("mirror", &["https://from.example"][..], "TO is missing"),
        ("clean_up", &["--newest"], "--newest takes a number"),
        (
            "clean_up",
            &["--untagged", "x"],
            "--untagged takes a number",
        ),
    ] {
        let output = run(example, arguments, &[], &[("PATH", "")]);
        assert!(!output.status.success(), "{example}");
        assert!(output.stdout.is_empty(), "{example}");
        let stderr = text(&output.stderr);
        assert!(stderr.contains(expected), "{example}: {stderr}");
    }
}

/// A registry over TLS, and its CA in a file.
struct Running {
    server: AcrMock,
    endpoint: String,
    ca: NamedTempFile,
}

impl Running {
    fn start(registry: RegistryBuilder) -> Self {
        let server = AcrMock::builder().registry(registry.build()).start();
        let server = server.unwrap();
        let ca = NamedTempFile::new().unwrap();
        fs::write(ca.path(), server.ca_pem().unwrap()).unwrap();
        let endpoint = server.endpoint();
        Self {
            server,
            endpoint,
            ca,
        }
    }

    /// The variable that has its CA trusted.
    fn certificates(&self) -> [(&str, &str); 1] {
        [("SSL_CERT_FILE", self.ca.path().to_str().unwrap())]
    }

    fn client(&self) -> ContainerRegistryClient {
        self.client_with("any token")
    }

    fn client_with(&self, token: &str) -> ContainerRegistryClient {
        seeded::builder(&self.endpoint)
            .credential(Credential::entra_token(token))
            .hyper(|hyper| hyper.root_certificate_pem(self.server.ca_pem().unwrap()))
            .build()
            .unwrap()
    }

    /// Runs an example on this registry: what it prints.
    fn run(&self, example: &str, arguments: &[&str]) -> String {
        let output = self.output(example, arguments);
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{example}: {stdout}{stderr}");
        stdout
    }

    /// The same for one that fails: the error.
    fn fail(&self, example: &str, arguments: &[&str]) -> String {
        let output = self.output(example, arguments);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
        text(&output.stderr)
    }

    fn output(&self, example: &str, arguments: &[&str]) -> Output {
        let login = [
            ("ENDPOINT", self.endpoint.as_str()),
            ("ENTRA_TOKEN", "any token"),
        ];
        run(example, arguments, &login, &self.certificates())
    }
}

/// Runs an example with these arguments, these variables of `AZURE_CONTAINERREGISTRY_` and these of other names.
fn run(
    example: &str,
    arguments: &[&str],
    variables: &[(&str, &str)],
    others: &[(&str, &str)],
) -> Output {
    let program = program(example);
    let mut command = Command::new(&program);
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("AZURE_") {
            command.env_remove(name);
        }
    }
    let variables = variables
        .iter()
        .map(|(name, value)| (format!("AZURE_CONTAINERREGISTRY_{name}"), value));
    command.args(arguments).envs(variables);
    let output = command.envs(others.iter().copied()).output();
    output.unwrap_or_else(|error| {
        panic!(
            "{}: {error}; `cargo build --example {example}` makes it",
            program.display()
        )
    })
}

/// Where cargo puts examples: beside the folder of this test.
fn program(example: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).unwrap();
    let name = format!("{example}{}", env::consts::EXE_SUFFIX);
    profile.join("examples").join(name)
}

/// An image in `fixtures/images`.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/images")
        .join(name)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
