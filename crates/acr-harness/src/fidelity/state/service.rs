//! What an exchange tells of the service that is no content: its name, its time, its storage, its pages, its mood.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime};

use acr_mock::recorded::{ChallengeWording, EntraError, RecordedStorage, ScopeOrder};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use super::listing::Page;
use crate::fidelity::body::Body;
use crate::fidelity::exchange::{Exchange, parameter};
use crate::fidelity::pattern::{has_placeholder, is_placeholder, is_placeholder_host};
use crate::fidelity::target::Target;

/// The login server that an exchange names: in its body, its challenge or its request.
pub fn login_server(exchange: &Exchange) -> Option<String> {
    let body = exchange.response.body.json().unwrap_or_default();
    let challenge = exchange
        .response
        .headers
        .first("WWW-Authenticate")
        .unwrap_or_default();
    let quoted = |name: &str| {
        let (_, rest) = challenge.split_once(&format!("{name}=\""))?;
        rest.split('"').next().map(str::to_owned)
    };
    let realm = quoted("realm").and_then(|realm| {
        let rest = realm.split_once("://")?.1;
        rest.split('/').next().map(str::to_owned)
    });
    let form = exchange.request.body.text().unwrap_or_default();
    let host = exchange.request.headers.first("Host").map(str::to_owned);
    let candidates = [
        body["registry"].as_str().map(str::to_owned),
        hidden_name(exchange, &body),
        quoted("service"),
        realm,
        parameter(form, "service"),
        parameter(&exchange.request.query, "service"),
        host.filter(|_| !exchange.to_data),
    ];
    let names = || candidates.iter().flatten().filter(|name| is_host(name));
    // A name that recorders make up is better than none.
    names()
        .find(|name| !is_placeholder_host(name))
        .or_else(|| names().next())
        .cloned()
}

/// A name of the length that the hidden one had: the length of the body says it.
fn hidden_name(exchange: &Exchange, body: &serde_json::Value) -> Option<String> {
    let hidden = body["registry"]
        .as_str()
        .filter(|name| has_placeholder(name))?;
    let length = exchange.response.headers.first("Content-Length")?;
    let length = length
        .parse::<usize>()
        .ok()
        .filter(|_| !exchange.masks("response.headers.Content-Length"))?;
    let without_name = body.to_string().len() + 1 - hidden.len();
    let own = length
        .checked_sub(without_name)?
        .checked_sub(SUFFIX.len())?;
    (1..64)
        .contains(&own)
        .then(|| format!("{}{SUFFIX}", "r".repeat(own)))
}

const SUFFIX: &str = ".azurecr.io";

fn is_host(name: &str) -> bool {
    !name.is_empty()
        && !has_placeholder(name)
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'_'))
}

/// The service's time at the response: its date, or 20 minutes before the end of the URL that it has signed.
pub fn time_of(exchange: &Exchange) -> Option<SystemTime> {
    let headers = &exchange.response.headers;
    let signed = || {
        let (_, query) = headers.first("Location")?.split_once('?')?;
        let end = OffsetDateTime::parse(&parameter(query, "se")?, &Rfc3339).ok()?;
        Some(SystemTime::from(end) - Duration::from_secs(20 * 60))
    };
    signed().or_else(|| headers.first("Date").and_then(date))
}

fn date(text: &str) -> Option<SystemTime> {
    let form = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let time = PrimitiveDateTime::parse(text, form).ok()?;
    Some(SystemTime::from(time.assume_utc()))
}

/// The storage account that a redirect leads to, or that has responded.
pub fn storage(exchange: &Exchange) -> Option<RecordedStorage> {
    redirected(exchange).or_else(|| {
        // Storage tells the version that the URL was signed for; the URL is asked first, where it was recorded.
        let version = match parameter(&exchange.request.query, "sv") {
            Some(signed) => known(&signed)?,
            None => known(exchange.response.headers.first("x-ms-version")?)?,
        };
        Some(RecordedStorage {
            version: Some(version),
            ..RecordedStorage::default()
        })
    })
}

