//! One attempt: what the request has to carry, its turn, the request itself, and a challenge that is met.

use std::pin::pin;

use acr_protocol::{Operation as _, Ping};
use http::StatusCode;
use http::header::AUTHORIZATION;

use super::{Answer, Call, Pipeline, Template, redirect};
use crate::answer;
use crate::auth::{Authorization, Verdict};
use crate::context::OperationContext;
use crate::error::{Error, may_heal};
use crate::limiter::{Permit, watch};
use crate::retry::Attempts;
use crate::transport::Body;

impl Pipeline {
    /// Sends a request that needs a scope to the registry; resolves at the head of any answer but a
    /// 401 that can be helped, and a redirect that can be followed.
    pub(crate) async fn send(
        &self,
        call: &Call,
        template: &Template,
        attempts: &mut Attempts,
    ) -> Result<Answer, Error> {
        let answer = self.send_authorized(call, template, attempts).await?;
        if call.follows && redirect::is_followed(&template.parts.method, answer.head.status) {
            return Box::pin(self.follow(call, template, answer, attempts)).await;
        }
        Ok(answer)
    }

    /// The same without following redirects.
    pub(super) async fn send_authorized(
        &self,
        call: &Call,
        template: &Template,
        attempts: &mut Attempts,
    ) -> Result<Answer, Error> {
        let authorizer = self.authorizer();
        let mut authorization = if template.body.is_empty() || !authorizer.is_unknown() {
            authorizer.authorize(&call.scope, attempts).await?
        } else {
            Box::pin(self.ask_first(call, attempts)).await?
        };
        let mut challenges = 0;
        loop {
            let permit = self.turn(call, &mut authorization, attempts).await?;
            let mut answer = self
                .send_once(call, template, &authorization, permit, attempts)
                .await?;
            if answer.head.status != StatusCode::UNAUTHORIZED {
                if tells_of_credentials(answer.head.status) {
                    authorizer.went_through(&authorization);
                }
                return Ok(answer);
            }
            challenges += 1;
            if challenges == MOST_CHALLENGES {
                return Ok(answer);
            }
            self.drain(&mut answer, attempts).await;
            answer.permit = None;
            let headers = &answer.head.headers;
            let verdict = authorizer.answer(headers, &authorization, &call.scope, attempts);
            match verdict.await? {
                Verdict::Retry(better) => authorization = better,
                Verdict::GiveUp => return Ok(answer),
            }
        }
    }

    /// Waits for the call's turn among those of its class. That may take long, so a token that ended
    /// meanwhile is replaced.
    async fn turn(
        &self,
        call: &Call,
        authorization: &mut Authorization,
        attempts: &mut Attempts,
    ) -> Result<Permit, Error> {
        let permit = self.shared.limiter.admit(call.class).await;
        if permit.waited().is_zero() {
            return Ok(permit);
        }
        attempts.forgive(permit.waited());
        if !authorization.is_over(self.clock().now()) {
            return Ok(permit);
        }
        drop(permit);
        *authorization = self.authorizer().authorize(&call.scope, attempts).await?;
        let permit = self.shared.limiter.admit(call.class).await;
        attempts.forgive(permit.waited());
        Ok(permit)
    }

    /// Finds out by a ping what the registry wants, before a body is sent.
    ///
    /// A server may answer a bare request with a large body by a 401 and hang up while the body is
    /// still on its way; then the challenge is lost.
    async fn ask_first(
        &self,
        call: &Call,
        attempts: &mut Attempts,
    ) -> Result<Authorization, Error> {
        let template = self.template(Ping.request())?;
        let mut bare = Authorization::Nothing;
        let ping = self.call(&Ping);
        let permit = self.turn(&ping, &mut bare, attempts).await?;
        let sent = self.send_once(&ping, &template, &bare, permit, attempts);
        let sent = sent.await;
        // It is a request of another operation, and whatever becomes of it, the call's own was not sent.
        attempts.requests -= 1;
        let mut answer = sent.map_err(Error::not_carried_out)?;
        let status = answer.head.status;
        if may_heal(status) {
            let refused = self.refused(&ping, answer, attempts).await;
            return Err(refused.not_carried_out());
        }
        self.drain(&mut answer, attempts).await;
        answer.permit = None;
        if status != StatusCode::UNAUTHORIZED {
            if tells_of_credentials(status) {
                self.authorizer().went_through(&bare);
            }
            return Ok(bare);
        }
        let headers = &answer.head.headers;
        let verdict = self
            .authorizer()
            .answer_ping(headers, &call.scope, attempts);
        match verdict.await? {
            Verdict::Retry(authorization) => Ok(authorization),
            Verdict::GiveUp => Ok(bare),
        }
    }

    /// Reads the body of an answer of which only the head counts, so that its connection can be
    /// used for the next request. It is a line or two; of a long one the beginning is kept.
    pub(crate) async fn drain(&self, answer: &mut Answer, attempts: &Attempts) {
        let body = std::mem::take(&mut answer.body);
        let wire = self.wire();
        let beginning =
            pin!(async { Ok(wire.read_beginning(body, answer::MOST_OF_AN_ERROR).await) });
        let beginning = watch(answer.permit.as_ref(), beginning);
        let beginning = attempts.within(beginning).await;
        answer.body = Body::bytes(beginning.unwrap_or_default());
    }

    async fn send_once(
        &self,
        call: &Call,
        template: &Template,
        authorization: &Authorization,
        permit: Permit,
        attempts: &mut Attempts,
    ) -> Result<Answer, Error> {
        let mut request = template.build();
        if let Some(value) = authorization.header() {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let mut answer = self.request(call, request, Some(&permit), attempts).await?;
        let headers = &answer.head.headers;
        let asked = answer::retry_after(headers, self.clock().now());
        let limiter = &self.shared.limiter;
        limiter.learn(&permit, answer.head.status, headers, asked);
        answer.permit = Some(permit);
        Ok(answer)
    }

    /// Sends one more request of a call to another place that an answer named, without credentials
    /// and past the limiter: it is not the registry that counts it.
    pub(super) async fn send_bare(
        &self,
        call: &Call,
        template: &Template,
        attempts: &mut Attempts,
    ) -> Result<Answer, Error> {
        self.request(call, template.build(), None, attempts).await
    }

    async fn request(
        &self,
        call: &Call,
        request: http::Request<bytes::Bytes>,
        permit: Option<&Permit>,
        attempts: &mut Attempts,
    ) -> Result<Answer, Error> {
        attempts.requests += 1;
        let (method, url) = (request.method().clone(), request.uri().clone());
        let sent = request.headers().get(AUTHORIZATION).cloned();
        let repository = call.repository.as_ref().map(ToString::to_string);
        let context = OperationContext::new(call.name, repository, attempts.requests);
        let answer = pin!(self.wire().send(request, context));
        let answer = attempts.within(watch(permit, answer)).await?;
        let (head, body) = answer.into_parts();
        Ok(Answer {
            head,
            body,
            method,
            url,
            sent,
            permit: None,
        })
    }
}

/// Whether an answer without a challenge means that the registry wants no credential. One that is busy,
/// or has a firewall, may not have come to look for it.
fn tells_of_credentials(status: StatusCode) -> bool {
    !may_heal(status) && status != StatusCode::FORBIDDEN
}

/// A token that is missing, one that is refused, and one that goes back to a refused refresh token:
/// no call meets more challenges than that.
const MOST_CHALLENGES: u32 = 5;
