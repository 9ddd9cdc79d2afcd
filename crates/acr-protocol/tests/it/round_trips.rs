//! Text, value, text: everything that is read can be written, and nothing that is read makes a parser panic.

use crate::support;

use std::fmt::Display;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use acr_protocol::auth::{basic_login, parse_basic_login};
use acr_protocol::blob::{ByteRange, ContentRange};
use acr_protocol::upload::{ChunkRange, UploadLocation};
use acr_protocol::{
    Action, Challenge, ChangeableAttributes, Descriptor, Digest, Digester, ErrorCode,
    ErrorEnvelope, ImageIndex, ImageManifest, ImageReference, Manifest, MediaType, PageToken,
    Reference, RepositoryName, Scope, ScopeSet, Secret, Tag, Timestamp, TokenClaims,
};
use http::{HeaderMap, HeaderValue, header};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use support::hostile::{hostile_text, json_text};
use support::operations::byte_range;
use support::*;

/// The value's text is read back as the value, and has the same text again.
fn through_text<T>(value: &T) -> Result<(), TestCaseError>
where
    T: FromStr<Err: Display> + Display + PartialEq + std::fmt::Debug,
{
    let text = value.to_string();
    let read = text
        .parse::<T>()
        .map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(&read, value);
    prop_assert_eq!(read.to_string(), text);
    Ok(())
}

/// The value's JSON is read back as the value.
fn through_json<T>(value: &T) -> Result<(), TestCaseError>
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let json =
        serde_json::to_string(value).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let read: T =
        serde_json::from_str(&json).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(&read, value);
    prop_assert_eq!(serde_json::to_string(&read).ok(), Some(json));
    Ok(())
}

fn registry() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z0-9]{1,12}\\.azurecr\\.io",
        1 => "localhost:[1-9][0-9]{0,3}",
        1 => Just("localhost".to_owned()),
        1 => any::<std::net::Ipv6Addr>().prop_map(|address| format!("[{address}]:5000")),
        1 => any::<std::net::Ipv4Addr>().prop_map(|address| address.to_string()),
    ]
}

/// A challenge with parameters of any value.
fn challenge() -> impl Strategy<Value = Challenge> {
    let token = "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}";
    (token, vec((token, odd_text()), 0..5)).prop_map(|(scheme, parameters)| {
        let parameters = parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        Challenge::new(&scheme, parameters)
    })
}

