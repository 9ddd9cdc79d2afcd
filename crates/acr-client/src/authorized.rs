use std::sync::{Mutex, PoisonError};

use acr_protocol::{OperationClass, ScopeSet};
use bytes::Bytes;
use http::{Method, Request, Response};

use crate::auth::AccessToken;
use crate::client::ContainerRegistryClient;
use crate::error::{Error, is_transient};
use crate::operation_info::OperationInfo;
use crate::response::Received;
use crate::trace;
use crate::transport::Body;

/// Escape hatches for requests that this crate does not model.
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
    /// let text = response.into_body().read(1 << 20).await?;
    /// println!("{}", String::from_utf8_lossy(&text));
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
        let request = request.map(Into::into);
        let (method, uri) = (request.method(), request.uri());
        let class = class_of(method, uri.path());
        let scope = read_scope(scope.as_ref())?;
        let info = OperationInfo {
            repeatable: method.is_idempotent(),
            ..OperationInfo::new("authorized_request", class, scope)
        };
        if uri.scheme().is_some() && !self.pipeline.endpoint().is_origin_of(uri) {
            return Err(Error::invalid(
                "the request is for another server than the registry, which must not have its \
                 credential",
            ));
        }
        let path = uri
            .path_and_query()
            .filter(|path| path.as_str().starts_with('/'));
        let path = path.ok_or_else(|| {
            Error::invalid(format!(
                "the request has no path on the registry, such as /v2/app/_custom, but {:?}",
                uri.to_string()
            ))
        })?;
        // Of the request its method, its headers and its body are sent.
        let mut template = Request::new(request.body().clone());
        *template.method_mut() = method.clone();
        *template.uri_mut() = path.clone().into();
        *template.headers_mut() = request.headers().clone();
        let request = self.pipeline.absolute(&info, Ok::<_, Error>(template))?;
        let attempts = self.pipeline.begin(&info);
        let sender = self.pipeline.sender();
        // The response to the last attempt, where it is to be had but may be another one soon.
        let last = Mutex::new(None);
        let set_last = |response| *last.lock().unwrap_or_else(PoisonError::into_inner) = response;
        let once = || async {
            set_last(None);
            let mut response = self.pipeline.send(&info, &request, &attempts).await?;
            if !is_transient(response.head.status) {
                return Ok(response);
            }
            // The beginning of its body is kept for the caller.
            sender.drain(&mut response, &attempts).await;
            set_last(Some(response.keep()));
            Err(sender.refused(&info, response, &attempts).await)
        };
        let sent = self.pipeline.attempt(&info, &attempts, once).await;
        let last = last.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Received { head, body, .. } = sent.or_else(|error| last.ok_or(error))?;
        let body = sender.paced(body);
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
        let scope = read_scope(scope.as_ref())?;
        let info = OperationInfo::new("access_token", OperationClass::Token, scope);
        let had = async {
            let authorizer = self.pipeline.authorizer();
            if authorizer.is_unknown() {
                // What the registry wants shows in its response to a ping.
                self.ping().await?;
            }
            let attempts = self.pipeline.begin(&info);
            let token = authorizer.token(&info.scope, &attempts).await;
            let token = token.map_err(|error| info.annotate(error, attempts.requests()))?;
            Ok(token)
        };
        Box::pin(trace::in_whole(info.name, None, had)).await
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
