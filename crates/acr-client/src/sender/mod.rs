//! The layer below credentials and operations: a request to one server, the idle timeout, and bodies that are
//! read whole.

mod idle;
mod progress;
mod rate;

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use acr_clock::{Clock, Sleep};
use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use tracing::Instrument as _;

use self::idle::Idle;
use self::progress::Progress;
pub(crate) use self::rate::{MinRate, TooSlow};
use self::rate::{Paced, UNPOLLED};
use crate::context::OperationContext;
use crate::error::{Error, ErrorKind};
use crate::limiter::{Limiter, Permit, watch};
use crate::mask::Mask;
use crate::operation_info::OperationInfo;
use crate::payload::Payload;
use crate::response::Received;
use crate::response_error::{self, MAX_ERROR_BODY};
use crate::retry::{RetryPolicy, RetryState};
use crate::trace;
use crate::transport::{Body, Transport};
use crate::url::WithoutQuery;

/// What every request goes through, also those for tokens.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) retry: RetryPolicy,
    pub(crate) limiter: Limiter,
    /// How long a server may be silent: before the head of its response, and before each part of the
    /// body.
    pub(crate) idle_timeout: Duration,
    /// How long a body that is read whole may take, beside a second for each 64 KiB of it.
    pub(crate) body_timeout: Duration,
    /// How fast a body has to arrive that the caller reads.
    pub(crate) min_rate: Option<MinRate>,
    pub(crate) user_agent: HeaderValue,
}

impl Sender {
    /// Sends a request of an operation with an absolute URL; resolves at the head of the response.
    ///
    /// Without a permit it goes past the limiter, to where a response has led: it is not the registry that
    /// counts it.
    pub(crate) async fn send(
        &self,
        request: Request<impl Into<Payload> + Send>,
        info: &OperationInfo,
        permit: Option<Permit>,
        attempts: &RetryState,
    ) -> Result<Received, Error> {
        let context = OperationContext::new(info, attempts.attempt());
        let resent = attempts.count_request() - 1;
        let request = request.map(Into::into);
        let (method, url) = (request.method().clone(), request.uri().clone());
        let sent = request.headers().get(AUTHORIZATION).cloned();
        let response = pin!(self.send_traced(request, context, resent));
        let watched = watch(permit.as_ref(), response);
        let (head, body) = attempts.with_deadline(watched).await?.into_parts();
        if let Some(permit) = &permit {
            let wait = response_error::retry_after(&head.headers, self.clock.now());
            self.limiter.learn(permit, head.status, &head.headers, wait);
        }
        Ok(Received {
            head,
            body,
            method,
            url,
            is_elsewhere: permit.is_none(),
            sent,
            secrets: Mask::default(),
            permit,
        })
    }

    async fn send_traced(
        &self,
        request: Request<Payload>,
        context: OperationContext,
        resent: u32,
    ) -> Result<Response<Body>, Error> {
        let span = trace::request(&request, &context, resent);
        // Awaited where it is made, because a future that is named first has its room twice.
        let sent = self
            .send_timed(request, context)
            .instrument(span.clone())
            .await;
        trace::responded(&span, &sent);
        sent
    }

    async fn send_timed(
        &self,
        mut request: Request<Payload>,
        context: OperationContext,
    ) -> Result<Response<Body>, Error> {
        let (method, url) = (request.method().clone(), request.uri().clone());
        let named = |what: &dyn fmt::Display| format!("{method} {}: {what}", WithoutQuery(&url));
        request
            .headers_mut()
            .entry(USER_AGENT)
            .or_insert_with(|| self.user_agent.clone());
        request.extensions_mut().insert(context);
        let progress = Progress::default();
        let mut work = self
            .transport
            .send(request.map(|payload| progress.meter(payload)));
        loop {
            let before = progress.count();
            work = match select(work, self.clock.sleep(self.idle_timeout)).await {
                Either::Left((Ok(response), _)) => return Ok(response.map(|body| self.timed(body))),
                Either::Left((Err(error), _)) => {
                    let text = named(&error);
                    return Err(Error::of_transport(error, text));
                }
                Either::Right(((), _)) if progress.count() == before && !progress.is_waiting() => {
                    return Err(self.idle_timeout_error(&named(&"no response")));
                }
                Either::Right(((), work)) => work,
            };
        }
    }

    /// Bounds the silence before each part of a body that is not in memory already.
    fn timed(&self, body: Body) -> Body {
        if body.try_clone().is_some() {
            return body;
        }
        Body::new(Idle::new(body, self.idle_timeout, self.clock.clone()))
    }

    /// How many bytes of a body are progress: any, or as many as a window of the least rate has.
    pub(crate) fn bytes_of_progress(&self) -> u64 {
        let asked = self.min_rate.map_or(1, MinRate::bytes_of_a_window);
        asked.max(1)
    }

    /// Measures a body that the caller reads, if it has to arrive at some rate.
    pub(crate) fn paced(&self, body: Body) -> Body {
        match self.min_rate {
            Some(rate) if body.try_clone().is_none() => {
                Body::new(Paced::new(body, rate, self.clock.clone()))
            }
            _ => body,
        }
    }

    /// Reads the body of a response whole, within the time that one of its size may take.
    pub(crate) async fn read(
        &self,
        response: &mut Received,
        limit: usize,
        attempts: &RetryState,
    ) -> Result<Bytes, Error> {
        let body = std::mem::take(&mut response.body);
        let read = pin!(self.read_body(&response.head.headers, body, limit));
        let read = watch(response.permit.as_ref(), read);
        attempts.with_deadline(read).await
    }

