//! Other names for the same: ids, hosts and signatures that the mock makes anew, and how the service worded at the time of
//! the recording what it words otherwise today. They are put into the mock's response before it is compared.

use acr_protocol::{Challenge, Digest};
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Response};

use super::placeholder::{has_placeholder, is_placeholder_host};
use super::service::challenge;
use super::step::{Step, text};
use super::upload::upload_id;

/// Gives a response the names of its recording. `upload` is the id of the upload that the request was sent to, `claimed`
/// the digest of filler and that of the content which it stands for.
pub(super) fn rename(
    step: &Step,
    response: Response<Bytes>,
    upload: Option<&str>,
    claimed: Option<(Digest, Digest)>,
) -> Response<Bytes> {
    let claimed = claimed.map(|(ours, theirs)| (ours.to_string(), theirs.to_string()));
    let mut pairs: Vec<(String, String)> = claimed.into_iter().collect();
    pairs.extend(locations(step, &response, upload));
    pairs.extend(challenges(step, &response).into_iter().flatten());
    // What the recording hides stays, for the comparison to see that something is there.
    pairs.retain(|(_, theirs)| !has_placeholder(theirs));
    pairs.extend(wordings(step));

    let renamed = |text: &str| {
        let pairs = pairs.iter();
        pairs.fold(text.to_owned(), |text, (ours, theirs)| {
            text.replace(ours, theirs)
        })
    };
    let (mut head, mut body) = response.into_parts();
    for value in head.headers.values_mut() {
        if let Some(Ok(new)) = value.to_str().ok().map(renamed).map(HeaderValue::try_from) {
            *value = new;
        }
    }
    if let Ok(text) = std::str::from_utf8(&body) {
        let new = renamed(text);
        if new != text && head.headers.contains_key(CONTENT_LENGTH) {
            head.headers.insert(CONTENT_LENGTH, new.len().into());
        }
        body = new.into();
    }
    Response::from_parts(head, body)
}

/// The storage account that a redirect leads to; the id and state of an upload.
fn locations(
    step: &Step,
    response: &Response<Bytes>,
    upload: Option<&str>,
) -> Vec<(String, String)> {
    let ours = text(response.headers(), "Location").unwrap_or_default();
    let theirs = step.header("Location").unwrap_or_default();
    let storage = |location: &str| {
        let (host, path) = location.split_once("://")?.1.split_once('/')?;
        let (folder, _) = path.split_once("//docker/registry/")?;
        Some((format!("://{host}/"), format!("/{folder}//docker/")))
    };
    let id = upload.or_else(|| upload_id(ours));
    let recorded = upload_id(theirs).or_else(|| step.header("Docker-Upload-Uuid"));
    let id = id.zip(recorded.or_else(|| upload_id(&step.exchange.request.path)));
    let id = id.map(|(ours, theirs)| (ours.to_owned(), theirs.to_owned()));
    let mut pairs: Vec<_> = id.into_iter().collect();
    if let Some((ours, theirs)) = storage(ours).zip(storage(theirs)) {
        pairs.extend([(ours.0, theirs.0), (ours.1, theirs.1)]);
    }
    let member = |location: &str, name: &str| {
        let (_, query) = location.split_once('?')?;
        let mut members = query.split('&');
        members
            .find(|member| member.split('=').next() == Some(name))
            .map(str::to_owned)
    };
    for name in ["sig", "sv", "regid", "_state"] {
        pairs.extend(member(ours, name).zip(member(theirs, name)));
    }
    pairs
}

/// Hosts and scopes that a recorder has made up, and the order of scopes and actions, which looks random.
fn challenges(step: &Step, response: &Response<Bytes>) -> Option<Vec<(String, String)>> {
    let ours = Challenge::from_headers(response.headers())
        .into_iter()
        .next()?;
    let theirs = challenge(step)?;
    let host = |challenge: &Challenge| {
        let (_, rest) = challenge.realm()?.split_once("://")?;
        rest.split('/').next().map(str::to_owned)
    };
    let realm = host(&ours).zip(host(&theirs));
    let realm =
        realm.map(|(ours, theirs)| (format!("://{ours}/"), format!("://{theirs}/"), theirs));
    let service = ours.service().zip(theirs.service());
    let quoted = |text: &str| format!("\"{text}\"");
    let service = service.map(|(ours, theirs)| (quoted(ours), quoted(theirs), theirs.to_owned()));
    let made_up = realm.into_iter().chain(service);
    let made_up = made_up.filter(|(.., host)| is_placeholder_host(host));
    let mut pairs: Vec<_> = made_up.map(|(ours, theirs, _)| (ours, theirs)).collect();
    if let Some((scope, recorded)) = ours.parameter("scope").zip(theirs.parameter("scope")) {
        // Each of the service's scopes has colons.
        let is_same = !recorded.contains(':') || ours.scope().ok() == theirs.scope().ok();
        pairs.extend(is_same.then(|| (quoted(scope), quoted(recorded))));
    }
    Some(pairs)
}

