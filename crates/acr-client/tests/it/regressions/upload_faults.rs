use std::io::Cursor;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use acr_client::transport::{Body, from_fn};
use acr_client::{
    Advice, BlobSource, Credential, Descriptor, Digest, Error, ErrorKind, OnProgress, Outcome,
    Progress, UploadBlobOptions,
};
use acr_mock::{Fault, FaultAction, FaultResponse, VirtualClock};
use http::{Request, Response, StatusCode};

use crate::regressions::support::{HOST, Scene};
use crate::seeded;

const MIB: usize = 1 << 20;

/// A way to upload.
#[derive(Clone, Copy, Debug)]
struct Mode {
    length: usize,
    chunk_size: Option<u64>,
    /// Whether the source can be read once.
    is_once: bool,
    /// How many requests come before the one that a fault strikes.
    before: u64,
    /// The bytes of that one.
    request: u64,
}

const MODES: [Mode; 4] = [
    // One request that is streamed.
    Mode {
        length: 4 * MIB + 7,
        chunk_size: None,
        is_once: false,
        before: 0,
        request: 4 * MIB as u64 + 7,
    },
    // Requests that are streamed by one thread.
    Mode {
        length: 3 * MIB + 9,
        chunk_size: Some(MIB as u64 + 5),
        is_once: false,
        before: 1,
        request: MIB as u64 + 5,
    },
    // Requests that are read before they are sent.
    Mode {
        length: 500_000,
        chunk_size: Some(70_000),
        is_once: false,
        before: 1,
        request: 70_000,
    },
    Mode {
        length: 500_000,
        chunk_size: Some(70_000),
        is_once: true,
        before: 1,
        request: 70_000,
    },
];

fn content(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8)
        .collect()
}

impl Mode {
    fn source(&self, path: &Path) -> BlobSource {
        let content = content(self.length);
        if self.is_once {
            return BlobSource::reader(Cursor::new(content));
        }
        std::fs::write(path, content).unwrap();
        BlobSource::file(path)
    }

    fn options(&self) -> UploadBlobOptions {
        UploadBlobOptions {
            chunk_size: self.chunk_size,
            ..UploadBlobOptions::default()
        }
    }

    /// Uploads where this fault strikes.
    fn upload(&self, scene: &Scene, fault: Fault) -> Result<Descriptor, Error> {
        let folder = tempfile::tempdir().unwrap();
        let app = scene.owner().repository_client("app").unwrap();
        scene.registry.inject(fault).unwrap();
        let source = self.source(&folder.path().join("layer"));
        scene.drive(app.upload_blob_with(source, self.options()))
    }

    /// The same, after which the blob must be there with the right bytes.
    fn arrives(&self, fault: Fault) -> Scene {
        let scene = Scene::new();
        let shown = format!("{self:?}, {fault:?}");
        let blob = self.upload(&scene, fault);
        let blob = blob.unwrap_or_else(|error| panic!("{shown}: {error}"));
        let content = content(self.length);
        assert_eq!(blob.digest, Digest::sha256(&content), "{shown}");
        let app = scene.owner().repository_client("app").unwrap();
        let bytes = scene.drive(async {
            let stream = app.download_blob(&blob.digest).await.unwrap();
            stream.bytes(content.len()).await.unwrap()
        });
        assert!(bytes == content, "{shown}");
        scene
    }

    fn chunk(&self) -> Fault {
        Fault::on("upload_chunk").after(self.before).times(1)
    }
}

#[test]
fn a_connection_that_ends_at_any_byte_of_a_request_costs_no_upload() {
    for mode in MODES {
        mode.arrives(mode.chunk().then(FaultAction::Reset));
        for taken in [0, 1, 65_536, mode.request - 1, mode.request] {
            mode.arrives(mode.chunk().then(FaultAction::ResetAfterTaking(taken)));
        }
        let end = Fault::on("complete_upload").times(1);
        mode.arrives(end.then(FaultAction::ResetAfterTaking(0)));
    }
}

