use acr_protocol::blob::{ByteRange, ContentRange, GetBlob};
use acr_protocol::upload::{ChunkRange, GetUploadStatus, UploadLocation};
use acr_protocol::{DecodeError, Digest, Operation};
use bytes::Bytes;
use http::header::{CONTENT_RANGE, LOCATION, RANGE};
use http::{HeaderName, HeaderValue, Response, StatusCode, response};

use crate::check::{error_is_bounded, repository, text_and_header, through_text};

/// The ranges: `Content-Range` of a blob and of a chunk, `Range` of a request and of an upload's response. What is read
/// is written and read back, no range ends before it begins or beyond its whole, and none is longer than it can be.
pub fn content_range(data: &[u8]) {
    let (text, headers) = text_and_header(RANGE, data);
    match text.parse::<ContentRange>() {
        Ok(range) => part_of_a_blob(&range),
        Err(error) => error_is_bounded(&error),
    }
    match text.parse::<ChunkRange>() {
        Ok(range) => {
            through_text(&range);
            assert!(range.first <= range.last && range.length() > 0);
            // The one range whose length is not a number of 64 bits is held to the largest.
            if range.length() < u64::MAX {
                assert_eq!(ChunkRange::new(range.first, range.length()), Some(range));
            }
        }
        Err(error) => error_is_bounded(&error),
    }
    match text.parse::<ByteRange>() {
        Ok(range) => asked_for(range),
        Err(error) => error_is_bounded(&error),
    }
    if let Some(headers) = headers {
        blob_responses(&headers[RANGE]);
        upload_responses(&headers[RANGE]);
    }
}

fn part_of_a_blob(range: &ContentRange) {
    through_text(range);
    assert!(range.first <= range.last && range.length() > 0);
    if let Some(size) = range.size {
        assert!(range.last < size && range.length() <= size);
    }
}

fn asked_for(range: ByteRange) {
    through_text(&range);
    for size in [0, 1, 1472, u64::MAX] {
        if let Some((first, last)) = range.within(size) {
            assert!(first <= last && last < size);
        }
    }
}

/// A partial response says which part it is, or is an error.
fn blob_responses(value: &HeaderValue) {
    let head = head(StatusCode::PARTIAL_CONTENT, &[(CONTENT_RANGE, value)]);
    let operation = GetBlob {
        repository: repository(),
        digest: Digest::sha256(b""),
        range: Some(ByteRange::From(0)),
    };
    match operation.decode(&head, Bytes::new()) {
        Ok(head) => {
            let range = head
                .content_range
                .unwrap_or_else(|| panic!("no part is named"));
            assert_eq!(value.to_str().ok().map(str::parse), Some(Ok(range)));
        }
        Err(error) => error_is_bounded(&error),
    }
}

/// The response of an upload says how far it is, and a registry can say so again.
fn upload_responses(value: &HeaderValue) {
    let location = UploadLocation::acr(&repository(), "0f30", "state");
    let operation = GetUploadStatus {
        repository: repository(),
        location: location.clone(),
    };
    let place = HeaderValue::try_from(location.as_str())
        .unwrap_or_else(|error| panic!("a location fits a header: {error}"));
    let head = head(
        StatusCode::NO_CONTENT,
        &[(LOCATION, &place), (RANGE, value)],
    );
    match operation.decode(&head, Bytes::new()) {
        Ok(progress) => {
            let last = progress
                .last_byte
                .unwrap_or_else(|| panic!("a range was sent"));
            let text = String::from_utf8_lossy(value.as_bytes());
            assert!(text.trim_end().ends_with(|c: char| c.is_ascii_digit()));
            assert!(last == 0 || text.contains(&last.to_string()));
            let (head, body) = operation.respond(&progress).into_parts();
            assert_eq!(operation.decode(&head, body), Ok(progress));
        }
        Err(error) => {
            assert!(matches!(error, DecodeError::Header { .. }), "{error}");
            error_is_bounded(&error);
        }
    }
}

fn head(status: StatusCode, headers: &[(HeaderName, &HeaderValue)]) -> response::Parts {
    let mut response = Response::new(());
    *response.status_mut() = status;
    for (name, value) in headers {
        response.headers_mut().insert(name, (*value).clone());
    }
    response.into_parts().0
}
