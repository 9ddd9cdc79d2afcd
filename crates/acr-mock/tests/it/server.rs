//! The running server over real sockets, as a client in any language meets it.

#![cfg(feature = "server")]

use std::fmt::Debug;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use acr_mock::{AcrMock, Application, FederatedCredential, Registry, StartError};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

#[test]
fn every_name_of_the_certificate_is_good_on_both_ports() {
    let mock = AcrMock::builder().host("acr").host("acr-data.example");
    let mock = mock.host("192.0.2.7").start().unwrap();
    for port in [port(&mock.endpoint()), port(&mock.data_endpoint())] {
        for name in [
            "127.0.0.1",
            "localhost",
            "::1",
            "acr",
            "acr-data.example",
            "192.0.2.7",
        ] {
            let mut client = Client::tls(&mock, name, loopback(port));
            let response = client.get("/_mock/health", "");
            assert_eq!(response.status, 200, "{name}:{port}");
            assert!(
                response.body.contains("\"status\":\"ok\""),
                "{}",
                response.body
            );
        }
    }
}

#[test]
fn a_name_that_is_not_in_the_certificate_is_not_trusted() {
    let mock = AcrMock::start().unwrap();
    let error = Client::try_tls(mock.ca_pem().unwrap(), "acr", mock.local_addr(), &[]).unwrap_err();
    assert!(error.to_string().contains("not valid for name"), "{error}");
}

#[test]
fn an_authority_that_takes_unsigned_tokens_is_not_served_to_other_machines() {
    let mut application = Application::new("contoso.example", "app");
    let credential = FederatedCredential::new("https://cluster.example/", "subject");
    application.federated.push(credential);
    let registry = || Registry::builder().application(application.clone()).build();
    let start = |address: [u8; 4]| {
        let address = Some(SocketAddr::from((address, 0)));
        AcrMock::builder()
            .registry(registry())
            .authority(address)
            .start()
    };
    let error = start([0, 0, 0, 0]).unwrap_err();
    assert!(matches!(error, StartError::OpenAuthority { .. }), "{error}");
    assert!(start([127, 0, 0, 1]).is_ok());
}

#[test]
fn the_ca_of_another_server_is_no_help() {
    let (mock, other) = (AcrMock::start().unwrap(), AcrMock::start().unwrap());
    let error =
        Client::try_tls(other.ca_pem().unwrap(), "127.0.0.1", mock.local_addr(), &[]).unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    // The failed handshake is that client's matter alone.
    assert_eq!(Client::local(&mock).get("/v2/", "").status, 401);
}

#[test]
fn a_client_that_would_speak_http_2_gets_http_1() {
    let mock = AcrMock::start().unwrap();
    let client = Client::try_tls(
        mock.ca_pem().unwrap(),
        "localhost",
        mock.local_addr(),
        &[b"h2", b"http/1.1"],
    )
    .unwrap();
    assert_eq!(client.alpn.as_deref(), Some(&b"http/1.1"[..]));
    Client::try_tls(
        mock.ca_pem().unwrap(),
        "localhost",
        mock.local_addr(),
        &[b"h2"],
    )
    .unwrap_err();
}

#[test]
fn the_ca_is_served_on_both_ports_without_a_token() {
    let mock = AcrMock::start().unwrap();
    for port in [port(&mock.endpoint()), port(&mock.data_endpoint())] {
        let response = Client::tls(&mock, "localhost", loopback(port)).get("/_mock/ca.pem", "");
        assert_eq!(
            (response.status, response.body.as_str()),
            (200, mock.ca_pem().unwrap())
        );
    }
}

#[test]
fn the_data_origin_responds_on_both_loopback_families() {
    let mock = AcrMock::start().unwrap();
    let port = port(&mock.data_endpoint());
    for ip in families() {
        Client::tls(&mock, "localhost", SocketAddr::new(ip, port)).expect_health();
    }
}

