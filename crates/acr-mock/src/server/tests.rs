//! The server on its own, over plain sockets, with handlers that no registry has.

use std::cell::OnceCell;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;

use super::connection::{BoxFuture, Handler};
use super::request_body::RequestBody;
use super::timeouts::Timeouts;
use super::{AcrMock, ServerEvent};
use crate::{Body, Origin};

#[test]
fn a_panic_of_a_handler_reaches_whoever_drops_the_server() {
    let mock = start(|request| {
        Box::pin(async move {
            assert_ne!(
                request.uri().path(),
                "/panic",
                "the handler fails on purpose"
            );
            Response::new(Body::from("fine"))
        })
    });
    let mut broken = Client::sending(&mock, "GET /panic HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(broken.rest(), "");
    // The others are served as before.
    let mut other = Client::sending(&mock, GET);
    assert_eq!(other.response(), (200, "fine".to_owned()));
    let panic = catch_unwind(AssertUnwindSafe(|| drop(mock))).unwrap_err();
    let text = panic
        .downcast_ref::<String>()
        .expect("the payload is the handler's message");
    assert!(text.contains("the handler fails on purpose"), "{text}");
}

#[test]
fn try_shutdown_returns_the_panic() {
    let mock = start(|_| Box::pin(async { panic!("on purpose") }));
    let mut client = Client::sending(&mock, GET);
    client.rest();
    let panic = mock.try_shutdown().unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
}

#[test]
fn a_server_may_be_dropped_by_its_handler_however_many_workers_it_has() {
    for workers in [1, 2, 4] {
        let held = Arc::new(Mutex::new(None::<AcrMock>));
        let dropped = held.clone();
        let handler = Handler::Other(Box::new(move |_| {
            drop(dropped.lock().unwrap().take());
            Box::pin(async { Ok(Response::new(Body::from("gone"))) })
        }));
        let builder = AcrMock::builder()
            .plain_http(true)
            .workers(NonZeroUsize::new(workers).unwrap());
        let mock = builder.start_with(handler).unwrap();
        let mut client = Client::connect(&mock);
        *held.lock().unwrap() = Some(mock);
        client.send(GET);
        assert_eq!(client.response(), (200, "gone".to_owned()), "{workers}");
    }
}

#[test]
fn shutdown_is_quick_with_idle_and_half_sent_and_stuck_requests() {
    // A machine that is busy with other things can make any one late, so it is late only if it is so each time.
    let times = [(); 5].map(|()| OnceCell::new());
    let is_quick = |time: &OnceCell<Duration>| {
        time.get_or_init(shutdown_with_idle_and_half_sent_and_stuck_requests)
            < &Duration::from_secs(1)
    };
    assert!(times.iter().any(is_quick), "{times:?}");
}

/// How long it takes.
fn shutdown_with_idle_and_half_sent_and_stuck_requests() -> Duration {
    let (stuck_sender, stuck) = mpsc::channel();
    let mock = start(move |request| {
        let stuck_sender = stuck_sender.clone();
        Box::pin(async move {
            if request.uri().path() == "/stuck" {
                stuck_sender.send(()).expect("the test waits");
                std::future::pending::<()>().await;
            }
            Response::new(Body::from("fine"))
        })
    });
    let mut idle = Client::sending(&mock, GET);
    idle.response();
    let mut half_sent = Client::sending(&mock, "GET / HTTP/1.1\r\nHos");
    let mut never = Client::sending(&mock, "GET /stuck HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stuck.recv().expect("the request is being handled");

    let start = Instant::now();
    mock.shutdown();
    let took = start.elapsed();
    for client in [&mut idle, &mut half_sent, &mut never] {
        assert_eq!(client.rest(), "");
    }
    took
}

#[test]
fn a_request_in_progress_is_served_before_the_end() {
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let (started_sender, started) = mpsc::channel();
    let released = Mutex::new(Some(released));
    // Whatever this machine does meanwhile: it is not a test of how long the server waits.
    let mock = start_with_grace(Duration::from_secs(60), move |request| {
        let released = (request.uri().path() == "/slow").then(|| {
            started_sender.send(()).expect("the test waits");
            released
                .lock()
                .unwrap()
                .take()
                .expect("one slow request comes")
        });
        Box::pin(async move {
            if let Some(released) = released {
                released.await.expect("the test lets it go on");
            }
            Response::new(Body::from("served"))
        })
    });
    let mut idle = Client::sending(&mock, GET);
    idle.response();
    let mut slow = Client::sending(&mock, "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
    started.recv().expect("the request is being handled");
    let stopping = std::thread::spawn(move || mock.shutdown());
    // Idle connections are closed first: from then on the server is stopping.
    assert_eq!(idle.rest(), "");
    release.send(()).expect("the handler waits");
    assert_eq!(slow.response(), (200, "served".to_owned()));
    stopping.join().unwrap();
}

#[test]
fn a_body_that_nobody_read_is_drained_and_the_connection_lives_on() {
    let mock = start(|request| {
        drop(request);
        Box::pin(async { status(StatusCode::UNAUTHORIZED) })
    });
    let mut client = Client::connect(&mock);
    // Sent whole before the response is read, as simple clients do.
    let body = vec![b'x'; 3 << 20];
    for _ in 0..2 {
        client.send(&format!(
            "PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
            body.len()
        ));
        client.stream.get_mut().write_all(&body).unwrap();
        assert_eq!(client.response().0, 401);
    }
}

#[test]
fn a_body_held_back_for_a_go_ahead_is_not_waited_for() {
    let mock = start(|request| {
        drop(request);
        Box::pin(async { status(StatusCode::UNAUTHORIZED) })
    });
    let mut client = Client::sending(
        &mock,
        "PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    );
    let response = client.rest();
    assert!(
        response.starts_with("HTTP/1.1 401 ") && !response.contains("100 Continue"),
        "{response}"
    );
}

#[test]
fn a_go_ahead_is_given_when_the_body_is_read() {
    let mock = start(|request| {
        Box::pin(async move {
            let body = request.into_body().collect().await;
            let body = body.expect("the client sends it").to_bytes();
            Response::new(Body::from(body))
        })
    });
    let mut client = Client::sending(
        &mock,
        "PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    );
    assert_eq!(client.head(), ["HTTP/1.1 100 Continue"]);
    client.send("hello");
    assert_eq!(client.response(), (200, "hello".to_owned()));
}

#[test]
fn a_chunked_body_is_sent_without_a_length() {
    let chunks = || vec![Bytes::from_static(b"{\"a\":"), Bytes::from_static(b"1}\n")];
    let mock = start(move |_| {
        Box::pin(async move { Response::new(Body::from_chunks(chunks()).chunked()) })
    });
    let mut client = Client::sending(
        &mock,
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    let head = client.head();
    assert!(has(&head, "transfer-encoding: chunked"), "{head:?}");
    assert!(
        !head
            .iter()
            .any(|line| line.to_ascii_lowercase().starts_with("content-length")),
        "{head:?}"
    );
    assert_eq!(client.rest(), "5\r\n{\"a\":\r\n3\r\n1}\n\r\n0\r\n\r\n");
}

#[test]
fn a_head_keeps_the_length_that_the_handler_set() {
    let mock = start(|_| {
        Box::pin(async {
            let mut response = Response::new(Body::empty());
            response
                .headers_mut()
                .insert(http::header::CONTENT_LENGTH, 1472.into());
            response
        })
    });
    let mut client = Client::sending(
        &mock,
        "HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    let head = client.head();
    assert!(has(&head, "content-length: 1472"), "{head:?}");
    assert_eq!(client.rest(), "");
}

#[test]
fn a_cut_body_ends_the_connection_before_its_promised_length() {
    let mock = start(|_| Box::pin(async { Response::new(Body::from("0123456789").cut_after(4)) }));
    let mut client = Client::sending(&mock, GET);
    let head = client.head();
    assert!(has(&head, "content-length: 10"), "{head:?}");
    assert_eq!(client.rest(), "0123");
}

#[test]
fn the_handler_is_told_how_the_client_came() {
    let mock = start(|request| {
        let origin = request.extensions().get::<Origin>();
        let origin = origin.expect("the server tells it").clone();
        Box::pin(async move {
            Response::new(Body::from(format!(
                "{} {}",
                origin.base_url(),
                origin.data_base_url()
            )))
        })
    });
    let data = mock.data_endpoint();
    let data_port = data.rsplit_once(':').expect("it has a port").1;
    for (host, data) in [
        ("127.0.0.1:1234", "localhost"),
        ("localhost:1234", "127.0.0.1"),
    ] {
        let mut client =
            Client::sending(&mock, &format!("GET /v2/ HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(
            client.response(),
            (200, format!("http://{host} http://{data}:{data_port}"))
        );
    }
}

#[test]
fn a_request_without_a_proper_host_is_400_and_reaches_no_handler() {
    let mock = start(|_| Box::pin(async { panic!("no request may come through") }));
    for host in [
        "Host: a b\r\n",
        "Host: one\r\nHost: two\r\n",
        "Host: \"\r\n",
        "Host: localhost\r\nHost: localhost\r\n",
        "Host:\r\n",
        "",
    ] {
        for target in ["/v2/", "/_mock/health", "http://localhost/v2/"] {
            let mut client =
                Client::sending(&mock, &format!("GET {target} HTTP/1.1\r\n{host}\r\n"));
            assert_eq!(client.response().0, 400, "{target} {host}");
        }
    }
    mock.shutdown();
}

#[test]
fn events_tell_requests_without_their_query_and_broken_connections() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (noted, events) = mpsc::channel();
    let builder = AcrMock::builder().plain_http(true).on_event({
        let seen = seen.clone();
        move |event| {
            let text = match event {
                ServerEvent::Request {
                    method,
                    path,
                    status,
                } => format!("{method} {path} {status}"),
                ServerEvent::ConnectionFailed { .. } => "broken".to_owned(),
                ServerEvent::HandshakeFailed { .. } => "no TLS".to_owned(),
            };
            seen.lock().unwrap().push(text);
            noted.send(()).expect("the test listens");
        }
    });
    let mock = builder
        .start_with(Handler::Other(Box::new(|_| {
            Box::pin(async { Ok(status(StatusCode::NOT_FOUND)) })
        })))
        .unwrap();
    let mut client = Client::sending(
        &mock,
        "GET /v2/?sig=secret HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    events.recv().expect("the request is told");
    client.response();
    client.send("no http\r\n\r\n");
    events.recv().expect("the broken connection is told");
    assert_eq!(*seen.lock().unwrap(), ["GET /v2/ 404 Not Found", "broken"]);
    mock.shutdown();
}

#[test]
fn a_head_of_unreasonable_size_is_refused() {
    let mock = start(|_| Box::pin(async { Response::new(Body::empty()) }));
    let mut client = Client::connect(&mock);
    let large = "x".repeat(200 * 1024);
    client.send(&format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: {large}"
    ));
    assert!(client.rest().starts_with("HTTP/1.1 431 "));
}

#[test]
fn a_client_may_close_its_side_after_its_request() {
    let mock = start(|_| Box::pin(async { Response::new(Body::from("fine")) }));
    let mut client = Client::sending(&mock, GET);
    client
        .stream
        .get_ref()
        .shutdown(std::net::Shutdown::Write)
        .unwrap();
    assert_eq!(client.response(), (200, "fine".to_owned()));
}

fn start(
    handler: impl Fn(Request<RequestBody>) -> BoxFuture<Response<Body>> + Send + Sync + 'static,
) -> AcrMock {
    start_with_grace(Timeouts::default().grace, handler)
}

fn start_with_grace(
    grace: Duration,
    handler: impl Fn(Request<RequestBody>) -> BoxFuture<Response<Body>> + Send + Sync + 'static,
) -> AcrMock {
    AcrMock::builder()
        .plain_http(true)
        .grace(grace)
        .start_with(Handler::Other(Box::new(move |request| {
            Box::pin(handler(request).map(Ok))
        })))
        .expect("the server starts")
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Whether a head has this line, in whatever case.
fn has(head: &[String], line: &str) -> bool {
    head.iter().any(|other| other.eq_ignore_ascii_case(line))
}

struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn connect(mock: &AcrMock) -> Self {
        let stream = TcpStream::connect(mock.local_addr()).expect("the server listens");
        // So that a server that does not respond fails the test instead of hanging it.
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        stream
            .set_write_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// A client that has sent this.
    fn sending(mock: &AcrMock, text: &str) -> Self {
        let mut client = Self::connect(mock);
        client.send(text);
        client
    }

    fn send(&mut self, text: &str) {
        // A server may refuse midway; what it says then is read afterwards.
        let _ = self.stream.get_mut().write_all(text.as_bytes());
    }

    /// The lines of a response's head.
    fn head(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            self.stream
                .read_line(&mut line)
                .expect("the server responds");
            let line = line.trim_end();
            if line.is_empty() {
                return lines;
            }
            lines.push(line.to_owned());
        }
    }

    /// Status and body of a response with a length.
    fn response(&mut self) -> (u16, String) {
        let head = self.head();
        let status = head[0].split(' ').nth(1).expect("a status line").parse();
        let status = status.expect("a status");
        let length = head.iter().find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")
                .map(str::to_owned)
        });
        let mut body = vec![0; length.expect("a length").parse().expect("a number")];
        self.stream.read_exact(&mut body).expect("the whole body");
        (status, String::from_utf8(body).expect("text"))
    }

    /// Everything until the connection is closed, or reset.
    fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => panic!("{error}"),
            _ => String::from_utf8(bytes).expect("text"),
        }
    }
}
