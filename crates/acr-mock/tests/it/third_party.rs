//! The mock as somebody else's crate sees it: its public API alone, no feature, no runtime, no client of ours.
//!
//! Nothing here may need the server, so that the file also passes with `--no-default-features`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use acr_mock::{
    Body, BodyError, Clock, Origin, Registry, RegistryBuilder, RepositorySeed, SeedError, Sleep,
    VirtualClock,
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;

/// Their own client: a function from a request to a response, which is all it asks of a transport.
struct TheirClient<T> {
    transport: T,
    token: String,
}

impl<T, F> TheirClient<T>
where
    T: Fn(Request<String>) -> F + Sync,
    F: Future<Output = Response<Body>> + Send,
{
    async fn get(&self, path: &str) -> Result<Value, StatusCode> {
        let request = Request::get(format!("https://registry.example{path}"))
            .header("Authorization", format!("Bearer {}", self.token))
            .body(String::new())
            .unwrap();
        let (head, body) = (self.transport)(request).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        if head.status.is_success() {
            Ok(serde_json::from_slice(&bytes).unwrap())
        } else {
            Err(head.status)
        }
    }
}

/// Their own body, which comes in pieces and is ready only at every second look.
struct TheirBody(VecDeque<&'static str>, bool);

impl http_body::Body for TheirBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        self.1 = !self.1;
        if self.1 {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(
            self.0
                .pop_front()
                .map(|piece| Ok(http_body::Frame::data(piece.into()))),
        )
    }
}

/// Their own clock, behind the trait.
#[derive(Debug)]
struct TheirClock(Mutex<SystemTime>);

impl Clock for &'static TheirClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> Sleep {
        Box::pin(std::future::pending())
    }
}

/// Runs a future with nothing but what the mock brings.
fn run<F: Future>(future: F) -> F::Output {
    VirtualClock::new().drive(future)
}

fn get(uri: &str, token: &str) -> Request<String> {
    Request::get(uri)
        .header("Authorization", format!("Bearer {token}"))
        .body(String::new())
        .unwrap()
}

