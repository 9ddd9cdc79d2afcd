//! One attempt: what the request has to carry, its turn, the request itself, and a challenge that is met.

use std::pin::pin;

use acr_protocol::{Operation as _, Ping};
use http::StatusCode;
use http::header::AUTHORIZATION;

use super::{Call, Pipeline, Received, Template, redirect};
use crate::auth::{Authorization, ChallengeOutcome};
use crate::context::OperationContext;
use crate::error::{Error, is_transient};
use crate::limiter::{Permit, watch};
use crate::response_error;
use crate::retry::RetryState;
use crate::transport::Body;

impl Pipeline {
    /// Sends a request that needs a scope to the registry; resolves at the head of any response but a
    /// 401 that can be helped, and a redirect that can be followed.
    pub(crate) async fn send(
        &self,
        call: &Call,
        template: &Template,
        attempts: &mut RetryState,
    ) -> Result<Received, Error> {
        let response = self.send_authorized(call, template, attempts).await?;
        if call.follows && redirect::is_followed(&template.parts.method, response.head.status) {
            return Box::pin(self.follow(call, template, response, attempts)).await;
        }
        Ok(response)
    }

    /// The same without following redirects.
    pub(super) async fn send_authorized(
        &self,
        call: &Call,
        template: &Template,
        attempts: &mut RetryState,
    ) -> Result<Received, Error> {
        let authorizer = self.authorizer();
        let mut authorization = if template.body.is_empty() || !authorizer.is_unknown() {
            authorizer.authorize(&call.scope, attempts).await?
        } else {
            Box::pin(self.probe_scheme(call, attempts)).await?
        };
        let mut challenges = 0;
        loop {
            let permit = self.turn(call, &mut authorization, attempts).await?;
            let mut response = self
                .send_once(call, template, &authorization, permit, attempts)
                .await?;
            if response.head.status != StatusCode::UNAUTHORIZED {
                if tells_of_credentials(response.head.status) {
                    authorizer.mark_open(&authorization);
                }
                return Ok(response);
            }
            challenges += 1;
            if challenges == MAX_CHALLENGES {
                return Ok(response);
            }
            self.drain(&mut response, attempts).await;
            response.permit = None;
            let headers = &response.head.headers;
            let verdict = authorizer.response(headers, &authorization, &call.scope, attempts);
            match verdict.await? {
                ChallengeOutcome::Retry(better) => authorization = better,
                ChallengeOutcome::Fail => return Ok(response),
            }
        }
    }

    /// Waits for the call's turn among those of its class. That may take long, so a token that ended
    /// meanwhile is replaced.
    async fn turn(
        &self,
        call: &Call,
        authorization: &mut Authorization,
        attempts: &mut RetryState,
    ) -> Result<Permit, Error> {
        let permit = self.shared.limiter.admit(call.class).await;
        if permit.waited().is_zero() {
            return Ok(permit);
        }
        attempts.exclude_queued(permit.waited());
        if !authorization.is_expired(self.clock().now()) {
            return Ok(permit);
        }
        drop(permit);
        *authorization = self.authorizer().authorize(&call.scope, attempts).await?;
        let permit = self.shared.limiter.admit(call.class).await;
        attempts.exclude_queued(permit.waited());
        Ok(permit)
    }

    /// Finds out by a ping what the registry wants, before a body is sent.
    ///
    /// A server may respond a bare request with a large body by a 401 and hang up while the body is
    /// still on its way; then the challenge is lost.
    async fn probe_scheme(
        &self,
        call: &Call,
        attempts: &mut RetryState,
    ) -> Result<Authorization, Error> {
        let template = self.template(Ping.request())?;
        let mut bare = Authorization::Nothing;
        let ping = self.call(&Ping);
        let permit = self.turn(&ping, &mut bare, attempts).await?;
        let sent = self.send_once(&ping, &template, &bare, permit, attempts);
        let sent = sent.await;
        // It is a request of another operation, and whatever becomes of it, the call's own was not sent.
        attempts.requests -= 1;
        let mut response = sent.map_err(Error::not_sent)?;
        let status = response.head.status;
        if is_transient(status) {
            let refused = self.refused(&ping, response, attempts).await;
            return Err(refused.not_sent());
        }
        self.drain(&mut response, attempts).await;
        response.permit = None;
        if status != StatusCode::UNAUTHORIZED {
            if tells_of_credentials(status) {
                self.authorizer().mark_open(&bare);
            }
            return Ok(bare);
        }
        let headers = &response.head.headers;
        let verdict = self
            .authorizer()
            .response_ping(headers, &call.scope, attempts);
        match verdict.await? {
            ChallengeOutcome::Retry(authorization) => Ok(authorization),
            ChallengeOutcome::Fail => Ok(bare),
        }
    }

    /// Reads the body of a response of which only the head counts, so that its connection can be
    /// used for the next request. It is a line or two; of a long one the beginning is kept.
    pub(crate) async fn drain(&self, response: &mut Received, attempts: &RetryState) {
        let body = std::mem::take(&mut response.body);
        let wire = self.wire();
        let beginning = pin!(async {
            Ok(wire
                .read_beginning(body, response_error::MAX_ERROR_BODY)
                .await)
        });
        let beginning = watch(response.permit.as_ref(), beginning);
        let beginning = attempts.within(beginning).await;
        response.body = Body::bytes(beginning.unwrap_or_default());
    }

    async fn send_once(
        &self,
        call: &Call,
        template: &Template,
        authorization: &Authorization,
        permit: Permit,
        attempts: &mut RetryState,
    ) -> Result<Received, Error> {
        let mut request = template.build();
        if let Some(value) = authorization.header() {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let mut response = self.request(call, request, Some(&permit), attempts).await?;
        let headers = &response.head.headers;
        let asked = response_error::retry_after(headers, self.clock().now());
        let limiter = &self.shared.limiter;
        limiter.learn(&permit, response.head.status, headers, asked);
        response.permit = Some(permit);
        Ok(response)
    }

    /// Sends one more request of a call to another place that a response named, without credentials
    /// and past the limiter: it is not the registry that counts it.
    pub(super) async fn send_bare(
        &self,
        call: &Call,
        template: &Template,
        attempts: &mut RetryState,
    ) -> Result<Received, Error> {
        self.request(call, template.build(), None, attempts).await
    }

    async fn request(
        &self,
        call: &Call,
        request: http::Request<bytes::Bytes>,
        permit: Option<&Permit>,
        attempts: &mut RetryState,
    ) -> Result<Received, Error> {
        attempts.requests += 1;
        let (method, url) = (request.method().clone(), request.uri().clone());
        let sent = request.headers().get(AUTHORIZATION).cloned();
        let repository = call.repository.as_ref().map(ToString::to_string);
        let context = OperationContext::new(call.name, repository, attempts.requests);
        let response = pin!(self.wire().send(request, context));
        let response = attempts.within(watch(permit, response)).await?;
        let (head, body) = response.into_parts();
        Ok(Received {
            head,
            body,
            method,
            url,
            sent,
            permit: None,
        })
    }
}

/// Whether a response without a challenge means that the registry wants no credential. One that is busy,
/// or has a firewall, may not have come to look for it.
fn tells_of_credentials(status: StatusCode) -> bool {
    !is_transient(status) && status != StatusCode::FORBIDDEN
}

/// A token that is missing, one that is refused, and one that goes back to a refused refresh token:
/// no call meets more challenges than that.
const MAX_CHALLENGES: u32 = 5;
