//! What callers rely on without its being written in any signature: values go between threads and into tasks, errors
//! are errors.

use std::error::Error;
use std::fmt::{Debug, Display};

use acr_protocol::auth::Grant;
use acr_protocol::blob::{BlobHead, ByteRange, ContentRange, InvalidRange};
use acr_protocol::manifest::AcceptedManifest;
use acr_protocol::operations::*;
use acr_protocol::upload::{
    ChunkRange, InvalidUploadLocation, UploadLocation, UploadProgress, UploadStart,
};
use acr_protocol::*;
use http::StatusCode;

fn value<T: Send + Sync + Unpin + Clone + Debug + 'static>() {}

macro_rules! values {
    ($($type:ty),* $(,)?) => { $(value::<$type>();)* };
}

#[test]
fn values_go_between_threads() {
    values![
        Algorithm,
        ArtifactManifestOrder,
        ArtifactManifestProperties,
        ArtifactManifestReference,
        ArtifactTagOrder,
        ArtifactTagProperties,
        Attributes,
        Action,
        ChangeableAttributes,
        Challenge,
        DeletedRepository,
        Deletion<Tag>,
        Descriptor,
        Digest,
        Digester,
        ErrorCode,
        ErrorEnvelope,
        ImageIndex,
        ImageManifest,
        ImageReference,
        ListQuery,
        Spec,
        Manifest,
        MediaType,
        OperationClass,
        Page<Tag>,
        PageToken,
        Platform,
        Reference,
        RegistryError,
        RepositoryName,
        RepositoryProperties,
        RetryAfter,
        Route,
        Scope,
        ScopeSet,
        Secret,
        Tag,
        Timestamp,
        TokenClaims,
        Verifier,
        AcceptedManifest,
        BlobHead,
        ByteRange,
        ChunkRange,
        ContentRange,
        Grant,
        UploadStart,
        UploadLocation,
        UploadProgress,
    ];
}

#[test]
fn operations_go_between_threads() {
    values![
        CancelUpload,
        CompleteUpload,
        DeleteBlob,
        DeleteManifest,
        DeleteRepository,
        DeleteTag,
        ExchangeEntraToken,
        GetBlob,
        GetManifest,
        GetManifestProperties,
        GetRepositoryProperties,
        GetTagProperties,
        GetUploadStatus,
        HeadBlob,
        HeadManifest,
        ListManifestProperties,
        ListReferrers,
        ListRepositories,
        ListRepositoryNames,
        ListTagProperties,
        ListTags,
        MountBlob,
        Ping,
        RequestAccessToken,
        RequestAccessTokenWithLogin,
        SetManifest,
        StartUpload,
        UploadChunk,
        UpdateManifestProperties,
        UpdateRepositoryProperties,
        UpdateTagProperties,
    ];
}

/// An error that goes between threads, says in one line what is wrong, and names what was wrong where it is a text.
#[track_caller]
fn error<E: Error + Display + Send + Sync + Unpin + Clone + PartialEq + 'static>(
    error: E,
    names: &str,
) {
    let boxed: Box<dyn Error + Send + Sync> = Box::new(error.clone());
    let text = boxed.to_string();
    assert!(text.contains(names), "{text:?} does not name {names:?}");
    assert!(
        text.len() > 15 && !text.contains('\n') && !text.ends_with('.'),
        "{text:?}"
    );
    assert!(boxed.downcast_ref::<E>() == Some(&error));
}

#[test]
fn errors_are_errors_and_say_what_is_wrong() {
    error(Digest::new("sha256:x").unwrap_err(), "sha256:x");
    error(RepositoryName::new("Up").unwrap_err(), "Up");
    error(Tag::new(".x").unwrap_err(), ".x");
    error(Reference::new(".x").unwrap_err(), ".x");
    error(Reference::new("a:").unwrap_err(), "a:");
    error("a".parse::<ImageReference>().unwrap_err(), "\"a\"");
    error(Challenge::parse("=").unwrap_err(), "at byte 0");
    error("a:b".parse::<Scope>().unwrap_err(), "a:b");
    error("now".parse::<Timestamp>().unwrap_err(), "now");
    error(PageToken::new("<").unwrap_err(), "<");
    error::<InvalidUploadLocation>(UploadLocation::new("x y?s").unwrap_err(), "x y");
    error::<InvalidRange>("1".parse::<ByteRange>().unwrap_err(), "bytes=0-999");
    error("1".parse::<ChunkRange>().unwrap_err(), "0-255");
    error(
        Manifest::new("[", "application/x").as_image().unwrap_err(),
        "image manifest",
    );
    error(Digester::restore(b"").unwrap_err(), "state");
    let mismatch = DigestMismatch::new(Digest::sha256(b"a"), Digest::sha256(b"b"), 1);
    error(mismatch.clone(), mismatch.expected.as_str());
    error(mismatch.clone(), mismatch.actual.as_str());
    error(DecodeError::from(mismatch), "digest");
    error(DecodeError::Status(StatusCode::FORBIDDEN), "403");
    error(
        DecodeError::MissingHeader(http::header::LOCATION),
        "location",
    );
    let other = Digest::new("md5:x").unwrap();
    error(Verifier::new(other).unwrap_err(), "md5");
    let patch = Route::from(UpdateRepositoryProperties {
        repository: RepositoryName::new("a").unwrap(),
        attributes: ChangeableAttributes::LOCKED,
    });
    error(
        patch.with_body("x".into()).unwrap_err(),
        "changeable attributes",
    );
    error(RouteError::Malformed, "grammar");
    error(RouteError::UnknownPath, "API");
}

/// A text that somebody passed by mistake may be long, and errors end up in logs.
#[test]
fn errors_do_not_carry_long_texts() {
    let long = "x y".repeat(100_000);
    let texts = [
        Digest::new(&long).unwrap_err().to_string(),
        RepositoryName::new(&long).unwrap_err().to_string(),
        RepositoryName::from_server(&long).unwrap_err().to_string(),
        Tag::new(&long).unwrap_err().to_string(),
        Tag::from_server(&long).unwrap_err().to_string(),
        Reference::new(&long).unwrap_err().to_string(),
        long.parse::<ImageReference>().unwrap_err().to_string(),
        Challenge::parse(&format!("\"{long}"))
            .unwrap_err()
            .to_string(),
        long.parse::<ScopeSet>().unwrap_err().to_string(),
        long.parse::<Timestamp>().unwrap_err().to_string(),
        PageToken::new(&long).unwrap_err().to_string(),
        UploadLocation::new(&long).unwrap_err().to_string(),
        long.parse::<ByteRange>().unwrap_err().to_string(),
        long.parse::<ContentRange>().unwrap_err().to_string(),
        long.parse::<ChunkRange>().unwrap_err().to_string(),
    ];
    for text in texts {
        assert!(text.len() < 600, "{} bytes: {text:.100}", text.len());
    }
}
