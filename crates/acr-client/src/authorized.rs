use std::time::SystemTime;

use acr_protocol::{OperationClass, ScopeSet, Secret, Timestamp};
use bytes::Bytes;
use http::{Method, Request, Response};
use tracing::Instrument as _;
use url::Url;

use crate::client::ContainerRegistryClient;
use crate::error::{Error, is_transient};
use crate::pipeline::{Call, Received};
use crate::trace;
use crate::transport::Body;
use crate::wire::Paced;

/// Ways out: for what this crate has no method for.
impl ContainerRegistryClient {
    /// Sends a request of one's own with the client's credential, and gives back the response as it is,
    /// whatever its status.
    ///
    /// The request's URL is a path on the registry, such as `/v2/app/_custom?x=1`, or an absolute URL
    /// there. The scope says what the token must allow, as it stands in a challenge, such as
    /// `repository:app:pull,push`; empty where any token will do. A challenge that asks for another
    /// one is met. A request that may be repeated by its method (`GET`, `HEAD`, `PUT`, `DELETE`,
    /// `OPTIONS`) is, when the registry is busy or fails; when it still does, that response is given
    /// back. A redirect is not followed.
    ///
    /// ```
    /// # use acr_client::{ContainerRegistryClient, Error};
    /// # async fn example(client: ContainerRegistryClient) -> Result<(), Error> {
    /// let request = http::Request::get("/v2/app/_extension").body("").unwrap();
    /// let response = client.authorized_request(request, "repository:app:pull").await?;
    /// println!("{}", response.status());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the scope is malformed, names too many
    /// things for one token, or the URL is on another server, which must not have the credential; the
    /// kinds of what keeps a response from coming, but none for a response's status.
    pub async fn authorized_request(
        &self,
        request: Request<impl Into<Bytes>>,
        scope: impl AsRef<str>,
    ) -> Result<Response<Body>, Error> {
        let (mut parts, body) = request.map(Into::into).into_parts();
        let call = Call {
            name: "authorized_request",
            class: class_of(&parts.method, parts.uri.path()),
            repeatable: parts.method.is_idempotent(),
            repository: None,
            scope: read_scope(scope.as_ref())?,
            limit: 0,
            follows: false,
            leaves: false,
        };
        if parts.uri.scheme().is_some() {
            let url = Url::parse(&parts.uri.to_string());
            if !url.is_ok_and(|url| self.pipeline.endpoint().is_origin_of(&url)) {
                return Err(Error::invalid(
                    "the request is for another server than the registry, which must not have its \
                     credential",
                ));
            }
        }
        let path = parts.uri.path_and_query().map(|path| path.as_str());
        let path = path.filter(|path| path.starts_with('/'));
        parts.uri = path.and_then(|path| path.parse().ok()).ok_or_else(|| {
            Error::invalid(format!(
                "the request has no path on the registry, such as /v2/app/_custom, but {:?}",
                parts.uri.to_string()
            ))
        })?;
        let template = self.pipeline.template(Request::from_parts(parts, body));
        let template = template.map_err(|error| call.own(error, 0))?;
        let span = trace::operation(&call);
        let mut attempts = self.pipeline.begin(&call);
        let sent = async {
            loop {
                let sent = self.pipeline.send(&call, &template, &mut attempts).await;
                let mut response = match sent {
                    Ok(response) if !is_transient(response.head.status) => {
                        attempts.succeeded();
                        return Ok(response);
                    }
                    Ok(response) => response,
                    Err(failure) => {
                        let failure = call.own(failure, attempts.requests);
                        attempts.retry_or_fail(failure).await?;
                        continue;
                    }
                };
                // The beginning of its body is kept for the caller, should this be the last attempt.
                self.pipeline.drain(&mut response, &attempts).await;
                let kept = response.keep();
                let failure = self.pipeline.refused(&call, response, &mut attempts).await;
                if attempts.retry_or_fail(failure).await.is_err() {
                    return Ok(kept);
                }
            }
        };
        let response: Result<Received, Error> = Box::pin(sent.instrument(span.clone())).await;
        trace::ended(&span, attempts.requests, response.as_ref().err());
        let Received { head, body, .. } = response?;
        let body = match self.pipeline.wire().pace() {
            Some(pace) if body.try_clone().is_none() => Body::new(Paced::new(body, pace)),
            _ => body,
        };
        Ok(Response::from_parts(head, body))
    }

    /// Gives the token that the client sends along with requests of a scope, such as
    /// `repository:app:pull`; fetches one if none is at hand.
    ///
    /// For another client of the same registry. Where the registry wants a user name and password
    /// with each request, or nothing, there is none.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the scope is malformed or names too many
    /// things for one token; [`Unauthorized`](crate::ErrorKind::Unauthorized) and
    /// [`Credential`](crate::ErrorKind::Credential) when the identity gets no token. That a token was
    /// given does not mean that it allows everything in its scope: [`AccessToken::granted`].
    pub async fn access_token(&self, scope: impl AsRef<str>) -> Result<Option<AccessToken>, Error> {
        let call = Call {
            name: "access_token",
            class: OperationClass::Token,
            repeatable: true,
            repository: None,
            scope: read_scope(scope.as_ref())?,
            limit: 0,
            follows: false,
            leaves: false,
        };
        let had = async {
            let authorizer = self.pipeline.authorizer();
            if authorizer.is_unknown() {
                // What the registry wants shows in its response to a ping.
                self.ping().await.map_err(|error| call.own(error, 0))?;
            }
            let mut attempts = self.pipeline.begin(&call);
            let token = authorizer.token(&call.scope, &mut attempts).await;
            let token = token.map_err(|error| call.own(error, attempts.requests))?;
            Ok(token.map(|(token, expires_at)| AccessToken { token, expires_at }))
        };
        Box::pin(trace::in_whole(call.name, None, had)).await
    }
}

/// A token for a scope of the registry: the response of [`ContainerRegistryClient::access_token`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    token: Secret,
    expires_at: SystemTime,
}

impl AccessToken {
    /// Returns the token, which stands behind `Bearer` in the header `Authorization`.
    #[must_use]
    pub const fn token(&self) -> &Secret {
        &self.token
    }

    /// Returns when its life ends; of a token that does not say, a minute after it came.
    #[must_use]
    pub fn expires_on(&self) -> Timestamp {
        self.expires_at.into()
    }

    /// Returns what it allows, as far as it can be read; `None` where it cannot.
    #[must_use]
    pub fn granted(&self) -> Option<ScopeSet> {
        let claims = acr_protocol::TokenClaims::read(self.token.expose())?;
        Some(claims.access)
    }
}

fn read_scope(text: &str) -> Result<ScopeSet, Error> {
    let scope: ScopeSet = text
        .parse()
        .map_err(|error: acr_protocol::InvalidScope| Error::invalid(error.to_string()))?;
    let most = crate::auth::MAX_TOKEN_SCOPES;
    if scope.len() > most {
        return Err(Error::invalid(format!(
            "the scope names {} things; a token names at most {most}, since it goes along with each \
             request",
            scope.len()
        )));
    }
    Ok(scope)
}

/// The class under which the service counts a request, by its look.
fn class_of(method: &Method, path: &str) -> OperationClass {
    if *method == Method::DELETE {
        OperationClass::Delete
    } else if path.contains("/referrers/") {
        OperationClass::Referrers
    } else if path.contains("/blobs/") {
        OperationClass::Blob
    } else if path.contains("/manifests/") {
        OperationClass::Manifest
    } else if matches!(*method, Method::GET | Method::HEAD) {
        OperationClass::MetadataRead
    } else {
        OperationClass::MetadataWrite
    }
}