fn text(response: Response<Body>) -> String {
    let bytes = run(response.into_body().collect()).unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_registry_is_their_client_s_transport_in_one_line() -> Result<(), Box<dyn Error>> {
    let registry = Registry::new();
    registry.seed("samples/app")?.image("v1")?;
    let token = registry.access_token("repository:samples/app:metadata_read")?;
    let client = TheirClient {
        transport: registry.handler(),
        token,
    };
    let tags = run(client.get("/acr/v1/samples%2Fapp/_tags")).unwrap();
    assert_eq!(tags["tags"][0]["name"], "v1");
    assert_eq!(tags["registry"], "registry.example");
    let refused = run(client.get("/acr/v1/_catalog"));
    assert_eq!(refused.unwrap_err(), StatusCode::UNAUTHORIZED);
    Ok(())
}

#[test]
fn their_body_comes_in_pieces_and_in_its_own_time() -> Result<(), Box<dyn Error>> {
    let registry = Registry::new();
    let token = registry.access_token("repository:app:pull,push")?;
    let digest = "sha256:ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"; // of `content`
    let pieces = TheirBody(VecDeque::from(["con", "", "tent"]), false);
    let request = Request::post(format!(
        "https://registry.example/v2/app/blobs/uploads/?digest={digest}"
    ))
    .header("Authorization", format!("Bearer {token}"))
    .body(pieces)?;
    let response = run(registry.handle(request));
    assert_eq!(response.status(), 201, "{}", text(response));
    Ok(())
}

#[test]
fn the_future_needs_nothing_that_it_was_made_of() {
    fn spawn(work: impl Future<Output = u16> + Send + 'static) -> u16 {
        std::thread::spawn(move || run(work)).join().unwrap()
    }
    let status = {
        let registry = Registry::new();
        let request = Request::get("https://registry.example/v2/")
            .body(String::new())
            .unwrap();
        let response = registry.handle(request);
        async move { response.await.status().as_u16() }
    };
    assert_eq!(spawn(status), 401);
}

#[test]
fn clones_are_the_same_registry_on_every_thread() {
    let registry = Registry::builder().authentication(false).build();
    std::thread::scope(|scope| {
        for at in 0..4 {
            let registry = registry.clone();
            scope.spawn(move || {
                registry
                    .seed(format!("app{at}"))
                    .unwrap()
                    .image("v1")
                    .unwrap()
            });
        }
    });
    let list = Request::get("https://registry.example/acr/v1/_catalog")
        .body(String::new())
        .unwrap();
    let list = text(run(registry.handle(list)));
    assert_eq!(
        list,
        "{\"repositories\":[\"app0\",\"app1\",\"app2\",\"app3\"]}\n"
    );
}

#[test]
fn two_registries_share_nothing() -> Result<(), SeedError> {
    let (one, other) = (Registry::new(), Registry::new());
    one.seed("app")?.image("v1")?;
    let scope = "repository:app:metadata_read";
    let ask = |registry: &Registry, token: &str| {
        run(registry.handle(get("https://registry.example/acr/v1/app", token))).status()
    };
    assert_eq!(ask(&one, &one.access_token(scope)?), 200);
    assert_eq!(ask(&other, &other.access_token(scope)?), 404);
    assert_eq!(ask(&other, &one.access_token(scope)?), 401);
    Ok(())
}

#[test]
fn seeds_are_pulled_like_anything_else() -> Result<(), Box<dyn Error>> {
    let registry = Registry::builder().data_redirect(false).build();
    let app: RepositorySeed = registry.seed("app")?;
    let (image, index, untagged) = (app.image("v1")?, app.index("v2")?, app.untagged_image()?);
    let signature = app.artifact(&image.digest, "application/vnd.example.signature")?;
    let blob = app.blob("application/octet-stream", "any bytes");
    app.manifest(Some("copy"), &image)?;
    let token = registry.access_token("repository:app:pull,metadata_read")?;
    let fetch = |path: String| {
        let response =
            run(registry.handle(get(&format!("https://registry.example{path}"), &token)));
        assert_eq!(response.status(), 200, "{path}");
        text(response)
    };
    for (reference, manifest) in [
        ("v1", &image),
        ("copy", &image),
        ("v2", &index),
        (untagged.digest.as_str(), &untagged),
    ] {
        assert_eq!(
            fetch(format!("/v2/app/manifests/{reference}")).as_bytes(),
            &manifest.bytes[..]
        );
    }
    for blob in image.as_image()?.blobs() {
        assert_eq!(
            fetch(format!("/v2/app/blobs/{}", blob.digest)).len() as u64,
            blob.size
        );
    }
    assert_eq!(fetch(format!("/v2/app/blobs/{}", blob.digest)), "any bytes");
    assert!(
        fetch(format!("/v2/app/referrers/{}", image.digest)).contains(signature.digest.as_str())
    );
    let tags: Value = serde_json::from_str(&fetch("/v2/app/tags/list".to_owned()))?;
    assert_eq!(tags["tags"], serde_json::json!(["copy", "v1", "v2"]));
    Ok(())
}

#[test]
fn a_seed_that_makes_no_sense_says_why() {
    let registry = Registry::new();
    let name = registry.seed("Not/A/Name").map(drop).unwrap_err();
    let tag = registry.seed("app").unwrap().image("not a tag");
    let scope = registry.access_token("no scope");
    for (error, quoted) in [
        (name, "Not/A/Name"),
        (tag.map(drop).unwrap_err(), "not a tag"),
        (scope.map(drop).unwrap_err(), "no"),
    ] {
        // It can be passed on as any error.
        let error: Box<dyn Error + Send + Sync> = error.into();
        let text = error.to_string();
        assert!(text.contains(&format!("{quoted:?}")), "{text}");
    }
}

#[test]
fn their_clock_says_how_late_it_is() -> Result<(), Box<dyn Error>> {
    let clock: &'static TheirClock = Box::leak(Box::new(TheirClock(Mutex::new(SystemTime::now()))));
    let registry = Registry::builder().clock(clock);
    let registry = registry.access_token_life(Duration::from_secs(10)).build();
    let token = registry.access_token("registry:catalog:*")?;
    let status =
        || run(registry.handle(get("https://registry.example/acr/v1/_catalog", &token))).status();
    assert_eq!(status(), 200);
    *clock.0.lock().unwrap() += Duration::from_secs(10);
    assert_eq!(status(), 401);
    Ok(())
}

#[test]
fn their_server_tells_where_a_request_came_in() -> Result<(), Box<dyn Error>> {
    let registry = Registry::new();
    let app = registry.seed("app")?;
    let blob = app.blob("application/octet-stream", "content");
    let token = registry.access_token("repository:app:pull")?;
    // Over TCP a request names its authority in `Host` alone; the server knows the rest.
    let mut request = get(&format!("/v2/app/blobs/{}", blob.digest), &token);
    request.extensions_mut().insert(Origin::new(
        http::uri::Scheme::HTTP,
        "127.0.0.1:5000",
        "localhost:5001",
    ));
    let response = run(registry.handle(request));
    assert_eq!(response.status(), 307);
    let location = response.headers()["location"].to_str()?.to_owned();
    assert!(location.starts_with("http://localhost:5001/"), "{location}");
    let data = Request::get(location).body(String::new())?;
    assert_eq!(text(run(registry.handle(data))), "content");
    Ok(())
}

#[test]
fn permissions_are_told_in_scopes() -> Result<(), Box<dyn Error>> {
    let builder: RegistryBuilder = Registry::builder();
    let registry = builder
        .scoped_user("puller", "word", "repository:app:pull".parse()?)
        .entra_token("developer", "repository:*:pull,push".parse()?)
        .refuse_entra_tokens()
        .build();
    registry.seed("app")?.image("v1")?;
    let basic = "Basic cHVsbGVyOndvcmQ="; // puller:word
    let ask = |path: &str| {
        let request =
            Request::get(format!("https://registry.example{path}")).header("Authorization", basic);
        run(registry.handle(request.body(String::new()).unwrap())).status()
    };
    assert_eq!(ask("/v2/app/manifests/v1"), 200);
    assert_eq!(ask("/acr/v1/app"), 401);
    Ok(())
}

#[test]
fn everything_is_shown_without_secrets_and_can_cross_threads() {
    fn shown<T: fmt::Debug + Send + Sync + 'static>(value: &T) -> String {
        format!("{value:?}")
    }
    let registry = Registry::builder()
        .user("ci", "hunter2")
        .entra_token("hunter2", "registry:catalog:*".parse().unwrap());
    let shown = [
        shown(&registry),
        shown(&registry.build()),
        shown(&VirtualClock::new()),
        shown(&Body::from("hunter2")),
    ];
    assert!(!shown.concat().contains("hunter2"), "{shown:?}");
    fn is_an_error<T: Error + Send + Sync + 'static>() {}
    is_an_error::<BodyError>();
    is_an_error::<SeedError>();
    is_an_error::<acr_mock::UnknownProfile>();
}
