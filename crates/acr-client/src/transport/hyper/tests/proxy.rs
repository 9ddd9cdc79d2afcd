use acr_mock::{AcrMock, Registry};

use super::relay::{Manner, Relay};
use super::*;
use crate::{ContainerRegistryClient, Credential, ErrorKind, RepositoryClient, RetryOptions};

/// A name that leads nowhere but through the proxy.
const NAME: &str = "registry.invalid";
/// Where blobs are, behind the proxy too.
const DATA: &str = "data.invalid";
const PASSWORD: &str = "hunter2";
const OPENING: Manner = Manner::Opening("HTTP/1.1 200 x\r\n\r\n");

fn mock() -> AcrMock {
    let registry = Registry::new();
    registry.seed("app").unwrap().image("v1").unwrap();
    AcrMock::builder()
        .registry(registry)
        .host(NAME)
        .host(DATA)
        .start()
        .unwrap()
}

fn builder(mock: &AcrMock) -> HyperTransportBuilder {
    HyperTransport::builder()
        .platform_roots(false)
        .root_certificate_pem(mock.ca_pem().unwrap())
}

/// Signs in at `endpoint`, which costs several requests with secrets in them.
fn repository(endpoint: &str, transport: HyperTransport) -> RepositoryClient {
    let client = ContainerRegistryClient::builder(endpoint)
        .credential(Credential::entra_token("any"))
        .transport(transport)
        .retry(RetryOptions::none())
        .danger_allow_http(true)
        .build()
        .unwrap();
    client.repository_client("app").unwrap()
}

fn behind(mock: &AcrMock) -> String {
    format!("https://{NAME}:{}", mock.local_addr().port())
}

async fn refused(proxy: &Relay, user: &str, kind: TransportErrorKind) -> TransportError {
    let transport = HyperTransport::builder()
        .platform_roots(false)
        .root_certificate_pem(CERTIFICATE)
        .proxy(format!("http://{user}{}", proxy.authority()))
        .build()
        .unwrap();
    let request = request("https://registry.invalid/v2/?sig=hunter2");
    let error = transport.send(request).await.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    let text = format!("{} {error:?} {transport:?}", chain(&error));
    assert!(!text.contains(PASSWORD), "{text}");
    error
}

#[tokio::test]
async fn pushes_and_pulls_go_through_the_proxy_which_sees_names_alone() {
    let mock = mock();
    let proxy = Relay::start().await;
    let transport = builder(&mock).proxy(proxy.authority()).build().unwrap();
    let repository = repository(&behind(&mock), transport);
    let blob = repository.upload_blob("layer".to_owned()).await.unwrap();
    let stream = repository.download_blob(&blob.digest).await.unwrap();
    assert_eq!(stream.bytes(100).await.unwrap(), "layer");

    let seen = proxy.seen();
    let port = mock.local_addr().port();
    assert!(seen.contains(&format!("CONNECT {NAME}:{port} HTTP/1.1")));
    assert!(seen.contains(&format!("CONNECT {DATA}:")));
    for word in ["uthorization", "Bearer", "/v2/", "layer"] {
        assert!(!seen.contains(word), "{word}");
    }
}

#[tokio::test]
async fn a_tunnel_is_open_whatever_else_the_proxy_says() {
    let mock = mock();
    for opening in [
        "HTTP/1.0 200 Connection established\r\nProxy-agent: x\r\n\r\n",
        "HTTP/1.1 200 x\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 200 x\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 100 x\r\n\r\nHTTP/1.1 200 x\r\n\r\n",
    ] {
        let proxy = Relay::opening_with(opening).await;
        let transport = builder(&mock).proxy(proxy.authority()).build().unwrap();
        let repository = repository(&behind(&mock), transport);
        let manifest = repository.get_manifest("v1").await;
        assert!(manifest.is_ok(), "{opening}: {manifest:?}");
    }
}