fn redirected(exchange: &Exchange) -> Option<RecordedStorage> {
    let location = exchange.response.headers.first("Location")?;
    let (before, query) = location.split_once('?')?;
    let (_, rest) = before.split_once("://")?;
    let (host, path) = rest.split_once('/')?;
    let (folder, _) = path.split_once("//docker/registry/")?;
    let folder = known(folder);
    let named = |name| parameter(query, name).as_deref().and_then(known);
    Some(RecordedStorage {
        host: known(host),
        registry_id: named("regid").or_else(|| folder.clone()),
        folder,
        version: named("sv"),
    })
}

fn known(text: &str) -> Option<String> {
    (!has_placeholder(text) && !text.is_empty()).then(|| text.to_owned())
}

/// How many items a page has: where the request does not say, and at most.
pub fn page_sizes(steps: &[Exchange]) -> (u32, u32) {
    let (mut usual, mut most) = (None, None);
    let mut longest = 0;
    for step in steps {
        let Some(page) = Page::of(step) else { continue };
        longest = longest.max(page.items());
        let linked = page.link().and_then(|link| link.size);
        let asked = parameter(&step.request.query, "n").and_then(|n| n.parse::<u64>().ok());
        match (asked, linked) {
            (None, Some(linked)) => usual = usual.or(Some(linked)),
            (Some(asked), Some(linked)) if linked < asked => most = most.or(Some(linked)),
            _ => {}
        }
    }
    let number = |size: u64| u32::try_from(size).unwrap_or(u32::MAX);
    let longest = number(longest as u64);
    (
        usual.map_or(longest.max(100), number),
        most.map_or(longest.max(1_000_000), number),
    )
}

/// The order of scopes and actions in a challenge; `None` where there is none to tell.
pub fn scope_order(exchange: &Exchange) -> Option<ScopeOrder> {
    let challenge = exchange.response.headers.first("WWW-Authenticate")?;
    let (_, rest) = challenge.split_once("scope=\"")?;
    let scopes: Vec<&str> = rest.split('"').next()?.split(' ').collect();
    let actions_reversed = scopes.iter().any(|scope| {
        let actions = scope.rsplit(':').next().unwrap_or_default();
        let actions: Vec<&str> = actions.split(',').collect();
        !actions.is_sorted()
    });
    let is_of_target = |scope: &&str| {
        let name = scope
            .split_once(':')
            .and_then(|(_, rest)| rest.rsplit_once(':'))
            .map(|(name, _)| name);
        name == exchange.target.repository()
    };
    Some(ScopeOrder {
        actions_reversed,
        scopes_reversed: scopes.len() > 1
            && scopes.first().is_some_and(|scope| !is_of_target(scope)),
    })
}

/// How challenges are worded.
pub fn wording(exchange: &Exchange) -> Option<ChallengeWording> {
    let body = exchange.response.body.json()?;
    let error = &body["errors"][0];
    (error["code"] == "UNAUTHORIZED" && !exchange.target.is_oauth()).then(|| ChallengeWording {
        short_message: error["message"] == "authentication required",
        small_letters: error["detail"][0].get("action").is_some(),
    })
}

/// How the exchange of an Entra token was refused.
pub fn entra_refusal(exchange: &Exchange) -> Option<EntraError> {
    if exchange.target != Target::Exchange {
        return None;
    }
    let body = exchange.response.body.json().unwrap_or_default();
    let message = body["errors"][0]["message"].as_str();
    match (exchange.response.status, message) {
        (401, Some("retrieving permissions failed")) => Some(EntraError::Permissions),
        (401, Some(_)) => Some(EntraError::Validation),
        (401, None) if exchange.response.headers.has("Content-Type") => {
            Some(EntraError::Validation)
        }
        (401, None) => Some(EntraError::Silent),
        (403, Some(message)) if !message.starts_with("client with IP") => Some(EntraError::NoRole),
        _ => None,
    }
}

