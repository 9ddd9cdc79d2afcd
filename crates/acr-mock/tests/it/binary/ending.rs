//! How it ends, and with which code.

use std::cell::OnceCell;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::binary::support::{Mock, command, get, run, text};

/// Holds an end that the function times to a second. A machine that is busy with other things can make any one of
/// them late, so it is late only if it is so each time.
fn within_a_second(end: impl Fn() -> Duration) {
    let times = [(); 5].map(|()| OnceCell::new());
    let is_quick = |time: &OnceCell<_>| time.get_or_init(&end) < &Duration::from_secs(1);
    assert!(times.iter().any(is_quick), "{times:?}");
}

#[test]
fn it_ends_with_0_within_a_second_of_a_signal_and_removes_the_temporary_ca() {
    for signal in ["INT", "TERM"] {
        within_a_second(|| {
            let mut mock = Mock::start(&[]);
            let ready = mock.ready();
            let ca = PathBuf::from(text(&ready, "ca"));
            assert!(ca.is_absolute() && ca.exists());
            // A client that holds its connection open does not hold up the end.
            let idle = TcpStream::connect(text(&ready, "login_server")).unwrap();
            let start = Instant::now();
            let end = mock.terminate(signal);
            let took = start.elapsed();
            assert_eq!(end.status.code(), Some(0), "{signal}: {}", end.stderr);
            assert!(!ca.exists(), "{signal}");
            drop(idle);
            took
        });
    }
}

#[test]
fn the_end_of_stdin_ends_it_if_asked_to() {
    within_a_second(|| {
        let mut mock = Mock::start(&["--exit-on-stdin-close"]);
        mock.ready();
        let mut stdin = mock.child.stdin.take().unwrap();
        stdin
            .write_all(b"what is written there does not matter\n")
            .unwrap();
        let start = Instant::now();
        drop(stdin);
        let end = mock.wait();
        let took = start.elapsed();
        assert_eq!(end.status.code(), Some(0), "{}", end.stderr);
        took
    });
}

#[test]
fn a_stdin_that_is_closed_from_the_start_ends_it_only_if_asked_to() {
    let mut asked = Mock::spawn(command(&["--exit-on-stdin-close"]).stdin(Stdio::null()));
    asked.ready();
    assert_eq!(asked.wait().status.code(), Some(0));

    let mut other = Mock::spawn(command(&["--plain-http"]).stdin(Stdio::null()));
    let ready = other.ready();
    assert_eq!(get(text(&ready, "login_server"), "/_mock/health").0, 200);
    let end = other.terminate("TERM");
    assert_eq!(
        end.status.code(),
        Some(0),
        "it lived until the signal: {}",
        end.stderr
    );
    assert!(end.stderr.contains("SIGTERM"), "{}", end.stderr);
}

#[test]
fn a_file_that_cannot_be_written_is_named_and_is_1() {
    for option in ["--ca-out", "--ready-file"] {
        let end = run(&[option, "/nowhere/at/all/file"]);
        assert_eq!(end.status.code(), Some(1), "{option}");
        assert!(
            end.stderr.contains("/nowhere/at/all/file"),
            "{}",
            end.stderr
        );
        assert_eq!(end.stdout, "", "{option}: it is not ready");
    }
}

#[test]
fn a_port_in_use_is_one_clear_line_and_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let end = run(&["--listen", &address]);
    assert_eq!(end.status.code(), Some(1));
    assert_eq!(end.stderr.lines().count(), 1, "{}", end.stderr);
    assert!(
        end.stderr.contains(&address) && end.stderr.contains("in use"),
        "{}",
        end.stderr
    );
    assert_eq!(end.stdout, "");
}

#[test]
fn a_log_that_nobody_reads_holds_up_neither_responses_nor_the_end() {
    within_a_second(|| {
        let mut mock = Mock::start(&["--plain-http"]);
        let ready = mock.ready();
        let server = text(&ready, "login_server");
        // Long paths, so that what a pipe takes is soon exceeded.
        let path = format!("/v2/{}/tags/list", "a".repeat(16 * 1024));
        for _ in 0..128 {
            assert_eq!(get(server, &path).0, 404);
        }
        let start = Instant::now();
        let end = mock.terminate_unread("TERM");
        let took = start.elapsed();
        assert_eq!(end.code(), Some(0));
        took
    });
}
