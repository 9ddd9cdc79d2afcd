//! Responses that are not responses.

use super::*;

/// Whatever a success looks like, reading it does not panic.
#[test]
fn no_response_makes_an_operation_panic() {
    let names = [
        CONTENT_LENGTH,
        CONTENT_TYPE,
        LOCATION,
        RANGE,
        LINK,
        headers::DOCKER_CONTENT_DIGEST,
        headers::OCI_SUBJECT,
        headers::OCI_TAG,
        headers::OCI_CHUNK_MIN_LENGTH,
        headers::OCI_FILTERS_APPLIED,
        CONTENT_RANGE,
    ];
    let value = prop_oneof![
        odd_text(),
        "[0-9]{1,21}",
        "[0-9-]{1,21}-[0-9]{1,21}",
        digest().prop_map(String::from),
        "</?[a-z]{1,9}>; rel=\"?next\"?",
        "(https?:/)?/[a-z@:]{0,9}(/[a-z]{0,9})?(\\?[a-z=]{0,9})?",
        "bytes [0-9]{1,21}-[0-9]{1,21}/([0-9]{1,21}|\\*)",
    ];
    let body = prop_oneof![
        vec(any::<u8>(), 0..60),
        "[\\[\\]{}:,\"a-z0-9 ]{0,60}".prop_map(String::into_bytes),
        Just(br#"{"tags":[null],"repositories":[7],"registry":null}"#.to_vec()),
    ];
    let response = (
        vec((proptest::sample::select(names.to_vec()), value), 0..6),
        body,
    );
    let location = UploadLocation::new("/v2/a/blobs/uploads/0f30").expect("a location");
    let (repository, digest) = (name("a"), Digest::sha256(b""));
    for_all(1500, &response, |(fields, body)| {
        let mut response = Response::new(());
        for (name, value) in fields {
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                response.headers_mut().append::<HeaderName>(name, value);
            }
        }
        let (mut head, ()) = response.into_parts();
        let body = Bytes::from(body);
        macro_rules! read {
            ($($operation:expr;)*) => {$({
                let operation = $operation;
                for status in [200, 201, 202, 204, 206, 404] {
                    head.status = StatusCode::from_u16(status).expect("a status");
                    if let Err(error) = operation.decode(&head, body.clone()) {
                        prop_assert!(!error.to_string().is_empty());
                    }
                }
            })*};
        }
        let (repository, digest) = (repository.clone(), digest.clone());
        read! {
            ListRepositoryNames::default();
            DeleteRepository { repository: repository.clone() };
            GetRepositoryProperties { repository: repository.clone() };
            list_tag_properties(repository.clone());
            GetTagProperties { repository: repository.clone(), tag: tag_named("v1") };
            ListTags { repository: repository.clone(), query: ListQuery::default() };
            list_manifest_properties(repository.clone());
            GetManifestProperties { repository: repository.clone(), digest: digest.clone() };
            ListReferrers { repository: repository.clone(), digest: digest.clone(), artifact_type: None, query: Default::default() };
            GetManifest { repository: repository.clone(), reference: tag_named("v1").into(), accept: vec![] };
            HeadManifest { repository: repository.clone(), reference: (&digest).into(), accept: vec![] };
            SetManifest {
                repository: repository.clone(), reference: tag_named("v1").into(), bytes: Bytes::new(),
                media_type: MediaType::OCI_MANIFEST, tags: vec![],
            };
            HeadBlob { repository: repository.clone(), digest: digest.clone() };
            GetBlob { repository: repository.clone(), digest: digest.clone(), range: None };
            MountBlob { repository: repository.clone(), digest: digest.clone(), from: None };
            StartUpload { repository: repository.clone(), digest: None };
            UploadChunk { repository: repository.clone(), location: location.clone(), range: None };
            CompleteUpload { repository: repository.clone(), location: location.clone(), digest: None, range: None };
            ExchangeEntraToken::default();
            RequestAccessToken::default();
        }
        Ok(())
    });
}
