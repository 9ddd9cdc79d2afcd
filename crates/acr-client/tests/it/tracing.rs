//! What a subscriber of `tracing` sees of calls: a span for each operation, with a child for each
//! request, in OpenTelemetry's names, and nothing secret in any of them.

use crate::seeded;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use acr_client::transport::{Body, from_fn};
use acr_client::{
    ClientBuilder, ContainerRegistryClient, Credential, Digest, RetryOptions, UploadBlobOptions,
};
use acr_mock::{Fault, FaultAction, FaultResponse, Registry, VirtualClock};
use http::{Request, StatusCode};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// When every test begins, whatever the time of day.
fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

/// A span, or an event, as a subscriber was told of it.
#[derive(Clone, Debug, Default)]
struct Told {
    name: &'static str,
    target: &'static str,
    parent: Option<u64>,
    fields: BTreeMap<&'static str, String>,
    is_closed: bool,
}

impl Told {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

/// Keeps everything that it is told.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Collected>>);

#[derive(Default)]
struct Collected {
    /// By their ids, which count from 1.
    spans: Vec<Told>,
    handles: Vec<usize>,
    events: Vec<Told>,
    entered: Vec<u64>,
}

impl Collected {
    fn span(&mut self, id: u64) -> &mut Told {
        &mut self.spans[usize::try_from(id).unwrap() - 1]
    }
}

impl Collector {
    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.0.lock().unwrap()
    }

    /// The spans of operations, and what is within each.
    fn spans(&self) -> Vec<Told> {
        let spans = self.lock().spans.clone();
        assert!(spans.iter().all(|span| span.is_closed), "a span is left");
        spans
    }

    fn operations(&self) -> Vec<(Told, Vec<Told>)> {
        let spans = self.spans();
        let numbered = || (1..).zip(&spans);
        let operations = numbered().filter(|(_, span)| span.name == "acr.operation");
        let within = |id| {
            let children = spans.iter().filter(move |span| span.parent == Some(id));
            children.cloned().collect()
        };
        operations
            .map(|(id, span)| (span.clone(), within(id)))
            .collect()
    }

    /// The one operation of this name.
    fn operation(&self, name: &str) -> (Told, Vec<Told>) {
        let operations = self.operations();
        let mut named = operations
            .iter()
            .filter(|(span, _)| span.field("acr.operation") == Some(name));
        let found = named.next().unwrap().clone();
        assert!(named.next().is_none(), "there are several of {name}");
        found
    }

    /// Everything that it was told, as text.
    fn text(&self) -> String {
        let collected = self.lock();
        format!("{:?} {:?}", collected.spans, collected.events)
    }
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "acr_client"
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut collected = self.lock();
        let metadata = attributes.metadata();
        let parent = if attributes.is_contextual() {
            collected.entered.last().copied()
        } else {
            attributes.parent().map(Id::into_u64)
        };
        let mut span = Told {
            name: metadata.name(),
            target: metadata.target(),
            parent,
            ..Told::default()
        };
        attributes.record(&mut span);
        collected.spans.push(span);
        collected.handles.push(1);
        Id::from_u64(collected.spans.len() as u64)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        values.record(self.lock().span(id.into_u64()));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut collected = self.lock();
        let mut told = Told {
            name: event.metadata().name(),
            parent: collected.entered.last().copied(),
            ..Told::default()
        };
        event.record(&mut told);
        collected.events.push(told);
    }

    fn enter(&self, id: &Id) {
        self.lock().entered.push(id.into_u64());
    }

    fn exit(&self, id: &Id) {
        let left = self.lock().entered.pop();
        assert_eq!(left, Some(id.into_u64()), "spans are left in their order");
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.lock().handles[usize::try_from(id.into_u64()).unwrap() - 1] += 1;
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut collected = self.lock();
        let handles = &mut collected.handles[usize::try_from(id.into_u64()).unwrap() - 1];
        *handles -= 1;
        let is_last = *handles == 0;
        if is_last {
            collected.span(id.into_u64()).is_closed = true;
        }
        is_last
    }
}

