use std::sync::Mutex;

use acr_client::{Advice, BlobSource, Digest, ErrorKind, UploadBlobOptions};
use wiremock::matchers::{any, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::hostile::{over, repository, response, seen, text};

const OPEN: &str = "/v2/app/blobs/uploads/1?_state=a%3D";

fn chunks_of(chunk_size: usize) -> UploadBlobOptions {
    UploadBlobOptions {
        chunk_size: Some(chunk_size as u64),
        skip_existing: Some(false),
        ..Default::default()
    }
}

fn open(location: &str) -> ResponseTemplate {
    ResponseTemplate::new(202)
        .insert_header("Location", location)
        .insert_header("Range", "0-0")
}

async fn serve(server: &MockServer, to: &str, response: ResponseTemplate) {
    Mock::given(method(to))
        .respond_with(response)
        .mount(server)
        .await;
}

#[tokio::test]
async fn a_location_on_another_origin_gets_nothing() {
    let evil = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(201))
        .mount(&evil)
        .await;
    let target = format!("{}/uploads/1", evil.uri());
    let server = MockServer::start().await;
    serve(&server, "POST", open(&target)).await;
    let error = repository(&server).upload_blob(b"content").await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{}", text(&error));

    let server = MockServer::start().await;
    serve(&server, "POST", open(OPEN)).await;
    serve(&server, "PATCH", open(&target)).await;
    let uploaded = repository(&server)
        .upload_blob_with(b"content", chunks_of(4))
        .await;
    assert_eq!(uploaded.unwrap_err().kind(), ErrorKind::Protocol);

    let resumed = repository(&server).resume_upload(&target).await;
    let error = resumed.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{}", text(&error));
    assert!(seen(&evil).await.is_empty());
}

#[tokio::test]
async fn an_absolute_location_on_the_registry_is_followed_and_kept_relative() {
    let server = MockServer::start().await;
    serve(&server, "POST", open(&format!("{}{OPEN}", server.uri()))).await;
    serve(&server, "PUT", ResponseTemplate::new(201)).await;
    let repository = repository(&server);
    let started = repository.start_upload().await.unwrap();
    assert_eq!(started.location(), OPEN);
    let blob = repository.upload_blob(b"content").await.unwrap();
    assert_eq!(blob.digest, Digest::sha256("content"));
    let put = server.received_requests().await.unwrap().pop().unwrap();
    let digest = blob.digest.as_str().replace(':', "%3A");
    assert_eq!(
        put.url.query().unwrap(),
        format!("_state=a%3D&digest={digest}")
    );
    assert_eq!(put.body, b"content");
}

#[tokio::test]
async fn a_response_without_what_the_next_step_needs_is_a_protocol_error() {
    for start in [
        ResponseTemplate::new(202),
        ResponseTemplate::new(202).insert_header("Location", "#"),
        open(OPEN).insert_header("Range", "nonsense"),
        ResponseTemplate::new(201)
            .insert_header("Docker-Content-Digest", Digest::sha256("").as_str()),
        ResponseTemplate::new(200),
        ResponseTemplate::new(307).insert_header("Location", "/elsewhere"),
    ] {
        let server = MockServer::start().await;
        serve(&server, "POST", start).await;
        let app = repository(&server);
        let uploaded = app.upload_blob_with(b"content", chunks_of(9)).await;
        let error = uploaded.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{}", text(&error));
        assert_eq!(seen(&server).await.len(), 1);
    }
}

#[tokio::test]
async fn a_blob_that_arrives_with_another_digest_is_a_mismatch() {
    let other = Digest::sha256("other");
    for end in [
        ResponseTemplate::new(201).insert_header("Docker-Content-Digest", other.as_str()),
        ResponseTemplate::new(400)
            .set_body_string(r#"{"errors":[{"code":"DIGEST_INVALID","message":"no"}]}"#),
    ] {
        let server = MockServer::start().await;
        serve(&server, "POST", open(OPEN)).await;
        serve(&server, "PUT", end).await;
        let error = repository(&server).upload_blob(b"content").await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{}", text(&error));
        assert_eq!(error.operation(), Some("complete_upload"));
    }
}

#[tokio::test]
async fn a_lost_upload_advises_a_new_one() {
    let server = MockServer::start().await;
    serve(&server, "POST", open(OPEN)).await;
    let gone = ResponseTemplate::new(404)
        .set_body_string(r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"gone"}]}"#);
    serve(&server, "PUT", gone).await;
    let error = repository(&server).upload_blob(b"content").await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{}", text(&error));
    assert_eq!(error.advice(), Advice::NewSession);
}

