//! What its options change for clients, and what it logs.

use crate::binary::support::{Mock, exchange, get, get_with, send, text};

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
fn whatever_a_client_sends_the_log_is_lines_of_printable_ascii() {
    let mut mock = Mock::start(&["--plain-http", "--log", "debug"]);
    let ready = mock.ready();
    let server = text(&ready, "login_server");
    // C1 controls (a new line, the start of an escape sequence), marks of direction, line separators, a full stop that
    // is none, all in UTF-8, as they are and percent-encoded.
    for odd in [
        "\u{85}", "\u{9b}2J", "\u{202e}", "\u{2066}", "\u{2028}", "\u{feff}", "\u{ff0e}", "é",
    ] {
        send(
            server,
            &format!("GET /v2/{odd}/x HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n"),
        );
        let (status, _) = get(server, &format!("/v2/%{:02x}%0A/x", odd.as_bytes()[0]));
        assert_eq!(status, 404);
    }
    let end = mock.terminate("TERM");
    let is_plain = |character: char| matches!(character, ' '..='~' | '\n');
    assert!(end.stderr.chars().all(is_plain), "{:?}", end.stderr);
    for escaped in [
        "/v2/\\u{85}/x 404",
        "/v2/\\u{202e}/x 404",
        "/v2/\\u{e9}/x 404",
        "/v2/%e2%0A/x 404",
    ] {
        assert!(end.stderr.contains(escaped), "{escaped}: {}", end.stderr);
    }
}

#[test]
fn several_workers_serve_as_one_does_and_none_of_their_lines_is_lost() {
    let mut mock = Mock::start(&["--plain-http", "--workers", "3"]);
    let ready = mock.ready();
    let server = text(&ready, "login_server").to_owned();
    std::thread::scope(|scope| {
        for client in 0..8 {
            let server = &server;
            scope.spawn(move || (0..25).for_each(|_| drop(get(server, &format!("/v2/?{client}")))));
        }
    });
    let end = mock.terminate("TERM");
    assert_eq!(end.status.code(), Some(0), "{}", end.stderr);
    let line = "acr-mock: info: GET /v2/ 401";
    assert_eq!(
        end.stderr.lines().filter(|known| *known == line).count(),
        200
    );
    assert!(
        end.stderr.lines().last().unwrap().contains("SIGTERM"),
        "{}",
        end.stderr
    );
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
fn any_entra_token_is_taken_at_loopback_alone_unless_it_is_said() {
    let beyond = [
        "--plain-http",
        "--listen",
        "0.0.0.0:0",
        "--user",
        "alice:hunter2",
    ];
    let with = |more: &[&'static str]| [&beyond[..], more].concat();
    for (arguments, unknown, named) in [
        (vec!["--plain-http"], 200, 200),
        (vec!["--plain-http", "--refuse-entra-tokens"], 401, 401),
        (vec!["--plain-http", "--entra-token", "named"], 401, 200),
        (with(&[]), 401, 401),
        (with(&["--refuse-entra-tokens"]), 401, 401),
        (with(&["--entra-token", "named"]), 401, 200),
        (with(&["--accept-any-entra-token"]), 200, 200),
        (
            with(&["--accept-any-entra-token", "--entra-token", "named"]),
            200,
            200,
        ),
    ] {
        let mut mock = Mock::start(&arguments);
        let ready = mock.ready();
        let server = text(&ready, "login_server");
        assert_eq!(exchange(server, "unknown"), unknown, "{arguments:?}");
        assert_eq!(exchange(server, "named"), named, "{arguments:?}");
        assert_eq!(exchange(server, ""), 401, "{arguments:?}");
        mock.terminate("TERM");
    }
}

#[test]
fn a_page_behind_a_rebound_name_reaches_neither_origin_over_plain_http() {
    let mut mock = Mock::start(&["--plain-http", "--host", "acr"]);
    let ready = mock.ready();
    let port_of = |url: &str| url.rsplit_once(':').unwrap().1.to_owned();
    for member in ["endpoint", "data_endpoint"] {
        let server = format!("127.0.0.1:{}", port_of(text(&ready, member)));
        for (target, host, status) in [
            ("/v2/", "127.0.0.1", 401),
            ("/v2/", "localhost:1", 401),
            ("/v2/", "acr", 401),
            ("/v2/", "evil.example", 421),
            ("/_mock/health", "evil.example", 421),
            ("/_mock/health", "acr", 200),
            ("http://evil.example/v2/", "127.0.0.1", 421),
            ("http://127.0.0.1/v2/", "evil.example", 421),
            ("http://acr/v2/", "acr", 401),
            ("evil.example:443", "evil.example", 421),
        ] {
            let method = if target.starts_with(['/', 'h']) {
                "GET"
            } else {
                "CONNECT"
            };
            let (got, body) = send(
                &server,
                &format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
            );
            assert_eq!(got, status, "{member} {method} {target} {host}: {body}");
            assert_eq!(status == 421, body.contains("--host NAME"), "{body}");
        }
    }
    mock.terminate("TERM");
}

#[test]
fn the_bytes_that_are_held_can_be_bounded() {
    let mut mock = Mock::start(&[
        "--plain-http",
        "--user",
        "alice:hunter2",
        "--max-bytes",
        "4",
    ]);
    let ready = mock.ready();
    let server = text(&ready, "login_server");
    // sha256 of "hello", and base64 of alice:hunter2
    let digest = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let (status, body) = send(
        server,
        &format!(
            "POST /v2/app/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: {server}\r\nContent-Length: 5\r\n\
             Authorization: Basic YWxpY2U6aHVudGVyMg==\r\nConnection: close\r\n\r\nhello"
        ),
    );
    assert_eq!(status, 405, "{body}");
    assert!(body.contains("the registry is full"), "{body}");
    mock.terminate("TERM");
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