struct Scene {
    registry: Registry,
    clock: VirtualClock,
}

/// While there is one subscriber, a thread that reaches a span for the first time asks its own alone, and turns the span
/// off for all. So there are always two.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));

impl Scene {
    fn new() -> Self {
        LazyLock::force(&SECOND);
        let clock = VirtualClock::starting_at(start());
        let builder = Registry::builder().user("ci", PASSWORD);
        let registry = builder.clock(clock.clone()).build();
        Self { registry, clock }
    }

    fn builder(&self, credential: Credential) -> ClientBuilder {
        let registry = self.registry.clone();
        seeded::builder("https://mock.azurecr.io")
            .credential(credential)
            .transport(from_fn(move |request: Request<Body>| {
                let registry = registry.clone();
                async move { registry.try_handle(request).await }
            }))
            .clock(self.clock.clone())
    }

    fn client(&self) -> ContainerRegistryClient {
        let login = Credential::password("ci", PASSWORD);
        self.builder(login).build().unwrap()
    }

    /// Runs the work, and collects what is told meanwhile.
    fn told<F: Future>(&self, work: F) -> (F::Output, Collector) {
        let collector = Collector::default();
        let output =
            tracing::subscriber::with_default(collector.clone(), || self.clock.drive(work));
        (output, collector)
    }
}

const PASSWORD: &str = "hunter2";

fn fields<'a>(span: &'a Told, names: &[&str]) -> Vec<Option<&'a str>> {
    names.iter().map(|name| span.field(name)).collect()
}

#[test]
fn an_operation_is_a_span_and_each_request_of_it_a_child_in_the_names_of_opentelemetry() {
    let scene = Scene::new();
    scene.registry.seed("app").unwrap().image("v1").unwrap();
    let app = scene.client().repository_client("app").unwrap();
    let (got, told) = scene.told(app.get_manifest("v1"));
    got.unwrap();
    let (operation, requests) = told.operation("get_manifest");
    let names = ["otel.name", "otel.kind", "acr.repository", "acr.attempts"];
    assert_eq!(
        fields(&operation, &names),
        [
            Some("get_manifest"),
            Some("internal"),
            Some("app"),
            Some("1")
        ]
    );
    assert_eq!((operation.parent, operation.target), (None, "acr_client"));
    assert_eq!(operation.field("error.type"), None);

    // The request for the token is within the operation that needs it.
    let [token, get] = &requests[..] else {
        panic!("{requests:?}");
    };
    let names = [
        "otel.name",
        "otel.kind",
        "http.request.method",
        "url.full",
        "server.address",
        "server.port",
        "http.response.status_code",
        "acr.operation",
    ];
    let request = |path: &'static str, operation: &'static str| {
        [
            Some("GET"),
            Some("client"),
            Some("GET"),
            Some(path),
            Some("mock.azurecr.io"),
            Some("443"),
            Some("200"),
            Some(operation),
        ]
    };
    let expected = request(
        "https://mock.azurecr.io/oauth2/token",
        "request_access_token_with_login",
    );
    assert_eq!(fields(token, &names), expected);
    let expected = request(
        "https://mock.azurecr.io/v2/app/manifests/v1",
        "get_manifest",
    );
    assert_eq!(fields(get, &names), expected);
    for request in &requests {
        assert_eq!(request.name, "http.request");
        let unset = [
            "error.type",
            "otel.status_code",
            "http.request.resend_count",
        ];
        assert_eq!(fields(request, &unset), [None; 3]);
    }
}

