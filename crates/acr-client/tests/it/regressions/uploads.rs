use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use acr_client::clock::{Clock, Sleep, VirtualClock};
use acr_client::transport::{Body, TransportError, TransportErrorKind, from_fn};
use acr_client::{
    Advice, BlobSource, Credential, Digest, ErrorKind, RepositoryClient, UploadBlobOptions,
};
use acr_mock::{Fault, FaultAction, FaultResponse};
use http::{Method, Request, Response, StatusCode};

use crate::regressions::support::{HOUR, Scene};
use crate::seeded;

fn chunks_of(chunk_size: usize) -> UploadBlobOptions {
    UploadBlobOptions {
        chunk_size: Some(chunk_size as u64),
        skip_existing: Some(false),
        ..UploadBlobOptions::default()
    }
}

/// Pauses take no time, and nothing is silent: sleeps of 5 seconds and more never end.
#[derive(Debug)]
struct Pauses(VirtualClock);

impl Clock for Pauses {
    fn now(&self) -> SystemTime {
        self.0.now()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        if duration >= Duration::from_secs(5) {
            return Box::pin(std::future::pending());
        }
        self.0.advance(duration);
        Box::pin(std::future::ready(()))
    }
}

/// A repository of a server that is this function.
fn served<F>(response: F) -> RepositoryClient
where
    F: Fn(&Request<Body>) -> Result<Response<String>, TransportError> + Send + Sync + 'static,
{
    let transport = from_fn(move |request| std::future::ready(response(&request)));
    seeded::builder("https://r.example")
        .credential(Credential::anonymous())
        .transport(transport)
        .clock(Pauses(VirtualClock::new()))
        .build()
        .unwrap()
        .repository_client("app")
        .unwrap()
}

fn reset() -> TransportError {
    TransportError::new(TransportErrorKind::Interrupted, "reset")
}

fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Response<String> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.to_owned()).unwrap()
}

const PLACE: (&str, &str) = ("location", "/v2/app/blobs/uploads/1?_state=a");

#[tokio::test]
async fn an_upload_that_ends_while_its_end_is_repeated_is_done() {
    let digest = Digest::sha256("layer");
    let ends = Arc::new(Mutex::new(0));
    let (known, count) = (digest.to_string(), ends.clone());
    let app = served(move |request| {
        Ok(match *request.method() {
            Method::POST => response(202, &[PLACE], ""),
            // The first one is still at work when the registry is asked how far the upload is.
            Method::PUT => {
                *count.lock().unwrap() += 1;
                if *count.lock().unwrap() == 1 {
                    return Err(reset());
                }
                let unknown = r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"gone"}]}"#;
                response(404, &[], unknown)
            }
            Method::GET => response(204, &[PLACE, ("range", "0-4")], ""),
            Method::HEAD => {
                let headers = [("content-length", "5"), ("docker-content-digest", &*known)];
                response(200, &headers, "")
            }
            _ => response(400, &[], ""),
        })
    });
    let uploaded = app.upload_blob_with(b"layer", chunks_of(9));
    let blob = uploaded.await.unwrap();
    assert_eq!((blob.digest, *ends.lock().unwrap()), (digest, 2));
}

#[tokio::test]
async fn a_registry_that_says_no_more_than_not_found_of_an_upload_that_is_done_is_believed() {
    let digest = Digest::sha256("layer").to_string();
    let app = served(move |request| {
        Ok(match *request.method() {
            Method::POST => response(202, &[PLACE], ""),
            Method::PUT => return Err(reset()),
            Method::HEAD => {
                let headers = [("content-length", "5"), ("docker-content-digest", &*digest)];
                response(200, &headers, "")
            }
            _ => response(
                404,
                &[("content-type", "text/plain")],
                "404 page not found\n",
            ),
        })
    });
    app.upload_blob_with(b"layer", chunks_of(9)).await.unwrap();
}

#[tokio::test]
async fn a_length_on_a_response_without_a_body_is_no_loss() {
    let app = served(|_| {
        let headers = [PLACE, ("range", "0-4"), ("content-length", "5")];
        Ok(response(204, &headers, ""))
    });
    let upload = app.resume_upload(PLACE.1).await.unwrap();
    assert_eq!(upload.offset(), 5);
}

