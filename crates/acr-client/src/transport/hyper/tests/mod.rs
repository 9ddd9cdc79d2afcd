mod causes;
mod proxy;
mod relay;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::*;

fn transport() -> HyperTransport {
    HyperTransport::builder()
        .platform_roots(false)
        .build()
        .unwrap()
}

fn request(uri: &str) -> Request<Body> {
    Request::get(uri).body(Body::empty()).unwrap()
}

/// Takes one connection, reads the head of a request, sends `response` and hangs up.
async fn serve_once(response: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_head(&mut socket).await;
        socket.write_all(response.as_bytes()).await.unwrap();
    });
    format!("http://{address}/v2/")
}

/// An address where nobody listens. It stays taken while the socket is held: a port that was only free a
/// moment ago may be another test's by now.
fn refusing() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

async fn read_head(socket: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
}

#[tokio::test]
async fn any_status_is_a_response_and_its_body_can_be_read() {
    let uri = serve_once("HTTP/1.1 503 x\r\nContent-Length: 4\r\n\r\nbusy").await;
    let response = transport().send(request(&uri)).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.body().content_length(), Some(4));
    let body = response.into_body().read(1 << 20).await.unwrap();
    assert_eq!(body, "busy");
}

#[tokio::test]
async fn a_redirect_is_a_response() {
    let uri = serve_once("HTTP/1.1 307 x\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n").await;
    let response = transport().send(request(&uri)).await.unwrap();
    assert_eq!(response.status(), 307);
}

#[tokio::test]
async fn a_refused_connection_is_of_kind_connect() {
    let (_held, address) = refusing();
    let uri = format!("http://{address}/v2/");
    let error = transport().send(request(&uri)).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Connect);
}

#[tokio::test]
async fn a_silent_handshake_ends_by_the_connect_timeout() {
    // The listener never responds to the TLS handshake; the kernel accepts the connection for it.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("https://{}/v2/", listener.local_addr().unwrap());
    let transport = HyperTransport::builder()
        .platform_roots(false)
        .root_certificate_pem(CERTIFICATE)
        .connect_timeout(Duration::from_millis(20))
        .build()
        .unwrap();
    let error = transport.send(request(&uri)).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Connect);
    assert!(
        chain(&error).contains("connecting took longer than 20ms"),
        "{}",
        chain(&error)
    );
}

#[tokio::test]
async fn a_hung_up_connection_is_an_interruption() {
    let uri = serve_once("").await;
    let error = transport().send(request(&uri)).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Interrupted);
}

#[tokio::test]
async fn a_body_cut_short_is_an_interruption() {
    let uri = serve_once("HTTP/1.1 200 x\r\nContent-Length: 10\r\n\r\nhalf").await;
    let response = transport().send(request(&uri)).await.unwrap();
    let error = response.into_body().collect().await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Interrupted);
}

#[tokio::test]
async fn without_roots_an_https_call_says_what_is_missing() {
    let by_proxy = HyperTransport::builder().platform_roots(false);
    let by_proxy = by_proxy.proxy("https://proxy.example").build().unwrap();
    for (transport, uri) in [
        (transport(), "https://registry.example/v2/"),
        (by_proxy, "http://registry.example/v2/"),
    ] {
        let error = transport.send(request(uri)).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Untrusted);
        assert!(chain(&error).contains("SSL_CERT_FILE"), "{}", chain(&error));
    }
}

#[test]
fn a_bad_pem_is_refused_at_build() {
    for (pem, expected) in [
        ("", "no certificate in it"),
        ("not a certificate", "no certificate in it"),
        (
            "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
            "not readable as PEM",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "not usable as a root certificate",
        ),
    ] {
        let error = HyperTransport::builder()
            .platform_roots(false)
            .root_certificate_pem(CERTIFICATE)
            .root_certificate_pem(pem)
            .build()
            .unwrap_err();
        let HyperTransportError::RootCertificate(error) = error else {
            panic!("{error}");
        };
        assert_eq!(error.index(), 1);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A self-signed certificate of a CA that signs nothing; its key was thrown away.
const CERTIFICATE: &str = include_str!("../test-ca.pem");
