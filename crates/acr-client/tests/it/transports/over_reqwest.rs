use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use acr_client::clock::SystemClock;
use acr_client::transport::{
    Body, ReqwestTransport, Transport, TransportError, TransportErrorKind,
};
use acr_client::{BlobSource, ContainerRegistryClient, Credential, Digest, UploadBlobOptions};
use acr_mock::AcrMock;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, LOCATION, TRANSFER_ENCODING};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use reqwest::redirect::Policy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::seeded;
use crate::transports::text;

/// What must turn up in no error: the query of a URL.
const SIGNATURE: &str = "hunter2";

/// Settings that pass over the proxies of whoever runs the test.
fn settings() -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy()
}

fn transport() -> ReqwestTransport {
    ReqwestTransport::from_builder(settings()).unwrap()
}

fn client(endpoint: String, transport: ReqwestTransport) -> ContainerRegistryClient {
    seeded::builder(endpoint)
        .credential(Credential::password("robot", "a password"))
        .transport(transport)
        .clock(SystemClock)
        .danger_allow_http(true)
        .build()
        .unwrap()
}

fn get(authority: &str) -> Request<Body> {
    Request::get(format!("http://{authority}/blob?sig={SIGNATURE}"))
        .body(Body::empty())
        .unwrap()
}

#[track_caller]
fn check(error: &TransportError, kind: TransportErrorKind) {
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(!text(error).contains(SIGNATURE), "{}", text(error));
}

/// Takes one connection, reads the head of a request, sends `response` and hangs up.
async fn serve_once(response: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_head(&mut socket).await;
        socket.write_all(response.as_bytes()).await.unwrap();
    });
    authority
}

async fn read_head(socket: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
}

#[tokio::test]
async fn a_blob_goes_up_in_chunks_and_comes_down_from_the_data_origin() {
    // The data origin refuses whoever brings a credential, so this shows that none comes there.
    let mock = AcrMock::builder().plain_http(true).start().unwrap();
    let client = seeded::builder(mock.endpoint())
        .credential(Credential::entra_token("any"))
        .transport(transport())
        .clock(SystemClock)
        .danger_allow_http(true)
        .build()
        .unwrap();
    let repository = client.repository_client("app").unwrap();
    let content: Vec<u8> = (0..=255).cycle().take(300_001).collect();
    let options = UploadBlobOptions {
        chunk_size: Some(100_000),
        ..Default::default()
    };
    let source = BlobSource::reader(io::Cursor::new(content.clone()));
    let blob = repository.upload_blob_with(source, options).await.unwrap();
    assert_eq!(blob.digest, Digest::sha256(&content));
    let stream = repository.download_blob(&blob.digest).await.unwrap();
    assert_eq!(stream.bytes(1 << 20).await.unwrap(), content);
}

#[tokio::test]
async fn a_redirect_is_the_clients_to_follow_without_its_credential() {
    let content = "layer";
    let digest = Digest::sha256(content);
    let storage = MockServer::start().await;
    let response = ResponseTemplate::new(200).set_body_raw(content, "application/octet-stream");
    Mock::given(path("/data"))
        .respond_with(response)
        .mount(&storage)
        .await;
    let registry = MockServer::start().await;
    let location = format!(
        "{}/data?sig=x",
        storage.uri().replace("127.0.0.1", "localhost")
    );
    let response = ResponseTemplate::new(307).insert_header(LOCATION, location.as_str());
    Mock::given(path(format!("/v2/app/blobs/{digest}")))
        .and(wiremock::matchers::header_exists(AUTHORIZATION))
        .respond_with(response)
        .mount(&registry)
        .await;
    let challenge =
        ResponseTemplate::new(401).insert_header("WWW-Authenticate", "Basic realm=\"x\"");
    Mock::given(method("GET"))
        .respond_with(challenge)
        .with_priority(9)
        .mount(&registry)
        .await;

    let url = format!("{}/v2/app/blobs/{digest}", registry.uri());
    let request = Request::get(url).header(AUTHORIZATION, "Basic x");
    let response = transport().send(request.body(Body::empty()).unwrap()).await;
    let response = response.unwrap();
    assert_eq!(response.status(), 307);
    assert_eq!(response.headers()[LOCATION], location);
    assert!(storage.received_requests().await.unwrap().is_empty());

    let client = client(registry.uri(), transport());
    let repository = client.repository_client("app").unwrap();
    let stream = repository.download_blob(&digest).await.unwrap();
    assert_eq!(stream.bytes(100).await.unwrap(), content);
    let requests = storage.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1);
    assert!(!requests[0].headers.contains_key(AUTHORIZATION));
    assert!(!requests[0].headers.contains_key("referer"));
    assert!(!requests[0].headers.contains_key(ACCEPT_ENCODING));
}

