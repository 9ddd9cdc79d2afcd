//! The proxy at the local port, as clients with a production name meet it.

#![cfg(feature = "server")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use acr_mock::{AcrMock, StartError};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const REGISTRY: &str = "myregistry.azurecr.io";
const LOGIN: &str = "login.microsoftonline.com";

fn mock() -> AcrMock {
    let name = "myregistry".parse().unwrap();
    AcrMock::builder().registry_name(name).start().unwrap()
}

fn open(mock: &AcrMock) -> TcpStream {
    let address: SocketAddr = mock.local_endpoint().unwrap()["http://".len()..]
        .parse()
        .unwrap();
    let stream = TcpStream::connect(address).unwrap();
    // So that a proxy that does not respond fails the test instead of hanging it.
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream
}

/// A head, and the body that its length tells of.
fn response(stream: &mut impl std::io::Read) -> String {
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        read.push(byte[0]);
    }
    let head = String::from_utf8(read).unwrap();
    let lower = head.to_ascii_lowercase();
    let length = lower
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    head + &String::from_utf8_lossy(&body)
}

fn exchange(stream: &mut (impl std::io::Read + std::io::Write), request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    response(stream)
}

fn get(
    stream: &mut (impl std::io::Read + std::io::Write),
    path: &str,
    host: &str,
    headers: &str,
) -> String {
    exchange(
        stream,
        &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n"),
    )
}

#[track_caller]
fn assert_status(response: &str, status: u16) {
    assert!(
        response.starts_with(&format!("HTTP/1.1 {status} ")),
        "{response}"
    );
}

fn tunnel(mock: &AcrMock, host: &str) -> TcpStream {
    let mut stream = open(mock);
    let connected = exchange(
        &mut stream,
        &format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n"),
    );
    assert_status(&connected, 200);
    stream
}

fn client(mock: &AcrMock, name: &str, with_sni: bool) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(mock.ca_pem().unwrap().as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.enable_sni = with_sni;
    ClientConnection::new(
        Arc::new(config),
        ServerName::try_from(name.to_owned()).unwrap(),
    )
    .unwrap()
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn handshake(mut connection: ClientConnection, mut stream: TcpStream) -> std::io::Result<Tls> {
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(connection, stream))
}

fn tls(mock: &AcrMock, host: &str) -> Tls {
    handshake(client(mock, host, true), tunnel(mock, host)).unwrap()
}