#[tokio::test]
async fn nothing_is_committed_of_a_file_that_changes_under_the_upload() {
    for change in ["grows", "shrinks"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("layer");
        std::fs::write(&path, "0123456789abcdef").unwrap();
        let (changed, seen) = (path.clone(), std::sync::Arc::new(Mutex::new(Vec::new())));
        let kept = seen.clone();
        let repository = over(move |request| {
            kept.lock().unwrap().push(request.method().to_string());
            if request.method() == "PATCH" {
                let file = std::fs::OpenOptions::new().write(true).open(&changed);
                let length = if change == "grows" { 40 } else { 9 };
                file.unwrap().set_len(length).unwrap();
            }
            response(202, &[("location", OPEN), ("range", "0-0")], "")
        });
        let uploaded = repository
            .upload_blob_with(path.as_path(), chunks_of(4))
            .await;
        let error = uploaded.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{change}: {}", text(&error));
        assert!(
            error.to_string().contains("had 16 bytes, now it has"),
            "{error}"
        );
        assert_eq!(error.operation(), Some("upload_blob"));
        let seen = seen.lock().unwrap();
        assert!(!seen.contains(&"PUT".to_owned()), "{change}: {seen:?}");
    }
}

#[tokio::test]
async fn a_source_that_fails_ends_the_upload() {
    let server = MockServer::start().await;
    let missing = BlobSource::file("/no/such/file");
    let error = repository(&server).upload_blob(missing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{}", text(&error));
    assert_eq!(error.operation(), Some("upload_blob"));
    assert!(seen(&server).await.is_empty());
}

/// A registry that holds an upload, and now and then takes only a part of a chunk or none.
#[derive(Default)]
struct Flaky {
    held: Vec<u8>,
    state: u32,
    /// What to do about each chunk, the last one first; `None` is to do what is right.
    tricks: Vec<Option<Trick>>,
    manners: Manners,
}

/// With which statuses a registry takes the steps of an upload, and whether it says how much it holds.
#[derive(Clone, Copy)]
struct Manners {
    start: u16,
    chunk: u16,
    end: u16,
    tells_range: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            start: 202,
            chunk: 202,
            end: 201,
            tells_range: true,
        }
    }
}

#[derive(Clone, Copy)]
enum Trick {
    /// Takes this many bytes, and says that the location is stale.
    Take(usize),
    /// Forgets everything, and says so.
    Forget,
}

impl Flaky {
    fn response(
        &mut self,
        request: &http::Request<()>,
        body: &[u8],
    ) -> http::Response<acr_client::transport::Body> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        match request.method().as_str() {
            "POST" => return self.progress(self.manners.start),
            "GET" => return self.progress(204),
            _ => {}
        }
        match self.tricks.pop().flatten() {
            Some(Trick::Take(count)) => {
                self.held.extend_from_slice(&body[..count]);
                return self.progress(416);
            }
            Some(Trick::Forget) => {
                self.held.clear();
                return self.progress(416);
            }
            None => {}
        }
        assert!(
            query.starts_with(&format!("state={}", self.state)),
            "a stale location: {query}"
        );
        if let Some(range) = request.headers().get("content-range") {
            let expected = format!("{}-{}", self.held.len(), self.held.len() + body.len() - 1);
            if range.to_str().unwrap() != expected {
                return self.progress(416);
            }
        }
        self.held.extend_from_slice(body);
        if request.method() == "PUT" {
            let digest = Digest::sha256(&self.held);
            let named = match self.manners.end {
                201 => ("docker-content-digest", digest.to_string()),
                _ => ("location", format!("/v2/app/blobs/{digest}")),
            };
            return response(self.manners.end, &[(named.0, &named.1)], "");
        }
        self.progress(self.manners.chunk)
    }

    fn progress(&mut self, status: u16) -> http::Response<acr_client::transport::Body> {
        self.state += 1;
        let location = format!("/v2/app/blobs/uploads/1?state={}", self.state);
        let range = format!("0-{}", self.held.len().saturating_sub(1));
        let headers = [("location", location.as_str()), ("range", range.as_str())];
        let count = if self.manners.tells_range { 2 } else { 1 };
        response(status, &headers[..count], "")
    }
}

/// Uploads `content` in chunks of 4 bytes against a registry with tricks.
async fn upload(
    content: &'static [u8],
    tricks: Vec<Option<Trick>>,
) -> Result<Digest, acr_client::Error> {
    let uploaded = upload_to(Manners::default(), content, tricks).await?;
    assert_eq!(uploaded.size, content.len() as u64);
    Ok(uploaded.digest)
}

async fn upload_to(
    manners: Manners,
    content: impl Into<BlobSource>,
    mut tricks: Vec<Option<Trick>>,
) -> Result<acr_client::Descriptor, acr_client::Error> {
    tricks.reverse();
    let registry = Mutex::new(Flaky {
        tricks,
        manners,
        ..Flaky::default()
    });
    let repository = over(move |request| {
        let (parts, body) = request.into_parts();
        let body = futures_util::FutureExt::now_or_never(http_body_util::BodyExt::collect(body));
        let body = body.unwrap().unwrap().to_bytes();
        let request = http::Request::from_parts(parts, ());
        registry.lock().unwrap().response(&request, &body)
    });
    repository.upload_blob_with(content, chunks_of(4)).await
}

