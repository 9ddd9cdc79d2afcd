//! Programs that make calls in all the ways in which futures can be put into each other, and none of
//! which may hang.

#![allow(clippy::future_not_send, reason = "all of it runs on one thread")]

use std::cell::RefCell;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::OnceLock;

use bytes::Bytes;
use fastrand::Rng;
use futures_util::future::{Either, join_all, select};
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::BodyExt as _;

use super::*;
use crate::transport::{Body, from_fn};
use crate::{
    BlobSource, BlobStream, ContainerRegistryClient, Credential, Digest, RepositoryClient,
};

type Program<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// What the registry sees: how many requests of each class it works at, and had at most.
#[derive(Default)]
struct Load(Mutex<BTreeMap<OperationClass, (usize, usize)>>);

/// A request that the registry works at.
struct Visit<'a>(&'a Load, OperationClass);

impl Load {
    fn enter(&self, class: OperationClass) -> Visit<'_> {
        let mut counts = self.0.lock().unwrap();
        let (now, most) = counts.entry(class).or_default();
        *now += 1;
        *most = (*most).max(*now);
        Visit(self, class)
    }

    fn most(&self) -> usize {
        let counts = self.0.lock().unwrap();
        counts.values().map(|(_, most)| *most).max().unwrap_or(0)
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().get_mut(&self.1).unwrap().0 -= 1;
    }
}

fn class_of(request: &Request<Body>) -> OperationClass {
    match request.uri().path() {
        path if path.contains("/manifests/") => OperationClass::Manifest,
        path if path.contains("/blobs/") => OperationClass::Blob,
        _ => OperationClass::MetadataRead,
    }
}