#[test]
fn a_blob_is_read_from_the_other_origin_by_an_absolute_redirect() {
    let registry = Registry::builder().user("mock", "password").build();
    let mock = AcrMock::builder().registry(registry).start().unwrap();
    let digest = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    let mut client = Client::local(&mock);
    let started = client.send("POST", "/v2/hello/blobs/uploads/", LOGIN, "");
    assert_eq!(started.status, 202, "{}", started.body);
    let location = started.header("location").unwrap().to_owned();
    assert!(location.starts_with('/'), "{location}");
    let completed = client.send(
        "PUT",
        &format!("{location}&digest={digest}"),
        LOGIN,
        "hello",
    );
    assert_eq!(completed.status, 201, "{}", completed.body);

    for (host, data_host) in [("127.0.0.1", "localhost"), ("localhost", "127.0.0.1")] {
        let mut client = Client::tls(&mock, host, mock.local_addr());
        client.host = format!("{host}:{}", mock.local_addr().port());
        let redirect = client.get(&format!("/v2/hello/blobs/{digest}"), LOGIN);
        assert_eq!(redirect.status, 307, "{}", redirect.body);
        let location = redirect.header("location").unwrap();
        let data_authority = format!("{data_host}:{}", port(&mock.data_endpoint()));
        let path = location
            .strip_prefix(&format!("https://{data_authority}"))
            .expect(location);

        for ip in families() {
            if data_host != "localhost" && ip.is_ipv6() {
                continue;
            }
            let mut data = Client::tls(
                &mock,
                data_host,
                SocketAddr::new(ip, port(&mock.data_endpoint())),
            );
            data.host.clone_from(&data_authority);
            let response = data.get(path, "");
            assert_eq!((response.status, response.body.as_str()), (200, "hello"));
            assert!(
                matches!(data.get(path, LOGIN).status, 400 | 403),
                "a token is refused there"
            );
        }
    }
}

#[test]
fn the_challenge_names_the_authority_the_client_came_by() {
    let mock = AcrMock::start().unwrap();
    let mut client = Client::tls(&mock, "localhost", mock.local_addr());
    client.host = "localhost:32768".to_owned();
    let response = client.get("/v2/", "");
    let challenge = response.header("www-authenticate").expect("a challenge");
    assert!(
        challenge.contains("realm=\"https://localhost:32768/oauth2/token\""),
        "{challenge}"
    );
    assert!(
        challenge.contains("service=\"localhost:32768\""),
        "{challenge}"
    );
}

#[test]
fn a_connection_is_kept_for_further_requests() {
    let mock = AcrMock::start().unwrap();
    let mut client = Client::local(&mock);
    for _ in 0..3 {
        assert_eq!(client.get("/v2/", "").status, 401);
        assert_eq!(client.send("HEAD", "/_mock/health", "", "").status, 200);
    }
}

#[test]
fn a_token_comes_chunked() {
    let registry = Registry::builder().user("mock", "password").build();
    let mock = AcrMock::builder().registry(registry).start().unwrap();
    let mut client = Client::local(&mock);
    let path = format!(
        "/oauth2/token?service={}&scope=registry:catalog:*",
        mock.login_server()
    );
    let response = client.get(&path, LOGIN);
    assert_eq!(response.status, 200, "{}", response.body);
    assert_eq!(response.header("transfer-encoding"), Some("chunked"));
    assert_eq!(response.header("content-length"), None);
    assert!(
        response.body.contains("\"access_token\":\""),
        "{}",
        response.body
    );
    // The whole of it was read: the connection is good for another request.
    client.expect_health();
}

#[test]
fn a_firewall_sees_the_address_of_the_connection() {
    for (allowed, status) in [("127.0.0.1", 401), ("192.0.2.7", 403)] {
        let registry = Registry::builder().firewall([allowed.parse().unwrap()]);
        let mock = AcrMock::builder().registry(registry.build()).start();
        let mock = mock.unwrap();
        let mut client = Client::local(&mock);
        let response = client.get("/v2/", "");
        assert_eq!(response.status, status, "{}", response.body);
        let named = response.body.contains("client with IP '127.0.0.1' is not");
        assert_eq!(named, status == 403, "{}", response.body);
        // What is the mock's own, and not the registry's, is open to all.
        client.expect_health();
    }
}

#[test]
fn a_body_that_is_too_long_by_its_head_gets_no_go_ahead() {
    let registry = Registry::builder()
        .authentication(false)
        .manifest_limit(1_000);
    let mock = AcrMock::builder().registry(registry.build()).start();
    let mock = mock.unwrap();
    let mut client = Client::local(&mock);
    client.write(&format!(
        "PUT /v2/app/manifests/v1 HTTP/1.1\r\nHost: {}\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n",
        client.host
    ));
    assert_eq!(client.response("PUT").status, 413);
}

#[test]
fn a_slow_client_does_not_hold_up_another() {
    let mock = AcrMock::start().unwrap();
    let mut silent = TcpStream::connect(mock.local_addr()).unwrap();
    let mut half_a_hello = TcpStream::connect(mock.local_addr()).unwrap();
    half_a_hello.write_all(&[22, 3, 1]).unwrap();
    let mut half_a_head = Client::local(&mock);
    half_a_head.write("GET /_mock/health HTTP/1.1\r\nHost: 127");
    let mut half_a_body = Client::local(&mock);
    half_a_body
        .write("POST /oauth2/token HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\ngrant");

    Client::local(&mock).expect_health();
    // The slow one is still served once it goes on.
    half_a_head.write(".0.0.1\r\n\r\n");
    assert_eq!(half_a_head.response("GET").status, 200);
    silent
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    mock.shutdown();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0, "closed at the end");
}