#[test]
fn what_is_tried_again_is_counted_and_says_what_was_wrong() {
    let scene = Scene::new();
    scene.registry.seed("app").unwrap().image("v1").unwrap();
    let app = scene.client().repository_client("app").unwrap();
    let down = Fault::on("get_manifest")
        .times(1)
        .then(FaultResponse::service_unavailable());
    scene.registry.inject(down).unwrap();
    let broken = Fault::on("get_manifest").times(1).then(FaultAction::Reset);
    scene.registry.inject(broken).unwrap();
    let (got, told) = scene.told(app.get_manifest("v1"));
    got.unwrap();
    let (operation, requests) = told.operation("get_manifest");
    let names = [
        "http.request.resend_count",
        "http.response.status_code",
        "error.type",
        "otel.status_code",
    ];
    let seen = requests[1..].iter().map(|request| fields(request, &names));
    let seen: Vec<_> = seen.collect();
    assert_eq!(
        seen,
        [
            [None, Some("503"), Some("503"), Some("ERROR")],
            [Some("1"), None, Some("Transport"), Some("ERROR")],
            [Some("2"), Some("200"), None, None],
        ]
    );
    // It went well in the end.
    let names = ["acr.attempts", "error.type", "otel.status_code"];
    assert_eq!(fields(&operation, &names), [Some("3"), None, None]);

    let events = told.lock().events.clone();
    assert_eq!(events.len(), 2);
    for (at, event) in (1..).zip(&events) {
        assert_eq!(event.field("failed_attempts"), Some(&*at.to_string()));
        assert!(event.field("pause_ms").is_some());
        let operation = told.lock().span(event.parent.unwrap()).name;
        assert_eq!(operation, "acr.operation");
    }
}

#[test]
fn an_operation_that_fails_says_by_what() {
    let scene = Scene::new();
    scene.registry.seed("app").unwrap().image("v1").unwrap();
    let app = scene.client().repository_client("app").unwrap();
    let down = Fault::on("get_manifest").then(FaultResponse::service_unavailable());
    scene.registry.inject(down).unwrap();
    let names = ["acr.attempts", "error.type", "otel.status_code"];
    let (got, told) = scene.told(async {
        app.get_tag_properties("v9").await.unwrap_err();
        app.get_manifest("v1").await.unwrap_err();
        app.download_blob(Digest::sha256("none")).await.unwrap_err()
    });
    drop(got);
    for (name, expected) in [
        ("get_tag_properties", ["1", "NotFound", "ERROR"]),
        ("get_manifest", ["5", "Registry", "ERROR"]),
        ("get_blob", ["1", "NotFound", "ERROR"]),
    ] {
        let (operation, _) = told.operation(name);
        assert_eq!(fields(&operation, &names), expected.map(Some), "{name}");
    }
}

#[test]
fn what_is_made_of_operations_is_a_span_around_theirs() {
    let scene = Scene::new();
    let client = scene.client();
    let app = client.repository_client("app").unwrap();
    let options = UploadBlobOptions {
        chunk_size: Some(4),
        ..UploadBlobOptions::default()
    };
    let (done, told) = scene.told(async {
        app.upload_blob_with(b"0123456789", options).await.unwrap();
        let request = Request::get("/v2/").body("").unwrap();
        client.authorized_request(request, "").await.unwrap();
        client.access_token("repository:other:pull").await.unwrap()
    });
    drop(done);
    let (upload, steps) = told.operation("upload_blob");
    assert_eq!(upload.field("acr.repository"), Some("app"));
    let steps: Vec<_> = steps
        .iter()
        .map(|step| step.field("acr.operation").unwrap())
        .collect();
    let expected = [
        "start_upload",
        "upload_chunk",
        "upload_chunk",
        "complete_upload",
    ];
    assert_eq!(steps, expected);
    for name in ["authorized_request", "access_token"] {
        let (_, requests) = told.operation(name);
        assert!(!requests.is_empty(), "{name}");
        let is_request = |span: &Told| span.name == "http.request";
        assert!(requests.iter().all(is_request), "{requests:?}");
    }
    // No request stands alone.
    let mut requests = told.spans();
    requests.retain(|span| span.name == "http.request");
    assert!(requests.iter().all(|request| request.parent.is_some()));
}

#[test]
fn a_span_ends_with_a_future_that_is_dropped() {
    let scene = Scene::new();
    let silent = Fault::any().then(FaultAction::Hang);
    scene.registry.inject(silent).unwrap();
    let app = scene.client().repository_client("app").unwrap();
    let ((), told) = scene.told(async {
        let call = std::pin::pin!(app.get_manifest("v1"));
        let short = scene.clock.sleep(Duration::from_millis(10));
        let outcome = futures_util::future::select(call, short).await;
        assert!(matches!(outcome, futures_util::future::Either::Right(_)));
    });
    let (_, requests) = told.operation("get_manifest");
    assert_eq!(requests.len(), 1);
    assert!(told.lock().entered.is_empty());
}

