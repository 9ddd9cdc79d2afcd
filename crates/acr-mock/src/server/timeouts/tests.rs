//! Connections over pipes of memory, on a time that stands still until everybody waits for it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::watch;

use super::*;
use crate::server::connection::{Ends, Handler, Purpose, Service, serve_http};
use crate::server::names::Names;
use crate::server::request_body::DRAINED;
use crate::{Body, Registry};

const HEAD: u64 = 30;
const BODY: u64 = 60;
const IDLE: u64 = 300;
/// What a pipe holds, in bytes.
const PIPE: usize = 64 * 1024;

const GET: &str = "GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Runs a test for at most a day, which is over at once where nobody has anything to do.
fn on_virtual_time<T>(test: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    let day = Duration::from_secs(24 * 60 * 60);
    runtime
        .block_on(async { tokio::time::timeout(day, test).await })
        .expect("the server does not wait for ever")
}

/// A registry that asks for credentials which nobody here has, so that it refuses before it reads.
fn registry() -> Handler {
    Handler::Registry(Registry::new())
}

/// Reads every body, for as long as it takes, and says how long it was.
fn reader() -> Handler {
    Handler::Other(Box::new(|request| {
        Box::pin(async {
            let read = request.into_body().collect().await;
            let text = read.map_or("broken".to_owned(), |body| {
                body.to_bytes().len().to_string()
            });
            Ok(Response::new(Body::from(text)))
        })
    }))
}

struct Peer(DuplexStream);

impl Peer {
    fn connect(handler: Handler) -> Self {
        let names = Names {
            scheme: Scheme::HTTP,
            authority: "localhost".to_owned(),
            data_port: 1,
            hosts: Vec::new(),
            only: None,
        };
        let service = Arc::new(Service {
            purpose: Purpose::Origin(names, handler),
            tls: None,
            ca_pem: None,
            listener: None,
            timeouts: Timeouts::default(),
        });
        let (peer, served) = duplex(PIPE);
        tokio::spawn(async move {
            let (_open, closing) = watch::channel(false);
            let peer: SocketAddr = ([127, 0, 0, 1], 1).into();
            let own = peer.ip();
            serve_http(&service, served, Ends { peer, own }, closing).await;
        });
        Self(peer)
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// The status of a response with a length, and its body.
    async fn response(&mut self) -> (u16, String) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.expect("the server responds"));
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).expect("a length");
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, String::from_utf8(body).unwrap())
    }

    /// What else comes until the connection is closed, and in how many seconds.
    async fn rest(&mut self) -> (String, u64) {
        let start = Instant::now();
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).await.unwrap();
        (String::from_utf8(bytes).unwrap(), start.elapsed().as_secs())
    }
}

