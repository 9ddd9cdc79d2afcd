//! Arbitrary outcomes.

use super::*;

pub(crate) fn repository_properties() -> impl Strategy<Value = RepositoryProperties> {
    let counts = any::<(u64, u64)>();
    (
        odd_text(),
        repository_name(),
        timestamp(),
        timestamp(),
        counts,
        attributes(),
        extra(),
    )
        .prop_map(
            |(login_server, name, created_on, last_updated_on, counts, attributes, extra)| {
                let mut output = RepositoryProperties::new(name, created_on);
                output.registry_login_server = login_server;
                output.last_updated_on = last_updated_on;
                (output.manifest_count, output.tag_count) = counts;
                output.attributes = attributes;
                output.extra = extra;
                output
            },
        )
}

pub(crate) fn tag_properties() -> impl Strategy<Value = ArtifactTagProperties> {
    let times = (timestamp(), timestamp());
    let envelope = (odd_text(), repository_name());
    (
        envelope,
        tag(),
        digest(),
        times,
        option::of(any::<bool>()),
        attributes(),
        extra(),
    )
        .prop_map(
            |(envelope, name, digest, times, signed, attributes, mut extra)| {
                extra.extend(signed.map(|signed| ("signed".to_owned(), signed.into())));
                let mut output = ArtifactTagProperties::new(envelope.1, name, digest, times.0);
                output.registry_login_server = envelope.0;
                output.last_updated_on = times.1;
                output.attributes = attributes;
                output.extra = extra;
                output
            },
        )
}

pub(crate) fn manifest_properties() -> impl Strategy<Value = ArtifactManifestProperties> {
    let reference = (digest(), option::of(odd_text()), option::of(odd_text())).prop_map(
        |(digest, architecture, operating_system)| {
            let mut reference = ArtifactManifestReference::new(digest);
            reference.architecture = architecture;
            reference.operating_system = operating_system;
            reference
        },
    );
    let envelope = (odd_text(), repository_name(), digest(), vec(tag(), 0..3));
    let platform = (
        option::of(any::<u64>()),
        option::of(odd_text()),
        option::of(odd_text()),
    );
    let kinds = (
        option::of(media_type()),
        option::of(media_type()),
        vec(reference, 0..3),
    );
    (
        envelope,
        platform,
        kinds,
        timestamp(),
        timestamp(),
        attributes(),
        extra(),
    )
        .prop_map(
            |(envelope, platform, kinds, created_on, last_updated_on, attributes, extra)| {
                let mut output =
                    ArtifactManifestProperties::new(envelope.1, envelope.2, created_on);
                output.registry_login_server = envelope.0;
                output.tags = envelope.3;
                output.last_updated_on = last_updated_on;
                (
                    output.size_in_bytes,
                    output.architecture,
                    output.operating_system,
                ) = platform;
                (
                    output.media_type,
                    output.config_media_type,
                    output.references,
                ) = kinds;
                output.attributes = attributes;
                output.extra = extra;
                output
            },
        )
}

/// A page of properties of a repository: every item within the same envelope.
pub(crate) fn listing<T: Debug + Clone>(
    item: impl Strategy<Value = T>,
    within: impl Fn(&mut T, &str, &RepositoryName),
) -> impl Strategy<Value = (RepositoryName, Page<T>)> {
    (
        odd_text(),
        repository_name(),
        vec(item, 0..4),
        option::of(page_token()),
    )
        .prop_map(
            move |(registry_login_server, repository_name, mut items, next)| {
                for item in &mut items {
                    within(item, &registry_login_server, &repository_name);
                }
                let page = Page {
                    registry_login_server,
                    items,
                    next,
                    ..Page::default()
                };
                (repository_name, page)
            },
        )
}

pub(crate) fn page<T: Debug>(item: impl Strategy<Value = T>) -> impl Strategy<Value = Page<T>> {
    (vec(item, 0..5), option::of(page_token())).prop_map(|(items, next)| Page {
        next,
        ..Page::complete(items)
    })
}

pub(crate) fn content_range() -> impl Strategy<Value = ContentRange> {
    (any::<u64>(), any::<u64>(), any::<bool>()).prop_map(|(a, b, sized)| {
        let (first, last) = (a.min(b), a.max(b).min(u64::MAX - 1));
        ContentRange {
            first: first.min(last),
            last,
            size: sized.then_some(last + 1),
        }
    })
}

pub(crate) fn progress() -> impl Strategy<Value = (RepositoryName, UploadProgress)> {
    let progress = |name: RepositoryName| {
        let numbers = any::<(Option<u64>, Option<u64>)>();
        (upload_location(&name), numbers).prop_map(move |(location, (last_byte, minimum_chunk))| {
            (
                name.clone(),
                UploadProgress {
                    location,
                    last_byte,
                    minimum_chunk,
                },
            )
        })
    };
    repository_name().prop_flat_map(progress)
}

/// Bytes, and a tag or one of their digests to ask for them by.
pub(crate) fn content() -> impl Strategy<Value = (Bytes, Reference, Digest)> {
    (vec(any::<u8>(), 0..100), option::of(tag()), any::<bool>()).prop_map(|(bytes, tag, long)| {
        let digest = if long {
            Digest::sha512(&bytes)
        } else {
            Digest::sha256(&bytes)
        };
        let reference = tag.map_or_else(|| Reference::from(&digest), Reference::from);
        (Bytes::from(bytes), reference, digest)
    })
}

pub(crate) fn token() -> impl Strategy<Value = acr_protocol::Secret> {
    odd_word().prop_map(acr_protocol::Secret::new)
}
