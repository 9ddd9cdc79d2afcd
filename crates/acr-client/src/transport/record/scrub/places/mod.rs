//! The places where secrets stand: headers, parameters of queries and forms, members of JSON.
//!
//! Each function takes the secrets that it finds into [`Secrets`], and gives back the text without
//! them, or `None` where there were none.

use acr_protocol::auth::parse_basic_login;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, SET_COOKIE};
use http::{HeaderName, HeaderValue, Uri};
use serde_json::Value;

use crate::transport::record::scrub::escapes::unescape;
use crate::transport::record::scrub::jwt;
use crate::transport::record::scrub::secrets::{REDACTED, Secrets};

/// A header whose name says that its value is a secret.
pub(in crate::transport::record::scrub) fn header(
    name: &HeaderName,
    value: &HeaderValue,
    secrets: &mut Secrets,
) -> Option<HeaderValue> {
    let text = String::from_utf8_lossy(value.as_bytes());
    let mut hidden = REDACTED.to_owned();
    match *name {
        AUTHORIZATION | PROXY_AUTHORIZATION => {
            if let Some((_, password)) = parse_basic_login(value) {
                learn(password.expose(), secrets);
            }
            let (scheme, secret) = text.split_once(' ').unwrap_or(("", &text));
            learn(secret.trim(), secrets);
            if !scheme.is_empty() {
                hidden = format!("{scheme} {REDACTED}");
            }
        }
        COOKIE | SET_COOKIE => {
            for pair in text.split(';') {
                let (_, value) = pair.split_once('=').unwrap_or_default();
                learn_if_long(value.trim().trim_matches('"'), secrets);
                if *name == SET_COOKIE {
                    // Behind the first pair are attributes, whose values are no secrets.
                    break;
                }
            }
        }
        _ if is_secret_header(name) || value.is_sensitive() => learn_if_long(&text, secrets),
        _ => return None,
    }
    (hidden != text)
        .then(|| HeaderValue::try_from(hidden).ok())
        .flatten()
}

/// The password in a URL.
pub(in crate::transport::record::scrub) fn user_of(url: &Uri, secrets: &mut Secrets) {
    let authority = url.authority().map_or("", |authority| authority.as_str());
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    if let Some((_, password)) = user.split_once(':') {
        learn(&unescape(password, false), secrets);
    }
}

/// A query or form: nothing but `name=value` with `&` between.
pub(in crate::transport::record::scrub) fn pairs(
    text: &str,
    secrets: &mut Secrets,
) -> Option<String> {
    let mut changed = false;
    let pairs = text.split('&').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if value.is_empty() || value == REDACTED || !is_secret_name(&unescape(name, true)) {
            return pair.to_owned();
        }
        changed = true;
        learn_escaped(value, secrets);
        format!("{name}={REDACTED}")
    });
    let pairs = pairs.collect::<Vec<_>>().join("&");
    changed.then_some(pairs)
}

/// Any text: signatures and tokens in the URLs in it, users of URLs, and tokens by their shape.
pub(in crate::transport::record::scrub) fn text(
    text: &str,
    cut: bool,
    secrets: &mut Secrets,
) -> Option<String> {
    let mut cleaned = parameters(text, secrets);
    let so_far = cleaned.as_deref().unwrap_or(text);
    cleaned = users(so_far, secrets).or(cleaned);
    let so_far = cleaned.as_deref().unwrap_or(text);
    jwt::replace(so_far, cut, secrets).or(cleaned)
}

/// JSON whose members with a telling name are secrets. Tells whether there was one.
pub(in crate::transport::record::scrub) fn json(value: &mut Value, secrets: &mut Secrets) -> bool {
    members(value, false, secrets)
}

fn members(value: &mut Value, is_secret: bool, secrets: &mut Secrets) -> bool {
    let mut changed = false;
    match value {
        Value::Object(object) => {
            for (name, member) in object {
                changed |= members(member, is_secret || is_secret_name(name), secrets);
            }
        }
        Value::Array(items) => {
            for item in items {
                changed |= members(item, is_secret, secrets);
            }
        }
        Value::String(text) if is_secret && !text.is_empty() => {
            let stand_in = learn(text, secrets);
            changed = *text != stand_in;
            *text = stand_in;
        }
        Value::Number(number) if is_secret => {
            learn(&number.to_string(), secrets);
            *value = REDACTED.into();
            changed = true;
        }
        _ => {}
    }
    changed
}