fn response(request: &Request<Body>) -> Response<Body> {
    let response = Response::builder();
    let query = request.uri().query().unwrap_or_default();
    match (request.method().as_str(), class_of(request)) {
        (_, OperationClass::Manifest) => response
            .header("content-type", "application/vnd.oci.image.index.v1+json")
            .body(r#"{"schemaVersion":2,"manifests":[]}"#.into()),
        ("GET", OperationClass::Blob) => response.body(LAYER.into()),
        ("POST", _) => response
            .status(202)
            .header("location", "/v2/app/blobs/uploads/1?_state=x")
            .header("range", "0-0")
            .body(Body::empty()),
        ("PUT", _) => {
            let digest = query.split("digest=").nth(1).unwrap_or_default();
            response
                .status(201)
                .header("docker-content-digest", digest.replace("%3A", ":"))
                .header("location", "/v2/app/blobs/x")
                .body(Body::empty())
        }
        _ => response.body(Body::empty()),
    }
    .unwrap()
}

/// What a program does and what it is made of.
struct Author {
    rng: RefCell<Rng>,
    clock: VirtualClock,
    app: RepositoryClient,
    /// Whether it leaves futures alone that were begun.
    abandons: bool,
    held: RefCell<Vec<BlobStream>>,
    /// How many parts it may still have.
    parts: RefCell<u32>,
}

impl Author {
    fn random(&self, below: usize) -> usize {
        self.rng.borrow_mut().usize(0..below)
    }

    /// A program of a few steps.
    fn write(self: &Rc<Self>, depth: u32) -> Program<'static> {
        let own = self.clone();
        Box::pin(async move {
            for _ in 0..=own.random(3) {
                own.step(depth).await;
            }
        })
    }

    fn step(self: &Rc<Self>, depth: u32) -> Program<'static> {
        let own = self.clone();
        let may_go_on = depth > 0 && *self.parts.borrow() > 0;
        if !may_go_on {
            return Box::pin(async move { own.call().await });
        }
        *self.parts.borrow_mut() -= 1;
        let kinds = if self.abandons { 8 } else { 6 };
        match self.random(kinds) {
            0 => Box::pin(async move { own.call().await }),
            1 => Box::pin(async move {
                let parts = 1 + own.random(20);
                join_all((0..parts).map(|_| own.step(depth - 1))).await;
            }),
            2 => Box::pin(async move {
                // One of them is given up.
                select(own.write(depth - 1), own.write(depth - 1)).await;
            }),
            3 => Box::pin(async move {
                let patience = millis(own.random(3000) as u64);
                select(own.write(depth - 1), own.clock.sleep(patience)).await;
            }),
            4 => Box::pin(async move {
                let (calls, at_once) = (1 + own.random(60), 1 + own.random(40));
                let calls = stream::iter(0..calls).map(|_| own.call());
                calls
                    .buffer_unordered(at_once)
                    .for_each(|()| async {})
                    .await;
            }),
            5 => Box::pin(async move {
                let app = own.app.clone();
                let calls = stream::iter(0..own.random(4)).then(move |_| {
                    let app = app.clone();
                    async move {
                        app.get_manifest("v1").await.unwrap();
                        Ok(Bytes::from_static(LAYER))
                    }
                });
                own.app
                    .upload_blob(BlobSource::stream(calls))
                    .await
                    .unwrap();
            }),
            6 => Box::pin(async move {
                let (calls, at_once) = (1 + own.random(60), 1 + own.random(40));
                let steps = stream::iter(0..calls).map(|_| own.step(depth - 1));
                let mut done: Pin<Box<dyn stream::Stream<Item = ()>>> = if own.random(2) == 0 {
                    Box::pin(steps.buffered(at_once))
                } else {
                    Box::pin(steps.buffer_unordered(at_once))
                };
                while done.next().await.is_some() {
                    own.step(depth - 1).await;
                    if own.random(30) == 0 {
                        break;
                    }
                }
            }),
            _ => Box::pin(async move {
                match select(own.write(depth - 1), own.write(depth - 1)).await {
                    Either::Left(((), rest)) | Either::Right(((), rest)) => {
                        own.step(depth - 1).await;
                        rest.await;
                    }
                }
            }),
        }
    }

    async fn call(&self) {
        match self.random(4) {
            0 => {
                let blob = self.app.download_blob(&Digest::sha256(LAYER)).await;
                self.held.borrow_mut().push(blob.unwrap());
            }
            1 => {
                let blob = self.held.borrow_mut().pop();
                if let Some(blob) = blob {
                    assert_eq!(blob.bytes(99).await.unwrap(), LAYER);
                }
            }
            _ => {
                self.app.get_manifest("v1").await.unwrap();
            }
        }
    }
}

/// Runs a program by its seed. `within`: whether the transport makes calls itself, inside those that it
/// is asked for. Returns the most requests of a class that the registry had at once.
fn run(seed: u64, bound: usize, abandons: bool, within: bool) -> usize {
    let clock = clock();
    let load = Arc::new(Load::default());
    let inner: Arc<OnceLock<RepositoryClient>> = Arc::default();
    let rng = Arc::new(Mutex::new(Rng::with_seed(seed)));
    let transport = {
        let (clock, load, inner, rng) = (clock.clone(), load.clone(), inner.clone(), rng.clone());
        from_fn(move |request: Request<Body>| {
            let (clock, load, inner) = (clock.clone(), load.clone(), inner.clone());
            let (takes, asks) = {
                let mut rng = rng.lock().unwrap();
                (rng.u64(0..1000), within && rng.u32(0..40) == 0)
            };
            async move {
                let _visit = load.enter(class_of(&request));
                if asks && let Some(app) = inner.get() {
                    Box::pin(app.get_manifest("v1")).await.unwrap();
                }
                clock.sleep(millis(takes)).await;
                response(&request)
            }
        })
    };
    let app = ContainerRegistryClient::builder("https://r.example")
        .credential(Credential::anonymous())
        .transport(transport)
        .clock(clock.clone())
        .limiter(LimiterOptions {
            max_in_flight: bound,
            ..LimiterOptions::default()
        })
        .build()
        .unwrap()
        .repository_client("app")
        .unwrap();
    inner.get_or_init(|| app.clone());
    let author = Rc::new(Author {
        rng: RefCell::new(Rng::with_seed(seed)),
        clock: clock.clone(),
        app,
        abandons,
        held: RefCell::default(),
        parts: RefCell::new(60),
    });
    // Fails where nothing moves any more, and where what moves leads nowhere.
    let end = clock.sleep(Duration::from_secs(24 * 3600));
    let done = clock.drive(select(author.write(4), end));
    assert!(matches!(done, Either::Left(_)), "hangs");
    load.most()
}