/// The client that the firewall has refused, and whether the refusal names the correlation.
pub fn refused_client(exchange: &Exchange) -> Option<(IpAddr, bool)> {
    if exchange.response.status != 403 || exchange.to_data {
        return None;
    }
    let body = exchange.response.body.json().unwrap_or_default();
    let Some(message) = body["errors"][0]["message"].as_str() else {
        return Some((IpAddr::V4(Ipv4Addr::LOCALHOST), false));
    };
    let (_, rest) = message.split_once("client with IP '")?;
    let address = rest.split('\'').next()?.parse().ok()?;
    Some((address, message.contains("CorrelationId")))
}

/// Whether the registry gives blobs itself: a response with the digest that storage does not know.
pub fn gives_blobs_itself(exchange: &Exchange) -> bool {
    matches!(exchange.target, Target::Blob { .. })
        && exchange.request.method == "GET"
        && matches!(exchange.response.status, 200 | 206)
        && exchange.response.headers.has("Docker-Content-Digest")
}

/// Whether the exchange is one of a client that has no name, and whether it was let in.
pub fn anonymous(exchange: &Exchange) -> Option<bool> {
    if exchange.target != Target::Token {
        return None;
    }
    let form = exchange.request.body.text().unwrap_or_default();
    let is_anonymous = match exchange.request.method.as_str() {
        "POST" => {
            let grant = parameter(form, "grant_type").unwrap_or_default();
            let user = parameter(form, "username").unwrap_or_default();
            grant == "password" && user.is_empty()
        }
        _ => !exchange.request.headers.has("Authorization"),
    };
    is_anonymous.then(|| exchange.succeeds())
}

/// The user and password in the form of a token request.
pub fn login(exchange: &Exchange) -> Option<(String, String)> {
    let form = exchange.request.body.text()?;
    let user = parameter(form, "username").filter(|user| !user.is_empty())?;
    Some((user, parameter(form, "password").unwrap_or_default()))
}

/// The end of the challenge: why the credentials were not enough.
pub fn challenge_error(exchange: &Exchange) -> Option<&str> {
    let challenge = exchange.response.headers.first("WWW-Authenticate")?;
    let (_, rest) = challenge.split_once("error=\"")?;
    rest.split('"').next()
}

/// Whether the response tells an error of the whole service: too many requests.
pub fn is_throttled(exchange: &Exchange) -> bool {
    exchange.response.status == 429
}