#[tokio::test]
async fn an_upload_goes_on_from_what_the_registry_holds() {
    let content = b"0123456789";
    let expected = Digest::sha256(content);
    for tricks in [
        vec![],
        vec![Some(Trick::Take(0))],
        vec![Some(Trick::Take(1))],
        vec![Some(Trick::Take(3))],
        vec![Some(Trick::Take(4))],
        vec![None, Some(Trick::Take(2)), Some(Trick::Take(1))],
        vec![None, None, Some(Trick::Take(0))],
        vec![None, None, Some(Trick::Take(1))],
        vec![None, None, Some(Trick::Take(2))],
    ] {
        assert_eq!(upload(content, tricks).await.unwrap(), expected);
    }
}

/// Pulp, ECR and `crane registry serve` respond to chunks and ends so.
#[tokio::test]
async fn steps_that_are_served_with_other_successes_are_taken() {
    let content = b"0123456789";
    for start in [202, 201, 200, 204] {
        for chunk in [202, 201, 200, 204] {
            for end in [201, 200, 204] {
                for tells_range in [true, false] {
                    let manners = Manners {
                        start,
                        chunk,
                        end,
                        tells_range,
                    };
                    let uploaded = upload_to(manners, content, vec![]).await;
                    assert_eq!(uploaded.unwrap().digest, Digest::sha256(content));
                }
            }
        }
    }
}

#[tokio::test]
async fn a_page_that_responds_to_every_request_is_no_step_of_an_upload() {
    let page = [("content-type", "text/html")];
    let is_refused = |error: acr_client::Error| {
        assert_eq!(error.kind(), ErrorKind::Protocol, "{}", text(&error));
    };
    for status in [200, 204] {
        let app = over(move |_| response(status, &page, ""));
        is_refused(app.start_upload().await.unwrap_err());
        is_refused(app.resume_upload(OPEN).await.unwrap_err());
        let asked = Mutex::new(false);
        let app = over(
            move |_| match std::mem::replace(&mut *asked.lock().unwrap(), true) {
                false => response(202, &[("location", OPEN)], ""),
                true => response(status, &page, ""),
            },
        );
        let mut upload = app.start_upload().await.unwrap();
        is_refused(upload.append("content").await.unwrap_err());
        is_refused(upload.status().await.unwrap_err());
        let digest = Digest::sha256("content");
        is_refused(upload.complete(digest).await.unwrap_err());
        let manifest = acr_client::Manifest::new("{}", acr_client::MediaType::OCI_MANIFEST);
        is_refused(app.set_manifest("v1", &manifest).await.unwrap_err());
    }
}

#[tokio::test]
async fn an_upload_whose_beginning_is_lost_is_given_up_where_the_source_is_read_once() {
    let content = b"0123456789";
    let tricks = || vec![None, Some(Trick::Forget)];
    let again = upload(content, tricks()).await.unwrap();
    assert_eq!(again, Digest::sha256(content));
    let once = BlobSource::reader(&content[..]);
    let error = upload_to(Manners::default(), once, tricks()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Registry, "{}", text(&error));
    assert_eq!(error.operation(), Some("upload_chunk"));
}

#[tokio::test]
async fn an_upload_that_is_refused_again_and_again_is_given_up() {
    let tricks = vec![Some(Trick::Take(0)); 9];
    let error = upload(b"0123456789", tricks).await.unwrap_err();
    assert_eq!(error.status().unwrap(), 416, "{}", text(&error));
    // Without a body there is no code.
    assert_eq!(error.code(), None);
}

#[tokio::test]
async fn a_registry_that_claims_to_hold_more_than_there_is_ends_the_upload() {
    let repository = over(|request| {
        let open = ("location", OPEN);
        match request.method().as_str() {
            "POST" => response(202, &[open, ("range", "0-0")], ""),
            "GET" => response(204, &[open, ("range", "0-18446744073709551615")], ""),
            _ => response(416, &[], ""),
        }
    });
    let error = repository.upload_blob(b"0123").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Registry, "{}", text(&error));
    assert!(error.to_string().contains("the registry holds"), "{error}");
}

#[tokio::test]
async fn an_empty_blob_and_one_of_a_whole_number_of_chunks_are_uploaded() {
    for content in [&b""[..], b"0", b"0123", b"01234567"] {
        assert_eq!(
            upload(content, vec![]).await.unwrap(),
            Digest::sha256(content)
        );
    }
}