#[test]
fn a_blob_that_is_said_to_have_another_length_is_sent_all_the_same() {
    let support = Scene::new();
    let _held = support.seed("app").blob("text/plain", "0123456789");
    let lie = Fault::on("head_blob").then(FaultAction::AnnounceLength(4));
    support.registry.inject(lie).unwrap();
    let app = support.owner().repository_client("app").unwrap();
    let uploaded = support.drive(app.upload_blob(&b"0123456789"[..])).unwrap();
    assert_eq!(uploaded.size, 10);
    assert_eq!(support.count("complete_upload"), 1);
}

#[test]
fn a_chunk_that_is_too_much_is_tried_as_often_as_the_options_say() {
    for operation in ["upload_chunk", "complete_upload"] {
        let support = Scene::new();
        let app = support.owner().repository_client("app").unwrap();
        let busy = Fault::on(operation).then(FaultResponse::too_many_requests());
        support.registry.inject(busy).unwrap();
        let uploaded = app.upload_blob_with(vec![7; 3000], chunks_of(1000));
        let error = support.drive(uploaded).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Throttled, "{error}");
        assert_eq!(support.count(operation), 5, "{error}");
    }
}

#[test]
fn a_refused_place_is_asked_for_also_where_the_response_cannot_tell_one_byte_from_none() {
    for after in 0..3 {
        for operation in ["upload_chunk", "complete_upload"] {
            let support = Scene::new();
            let app = support.owner().repository_client("app").unwrap();
            let refuse = FaultResponse::status(StatusCode::RANGE_NOT_SATISFIABLE);
            let misplaced = Fault::on(operation).after(after).times(1).then(refuse);
            support.registry.inject(misplaced).unwrap();
            let uploaded = app.upload_blob_with(b"abcd", chunks_of(1));
            let blob = support.drive(uploaded).unwrap();
            assert_eq!(blob.digest, Digest::sha256("abcd"));
        }
    }
}

#[test]
fn an_upload_that_is_lost_says_what_went_wrong_first() {
    let support = Scene::new();
    let app = support.owner().repository_client("app").unwrap();
    let broken = Fault::on("upload_chunk")
        .after(1)
        .times(1)
        .then(FaultAction::Reset);
    support.registry.inject(broken).unwrap();
    let lost = Fault::on("get_upload_status")
        .times(1)
        .then(FaultAction::LoseUpload);
    support.registry.inject(lost).unwrap();
    let source = BlobSource::reader(std::io::Cursor::new(vec![7; 3000]));
    let uploaded = app.upload_blob_with(source, chunks_of(1000));
    let error = support.drive(uploaded).unwrap_err();
    assert_eq!(error.advice(), Advice::NewSession, "{error}");
    let first = std::error::Error::source(&error).unwrap();
    let first = first.downcast_ref::<acr_client::Error>().unwrap();
    assert_eq!(first.operation(), Some("upload_chunk"));
    assert_eq!(first.kind(), ErrorKind::Transport);
}

#[test]
fn a_body_is_not_sent_bare_because_the_registry_was_busy_when_it_was_asked() {
    for refuse in [
        FaultResponse::too_many_requests(),
        FaultResponse::service_unavailable(),
    ] {
        let support = Scene::new();
        let image = support.seed("app").image("v1").unwrap();
        let login = Credential::password("ci", "hunter2");
        let client = support.builder_at("https://registry.example", login);
        let app = client.build().unwrap().repository_client("app").unwrap();
        let busy = Fault::on("ping").before_credentials().times(1).then(refuse);
        support.registry.inject(busy).unwrap();
        support.drive(app.set_manifest("v2", &image)).unwrap();
        for seen in support.seen() {
            let is_bare = !seen.headers.contains_key("authorization");
            assert!(seen.body.is_empty() || !is_bare, "{}", seen.line);
        }
    }
}