/// Runs programs, and prints what to run again where one fails.
fn run_all(seeds: std::ops::Range<u64>, abandons: bool, within: bool, check: fn(usize, usize)) {
    for seed in seeds {
        let bound = [1, 2, 3, 8, 64][usize::try_from(seed % 5).unwrap()];
        println!("seed {seed}, {bound} at once, abandons: {abandons}, calls within: {within}");
        check(run(seed, bound, abandons, within), bound);
    }
}

#[test]
fn a_program_that_leaves_no_future_alone_ends_and_never_has_more_calls_than_the_bound() {
    run_all(0..60, false, false, |most, bound| assert!(most <= bound));
}

#[test]
fn a_program_that_leaves_futures_alone_ends() {
    run_all(1000..1060, true, false, |_, _| ());
}

#[test]
fn a_program_whose_calls_wait_for_calls_of_its_own_ends() {
    run_all(2000..2030, true, true, |_, _| ());
}

/// Does 200 calls, of which 100 are buffered, with one more inside the loop for each. Each head takes 50 ms,
/// and its body 10 more.
fn loop_with_calls_inside<T>(
    respond: fn(&Request<Body>) -> Response<Body>,
    call: impl AsyncFn(&RepositoryClient, String) -> T,
) {
    let clock = clock();
    let latency = clock.clone();
    let app = ContainerRegistryClient::builder("https://r.example")
        .transport(from_fn(move |request: Request<Body>| {
            let latency = latency.clone();
            async move {
                latency.sleep(millis(50)).await;
                let (head, body) = respond(&request).into_parts();
                let late = latency.sleep(millis(10));
                let body = async move {
                    late.await;
                    body.collect().await.map(|body| body.to_bytes())
                };
                Response::from_parts(head, Body::stream(stream::once(body)))
            }
        }))
        .clock(clock.clone())
        .build()
        .unwrap()
        .repository_client("app")
        .unwrap();
    let start = clock.now();
    let count = clock.drive(async {
        let tags = stream::iter(0..200).map(|tag| call(&app, format!("v{tag}")));
        let mut done = pin!(tags.buffer_unordered(100));
        let mut count = 0;
        while done.next().await.is_some() {
            call(&app, "latest".to_owned()).await;
            count += 1;
        }
        count
    });
    assert_eq!(count, 200);
    // One after the other, the calls of the body alone take twelve seconds.
    let took = clock.now().duration_since(start).unwrap();
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[test]
fn a_loop_that_makes_a_call_for_each_of_many_that_are_buffered_ends_soon() {
    loop_with_calls_inside(response, async |app, tag| {
        app.get_manifest(tag).await.unwrap()
    });
}

#[test]
fn no_place_is_kept_by_a_call_whose_refusal_is_not_read() {
    fn missing(_: &Request<Body>) -> Response<Body> {
        refusal(404, "TAG_UNKNOWN")
    }
    fn locked(_: &Request<Body>) -> Response<Body> {
        refusal(405, "REGISTRY_DISALLOWED_OPERATION")
    }
    loop_with_calls_inside(missing, async |app, tag| {
        assert!(!app.delete_tag(tag).await.unwrap());
    });
    loop_with_calls_inside(locked, async |app, tag| {
        app.delete_tag(tag).await.unwrap_err();
    });
}

fn refusal(status: u16, code: &str) -> Response<Body> {
    let body = format!(r#"{{"errors":[{{"code":"{code}"}}]}}"#);
    let response = Response::builder().status(status);
    response.body(Body::from(body)).unwrap()
}

const LAYER: &[u8] = b"layer";
