//! Arguments and environment.

use tempfile::TempDir;

use crate::support::{Mock, command, finish, get, get_with, run, text};

#[test]
fn bad_usage_is_2_and_says_what_is_wrong() {
    let cases: &[(&[&str], &str)] = &[
        (&["--no-such-option"], "--no-such-option"),
        (&["--listen", "here"], "--listen"),
        (&["--log", "loud"], "loud"),
        (&["--profile", "docker"], "acr, oci"),
        (&["--host", "http://acr"], "http://acr"),
        (&["--host", "acr:5000"], "acr:5000"),
        (&["--host", ""], "host name"),
        (&["--user", "nobody"], "a colon is missing"),
        (&["--user", ":hunter2"], "the name is empty"),
        (&["--user", "alice:"], "the password is empty"),
        (&["--user", ""], "a colon is missing"),
        (
            &["--user", "alice:hunter2", "--user", "alice:hunter3"],
            "twice",
        ),
        (&["--ca-out", ""], "--ca-out"),
        (&["alice:hunter2"], "unexpected argument"),
    ];
    for (arguments, expected) in cases {
        let end = run(arguments);
        assert_eq!(end.status.code(), Some(2), "{arguments:?}: {}", end.stderr);
        assert!(
            end.stderr.contains(expected),
            "{arguments:?}: {}",
            end.stderr
        );
        assert!(
            !end.stderr.contains("hunter"),
            "{arguments:?}: {}",
            end.stderr
        );
        assert_eq!(end.stdout, "", "{arguments:?}");
    }
}

#[test]
fn help_and_version_are_0_and_show_no_password() {
    for argument in ["--help", "-h", "--version"] {
        let end = finish(command(&[argument]).env("ACR_MOCK_USER", "alice:hunter2"));
        assert_eq!(end.status.code(), Some(0), "{argument}");
        assert!(
            end.stdout.contains("acr-mock") && !end.stdout.contains("hunter2"),
            "{}",
            end.stdout
        );
    }
}

#[test]
fn a_wildcard_address_needs_a_host_or_a_user_and_is_reported_as_127_0_0_1() {
    let end = run(&["--listen", "0.0.0.0:0"]);
    assert_eq!(end.status.code(), Some(2));
    assert!(
        end.stderr.contains("--host") && end.stderr.contains("--user"),
        "{}",
        end.stderr
    );
    for guard in [["--host", "acr"], ["--user", "alice:hunter2"]] {
        let mut mock = Mock::start(&["--listen", "0.0.0.0:0", guard[0], guard[1]]);
        let ready = mock.ready();
        assert!(
            text(&ready, "endpoint").starts_with("https://127.0.0.1:"),
            "{ready}"
        );
        assert!(
            text(&ready, "data_endpoint").starts_with("https://localhost:"),
            "{ready}"
        );
        mock.terminate("TERM");
    }
}

#[test]
fn every_option_is_an_environment_variable_too() {
    let folder = TempDir::new().unwrap();
    let mut mock = Mock::spawn(
        command(&[])
            .current_dir(&folder)
            .env("ACR_MOCK_LISTEN", "0.0.0.0:0")
            .env("ACR_MOCK_PLAIN_HTTP", "1")
            .env("ACR_MOCK_HOST", "acr\nacr-data\n")
            .env("ACR_MOCK_READY_FILE", "ready.json")
            .env("ACR_MOCK_USER", "alice:hunter2\nbob:hunter3\n")
            .env("ACR_MOCK_ANONYMOUS_PULL", "true")
            .env("ACR_MOCK_EXIT_ON_STDIN_CLOSE", "1")
            .env("ACR_MOCK_LOG", "off"),
    );
    let ready = mock.ready();
    assert!(text(&ready, "endpoint").starts_with("http://127.0.0.1:"));
    assert_eq!(
        (text(&ready, "username"), text(&ready, "password")),
        ("alice", "hunter2")
    );
    assert!(folder.path().join("ready.json").exists());
    let server = text(&ready, "login_server").to_owned();
    assert_eq!(
        get_with(&server, "/v2/", "Authorization: Basic Ym9iOmh1bnRlcjM=\r\n").0,
        200
    );
    assert_eq!(
        get(&server, "/oauth2/token?service=s&scope=registry:catalog:*").0,
        200
    );
    drop(mock.child.stdin.take());
    let end = mock.wait();
    assert_eq!((end.status.code(), end.stderr.as_str()), (Some(0), ""));
}

#[test]
fn an_environment_that_is_empty_or_off_changes_nothing() {
    let mut mock = Mock::spawn(
        command(&[])
            .env("ACR_MOCK_LISTEN", "")
            .env("ACR_MOCK_PLAIN_HTTP", "0")
            .env("ACR_MOCK_HOST", "")
            .env("ACR_MOCK_CA_OUT", "")
            .env("ACR_MOCK_READY_FILE", "")
            .env("ACR_MOCK_USER", "")
            .env("ACR_MOCK_ANONYMOUS_PULL", "false")
            .env("ACR_MOCK_EXIT_ON_STDIN_CLOSE", "")
            .env("ACR_MOCK_LOG", ""),
    );
    let ready = mock.ready();
    assert!(text(&ready, "endpoint").starts_with("https://"));
    assert_eq!(text(&ready, "username"), "mock");
    mock.terminate("TERM");
}

#[test]
fn a_bad_value_in_the_environment_is_bad_usage() {
    for (name, value, expected) in [
        ("ACR_MOCK_PLAIN_HTTP", "maybe", "--plain-http"),
        ("ACR_MOCK_LISTEN", "here", "--listen"),
        ("ACR_MOCK_LISTEN", "0.0.0.0:0", "--listen"),
        (
            "ACR_MOCK_USER",
            "alice:hunter2\nnobody",
            "a colon is missing",
        ),
        ("ACR_MOCK_HOST", "acr\nhttp://acr", "http://acr"),
    ] {
        let end = finish(command(&[]).env(name, value));
        assert_eq!(end.status.code(), Some(2), "{name}={value}");
        assert!(
            end.stderr.contains(expected),
            "{name}={value}: {}",
            end.stderr
        );
        assert!(!end.stderr.contains("hunter2"), "{}", end.stderr);
    }
}