#[test]
fn a_chunk_is_repeated_where_it_was_the_question_before_it_that_was_lost() {
    let support = Scene::new();
    let login = || Credential::password("ci", "hunter2");
    let builder = support.builder_at("https://registry.example", login());
    let app = builder.build().unwrap().repository_client("app").unwrap();
    let begun = support.drive(app.start_upload()).unwrap();
    // Another process goes on, which does not know yet what the registry wants.
    let builder = support.builder_at("https://registry.example", login());
    let app = builder.build().unwrap().repository_client("app").unwrap();
    let lost = Fault::on("ping").before_credentials().times(1);
    let lost = lost.then(FaultAction::DropResponse);
    support.registry.inject(lost).unwrap();
    let resumed = support.drive(app.resume_upload(begun.state()));
    support.drive(resumed.unwrap().append("abc")).unwrap();
    assert_eq!(support.count("upload_chunk"), 1);
}

/// What may befall a request, drawn by number; the bytes say how much of a body is taken.
fn trouble(kind: u64, bytes: u64) -> FaultAction {
    match kind {
        0 => FaultAction::Reset,
        1 => FaultAction::DropResponse,
        2 => FaultAction::Hang,
        3 => FaultAction::ResetAfterTaking(bytes),
        4 => FaultAction::Respond(FaultResponse::service_unavailable()),
        5 => FaultAction::Respond(FaultResponse::too_many_requests().retry_after(1)),
        MISPLACED => FaultAction::Respond(FaultResponse::status(StatusCode::RANGE_NOT_SATISFIABLE)),
        7 => FaultAction::Respond(FaultResponse::status(StatusCode::BAD_REQUEST)),
        8 => FaultAction::LoseUpload,
        9 => FaultAction::CorruptUpload,
        10 => FaultAction::DelayResponse(Duration::from_secs(90)),
        11 => FaultAction::Respond(FaultResponse::internal_server_error()),
        _ => FaultAction::Respond(FaultResponse::invalid_token()),
    }
}

const TROUBLES: u64 = 13;
const MISPLACED: u64 = 6;
const STEPS: [&str; 5] = [
    "start_upload",
    "upload_chunk",
    "get_upload_status",
    "complete_upload",
    "head_blob",
];

/// One upload through faults that the seed draws. Tells whether it came through.
fn weather(seed: u64) -> bool {
    let mut random = fastrand::Rng::with_seed(seed);
    let support = Scene::new();
    let app = support.owner().repository_client("app").unwrap();
    let chunk_size = random.usize(1..8);
    let content: Vec<u8> = (0..random.usize(0..30)).map(|at| at as u8).collect();
    let (mut told, mut lies) = (Vec::new(), 0);
    for _ in 0..random.usize(1..6) {
        let step = STEPS[random.usize(..STEPS.len())];
        let kind = random.u64(..TROUBLES);
        let action = trouble(kind, random.u64(0..9));
        let fault = Fault::on(step).after(random.u64(0..4));
        let fault = fault.times(random.u64(1..4)).then(action);
        // Not every trouble fits every step.
        if support.registry.inject(fault.clone()).is_ok() {
            told.push(fault);
            lies += u32::from(kind == MISPLACED);
        }
    }
    let shown = || {
        format!(
            "seed {seed}: {} bytes by {chunk_size}, {told:?}",
            content.len()
        )
    };
    let uploading = app.upload_blob_with(content.clone(), chunks_of(chunk_size));
    let (uploaded, took) = support.timed(uploading);
    assert!(took < HOUR, "{}: {took:?}", shown());
    let requests = support.registry.requests().total();
    assert!(requests < 300, "{}: {requests} requests", shown());
    support.registry.clear_faults();
    let digest = Digest::sha256(&content);
    let found = support.drive(app.head_blob(&digest));
    let is_there = found.unwrap().is_some();
    match &uploaded {
        Ok(blob) => {
            assert_eq!(blob.digest, digest, "{}", shown());
            assert_eq!(blob.size, content.len() as u64, "{}", shown());
            let bytes = support.drive(async {
                let stream = app.download_blob(&digest).await.unwrap();
                stream.bytes(99).await.unwrap()
            });
            assert_eq!(bytes, content, "{}", shown());
        }
        Err(error) => {
            assert!(error.operation().is_some(), "{}: {error:?}", shown());
            // No trouble loses bytes or sends them twice. A registry that says that a byte is in the
            // wrong place where it is in the right one may be told one too few.
            let is_damage = error.kind() == ErrorKind::DigestMismatch;
            assert!(!is_damage || lies > 0, "{}: {error}", shown());
            let is_known = matches!(
                error.kind(),
                ErrorKind::NotFound
                    | ErrorKind::Registry
                    | ErrorKind::Throttled
                    | ErrorKind::Timeout
                    | ErrorKind::Transport
                    | ErrorKind::Unauthorized
                    | ErrorKind::DigestMismatch
            );
            assert!(is_known, "{}: {error}", shown());
            // What the client could know it does not deny: an upload that is said to be lost is.
            let is_lost = error.advice() == Advice::NewSession;
            let asked = support.count("head_blob") > 1;
            assert!(!(is_lost && is_there) || asked, "{}: {error}", shown());
        }
    }
    uploaded.is_ok()
}

