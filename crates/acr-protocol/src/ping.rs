//! The ping: is there a registry, and are the credentials any good?

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response, response};
use serde_json::{Map, Value};

use crate::error::{DecodeError, InvalidRequest};
use crate::http_parts::{JSON_UTF8, headers};
use crate::operation::{NONE, Operation, OperationClass as Class, Spec};

/// Asks whether the registry is there and takes the credentials: `GET /v2/`. Any valid token will do.
#[doc(alias = "CheckDockerV2Support")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ping;

impl Operation for Ping {
    const SPEC: Spec = Spec::new("ping", Class::Token, NONE);
    type Output = ();

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        Ok(Request::get("/v2/").body(Bytes::new())?)
    }

    /// A registry is told by the header of its protocol, which all known ones send (Azure's, distribution, Harbor, GHCR,
    /// ECR, Docker Hub, Google's, Quay, GitLab, zot, Pulp, Artifactory, `crane registry serve`). OCI does not ask for it, so
    /// a body of `{}` or none will do. A portal or another API responds with a page or more than that.
    fn read(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        let says_nothing = match body.trim_ascii() {
            b"" => head.headers.get(CONTENT_TYPE).is_none_or(|of_type| {
                let of_type = of_type.as_bytes().to_ascii_lowercase();
                !of_type.starts_with(b"text/html")
            }),
            text => serde_json::from_slice::<Map<String, Value>>(text)
                .is_ok_and(|members| members.is_empty()),
        };
        if says_nothing
            || head
                .headers
                .contains_key(headers::DOCKER_DISTRIBUTION_API_VERSION)
        {
            return Ok(());
        }
        Err(DecodeError::Body {
            expected: "that of a registry",
            reason: "it is not empty, and the header Docker-Distribution-Api-Version is missing; \
                     check the endpoint, there is another server or a proxy before it"
                .to_owned(),
        })
    }

    /// The one JSON response of the service without a newline at its end.
    fn respond(&self, _output: &Self::Output) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from_static(b"{}"));
        response.headers_mut().insert(CONTENT_TYPE, JSON_UTF8);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_or_another_api_is_no_registry() {
        const MARK: (&str, &str) = ("docker-distribution-api-version", "registry/2.0");
        const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");
        const JSON: (&str, &str) = ("content-type", "application/json");
        for (headers, body, is_registry) in [
            (&[MARK, JSON][..], "{}", true),
            // Quay and GitLab's.
            (&[MARK], "true", true),
            (&[MARK, HTML], "", true),
            (&[JSON], "{}", true),
            (&[JSON], " { }\n", true),
            (&[], "", true),
            (&[HTML], "", false),
            (&[HTML], "<html>sign in</html>", false),
            (&[], "OK", false),
            (&[JSON], r#"{"message":"welcome"}"#, false),
            (&[JSON], "[]", false),
            (&[JSON], "null", false),
        ] {
            let mut response = Response::builder().status(200);
            for (name, value) in headers {
                response = response.header(*name, *value);
            }
            let (head, body) = response.body(Bytes::from(body)).unwrap().into_parts();
            let decoded = Ping.decode(&head, body.clone());
            assert_eq!(decoded.is_ok(), is_registry, "{headers:?} {body:?}");
        }
    }
}
