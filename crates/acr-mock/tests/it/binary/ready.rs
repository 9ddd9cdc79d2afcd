//! What it says when it is ready, and the files it writes.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

use tempfile::TempDir;

use crate::binary::support::{Mock, command, get, run, text};

#[test]
fn the_ready_line_has_every_member_and_nothing_else_is_on_stdout() {
    let mut mock = Mock::start(&[]);
    let ready = mock.ready();
    let members = ready.as_object().expect("an object").keys();
    let members: BTreeSet<&str> = members.map(String::as_str).collect();
    let expected = BTreeSet::from([
        "schema",
        "endpoint",
        "data_endpoint",
        "login_server",
        "ca",
        "ca_pem",
        "username",
        "password",
        "profile",
        "version",
        "pid",
        "control",
        "authority",
        "identity_endpoint",
        "identity_header",
        "tenant_id",
        "client_id",
        "client_secret",
        "proxy",
        "registries",
    ]);
    assert_eq!(members, expected);
    let login_server = text(&ready, "login_server");
    assert!(login_server.starts_with("127.0.0.1:"), "{login_server}");
    assert_eq!(text(&ready, "endpoint"), format!("https://{login_server}"));
    assert!(text(&ready, "data_endpoint").starts_with("https://localhost:"));
    assert_eq!(ready["schema"], 1);
    assert_eq!(text(&ready, "username"), "mock");
    assert_eq!(text(&ready, "version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&ready, "profile"), "acr");
    assert_eq!(ready["pid"], mock.child.id());
    assert_eq!(
        fs::read_to_string(text(&ready, "ca")).unwrap(),
        text(&ready, "ca_pem")
    );
    let end = mock.terminate("TERM");
    assert_eq!(end.stdout, "");
}

#[test]
fn the_ready_line_names_the_proxy_where_there_is_a_production_name() {
    let mut mock = Mock::start(&["--registry", "myregistry"]);
    let ready = mock.ready();
    assert_eq!(ready["proxy"], ready["control"]);
    assert_eq!(
        ready["registries"],
        serde_json::json!(["myregistry.azurecr.io"])
    );
    mock.terminate("TERM");
    let mut mock = Mock::spawn(command(&[]).env("ACR_MOCK_REGISTRY", "abcde.azurecr.cn"));
    assert_eq!(
        mock.ready()["registries"],
        serde_json::json!(["abcde.azurecr.cn"])
    );
    mock.terminate("TERM");
    let mut mock = Mock::start(&[]);
    let ready = mock.ready();
    assert_eq!(
        (&ready["proxy"], &ready["registries"]),
        (&serde_json::Value::Null, &serde_json::json!([]))
    );
    mock.terminate("TERM");
}

#[test]
fn each_start_has_another_random_password_and_it_is_not_logged() {
    let (mut one, mut two) = (
        Mock::start(&["--log", "debug"]),
        Mock::start(&["--log", "debug"]),
    );
    let (first, second) = (one.ready(), two.ready());
    let password = text(&first, "password");
    assert!(password.len() >= 16);
    assert_ne!(password, text(&second, "password"));
    let end = one.terminate("TERM");
    assert!(!end.stderr.contains(password), "{}", end.stderr);
    two.terminate("TERM");
}

#[test]
fn the_profile_comes_from_a_flag_or_the_environment() {
    let mut flag = Mock::start(&["--profile", "oci"]);
    assert_eq!(text(&flag.ready(), "profile"), "oci");
    flag.terminate("TERM");
    let mut variable = Mock::spawn(command(&[]).env("ACR_MOCK_PROFILE", "oci"));
    assert_eq!(text(&variable.ready(), "profile"), "oci");
    variable.terminate("TERM");
}

#[test]
fn plain_http_has_no_ca() {
    let mut mock = Mock::start(&["--plain-http"]);
    let ready = mock.ready();
    assert!(text(&ready, "endpoint").starts_with("http://127.0.0.1:"));
    assert!(text(&ready, "data_endpoint").starts_with("http://localhost:"));
    assert!(ready["ca"].is_null() && ready["ca_pem"].is_null());
    let (status, body) = get(text(&ready, "login_server"), "/_mock/health");
    assert_eq!(
        (
            status,
            serde_json::from_str::<serde_json::Value>(&body).unwrap()["status"].as_str()
        ),
        (200, Some("ok"))
    );
    assert_eq!(get(text(&ready, "login_server"), "/_mock/ca.pem").0, 404);
    assert_eq!(get(text(&ready, "login_server"), "/v2/").0, 401);
    mock.terminate("TERM");
}

#[test]
fn the_ready_file_holds_the_line_and_replaces_that_of_an_earlier_run() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ready.json");
    fs::write(&file, "of an earlier run").unwrap();
    let mut mock = Mock::spawn(command(&["--ready-file", "ready.json"]).current_dir(&folder));
    let line = mock.line();
    assert_eq!(fs::read_to_string(&file).unwrap(), line);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o077,
            0,
            "it holds a password"
        );
    }
    mock.terminate("TERM");
    let left = fs::read_dir(&folder).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["ready.json"], "no half-written file is left");
}

#[test]
fn a_ready_file_of_an_earlier_run_is_gone_when_the_start_fails() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ready.json");
    fs::write(&file, "of an earlier run").unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let end = run(&["--listen", &address, "--ready-file", file.to_str().unwrap()]);
    assert_eq!(end.status.code(), Some(1));
    assert!(!file.exists());
}

#[test]
fn the_ca_goes_where_it_is_asked_to_and_stays() {
    let folder = TempDir::new().unwrap();
    let mut mock = Mock::spawn(command(&["--ca-out", "ca.pem"]).current_dir(&folder));
    let ready = mock.ready();
    let file = folder.path().canonicalize().unwrap().join("ca.pem");
    assert_eq!(Path::new(text(&ready, "ca")), file);
    assert_eq!(fs::read_to_string(&file).unwrap(), text(&ready, "ca_pem"));
    mock.terminate("TERM");
    assert!(file.exists());
}

#[test]
fn without_a_folder_for_temporary_files_it_starts_and_has_no_file_for_the_ca() {
    let mut command = command(&[]);
    let mut mock = Mock::spawn(command.env("TMPDIR", "/no/such/folder"));
    let ready = mock.ready();
    assert!(ready["ca"].is_null());
    assert!(text(&ready, "ca_pem").contains("BEGIN CERTIFICATE"));
    let end = mock.terminate("TERM");
    assert_eq!(end.status.code(), Some(0));
    assert!(
        end.stderr.contains("no CA file is written"),
        "{}",
        end.stderr
    );
}

#[test]
fn a_port_that_is_turned_off_is_null() {
    let mut mock = Mock::start(&["--control", "off", "--authority", "off"]);
    let ready = mock.ready();
    for member in [
        "control",
        "authority",
        "identity_endpoint",
        "identity_header",
    ] {
        assert!(ready[member].is_null(), "{member}");
    }
}