/// Whether the body is one that a recorder has taken out of a form.
pub fn has_no_form(exchange: &Exchange) -> bool {
    match &exchange.request.body {
        Body::Bytes(bytes) => std::str::from_utf8(bytes).is_ok_and(is_placeholder),
        Body::Json(_) | Body::None | Body::Unknown { .. } => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn exchange(request: Value, response: Value) -> Exchange {
        let line = json!({ "request": request, "response": response });
        Exchange::read("f:1", &line.to_string()).expect("a line")
    }

    #[test]
    fn the_login_server_is_found_wherever_it_stands() {
        let get = json!({"method": "GET", "path": "/v2/a/tags/list"});
        for (request, response, name) in [
            (
                get.clone(),
                json!({"status": 200, "body": {"registry": "r.azurecr.io"}}),
                Some("r.azurecr.io"),
            ),
            (
                get.clone(),
                json!({"status": 401, "headers": {
                    "WWW-Authenticate": "Bearer realm=\"https://myregistry.azurecr.io/oauth2/token\",service=\"s.azurecr.io\""
                }}),
                Some("s.azurecr.io"),
            ),
            (
                get.clone(),
                json!({"status": 401, "headers": {
                    "WWW-Authenticate": "Bearer realm=\"https://REDACTED\",service=\"REDACTED\""
                }}),
                None,
            ),
            (
                json!({"method": "POST", "path": "/oauth2/token", "body": "service=t.azurecr.io&scope=x"}),
                json!({"status": 200}),
                Some("t.azurecr.io"),
            ),
        ] {
            assert_eq!(login_server(&exchange(request, response)).as_deref(), name);
        }
    }

    #[test]
    fn a_hidden_login_server_has_the_length_that_the_body_tells() {
        let body = json!({"registry": "Sanitized.azurecr.io", "imageName": "a"});
        let length = body.to_string().len() + 1 + "real-name".len() - "Sanitized".len() + 3;
        let exchange = exchange(
            json!({"method": "GET", "path": "/acr/v1/a"}),
            json!({"status": 200, "headers": {"Content-Length": length.to_string()}, "body": body}),
        );
        let name = login_server(&exchange).expect("a name");
        assert_eq!(name.len(), "real-name.azurecr.io".len() + 3);
    }

    #[test]
    fn the_time_is_that_of_the_answer() {
        let get = json!({"method": "GET", "path": "/v2/a/blobs/sha256:00"});
        let dated = exchange(
            get.clone(),
            json!({"status": 200, "headers": {"Date": "Thu, 20 Jun 2024 23:19:00 GMT"}}),
        );
        let signed = exchange(
            get,
            json!({"status": 307, "headers": {"Location": "https://h/i//docker/registry/v2/x?se=2024-06-20T23%3A39%3A00Z&sv=2018-03-28"}}),
        );
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_718_925_540);
        assert_eq!(
            (time_of(&dated), time_of(&signed)),
            (Some(time), Some(time))
        );
        assert_eq!(
            storage(&signed)
                .and_then(|storage| storage.version)
                .as_deref(),
            Some("2018-03-28")
        );
    }

    #[test]
    fn storage_is_told_by_the_redirect_and_by_its_own_answer() {
        let get = json!({"method": "GET", "path": "/v2/a/blobs/sha256:00"});
        let location = "https://h/i-s//docker/registry/v2/x?se=2&sv=2016-05-31&regid=i";
        let there = exchange(
            get.clone(),
            json!({"status": 307, "headers": {"Location": location}}),
        );
        let there = storage(&there).expect("a storage");
        assert_eq!(there.registry_id.as_deref(), Some("i"));
        assert_eq!(there.folder.as_deref(), Some("i-s"));
        let respond = exchange(
            get,
            json!({"status": 200, "headers": {"x-ms-version": "2016-05-31"}}),
        );
        let version = storage(&respond).and_then(|storage| storage.version);
        assert_eq!(version.as_deref(), Some("2016-05-31"));
        let signed = exchange(
            json!({"method": "GET", "path": "/i//docker/registry/v2/x", "query": "sv=2018-03-28"}),
            json!({"status": 200, "headers": {"x-ms-version": "2016-05-31"}}),
        );
        let version = storage(&signed).and_then(|storage| storage.version);
        assert_eq!(version.as_deref(), Some("2018-03-28"));
    }

    #[test]
    fn the_order_of_a_challenge_is_told_from_it() {
        let order = |scope: &str| {
            let header = format!("Bearer realm=\"x\",service=\"y\",scope=\"{scope}\"");
            let exchange = exchange(
                json!({"method": "POST", "path": "/v2/a/b/blobs/uploads/"}),
                json!({"status": 401, "headers": {"WWW-Authenticate": header}}),
            );
            let order = scope_order(&exchange).expect("an order");
            (order.actions_reversed, order.scopes_reversed)
        };
        assert_eq!(order("repository:a/b:pull,push"), (false, false));
        assert_eq!(order("repository:a/b:push,pull"), (true, false));
        assert_eq!(
            order("repository:c:pull repository:a/b:push,pull"),
            (true, true)
        );
    }
}
