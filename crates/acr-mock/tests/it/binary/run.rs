//! A command beside a mock: what it gets, how it ends, and what stays behind.

#![cfg(unix)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use acr_mock::AcrMock;

use crate::binary::support::{End, Mock, command, finish};

/// Runs this line of a shell beside a mock.
fn shell(options: &[&str], line: &str) -> End {
    let arguments = [&["run"], options, &["--", "sh", "-c", line]].concat();
    finish(&mut command(&arguments))
}

#[test]
fn it_ends_as_its_command_does() {
    for (line, code) in [
        ("exit 0", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
    ] {
        let end = shell(&[], line);
        assert_eq!(end.status.code(), Some(code), "{line}: {}", end.stderr);
        assert_eq!((end.stdout, end.stderr), (String::new(), String::new()));
    }
}

#[test]
fn a_command_that_cannot_be_run_is_named_as_by_a_shell() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("not-executable");
    std::fs::write(&file, "").unwrap();
    let file = file.to_str().unwrap();
    for (name, code) in [("no-such-program-anywhere", 127), (file, 126)] {
        let end = finish(&mut command(&["run", "--", name]));
        assert_eq!(end.status.code(), Some(code), "{}", end.stderr);
        assert!(end.stderr.contains(name), "{}", end.stderr);
    }
}

#[test]
fn bad_usage_is_2_before_anything_starts() {
    for (arguments, expected) in [
        (&["run"][..], "COMMAND"),
        (&["run", "--"], "COMMAND"),
        (&["run", "true"], "unexpected argument"),
        (
            &["run", "--identity", "manged-identity", "--", "true"],
            "'managed-identity'",
        ),
        (&["run", "--control", "here", "--", "true"], "--control"),
        (
            &["run", "--no-such-option", "--", "true"],
            "--no-such-option",
        ),
    ] {
        let end = finish(&mut command(arguments));
        assert_eq!(end.status.code(), Some(2), "{arguments:?}: {}", end.stderr);
        assert!(
            end.stderr.contains(expected),
            "{arguments:?}: {}",
            end.stderr
        );
        assert!(end.stdout.is_empty());
    }
}

#[test]
fn a_mock_that_cannot_start_is_125() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for option in ["--listen", "--control", "--authority"] {
        let end = shell(&[option, &address], "echo started");
        assert_eq!(end.status.code(), Some(125), "{}", end.stderr);
        assert!(
            end.stderr.contains(option) && end.stdout.is_empty(),
            "{}",
            end.stderr
        );
    }
}

#[test]
fn stdin_and_stdout_are_the_commands_alone() {
    let mut run = command(&["run", "--log", "info", "--", "cat"]);
    let mut run = run.spawn().unwrap();
    run.stdin
        .take()
        .unwrap()
        .write_all(b"what is sent")
        .unwrap();
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"what is sent");
    assert!(output.status.success());
}