#[test]
fn a_response_that_is_lost_sends_nothing_twice() {
    for mode in MODES {
        let scene = mode.arrives(mode.chunk().then(FaultAction::DropResponse));
        let sent: usize = scene.seen().iter().map(|seen| seen.body.len()).sum();
        // Beside the blob there are the requests for tokens.
        assert!(sent < mode.length + 10_000, "{mode:?}: {sent}");
        mode.arrives(
            Fault::on("complete_upload")
                .times(1)
                .then(FaultAction::DropResponse),
        );
        mode.arrives(
            Fault::on("start_upload")
                .times(1)
                .then(FaultAction::DropResponse),
        );
    }
}

#[test]
fn a_registry_that_is_busy_in_the_middle_of_an_upload_is_waited_for() {
    for mode in MODES {
        for refusal in [
            FaultResponse::too_many_requests().retry_after(3),
            FaultResponse::service_unavailable(),
            FaultResponse::internal_server_error(),
        ] {
            mode.arrives(mode.chunk().then(refusal));
            mode.arrives(Fault::on("complete_upload").times(1).then(refusal));
        }
    }
}

#[test]
fn a_token_that_is_refused_in_the_middle_has_the_same_bytes_sent_again() {
    for mode in MODES {
        mode.arrives(mode.chunk().then(FaultResponse::invalid_token()));
    }
}

#[test]
fn a_place_that_is_refused_is_asked_for() {
    for mode in MODES {
        mode.arrives(mode.chunk().then(FaultResponse::stale_location()));
        let misplaced = FaultResponse::status(StatusCode::RANGE_NOT_SATISFIABLE);
        mode.arrives(mode.chunk().then(misplaced));
    }
}

#[test]
fn an_upload_that_the_registry_has_lost_begins_anew_where_the_source_can_be_read_again() {
    for mode in MODES {
        for action in [FaultAction::LoseUpload, FaultAction::CorruptUpload] {
            if mode.is_once {
                let error = mode.upload(&Scene::new(), mode.chunk().then(action));
                let error = error.unwrap_err();
                assert_eq!(error.advice(), Advice::NewSession, "{error}");
                assert!(error.to_string().contains("read only once"), "{error}");
            } else {
                let scene = mode.arrives(mode.chunk().then(action));
                assert_eq!(scene.count("start_upload"), 2);
            }
            // Of the first chunk nothing is lost yet.
            mode.arrives(Fault::on("upload_chunk").times(1).then(action));
        }
    }
}

#[test]
fn a_registry_that_loses_every_upload_is_not_asked_for_ever() {
    for mode in MODES {
        let scene = Scene::new();
        let fault = Fault::on("upload_chunk").then(FaultAction::LoseUpload);
        let error = mode.upload(&scene, fault).unwrap_err();
        assert_eq!(error.advice(), Advice::NewSession, "{error}");
        assert_eq!(scene.count("start_upload"), 4, "{mode:?}");
    }
}

/// Uploads where the first chunk gets a 404 with this body; returns the uploads that were started too.
fn not_found(body: &'static str) -> (Result<Descriptor, Error>, u64) {
    let scene = Scene::new();
    let (registry, refused) = (scene.registry.clone(), AtomicBool::new(false));
    let transport = from_fn(move |request: Request<Body>| {
        let refuse = request.method() == "PATCH" && !refused.swap(true, Ordering::Relaxed);
        let registry = registry.clone();
        async move {
            if refuse {
                let response = Response::builder().status(StatusCode::NOT_FOUND);
                let response = response.header("Content-Type", "application/json");
                return Ok(response.body(Body::from(body)).unwrap());
            }
            let response = registry.try_handle(request).await;
            response.map(|response| response.map(Body::new))
        }
    });
    let client = seeded::builder(format!("https://{HOST}"))
        .credential(Credential::entra_token("of the owner"))
        .transport(transport)
        .clock(scene.clock.clone());
    let app = client.build().unwrap().repository_client("app").unwrap();
    let uploaded = scene.drive(app.upload_blob(content(MODES[0].length)));
    (uploaded, scene.count("start_upload"))
}

