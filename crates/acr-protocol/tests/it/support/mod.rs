//! Arbitrary valid values of every type, and the way the tests run over them.

#![allow(dead_code, reason = "each test file uses its part of this")]

pub(crate) mod hostile;
pub(crate) mod operations;

use std::collections::BTreeMap;

use acr_protocol::upload::{ChunkRange, UploadLocation};
use acr_protocol::{
    Action, ArtifactManifestOrder, ArtifactTagOrder, Attributes, ChangeableAttributes, Descriptor,
    Digest, ListQuery, MediaType, PageToken, Platform, Reference, RepositoryName, Scope, ScopeSet,
    Secret, Tag, Timestamp,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed, TestRunner};

/// The same cases in every run, unless the environment (`PROPTEST_RNG_SEED`, `PROPTEST_CASES`) asks for others.
pub(crate) fn config(cases: u32) -> Config {
    let asked = Config::default();
    Config {
        cases: if std::env::var_os("PROPTEST_CASES").is_some() {
            asked.cases
        } else {
            cases
        },
        rng_seed: match asked.rng_seed {
            RngSeed::Random => RngSeed::Fixed(20_210_701),
            fixed @ RngSeed::Fixed(_) => fixed,
        },
        failure_persistence: None,
        ..asked
    }
}

/// Runs the check over `cases` values; a failure names the smallest value that fails.
#[track_caller]
pub(crate) fn for_all<S: Strategy>(
    cases: u32,
    strategy: &S,
    check: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    if let Err(error) = TestRunner::new(config(cases)).run(strategy, check) {
        panic!("{error}");
    }
}

/// Names with slashes, among them those whose segments are words of the paths themselves.
pub(crate) fn repository_name() -> impl Strategy<Value = RepositoryName> {
    let words = vec![
        "tags",
        "list",
        "blobs",
        "uploads",
        "manifests",
        "referrers",
        "v2",
        "acr",
        "oauth2",
    ];
    let segment = prop_oneof![
        3 => "[a-z0-9]{1,8}((\\.|_|__|-{1,3})[a-z0-9]{1,6}){0,2}",
        1 => select(words).prop_map(str::to_owned),
    ];
    vec(segment, 1..5).prop_map(|segments| valid(RepositoryName::new(segments.join("/"))))
}

/// Tags, among them those that are words of the paths themselves.
pub(crate) fn tag() -> impl Strategy<Value = Tag> {
    prop_oneof![
        4 => "[A-Za-z0-9_][A-Za-z0-9._-]{0,20}",
        1 => "[A-Za-z0-9_][A-Za-z0-9._-]{127}",
        1 => select(&["list", "_catalog", "_tags", "_manifests", "uploads", "_"][..]).prop_map(str::to_owned),
    ]
    .prop_map(|text| valid(Tag::new(text)))
}

/// Digests by sha256 and sha512, and some that can only be carried.
pub(crate) fn digest() -> impl Strategy<Value = Digest> {
    prop_oneof![
        6 => "sha256:[0-9a-f]{64}",
        2 => "sha512:[0-9a-f]{128}",
        1 => "[a-r][a-z0-9]{0,8}([+._-][a-z0-9]{1,8}){0,2}:[A-Za-z0-9=_-]{1,40}",
    ]
    .prop_map(|text| valid(Digest::new(text)))
}

/// The digests of contents: those that can be computed.
pub(crate) fn computed_digest() -> impl Strategy<Value = Digest> {
    prop_oneof![
        any::<[u8; 8]>().prop_map(Digest::sha256),
        any::<[u8; 8]>().prop_map(Digest::sha512),
    ]
}

pub(crate) fn reference() -> impl Strategy<Value = Reference> {
    prop_oneof![
        tag().prop_map(Reference::Tag),
        digest().prop_map(Reference::Digest)
    ]
}

/// Texts with everything in them that escaping could get wrong.
pub(crate) fn odd_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ a-z%&=+#?/\\\\:;,<>\"'{}|\\^`~\\[\\]\u{e4}\u{20ac}\u{1f600}\r\n\t]{0,30}",
        "(%[0-9a-fA-F]{2}){0,6}",
    ]
}

pub(crate) fn odd_word() -> impl Strategy<Value = String> {
    odd_text().prop_filter("not empty", |text| !text.is_empty())
}

pub(crate) fn secret() -> impl Strategy<Value = Secret> {
    odd_text().prop_map(Secret::new)
}

pub(crate) fn list_query() -> impl Strategy<Value = ListQuery> {
    (option::of(any::<u32>()), option::of(odd_word()))
        .prop_map(|(page_size, last)| ListQuery { page_size, last })
}

pub(crate) fn tag_order() -> impl Strategy<Value = ArtifactTagOrder> {
    use acr_protocol::ListOrder::{LastUpdatedOnAscending, LastUpdatedOnDescending, None};
    select(&[None, LastUpdatedOnAscending, LastUpdatedOnDescending][..])
}

pub(crate) fn manifest_order() -> impl Strategy<Value = ArtifactManifestOrder> {
    use acr_protocol::ListOrder::{LastUpdatedOnAscending, LastUpdatedOnDescending, None};
    select(&[None, LastUpdatedOnAscending, LastUpdatedOnDescending][..])
}

pub(crate) fn changeable_attributes() -> impl Strategy<Value = ChangeableAttributes> {
    any::<[Option<bool>; 4]>().prop_map(|[can_delete, can_write, can_read, can_list]| {
        ChangeableAttributes {
            can_delete,
            can_write,
            can_read,
            can_list,
        }
    })
}

pub(crate) fn attributes() -> impl Strategy<Value = Attributes> {
    (changeable_attributes(), extra()).prop_map(|(switches, extra)| {
        let mut attributes = Attributes::from(switches);
        attributes.extra = extra;
        attributes
    })
}