#[tokio::test]
async fn a_proxy_may_be_behind_tls_itself() {
    let mock = mock();
    let (proxy, pem) = Relay::over_tls("localhost", OPENING).await;
    let transport = builder(&mock)
        .root_certificate_pem(pem)
        .proxy(format!(
            "https://robot:{PASSWORD}@localhost:{}",
            proxy.port()
        ))
        .build()
        .unwrap();
    let repository = repository(&behind(&mock), transport);
    repository.get_manifest("v1").await.unwrap();
    assert!(proxy.seen().contains(&format!("CONNECT {NAME}:")));
}

#[tokio::test]
async fn a_proxy_that_nobody_vouches_for_is_refused() {
    let mock = mock();
    let (proxy, _) = Relay::over_tls("localhost", OPENING).await;
    let url = format!("https://localhost:{}", proxy.port());
    let transport = builder(&mock).proxy(&url).build().unwrap();
    let error = transport.send(request(&behind(&mock))).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Untrusted);
    let text = chain(&error);
    assert!(text.contains(&format!("the proxy {url}")), "{text}");
    assert_eq!(proxy.seen(), "");
}

#[tokio::test]
async fn plain_http_is_read_by_the_proxy_and_the_proxys_password_by_nobody_else() {
    let server = Relay::serving("HTTP/1.1 200 x\r\nContent-Length: 2\r\n\r\nok").await;
    let proxy = Relay::start().await;
    let transport = HyperTransport::builder()
        .proxy(format!("http://robot:{PASSWORD}@{}", proxy.authority()))
        .build()
        .unwrap();
    let uri = format!("http://{NAME}:{}/v2/", server.port());
    let response = transport.send(request(&uri)).await.unwrap();
    let body = response.into_body().read(1 << 20).await.unwrap();
    assert_eq!(body, "ok");

    let line = format!("GET {uri} HTTP/1.1\r\n");
    assert!(proxy.seen().starts_with(&line), "{}", proxy.seen());
    let header = "proxy-authorization: Basic cm9ib3Q6aHVudGVyMg==\r\n";
    assert!(proxy.seen().contains(header), "{}", proxy.seen());
    assert!(server.seen().starts_with(&line), "{}", server.seen());
    assert!(!server.seen().contains("Basic"), "{}", server.seen());
}

#[tokio::test]
async fn a_password_goes_to_the_proxy_alone() {
    let response = "HTTP/1.1 200 x\r\nContent-Length: 2\r\n\r\nok";
    let (server, pem) = Relay::over_tls(NAME, Manner::Responding(response)).await;
    let proxy = Relay::start().await;
    let transport = HyperTransport::builder()
        .platform_roots(false)
        .root_certificate_pem(pem)
        .proxy(format!("http://robot:{PASSWORD}@{}", proxy.authority()))
        .build()
        .unwrap();
    let uri = format!("https://{NAME}:{}/v2/", server.port());
    let response = transport.send(request(&uri)).await.unwrap();
    let body = response.into_body().read(1 << 20).await.unwrap();
    assert_eq!(body, "ok");

    let head = proxy.seen().to_ascii_lowercase();
    assert!(head.contains("proxy-authorization: basic cm9ib3q6ahvudgvymg==\r\n"));
    assert!(server.seen().starts_with("GET /v2/ HTTP/1.1\r\n"));
    let seen = server.seen().to_ascii_lowercase();
    assert!(!seen.contains("proxy"), "{seen}");
}

#[tokio::test]
async fn a_host_of_the_list_is_reached_directly() {
    let mock = mock();
    let proxy = Relay::serving("HTTP/1.1 403 x\r\n\r\n").await;
    let transport = builder(&mock)
        .proxy(proxy.authority())
        .no_proxy("example.com, 127.0.0.0/8,localhost")
        .build()
        .unwrap();
    let repository = repository(&mock.endpoint(), transport);
    let manifest = repository.get_manifest("v1").await.unwrap();
    let config = manifest.as_image().unwrap().config;
    repository.download_blob(&config.digest).await.unwrap();
    assert_eq!(proxy.seen(), "");
}

