//! The request of a step, with what the replay puts in the place of what was hidden.

use acr_mock::{ClientAddress, Registry};
use acr_protocol::auth::basic_login;
use acr_protocol::{Attributes, ChangeableAttributes, Route};
use acr_record::Body;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request};
use serde_json::{Value, json};

use super::preconditions::missing_blobs;
use super::service::{
    CLIENT, ENTRA_TOKEN, ENTRA_TOKEN_WITHOUT_ROLE, PASSWORD, USER, challenge, refused_client,
};
use super::step::Step;
use crate::Result;

/// Headers that the replay writes itself, or that are of a connection that is no longer.
const REPLACED: [&str; 5] = [
    "host",
    "authorization",
    "content-length",
    "transfer-encoding",
    "expect",
];

/// The header of the client's id, which the service gives back.
pub(super) const CLIENT_ID: &str = "x-ms-client-request-id";

/// Writes the request of a step to this target, with a credential by which the response can be the recorded one.
///
/// # Errors
///
/// The target is not valid in a URL.
pub(super) fn request(
    step: &Step,
    host: &str,
    target: &str,
    body: Bytes,
    registry: &Registry,
) -> Result<Request<Bytes>> {
    let url = format!("https://{host}{target}");
    let mut request = step.exchange.request.to_http(body)?;
    *request.uri_mut() = url.parse()?;
    let headers = request.headers_mut();
    for name in REPLACED {
        headers.remove(name);
    }
    // Who got an id has sent it.
    let echoed = step
        .response
        .headers
        .get(CLIENT_ID)
        .filter(|id| !id.is_empty());
    if let Some(id) = echoed {
        headers.entry(CLIENT_ID).or_insert(id.clone());
    }
    if step.header("Connection") == Some("close") {
        headers.insert("connection", HeaderValue::from_static("close"));
    }
    if let Some(credential) = credential(step, registry) {
        headers.insert(AUTHORIZATION, credential);
    }
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let is_form = step.is_token_request() && step.exchange.request.method == "POST";
    if is_form {
        headers.entry(CONTENT_TYPE).or_insert(form);
    }
    let client = refused_client(step).unwrap_or(CLIENT);
    request.extensions_mut().insert(ClientAddress(client));
    if matches!(step.route, Some(Route::SetManifest(_))) {
        let stated = stated_type(request.body());
        if let Ok(stated) = HeaderValue::try_from(stated) {
            request.headers_mut().entry(CONTENT_TYPE).or_insert(stated);
        }
    }
    Ok(request)
}

/// Returns the body of the request: the recorded bytes, or what they must have been as far as the response tells.
pub(super) fn body(step: &Step, login_server: &str, registry: &Registry) -> Bytes {
    let filler = || {
        let length = step.sent_length().unwrap_or_default().min(1 << 30);
        vec![b' '; usize::try_from(length).unwrap_or_default()].into()
    };
    let update = |attributes: Option<Attributes>| {
        // An update whose body the recorder dropped has set some of the switches that the response shows.
        let shown = attributes.filter(|_| step.exchange.request.body == Body::Empty)?;
        Some(json!(ChangeableAttributes::from(&shown)).to_string().into())
    };
    let known = match &step.route {
        Some(Route::ExchangeEntraToken(_) | Route::RequestAccessToken(_)) => {
            Some(form(step, login_server, registry))
        }
        Some(Route::SetManifest(_)) => {
            return step
                .manifest()
                .or_else(|| manifest_with_missing(step))
                .unwrap_or_else(filler);
        }
        Some(Route::UpdateRepositoryProperties(operation)) => {
            update(step.output(operation).map(|shown| shown.attributes))
        }
        Some(Route::UpdateTagProperties(operation)) => {
            update(step.output(operation).map(|shown| shown.attributes))
        }
        Some(Route::UpdateManifestProperties(operation)) => {
            update(step.output(operation).map(|shown| shown.attributes))
        }
        _ => None,
    };
    known.or_else(|| step.sent()).unwrap_or_else(filler)
}