#[test]
fn a_404_that_names_nothing_begins_anew_and_one_that_names_the_repository_does_not() {
    for body in ["", "{}", "not found"] {
        let (uploaded, started) = not_found(body);
        assert_eq!(uploaded.unwrap().size, MODES[0].length as u64, "{body}");
        assert_eq!(started, 2, "{body}");
    }
    let (uploaded, started) = not_found(r#"{"errors":[{"code":"NAME_UNKNOWN","message":""}]}"#);
    assert_eq!(uploaded.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(started, 1);
}

/// How many requests two uploads of 6 MiB take of a registry where this befalls larger requests than 2 MiB.
fn requests_of_two(scene: &Scene, action: FaultAction) -> [u64; 2] {
    let app = scene.owner().repository_client("app").unwrap();
    for step in ["upload_chunk", "complete_upload"] {
        scene.registry.inject(Fault::on(step).then(action)).unwrap();
    }
    [6 * MIB, 6 * MIB + 1].map(|length| {
        let content = content(length);
        let count = || scene.count("upload_chunk") + scene.count("get_upload_status");
        let before = count();
        let blob = scene.drive(app.upload_blob(&content));
        let blob = blob.unwrap_or_else(|error| panic!("{action:?}: {error}"));
        assert_eq!(blob.digest, Digest::sha256(&content), "{action:?}");
        count() - before
    })
}

const LIMIT: u64 = 2 * MIB as u64 + 9;

#[test]
fn requests_that_are_too_large_are_halved_and_later_ones_begin_smaller() {
    let requests = requests_of_two(&Scene::new(), FaultAction::RefuseBodyOver(LIMIT));
    assert!(requests[1] < requests[0], "{requests:?}");
}

#[test]
fn requests_that_break_again_and_again_are_halved() {
    requests_of_two(&Scene::new(), FaultAction::ResetBodyOver(LIMIT));
}

#[test]
fn a_network_that_breaks_for_a_while_does_not_make_the_requests_of_later_uploads_small() {
    let scene = Scene::new();
    let app = scene.owner().repository_client("app").unwrap();
    let broken = Fault::on("upload_chunk").times(2).then(FaultAction::Reset);
    scene.registry.inject(broken).unwrap();
    let mut sent = [6 * MIB, 6 * MIB + 1].map(|length| {
        scene.seen();
        scene.drive(app.upload_blob(content(length))).unwrap();
        let bodies = scene.seen().into_iter();
        bodies.map(|seen| seen.body.len()).max().unwrap()
    });
    sent.sort_unstable();
    assert_eq!(sent, [6 * MIB, 6 * MIB + 1]);
}

#[test]
fn a_registry_that_takes_no_request_at_all_ends_in_its_refusal() {
    let scene = Scene::new();
    let fault = Fault::on("upload_chunk").then(FaultAction::RefuseBodyOver(10));
    let error = MODES[0].upload(&scene, fault).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
}

#[test]
fn an_upload_that_fails_is_cancelled_and_its_own_error_is_told() {
    for mode in MODES {
        let scene = Scene::new();
        let refused = FaultResponse::status(StatusCode::BAD_REQUEST);
        let error = mode.upload(&scene, mode.chunk().then(refused)).unwrap_err();
        assert_eq!(error.operation(), Some("upload_chunk"), "{error}");
        assert_eq!(scene.count("cancel_upload"), 1, "{mode:?}");
    }
}

#[test]
fn a_cancel_that_fails_does_not_hide_why_the_upload_did() {
    for action in [
        FaultAction::Respond(FaultResponse::denied()),
        FaultAction::Hang,
        FaultAction::Reset,
    ] {
        let scene = Scene::new();
        scene
            .registry
            .inject(Fault::on("cancel_upload").then(action))
            .unwrap();
        let refused = FaultResponse::status(StatusCode::BAD_REQUEST);
        let error = MODES[0].upload(&scene, MODES[0].chunk().then(refused));
        assert_eq!(error.unwrap_err().operation(), Some("upload_chunk"));
    }
}

#[test]
fn a_source_that_changes_under_a_streamed_upload_commits_nothing() {
    for mode in &MODES[..3] {
        for change in ["shrinks", "grows", "is written anew"] {
            let scene = Scene::new();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("layer");
            let source = mode.source(&path);
            let (registry, length) = (scene.registry.clone(), mode.length as u64);
            // The bodies go on as they are, so that they can break.
            let transport = from_fn(move |request: Request<Body>| {
                if request.method() == "PATCH" {
                    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
                    match change {
                        "shrinks" => file.set_len(length / 2).unwrap(),
                        "grows" => file.set_len(length + 1).unwrap(),
                        _ => file
                            .set_modified(std::time::SystemTime::UNIX_EPOCH)
                            .unwrap(),
                    }
                }
                let registry = registry.clone();
                async move { registry.try_handle(request).await }
            });
            let client = seeded::builder(format!("https://{HOST}"))
                .credential(Credential::entra_token("of the owner"))
                .transport(transport)
                .clock(scene.clock.clone());
            let app = client.build().unwrap().repository_client("app").unwrap();
            let uploaded = app.upload_blob_with(source, mode.options());
            let error = scene.drive(uploaded).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io, "{mode:?} {change}: {error}");
            assert_eq!(error.operation(), Some("upload_blob"), "{error}");
            assert_eq!(scene.count("complete_upload"), 0, "{mode:?} {change}");
        }
    }
}

#[test]
fn a_blob_of_another_digest_than_was_given_is_not_committed() {
    for mode in MODES {
        let scene = Scene::new();
        let folder = tempfile::tempdir().unwrap();
        let app = scene.owner().repository_client("app").unwrap();
        let options = UploadBlobOptions {
            digest: Some(Digest::sha256("other")),
            ..mode.options()
        };
        let source = mode.source(&folder.path().join("layer"));
        let error = scene.drive(app.upload_blob_with(source, options));
        assert_eq!(error.unwrap_err().kind(), ErrorKind::DigestMismatch);
        assert_eq!(scene.count("complete_upload"), 0, "{mode:?}");
    }
}

/// The events of an upload.
fn listen() -> (Arc<Mutex<Vec<Progress>>>, OnProgress) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = events.clone();
    let on_progress =
        OnProgress::from(move |progress: &Progress| told.lock().unwrap().push(progress.clone()));
    (events, on_progress)
}

