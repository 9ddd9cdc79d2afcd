//! What an exchange shows of the service that is not content: its name, its time, its pages, its mood.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime};

use acr_mock::{Registry, RegistryBuilder, Throttle};
use acr_protocol::{Challenge, OperationClass, Route};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use super::page::Page;
use super::placeholder::{has_placeholder, is_placeholder_host};
use super::step::{Step, parameter};

/// The user of a replay.
pub(super) const USER: &str = "replay";
/// The user's password.
pub(super) const PASSWORD: &str = "replayed-password";
/// An Entra token that is accepted.
pub(super) const ENTRA_TOKEN: &str = "replayed";
/// An Entra token of an identity without a role on the registry.
pub(super) const ENTRA_TOKEN_WITHOUT_ROLE: &str = "without-a-role";
/// A client that the firewall lets in.
pub(super) const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 82, 69, 80));

/// Sets a registry up as that of a session was.
pub(super) fn registry(steps: &[Step]) -> RegistryBuilder {
    let (page_size, page_size_limit) = page_sizes(steps);
    let mut anonymous = steps.iter().filter(|step| is_anonymous(step)).peekable();
    let anonymous_pull = anonymous.peek().is_none() || anonymous.any(Step::succeeds);
    let rights = [acr_protocol::Scope::catalog()].into_iter().collect();
    let mut builder = Registry::builder()
        .page_size(page_size)
        .page_size_limit(page_size_limit)
        // Longer than any session.
        .upload_life(Duration::from_secs(50 * 365 * 24 * 3600))
        .user(USER, PASSWORD)
        .entra_token(ENTRA_TOKEN, rights)
        .entra_token(ENTRA_TOKEN_WITHOUT_ROLE, acr_protocol::ScopeSet::new())
        .anonymous_pull(anonymous_pull);
    if steps.iter().any(gives_blobs_itself) {
        builder = builder.data_redirect(false);
    }
    if steps.iter().any(|step| refused_client(step).is_some()) {
        builder = builder.firewall([CLIENT]);
    }
    for step in steps.iter().filter(|step| step.succeeds()) {
        if let Some(user) = step.form("username").filter(|user| !user.is_empty()) {
            builder = builder.user(user, step.form("password").unwrap_or_default());
        }
    }
    if let [step] = steps
        && step.status() == 429
    {
        let throttle = match step.header("Retry-After") {
            Some(_) => Throttle::per_minute(0).with_retry_after(),
            None => Throttle::per_minute(0),
        };
        for class in CLASSES {
            builder = builder.throttle(class, throttle);
        }
    }
    builder
}

const CLASSES: [OperationClass; 7] = [
    OperationClass::Token,
    OperationClass::MetadataRead,
    OperationClass::MetadataWrite,
    OperationClass::Manifest,
    OperationClass::Referrers,
    OperationClass::Blob,
    OperationClass::Delete,
];

/// Returns the login server that an exchange names: in its body, its challenge or its request.
pub(super) fn login_server(step: &Step) -> Option<String> {
    let body = step.json();
    let challenge = challenge(step);
    let realm = challenge.as_ref().and_then(|challenge| {
        let (_, rest) = challenge.realm()?.split_once("://")?;
        rest.split('/').next().map(str::to_owned)
    });
    let host = step.exchange.request.host().filter(|_| step.data.is_none());
    let candidates = [
        body["registry"].as_str().map(str::to_owned),
        hidden_name(step, &body),
        challenge.and_then(|challenge| challenge.service().map(str::to_owned)),
        realm,
        step.form("service"),
        step.query("service"),
        host.map(str::to_owned),
    ];
    let names = || candidates.iter().flatten().filter(|name| is_host(name));
    // A name that recorders make up is better than none.
    let real = names().find(|name| !is_placeholder_host(name));
    real.or_else(|| names().next()).cloned()
}

/// A name of the length that the hidden one had: the length of the body says it.
fn hidden_name(step: &Step, body: &serde_json::Value) -> Option<String> {
    const SUFFIX: &str = ".azurecr.io";
    let hidden = body["registry"]
        .as_str()
        .filter(|name| has_placeholder(name))?;
    let length: usize = step.header("Content-Length")?.parse().ok()?;
    let own = length.checked_sub(body.to_string().len() + 1 - hidden.len() + SUFFIX.len())?;
    let fits =
        (1..64).contains(&own) && !step.exchange.is_masked("response.headers.Content-Length");
    fits.then(|| format!("{}{SUFFIX}", "r".repeat(own)))
}

fn is_host(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b".-:_".contains(&b);
    !name.is_empty() && !has_placeholder(name) && name.bytes().all(fits)
}

/// Returns the challenge in a response.
pub(super) fn challenge(step: &Step) -> Option<Challenge> {
    Challenge::from_headers(&step.response.headers)
        .into_iter()
        .next()
}

