//! [`Recorder`]: a transport that keeps what goes through another one.

mod store;
mod tee;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::{Request, Response};

use self::store::{Keep, Store};
use self::tee::Copy;
use crate::context::OperationContext;
use crate::transport::record::Recording;
use crate::transport::record::exchange::{
    RecordedError, RecordedExchange, RecordedRequest, RecordedResponse,
};
use crate::transport::record::scrub;
use crate::transport::{Body, Transport, TransportError, TransportErrorKind};

/// Records what goes through a transport.
///
/// Clones share the recording, so that one goes into the client and one stays with the test:
///
/// ```
/// # use acr_client::transport::{Body, from_fn};
/// # use http::Response;
/// use acr_client::ContainerRegistryClient;
/// use acr_client::transport::record::Recorder;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), acr_client::Error> {
/// # let transport = from_fn(|_| async { Response::new(Body::bytes("{}")) });
/// # let clock = acr_client::clock::from_fn(std::time::SystemTime::now, |_| std::future::pending());
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
/// Bodies stream through as they come. Of each no more than 1 MiB is kept, of a longer one its digest
/// and size, and of all exchanges the first 1000; three settings change that. Secrets are taken out
/// before an exchange is kept; the [module](super) says which.
#[derive(Clone)]
pub struct Recorder {
    inner: Arc<dyn Transport>,
    store: Arc<Store>,
    body_limit: usize,
    hooks: Vec<Hook>,
}

type Hook = Arc<dyn Fn(&mut RecordedExchange) + Send + Sync>;

impl Recorder {
    /// Records what goes through `inner`.
    pub fn new(inner: impl Transport) -> Self {
        Self {
            inner: Arc::new(inner),
            store: Arc::default(),
            body_limit: 1 << 20,
            hooks: Vec::new(),
        }
    }

    /// Keeps at most so many bytes of each body; of a longer one, its digest and size.
    ///
    /// Bodies of requests for tokens and of their answers are kept up to 1 MiB all the same, because
    /// only who reads them knows what to hide.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Keeps the first exchanges, at least one; later ones are dropped and counted.
    #[must_use]
    pub fn keep_first(self, exchanges: usize) -> Self {
        self.store.keep(Keep::First, exchanges);
        self
    }

    /// Keeps the last exchanges, at least one; earlier ones are dropped and counted.
    #[must_use]
    pub fn keep_last(self, exchanges: usize) -> Self {
        self.store.keep(Keep::Last, exchanges);
        self
    }

    /// Names a secret that must not be in the recording, such as one in an image's labels.
    ///
    /// Secrets that pass as such are known without it. One of fewer than four bytes is not searched for.
    #[must_use]
    pub fn secret(self, secret: &str) -> Self {
        self.store.secrets().learn_for_good(secret);
        self
    }

    /// Has each exchange changed by a function, after the secrets are out and before it is kept.
    #[must_use]
    pub fn scrub(mut self, change: impl Fn(&mut RecordedExchange) + Send + Sync + 'static) -> Self {
        self.hooks.push(Arc::new(change));
        self
    }

    /// Returns what was recorded so far, in the order in which the requests were sent.
    ///
    /// An exchange is in it when its answer was read or dropped.
    #[must_use]
    pub fn recording(&self) -> Recording {
        self.store.recording()
    }

    fn begin(&self, request: Request<Body>) -> (Attempt, Request<Body>) {
        let (parts, body) = request.into_parts();
        let context = parts.extensions.get::<OperationContext>();
        let operation = context.map(|context| context.operation().to_owned());
        let is_for_token = scrub::is_for_token(operation.as_deref(), parts.uri.path());
        let mut request = RecordedRequest::of(&parts);
        scrub::head(&parts.uri, &mut request, &mut self.store.secrets());
        let (place, is_away) = self.store.begin(request.host());
        let error = RecordedError::new(TransportErrorKind::Timeout, GIVEN_UP);
        let mut exchange = RecordedExchange::with(request, Err(error));
        exchange.operation = operation;
        exchange.to_data = is_away && !is_for_token;
        let body_limit = match is_for_token {
            true => self.body_limit.max(MOST_OF_A_TOKEN),
            false => self.body_limit,
        };
        let (copy, body) = Copy::of(body, body_limit, |_| {});
        let attempt = Attempt {
            store: self.store.clone(),
            hooks: self.hooks.clone(),
            body_limit,
            place,
            request: copy,
            exchange: Some(exchange),
        };
        (attempt, Request::from_parts(parts, body))
    }
}

#[async_trait]
impl Transport for Recorder {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let (attempt, request) = self.begin(request);
        match self.inner.send(request).await {
            Ok(response) => Ok(attempt.answered(response)),
            Err(error) => {
                attempt.failed(&error);
                Err(error)
            }
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("inner", &self.inner)
            .field("store", &self.store)
            .field("body_limit", &self.body_limit)
            .field("hooks", &self.hooks.len())
            .finish()
    }
}

/// An exchange under way. Whoever drops it has given it up.
struct Attempt {
    store: Arc<Store>,
    hooks: Vec<Hook>,
    body_limit: usize,
    place: u64,
    request: Copy,
    /// `None` after it was kept.
    exchange: Option<RecordedExchange>,
}

impl Attempt {
    /// Takes note of the head of an answer; of the rest when the body ends.
    fn answered(mut self, response: Response<Body>) -> Response<Body> {
        let (parts, body) = response.into_parts();
        if let Some(exchange) = &mut self.exchange {
            exchange.outcome = Ok(RecordedResponse::of(&parts));
            scrub::answer_head(exchange, &mut self.store.secrets());
        }
        let (_, body) = Copy::of(body, self.body_limit, move |copy| self.conclude(Some(copy)));
        Response::from_parts(parts, body)
    }

    fn failed(mut self, error: &TransportError) {
        if let Some(exchange) = &mut self.exchange {
            exchange.outcome = Err(RecordedError::of(error));
        }
        self.conclude(None);
    }

    fn conclude(&mut self, answer: Option<&Copy>) {
        let Some(mut exchange) = self.exchange.take() else {
            return;
        };
        let request = &mut exchange.request;
        (request.body, request.end) = self.request.take();
        if let (Ok(response), Some(copy)) = (&mut exchange.outcome, answer) {
            (response.body, response.end) = copy.take();
        }
        self.store.put(self.place, exchange, |exchange| {
            for hook in &self.hooks {
                hook(exchange);
            }
        });
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.conclude(None);
    }
}

const GIVEN_UP: &str = "the request was given up before its answer came";
/// What the client reads of a token's answer at most.
const MOST_OF_A_TOKEN: usize = 1 << 20;

#[cfg(test)]
mod tests;
