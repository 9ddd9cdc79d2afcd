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

/// A strategy for each operation.
pub(crate) fn operations() -> Vec<BoxedStrategy<Route>> {
    vec![
        list_query()
            .prop_map(|query| ListRepositoryNames { query }.into())
            .boxed(),
        list_query()
            .prop_map(|query| ListRepositories { query }.into())
            .boxed(),
        repository_name()
            .prop_map(|repository| GetRepositoryProperties { repository }.into())
            .boxed(),
        (repository_name(), changeable_attributes())
            .prop_map(|(repository, attributes)| {
                UpdateRepositoryProperties {
                    repository,
                    attributes,
                }
                .into()
            })
            .boxed(),
        repository_name()
            .prop_map(|repository| DeleteRepository { repository }.into())
            .boxed(),
        (
            repository_name(),
            list_query(),
            tag_order(),
            option::of(digest()),
        )
            .prop_map(|(repository, query, order, digest)| {
                ListTagProperties {
                    repository,
                    query,
                    order,
                    digest,
                }
                .into()
            })
            .boxed(),
        (repository_name(), tag())
            .prop_map(|(repository, tag)| GetTagProperties { repository, tag }.into())
            .boxed(),
        (repository_name(), tag(), changeable_attributes())
            .prop_map(|(repository, tag, attributes)| {
                UpdateTagProperties {
                    repository,
                    tag,
                    attributes,
                }
                .into()
            })
            .boxed(),
        (repository_name(), tag())
            .prop_map(|(repository, tag)| DeleteTag { repository, tag }.into())
            .boxed(),
        (repository_name(), list_query())
            .prop_map(|(repository, query)| ListTags { repository, query }.into())
            .boxed(),
        (repository_name(), list_query(), manifest_order())
            .prop_map(|(repository, query, order)| {
                ListManifestProperties {
                    repository,
                    query,
                    order,
                }
                .into()
            })
            .boxed(),
        (repository_name(), digest())
            .prop_map(|(repository, digest)| GetManifestProperties { repository, digest }.into())
            .boxed(),
        (repository_name(), digest(), changeable_attributes())
            .prop_map(|(repository, digest, attributes)| {
                UpdateManifestProperties {
                    repository,
                    digest,
                    attributes,
                }
                .into()
            })
            .boxed(),
        Just(Ping.into()).boxed(),
        (repository_name(), reference(), further_media_types())
            .prop_map(|(repository, reference, accept)| {
                GetManifest {
                    repository,
                    reference,
                    accept,
                }
                .into()
            })
            .boxed(),
        (repository_name(), reference(), further_media_types())
            .prop_map(|(repository, reference, accept)| {
                HeadManifest {
                    repository,
                    reference,
                    accept,
                }
                .into()
            })
            .boxed(),
        set_manifest(),
        (repository_name(), reference())
            .prop_map(|(repository, reference)| {
                DeleteManifest {
                    repository,
                    reference,
                }
                .into()
            })
            .boxed(),
        (
            repository_name(),
            digest(),
            option::of(odd_word()),
            list_query(),
        )
            .prop_map(|(repository, digest, artifact_type, query)| {
                let artifact_type = artifact_type.map(MediaType::from);
                ListReferrers {
                    repository,
                    digest,
                    artifact_type,
                    query,
                }
                .into()
            })
            .boxed(),
        (repository_name(), digest())
            .prop_map(|(repository, digest)| HeadBlob { repository, digest }.into())
            .boxed(),
        (repository_name(), digest(), option::of(byte_range()))
            .prop_map(|(repository, digest, range)| {
                GetBlob {
                    repository,
                    digest,
                    range,
                }
                .into()
            })
            .boxed(),
        (repository_name(), digest())
            .prop_map(|(repository, digest)| DeleteBlob { repository, digest }.into())
            .boxed(),
        (repository_name(), digest(), option::of(repository_name()))
            .prop_map(|(repository, digest, from)| {
                MountBlob {
                    repository,
                    digest,
                    from,
                }
                .into()
            })
            .boxed(),
        (repository_name(), option::of(digest()))
            .prop_map(|(repository, digest)| StartUpload { repository, digest }.into())
            .boxed(),
        upload()
            .prop_map(|(repository, location)| {
                GetUploadStatus {
                    repository,
                    location,
                }
                .into()
            })
            .boxed(),
        (upload(), option::of(chunk_range()))
            .prop_map(|((repository, location), range)| {
                UploadChunk {
                    repository,
                    location,
                    range,
                }
                .into()
            })
            .boxed(),
        (upload(), option::of(digest()), option::of(chunk_range()))
            .prop_map(|((repository, location), digest, range)| {
                CompleteUpload {
                    repository,
                    location,
                    digest,
                    range,
                }
                .into()
            })
            .boxed(),
        upload()
            .prop_map(|(repository, location)| {
                CancelUpload {
                    repository,
                    location,
                }
                .into()
            })
            .boxed(),
        (odd_text(), option::of(odd_word()), secret())
            .prop_map(|(service, tenant, access_token)| {
                ExchangeEntraToken {
                    service,
                    tenant,
                    access_token,
                }
                .into()
            })
            .boxed(),
        (odd_text(), scope_set(), grant())
            .prop_map(|(service, scope, grant)| {
                RequestAccessToken {
                    service,
                    scope,
                    grant,
                }
                .into()
            })
            .boxed(),
        // No user name can hold a colon: it ends there.
        (
            odd_text(),
            scope_set(),
            option::of(("[^:]{0,20}", secret())),
        )
            .prop_map(|(service, scope, login)| {
                RequestAccessTokenWithLogin {
                    service,
                    scope,
                    login,
                }
                .into()
            })
            .boxed(),
    ]
}

pub(crate) fn byte_range() -> impl Strategy<Value = ByteRange> {
    prop_oneof![
        any::<(u64, u64)>().prop_map(|(from, to)| ByteRange::FromTo(from, to)),
        any::<u64>().prop_map(ByteRange::From),
        any::<u64>().prop_map(ByteRange::Last),
    ]
}

fn set_manifest() -> BoxedStrategy<Route> {
    let content = vec(any::<u8>(), 0..50).prop_map(Bytes::from);
    (
        repository_name(),
        reference(),
        media_type(),
        content,
        vec(tag(), 0..3),
    )
        .prop_map(|(repository, reference, media_type, bytes, tags)| {
            SetManifest {
                repository,
                reference,
                media_type,
                bytes,
                tags,
            }
            .into()
        })
        .boxed()
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