    /// The same for a body that is a line or two, with one idle timeout for all of it: whoever needs it
    /// is not to wait for days for a server that sends a byte now and then.
    pub(crate) async fn read_at_once(
        &self,
        response: &mut Received,
        limit: usize,
        attempts: &RetryState,
    ) -> Result<Bytes, Error> {
        let over = self.clock.sleep(self.idle_timeout);
        let read = pin!(self.read(response, limit, attempts));
        match select(read, over).await {
            Either::Left((read, _)) => read,
            Either::Right(((), _)) => {
                Err(self.idle_timeout_error("the response's body did not end"))
            }
        }
    }

    /// Reads the body of a response of which only the head counts, so that its connection can be
    /// used for the next request, and gives its place to the next call. Of a long body the beginning is
    /// kept; one that breaks, or is not over within the idle timeout, is as good as its beginning, because the
    /// status is the news.
    pub(crate) async fn drain(&self, response: &mut Received, attempts: &RetryState) {
        let mut body = std::mem::take(&mut response.body);
        let read = pin!(async {
            let mut all = BytesMut::new();
            // One timeout for all of it: a server that sends a byte now and then could hold up for days
            // a call whose outcome is known.
            let mut over = self.clock.sleep(self.idle_timeout);
            while all.len() < MAX_ERROR_BODY {
                let Either::Left((Some(Ok(frame)), _)) = select(body.frame(), &mut over).await
                else {
                    break;
                };
                if let Ok(data) = frame.into_data() {
                    let room = MAX_ERROR_BODY - all.len();
                    all.extend_from_slice(&data[..data.len().min(room)]);
                }
            }
            Ok(all.freeze())
        });
        let read = watch(response.permit.as_ref(), read);
        let beginning = attempts.with_deadline(read).await;
        response.body = Body::bytes(beginning.unwrap_or_default());
        response.permit = None;
    }

    /// Builds the error of a response whose status is not a success of its operation.
    pub(crate) async fn refused(
        &self,
        info: &OperationInfo,
        mut response: Received,
        attempts: &RetryState,
    ) -> Error {
        self.drain(&mut response, attempts).await;
        response.into_error(info, self.clock.now())
    }

    /// Reads a whole body of at most `limit` bytes, within the time that a body of its size may take.
    pub(crate) async fn read_body(
        &self,
        headers: &HeaderMap,
        mut body: Body,
        limit: usize,
    ) -> Result<Bytes, Error> {
        let announced = content_length(headers);
        if announced.is_some_and(|length| length > limit as u64) {
            return Err(too_large(limit));
        }
        let mut first = Bytes::new();
        let mut all = BytesMut::new();
        // Most bodies are there at once, and need no alarm.
        let mut alarm = None;
        let mut granted = Duration::ZERO;
        loop {
            let late = poll_fn(|cx| {
                let set = || self.alarm(self.body_timeout);
                let (sleep, end) = alarm.get_or_insert_with(set);
                sleep.as_mut().poll(cx).map(|()| *end)
            });
            let frame = match select(body.frame(), late).await {
                Either::Left((frame, _)) => frame,
                Either::Right((end, _)) => {
                    let received = first.len() + all.len();
                    let earned = Duration::from_secs((received / PER_SECOND) as u64);
                    let mut more = earned.saturating_sub(granted);
                    granted = earned;
                    // Where nobody polled the call, it is not the server that was late.
                    let since = end.and_then(|end| self.clock.elapsed().checked_sub(end));
                    if since.is_some_and(|since| since > UNPOLLED) {
                        more = self.body_timeout;
                    }
                    if more.is_zero() {
                        return Err(self.drips(received));
                    }
                    alarm = Some(self.alarm(more));
                    continue;
                }
            };
            let Some(frame) = frame else {
                break;
            };
            // Trailers are passed over.
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            if first.len() + all.len() + data.len() > limit {
                return Err(too_large(limit));
            }
            // Most bodies come in one part, which is then not copied.
            if first.is_empty() && all.is_empty() {
                first = data;
            } else {
                if all.is_empty() {
                    all.extend_from_slice(&std::mem::take(&mut first));
                }
                all.extend_from_slice(&data);
            }
        }
        let all = if all.is_empty() { first } else { all.freeze() };
        check_length(announced, all.len() as u64)?;
        Ok(all)
    }

    /// A sleep, and when it is to end; `None` where no clock will ever say so.
    fn alarm(&self, time: Duration) -> (Sleep, Option<Duration>) {
        let end = self.clock.elapsed().checked_add(time);
        (self.clock.sleep(time), end)
    }

    fn drips(&self, received: usize) -> Error {
        let text = format!(
            "of the response's body only {received} bytes arrived within {:?} and a second for each \
             {} KiB, which body_timeout allows",
            self.body_timeout,
            PER_SECOND >> 10
        );
        Error::new(ErrorKind::Timeout, text)
    }

    fn idle_timeout_error(&self, what: &str) -> Error {
        let text = format!("{what} within {:?} (idle timeout)", self.idle_timeout);
        Error::new(ErrorKind::Timeout, text)
    }
}

/// For how many bytes of a body one more second is granted. Slower than any line that lists are read on,
/// and 8 MiB of them add two minutes.
const PER_SECOND: usize = 64 << 10;

/// The announced length of a body in bytes, where there is one that can be read.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Notices a body that ended early: not every transport does.
pub(crate) fn check_length(announced: Option<u64>, actual: u64) -> Result<(), Error> {
    match announced {
        Some(announced) if announced != actual => Err(Error::new(
            ErrorKind::Transport,
            format!("the response's body ended after {actual} of {announced} bytes"),
        )),
        _ => Ok(()),
    }
}

fn too_large(limit: usize) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        format!("the response's body is larger than {limit} bytes"),
    )
}

#[cfg(test)]
mod tests;
