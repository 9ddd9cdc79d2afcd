//! [`Recorder`]: a transport that records what goes through another one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use acr_client::async_trait;
use acr_client::transport::OperationContext;
use acr_client::transport::{Body, Transport, TransportError, TransportErrorKind};
use http::{Request, Response};

use crate::exchange::{Exchange, Failure, FailureKind, Origin};
use crate::recording::Recording;
use crate::redact::{self, Secrets};
use crate::tee::BodyCopy;

/// Records what goes through a transport.
///
/// Clones share the recording, so that one goes into the client and one stays with the test:
///
/// ```
/// # use acr_client::transport::{Body, from_fn};
/// # use http::Response;
/// use acr_client::ContainerRegistryClient;
/// use acr_record::Recorder;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), acr_client::Error> {
/// # let transport = from_fn(|_| async { Response::new(Body::bytes("{}")) });
/// # let clock = acr_client::clock::VirtualClock::new();
/// let recorder = Recorder::new(transport);
/// let client = ContainerRegistryClient::builder("https://registry.example")
///     .transport(recorder.clone())
/// #   .clock(clock)
///     .build()?;
/// client.ping().await?;
/// assert_eq!(recorder.recording().exchanges().len(), 1);
/// # Ok(())
/// # }
/// ```
///
/// Bodies stream through as they come. A body of more than 1 MiB is recorded by its digest and size, and
/// requests end in an error once [256 MiB](Self::size_limit) are recorded.
/// The [crate](crate#what-is-redacted) says which secrets are redacted.
#[derive(Clone)]
pub struct Recorder {
    inner: Arc<dyn Transport>,
    state: Arc<Mutex<State>>,
    body_limit: usize,
    size_limit: usize,
    edit: Option<Edit>,
}

type Edit = Arc<dyn Fn(&mut Exchange) + Send + Sync>;

#[derive(Default)]
struct State {
    /// By the order in which the requests were sent.
    exchanges: BTreeMap<u64, Exchange>,
    sent: u64,
    /// The bytes of all exchanges, about.
    size: usize,
    /// The host of the first request.
    registry: Option<String>,
    secrets: Secrets,
}

impl Recorder {
    /// Records what goes through `inner`.
    pub fn new(inner: impl Transport) -> Self {
        Self {
            inner: Arc::new(inner),
            state: Arc::default(),
            body_limit: MAX_BODY,
            size_limit: 256 << 20,
            edit: None,
        }
    }

    /// Keeps at most so many bytes of each body, and the digest and size of a longer one. 1 MiB
    /// otherwise. Forms and responses of token requests are kept up to 1 MiB at least.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Records at most about so many bytes in all, heads and bodies. 256 MiB otherwise.
    ///
    /// Once they are reached, a request is not sent but ends in an error of the kind
    /// [`Other`](TransportErrorKind::Other). Requests that were sent before are still recorded.
    #[must_use]
    pub fn size_limit(mut self, bytes: usize) -> Self {
        self.size_limit = bytes;
        self
    }

    /// Changes each exchange by a function, after it is redacted. It is called by
    /// [`recording`](Self::recording). Clones that were made before do not have it.
    #[must_use]
    pub fn edit(mut self, edit: impl Fn(&mut Exchange) + Send + Sync + 'static) -> Self {
        self.edit = Some(Arc::new(edit));
        self
    }

    /// Returns what was recorded so far, in the order in which the requests were sent.
    ///
    /// An exchange is in it once its response was read or dropped.
    #[must_use]
    pub fn recording(&self) -> Recording {
        let (mut exchanges, secrets) = {
            let state = lock(&self.state);
            let exchanges: Vec<_> = state.exchanges.values().cloned().collect();
            (exchanges, state.secrets.clone())
        };
        for (exchange, step) in exchanges.iter_mut().zip(1..) {
            let operation = exchange.operation.as_deref().unwrap_or("exchange");
            exchange.id = format!("recorded-{step:04}-{}", operation.replace('_', "-"));
            exchange.step = Some(step);
            // Now, because a secret may have passed after it was in an error.
            redact::texts(exchange, &secrets);
            if let Some(edit) = &self.edit {
                edit(exchange);
            }
        }
        exchanges.into_iter().collect()
    }