/// Returns the service's time at the response: its date, or 20 minutes before the end of the URL that it has signed.
pub(super) fn time_of(step: &Step) -> Option<SystemTime> {
    let signed = || {
        let (_, query) = step.header("Location")?.split_once('?')?;
        let end = OffsetDateTime::parse(&parameter(query, "se")?, &Rfc3339).ok()?;
        Some(SystemTime::from(end) - Duration::from_secs(20 * 60))
    };
    let date = || {
        let form = format_description!(
            "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
        );
        let time = PrimitiveDateTime::parse(step.header("Date")?, form).ok()?;
        Some(SystemTime::from(time.assume_utc()))
    };
    signed().or_else(date)
}

/// How many items a page has: where the request does not say, and at most.
fn page_sizes(steps: &[Step]) -> (u32, u32) {
    let (mut usual, mut most, mut longest) = (None, None, 0);
    for step in steps {
        let Some(page) = Page::of(step) else { continue };
        longest = longest.max(u32::try_from(page.items).unwrap_or(u32::MAX));
        let asked = step.query("n").and_then(|n| n.parse::<u32>().ok());
        match (asked, page.linked_size()) {
            (None, Some(linked)) => usual = usual.or(Some(linked)),
            (Some(asked), Some(linked)) if linked < asked => most = most.or(Some(linked)),
            _ => {}
        }
    }
    (
        usual.unwrap_or(longest.max(100)),
        most.unwrap_or(longest.max(1_000_000)),
    )
}

/// Returns the client that the firewall has refused.
pub(super) fn refused_client(step: &Step) -> Option<IpAddr> {
    if step.status() != 403 || step.data.is_some() {
        return None;
    }
    let body = step.json();
    let Some(message) = body["errors"][0]["message"].as_str() else {
        return Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    };
    let (_, rest) = message.split_once("client with IP '")?;
    rest.split('\'').next()?.parse().ok()
}

/// Whether the registry gives blobs itself: a response with the digest that the storage does not know.
fn gives_blobs_itself(step: &Step) -> bool {
    matches!(step.route, Some(Route::GetBlob(_)))
        && matches!(step.status(), 200 | 206)
        && step.header("Docker-Content-Digest").is_some()
}

/// Whether a token is asked for by a client that has no name.
fn is_anonymous(step: &Step) -> bool {
    match &step.route {
        Some(Route::RequestAccessToken(_)) => {
            let user = step.form("username").unwrap_or_default();
            step.form("grant_type").as_deref() == Some("password") && user.is_empty()
        }
        Some(Route::RequestAccessTokenWithLogin(_)) => step.sent_header("Authorization").is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn step(request: Value, response: Value) -> Step {
        let exchange = json!({ "request": request, "response": response });
        Step::new(serde_json::from_value(exchange).unwrap()).unwrap()
    }

    #[test]
    fn the_login_server_is_found_wherever_it_stands() {
        let get = json!({"method": "GET", "path": "/v2/a/tags/list"});
        let challenged =
            |challenge: &str| json!({"status": 401, "headers": {"WWW-Authenticate": challenge}});
        for (request, response, name) in [
            (
                get.clone(),
                json!({"status": 200, "body": {"registry": "r.azurecr.io"}}),
                Some("r.azurecr.io"),
            ),
            (
                get.clone(),
                challenged(
                    "Bearer realm=\"https://myregistry.azurecr.io/oauth2/token\",service=\"s.azurecr.io\"",
                ),
                Some("s.azurecr.io"),
            ),
            (
                get.clone(),
                challenged("Bearer realm=\"https://REDACTED\",service=\"REDACTED\""),
                None,
            ),
            (
                json!({"method": "POST", "path": "/oauth2/token", "body": "service=t.azurecr.io&scope=x"}),
                json!({"status": 200}),
                Some("t.azurecr.io"),
            ),
        ] {
            assert_eq!(login_server(&step(request, response)).as_deref(), name);
        }
    }

    #[test]
    fn a_hidden_login_server_has_the_length_that_the_body_tells() {
        let body = json!({"registry": "Sanitized.azurecr.io", "imageName": "a"});
        let length = body.to_string().len() + 1 + "real-name".len() - "Sanitized".len() + 3;
        let step = step(
            json!({"method": "GET", "path": "/acr/v1/a"}),
            json!({"status": 200, "headers": {"Content-Length": length.to_string()}, "body": body}),
        );
        let name = login_server(&step).unwrap();
        assert_eq!(name.len(), "real-name.azurecr.io".len() + 3);
    }

    #[test]
    fn the_time_is_that_of_the_response() {
        let get = json!({"method": "GET", "path": "/v2/a/blobs/sha256:00"});
        let dated = json!({"status": 200, "headers": {"Date": "Thu, 20 Jun 2024 23:19:00 GMT"}});
        let location = "https://h/i//docker/registry/v2/x?se=2024-06-20T23%3A39%3A00Z";
        let signed = json!({"status": 307, "headers": {"Location": location}});
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_718_925_540);
        for response in [dated, signed] {
            assert_eq!(time_of(&step(get.clone(), response)), Some(time));
        }
    }
}