async fn wait(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

#[test]
fn a_connection_that_never_says_anything_is_closed_when_a_head_is_overdue() {
    on_virtual_time(async {
        let mut peer = Peer::connect(registry());
        assert_eq!(peer.rest().await, (String::new(), HEAD));
    });
}

#[test]
fn a_head_is_not_given_more_time_by_dripping() {
    on_virtual_time(async {
        let mut peer = Peer::connect(registry());
        let start = Instant::now();
        let sent = async {
            for byte in GET.bytes() {
                peer.0.write_u8(byte).await?;
                wait(1).await;
            }
            Ok::<(), io::Error>(())
        };
        sent.await.unwrap_err();
        assert!((HEAD..=HEAD + 1).contains(&start.elapsed().as_secs()));
    });
}

#[test]
fn an_idle_connection_has_its_own_time_and_the_next_head_the_time_of_a_head() {
    on_virtual_time(async {
        let mut peer = Peer::connect(registry());
        for _ in 0..3 {
            peer.send(GET).await;
            assert_eq!(peer.response().await.0, 401);
            wait(IDLE - 1).await;
        }
        peer.send(&GET[..10]).await;
        assert_eq!(peer.rest().await, (String::new(), HEAD));

        let mut peer = Peer::connect(registry());
        peer.send(GET).await;
        peer.response().await;
        assert_eq!(peer.rest().await, (String::new(), IDLE));
    });
}

#[test]
fn a_silent_body_is_408_before_and_after_credentials_and_ends_the_connection() {
    on_virtual_time(async {
        // Nobody has signed in at the token endpoint.
        for handler in [registry(), reader()] {
            let mut peer = Peer::connect(handler);
            peer.send(
                "POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\ngrant",
            )
            .await;
            let (text, seconds) = peer.rest().await;
            assert_eq!(seconds, BODY);
            assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
            let text = text.to_ascii_lowercase();
            assert!(
                text.contains("connection: close\r\n") && text.ends_with("the body fell silent\n"),
                "{text}"
            );
        }
    });
}

#[test]
fn a_slow_body_that_is_never_silent_for_too_long_is_read_whole() {
    on_virtual_time(async {
        let mut peer = Peer::connect(reader());
        peer.send("PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
            .await;
        for _ in 0..9 {
            wait(BODY - 1).await;
            peer.send("x").await;
        }
        assert_eq!(peer.response().await, (200, "9".to_owned()));
        assert_eq!(peer.rest().await, (String::new(), IDLE));
    });
}

#[test]
fn frames_without_a_byte_of_content_are_silence_too() {
    on_virtual_time(async {
        let mut peer = Peer::connect(reader());
        peer.send("PUT / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1;")
            .await;
        let start = Instant::now();
        // An extension of a chunk, which is not part of the body.
        while peer.0.write_u8(b'x').await.is_ok() {
            wait(1).await;
        }
        assert!((BODY..=BODY + 1).contains(&start.elapsed().as_secs()));
    });
}

#[test]
fn a_refused_body_that_falls_silent_is_not_waited_for_longer_than_any_other() {
    on_virtual_time(async {
        let mut peer = Peer::connect(registry());
        peer.send("PATCH /v2/a/blobs/uploads/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc")
            .await;
        assert_eq!(peer.response().await.0, 401);
        assert_eq!(peer.rest().await, (String::new(), BODY));
    });
}

#[test]
fn a_refused_body_is_thrown_away_to_a_bound_and_then_the_connection_is_closed() {
    on_virtual_time(async {
        for framing in ["Content-Length: 1000000000", "Transfer-Encoding: chunked"] {
            let mut peer = Peer::connect(registry());
            peer.send(&format!(
                "PATCH /v2/a/blobs/uploads/x HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n"
            ))
            .await;
            let block = Bytes::from(format!("{PIPE:x}\r\n{}\r\n", "x".repeat(PIPE)));
            let (mut taken, mut at, start) = (0, 0, Instant::now());
            while let Ok(written) = peer.0.write(&block[at..]).await {
                taken += written as u64;
                at = (at + written) % block.len();
                assert!(taken < 2 * DRAINED, "{framing}: it takes on and on");
            }
            assert!(taken >= DRAINED, "{framing}: {taken}");
            assert_eq!(start.elapsed().as_secs(), 0);
            assert!(
                peer.rest().await.0.starts_with("HTTP/1.1 401 "),
                "{framing}"
            );
        }
    });
}

#[test]
fn behind_a_refused_body_that_was_thrown_away_the_connection_lives_on_and_grows_idle() {
    on_virtual_time(async {
        let mut peer = Peer::connect(registry());
        for _ in 0..2 {
            peer.send(&format!(
                "PATCH /v2/a/blobs/uploads/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
                DRAINED / 2
            ))
            .await;
            for _ in 0..DRAINED / 2 / 1024 {
                peer.send(&"x".repeat(1024)).await;
            }
            assert_eq!(peer.response().await.0, 401);
        }
        assert_eq!(peer.rest().await, (String::new(), IDLE));
    });
}

#[test]
fn a_response_of_which_nobody_takes_a_byte_is_given_up() {
    on_virtual_time(async {
        let large = Handler::Other(Box::new(|_| {
            Box::pin(async { Ok(Response::new(Body::from(vec![b'x'; 100 * PIPE]))) })
        }));
        let mut peer = Peer::connect(large);
        peer.send(GET).await;
        wait(BODY + 1).await;
        let (text, seconds) = peer.rest().await;
        assert!(text.len() < 2 * PIPE, "{}", text.len());
        assert_eq!(seconds, 0);
    });
}

#[test]
fn a_response_that_takes_its_time_is_neither_idle_nor_silent() {
    on_virtual_time(async {
        let slow = Handler::Other(Box::new(|request| {
            Box::pin(async move {
                wait(10 * IDLE).await;
                drop(request);
                let mut response = Response::new(Body::from("at last"));
                *response.status_mut() = StatusCode::ACCEPTED;
                Ok(response)
            })
        }));
        let mut peer = Peer::connect(slow);
        peer.send(GET).await;
        assert_eq!(peer.response().await, (202, "at last".to_owned()));
        assert_eq!(peer.rest().await, (String::new(), IDLE));
    });
}

#[test]
fn times_beyond_every_clock_are_for_ever() {
    on_virtual_time(async {
        let mut timer = Timer::default();
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..2 {
            assert!(timer.poll_over(&mut context, Duration::MAX).is_pending());
            timer.unset();
        }
    });
}

#[test]
fn a_slowly_read_response_is_not_taken_for_an_idle_connection() {
    const PIECES: usize = 20;
    on_virtual_time(async {
        // In one piece, which leaves the request's hands at once.
        let large = Handler::Other(Box::new(|_| {
            Box::pin(async { Ok(Response::new(Body::from(vec![b'x'; PIECES * PIPE]))) })
        }));
        let mut peer = Peer::connect(large);
        peer.send(GET).await;
        let mut piece = vec![0; PIPE];
        for _ in 0..PIECES {
            wait(BODY - 1).await;
            peer.0.read_exact(&mut piece).await.expect("it goes on");
        }
        // What is left is the length of the head, and then nothing but an idle connection.
        let (left, seconds) = peer.rest().await;
        assert!(left.bytes().all(|byte| byte == b'x') && !left.is_empty());
        assert_eq!(seconds, IDLE);
    });
}
