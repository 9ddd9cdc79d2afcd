//! Values, their text, the same values; and of arbitrary text nothing that a type's documentation rules out.

use crate::support;

use std::time::Duration;

use acr_protocol::blob::{ByteRange, ContentRange};
use acr_protocol::upload::{
    ChunkRange, CompleteUpload, GetUploadStatus, UploadLocation, UploadProgress,
};
use acr_protocol::{
    Challenge, Digest, ErrorCode, ErrorEnvelope, Operation, PageToken, RegistryError,
    RepositoryName, RetryAfter, ScopeSet, Timestamp, TokenClaims,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

use support::hostile::hostile_text;
use support::*;

fn retry_after() -> impl Strategy<Value = RetryAfter> {
    prop_oneof![
        any::<Duration>().prop_map(RetryAfter::Delay),
        (0..10_000_u64, any::<u32>())
            .prop_map(|(seconds, part)| Duration::new(seconds, part % 1_000_000_000))
            .prop_map(RetryAfter::Delay),
        timestamp().prop_map(RetryAfter::At),
    ]
}

/// Texts near to what `Retry-After` may hold.
fn retry_after_text() -> impl Strategy<Value = String> {
    prop_oneof![
        odd_text(),
        "[ \t]{0,2}[0-9]{0,24}[ \t]{0,2}",
        "[-+]?[0-9]{1,4}[.e]?[0-9]{0,3}",
        "(Mon|Sun|Nov), [0-9]{2} (Jan|Nov|nov|13) [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} (GMT|UTC)",
        "(Sunday|Monday|Sun), [0-3][0-9]-(Jan|Nov|nov)-[0-9]{2} [0-2][0-9]:[0-5][0-9]:[0-5][0-9] GMT",
        "(Mon|Sun|Nov) (Jan|Nov|nov|13) [ 0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9] [0-9]{4}",
        // Real dates, with the day of the week that is theirs.
        timestamp().prop_map(|time| RetryAfter::At(time).to_string()),
    ]
}

/// A token with this payload, as the service makes them.
fn token(payload: &Value) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!(
        "{}.{}.{}",
        part(r#"{"alg":"RS256"}"#),
        part(&payload.to_string()),
        part("signature")
    )
}

/// The claim `access`, in the spelling of today or that of before.
fn access_claim(access: &ScopeSet, is_capital: bool) -> Value {
    let name = |capital: &str| {
        if is_capital {
            capital.to_owned()
        } else {
            capital.to_ascii_lowercase()
        }
    };
    let entries = access.iter().map(|scope| {
        let text = scope.to_string();
        // The name of a resource may hold colons, its type and its actions none.
        let (kind, rest) = text.split_once(':').unwrap_or_default();
        let (resource, actions) = rest.rsplit_once(':').unwrap_or_default();
        let actions: Vec<&str> = actions.split(',').collect();
        json!({name("Type"): kind, name("Name"): resource, name("Actions"): actions})
    });
    entries.collect()
}

fn registry_error() -> impl Strategy<Value = RegistryError> {
    let code = prop_oneof![
        3 => proptest::sample::select(ErrorCode::KNOWN),
        1 => odd_text().prop_map(ErrorCode::from),
    ];
    let detail = prop_oneof![
        Just(Value::Null),
        odd_text().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        extra().prop_map(Value::Object),
        vec(odd_text(), 0..3).prop_map(Value::from),
    ];
    (code, odd_text(), option::of(detail)).prop_map(|(code, message, detail)| {
        let error = RegistryError::new(code, message);
        match detail {
            Some(detail) => error.with_detail(detail),
            None => error,
        }
    })
}

/// What stands in a list of errors without being one.
fn no_error() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        odd_text().prop_map(Value::from),
        Just(json!([{"code": "A"}])),
        Just(json!({"code": 7})),
        Just(json!({"code": "A", "message": ["m"]})),
    ]
}

fn served(value: &HeaderValue) -> Result<UploadProgress, acr_protocol::DecodeError> {
    let (operation, location) = upload();
    let response = http::Response::builder()
        .status(StatusCode::NO_CONTENT)
        .header(header::LOCATION, location.as_str())
        .header(header::RANGE, value);
    let (head, ()) = valid(response.body(())).into_parts();
    operation.decode(&head, bytes::Bytes::new())
}