fn content_range() -> impl Strategy<Value = ContentRange> {
    (chunk_range(), option::of(any::<u64>())).prop_map(|(range, size)| ContentRange {
        first: range.first,
        last: range.last,
        size: size.filter(|size| *size > range.last),
    })
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn names_and_addresses_round_trip(
        name in repository_name(), tag in tag(), digest in digest(), reference in reference(),
    ) {
        through_text(&name)?;
        through_json(&name)?;
        through_text(&tag)?;
        through_json(&tag)?;
        through_text(&digest)?;
        through_json(&digest)?;
        through_text(&reference)?;
        through_json(&reference)?;
        prop_assert_eq!(format!("{}:{}", digest.algorithm(), digest.hex()), digest.as_str());
        prop_assert_eq!(&RepositoryName::from_server(&name).ok(), &Some(name));
        prop_assert_eq!(&Tag::from_server(&tag).ok(), &Some(tag));
    }

    #[test]
    fn image_references_round_trip(
        registry in registry(), name in repository_name(), tag in option::of(tag()), digest in digest(),
    ) {
        let tagged = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
        let text = format!("{registry}/{name}{tagged}@{digest}");
        let image: ImageReference = text.parse()?;
        prop_assert_eq!(image.to_string(), text);
        prop_assert_eq!(image.registry(), registry.as_str());
        prop_assert_eq!(image.repository(), &name);
        prop_assert_eq!(image.reference(), &Reference::from(&digest));
        through_json(&image)?;
        let made = ImageReference::new(&registry, name, Reference::from(digest))?;
        through_text(&made)?;
    }

    #[test]
    fn challenges_of_any_value_round_trip(challenges in vec(challenge(), 1..4)) {
        let text = challenges.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        prop_assert_eq!(Challenge::parse(&text)?, challenges.clone());
        // Also as headers, where the values are fit for one.
        if let Ok(value) = HeaderValue::try_from(&text)
            && value.to_str().is_ok()
        {
            let headers = HeaderMap::from_iter([(header::WWW_AUTHENTICATE, value)]);
            prop_assert_eq!(Challenge::from_headers(&headers), challenges);
        }
    }

    #[test]
    fn the_service_s_challenge_gives_back_its_scope(realm in odd_text(), scope in scope_set()) {
        let text = scope.to_string();
        let written = Challenge::bearer(&realm, "r.azurecr.io", Some(&text), None).to_string();
        let read = Challenge::parse(&written)?;
        prop_assert_eq!(read.len(), 1);
        prop_assert_eq!(read[0].realm(), Some(realm.as_str()));
        prop_assert_eq!(read[0].scope()?, scope);
    }

    #[test]
    fn scopes_round_trip_and_cover_themselves(one in scope(), set in scope_set(), action in action()) {
        through_text(&one)?;
        through_text(&set)?;
        through_text(&action)?;
        through_json(&action)?;
        prop_assert!(one.covers(&one) && set.covers(&set) && set.covers(&ScopeSet::new()));
        let mut more = set.clone();
        more.insert(one.clone());
        prop_assert!(more.covers(&set) && more.covers(&one.into()));
        prop_assert_eq!(more.iter().collect::<ScopeSet>(), more);
    }

    #[test]
    fn a_scope_of_any_repository_name_is_one_scope(name in odd_word()) {
        let Ok(name) = RepositoryName::from_server(&name) else { return Ok(()) };
        through_text(&ScopeSet::from(Scope::repository(&name, [Action::PULL, Action::PUSH])))?;
    }

    #[test]
    fn the_order_of_actions_in_a_scope_means_nothing(
        name in repository_name(), mut actions in vec(action(), 1..5),
    ) {
        let scope = |actions: &[Action]| {
            let actions: Vec<_> = actions.iter().map(Action::as_str).collect();
            format!("repository:{name}:{}", actions.join(",")).parse::<Scope>()
        };
        let forwards = scope(&actions)?;
        actions.reverse();
        prop_assert_eq!(scope(&actions)?, forwards);
    }

    #[test]
    fn page_tokens_round_trip_through_a_link(token in page_token(), title in "[^\"\\\\\\p{C}\u{80}-\u{10ffff}]{0,12}") {
        through_text(&token)?;
        through_json(&token)?;
        let link = token.to_link();
        prop_assert!(link.is_some());
        let headers = HeaderMap::from_iter(link.clone().map(|link| (header::LINK, link)));
        prop_assert_eq!(PageToken::from_headers(&headers)?, Some(token.clone()));
        // Among others, and with other parameters.
        let others = format!("<first>; rel=\"first\", <{token}>; title=\"{title}\"; rel=next, <last>; rel=last");
        let headers = HeaderMap::from_iter([(header::LINK, HeaderValue::try_from(others)?)]);
        prop_assert_eq!(PageToken::from_headers(&headers)?, Some(token));
    }

    #[test]
    fn upload_locations_round_trip(location in repository_name().prop_flat_map(|name| upload_location(&name))) {
        through_text(&location)?;
        through_json(&location)?;
        prop_assert!(!location.uuid().is_empty() && !location.uuid().contains(['/', '%', '?']));
    }

    #[test]
    fn the_state_of_an_upload_is_carried_to_the_letter(name in repository_name(), state in odd_text()) {
        let location = UploadLocation::acr(&name, "0f30", &state);
        prop_assert_eq!(location.parameter("_state"), Some(state));
        prop_assert_eq!(location.uuid(), "0f30");
    }

    #[test]
    fn times_round_trip(time in timestamp()) {
        through_text(&time)?;
        through_json(&time)?;
        let text = time.to_string();
        prop_assert!(text.ends_with('Z') && !text.ends_with(".Z"));
        prop_assert!(!text.contains('.') || !text.ends_with("0Z"), "{} has a zero at its end", text);
        prop_assert_eq!(Timestamp::new(time.seconds(), time.nanoseconds()), time);
    }

    #[test]
    fn times_of_the_service_s_precision_round_trip_through_ticks(time in timestamp()) {
        let ticks = time.ticks();
        let exact = Timestamp::new(time.seconds(), time.nanoseconds() / 100 * 100);
        prop_assert_eq!(Timestamp::from_ticks(ticks), exact);
        prop_assert_eq!(exact.ticks(), ticks);
    }

    #[test]
    fn times_keep_their_order_as_ticks_and_durations(a in timestamp(), b in timestamp()) {
        prop_assert!(a.ticks() == b.ticks() || (a < b) == (a.ticks() < b.ticks()));
        prop_assert_eq!(a.max(b), a.min(b) + a.max(b).saturating_duration_since(a.min(b)));
        prop_assert_eq!(a.min(b), a.max(b) - a.max(b).saturating_duration_since(a.min(b)));
    }

    #[test]
    fn times_round_trip_through_the_system_s_clock(
        seconds in -11_000_000_000..253_402_300_800_i64, ticks in 0..10_000_000_u32,
    ) {
        // From 1621 on and in the service's precision: what the clock of every platform can hold.
        let time = Timestamp::new(seconds, ticks * 100);
        prop_assert_eq!(Timestamp::from(SystemTime::from(time)), time);
        prop_assert!(time == SystemTime::from(time) && SystemTime::from(time) == time);
    }

    #[test]
    fn arithmetic_on_times_never_overflows(
        seconds in any::<i64>(), nanoseconds in any::<u32>(), by in any::<Duration>(), ticks in any::<u64>(),
    ) {
        for time in [Timestamp::new(seconds, nanoseconds), Timestamp::from_ticks(ticks)] {
            for time in [time, time + by, time - by] {
                through_text(&time)?;
                let _as_far_as_the_clock_goes = SystemTime::from(time);
            }
        }
    }

    #[test]
    fn ranges_round_trip(byte in byte_range(), content in content_range(), chunk in chunk_range()) {
        through_text(&byte)?;
        through_text(&content)?;
        through_text(&chunk)?;
    }

    #[test]
    fn a_range_within_a_blob_stays_within_it(range in byte_range(), size in any::<u64>()) {
        let none_fits = match range {
            ByteRange::FromTo(from, to) => from > to || from >= size,
            ByteRange::From(from) => from >= size,
            ByteRange::Last(count) => count == 0 || size == 0,
        };
        match range.within(size) {
            Some((first, last)) => prop_assert!(!none_fits && first <= last && last < size),
            None => prop_assert!(none_fits),
        }
    }

    #[test]
    fn chunks_that_follow_each_other_touch(offset in any::<u64>(), length in any::<u64>()) {
        match ChunkRange::new(offset, length) {
            Some(range) => {
                prop_assert_eq!(range.first, offset);
                prop_assert_eq!(range.length(), length);
                prop_assert_eq!(range.last, offset + (length - 1));
            }
            None => prop_assert!(length == 0 || offset.checked_add(length - 1).is_none()),
        }
        let _no_panic = ChunkRange { first: offset, last: length }.length();
    }

    #[test]
    fn open_enumerations_keep_every_text(text in odd_text()) {
        let media_type = MediaType::from(text.as_str());
        through_text(&media_type)?;
        through_json(&media_type)?;
        prop_assert_eq!(media_type, text.as_str());
        let code = ErrorCode::from(text.as_str());
        through_text(&code)?;
        through_json(&code)?;
        prop_assert_eq!(code, text.as_str());
    }

    #[test]
    fn descriptors_and_manifests_round_trip(
        config in descriptor(), layers in vec(descriptor(), 0..3), subject in option::of(descriptor()),
        annotations in annotations(),
    ) {
        through_json(&config)?;
        let mut index = ImageIndex::new(layers.clone());
        (index.subject, index.annotations) = (subject.clone(), annotations.clone());
        let mut image = ImageManifest::new(config, layers);
        (image.subject, image.annotations) = (subject, annotations);
        let manifest = Manifest::try_from(&image)?;
        prop_assert_eq!(manifest.digest.matches(&manifest.bytes), Some(true));
        prop_assert_eq!(manifest.as_image()?, image);
        prop_assert!(manifest.as_index().is_err());
        let manifest = Manifest::try_from(&index)?;
        prop_assert_eq!(manifest.as_index()?, index);
        prop_assert!(manifest.as_image().is_err());
    }

    #[test]
    fn logins_round_trip(user in "[^:]{0,20}", password in odd_text()) {
        let login = (user, Secret::new(password));
        prop_assert_eq!(parse_basic_login(&basic_login(&login.0, &login.1)), Some(login));
    }

    #[test]
    fn locks_round_trip(change in changeable_attributes(), attributes in attributes()) {
        through_json(&change)?;
        through_json(&attributes)?;
        let mut changed = attributes.clone();
        changed.apply(&change);
        let restore = ChangeableAttributes::from(&attributes);
        changed.apply(&restore);
        prop_assert_eq!(ChangeableAttributes::from(&changed), restore);
        prop_assert_eq!(changed.extra, attributes.extra);
    }

    #[test]
    fn a_saved_digester_goes_on_where_it_stopped(
        before in vec(any::<u8>(), 0..300), after in vec(any::<u8>(), 0..300), is_long in any::<bool>(),
    ) {
        let mut digester = if is_long { Digester::sha512() } else { Digester::sha256() };
        digester.update(&before);
        let mut restored = Digester::restore(&digester.save())?;
        prop_assert_eq!(restored.bytes(), before.len() as u64);
        restored.update(&after);
        let whole = [before, after].concat();
        let algorithm = restored.algorithm();
        prop_assert_eq!(Some(restored.finish()), Digest::of(&algorithm, whole));
    }
}