fn wordings(step: &Step) -> Vec<(String, String)> {
    let body = step.json();
    let error = &body["errors"][0];
    let message = error["message"].as_str().unwrap_or_default();
    let mut wordings = Vec::new();
    match (step.status(), message) {
        (401, "authentication required") => wordings.push((CHALLENGE, message)),
        (401, "retrieving permissions failed") => {
            wordings.push(("token validation failed", message));
        }
        (403, _) => {
            // Newer errors of the firewall name the correlation.
            let longer = message.find(GRANT_ACCESS).map(|at| &message[at..]);
            let longer = longer.filter(|text| text.contains(" CorrelationId: "));
            wordings.extend(longer.map(|longer| (GRANT_ACCESS, longer)));
        }
        _ => {}
    }
    if step.status() == 401 && error["detail"][0].get("action").is_some() {
        let members = ["\"Type\":", "\"Name\":", "\"Action\":"];
        let small = ["\"type\":", "\"name\":", "\"action\":"];
        wordings.extend(members.into_iter().zip(small));
    }
    let owned = |(ours, theirs): (&str, &str)| (ours.to_owned(), theirs.to_owned());
    wordings.into_iter().map(owned).collect()
}

const CHALLENGE: &str =
    "authentication required, visit https://aka.ms/acr/authorization for more information.";
const GRANT_ACCESS: &str = "to grant access.";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn step(response: Value) -> Step {
        let request = json!({"method": "GET", "path": "/v2/a/blobs/uploads/1"});
        let exchange = json!({ "request": request, "response": response });
        Step::new(serde_json::from_value(exchange).unwrap()).unwrap()
    }

    fn response(headers: &[(&str, &str)], body: &str) -> Response<Bytes> {
        let mut response = Response::builder();
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response
            .body(Bytes::copy_from_slice(body.as_bytes()))
            .unwrap()
    }

    #[test]
    fn an_upload_has_its_recorded_id_if_it_is_the_one_that_was_asked() {
        let recorded = step(json!({"status": 204, "headers": {
            "Docker-Upload-Uuid": "1", "Location": "/v2/a/blobs/uploads/1?_state=REDACTED"
        }}));
        for (id, expected) in [
            ("ours", ["1", "/v2/a/blobs/uploads/1?_state=xyz"]),
            ("other", ["other", "/v2/a/blobs/uploads/other?_state=xyz"]),
        ] {
            let location = format!("/v2/a/blobs/uploads/{id}?_state=xyz");
            let ours = response(&[("docker-upload-uuid", id), ("location", &location)], "");
            let renamed = rename(&recorded, ours, Some("ours"), None);
            let headers = ["docker-upload-uuid", "location"].map(|name| &renamed.headers()[name]);
            assert_eq!(headers, expected);
        }
    }

    #[test]
    fn a_redirect_leads_to_the_recorded_storage_and_has_the_length_of_its_new_body() {
        let location = |host: &str, id: &str, signature: &str| {
            format!(
                "https://{host}/{id}//docker/registry/v2/x?se=1&sig={signature}&sp=r&sv=1&regid={id}"
            )
        };
        let theirs = location("s.example", "b", "a%2B%3D");
        let recorded = step(json!({"status": 307, "headers": {"Location": theirs}}));
        let ours = location("data.invalid", "a", "b%3D");
        let renamed = rename(
            &recorded,
            response(&[("location", &ours), ("content-length", "9")], &ours),
            None,
            None,
        );
        assert_eq!(renamed.headers()["location"], theirs);
        assert_eq!(renamed.body(), &theirs);
        assert_eq!(
            renamed.headers()["content-length"],
            theirs.len().to_string()
        );
    }

    #[test]
    fn a_challenge_takes_over_made_up_hosts_and_the_order_of_its_scopes_and_no_more() {
        let challenge = |host: &str, service: &str, scope: &str| {
            format!(
                "Bearer realm=\"https://{host}/oauth2/token\",service=\"{service}\",scope=\"{scope}\""
            )
        };
        let (ours, made_up) = ("real.azurecr.io", "myregistry.azurecr.io");
        let both = "repository:a:pull,push repository:b:pull";
        let reversed = "repository:b:pull repository:a:push,pull";
        for (host, service, scope, same) in [
            (ours, ours, both, true),
            (made_up, ours, both, true),
            (ours, made_up, reversed, true),
            (ours, ours, "fake_scope", true),
            ("other.azurecr.io", ours, both, false),
            (ours, ours, "repository:a:pull,push", false),
        ] {
            let recorded = challenge(host, service, scope);
            let step = step(json!({"status": 401, "headers": {"WWW-Authenticate": recorded}}));
            let ours = response(&[("www-authenticate", &challenge(ours, ours, both))], "");
            let renamed = rename(&step, ours, None, None);
            assert_eq!(
                renamed.headers()["www-authenticate"] == recorded,
                same,
                "{recorded}"
            );
        }
    }
}
