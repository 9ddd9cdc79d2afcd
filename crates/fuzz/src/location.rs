use acr_protocol::upload::{CompleteUpload, UploadChunk, UploadLocation};
use acr_protocol::{Digest, InvalidRequest, Operation};
use bytes::Bytes;
use http::header::{LOCATION, RANGE};
use http::{HeaderValue, Request, StatusCode, Uri};

use crate::check::{
    SECRET, error_hides_the_secret, error_is_bounded, repository, tells_the_secret,
    text_and_header, through_text,
};
use crate::hostile::{no_request_leaves_the_registry, response};

/// The `Location` of an upload: kept to the letter, requests go to it and to nowhere else, a digest changes nothing
/// of it, and a client sends no byte to another place than the registry.
pub fn location(data: &[u8]) {
    if tells_the_secret(data) {
        return;
    }
    let (text, headers) = text_and_header(LOCATION, data);
    match UploadLocation::new(&text) {
        Ok(location) => {
            assert_eq!(location, text);
            requests_go_to(&location);
            kept_locations_lead_nowhere_else(&location);
        }
        Err(error) => error_is_bounded(&error),
    }
    if let Some(headers) = headers {
        responses_lead_nowhere_else(&headers[LOCATION]);
    }
    for hostile in [
        [data, b"?sig=", SECRET.as_bytes()].concat(),
        [data, b"#", SECRET.as_bytes()].concat(),
        [b"https://robot:", SECRET.as_bytes(), b"@", data].concat(),
    ] {
        refusals_show_neither_login_nor_query(&hostile);
    }
}

fn requests_go_to(location: &UploadLocation) {
    through_text(location);
    let text = location.as_str();
    assert!(text.len() <= 60_000 && !text.contains('#'));
    assert!(!location.uuid().contains(['/', '?']));
    let repository = repository();
    let target: Uri = text
        .parse()
        .unwrap_or_else(|error| panic!("{text:?} was accepted, but is not a valid URI: {error}"));
    if target.authority().is_none() {
        assert!(text.starts_with('/'));
    }
    let chunk = UploadChunk {
        repository: repository.clone(),
        location: location.clone(),
        range: None,
    };
    let uri_of = |request: Result<Request<Bytes>, InvalidRequest>| {
        let request = request.unwrap_or_else(|error| panic!("{text:?} was accepted: {error}"));
        request.uri().clone()
    };
    assert_eq!(uri_of(chunk.request()), target);
    let complete = CompleteUpload {
        repository,
        location: location.clone(),
        digest: Some(Digest::sha256(b"")),
        range: None,
    };
    let with_digest = uri_of(complete.request());
    assert_eq!(with_digest.scheme(), target.scheme());
    assert_eq!(with_digest.authority(), target.authority());
    assert_eq!(with_digest.path(), target.path());
    let query = with_digest.query().unwrap_or_default();
    assert!(query.starts_with(target.query().unwrap_or_default()));
    let pair = "digest=sha256%3Ae3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert!(query.ends_with(pair), "{query}");
}

fn refusals_show_neither_login_nor_query(data: &[u8]) {
    let (text, headers) = text_and_header(LOCATION, data);
    if let Err(error) = UploadLocation::new(&text) {
        error_is_bounded(&error);
        error_hides_the_secret(&error);
    }
    if let Some(headers) = headers {
        responses_lead_nowhere_else(&headers[LOCATION]);
    }
}

/// A location that was kept, perhaps where others could change it.
fn kept_locations_lead_nowhere_else(location: &UploadLocation) {
    let location = location.clone();
    let done = no_request_leaves_the_registry(
        |request| {
            let here = request.uri().path_and_query();
            let here = here.and_then(|here| HeaderValue::from_str(here.as_str()).ok());
            let held = HeaderValue::from_static("0-0");
            let here = here.into_iter().map(|here| (LOCATION, here));
            let headers: Vec<_> = here.chain([(RANGE, held)]).collect();
            response(StatusCode::NO_CONTENT, &headers, "")
        },
        async move |repository| repository.resume_upload(location).await?.cancel().await,
    );
    if let Err(error) = done {
        assert!(error.status().is_none(), "the registry refused nothing");
    }
}

/// A location that a registry gives.
fn responses_lead_nowhere_else(location: &HeaderValue) {
    let headers = [
        (LOCATION, location.clone()),
        (RANGE, HeaderValue::from_static("0-0")),
    ];
    let location = no_request_leaves_the_registry(
        move |_| response(StatusCode::ACCEPTED, &headers, ""),
        async |repository| {
            let mut upload = repository.start_upload().await?;
            upload.append("chunk").await?;
            Ok(upload.location().clone())
        },
    );
    if let Ok(location) = location {
        assert!(location.as_str().starts_with('/'));
    }
}