/// Members that the crate does not know.
pub(crate) fn extra() -> impl Strategy<Value = serde_json::Map<String, serde_json::Value>> {
    let value = prop_oneof![
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        odd_text().prop_map(serde_json::Value::from),
        Just(serde_json::json!({"nested": [null, {"a": 1}]})),
    ];
    vec(("x-[a-zA-Z]{1,8}", value), 0..3).prop_map(|members| members.into_iter().collect())
}

pub(crate) fn media_type() -> impl Strategy<Value = MediaType> {
    prop_oneof![
        select(MediaType::KNOWN),
        "[a-z]{1,8}/[a-z0-9][a-z0-9.+-]{0,20}".prop_map(MediaType::from),
    ]
}

/// Media types that `Accept` has to name, because they are not on the common list.
pub(crate) fn further_media_types() -> impl Strategy<Value = Vec<MediaType>> {
    let further = media_type().prop_filter("not on the list", |one| {
        !MediaType::ACCEPTED_MANIFESTS.contains(one)
    });
    vec(further, 0..3)
}

pub(crate) fn timestamp() -> impl Strategy<Value = Timestamp> {
    let nanoseconds = prop_oneof![
        Just(0),
        (0..10_000_000_u32).prop_map(|ticks| ticks * 100),
        0..1_000_000_000_u32,
    ];
    (-62_135_596_800..253_402_300_800_i64, nanoseconds)
        .prop_map(|(seconds, nanoseconds)| Timestamp::new(seconds, nanoseconds))
}

pub(crate) fn chunk_range() -> impl Strategy<Value = ChunkRange> {
    any::<[u64; 2]>().prop_map(|[a, b]| ChunkRange {
        first: a.min(b),
        last: a.max(b),
    })
}

/// A location of an upload to this repository: the service's form, the bare one, with another query, and with a path
/// whose slashes are escaped.
pub(crate) fn upload_location(
    repository: &RepositoryName,
) -> impl Strategy<Value = UploadLocation> + use<> {
    let repository = repository.clone();
    let (plain, escaped) = (
        repository.to_string(),
        repository.as_str().replace('/', "%2F"),
    );
    let uuid = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[A-Za-z0-9._=-]{1,20}";
    prop_oneof![
        (uuid, odd_text()).prop_map(move |(uuid, state)| UploadLocation::acr(
            &repository,
            &uuid,
            &state
        )),
        (
            uuid,
            "(\\?[a-z]{1,5}=[a-z%:/-]{0,8}(&_state=[A-Za-z0-9%=]{0,20})?)?"
        )
            .prop_map(move |(uuid, query)| valid(UploadLocation::new(format!(
                "/v2/{plain}/blobs/uploads/{uuid}{query}"
            )))),
        uuid.prop_map(move |uuid| valid(UploadLocation::new(format!(
            "/v2/{escaped}/blobs/uploads/{uuid}?_state=x"
        )))),
    ]
}

pub(crate) fn action() -> impl Strategy<Value = Action> {
    use Action as A;
    let known = [
        A::ALL,
        A::DELETE,
        A::METADATA_READ,
        A::METADATA_WRITE,
        A::PULL,
        A::PUSH,
    ];
    prop_oneof![
        4 => select(Vec::from(known)),
        1 => "[a-z_/.]{1,12}".prop_map(|text| Action::from(text.as_str())),
    ]
}

pub(crate) fn scope() -> impl Strategy<Value = Scope> {
    let name = prop_oneof![
        repository_name().prop_map(|name| name.to_string()),
        Just("*".to_owned()),
        "[a-z.]{1,8}:[0-9]{1,5}/[a-z]{1,5}",
    ];
    prop_oneof![
        6 => ("[a-z-]{1,12}(\\([a-z]{1,6}\\))?", name, vec(action(), 1..4)).prop_map(
            |(resource_type, name, actions)| valid(Scope::new(&resource_type, &name, actions))
        ),
        1 => Just(Scope::catalog()),
    ]
}

pub(crate) fn scope_set() -> impl Strategy<Value = ScopeSet> {
    vec(scope(), 0..4).prop_map(|scopes| scopes.into_iter().collect())
}

pub(crate) fn page_token() -> impl Strategy<Value = PageToken> {
    "[!#-;=?-~]{1,60}".prop_map(|text| valid(PageToken::new(text)))
}

pub(crate) fn descriptor() -> impl Strategy<Value = Descriptor> {
    let platform = (
        odd_word(),
        odd_word(),
        option::of(odd_word()),
        vec(odd_word(), 0..2),
    )
        .prop_map(|(os, architecture, variant, os_features)| {
            let mut platform = Platform::new(os, architecture);
            platform.variant = variant;
            platform.os_features = os_features;
            platform
        });
    let plain = (media_type(), digest(), any::<u64>());
    (
        plain,
        option::of(platform),
        annotations(),
        option::of(media_type()),
    )
        .prop_map(
            |((media_type, digest, size), platform, annotations, artifact_type)| {
                let mut descriptor = Descriptor::new(media_type, digest, size);
                descriptor.platform = platform;
                descriptor.annotations = annotations;
                descriptor.artifact_type = artifact_type;
                descriptor
            },
        )
}

pub(crate) fn annotations() -> impl Strategy<Value = BTreeMap<String, String>> {
    vec((odd_text(), odd_text()), 0..3).prop_map(|pairs| pairs.into_iter().collect())
}

/// What a strategy made, which is valid or the strategy is wrong.
#[track_caller]
pub(crate) fn valid<T, E: std::fmt::Display>(made: Result<T, E>) -> T {
    made.unwrap_or_else(|error| panic!("the strategy made something invalid: {error}"))
}