#[tokio::test]
async fn a_client_that_follows_redirects_by_itself_is_noticed() {
    let server = MockServer::start().await;
    let response = ResponseTemplate::new(307).insert_header(LOCATION, "/there?sig=hunter2");
    Mock::given(path("/blob"))
        .respond_with(response)
        .mount(&server)
        .await;
    Mock::given(path("/there"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    let authority = server.address().to_string();

    for follows in [settings(), settings().redirect(Policy::limited(0))] {
        let transport = ReqwestTransport::new(follows.build().unwrap());
        let error = transport.send(get(&authority)).await.unwrap_err();
        check(&error, TransportErrorKind::Other);
        assert!(
            text(&error).contains("redirect(Policy::none())"),
            "{}",
            text(&error)
        );
    }
    let proper = settings().redirect(Policy::none()).build().unwrap();
    let response = ReqwestTransport::new(proper).send(get(&authority)).await;
    let response = response.unwrap();
    assert_eq!(response.status(), 307);
}

#[tokio::test]
async fn a_body_of_known_length_is_announced_and_not_chunked() {
    let server = MockServer::start().await;
    Mock::given(method("PATCH"))
        .respond_with(ResponseTemplate::new(202))
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    let chunks = || futures_util::stream::iter([Ok::<_, io::Error>(Bytes::from("layer"))]);
    for body in [
        Body::bytes("layer"),
        Body::new(Full::new(Bytes::from("layer"))),
        Body::empty(),
        Body::stream(chunks()),
    ] {
        let request = Request::patch(server.uri()).body(body).unwrap();
        assert_eq!(transport().send(request).await.unwrap().status(), 202);
    }
    let request = Request::get(server.uri()).body(Body::empty()).unwrap();
    transport().send(request).await.unwrap();

    let requests = server.received_requests().await.unwrap();
    let framing = requests.iter().map(|request| {
        let header = |name| {
            request
                .headers
                .get(name)
                .map(|value| value.to_str().unwrap())
        };
        (header(CONTENT_LENGTH), header(TRANSFER_ENCODING))
    });
    let framing: Vec<_> = framing.collect();
    let (known, unknown, none) = ((Some("5"), None), (None, Some("chunked")), (None, None));
    assert_eq!(framing, [known, known, none, unknown, none]);
    assert_eq!(requests[3].body, b"layer");
}

#[tokio::test]
async fn any_status_is_a_response_and_its_body_has_its_length() {
    let authority = serve_once("HTTP/1.1 503 x\r\nContent-Length: 4\r\n\r\nbusy").await;
    let response = transport().send(get(&authority)).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.body().content_length(), Some(4));
    let body = response.into_body().read(1 << 20).await.unwrap();
    assert_eq!(body, "busy");
}

#[tokio::test]
async fn a_refused_connection_is_of_kind_connect() {
    // Bound, so that the port is nobody else's, and not listening.
    let held = TcpSocket::new_v4().unwrap();
    held.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let authority = held.local_addr().unwrap().to_string();
    let error = transport().send(get(&authority)).await.unwrap_err();
    check(&error, TransportErrorKind::Connect);
}

#[tokio::test]
async fn a_connection_that_breaks_is_an_interruption_wherever_it_does() {
    let authority = serve_once("").await;
    let error = transport().send(get(&authority)).await.unwrap_err();
    check(&error, TransportErrorKind::Interrupted);

    let authority = serve_once("HTTP/1.1 200 x\r\nContent-Length: 10\r\n\r\nhalf").await;
    let response = transport().send(get(&authority)).await.unwrap();
    let error = response.into_body().collect().await.unwrap_err();
    check(&error, TransportErrorKind::Interrupted);
}

#[tokio::test]
async fn silence_is_a_timeout_before_the_head_and_in_the_body() {
    for beginning in ["", "HTTP/1.1 200 x\r\nContent-Length: 10\r\n\r\nhalf"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let timeout = Duration::from_secs(7);
        let transport = ReqwestTransport::from_builder(settings().read_timeout(timeout)).unwrap();
        let reading = tokio::spawn(async move {
            let response: Response<Body> = transport.send(get(&authority)).await?;
            response.into_body().collect().await
        });
        let (mut socket, _) = listener.accept().await.unwrap();
        read_head(&mut socket).await;
        socket.write_all(beginning.as_bytes()).await.unwrap();
        // From here on nothing happens but the timeout, to which the paused clock jumps.
        tokio::time::pause();
        let error = reading.await.unwrap().unwrap_err();
        check(&error, TransportErrorKind::Timeout);
        tokio::time::resume();
    }
}

#[tokio::test]
async fn an_error_of_the_requests_own_body_keeps_its_kind() {
    let server = MockServer::start().await;
    for kind in [TransportErrorKind::Timeout, TransportErrorKind::Other] {
        let parts = [
            Ok(http_body::Frame::data(Bytes::from("lay"))),
            Err(TransportError::new(kind, "the file is gone")),
        ];
        let body = Body::new(StreamBody::new(futures_util::stream::iter(parts)));
        let request = Request::put(server.uri()).body(body).unwrap();
        let error = transport().send(request).await.unwrap_err();
        check(&error, kind);
        assert!(
            text(&error).contains("the file is gone"),
            "{}",
            text(&error)
        );
    }
}

#[tokio::test]
async fn what_no_connection_can_be_opened_for_is_an_error() {
    let request = Request::get("/v2/?sig=hunter2")
        .body(Body::empty())
        .unwrap();
    let error = transport().send(request).await.unwrap_err();
    check(&error, TransportErrorKind::Other);
}

#[test]
fn debug_shows_no_default_header() {
    let mut headers = http::HeaderMap::new();
    headers.insert("x-key", "hunter2".parse().unwrap());
    let builder = settings().default_headers(headers);
    let transport = ReqwestTransport::from_builder(builder).unwrap();
    assert_eq!(format!("{transport:?}"), "ReqwestTransport { .. }");
}

#[tokio::test]
async fn what_is_no_response_is_told_so_and_not_asked_for_again() {
    let authority = serve_once("SSH-2.0-OpenSSH_9.9\r\n").await;
    let error = transport().send(get(&authority)).await.unwrap_err();
    check(&error, TransportErrorKind::Unreadable);
    let shown = error.to_string();
    assert!(shown.contains("the response is not HTTP"), "{shown}");
}
