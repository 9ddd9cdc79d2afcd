//! One attempt: what the request has to carry, its turn, the request itself, and a challenge that is met.

use acr_protocol::{Operation as _, Ping};
use http::header::AUTHORIZATION;
use http::{Request, StatusCode};

use super::{Pipeline, redirect};
use crate::auth::{Authorization, ChallengeOutcome};
use crate::error::{Error, is_transient};
use crate::limiter::Permit;
use crate::operation_info::OperationInfo;
use crate::payload::Payload;
use crate::response::Received;
use crate::retry::RetryState;

impl Pipeline {
    /// Sends a request that needs a scope to the registry; resolves at the head of any response but a
    /// 401 that can be helped, and a redirect that can be followed.
    pub(crate) async fn send(
        &self,
        info: &OperationInfo,
        request: &Request<Payload>,
        attempts: &RetryState,
    ) -> Result<Received, Error> {
        let response = self.send_authorized(info, request, attempts).await?;
        if info.follows && redirect::is_followed(request.method(), response.head.status) {
            return Box::pin(self.follow(info, request, response, attempts)).await;
        }
        Ok(response)
    }

    /// The same without following redirects.
    pub(super) async fn send_authorized(
        &self,
        info: &OperationInfo,
        request: &Request<Payload>,
        attempts: &RetryState,
    ) -> Result<Received, Error> {
        let authorizer = self.authorizer();
        let mut authorization = if request.body().is_empty() || !authorizer.is_unknown() {
            authorizer.authorize(&info.scope, attempts).await?
        } else {
            Box::pin(self.probe_scheme(info, attempts)).await?
        };
        let mut challenges = 0;
        loop {
            let permit = self.turn(info, &mut authorization, attempts).await?;
            let mut response = self
                .send_once(info, request, &authorization, permit, attempts)
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
            self.sender().drain(&mut response, attempts).await;
            let headers = &response.head.headers;
            let verdict = authorizer.meet_challenge(headers, &authorization, &info.scope, attempts);
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
        info: &OperationInfo,
        authorization: &mut Authorization,
        attempts: &RetryState,
    ) -> Result<Permit, Error> {
        let permit = self.sender().limiter.admit(info.class).await;
        if permit.waited().is_zero() {
            return Ok(permit);
        }
        attempts.exclude_queued(permit.waited());
        if !authorization.is_expired(self.clock().now()) {
            return Ok(permit);
        }
        drop(permit);
        *authorization = self.authorizer().authorize(&info.scope, attempts).await?;
        let permit = self.sender().limiter.admit(info.class).await;
        attempts.exclude_queued(permit.waited());
        Ok(permit)
    }

    /// Finds out by a ping what the registry wants, before a body is sent.
    ///
    /// A server may respond to a bare request with a large body with a 401 and hang up while the body is
    /// still on its way; then the challenge is lost.
    async fn probe_scheme(
        &self,
        info: &OperationInfo,
        attempts: &RetryState,
    ) -> Result<Authorization, Error> {
        let ping = self.info(&Ping);
        let request = self.absolute(&ping, Ping.request())?;
        let mut bare = Authorization::Nothing;
        let permit = self.turn(&ping, &mut bare, attempts).await?;
        let sent = self.send_once(&ping, &request, &bare, permit, attempts);
        let sent = sent.await;
        // It is a request of another operation, and whatever becomes of it, the call's own was not sent.
        attempts.uncount_request();
        let mut response = sent.map_err(Error::not_sent)?;
        let status = response.head.status;
        if is_transient(status) {
            let refused = self.sender().refused(&ping, response, attempts).await;
            return Err(refused.not_sent());
        }
        self.sender().drain(&mut response, attempts).await;
        if status != StatusCode::UNAUTHORIZED {
            if tells_of_credentials(status) {
                self.authorizer().mark_open(&bare);
            }
            return Ok(bare);
        }
        let headers = &response.head.headers;
        let verdict = self
            .authorizer()
            .meet_ping_challenge(headers, &info.scope, attempts);
        match verdict.await? {
            ChallengeOutcome::Retry(authorization) => Ok(authorization),
            ChallengeOutcome::Fail => Ok(bare),
        }
    }

    async fn send_once(
        &self,
        info: &OperationInfo,
        request: &Request<Payload>,
        authorization: &Authorization,
        permit: Permit,
        attempts: &RetryState,
    ) -> Result<Received, Error> {
        let mut request = request.clone();
        if let Some(value) = authorization.header() {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        self.sender()
            .send(request, info, Some(permit), attempts)
            .await
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