fn upload() -> (GetUploadStatus, UploadLocation) {
    let repository = valid(RepositoryName::new("app"));
    let location = UploadLocation::acr(&repository, "0f30", "state");
    let operation = GetUploadStatus {
        repository,
        location: location.clone(),
    };
    (operation, location)
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn the_life_and_the_rights_of_a_token_are_read_as_they_were_written(
        expires in option::of(-62_135_596_800..253_402_300_800_i64), issued in option::of(0..253_402_300_800_i64),
        access in scope_set(), is_capital in any::<bool>(), is_abac in any::<bool>(), others in extra(),
    ) {
        let mut payload = others;
        if let Some(expires) = expires {
            payload.insert("exp".to_owned(), expires.into());
        }
        if let Some(issued) = issued {
            payload.insert("iat".to_owned(), issued.into());
        }
        if is_abac {
            payload.insert("aad_identity".to_owned(), "id".into());
        }
        payload.insert("access".to_owned(), access_claim(&access, is_capital));
        let claims = TokenClaims::read(&token(&Value::Object(payload)));
        prop_assert!(claims.is_some());
        let claims = claims.unwrap_or_default();
        prop_assert_eq!(claims.expires_at, expires.map(|seconds| Timestamp::new(seconds, 0)));
        prop_assert_eq!(claims.issued_at, issued.map(|seconds| Timestamp::new(seconds, 0)));
        prop_assert_eq!(claims.access, access);
        prop_assert_eq!(claims.is_abac, is_abac);
    }

    #[test]
    fn a_life_of_any_number_is_a_time_that_can_be_written(seconds in any::<f64>(), other in odd_text()) {
        let claims = TokenClaims::read(&token(&json!({"exp": seconds, "iat": other})));
        prop_assert!(claims.is_some());
        let claims = claims.unwrap_or_default();
        prop_assert_eq!(claims.issued_at, None);
        // JSON has no number for what is not one.
        prop_assert_eq!(claims.expires_at.is_some(), seconds.is_finite());
        if let Some(time) = claims.expires_at {
            prop_assert_eq!(time.to_string().parse::<Timestamp>().ok(), Some(time));
        }
    }

    #[test]
    fn errors_are_read_as_they_were_written_and_no_stranger_among_them_hides_one(
        errors in vec(registry_error(), 0..4), strangers in vec(no_error(), 0..3),
    ) {
        let envelope = ErrorEnvelope { errors: errors.clone() };
        let body = serde_json::to_vec(&envelope).unwrap_or_default();
        prop_assert_eq!(&ErrorEnvelope::parse(&body), &envelope);
        let mixed: Vec<Value> = errors.iter().map(|error| json!(error)).chain(strangers).collect();
        let body = json!({"errors": mixed, "more": 1}).to_string();
        prop_assert_eq!(ErrorEnvelope::parse(body.as_bytes()), envelope);
    }

    #[test]
    fn the_progress_of_an_upload_is_read_as_it_was_written(last in option::of(any::<u64>()), minimum in option::of(any::<u64>())) {
        let (operation, location) = upload();
        let progress = UploadProgress { location, last_byte: last, minimum_chunk: minimum };
        let (head, body) = operation.respond(&progress).into_parts();
        prop_assert_eq!(operation.decode(&head, body)?, progress);
    }
}