#[test]
fn whatever_befalls_an_upload_it_ends_in_its_bytes_or_in_an_error_that_says_why() {
    let through = (0..600).filter(|seed| weather(*seed)).count();
    println!("{through} of 600 came through");
    // Most of it heals.
    assert!(through > 400, "{through}");
}

#[test]
fn a_single_trouble_that_can_heal_never_ends_an_upload() {
    for step in ["start_upload", "upload_chunk", "complete_upload"] {
        for kind in [0, 1, 2, 3, 4, 5, MISPLACED, 10, 11] {
            for (after, bytes) in [(0, 0), (0, 1), (1, 2), (2, 3), (3, 1)] {
                for chunk_size in [1, 3, 40] {
                    if step == "start_upload" && matches!(kind, 3 | MISPLACED) {
                        continue;
                    }
                    let support = Scene::new();
                    let app = support.owner().repository_client("app").unwrap();
                    let action = trouble(kind, bytes);
                    let fault = Fault::on(step).after(after).times(1).then(action);
                    support.registry.inject(fault).unwrap();
                    let uploading = app.upload_blob_with(b"01234567", chunks_of(chunk_size));
                    let blob = support.drive(uploading).unwrap_or_else(|error| {
                        panic!("{step} {action:?} after {after}, by {chunk_size}: {error}")
                    });
                    assert_eq!(blob.digest, Digest::sha256("01234567"));
                }
            }
        }
    }
}

#[tokio::test]
async fn an_upload_whose_registry_claims_to_hold_more_than_can_be_counted_ends_in_an_error() {
    let held = u64::MAX.to_string();
    let app = served(move |request| {
        let range = ("range", &*format!("0-{held}"));
        Ok(match *request.method() {
            Method::GET => response(204, &[PLACE, range], ""),
            _ => response(202, &[PLACE, range], ""),
        })
    });
    let mut upload = app.resume_upload(PLACE.1).await.unwrap();
    for bytes in ["a", "ab"] {
        let error = upload.append(bytes).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        let digest = Digest::sha256("ab");
        let error = upload.complete_with(digest, bytes).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert_eq!(upload.offset(), u64::MAX);
    }
}

#[test]
fn a_chunk_that_failed_when_a_part_of_it_had_come_can_be_sent_again_as_it_is() {
    for step in ["upload_chunk", "complete_upload"] {
        let support = Scene::new();
        let app = support.owner().repository_client("app").unwrap();
        let inject = |fault| support.registry.inject(fault).unwrap();
        inject(
            Fault::on(step)
                .times(1)
                .then(FaultAction::ResetAfterTaking(3)),
        );
        inject(Fault::on(step).then(FaultResponse::service_unavailable()));
        let digest = Digest::sha256("abcdefgh");
        support.drive(async {
            let mut upload = app.start_upload().await.unwrap();
            let failed = match step {
                "upload_chunk" => upload.append("abcdefgh").await,
                _ => upload.complete_with(&digest, "abcdefgh").await.map(drop),
            };
            let error = failed.unwrap_err();
            assert_eq!(
                (error.is_retryable(), upload.offset()),
                (true, 0),
                "{error}"
            );
            support.registry.clear_faults();
            match step {
                "upload_chunk" => {
                    upload.append("abcdefgh").await.unwrap();
                    assert_eq!(upload.offset(), 8);
                    upload.complete(&digest).await.unwrap()
                }
                _ => upload.complete_with(&digest, "abcdefgh").await.unwrap(),
            }
        });
    }
}