/// `?sig=x` and the like, wherever they stand in a text.
fn parameters(text: &str, secrets: &mut Secrets) -> Option<String> {
    let mut cleaned = String::new();
    let (mut kept, mut at) = (0, 0);
    while let Some(found) = text[at..].find('=') {
        let equals = at + found;
        at = equals + 1;
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let name = text[..equals].trim_end_matches(is_of_name).len();
        let name = &text[name..equals];
        // JSON may write `&` as `\u0026`.
        let name = name.strip_prefix("u0026").unwrap_or(name);
        let value = text[at..].split(ENDS_OF_A_VALUE).next().unwrap_or_default();
        if value.is_empty() || value == REDACTED || !is_secret_name(name) {
            continue;
        }
        learn_escaped(value, secrets);
        cleaned.push_str(&text[kept..at]);
        cleaned.push_str(REDACTED);
        at += value.len();
        kept = at;
    }
    cleaned.push_str(&text[kept..]);
    (kept > 0).then_some(cleaned)
}

/// `https://user:password@host`, wherever it stands in a text.
fn users(text: &str, secrets: &mut Secrets) -> Option<String> {
    let mut cleaned = String::new();
    let (mut kept, mut at) = (0, 0);
    while let Some(found) = text[at..].find("://") {
        at += found + 3;
        let authority = text[at..].split(['/', '?', '#', '"', '<', '>', ' ', '\n']);
        let authority = authority.clone().next().unwrap_or_default();
        let Some((user, _)) = authority.rsplit_once('@') else {
            continue;
        };
        let (_, password) = user.split_once(':').unwrap_or((user, ""));
        if user == REDACTED {
            continue;
        }
        learn(&unescape(password, false), secrets);
        cleaned.push_str(&text[kept..at]);
        cleaned.push_str(REDACTED);
        kept = at + user.len();
    }
    cleaned.push_str(&text[kept..]);
    (kept > 0).then_some(cleaned)
}

/// Whether a parameter or member of this name holds a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    NAMES.iter().any(|secret| secret.eq_ignore_ascii_case(name))
}

fn is_secret_header(name: &HeaderName) -> bool {
    let name = name.as_str();
    // What a browser may send is a list of names.
    !name.starts_with("access-control-") && HEADERS.iter().any(|part| name.contains(part))
}

/// Takes note of a secret; returns what stands in its place.
fn learn(secret: &str, secrets: &mut Secrets) -> String {
    let stand_in = jwt::stand_in(secret, secrets);
    secrets.learn(secret, &stand_in);
    stand_in
}

/// A short value of a header or cookie is likely to be a word that stands elsewhere too, such as `true`.
fn learn_if_long(value: &str, secrets: &mut Secrets) {
    if value.len() >= LONG {
        learn(value, secrets);
    }
}

/// In a query `+` is a space to some and itself to others.
fn learn_escaped(value: &str, secrets: &mut Secrets) {
    for plus_is_space in [true, false] {
        learn(&unescape(value, plus_is_space), secrets);
    }
}

/// Parameters of queries and forms, and members of JSON, of the token endpoints and of signed URLs.
const NAMES: &[&str] = &[
    "access_token",
    "assertion",
    "client_assertion",
    "client_secret",
    "id_token",
    "identitytoken",
    "passwd",
    "password",
    "refresh_token",
    "registrytoken",
    "sig",
    "signature",
    "token",
    "x-amz-security-token",
    "x-amz-signature",
    "x-goog-signature",
];

/// What the names of headers hold that are secrets, such as `x-ms-token-aad-access-token`.
const HEADERS: &[&str] = &[
    "api-key",
    "apikey",
    "authorization",
    "password",
    "secret",
    "signature",
    "subscription-key",
    "token",
];

const ENDS_OF_A_VALUE: &[char] = &[
    '&', '"', '\'', '<', '>', ' ', '\t', '\r', '\n', '\\', ';', ',', ')',
];
const LONG: usize = 8;

#[cfg(test)]
mod tests;