#[test]
fn a_handshake_that_does_not_go_on_is_cut_off_when_a_head_would_be() {
    let time = Duration::from_millis(20);
    let mock = AcrMock::builder().head_timeout(time).start().unwrap();
    // Nothing, half a greeting, and plain http that goes on for ever.
    for said in [&b""[..], &[22, 3, 1], b"GET /"] {
        let mut silent = connect(mock.local_addr());
        silent.write_all(said).unwrap();
        let mut response = Vec::new();
        silent.read_to_end(&mut response).unwrap();
        assert_eq!(response.is_empty(), !said.starts_with(b"G"), "{said:?}");
    }
}

#[test]
fn a_length_beyond_every_bound_is_refused_before_a_byte_of_it_comes() {
    let mock = AcrMock::builder().plain_http(true).start().unwrap();
    for line in [
        "GET /v2/",
        "PUT /v2/app/manifests/v1",
        "POST /oauth2/token",
        "PATCH /x",
    ] {
        let mut client = Client::plain(mock.local_addr());
        client.write(&format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000000000000\r\n\r\n"
        ));
        let response = client.response("POST");
        assert_eq!(response.status, 413, "{line}: {}", response.body);
    }
}

#[test]
fn plain_http_serves_the_same_registry() {
    let mock = AcrMock::builder().plain_http(true).start().unwrap();
    assert_eq!(mock.endpoint(), format!("http://{}", mock.login_server()));
    assert!(mock.data_endpoint().starts_with("http://localhost:"));
    assert_eq!(mock.ca_pem(), None);
    let mut client = Client::plain(mock.local_addr());
    let response = client.get("/v2/", "");
    assert_eq!(response.status, 401);
    assert!(
        response
            .header("www-authenticate")
            .unwrap()
            .contains("realm=\"http://127.0.0.1:")
    );
}

#[test]
fn two_servers_share_one_registry_and_the_second_outlives_the_first() {
    let registry = Registry::new();
    let (one, two) = (
        AcrMock::builder()
            .registry(registry.clone())
            .start()
            .unwrap(),
        AcrMock::builder()
            .registry(registry)
            .plain_http(true)
            .start()
            .unwrap(),
    );
    one.shutdown();
    assert_eq!(Client::plain(two.local_addr()).get("/v2/", "").status, 401);
}

#[test]
fn a_wildcard_address_is_reported_as_loopback() {
    let mock = AcrMock::builder().listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
    let mock = mock.start().unwrap();
    assert!(mock.local_addr().ip().is_unspecified());
    assert_eq!(
        mock.login_server(),
        format!("127.0.0.1:{}", mock.local_addr().port())
    );
    assert!(mock.data_endpoint().starts_with("https://localhost:"));
    for ip in families() {
        let data = SocketAddr::new(ip, port(&mock.data_endpoint()));
        Client::tls(&mock, "localhost", data).expect_health();
    }
}

#[test]
fn a_registry_without_authentication_is_not_served_beyond_loopback_unless_it_is_said() {
    let open = || Registry::builder().authentication(false);
    let wildcard = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let start = |registry: Registry, address| {
        AcrMock::builder()
            .registry(registry)
            .listen(address)
            .start()
    };
    let error = start(open().build(), wildcard).unwrap_err();
    assert!(
        matches!(&error, StartError::Unprotected { address } if address.ip().is_unspecified()),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("`accept_any_entra_token`"),
        "{error}"
    );
    start(open().accept_any_entra_token().build(), wildcard).unwrap();
    start(open().build(), loopback(0)).unwrap();
}

#[test]
fn what_is_no_host_name_is_refused_by_name() {
    for name in ["", "a b", "https://acr", "acr:5000", "acr/", "-"] {
        for plain_http in [true, false] {
            let error = AcrMock::builder().plain_http(plain_http).host(name).start();
            let error = error.unwrap_err();
            assert!(
                matches!(&error, StartError::InvalidHost { name: named, .. } if named == name),
                "{error:?}"
            );
        }
    }
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let mock = AcrMock::start().unwrap();
    let error = AcrMock::builder().listen(mock.local_addr()).start();
    let error = error.unwrap_err();
    assert!(
        matches!(error, StartError::AddressInUse { address, .. } if address == mock.local_addr())
    );
    assert!(error.to_string().contains(mock.login_server()), "{error}");
}