proptest! {
    #![proptest_config(config(3000))]

    #[test]
    fn no_text_makes_a_parser_panic(text in hostile_text()) {
        let text = text.as_str();
        let accepted: Vec<Option<String>> = vec![
            RepositoryName::new(text).ok().map(String::from),
            RepositoryName::from_server(text).ok().map(String::from),
            Tag::new(text).ok().map(String::from),
            Tag::from_server(text).ok().map(String::from),
            Digest::new(text).ok().map(String::from),
            Reference::new(text).ok().map(|reference| reference.to_string()),
            PageToken::new(text).ok().map(String::from),
            UploadLocation::new(text).ok().map(String::from),
        ];
        for accepted in accepted.into_iter().flatten() {
            prop_assert_eq!(accepted, text);
        }
        if let Ok(image) = text.parse::<ImageReference>() {
            through_text(&image)?;
            prop_assert!(image.to_string().eq_ignore_ascii_case(text));
        }
        if let Ok(challenges) = Challenge::parse(text) {
            let written = challenges.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            prop_assert_eq!(Challenge::parse(&written)?, challenges);
        }
        if let Ok(time) = text.parse::<Timestamp>() {
            through_text(&time)?;
        }
        if let Ok(set) = text.parse::<ScopeSet>() {
            through_text(&set)?;
        }
        if let Ok(range) = text.parse::<ByteRange>() {
            through_text(&range)?;
        }
        if let Ok(range) = text.parse::<ContentRange>() {
            through_text(&range)?;
        }
        if let Ok(range) = text.parse::<ChunkRange>() {
            through_text(&range)?;
        }
        let _read = (MediaType::from_content_type(text), TokenClaims::read(text));
        if let Ok(value) = HeaderValue::try_from(text) {
            let _login = parse_basic_login(&value);
            let headers = HeaderMap::from_iter([
                (header::LINK, value.clone()),
                (header::WWW_AUTHENTICATE, value),
            ]);
            let _challenges = Challenge::from_headers(&headers);
            if let Ok(Some(token)) = PageToken::from_headers(&headers) {
                prop_assert!(token.to_link().is_some());
                let _path = token.path_and_query();
            }
        }
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in vec(any::<u8>(), 0..200), json in json_text()) {
        for bytes in [bytes.as_slice(), json.as_bytes()] {
            let envelope = ErrorEnvelope::parse(bytes);
            let manifest = Manifest::new(bytes.to_vec(), "application/x");
            let _views = (manifest.as_image(), manifest.as_index());
            let _read = (
                serde_json::from_slice::<Descriptor>(bytes),
                serde_json::from_slice::<ChangeableAttributes>(bytes),
                Digester::restore(bytes),
            );
            for error in envelope.errors {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}

/// Depth is bounded by the JSON parser, so that no body can exhaust the stack.
#[test]
fn a_body_of_many_brackets_is_refused() {
    for bracket in ["[", "{\"errors\":[", "{\"a\":"] {
        let body = bracket.repeat(200_000);
        assert_eq!(ErrorEnvelope::parse(body.as_bytes()).errors, []);
        let manifest = Manifest::new(body, MediaType::OCI_MANIFEST);
        assert!(manifest.as_image().is_err());
    }
}

#[test]
fn long_texts_are_read_in_a_time_that_grows_with_their_length() {
    // A parser that looks back over what it has read takes 10^11 steps for one of these, where one step for each
    // character takes milliseconds; the bound lies far from both.
    let start = std::time::Instant::now();
    let length = 1 << 19;
    for piece in [
        ",",
        "a=",
        "A b=\"c\",",
        "\\",
        "<a>,",
        "<a>;b=c,",
        "<a>;b=\"\\\\\";",
        "a ",
        "a:b:c ",
        "/",
        "-",
        ".",
    ] {
        let text = piece.repeat(length / piece.len());
        let _challenges = Challenge::parse(&text);
        let _scopes = text.parse::<ScopeSet>();
        let _image = text.parse::<ImageReference>();
        let _claims = TokenClaims::read(&text);
        let _location = UploadLocation::new(&text);
        if let Ok(value) = HeaderValue::try_from(text) {
            let headers = HeaderMap::from_iter([(header::LINK, value)]);
            let _token = PageToken::from_headers(&headers);
        }
    }
    assert!(
        start.elapsed() < Duration::from_secs(60),
        "{:?}",
        start.elapsed()
    );
}