#[test]
fn every_name_is_served_as_in_production_without_a_port() {
    let mock = mock();
    let challenge = get(&mut tls(&mock, REGISTRY), "/v2/", REGISTRY, "");
    assert_status(&challenge, 401);
    let expected = format!(r#"realm="https://{REGISTRY}/oauth2/token",service="{REGISTRY}""#);
    assert!(challenge.contains(&expected), "{challenge}");
    let tenant = mock.service_principal().unwrap().0;
    for login in [
        LOGIN,
        "login.microsoftonline.us",
        "login.chinacloudapi.cn",
        "login.partner.microsoftonline.cn",
    ] {
        let path = format!("/{tenant}/v2.0/.well-known/openid-configuration");
        let configuration = get(&mut tls(&mock, login), &path, login, "");
        assert_status(&configuration, 200);
        let issuer = format!(r#""issuer":"https://{login}/{tenant}/v2.0""#);
        assert!(configuration.contains(&issuer), "{configuration}");
    }
    // The name may be written as names may.
    let mut stream = open(&mock);
    let connect = "CONNECT MyRegistry.AzureCR.io.:443 HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_status(&exchange(&mut stream, connect), 200);
    let mut stream = handshake(client(&mock, REGISTRY, true), stream).unwrap();
    assert_status(
        &get(&mut stream, "/v2/", "MyRegistry.azurecr.io:443", ""),
        401,
    );
}

#[test]
fn a_blob_comes_from_the_data_origins_production_name_without_a_credential() {
    let mock = mock();
    let image = mock
        .seed("samples/app")
        .unwrap()
        .blob("application/octet-stream", "some bytes");
    let token = mock.access_token("repository:samples/app:pull").unwrap();
    let credential = format!("Authorization: Bearer {token}\r\n");
    let path = format!("/v2/samples/app/blobs/{}", image.digest);
    let redirect = get(&mut tls(&mock, REGISTRY), &path, REGISTRY, &credential);
    assert_status(&redirect, 307);
    let location = redirect
        .lines()
        .find_map(|line| line.strip_prefix("location: "))
        .unwrap();
    let (host, path) = location
        .strip_prefix("https://")
        .unwrap()
        .split_once('/')
        .unwrap();
    assert_eq!(host, mock.registry_name().unwrap().data_host());
    assert!(host.ends_with(".blob.core.windows.net"), "{host}");
    let mut data = tls(&mock, host);
    let blob = get(&mut data, &format!("/{path}"), host, "");
    assert_status(&blob, 200);
    assert!(blob.ends_with("some bytes"), "{blob}");
    let refused = get(&mut data, &format!("/{path}"), host, &credential);
    assert!(!refused.starts_with("HTTP/1.1 200"), "{refused}");
}

#[test]
fn a_connection_to_one_host_serves_no_other() {
    let mock = mock();
    let mut stream = tls(&mock, REGISTRY);
    for (host, status) in [
        (REGISTRY, 401),
        (LOGIN, 421),
        ("other.azurecr.io", 421),
        ("myregistry.azurecr.io:8443", 421),
        ("127.0.0.1", 421),
        ("a b", 400),
        (REGISTRY, 401),
    ] {
        assert_status(&get(&mut stream, "/v2/", host, ""), status);
    }
    let absolute = format!("https://{LOGIN}/v2/");
    assert_status(&get(&mut stream, &absolute, REGISTRY, ""), 421);
}

#[test]
fn tls_is_ended_for_the_name_that_was_connected_to_alone() {
    let mock = mock();
    // Without a name in the handshake CONNECT has said it.
    let mut stream = handshake(client(&mock, REGISTRY, false), tunnel(&mock, REGISTRY)).unwrap();
    assert_status(&get(&mut stream, "/v2/", REGISTRY, ""), 401);
    for name in [LOGIN, "other.azurecr.io"] {
        let refused = handshake(client(&mock, name, true), tunnel(&mock, REGISTRY)).unwrap_err();
        assert!(refused.to_string().contains("alert"), "{refused}");
    }
    let unnamed = handshake(
        client(&mock, "other.azurecr.io", false),
        tunnel(&mock, REGISTRY),
    );
    assert!(
        unnamed
            .unwrap_err()
            .to_string()
            .contains("not valid for name")
    );
}

#[test]
fn a_client_may_start_tls_before_it_has_the_response() {
    let mock = mock();
    let mut connection = client(&mock, REGISTRY, true);
    let mut both =
        format!("CONNECT {REGISTRY}:443 HTTP/1.1\r\nHost: {REGISTRY}\r\n\r\n").into_bytes();
    connection.write_tls(&mut both).unwrap();
    let mut stream = open(&mock);
    stream.write_all(&both).unwrap();
    assert_status(&response(&mut stream), 200);
    let mut stream = handshake(connection, stream).unwrap();
    assert_status(&get(&mut stream, "/v2/", REGISTRY, ""), 401);
}

#[test]
fn what_is_no_tls_ends_the_tunnel() {
    let mock = mock();
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[22, 3, 1, 255, 255, 0, 0],
        &[0; 64],
    ] {
        let mut stream = tunnel(&mock, REGISTRY);
        stream.write_all(garbage).unwrap();
        let mut rest = Vec::new();
        // An alert or none, a reset or not: it ends.
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.len() < 16, "{rest:?}");
    }
    assert_status(&get(&mut tls(&mock, REGISTRY), "/v2/", REGISTRY, ""), 401);
}

