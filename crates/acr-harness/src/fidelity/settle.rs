//! Fills in digests that a recorder has replaced: the response, or the step before, says which it was, or any will do.

use super::body::Body;
use super::exchange::{Exchange, Headers};
use super::pattern::has_placeholder;
use super::target::Target;

/// Fills in what a replay needs; the rest stays.
pub fn settle(steps: &mut [Exchange]) {
    let mut last = None;
    for step in steps {
        lengthen(step);
        let hidden = match &step.target {
            Target::Manifest { reference, .. } => has_placeholder(reference),
            Target::Blob { digest, .. }
            | Target::ManifestProperties { digest, .. }
            | Target::Referrers { digest, .. } => has_placeholder(digest),
            _ => false,
        };
        // A tag may have such a name, and credentials come before what it is.
        let is_tag = matches!(step.target, Target::Manifest { .. }) && !step.succeeds();
        if hidden {
            let digest = digest_in(step)
                .or_else(|| last.clone().filter(|_| step.succeeds()))
                .or_else(|| (!is_tag && !is_plain(step)).then(|| MADE_UP.to_owned()));
            if let Some(digest) = digest.filter(|_| !matches!(step.response.status, 401 | 403)) {
                let (before, _) = step.request.path.rsplit_once('/').unwrap_or(("", ""));
                step.request.path = format!("{before}/{digest}");
                aim(step);
            }
        }
        last = step
            .response
            .headers
            .first("Docker-Content-Digest")
            .map(str::to_owned)
            .or(last);
    }
}

/// A digest for a blob or manifest of which nothing else is known.
const MADE_UP: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// One recorder writes each digest as `sha256:00`: all of them are taken for the same, of the full length.
fn lengthen(step: &mut Exchange) {
    let text = format!("{}?{}", step.request.path, step.request.query);
    if is_plain(step) || with_full_digests(&text) == text {
        return;
    }
    step.request.path = with_full_digests(&step.request.path);
    step.request.query = with_full_digests(&step.request.query);
    step.response.headers.change(with_full_digests);
    if let Body::Json(value) = &step.response.body
        && let Ok(value) = serde_json::from_str(&with_full_digests(&value.to_string()))
    {
        step.response.body = Body::Json(value);
    }
    aim(step);
}

fn with_full_digests(text: &str) -> String {
    let mut full = text.to_owned();
    for (short, long) in [
        ("sha256:00", MADE_UP.to_owned()),
        ("sha256%3A00", MADE_UP.replace(':', "%3A")),
        ("/sha256/00/00/", format!("/sha256/00/{}/", "0".repeat(64))),
    ] {
        let mut rest = std::mem::take(&mut full);
        while let Some(at) = rest.find(short) {
            let behind = rest.split_off(at + short.len());
            full.push_str(&rest[..at]);
            let goes_on = behind.starts_with(|c: char| c.is_ascii_hexdigit());
            full.push_str(if goes_on { short } else { &long });
            rest = behind;
        }
        full.push_str(&rest);
    }
    full
}

fn aim(step: &mut Exchange) {
    let (method, query) = (&step.request.method, &step.request.query);
    step.target = Target::of(method, &step.request.path, query, step.to_data);
}

/// Whether the response says that the path fits no grammar.
fn is_plain(step: &Exchange) -> bool {
    let content_type = step.response.headers.first("Content-Type");
    step.response.status == 404 && content_type.is_some_and(|text| text.starts_with("text/plain"))
}

/// The digest that a response names.
fn digest_in(step: &Exchange) -> Option<String> {
    let named = |headers: &Headers| {
        let value = headers
            .first("Docker-Content-Digest")
            .or(headers.first("ETag"))?;
        let value = value.trim_matches('"');
        value.starts_with("sha256:").then(|| value.to_owned())
    };
    named(&step.response.headers).or_else(|| {
        let text = step.response.body.json()?.to_string();
        let at = text.find("sha256:")?;
        let digest = text.get(at..at + MADE_UP.len())?;
        Some(digest.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn line(method: &str, path: &str, response: Value) -> Exchange {
        let line = json!({ "request": {"method": method, "path": path}, "response": response });
        Exchange::read("f:1", &line.to_string()).expect("a line")
    }

    #[test]
    fn a_hidden_digest_is_that_of_the_answer_or_of_the_step_before_or_any() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let path = "/v2/a/manifests/sha256_encoded_stream";
        let mut steps = [
            line("DELETE", path, json!({"status": 202})),
            line(
                "GET",
                path,
                json!({"status": 200, "headers": {"Docker-Content-Digest": digest}}),
            ),
            line("DELETE", path, json!({"status": 202})),
            line("DELETE", path, json!({"status": 401})),
            line("DELETE", path, json!({"status": 405})),
        ];
        settle(&mut steps);
        let paths: Vec<&str> = steps
            .iter()
            .map(|step| step.request.path.as_str())
            .collect();
        let full = |digest: &str| format!("/v2/a/manifests/{digest}");
        let (found, made_up) = (full(&digest), full(MADE_UP));
        // What fails before the digest matters stays as it is: it may be a tag.
        assert_eq!(paths, [&made_up, &found, &found, path, path]);
    }

    #[test]
    fn a_short_digest_becomes_a_full_one_everywhere() {
        let response = json!({"status": 201, "headers": {"Docker-Content-Digest": "sha256:00"}});
        let mut steps = [line("HEAD", "/v2/a/blobs/sha256%3A00", response)];
        settle(&mut steps);
        let digest = steps[0].response.headers.first("Docker-Content-Digest");
        assert_eq!(digest, Some(MADE_UP));
        assert!(matches!(&steps[0].target, Target::Blob { digest, .. } if digest == MADE_UP));
        let malformed = "/v2/a/blobs/uploads/1?digest=sha256%3A00000000";
        assert_eq!(with_full_digests(malformed), malformed);
    }
}
