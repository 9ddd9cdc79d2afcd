//! The example `quickstart`: what it shows, what it leaves alone, and how it fails.

use std::io::Read as _;
use std::net::TcpListener;
use std::process::Output;
use std::thread;

use acr_client::protocol::ScopeSet;
use acr_mock::Registry;

use super::{Running, fixture, run, text};

#[test]
fn it_runs_on_a_registry_of_its_own_and_shows_the_digests() {
    let output = run("quickstart", &[], &[], &[]);
    let stdout = text(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", text(&output.stderr));
    for version in ["v1", "v2", "v3"] {
        for digest in manifests(version) {
            assert!(stdout.contains(&digest), "{version}: {stdout}");
        }
    }
    assert!(
        stdout.contains("refused, as it should be") && stdout.ends_with("Done.\n"),
        "{stdout}"
    );
    assert_eq!(text(&output.stderr), "");
}

#[tokio::test]
async fn on_a_running_registry_it_leaves_everything_else_alone() {
    let mock = Running::start(Registry::builder().user("dev", "secret"));
    let client = mock.client();
    let other = client.repository_client("acr-quickstart/other").unwrap();
    mock.server
        .seed("acr-quickstart/other")
        .unwrap()
        .image("v1")
        .unwrap();
    let before = other.get_repository_properties().await.unwrap();

    let login = [("USERNAME", "dev"), ("PASSWORD", "secret")];
    let output = quickstart(&mock, &login);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains(&mock.endpoint));

    let names = client.list_repository_names().collect_all().await.unwrap();
    assert_eq!(names, [other.name().clone()]);
    assert_eq!(other.get_repository_properties().await.unwrap(), before);
}

#[tokio::test]
async fn a_failure_on_the_way_removes_the_repository() {
    // Everything but to lock.
    let rights: ScopeSet = "registry:catalog:* repository:*:pull,push,delete,metadata_read"
        .parse()
        .unwrap();
    let mock = Running::start(Registry::builder().entra_token("developer", rights));
    let output = quickstart(&mock, &[("ENTRA_TOKEN", "developer")]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        text(&output.stdout).contains("== Lock v1"),
        "it went as far as that"
    );
    assert!(stderr.contains("was removed again"), "{stderr}");
    assert!(
        stderr.contains("update_tag_properties") && stderr.contains("metadata_write is missing"),
        "{stderr}"
    );

    let names = mock.client_with("developer").list_repository_names();
    assert!(names.collect_all().await.unwrap().is_empty());
}

#[test]
fn what_cannot_be_removed_is_named() {
    // Everything but to delete.
    let rights: ScopeSet = "registry:catalog:* repository:*:pull,push,metadata_read,metadata_write"
        .parse()
        .unwrap();
    let mock = Running::start(Registry::builder().entra_token("developer", rights));
    let output = quickstart(&mock, &[("ENTRA_TOKEN", "developer")]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("could not be removed; please delete it"),
        "{stderr}"
    );
    assert!(stderr.contains("acr-quickstart/"), "{stderr}");
}

#[test]
fn a_wrong_endpoint_is_named_with_the_reason() {
    // Reads how the client begins and hangs up: who hangs up on unread bytes resets the connection.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("https://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut head = [0; 5];
            client.read_exact(&mut head).unwrap();
            let mut hello = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
            client.read_exact(&mut hello).unwrap();
        }
    });

    let login = [("ENDPOINT", &*endpoint), ("ENTRA_TOKEN", "a token")];
    let output = run("quickstart", &[], &login, &[]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(&endpoint), "{stderr}");
    assert!(stderr.contains("because: tls handshake"), "{stderr}");
}

#[test]
fn a_registry_whose_ca_is_not_given_is_refused() {
    let mock = Running::start(Registry::builder());
    let login = [("ENDPOINT", &*mock.endpoint), ("ENTRA_TOKEN", "a token")];
    let output = run("quickstart", &[], &login, &[]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("certificate") && stderr.contains("SSL_CERT_FILE"),
        "{stderr}"
    );
}

#[test]
fn a_missing_a_double_and_a_wrong_login_are_told_apart() {
    let mock = Running::start(Registry::builder().user("dev", "secret"));
    let one = [("USERNAME", "dev"), ("PASSWORD", "hunter2")];
    let two = [
        ("USERNAME", "dev"),
        ("PASSWORD", "hunter2"),
        ("ENTRA_TOKEN", "hunter2"),
    ];
    for (login, reason) in [
        (&[][..], "there is no login"),
        (&one, "401 Unauthorized"),
        (&two, "are both set"),
    ] {
        let output = quickstart(&mock, login);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(reason), "{stderr}");
        assert!(!stderr.contains("hunter2"), "{stderr}");
    }
}

/// The digests of a fixture's image and of its platforms.
fn manifests(version: &str) -> Vec<String> {
    let read = |file: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(fixture(version).join(file)).unwrap()).unwrap()
    };
    let digests = |index: serde_json::Value| -> Vec<String> {
        let manifests = index["manifests"].as_array().unwrap().iter();
        let digests = manifests.map(|manifest| manifest["digest"].as_str().unwrap().to_owned());
        digests.collect()
    };
    let mut all = digests(read("index.json"));
    let root = all[0].replace(':', "/");
    all.extend(digests(read(&format!("blobs/{root}"))));
    all
}

/// Runs the example on a registry, with these variables without `AZURE_CONTAINERREGISTRY_`.
fn quickstart(mock: &Running, login: &[(&str, &str)]) -> Output {
    let mut variables = login.to_vec();
    variables.push(("ENDPOINT", &mock.endpoint));
    run("quickstart", &[], &variables, &mock.certificates())
}