proptest! {
    #![proptest_config(config(2000))]

    #[test]
    fn no_challenge_has_a_name_that_is_none(text in hostile_text()) {
        let is_name = |c: char| c.is_ascii_graphic() && !"\"(),/:;<=>?@[\\]{}".contains(c);
        for challenge in Challenge::parse(&text).unwrap_or_default() {
            prop_assert!(!challenge.scheme().is_empty() && challenge.scheme().chars().all(is_name));
            prop_assert!(challenge.realm().is_none_or(|realm| realm.len() <= text.len()));
        }
    }

    #[test]
    fn no_token_of_a_page_leaves_its_brackets_or_passes_a_host_for_a_path(
        text in prop_oneof![hostile_text(), "<[/\\\\.:a-z]{1,8}>; rel=next", "[/\\\\.:a-z]{1,8}"],
    ) {
        let header = HeaderValue::try_from(&text).ok();
        let headers = HeaderMap::from_iter(header.map(|value| (header::LINK, value)));
        let linked = PageToken::from_headers(&headers).ok().flatten();
        for token in [linked, PageToken::new(&text).ok()].into_iter().flatten() {
            prop_assert!(text.contains(token.as_str()));
            prop_assert!(token.as_str().bytes().all(|b| b.is_ascii_graphic() && !b"<>\"".contains(&b)));
            if let Some(path) = token.path_and_query() {
                prop_assert!(path.authority().is_none() && path.path().starts_with('/'));
                prop_assert!(!path.path()[1..].starts_with(['/', '\\']), "{} names a host", token);
            }
        }
    }

    #[test]
    fn no_location_loses_its_place_to_a_digest(
        text in prop_oneof![hostile_text(), "(https?://[a-z.]{1,6}(:[0-9]{1,4})?)?/[a-z/%2F]{0,12}(\\?[a-z=&%]{0,9})?"],
    ) {
        let Ok(location) = UploadLocation::new(&text) else { return Ok(()) };
        let target: Uri = text.parse()?;
        let complete = CompleteUpload {
            repository: RepositoryName::new("app")?,
            location,
            digest: Some(Digest::sha256(b"")),
            range: None,
        };
        let request = complete.request()?;
        prop_assert_eq!(request.uri().scheme(), target.scheme());
        prop_assert_eq!(request.uri().authority(), target.authority());
        prop_assert_eq!(request.uri().path(), target.path());
        prop_assert!(request.uri().query().unwrap_or_default().contains("digest=sha256%3Ae3b0c442"));
    }

    #[test]
    fn no_range_ends_before_it_begins_or_beyond_its_whole(
        text in prop_oneof![hostile_text(), "(bytes[ =])?[0-9]{0,21}-[0-9]{0,21}(/([0-9]{1,21}|[*]))?"],
    ) {
        if let Ok(range) = text.parse::<ContentRange>() {
            prop_assert!(range.first <= range.last && range.size.is_none_or(|size| range.last < size));
        }
        if let Ok(range) = text.parse::<ChunkRange>() {
            prop_assert!(range.first <= range.last && range.length() > 0);
        }
        if let Ok(ByteRange::FromTo(from, to)) = text.parse::<ByteRange>() {
            prop_assert_eq!(text.replace("bytes=", "").trim().split('-').count(), 2);
            prop_assert!(ByteRange::FromTo(from, to).within(1).is_none_or(|part| part == (0, 0)));
        }
        // What an upload says of itself begins at its first byte, or is an error.
        if let Ok(value) = HeaderValue::try_from(&text)
            && let Ok(progress) = served(&value)
        {
            let range = text.strip_prefix("bytes=").unwrap_or(&text);
            let first = range.split('-').next().unwrap_or_default();
            prop_assert!(first.bytes().all(|b| b == b'0') && !first.is_empty(), "{}", text);
            prop_assert!(progress.last_byte.is_some());
        }
    }
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn a_retry_after_keeps_its_meaning_through_its_text(value in retry_after(), now in timestamp()) {
        let text = value.to_string();
        let read = RetryAfter::parse(&text);
        prop_assert!(read.is_some(), "{:?} is written as {:?}, which cannot be read", value, text);
        let read = read.unwrap_or(value);
        prop_assert_eq!(read.to_string(), text);
        // Nobody comes back earlier than was asked, and nobody more than a second later.
        let now = now.max(Timestamp::UNIX_EPOCH);
        let last_second = Timestamp::new(253_402_300_799, 0);
        if !matches!(value, RetryAfter::At(time) if time > last_second) {
            prop_assert!(read.delay(now) >= value.delay(now));
            prop_assert!(read.delay(now) - value.delay(now) < Duration::from_secs(1));
        }
    }

    #[test]
    fn a_delay_is_never_beyond_what_a_clock_can_add(value in retry_after(), now in timestamp()) {
        let delay = value.delay(now);
        prop_assert!(delay <= RetryAfter::MAX_DELAY);
        match value {
            RetryAfter::At(time) if time <= now => prop_assert_eq!(delay, Duration::ZERO),
            RetryAfter::At(time) => prop_assert!(delay == RetryAfter::MAX_DELAY || now + delay == time),
            RetryAfter::Delay(asked) => prop_assert_eq!(delay, asked.min(RetryAfter::MAX_DELAY)),
        }
    }

    #[test]
    fn any_text_is_a_retry_after_that_can_be_written_or_none(text in retry_after_text()) {
        let Some(value) = RetryAfter::parse(&text) else { return Ok(()) };
        prop_assert_eq!(RetryAfter::parse(&value.to_string()), Some(value));
        match value {
            RetryAfter::Delay(delay) => {
                prop_assert!(delay <= RetryAfter::MAX_DELAY && delay.subsec_nanos() == 0);
                prop_assert!(text.trim().bytes().all(|byte| byte.is_ascii_digit()));
            }
            RetryAfter::At(time) => {
                prop_assert!(time >= Timestamp::UNIX_EPOCH && time.nanoseconds() == 0);
                prop_assert!(text.contains("GMT") || text.trim().len() == "Sun Nov  6 08:49:37 1994".len());
            }
        }
    }
}