    fn begin(&self, request: Request<Body>) -> (Attempt, Request<Body>) {
        let (parts, body) = request.into_parts();
        let mut exchange = Exchange::from_parts(&parts);
        let context = parts.extensions.get::<OperationContext>();
        let operation = context.map(OperationContext::operation);
        let is_for_token = redact::is_token_request(operation, parts.uri.path());
        exchange.source = concat!("recorded by acr-record ", env!("CARGO_PKG_VERSION")).to_owned();
        exchange.session = Some("recorded".to_owned());
        exchange.operation = operation.map(str::to_owned);
        let mut state = lock(&self.state);
        state.sent += 1;
        let position = state.sent;
        if let Some(host) = exchange.request.host() {
            let registry = state.registry.get_or_insert_with(|| host.to_owned());
            if !registry.eq_ignore_ascii_case(host) && !is_for_token {
                exchange.origin = Origin::Data;
            }
        }
        redact::request_head(&mut exchange.request, &mut state.secrets);
        drop(state);
        let body_limit = match is_for_token {
            true => self.body_limit.max(MAX_BODY),
            false => self.body_limit,
        };
        let (copy, body) = BodyCopy::of(body, body_limit, |_| {});
        let attempt = Attempt {
            state: self.state.clone(),
            body_limit,
            position,
            is_for_token,
            request: copy,
            exchange: Some(exchange),
        };
        (attempt, Request::from_parts(parts, body))
    }
}

#[async_trait]
impl Transport for Recorder {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        if lock(&self.state).size >= self.size_limit {
            let message = format!(
                "the recording has reached its limit of {} bytes",
                self.size_limit
            );
            return Err(TransportError::new(TransportErrorKind::Other, message));
        }
        let (mut attempt, request) = self.begin(request);
        match self.inner.send(request).await {
            Ok(response) => Ok(attempt.respond(response)),
            Err(error) => {
                attempt.finish(Err(Failure::from(&error)));
                Err(error)
            }
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("inner", &self.inner)
            .field("exchanges", &lock(&self.state).exchanges.len())
            .field("body_limit", &self.body_limit)
            .finish_non_exhaustive()
    }
}

/// An exchange in progress. Dropping it means that the request was given up.
struct Attempt {
    state: Arc<Mutex<State>>,
    body_limit: usize,
    position: u64,
    is_for_token: bool,
    request: BodyCopy,
    /// `None` once it is recorded.
    exchange: Option<Exchange>,
}

impl Attempt {
    /// Records the head of the response now, and the exchange when the body ends.
    fn respond(mut self, response: Response<Body>) -> Response<Body> {
        let (parts, body) = response.into_parts();
        if let Some(exchange) = &mut self.exchange {
            exchange.response = Some(crate::Response::from_parts(&parts));
        }
        let (_, body) = BodyCopy::of(body, self.body_limit, move |copy| self.finish(Ok(copy)));
        Response::from_parts(parts, body)
    }

    fn finish(&mut self, outcome: Result<&BodyCopy, Failure>) {
        let Some(mut exchange) = self.exchange.take() else {
            return;
        };
        let request = &mut exchange.request;
        (request.body, request.end) = self.request.take(&request.headers, false);
        match (&mut exchange.response, outcome) {
            (Some(response), Ok(copy)) => {
                (response.body, response.end) = copy.take(&response.headers, true);
                if !response.end.is_complete() {
                    exchange.mask.push("response.body".to_owned());
                }
            }
            (_, Err(failure)) => exchange.error = Some(failure),
            (None, Ok(_)) => {}
        }
        if exchange.response.is_none() {
            exchange.skip = Some("there was no response".to_owned());
        }
        let mut state = lock(&self.state);
        redact::exchange(&mut exchange, self.is_for_token, &mut state.secrets);
        state.size += size(&exchange);
        state.exchanges.insert(self.position, exchange);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let message = "the request was dropped before its response came";
        self.finish(Err(Failure::new(FailureKind::Timeout, message)));
    }
}

/// About how many bytes an exchange takes.
fn size(exchange: &Exchange) -> usize {
    let request = &exchange.request;
    let response = exchange.response.as_ref();
    let headers = request.headers.iter();
    let headers = headers.chain(response.into_iter().flat_map(|response| &response.headers));
    let bodies = [request.bytes(), response.and_then(crate::Response::bytes)];
    size_of::<Exchange>()
        + request.target().len()
        + headers
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum::<usize>()
        + bodies
            .iter()
            .flatten()
            .map(bytes::Bytes::len)
            .sum::<usize>()
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Nothing panics while the lock is held; if it did, the exchanges would still be whole.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

const MAX_BODY: usize = 1 << 20;
