//! What the client makes of each thing that can go wrong on the way: the kind, whether it is tried
//! again, and a first line that names what decided it.

use std::io;

use rustls::{AlertDescription, CertificateError};

use super::relay::{Manner, Relay};
use super::*;
use crate::{Advice, ContainerRegistryClient, Error, ErrorKind, RetryOptions};

const TRIES: u32 = 3;

/// Pings a registry through a transport, in up to three attempts without pauses.
async fn ping(endpoint: &str, transport: HyperTransport) -> Error {
    let client = ContainerRegistryClient::builder(endpoint)
        .transport(transport)
        .retry(RetryOptions {
            max_retries: TRIES - 1,
            base_delay: Duration::ZERO,
            max_delay: Duration::ZERO,
            ..RetryOptions::default()
        })
        .build()
        .unwrap();
    client.ping().await.unwrap_err()
}

fn trusting(pem: &str) -> HyperTransport {
    HyperTransport::builder()
        .platform_roots(false)
        .root_certificate_pem(pem)
        .build()
        .unwrap()
}

fn by_proxy(proxy: &Relay) -> HyperTransport {
    HyperTransport::builder()
        .platform_roots(false)
        .root_certificate_pem(CERTIFICATE)
        .proxy(proxy.authority())
        .build()
        .unwrap()
}

#[track_caller]
fn check(error: &Error, kind: ErrorKind, advice: Advice, words: &[&str]) {
    let text = error.to_string();
    assert_eq!((error.kind(), error.advice()), (kind, advice), "{text}");
    let tries = if advice == Advice::RetryAfter {
        TRIES
    } else {
        1
    };
    assert_eq!(error.attempts(), tries, "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    for word in words {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
}

#[tokio::test]
async fn the_first_line_names_what_decided_it_and_what_cannot_heal_is_tried_once() {
    use Advice::{Never, RetryAfter};
    use ErrorKind::{Protocol, Transport};

    // Nobody is there.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = ping(&format!("http://{address}"), transport()).await;
    check(
        &error,
        Transport,
        RetryAfter,
        &[&address, "refuses the connection"],
    );

    // Its certificate is not trusted, or it has none.
    let (server, pem) = Relay::over_tls("localhost", Manner::Responding("")).await;
    let endpoint = format!("https://localhost:{}", server.port());
    let error = ping(&endpoint, trusting(CERTIFICATE)).await;
    let hints = [
        "certificate",
        "root_certificate_pem",
        "SSL_CERT_FILE",
        &endpoint,
    ];
    check(&error, Transport, Never, &hints);
    let error = ping(
        &format!("https://127.0.0.1:{}", server.port()),
        trusting(&pem),
    )
    .await;
    check(&error, Transport, Never, &["certificate", "another name"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        // A server of plain HTTP does not know what to make of a handshake.
        let (mut socket, _) = listener.accept().await.unwrap();
        let response = b"HTTP/1.1 400 x\r\nConnection: close\r\n\r\n";
        socket.write_all(response).await.unwrap();
        let _ = socket.read_to_end(&mut Vec::new()).await;
    });
    let error = ping(&endpoint, trusting(CERTIFICATE)).await;
    check(&error, Transport, Never, &["does not speak TLS"]);
    let error = ping("https://registry.invalid", transport()).await;
    check(
        &error,
        Transport,
        Never,
        &["no root certificates", "SSL_CERT_FILE"],
    );

    // The proxy does not want to, or cannot.
    for (response, advice, words) in [
        ("HTTP/1.1 407 x\r\n\r\n", Never, "407"),
        ("HTTP/1.1 403 x\r\n\r\n", Never, "403"),
        ("SSH-2.0-OpenSSH_9.9\r\n", Never, "not HTTP"),
        ("HTTP/1.1 502 x\r\n\r\n", RetryAfter, "502"),
        ("", RetryAfter, "hung up"),
    ] {
        let proxy = Relay::serving(response).await;
        let named = format!("the proxy http://{}", proxy.authority());
        let error = ping("https://registry.invalid", by_proxy(&proxy)).await;
        check(&error, Transport, advice, &[&named, words]);
    }

    // What comes is not a response.
    let large: &str = Box::leak(format!("HTTP/1.1 200 x\r\nX: {}", "x".repeat(1 << 20)).into());
    for (response, kind, advice, words) in [
        (
            "SSH-2.0-OpenSSH_9.9\r\n",
            Protocol,
            Never,
            "the response is not HTTP",
        ),
        (
            large,
            Protocol,
            Never,
            "the head of the response is too large",
        ),
        ("", Transport, RetryAfter, "hung up before the end"),
        (
            "HTTP/1.1 200 x\r\nContent-Le",
            Transport,
            RetryAfter,
            "hung up before the end",
        ),
    ] {
        let server = Relay::serving(response).await;
        let error = ping(&format!("http://{}", server.authority()), transport()).await;
        check(&error, kind, advice, &[words]);
        assert!(!error.to_string().contains("could not be sent"), "{error}");
    }
}

#[test]
fn a_name_that_nobody_knows_is_named_and_may_be_known_in_a_moment() {
    // As hyper's connector tells it.
    #[derive(Debug)]
    struct NoName(io::Error);
    impl fmt::Display for NoName {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("dns error")
        }
    }
    impl StdError for NoName {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.0)
        }
    }
    let error = NoName(io::Error::other("Name or service not known"));
    let error = cause::told(error, true, "registry.example:443");
    assert_eq!(error.kind(), TransportErrorKind::Connect);
    assert_eq!(
        error.to_string(),
        "the host name registry.example cannot be resolved: Name or service not known"
    );
}