/// The environment that a command gets which is run from this one.
fn environment(options: &[&str], outer: &[(&str, &str)]) -> BTreeMap<String, String> {
    let arguments = [&["run"], options, &["--", "/usr/bin/env", "-0"]].concat();
    let mut run = command(&arguments);
    run.env_clear().envs(outer.iter().copied());
    let end = finish(&mut run);
    assert!(end.status.success(), "{}", end.stderr);
    let lines = end.stdout.split_terminator('\0');
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn the_environment_of_the_command_is_that_of_the_mock_and_no_real_identity() {
    let registry = [
        "ACR_MOCK_CA",
        "ACR_MOCK_CONTROL",
        "ACR_MOCK_ENDPOINT",
        "ACR_MOCK_LOGIN_SERVER",
        "AZURE_CONTAINERREGISTRY_ENDPOINT",
        "AZURE_CONTAINERREGISTRY_PASSWORD",
        "AZURE_CONTAINERREGISTRY_USERNAME",
        "CURL_CA_BUNDLE",
        "JAVA_TOOL_OPTIONS",
        "NODE_EXTRA_CA_CERTS",
        "OTHER",
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_FILE",
    ];
    let secret = "a real secret";
    let outer = [
        ("OTHER", "stays"),
        ("AZURE_CLIENT_SECRET", secret),
        ("AZURE_CLIENT_ID", secret),
        ("AZURE_TENANT_ID", secret),
        ("AZURE_USERNAME", secret),
        ("AZURE_PASSWORD", secret),
        ("AZURE_CLIENT_CERTIFICATE_PATH", secret),
        ("AZURE_FEDERATED_TOKEN_FILE", secret),
        ("AZURE_AUTHORITY_HOST", secret),
        ("AZURE_CONTAINERREGISTRY_REFRESH_TOKEN", secret),
        ("AZURE_CONTAINERREGISTRY_ENTRA_TOKEN", secret),
        ("AZURE_CONTAINERREGISTRY_PASSWORD", secret),
        ("IDENTITY_SERVER_THUMBPRINT", secret),
        ("MSI_SECRET", secret),
        ("JAVA_TOOL_OPTIONS", "-Dother=stays"),
    ];
    let managed = [
        "AZURE_TOKEN_CREDENTIALS",
        "IDENTITY_ENDPOINT",
        "IDENTITY_HEADER",
    ];
    let application = [
        "AZURE_AUTHORITY_HOST",
        "AZURE_CLIENT_ID",
        "AZURE_TENANT_ID",
        "AZURE_TOKEN_CREDENTIALS",
    ];
    for (options, more) in [
        (&[][..], managed.to_vec()),
        (&["--identity", "managed-identity"], managed.to_vec()),
        (
            &["--identity", "service-principal"],
            [&application[..], &["AZURE_CLIENT_SECRET"]].concat(),
        ),
        (
            &["--identity", "workload"],
            [&application[..], &["AZURE_FEDERATED_TOKEN_FILE"]].concat(),
        ),
        (
            &["--docker-login"],
            [&managed[..], &["DOCKER_CONFIG", "REGISTRY_AUTH_FILE"]].concat(),
        ),
    ] {
        let environment = environment(options, &outer);
        let names: BTreeSet<&str> = environment.keys().map(String::as_str).collect();
        // A shell may have put in some of its own.
        let expected: BTreeSet<&str> = registry.into_iter().chain(more).collect();
        assert_eq!(names, expected, "{options:?}");
        for (name, value) in &environment {
            assert!(!value.contains(secret), "{name}");
        }
        assert_eq!(environment["OTHER"], "stays");
        assert!(
            environment["JAVA_TOOL_OPTIONS"]
                .starts_with("-Dother=stays -Djavax.net.ssl.trustStore=")
        );
        assert_eq!(
            environment["AZURE_CONTAINERREGISTRY_ENDPOINT"],
            environment["ACR_MOCK_ENDPOINT"]
        );
        // Its files are gone with it.
        assert!(!Path::new(&environment["SSL_CERT_FILE"]).exists());
    }
    let untouched = environment(&["--identity", "none"], &outer);
    assert_eq!(untouched["AZURE_CLIENT_SECRET"], secret);
    assert!(!untouched.contains_key("IDENTITY_ENDPOINT"));
}

#[test]
fn a_production_name_leads_through_the_proxy_and_to_no_real_host() {
    let outer = [
        ("NO_PROXY", "*.azurecr.io,corp.example"),
        ("https_proxy", "http://corp.example:3128"),
        ("AZURE_AUTHORITY_HOST", "https://login.example"),
    ];
    let usual = [
        "ACR_MOCK_CA",
        "ACR_MOCK_CONTROL",
        "ACR_MOCK_ENDPOINT",
        "ACR_MOCK_LOGIN_SERVER",
        "AZURE_CONTAINERREGISTRY_ENDPOINT",
        "AZURE_CONTAINERREGISTRY_PASSWORD",
        "AZURE_CONTAINERREGISTRY_USERNAME",
        "AZURE_TOKEN_CREDENTIALS",
        "CURL_CA_BUNDLE",
        "HTTPS_PROXY",
        "JAVA_TOOL_OPTIONS",
        "NODE_EXTRA_CA_CERTS",
        "NO_PROXY",
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_FILE",
        "https_proxy",
        "no_proxy",
    ];
    let application = ["AZURE_CLIENT_ID", "AZURE_TENANT_ID"];
    for (options, more) in [
        (&[][..], vec!["IDENTITY_ENDPOINT", "IDENTITY_HEADER"]),
        (
            &["--identity", "service-principal"],
            [&application[..], &["AZURE_CLIENT_SECRET"]].concat(),
        ),
        (
            &["--identity", "workload"],
            [&application[..], &["AZURE_FEDERATED_TOKEN_FILE"]].concat(),
        ),
    ] {
        let options = [&["--registry", "MyRegistry.azurecr.us"], options].concat();
        let environment = environment(&options, &outer);
        let names: BTreeSet<&str> = environment.keys().map(String::as_str).collect();
        let expected: BTreeSet<&str> = usual.into_iter().chain(more).collect();
        assert_eq!(names, expected, "{options:?}");
        let value = |name: &str| environment[name].as_str();
        let endpoint = "https://myregistry.azurecr.us";
        assert_eq!(value("AZURE_CONTAINERREGISTRY_ENDPOINT"), endpoint);
        let proxy = value("ACR_MOCK_CONTROL");
        assert_eq!((value("HTTPS_PROXY"), value("https_proxy")), (proxy, proxy));
        // Of another cloud's registries nothing is served here, so that their entry stays.
        let direct = "*.azurecr.io,corp.example,localhost,127.0.0.1,::1";
        assert_eq!((value("NO_PROXY"), value("no_proxy")), (direct, direct));
        let port = proxy.strip_prefix("http://127.0.0.1:").unwrap();
        let java = format!(
            " -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort={port} -Dhttp.nonProxyHosts=localhost|127.*|[::1]"
        );
        assert!(value("JAVA_TOOL_OPTIONS").ends_with(&java));
    }
}

#[test]
fn the_login_of_container_tools_is_that_of_the_production_name() {
    let line = r#"cat "$DOCKER_CONFIG/config.json""#;
    let end = shell(&["--registry", "myregistry", "--docker-login"], line);
    assert!(
        end.stdout.contains(r#"{"auths":{"myregistry.azurecr.io":"#),
        "{}",
        end.stdout
    );
}

#[test]
fn who_was_trusted_outside_is_trusted_inside_and_the_inner_of_two_mocks_wins() {
    let other = AcrMock::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("company.pem");
    std::fs::write(&bundle, other.ca_pem().unwrap()).unwrap();
    let binary = env!("CARGO_BIN_EXE_acr-mock");
    let print =
        r#"echo "$ACR_MOCK_ENDPOINT"; cat "$SSL_CERT_FILE"; cat "$NODE_EXTRA_CA_CERTS" >&2"#;
    let line = format!(
        r#"echo "$ACR_MOCK_ENDPOINT"; cat "$ACR_MOCK_CA"; {binary} run -- sh -c '{print}'"#
    );
    let mut run = command(&["run", "--", "sh", "-c", &line]);
    let end = finish(
        run.env("REQUESTS_CA_BUNDLE", &bundle)
            .env("NODE_EXTRA_CA_CERTS", &bundle),
    );
    assert!(end.status.success(), "{}", end.stderr);
    let endpoints: BTreeSet<&str> = end
        .stdout
        .lines()
        .filter(|line| line.starts_with("https://"))
        .collect();
    assert_eq!(endpoints.len(), 2, "{}", end.stdout);
    let (outer, inner) = end.stdout.rsplit_once("https://").unwrap();
    let outer_ca = &outer[outer.find("-----BEGIN").unwrap()..];
    for trusted in [outer_ca, other.ca_pem().unwrap()] {
        assert!(inner.contains(trusted.trim()));
        assert!(end.stderr.contains(trusted.trim()));
    }
}

/// Leaves a process behind, which keeps stdout open as long as it runs, and says so if it comes to its end.
const SURVIVOR: &str = "(sleep 60; echo survived) &";

#[test]
fn what_a_command_leaves_behind_ends_with_it() {
    let end = shell(&[], SURVIVOR);
    assert!(end.status.success());
    assert_eq!(end.stdout, "");
}

#[test]
fn a_signal_reaches_the_command_and_leaves_no_process_and_no_file() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let line = format!(r#"{SURVIVOR} echo "$SSL_CERT_FILE"; wait; echo survived"#);
        let mut run = Mock::start(&["run", "--", "sh", "-c", &line]);
        let file = run.line();
        let folder = Path::new(file.trim()).parent().unwrap();
        assert!(folder.exists());
        let end = run.terminate(signal);
        assert_eq!(end.status.code(), Some(code));
        assert_eq!(end.stdout, "");
        assert!(!folder.exists());
    }
}

#[test]
fn a_command_that_will_not_end_is_ended_by_the_second_signal() {
    let line = "trap 'echo asked' TERM; echo ready; while :; do sleep 60; done";
    let mut run = Mock::start(&["run", "--", "sh", "-c", line]);
    assert_eq!(run.line(), "ready\n");
    run.send("TERM");
    assert_eq!(run.line(), "asked\n");
    assert_eq!(run.terminate("TERM").status.code(), Some(137));
}

#[test]
fn the_summary_counts_the_requests_of_the_command() {
    let end = shell(
        &["--summary"],
        r#"curl -s --cacert "$ACR_MOCK_CA" "$ACR_MOCK_ENDPOINT/v2/" > /dev/null; exit 0"#,
    );
    assert!(end.status.success());
    assert!(end.stdout.is_empty());
    // Where there is no curl there is no request either.
    let has_curl = Command::new("curl").arg("--version").output().is_ok();
    assert_eq!(end.stderr.contains("1 ping"), has_curl, "{}", end.stderr);
}

#[test]
fn a_healthcheck_is_0_or_1() {
    let mock = AcrMock::start().unwrap();
    let check = |url: &str| finish(&mut command(&["healthcheck", url])).status.code();
    assert_eq!(check(mock.local_endpoint().unwrap()), Some(0));
    assert_eq!(check(&mock.endpoint()), Some(0));
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    // Somebody who hangs up is no mock.
    let hangs_up = std::thread::spawn(move || drop(other.accept()));
    assert_eq!(check(&format!("http://{address}")), Some(1));
    hangs_up.join().unwrap();
    assert_eq!(check("no url"), Some(1));
    let mut named = command(&["healthcheck"]);
    assert_eq!(
        finish(named.env("ACR_MOCK_CONTROL", mock.local_endpoint().unwrap()))
            .status
            .code(),
        Some(0)
    );
    assert_eq!(
        finish(&mut command(&["healthcheck"])).status.code(),
        Some(2)
    );
}