#[tokio::test]
async fn a_proxy_of_the_environment_is_used_unless_told_otherwise() {
    let mock = mock();
    let proxy = Relay::start().await;
    let environment = |name: &str| (name == "https_proxy").then(|| proxy.authority());
    let transport = builder(&mock).build_with(environment).unwrap();
    let repository = repository(&behind(&mock), transport);
    repository.get_manifest("v1").await.unwrap();
    let seen = proxy.seen();
    assert!(seen.contains(&format!("CONNECT {NAME}:")));

    let uri = behind(&mock).parse().unwrap();
    for builder in [
        builder(&mock).proxy_from_env(false),
        builder(&mock).no_proxy(NAME),
    ] {
        let transport = builder.build_with(environment).unwrap();
        assert!(transport.proxies.of(&uri).unwrap().is_none());
    }
    // And this machine is not looked for behind it.
    let transport = builder(&mock).build_with(environment).unwrap();
    transport.send(request(&mock.endpoint())).await.unwrap();
    assert_eq!(proxy.seen(), seen);
}

#[tokio::test]
async fn a_variable_of_no_use_fails_the_requests_that_it_is_meant_for() {
    let environment =
        |name: &str| (name == "HTTPS_PROXY").then(|| "socks5://robot:hunter2@proxy:1".to_owned());
    let transport = HyperTransport::builder().root_certificate_pem(CERTIFICATE);
    let transport = transport.build_with(environment).unwrap();
    let error = transport.send(request("https://registry.invalid/v2/"));
    let error = error.await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Refused);
    let text = format!("{} {error:?} {transport:?}", chain(&error));
    assert!(text.contains("the variable HTTPS_PROXY"), "{text}");
    assert!(text.contains("not by socks5"), "{text}");
    assert!(!text.contains(PASSWORD), "{text}");

    let uri = serve_once("HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n").await;
    transport.send(request(&uri)).await.unwrap();
}

#[tokio::test]
async fn a_refusal_names_the_proxy_and_the_status_and_no_password() {
    use TransportErrorKind::{Connect, Refused};
    for (response, kind, status, advice) in [
        (
            // As a proxy that wants a login.
            "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"corp\"\r\n\
             Content-Length: 0\r\n\r\n",
            Refused,
            "407",
            "user name and a password",
        ),
        (
            "HTTP/1.1 403 x\r\nContent-Length: 2\r\n\r\nno",
            Refused,
            "403",
            "",
        ),
        ("HTTP/1.1 405 x\r\n\r\n", Refused, "405", ""),
        ("HTTP/1.1 501 x\r\n\r\n", Refused, "501", ""),
        ("HTTP/1.1 429 x\r\n\r\n", Connect, "429", ""),
        ("HTTP/1.1 502 x\r\n\r\n", Connect, "502", ""),
        ("HTTP/1.1 503 x\r\n\r\n", Connect, "503", ""),
        (
            "HTTP/1.1 301 x\r\nLocation: https://x/\r\n\r\n",
            Refused,
            "301",
            "",
        ),
    ] {
        let proxy = Relay::serving(response).await;
        let error = refused(&proxy, "robot:hunter2@", kind).await;
        let text = error.to_string();
        for part in [
            &proxy.authority(),
            "CONNECT registry.invalid:443",
            status,
            advice,
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}

#[tokio::test]
async fn a_refusal_to_read_a_request_is_no_response_of_the_registry() {
    let proxy = Relay::serving("HTTP/1.1 407 x\r\nContent-Length: 0\r\n\r\n").await;
    let transport = HyperTransport::builder().proxy(proxy.authority()).build();
    let transport = transport.unwrap();
    let error = transport.send(request("http://registry.invalid/v2/")).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Refused);
    let text = error.to_string();
    assert!(
        text.contains(&proxy.authority()) && text.contains("407"),
        "{text}"
    );
}

#[tokio::test]
async fn what_is_no_response_to_connect_is_an_error() {
    use TransportErrorKind::{Connect, Refused};
    for (response, kind, expected) in [
        ("", Connect, "no response to CONNECT"),
        ("SSH-2.0-OpenSSH_9.9\r\n", Refused, "no response to CONNECT"),
        (
            "HTTP/1.1 200 x\r\n\r\nwelcome",
            Refused,
            "sent bytes of its own",
        ),
    ] {
        let proxy = Relay::serving(response).await;
        let text = refused(&proxy, "", kind).await.to_string();
        assert!(text.contains(expected), "{text}");
        assert!(text.contains(&proxy.authority()), "{text}");
    }
    let endless: &str = Box::leak(format!("HTTP/1.1 200 {}", "x".repeat(1 << 20)).into());
    let proxy = Relay::serving(endless).await;
    refused(&proxy, "", Refused).await;
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named() {
    let (_held, address) = refusing();
    let transport = HyperTransport::builder()
        .root_certificate_pem(CERTIFICATE)
        .proxy(format!("robot:{PASSWORD}@{address}"))
        .build()
        .unwrap();
    for uri in ["https://registry.invalid/", "http://registry.invalid/"] {
        let error = transport.send(request(uri)).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Connect);
        let text = format!("{} {error:?}", chain(&error));
        let expected = format!("cannot connect to the proxy http://{address}");
        assert!(text.contains(&expected), "{text}");
        assert!(!text.contains(PASSWORD), "{text}");
    }
}

#[tokio::test]
async fn the_silence_of_a_proxy_ends_by_the_connect_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let transport = HyperTransport::builder()
        .root_certificate_pem(CERTIFICATE)
        .proxy(listener.local_addr().unwrap().to_string())
        .connect_timeout(Duration::from_secs(7))
        .build()
        .unwrap();
    let sending = tokio::spawn(async move {
        let request = request("https://registry.invalid/v2/");
        transport.send(request).await
    });
    let (mut socket, _) = listener.accept().await.unwrap();
    read_head(&mut socket).await;
    // From here on nothing happens but the timeout, to which the paused clock jumps.
    tokio::time::pause();
    let error = sending.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Connect);
    assert!(
        chain(&error).contains("connecting took longer than 7s"),
        "{}",
        chain(&error)
    );
}