/// The type that a manifest says it has, for a push whose `Content-Type` the recorder has dropped.
fn stated_type(manifest: &[u8]) -> String {
    let manifest: Value = serde_json::from_slice(manifest).unwrap_or_default();
    let usual = match manifest.get("manifests") {
        Some(_) => "application/vnd.oci.image.index.v1+json",
        None => "application/vnd.oci.image.manifest.v1+json",
    };
    manifest["mediaType"].as_str().unwrap_or(usual).to_owned()
}

/// A manifest that names what an error says is missing: the config first, then the layers.
fn manifest_with_missing(step: &Step) -> Option<Bytes> {
    let mut blobs = missing_blobs(step).map(
        |digest| json!({ "mediaType": "application/octet-stream", "size": 1, "digest": digest }),
    );
    let config = blobs.next()?;
    let media_type = step.sent_header("Content-Type");
    let media_type = media_type.unwrap_or("application/vnd.oci.image.manifest.v1+json");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": blobs.collect::<Vec<_>>()
    });
    Some(manifest.to_string().into())
}

/// The form of a token request, with the tokens of the replay.
fn form(step: &Step, login_server: &str, registry: &Registry) -> Bytes {
    let is_exchange = matches!(step.route, Some(Route::ExchangeEntraToken(_)));
    let secret = if is_exchange {
        "access_token"
    } else {
        "refresh_token"
    };
    // Where the recorder has taken the form out: the least that such a request needs.
    let least = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("grant_type", secret), ("service", login_server)])
        .finish();
    let text = step.form_text().unwrap_or(&least);
    let member = |name: &str| step.form(name).unwrap_or_default();
    let token = if is_exchange {
        exchanged_token(step, member("access_token").is_empty())
    } else {
        let by_token = step.succeeds() && (member("grant_type") != "password");
        registry.refresh_token(ENTRA_TOKEN).filter(|_| by_token)
    };
    let members = form_urlencoded::parse(text.as_bytes());
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in members.filter(|(name, _)| name != secret || token.is_none()) {
        form.append_pair(&name, &value);
    }
    if let Some(token) = token {
        form.append_pair(secret, &token);
    }
    form.finish().into()
}

/// The Entra token that has the recorded fate. One that is refused without a word is empty; any other is not valid.
fn exchanged_token(step: &Step, is_empty: bool) -> Option<String> {
    let is_json = step.response.headers.contains_key(CONTENT_TYPE) || !step.json().is_null();
    match step.status() {
        _ if step.succeeds() => Some(ENTRA_TOKEN.to_owned()),
        403 if refused_client(step).is_none() => Some(ENTRA_TOKEN_WITHOUT_ROLE.to_owned()),
        401 if !is_json => Some(String::new()),
        401 if is_empty => Some("not-valid".to_owned()),
        _ => None,
    }
}

fn credential(step: &Step, registry: &Registry) -> Option<HeaderValue> {
    let recorded = step.exchange.request.headers.get(AUTHORIZATION);
    if step.data.is_some() {
        // The storage wants none, and says so if it gets one.
        return recorded.cloned();
    }
    let scheme = step.sent_header("Authorization").unwrap_or_default();
    let is_basic = scheme.to_ascii_lowercase().starts_with("basic");
    let refused = step.status() == 401;
    if is_basic {
        let password = if refused {
            "another-password"
        } else {
            PASSWORD
        };
        return Some(basic_login(USER, &password.into()));
    }
    let route = step.route.as_ref().filter(|_| !step.is_token_request())?;
    let scope = match challenge(step).as_ref().map(|challenge| challenge.error()) {
        _ if !refused => route.scope().to_string(),
        Some(Some("invalid_token")) => {
            return Some(HeaderValue::from_static(
                "Bearer eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl",
            ));
        }
        Some(Some(_)) => OTHER_SCOPE.to_owned(),
        _ => return None,
    };
    let token = registry.access_token(&scope).ok()?;
    HeaderValue::try_from(format!("Bearer {token}")).ok()
}

/// A scope that no operation of a recording needs.
const OTHER_SCOPE: &str = "repository:replay/other:metadata_read";
