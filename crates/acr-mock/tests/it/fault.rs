//! Faults over TCP, in plain bytes: what a client in any language sees of them.

#![cfg(feature = "server")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use acr_mock::{AcrMock, Fault, FaultAction, Registry};

#[test]
fn a_reset_closes_the_connection_without_a_byte() {
    let mock = start();
    let fault = mock
        .inject(Fault::on("ping").times(1).then(FaultAction::Reset))
        .unwrap();
    assert_eq!(
        exchange(&mock, "GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ""
    );
    assert_eq!(fault.count(), 1);
    let response = exchange(
        &mock,
        "GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
}

#[test]
fn a_reset_ends_a_connection_that_was_kept_and_its_first_response_was_whole() {
    let mock = start();
    mock.inject(Fault::on("ping").after(1).then(FaultAction::Reset))
        .unwrap();
    let mut stream = connect(mock.local_addr());
    send(&mut stream, "GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut first = Vec::new();
    while !first.ends_with(b"\r\n\r\n{}") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the first response");
        first.extend(byte);
    }
    send(&mut stream, "GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(rest(&mut stream), "");
}

#[test]
fn a_lost_response_closes_the_connection_behind_the_deed() {
    let mock = start();
    mock.inject(
        Fault::on("start_upload")
            .times(1)
            .then(FaultAction::DropResponse),
    )
    .unwrap();
    let request =
        "POST /v2/app/blobs/uploads/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(exchange(&mock, request), "");
    assert_eq!(mock.statistics().uploads, 1);
}

#[test]
fn a_chunk_is_cut_off_while_the_client_still_sends() {
    let mock = start();
    let location = start_upload(&mock);
    mock.inject(Fault::on("upload_chunk").then(FaultAction::ResetAfterTaking(3)))
        .unwrap();
    // More is announced than is ever sent.
    let chunk = format!(
        "PATCH {location} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n0123456789"
    );
    assert_eq!(exchange(&mock, &chunk), "");
    assert_eq!(mock.statistics().upload_bytes, 3);
}

#[test]
fn a_cut_body_closes_the_connection_before_its_announced_end() {
    let content = "0123456789".repeat(200);
    let (head, body) = data(&content, FaultAction::CutBody(1_000), "keep-alive");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-length: 2000\r\n"), "{head}");
    assert_eq!(body, content[..1_000]);
}

#[test]
fn a_body_shorter_than_announced_closes_the_connection_behind_its_last_byte() {
    let (head, body) = data(
        "0123456789",
        FaultAction::AnnounceLength(1_000),
        "keep-alive",
    );
    assert!(head.contains("\r\ncontent-length: 1000\r\n"), "{head}");
    assert!(!head.contains("transfer-encoding"), "{head}");
    assert_eq!(body, "0123456789");
}

#[test]
fn a_body_longer_than_announced_ends_with_the_last_announced_byte() {
    let (head, body) = data("0123456789", FaultAction::AnnounceLength(4), "close");
    assert!(head.contains("\r\ncontent-length: 4\r\n"), "{head}");
    assert_eq!(body, "0123");
}

#[test]
fn an_extended_body_comes_whole_with_what_was_put_behind_it() {
    let (head, body) = data("0123456789", FaultAction::ExtendBody(5), "close");
    assert!(head.contains("\r\ncontent-length: 15\r\n"), "{head}");
    assert_eq!(body, "0123456789\0\0\0\0\0");
}

#[test]
fn a_redirect_to_self_names_the_origin_by_which_the_client_came() {
    let (head, body) = data("0123456789", FaultAction::RedirectToSelf, "close");
    let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    let (location, url) = (value("location: "), value("asked: "));
    assert!(location.is_some() && location == url, "{head}");
    assert_eq!(body, "");
}

#[test]
fn a_chunk_that_announces_more_than_the_bound_is_refused_before_it_is_sent() {
    let mock = start();
    let location = start_upload(&mock);
    mock.inject(
        Fault::on("upload_chunk")
            .times(1)
            .then(FaultAction::RefuseBodyOver(5)),
    )
    .unwrap();
    mock.inject(
        Fault::on("upload_chunk")
            .times(1)
            .then(FaultAction::ResetBodyOver(5)),
    )
    .unwrap();
    let chunk = format!(
        "PATCH {location} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 6\r\n\r\n012345"
    );
    let response = exchange(&mock, &chunk);
    assert!(response.starts_with("HTTP/1.1 413 "), "{response}");
    assert_eq!(exchange(&mock, &chunk), "");
    assert_eq!(mock.statistics().upload_bytes, 0);
    let response = exchange(&mock, &chunk);
    assert!(response.starts_with("HTTP/1.1 202 "), "{response}");
}

#[test]
fn a_stalled_body_gives_its_first_bytes_and_holds_up_nobody_else() {
    let mock = start();
    mock.inject(Fault::on("ping").times(1).then(FaultAction::StallBody(1)))
        .unwrap();
    let mut stalled = connect(mock.local_addr());
    send(&mut stalled, "GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut begun = Vec::new();
    while !begun.ends_with(b"\r\n\r\n{") {
        let mut byte = [0];
        stalled.read_exact(&mut byte).expect("its first byte");
        begun.extend(byte);
    }
    let response = exchange(
        &mock,
        "GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    assert!(response.ends_with("\r\n\r\n{}"), "{response}");
    // It ends with the server, which does not wait for it for long.
    mock.shutdown();
    assert_eq!(rest(&mut stalled), "");
}

/// A server that speaks plain HTTP and asks for no credentials.
fn start() -> AcrMock {
    let registry = Registry::builder().authentication(false).build();
    let builder = AcrMock::builder().registry(registry).plain_http(true);
    builder.start().expect("the server starts")
}

/// Opens an upload; its location.
fn start_upload(mock: &AcrMock) -> String {
    let request = "POST /v2/app/blobs/uploads/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let started = exchange(mock, request);
    let mut lines = started.lines();
    let location = lines.find_map(|line| line.strip_prefix("location: "));
    location.expect("a location").to_owned()
}

/// What the data origin says of a blob where it is struck, until the connection ends: the head, with the URL as `asked`, and
/// the body.
fn data(content: &str, action: FaultAction, connection: &str) -> (String, String) {
    let mock = start();
    let blob = mock.seed("app").unwrap();
    let blob = blob.blob("text/plain", content.to_owned());
    let request = format!(
        "GET /v2/app/blobs/{} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        blob.digest,
        mock.login_server()
    );
    let redirect = exchange(&mock, &request);
    let mut lines = redirect.lines();
    let location = lines.find_map(|line| line.strip_prefix("location: "));
    let url = location.expect("a redirect");
    let (authority, path) = url["http://".len()..].split_once('/').expect("a path");
    let port = authority.rsplit_once(':').expect("a port").1;
    let address = SocketAddr::from(([127, 0, 0, 1], port.parse().expect("a number")));
    mock.inject(Fault::on_data().times(1).then(action)).unwrap();
    let mut stream = connect(address);
    send(
        &mut stream,
        &format!("GET /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: {connection}\r\n\r\n"),
    );
    let response = rest(&mut stream);
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    (format!("{head}\r\nasked: {url}"), body.to_owned())
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    // So that a server that does not respond fails the test instead of hanging it.
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a timeout");
    stream
}

fn send(stream: &mut TcpStream, text: &str) {
    stream
        .write_all(text.as_bytes())
        .expect("the server takes it");
}

/// Everything until the connection is closed, or reset.
fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        _ => String::from_utf8(bytes).expect("text"),
    }
}

/// Sends bytes on a connection of their own; all that comes back.
fn exchange(mock: &AcrMock, request: &str) -> String {
    let mut stream = connect(mock.local_addr());
    send(&mut stream, request);
    rest(&mut stream)
}