#[test]
fn each_failure_of_a_handshake_is_decided() {
    use rustls::Error as Tls;
    for (error, heals) in [
        (
            Tls::InvalidCertificate(CertificateError::UnknownIssuer),
            false,
        ),
        (Tls::InvalidCertificate(CertificateError::Expired), false),
        (
            Tls::InvalidCertificate(CertificateError::BadEncoding),
            false,
        ),
        (Tls::NoCertificatesPresented, false),
        (Tls::UnsupportedNameType, false),
        (
            Tls::AlertReceived(AlertDescription::HandshakeFailure),
            false,
        ),
        (Tls::AlertReceived(AlertDescription::ProtocolVersion), false),
        (
            Tls::AlertReceived(AlertDescription::UnrecognisedName),
            false,
        ),
        (
            Tls::AlertReceived(AlertDescription::CertificateRequired),
            false,
        ),
        (Tls::AlertReceived(AlertDescription::InternalError), true),
        (Tls::AlertReceived(AlertDescription::CloseNotify), true),
        (Tls::DecryptError, true),
        (Tls::FailedToGetRandomBytes, true),
        (Tls::General("odd".to_owned()), false),
    ] {
        let text = error.to_string();
        let error = io::Error::new(io::ErrorKind::InvalidData, error);
        let error = cause::told(error, true, "r.example:443");
        let kind = match heals {
            true => TransportErrorKind::Connect,
            false => TransportErrorKind::Untrusted,
        };
        assert_eq!(error.kind(), kind, "{text}");
        assert!(error.to_string().contains("r.example"), "{error}");
    }
}

#[test]
fn each_failure_of_a_connection_is_decided() {
    use TransportErrorKind::{Connect, Interrupted, Timeout, Unreadable};
    for (kind, connecting, exchanging) in [
        (io::ErrorKind::ConnectionRefused, Connect, Interrupted),
        (io::ErrorKind::HostUnreachable, Connect, Interrupted),
        (io::ErrorKind::NetworkUnreachable, Connect, Interrupted),
        (io::ErrorKind::ConnectionReset, Connect, Interrupted),
        (io::ErrorKind::TimedOut, Connect, Timeout),
        (io::ErrorKind::UnexpectedEof, Connect, Interrupted),
        (io::ErrorKind::BrokenPipe, Connect, Interrupted),
        (io::ErrorKind::InvalidData, Connect, Unreadable),
    ] {
        let error = |is_connect| cause::told(io::Error::from(kind), is_connect, "r.example:443");
        assert_eq!(error(true).kind(), connecting, "{kind}");
        assert!(error(true).to_string().contains("r.example:443"));
        assert_eq!(error(false).kind(), exchanging, "{kind}");
    }
    // A record that was damaged on the way.
    let broken = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::DecryptError);
    assert_eq!(cause::told(broken, false, "").kind(), Interrupted);
}

#[tokio::test]
async fn chunks_that_are_none_are_not_asked_for_again() {
    let head = "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    let uri = serve_once(head).await;
    let response = transport().send(request(&uri)).await.unwrap();
    let error = response.into_body().collect().await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Unreadable, "{error}");
}

#[test]
fn a_proxy_variable_of_no_use_on_the_way_to_the_endpoint_is_found_when_the_client_is_built() {
    for value in [
        "socks5://u:hunter2@proxy:1080",
        "http://",
        "http://proxy:port",
        "ftp://x",
    ] {
        let environment = |name: &str| (name == "HTTPS_PROXY").then(|| value.to_owned());
        let transport = HyperTransport::builder().build_with(environment).unwrap();
        let check = |uri: &'static str| transport.check(&Uri::from_static(uri));
        let error = check("https://r.example/v2/").unwrap_err().to_string();
        assert!(
            error.contains("HTTPS_PROXY") && !error.contains("hunter2"),
            "{error}"
        );
        // Neither this machine nor plain http is reached by it.
        check("https://localhost:5000/v2/").unwrap();
        check("http://r.example/v2/").unwrap();
    }
}