#[test]
fn progress_counts_what_is_acknowledged_and_goes_back_where_bytes_are_sent_again() {
    for mode in MODES {
        let scene = Scene::new();
        let folder = tempfile::tempdir().unwrap();
        let app = scene.owner().repository_client("app").unwrap();
        scene
            .registry
            .inject(mode.chunk().then(FaultAction::Reset))
            .unwrap();
        let (events, on_progress) = listen();
        let options = UploadBlobOptions {
            on_progress,
            ..mode.options()
        };
        let source = mode.source(&folder.path().join("layer"));
        let blob = scene.drive(app.upload_blob_with(source, options)).unwrap();
        let events = events.lock().unwrap();
        let (last, others) = events.split_last().unwrap();
        assert_eq!(last.outcome, Some(Outcome::Sent), "{mode:?}");
        assert_eq!(
            (last.acknowledged, last.total),
            (blob.size, Some(blob.size))
        );
        assert_eq!(last.digest, Some(blob.digest));
        assert!(
            others.iter().all(|event| event.outcome.is_none()),
            "{mode:?}"
        );
        let acknowledged = |event: &Progress| event.acknowledged;
        assert!(
            others.iter().map(acknowledged).is_sorted(),
            "{mode:?}: {others:?}"
        );
        let goes_back = others.windows(2).any(|pair| pair[1].bytes < pair[0].bytes);
        assert!(
            goes_back || mode.request <= MIB as u64,
            "{mode:?}: {others:?}"
        );
    }
}

