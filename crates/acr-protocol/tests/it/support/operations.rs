//! Every operation with arbitrary valid values, and the one place where the tests list them all.

use acr_protocol::auth::Grant;
use acr_protocol::blob::ByteRange;
use acr_protocol::operations::*;
use acr_protocol::upload::UploadLocation;
use acr_protocol::{MediaType, Operation, RepositoryName, Route, for_each_operation};
use bytes::Bytes;
use http::Request;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

/// The request of whatever operation a route holds.
pub(crate) fn request(route: &Route) -> Request<Bytes> {
    macro_rules! each {
        ($route:ident: $($name:ident)*) => {
            match $route { $(Route::$name(operation) => operation.request(),)* }
        };
    }
    for_each_operation!(each, route:).expect("valid values make a request")
}

/// Strategies for operations whose fields have these values, on the repository of an upload or on any.
macro_rules! strategies {
    ($($operation:ident { $($field:ident: $values:expr),* $(,)? })*) => {
        [$(($($values,)*).prop_map(|($($field,)*)| $operation { $($field),* }.into()).boxed()),*]
    };
    (upload: $($operation:ident { $($field:ident: $values:expr),* })*) => {
        [$((upload(), $($values,)*).prop_map(|((repository, location), $($field,)*)| {
            $operation { repository, location, $($field),* }.into()
        }).boxed()),*]
    };
}

/// A strategy for each operation.
pub(crate) fn operations() -> Vec<BoxedStrategy<Route>> {
    let mut all: Vec<BoxedStrategy<Route>> = strategies! {
        ListRepositoryNames { query: list_query() }
        ListRepositories { query: list_query() }
        GetRepositoryProperties { repository: repository_name() }
        UpdateRepositoryProperties { repository: repository_name(), attributes: changeable_attributes() }
        DeleteRepository { repository: repository_name() }
        ListTagProperties {
            repository: repository_name(),
            query: list_query(),
            order: tag_order(),
            digest: option::of(digest()),
        }
        GetTagProperties { repository: repository_name(), tag: tag() }
        UpdateTagProperties { repository: repository_name(), tag: tag(), attributes: changeable_attributes() }
        DeleteTag { repository: repository_name(), tag: tag() }
        ListTags { repository: repository_name(), query: list_query() }
        ListManifestProperties { repository: repository_name(), query: list_query(), order: manifest_order() }
        GetManifestProperties { repository: repository_name(), digest: digest() }
        UpdateManifestProperties {
            repository: repository_name(),
            digest: digest(),
            attributes: changeable_attributes(),
        }
        GetManifest { repository: repository_name(), reference: reference(), accept: further_media_types() }
        HeadManifest { repository: repository_name(), reference: reference(), accept: further_media_types() }
        SetManifest {
            repository: repository_name(),
            reference: reference(),
            media_type: media_type(),
            bytes: vec(any::<u8>(), 0..50).prop_map(Bytes::from),
            tags: vec(tag(), 0..3),
        }
        DeleteManifest { repository: repository_name(), reference: reference() }
        ListReferrers {
            repository: repository_name(),
            digest: digest(),
            artifact_type: option::of(odd_word().prop_map(MediaType::from)),
            query: list_query(),
        }
        HeadBlob { repository: repository_name(), digest: digest() }
        GetBlob { repository: repository_name(), digest: digest(), range: option::of(byte_range()) }
        DeleteBlob { repository: repository_name(), digest: digest() }
        MountBlob { repository: repository_name(), digest: digest(), from: option::of(repository_name()) }
        StartUpload { repository: repository_name(), digest: option::of(digest()) }
        ExchangeEntraToken { service: odd_text(), tenant: option::of(odd_word()), access_token: secret() }
        RequestAccessToken { service: odd_text(), scope: scope_set(), grant: grant() }
        // No user name can hold a colon: it ends there.
        RequestAccessTokenWithLogin {
            service: odd_text(),
            scope: scope_set(),
            login: option::of(("[^:]{0,20}", secret())),
        }
    }
    .into();
    all.push(Just(Ping.into()).boxed());
    all.extend(strategies! { upload:
        GetUploadStatus {}
        UploadChunk { range: option::of(chunk_range()) }
        CompleteUpload { digest: option::of(digest()), range: option::of(chunk_range()) }
        CancelUpload {}
    });
    all
}

pub(crate) fn byte_range() -> impl Strategy<Value = ByteRange> {
    prop_oneof![
        any::<(u64, u64)>().prop_map(|(from, to)| ByteRange::FromTo(from, to)),
        any::<u64>().prop_map(ByteRange::From),
        any::<u64>().prop_map(ByteRange::Last),
    ]
}

/// A repository and a location of an upload to it.
fn upload() -> impl Strategy<Value = (RepositoryName, UploadLocation)> {
    repository_name().prop_flat_map(|repository| {
        let location = upload_location(&repository);
        (Just(repository), location)
    })
}

fn grant() -> impl Strategy<Value = Grant> {
    let other = odd_text().prop_filter("another grant", |text| {
        !matches!(text.as_str(), "refresh_token" | "password")
    });
    prop_oneof![
        secret().prop_map(Grant::RefreshToken),
        Just(Grant::Anonymous),
        (odd_word(), secret()).prop_map(|(user, password)| Grant::Login(user, password)),
        other.prop_map(Grant::Other),
    ]
}
