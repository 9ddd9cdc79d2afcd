//! What its options change for clients, and what it logs.

use crate::support::{Mock, get, get_with, text};

#[test]
fn own_users_log_in_and_the_default_one_does_not() {
    let mut mock = Mock::start(&[
        "--plain-http",
        "--user",
        "alice:pass:word",
        "--user",
        "bob:hunter2",
    ]);
    let ready = mock.ready();
    assert_eq!(
        (text(&ready, "username"), text(&ready, "password")),
        ("alice", "pass:word")
    );
    let server = text(&ready, "login_server").to_owned();
    // base64 of alice:pass:word, bob:hunter2, bob:wrong and mock:hunter2
    for (basic, status) in [
        ("YWxpY2U6cGFzczp3b3Jk", 200),
        ("Ym9iOmh1bnRlcjI=", 200),
        ("Ym9iOndyb25n", 401),
        ("bW9jazpodW50ZXIy", 401),
    ] {
        assert_eq!(
            get_with(
                &server,
                "/v2/",
                &format!("Authorization: Basic {basic}\r\n")
            )
            .0,
            status,
            "{basic}"
        );
    }
    let end = mock.terminate("TERM");
    for secret in ["hunter2", "pass:word", "YWxpY2U6", "Ym9iO"] {
        assert!(!end.stderr.contains(secret), "{}", end.stderr);
    }
}

#[test]
fn anonymous_pull_gives_a_token_to_everyone() {
    let path = "/oauth2/token?service=s&scope=registry:catalog:*";
    for (arguments, allowed) in [
        (&["--plain-http", "--anonymous-pull"][..], true),
        (&["--plain-http"], false),
    ] {
        let mut mock = Mock::start(arguments);
        let ready = mock.ready();
        assert_eq!(
            get(text(&ready, "login_server"), path).0 == 200,
            allowed,
            "{arguments:?}"
        );
        mock.terminate("TERM");
    }
}

#[test]
fn the_log_has_a_line_for_each_request_without_its_query() {
    let mut mock = Mock::start(&["--plain-http"]);
    let ready = mock.ready();
    get(text(&ready, "login_server"), "/v2/?sig=hunter2");
    let end = mock.terminate("TERM");
    assert!(
        end.stderr
            .lines()
            .any(|line| line == "acr-mock: info: GET /v2/ 401"),
        "{}",
        end.stderr
    );
    assert!(!end.stderr.contains("hunter2"), "{}", end.stderr);
}

#[test]
fn a_quieter_log_has_no_line_for_requests() {
    for level in ["off", "error", "warn"] {
        let mut mock = Mock::start(&["--plain-http", "--log", level]);
        let ready = mock.ready();
        get(text(&ready, "login_server"), "/v2/");
        assert_eq!(mock.terminate("TERM").stderr, "", "{level}");
    }
}

#[test]
fn plain_http_on_the_tls_port_is_told_so() {
    let mut mock = Mock::start(&[]);
    let ready = mock.ready();
    let (status, body) = get(text(&ready, "login_server"), "/v2/");
    assert_eq!(status, 400);
    assert!(body.contains("https"), "{body}");
    mock.terminate("TERM");
}