#[test]
fn a_given_proxy_of_no_use_is_refused_at_build() {
    for (url, expected) in [
        ("socks5://robot:hunter2@proxy:1080", "not by socks5"),
        ("ftp://proxy", "not by ftp"),
        ("", "empty host"),
        ("http://", "empty host"),
        ("http://robot:hunter2@", "empty host"),
        ("http://proxy:port", "invalid port number"),
        ("http://robot:hunt/er2@proxy:8080", "percent-encoded"),
        ("robot:12#hunter2@proxy:8080", "percent-encoded"),
        ("robot:12?hunter2@proxy:8080", "percent-encoded"),
    ] {
        let builder = HyperTransport::builder().proxy(url);
        let mut text = format!("{builder:?}");
        let error = builder.build().unwrap_err();
        assert!(matches!(error, HyperTransportError::Proxy(_)), "{error:?}");
        text.push_str(&format!("{error} {error:?}"));
        assert!(text.contains(expected), "{text}");
        for secret in ["hunt", "er2", "12"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[tokio::test]
async fn the_clients_builder_takes_a_proxy_for_the_default_transport() {
    let mock = mock();
    let proxy = Relay::start().await;
    let client = || {
        ContainerRegistryClient::builder(behind(&mock))
            .credential(Credential::entra_token("any"))
            .retry(RetryOptions::none())
    };
    let registry = client()
        .hyper(|hyper| {
            let pem = mock.ca_pem().unwrap();
            hyper.root_certificate_pem(pem).proxy(proxy.authority())
        })
        .build()
        .unwrap();
    registry.ping().await.unwrap();
    assert!(proxy.seen().contains(&format!("CONNECT {NAME}:")));

    let error = client().hyper(|hyper| hyper.proxy("socks5://robot:hunter2@proxy"));
    let error = error.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let text = format!("{} {error:?}", chain(&error));
    assert!(text.contains("proxy") && !text.contains(PASSWORD), "{text}");
}