#[test]
fn nothing_that_is_told_holds_a_query_a_token_a_password_or_a_signature() {
    let scene = Scene::new();
    let seed = scene.registry.seed("app").unwrap();
    seed.image("v1").unwrap();
    let blob = seed.blob("application/octet-stream", "layer");
    let entra = "entra-token-of-the-owner";
    let tokens = Arc::new(Mutex::new(Vec::new()));
    for credential in [
        Credential::password("ci", PASSWORD),
        Credential::entra_token(entra),
    ] {
        // Everything fails once before it succeeds, and the storage does for good in the end.
        for fault in [
            Fault::on("request_access_token").times(1),
            Fault::on("exchange_entra_token").times(1),
            Fault::on("request_access_token_with_login").times(1),
            Fault::on("get_blob").times(1),
            Fault::on("upload_chunk").times(1),
            Fault::on_data().times(1),
        ] {
            let busy = FaultResponse::service_unavailable();
            scene.registry.inject(fault.then(busy)).unwrap();
        }
        let broken = Fault::on_data().times(1).then(FaultAction::Reset);
        scene.registry.inject(broken).unwrap();
        let builder = scene.builder(credential).retry(RetryOptions {
            max_retries: 3,
            ..seeded::retry()
        });
        let client = builder.build().unwrap();
        let app = client.repository_client("app").unwrap();
        let held = tokens.clone();
        let (url, told) = scene.told(async {
            app.download_blob(&blob.digest)
                .await
                .unwrap()
                .bytes(99)
                .await
                .unwrap();
            let options = UploadBlobOptions {
                chunk_size: Some(4),
                ..UploadBlobOptions::default()
            };
            app.upload_blob_with(b"0123456789", options).await.unwrap();
            app.list_tag_properties().collect_all().await.unwrap();
            let gone = Fault::on_data().then(FaultResponse::expired_url());
            let gone = scene.registry.inject(gone).unwrap();
            app.download_blob(&blob.digest).await.unwrap_err();
            gone.remove();
            let location = app.blob_url(&blob.digest).await.unwrap();
            let token = client.access_token("repository:app:pull").await.unwrap();
            held.lock().unwrap().push(token.unwrap());
            location.url().clone()
        });
        let text = told.text();
        let token = tokens.lock().unwrap().pop().unwrap();
        let mut signature = url.query().unwrap().split('&');
        let signature = signature.find(|pair| pair.starts_with("sig="));
        let signature = signature.unwrap().to_owned();
        for secret in [
            PASSWORD,
            entra,
            token.token().expose(),
            &signature,
            "sig=",
            "_state",
            "Bearer ",
            "Basic ",
            "eyJ",
            "api-version",
            "scope=",
            "?",
        ] {
            assert!(!text.contains(secret), "{secret} is told: {text}");
        }
        // It did tell of all of them.
        let spans = told.spans();
        let hosts = spans.iter().filter_map(|span| span.field("server.address"));
        let hosts: Vec<_> = hosts.collect();
        assert!(hosts.contains(&"mock.azurecr.io"));
        assert!(hosts.contains(&url.host().unwrap()), "{hosts:?}");
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        let failed = spans
            .iter()
            .filter(|span| span.field("error.type") == Some(unavailable.as_str()));
        assert!(failed.count() >= 4);
    }
}

#[test]
fn without_a_subscriber_that_listens_everything_goes_on() {
    struct Deaf;
    impl Subscriber for Deaf {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() < Level::ERROR
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, _: &Event<'_>) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }
    let scene = Scene::new();
    scene.registry.seed("app").unwrap().image("v1").unwrap();
    let app = scene.client().repository_client("app").unwrap();
    let got = tracing::subscriber::with_default(Deaf, || scene.clock.drive(app.get_manifest("v1")));
    got.unwrap();
}
