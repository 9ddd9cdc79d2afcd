//! Fills in digests that a recorder has replaced in paths: the answer, or the step before, says which it was.

use super::exchange::Exchange;
use super::pattern::has_placeholder;
use super::target::Target;

/// Fills in what can be told; the rest stays.
pub fn settle(steps: &mut [Exchange]) {
    let mut last = None;
    for step in steps {
        let hidden = match &step.target {
            Target::Manifest { reference, .. } => has_placeholder(reference),
            Target::Blob { digest, .. }
            | Target::ManifestProperties { digest, .. }
            | Target::Referrers { digest, .. } => has_placeholder(digest),
            _ => false,
        };
        // Credentials and grammar come before the digest, and a tag may have such a name.
        let matters = !matches!(step.response.status, 401 | 403 | 405);
        if hidden && matters {
            if let Some(digest) = digest_in(step).or_else(|| last.clone()) {
                let (before, _) = step.request.path.rsplit_once('/').unwrap_or(("", ""));
                step.request.path = format!("{before}/{digest}");
                let (method, query) = (&step.request.method, &step.request.query);
                step.target = Target::of(method, &step.request.path, query, step.to_data);
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

/// The digest that an answer names.
fn digest_in(step: &Exchange) -> Option<String> {
    let headers = &step.response.headers;
    let named = headers
        .first("Docker-Content-Digest")
        .or(headers.first("ETag"))
        .map(|value| value.trim_matches('"').to_owned())
        .filter(|value| value.starts_with("sha256:"));
    named.or_else(|| {
        let text = step.response.body.json()?.to_string();
        let at = text.find("sha256:")?;
        let digest = text.get(at..at + "sha256:".len() + 64)?;
        Some(digest.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_hidden_digest_is_that_of_the_answer_or_of_the_step_before() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let line = |method: &str, response: serde_json::Value| {
            let line = json!({
                "request": {"method": method, "path": "/v2/a/manifests/sha256_encoded_stream"}, "response": response
            });
            Exchange::read("f:1", &line.to_string()).expect("a line")
        };
        let mut steps = [
            line(
                "GET",
                json!({"status": 200, "headers": {"Docker-Content-Digest": digest}}),
            ),
            line("DELETE", json!({"status": 202})),
            line("DELETE", json!({"status": 401})),
        ];
        settle(&mut steps);
        let path = format!("/v2/a/manifests/{digest}");
        assert_eq!(steps[0].request.path, path);
        assert_eq!(steps[1].request.path, path);
        assert!(steps[2].request.path.ends_with("sha256_encoded_stream"));
    }
}