#[test]
fn a_connect_to_any_other_name_opens_no_connection_anywhere() {
    let mock = mock();
    // Whatever is connected to would be seen here.
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let port = elsewhere.local_addr().unwrap().port();
    let own = mock.local_addr().port();
    for (target, status) in [
        (format!("127.0.0.1:{port}"), 403),
        (format!("localhost:{port}"), 403),
        (format!("[::1]:{port}"), 403),
        (format!("127.0.0.1:{own}"), 403),
        (format!("{REGISTRY}:{port}"), 403),
        (format!("{REGISTRY}:80"), 403),
        ("other.azurecr.io:443".to_owned(), 403),
        ("evil.myregistry.azurecr.io:443".to_owned(), 403),
        ("169.254.169.254:443".to_owned(), 403),
        ("management.azure.com:443".to_owned(), 403),
        (REGISTRY.to_owned(), 400),
        (format!("{REGISTRY}:"), 400),
        (format!("{REGISTRY}:x"), 400),
        (format!("{REGISTRY}:65536"), 400),
        (format!("{REGISTRY}:+443"), 400),
        (format!("user@{REGISTRY}:443"), 400),
        (format!("https://{REGISTRY}:443/"), 400),
        (format!("/{REGISTRY}:443"), 400),
        (":443".to_owned(), 400),
        ("*".to_owned(), 400),
    ] {
        let mut stream = open(&mock);
        let refused = exchange(
            &mut stream,
            &format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"),
        );
        assert_status(&refused, status);
        if status == 403 {
            let line = refused.split_once("\r\n\r\n").unwrap().1;
            assert!(
                line.contains(&target) && line.contains("--registry"),
                "{line}"
            );
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            // A refused client may ask again.
            assert_status(
                &exchange(
                    &mut stream,
                    &format!("CONNECT {REGISTRY}:443 HTTP/1.1\r\n\r\n"),
                ),
                200,
            );
        }
    }
    for target in [
        format!("http://127.0.0.2:{port}/"),
        "http://other.example/".to_owned(),
    ] {
        let refused = get(&mut open(&mock), &target, "127.0.0.1", "");
        assert!(!refused.starts_with("HTTP/1.1 200"), "{refused}");
    }
    let seen = elsewhere.accept().unwrap_err();
    assert_eq!(seen.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn a_mock_without_a_production_name_is_no_proxy() {
    let mock = AcrMock::start().unwrap();
    assert_eq!((mock.proxy(), mock.ready().proxy), (None, None));
    let refused = exchange(
        &mut open(&mock),
        &format!("CONNECT {REGISTRY}:443 HTTP/1.1\r\nHost: x\r\n\r\n"),
    );
    assert_status(&refused, 403);
    assert!(refused.contains("--registry"), "{refused}");
}

#[test]
fn the_metadata_service_is_asked_through_the_proxy_in_the_absolute_form() {
    let mock = mock();
    let host = "169.254.169.254";
    let path = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://containerregistry.azure.net";
    let url = format!("http://{host}{path}");
    let mut stream = open(&mock);
    assert_status(&get(&mut stream, &url, host, ""), 400);
    let token = get(&mut stream, &url, host, "Metadata: true\r\n");
    assert_status(&token, 200);
    assert!(token.contains("access_token"), "{token}");
    let page = "Metadata: true\r\nOrigin: http://evil.example\r\n";
    assert_status(&get(&mut stream, &url, host, page), 403);
    assert_status(
        &get(&mut stream, &format!("http://{host}/other"), host, ""),
        404,
    );
    assert_status(
        &get(
            &mut stream,
            &format!("http://{host}:81{path}"),
            host,
            "Metadata: true\r\n",
        ),
        403,
    );
    assert_status(
        &get(
            &mut stream,
            &format!("https://{host}{path}"),
            host,
            "Metadata: true\r\n",
        ),
        403,
    );
}

#[test]
fn a_production_name_needs_https_and_the_local_port() {
    let builder = || AcrMock::builder().registry_name("myregistry".parse().unwrap());
    for builder in [builder().plain_http(true), builder().local(None)] {
        let error = builder.start().unwrap_err();
        assert!(matches!(error, StartError::NoProxy { .. }), "{error}");
    }
}

#[test]
fn an_open_tunnel_does_not_delay_the_end() {
    let mock = mock();
    let (_idle, _silent) = (tls(&mock, REGISTRY), tunnel(&mock, REGISTRY));
    mock.shutdown();
}