/// base64 of mock:password
const LOGIN: &str = "Authorization: Basic bW9jazpwYXNzd29yZA==\r\n";

/// A client of one connection, with the standard library and rustls alone.
#[derive(Debug)]
struct Client {
    stream: BufReader<Box<dyn Stream>>,
    /// What it says in `Host`.
    host: String,
    alpn: Option<Vec<u8>>,
}

trait Stream: Read + Write + Debug {}

impl<S: Read + Write + Debug> Stream for S {}

impl Client {
    fn plain(address: SocketAddr) -> Self {
        Self {
            stream: BufReader::new(Box::new(connect(address))),
            host: address.to_string(),
            alpn: None,
        }
    }

    #[track_caller]
    fn tls(mock: &AcrMock, name: &str, address: SocketAddr) -> Self {
        let ca = mock.ca_pem().expect("the mock speaks TLS");
        Self::try_tls(ca, name, address, &[])
            .unwrap_or_else(|error| panic!("TLS with {name} at {address}: {error}"))
    }

    #[track_caller]
    fn local(mock: &AcrMock) -> Self {
        Self::tls(mock, "127.0.0.1", mock.local_addr())
    }

    #[track_caller]
    fn expect_health(&mut self) {
        assert_eq!(self.get("/_mock/health", "").status, 200);
    }

    /// Connects to `address` and expects the certificate of `name`.
    fn try_tls(ca: &str, name: &str, address: SocketAddr, alpn: &[&[u8]]) -> std::io::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("the CA is PEM"))
            .expect("the CA is well-formed");
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("ring has TLS 1.2 and 1.3")
                .with_root_certificates(roots)
                .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let name = ServerName::try_from(name.to_owned()).expect("a server name");
        let mut connection =
            ClientConnection::new(Arc::new(config), name).expect("the settings are sound");
        let mut socket = connect(address);
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        let alpn = connection.alpn_protocol().map(<[u8]>::to_vec);
        let stream = StreamOwned::new(connection, socket);
        Ok(Self {
            stream: BufReader::new(Box::new(stream)),
            host: address.to_string(),
            alpn,
        })
    }

    #[track_caller]
    fn get(&mut self, path: &str, headers: &str) -> RawResponse {
        self.send("GET", path, headers, "")
    }

    #[track_caller]
    fn send(&mut self, method: &str, path: &str, headers: &str, body: &str) -> RawResponse {
        let (host, length) = (&self.host, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        self.write(&request);
        self.response(method)
    }

    fn write(&mut self, text: &str) {
        let stream = self.stream.get_mut();
        stream
            .write_all(text.as_bytes())
            .expect("the server takes it");
        stream.flush().expect("the server takes it");
    }

    #[track_caller]
    fn response(&mut self, method: &str) -> RawResponse {
        let status_line = self.line();
        let status = status_line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("a status line: {status_line:?}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut response = RawResponse {
            status,
            headers,
            body: String::new(),
        };
        let length = response
            .header("content-length")
            .map(|length| length.parse().expect("a number"));
        if method == "HEAD" {
        } else if let Some(length) = length {
            response.body = self.bytes(length);
        } else if response.header("transfer-encoding") == Some("chunked") {
            loop {
                let length = usize::from_str_radix(&self.line(), 16).expect("a chunk's length");
                response.body += &self.bytes(length);
                assert_eq!(self.line(), "", "a chunk ends with a line break");
                if length == 0 {
                    break;
                }
            }
        }
        response
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream
            .read_line(&mut line)
            .expect("the server responds");
        line.trim_end().to_owned()
    }

    fn bytes(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).expect("the whole body");
        String::from_utf8(bytes).expect("text")
    }
}

struct RawResponse {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl RawResponse {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(named, _)| named == name)
            .map(|(_, value)| value.as_str())
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let ip = if address.ip().is_unspecified() {
        Ipv4Addr::LOCALHOST.into()
    } else {
        address.ip()
    };
    let stream = TcpStream::connect((ip, address.port())).expect("the server listens");
    // So that a server that does not respond fails the test instead of hanging it.
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a timeout");
    stream
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// The loopback addresses that this machine has: some containers have no IPv6.
fn families() -> Vec<IpAddr> {
    let all = [
        IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::from(Ipv6Addr::LOCALHOST),
    ];
    all.into_iter()
        .filter(|&ip| TcpListener::bind((ip, 0)).is_ok())
        .collect()
}

fn port(url: &str) -> u16 {
    url.rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok())
        .expect("the URL has a port")
}