#[test]
fn a_blob_that_is_there_is_neither_sent_nor_asked_for_with_a_token_of_its_own() {
    let scene = Scene::new();
    let app = scene.owner().repository_client("app").unwrap();
    let blob = scene.drive(app.upload_blob(b"layer")).unwrap();
    let tokens = scene.count("request_access_token");
    scene.seen();
    let (events, on_progress) = listen();
    let options = || UploadBlobOptions {
        digest: Some(blob.digest.clone()),
        on_progress: on_progress.clone(),
        ..UploadBlobOptions::default()
    };
    // Of a source that would fail nothing is read.
    let broken = BlobSource::reopen(5, |_| Err(std::io::Error::other("not to be read")));
    let found = scene
        .drive(app.upload_blob_with(broken, options()))
        .unwrap();
    assert_eq!((found.size, found.digest), (5, blob.digest.clone()));
    let found = scene.drive(app.upload_blob(b"layer")).unwrap();
    assert_eq!(found.digest, blob.digest);
    let paths = scene.paths();
    assert_eq!(paths.len(), 2, "{paths:?}");
    assert!(
        paths.iter().all(|path| path.starts_with("HEAD ")),
        "{paths:?}"
    );
    assert_eq!(scene.count("request_access_token"), tokens);
    let events = events.lock().unwrap();
    assert_eq!(events.last().unwrap().outcome, Some(Outcome::Present));
}

#[test]
fn a_mount_that_is_refused_goes_on_in_the_upload_that_it_has_opened() {
    let scene = Scene::new();
    let client = scene.owner();
    let [from, app] = ["base", "app"].map(|name| client.repository_client(name).unwrap());
    let shared = scene.drive(from.upload_blob(b"shared")).unwrap();
    let (events, on_progress) = listen();
    let send = |content: &'static [u8]| {
        let options = UploadBlobOptions {
            mount_from: Some(from.name().clone()),
            on_progress: on_progress.clone(),
            ..UploadBlobOptions::default()
        };
        let blob = scene.drive(app.upload_blob_with(content, options)).unwrap();
        (blob, events.lock().unwrap().last().unwrap().outcome)
    };
    let started = scene.count("start_upload");
    let (mounted, outcome) = send(b"shared");
    assert_eq!((mounted.digest, mounted.size), (shared.digest, 6));
    assert_eq!(outcome, Some(Outcome::Mounted));
    let (sent, outcome) = send(b"of its own");
    assert_eq!(sent.digest, Digest::sha256("of its own"));
    assert_eq!(outcome, Some(Outcome::Sent));
    assert_eq!(scene.count("start_upload"), started);
}

#[test]
fn a_registry_that_loses_what_it_had_again_and_again_is_not_asked_until_the_clients_budget_is_spent()
 {
    let time = VirtualClock::new();
    let (asked, seen) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
    let count = seen.clone();
    let transport = from_fn(move |request: Request<Body>| {
        count.fetch_add(1, Ordering::Relaxed);
        let response = Response::builder().header("location", "/v2/app/blobs/uploads/1");
        let response = match request.method().as_str() {
            "PATCH" => response.status(500),
            // It has 3 MiB and none by turns.
            "GET" => {
                let last = (asked.fetch_add(1, Ordering::Relaxed) % 2) * ((3 << 20) - 1);
                response
                    .status(204)
                    .header("range", format!("0-{}", (3 << 20) - 1 - last))
            }
            "DELETE" => response.status(204),
            _ => response.status(202),
        };
        std::future::ready(response.body(Body::empty()).unwrap())
    });
    let client = seeded::builder("https://r.example")
        .credential(Credential::anonymous())
        .transport(transport)
        .clock(time.clone())
        .limiter(None)
        .build()
        .unwrap();
    let app = client.repository_client("app").unwrap();
    let error = time.drive(app.upload_blob(content(9 * MIB))).unwrap_err();
    assert_eq!(
        error.status(),
        Some(StatusCode::INTERNAL_SERVER_ERROR),
        "{error}"
    );
    let seen = seen.load(Ordering::Relaxed);
    assert!(seen < 20, "{seen} requests");
}
