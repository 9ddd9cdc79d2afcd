//! What the client tells `tracing`: one span for each operation, one within it for each request.
//!
//! The names are those of OpenTelemetry's conventions for HTTP clients. No span holds a credential, a
//! header or a query.

use std::time::Duration;

use acr_protocol::RepositoryName;
use http::{Request, Response};
use tracing::field::{Empty, display};
use tracing::{Instrument as _, Span, debug, info_span};

use crate::context::OperationContext;
use crate::error::Error;
use crate::operation_info::OperationInfo;
use crate::url::WithoutQuery;

/// The span of one operation with all its attempts.
pub(crate) fn operation(info: &OperationInfo) -> Span {
    whole(info.name, info.repository.as_ref())
}

/// The span of something under this name, which may be made of operations.
fn whole(name: &'static str, repository: Option<&RepositoryName>) -> Span {
    let span = info_span!(
        target: TARGET,
        "acr.operation",
        otel.name = name,
        otel.kind = "internal",
        otel.status_code = Empty,
        acr.operation = name,
        acr.repository = Empty,
        acr.attempts = Empty,
        "error.type" = Empty,
    );
    if let Some(repository) = repository {
        span.record("acr.repository", repository.as_str());
    }
    span
}

/// Notes how an operation ended, and how many requests it has sent, as far as its error does not say.
pub(crate) fn ended(span: &Span, requests: u32, failure: Option<&Error>) {
    let requests = failure.map_or(requests, |error| error.attempts().max(requests));
    span.record("acr.attempts", requests);
    if let Some(error) = failure {
        failed(span, error);
    }
}

/// Runs what is made of operations in a span of its own, whose children theirs are.
pub(crate) async fn in_whole<T>(
    name: &'static str,
    repository: Option<&RepositoryName>,
    work: impl Future<Output = Result<T, Error>> + Send,
) -> Result<T, Error> {
    let span = whole(name, repository);
    let done = work.instrument(span.clone()).await;
    if let Err(error) = &done {
        failed(&span, error);
    }
    done
}

/// The span of one request, from its sending to the head of its response; `resent` requests of its
/// operation came before it.
pub(crate) fn request<B>(request: &Request<B>, context: &OperationContext, resent: u32) -> Span {
    let method = request.method().as_str();
    let span = info_span!(
        target: TARGET,
        "http.request",
        otel.name = method,
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = method,
        http.request.resend_count = Empty,
        http.response.status_code = Empty,
        url.full = %WithoutQuery(request.uri()),
        server.address = request.uri().host().unwrap_or_default(),
        server.port = Empty,
        "error.type" = Empty,
        acr.operation = context.operation(),
    );
    let scheme = request.uri().scheme_str();
    let port = request.uri().port_u16();
    span.record(
        "server.port",
        port.unwrap_or(if scheme == Some("http") { 80 } else { 443 }),
    );
    if resent > 0 {
        span.record("http.request.resend_count", resent);
    }
    span
}

/// Notes the status of a response, or why none came.
pub(crate) fn responded<B>(span: &Span, sent: &Result<Response<B>, Error>) {
    match sent {
        Ok(response) => {
            let status = response.status();
            span.record("http.response.status_code", status.as_u16());
            if status.is_client_error() || status.is_server_error() {
                span.record("error.type", status.as_str());
                span.record("otel.status_code", "ERROR");
            }
        }
        Err(error) => failed(span, error),
    }
}

/// Tells that a failed attempt is repeated.
pub(crate) fn repeating(failure: &Error, failed: u32, pause: Duration) {
    debug!(
        target: TARGET,
        failure = ?failure.kind(),
        failed_attempts = failed,
        pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
        "the operation is tried again: {failure}"
    );
}

fn failed(span: &Span, error: &Error) {
    span.record("error.type", display(format_args!("{:?}", error.kind())));
    span.record("otel.status_code", "ERROR");
}

const TARGET: &str = "acr_client";
