//! Arguments and environment.

use tempfile::TempDir;

use crate::binary::support::{Mock, command, exchange, finish, get, get_with, run, text};

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
        (&["--registry", ""], "the name of a registry"),
        (&["--registry", "my_registry"], "the name of a registry"),
        (&["--registry", "myregistry.example.com"], ".azurecr.cn"),
        (
            &["--registry", "myregistry", "--registry", "other1"],
            "so far",
        ),
        (
            &[
                "--registry",
                "myregistry",
                "--registry",
                "MyRegistry.azurecr.io",
            ],
            "twice",
        ),
        (
            &["--registry", "myregistry", "--plain-http"],
            "--plain-http",
        ),
        (
            &["--registry", "myregistry", "--control", "off"],
            "--control off",
        ),
        (&["--user", "nobody"], "a colon is missing"),
        (&["--user", ":hunter2"], "the name is empty"),
        (&["--user", "alice:"], "the password is empty"),
        (&["--user", ""], "a colon is missing"),
        (
            &["--user", "alice:hunter2", "--user", "alice:hunter3"],
            "twice",
        ),
        (&["--entra-token", ""], "the token is empty"),
        (
            &["--entra-token", ":repository:a:pull"],
            "the token is empty",
        ),
        (
            &["--entra-token", "hunter2:hunter3"],
            "not a valid list of scopes",
        ),
        (&["--entra-token", "hunter2:"], "not a valid list of scopes"),
        (
            &[
                "--entra-token",
                "hunter2",
                "--entra-token",
                "hunter2:repository:a:pull",
            ],
            "twice",
        ),
        (
            &["--accept-any-entra-token", "--refuse-entra-tokens"],
            "together with --refuse-entra-tokens",
        ),
        (&["--max-bytes", "1k"], "--max-bytes"),
        (&["--head-timeout", "0"], "--head-timeout"),
        (&["--body-timeout", "1.5"], "whole number of seconds"),
        (&["--idle-timeout=-1"], "--idle-timeout"),
        (&["--workers", "0"], "--workers"),
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
fn an_address_beyond_loopback_is_refused_with_what_would_protect_it() {
    // 192.0.2.0/24 is reserved for documentation: no machine has it, and the start does not come so far.
    for address in [
        "0.0.0.0",
        "[::]",
        "192.0.2.1",
        "[::ffff:0.0.0.0]",
        "[2001:db8::1]",
    ] {
        let end = run(&["--listen", &format!("{address}:0"), "--anonymous-pull"]);
        assert_eq!(end.status.code(), Some(2), "{address}");
        let ip = address.trim_matches(['[', ']']);
        let said = format!(
            "--listen: {ip} can be reached from other machines, and nothing protects the registry; say who may come \
             with --user NAME:PASSWORD or --entra-token TOKEN[:SCOPES], or by which name clients come with --host NAME \
             (then only who has read the password in the ready line may come), or let everybody in with \
             --accept-any-entra-token\n"
        );
        assert!(end.stderr.contains(&said), "{address}: {}", end.stderr);
    }
}

#[test]
fn a_wildcard_address_needs_a_guard_and_is_reported_as_127_0_0_1() {
    for guard in [
        &["--host", "acr"][..],
        &["--user", "alice:hunter2"],
        &["--entra-token", "hunter2"],
        &["--accept-any-entra-token"],
    ] {
        let arguments = ["--listen", "0.0.0.0:0"].iter().chain(guard).copied();
        let arguments: Vec<&str> = arguments.collect();
        let mut mock = Mock::start(&arguments);
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
            .env(
                "ACR_MOCK_ENTRA_TOKEN",
                "of-alice\nof-bob:repository:a:pull registry:catalog:*\n",
            )
            .env("ACR_MOCK_REFUSE_ENTRA_TOKENS", "1")
            .env("ACR_MOCK_ACCEPT_ANY_ENTRA_TOKEN", "0")
            .env("ACR_MOCK_ANONYMOUS_PULL", "true")
            .env("ACR_MOCK_MAX_BYTES", "1000000")
            .env("ACR_MOCK_HEAD_TIMEOUT", "31")
            .env("ACR_MOCK_BODY_TIMEOUT", "61")
            .env("ACR_MOCK_IDLE_TIMEOUT", "301")
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
    for (token, status) in [("of-alice", 200), ("of-bob", 200), ("of-eve", 401)] {
        assert_eq!(exchange(&server, token), status, "{token}");
    }
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
            .env("ACR_MOCK_ENTRA_TOKEN", "")
            .env("ACR_MOCK_REFUSE_ENTRA_TOKENS", "")
            .env("ACR_MOCK_ACCEPT_ANY_ENTRA_TOKEN", "false")
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
        ("ACR_MOCK_HEAD_TIMEOUT", "0", "--head-timeout"),
        ("ACR_MOCK_BODY_TIMEOUT", "x", "--body-timeout"),
        ("ACR_MOCK_IDLE_TIMEOUT", "0", "--idle-timeout"),
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
