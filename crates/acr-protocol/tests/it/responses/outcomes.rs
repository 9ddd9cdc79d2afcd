//! Outcomes with arbitrary values go to a response and back.

use super::values::*;
use super::*;

/// The name of an operation, and a check over many of its outcomes.
type Case = (&'static str, Box<dyn Fn()>);

/// Outcomes of an operation go to a response and back.
fn outcomes<O, S>(strategy: S) -> Case
where
    O: Operation<Output: PartialEq + Debug> + Debug,
    S: Strategy<Value = (O, O::Output)> + 'static,
{
    let check = move || {
        for_all(150, &strategy, |(operation, output)| {
            let response = operation.respond(&output);
            prop_assert!(O::SPEC.success.contains(&response.status()));
            check_form(&response)?;
            let (head, body) = response.into_parts();
            let read = operation.decode(&head, body);
            prop_assert_eq!(read, Ok(output), "{} of {:?}", O::SPEC.name, operation);
            for status in [302, 401, 418] {
                let status = StatusCode::from_u16(status).unwrap();
                let mut head = head.clone();
                head.status = status;
                let read = operation.decode(&head, Bytes::new());
                prop_assert_eq!(read, Err(DecodeError::Status(status)));
            }
            Ok(())
        });
    };
    (O::SPEC.name, Box::new(check))
}

/// What all responses of the service have in common.
fn check_form(response: &Response<Bytes>) -> Result<(), TestCaseError> {
    let body = response.body();
    let content_type = response.headers().get(CONTENT_TYPE);
    if content_type == Some(&HeaderValue::from_static("application/json; charset=utf-8")) {
        let json: Result<serde_json::Value, _> = serde_json::from_slice(body);
        prop_assert!(json.is_ok(), "{:?}", body);
        let is_ping = body == "{}";
        prop_assert!(body.ends_with(b"\n") || is_ping);
        prop_assert!(!body.ends_with(b"\n\n") && !body.contains(&b'\r'));
    }
    if response.status() == StatusCode::NO_CONTENT {
        prop_assert!(body.is_empty() && content_type.is_none());
    }
    Ok(())
}

#[test]
fn every_outcome_is_read_back_from_its_response() {
    for (_, check) in cases() {
        check();
    }
}

#[test]
fn every_operation_is_covered() {
    let covered: BTreeSet<_> = cases().iter().map(|(name, _)| *name).collect();
    assert_eq!(covered, Route::NAMES.iter().copied().collect());
}

/// Outcomes of an operation with these fields, each field and the output of arbitrary values with a name.
macro_rules! outcome {
    ($($name:pat = $values:expr),+; $operation:expr, $output:expr) => {
        outcomes(($($values,)+).prop_map(|($($name,)+)| ($operation, $output)))
    };
}

fn cases() -> Vec<Case> {
    vec![
        // Lists.
        outcome!(page = page(repository_name()); ListRepositoryNames::default(), page),
        outcome!(page = page(repository_name()); ListRepositories::default(), page),
        outcome!(repository = repository_name(), page = page(tag());
            ListTags { repository, query: ListQuery::default() }, page),
        outcome!((repository, page) = listing(tag_properties(), |item, registry, repository| {
            item.registry_login_server = registry.to_owned();
            item.repository_name = repository.clone();
        }); list_tag_properties(repository), page),
        outcome!((repository, page) = listing(manifest_properties(), |item, registry, repository| {
            item.registry_login_server = registry.to_owned();
            item.repository_name = repository.clone();
            item.references.clear();
        }); list_manifest_properties(repository), page),
        outcome!(repository = repository_name(), digest = digest(), items = vec(descriptor(), 0..4),
            filtered = any::<bool>(), next = option::of(page_token());
            ListReferrers { repository, digest, artifact_type: None, query: ListQuery::default() },
            Page { items, filtered, next, ..Page::default() }),
        // Properties.
        outcome!(properties = repository_properties();
            GetRepositoryProperties { repository: properties.name.clone() }, properties),
        outcome!(properties = repository_properties(), attributes = changeable_attributes();
            UpdateRepositoryProperties { repository: properties.name.clone(), attributes }, properties),
        outcome!(properties = tag_properties();
            GetTagProperties { repository: properties.repository_name.clone(), tag: properties.name.clone() },
            properties),
        outcome!(properties = tag_properties(), attributes = changeable_attributes();
            UpdateTagProperties {
                repository: properties.repository_name.clone(),
                tag: properties.name.clone(),
                attributes,
            },
            properties),
        outcome!(properties = manifest_properties();
            GetManifestProperties {
                repository: properties.repository_name.clone(),
                digest: properties.digest.clone(),
            },
            properties),
        outcome!(properties = manifest_properties(), attributes = changeable_attributes();
            UpdateManifestProperties {
                repository: properties.repository_name.clone(),
                digest: properties.digest.clone(),
                attributes,
            },
            properties),
        // Deletes.
        outcome!(repository = repository_name(), gone = option::of((vec(digest(), 0..4), vec(tag(), 0..4)));
            DeleteRepository { repository }, gone.map(|(deleted_manifests, deleted_tags)| {
                let mut gone = DeletedRepository::default();
                gone.deleted_manifests = deleted_manifests;
                gone.deleted_tags = deleted_tags;
                gone
            }).into()),
        outcome!(repository = repository_name(), tag = tag(), digest = option::of(option::of(digest()));
            DeleteTag { repository, tag }, digest.into()),
        outcome!(repository = repository_name(), digest = digest(), deleted = option::of(Just(()));
            DeleteManifest { repository, reference: digest.into() }, deleted.into()),
        outcome!(repository = repository_name(), digest = digest(), deleted = option::of(Just(()));
            DeleteBlob { repository, digest }, deleted.into()),
        // Content.
        outcome!(repository = repository_name(), (bytes, reference, digest) = content(), media_type = media_type();
            GetManifest { repository, reference, accept: Vec::new() }, Manifest { bytes, media_type, digest }),
        outcome!(repository = repository_name(), (_, reference, digest) = content(), media_type = media_type(),
            size = any::<u64>();
            HeadManifest { repository, reference, accept: Vec::new() }, Descriptor::new(media_type, digest, size)),
        outcome!(repository = repository_name(), (bytes, reference, digest) = content(), media_type = media_type(),
        subject = option::of(digest()), tags = vec(tag(), 0..3);
        SetManifest { repository, reference, media_type, bytes, tags: tags.clone() }, {
            let mut accepted = AcceptedManifest::new(digest);
            accepted.subject = subject;
            accepted.tags = tags;
            accepted
        }),
        outcome!(repository = repository_name(), digest = digest(), media_type = media_type(), size = any::<u64>();
            HeadBlob { repository, digest: digest.clone() }, Descriptor::new(media_type, digest, size)),
        outcome!(repository = repository_name(), digest = digest(), content_length = option::of(any::<u64>()),
            content_range = option::of(content_range());
            GetBlob { repository, digest, range: None }, BlobHead { content_length, content_range }),
        // Uploads.
        outcome!((repository, progress) = progress(), digest = digest(), from = option::of(repository_name()),
            mounted = any::<bool>();
            MountBlob { repository, digest: digest.clone(), from }, start(mounted, digest, progress)),
        outcome!((repository, progress) = progress(), digest = digest(), [whole, created] = any::<[bool; 2]>();
            StartUpload { repository, digest: whole.then(|| digest.clone()) }, start(created, digest, progress)),
        outcome!((repository, progress) = progress();
            UploadChunk { repository, location: progress.location.clone(), range: None }, progress),
        outcome!((repository, progress) = progress();
            GetUploadStatus { repository, location: progress.location.clone() }, progress),
        outcome!((repository, UploadProgress { location, .. }) = progress(), digest = digest(), known = any::<bool>();
            CompleteUpload { repository, location, digest: known.then(|| digest.clone()), range: None }, digest),
        outcome!((repository, UploadProgress { location, .. }) = progress();
            CancelUpload { repository, location }, ()),
        // Authentication.
        outcomes(Just((Ping, ()))),
        outcome!(token = token(); ExchangeEntraToken::default(), token),
        outcome!(token = token();
            RequestAccessToken { grant: Grant::Anonymous, ..RequestAccessToken::default() }, token),
        outcome!(token = token(); RequestAccessTokenWithLogin::default(), token),
    ]
}

fn start(exists: bool, digest: Digest, progress: UploadProgress) -> UploadStart {
    match exists {
        true => UploadStart::AlreadyExists(digest),
        false => UploadStart::Started(progress),
    }
}
