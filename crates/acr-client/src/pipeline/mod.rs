//! The one path to the registry: authorise, wait for a turn, send, judge the status, decode, and do it
//! again where that may help.

pub(crate) mod redirect;
mod send;

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use acr_clock::Clock;
use acr_protocol::blob::{GetBlob, HeadBlob};
use acr_protocol::manifest::{GetManifest, HeadManifest};
use acr_protocol::{
    DecodeError, Describe, Operation, OperationClass, Page, PageToken, RepositoryName, ScopeSet,
};
use bytes::Bytes;
use http::response::Parts;
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use tracing::Instrument as _;

use crate::auth::Authorizer;
use crate::endpoint::{Endpoint, resolve, to_uri};
use crate::error::{Error, ErrorKind};
use crate::limiter::{Limiter, Permit, watch};
use crate::mask::Mask;
use crate::paging::Pager;
use crate::referrers::Kept;
use crate::response_error;
use crate::retry::{RetryPolicy, RetryState};
use crate::trace;
use crate::transport::Body;
use crate::wire::Wire;

/// The way of a client and its handles to the registry.
#[derive(Clone)]
pub(crate) struct Pipeline {
    shared: Arc<Shared>,
    /// How long what is not found is waited for, by a handle of something that was just pushed.
    patience: Option<Duration>,
}

/// Everything that a client and its handles share.
pub(crate) struct Shared {
    pub(crate) endpoint: Endpoint,
    pub(crate) wire: Wire,
    pub(crate) authorizer: Authorizer,
    pub(crate) retry: RetryPolicy,
    pub(crate) limiter: Limiter,
    /// The most bytes that a list or a set of properties may have.
    pub(crate) max_json_size: usize,
    /// What is known of lists of referrers that clients keep.
    pub(crate) kept_referrers: Kept,
}

/// What the pipeline needs to know of an operation, apart from its request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) class: OperationClass,
    /// Whether doing it twice does no harm.
    pub(crate) repeatable: bool,
    pub(crate) repository: Option<RepositoryName>,
    pub(crate) scope: ScopeSet,
    /// The most bytes of a body that is read whole.
    pub(crate) limit: usize,
    /// Whether a redirect of a `GET` or `HEAD` is followed, or is the response.
    pub(crate) follows: bool,
    /// Whether it is followed to another origin too.
    pub(crate) leaves: bool,
}

/// The response to a call: its head is there, its body is still to be read.
pub(crate) struct Received {
    pub(crate) head: Parts,
    pub(crate) body: Body,
    /// What the URL that served was asked.
    pub(crate) method: Method,
    /// The URL that served.
    pub(crate) url: Uri,
    /// What the request carried as `Authorization`, which no error may repeat.
    pub(crate) sent: Option<HeaderValue>,
    /// The call's place among those under way, if the registry itself responds it.
    permit: Option<Permit>,
}

/// A request as it is before each attempt: its body is in memory, so that it can be sent again.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    pub(crate) parts: http::request::Parts,
    pub(crate) body: Bytes,
}

impl Received {
    /// A copy of a response whose body was drained.
    pub(crate) fn keep(&self) -> Self {
        Self {
            head: self.head.clone(),
            body: self.body.try_clone().unwrap_or_default(),
            method: self.method.clone(),
            url: self.url.clone(),
            sent: self.sent.clone(),
            permit: None,
        }
    }
}

impl Pipeline {
    pub(crate) fn new(shared: Shared) -> Self {
        Self {
            shared: Arc::new(shared),
            patience: None,
        }
    }

    /// The same way, but on which what is not found is waited for.
    pub(crate) fn with_patience(&self, patience: Duration) -> Self {
        Self {
            patience: Some(patience),
            ..self.clone()
        }
    }

    /// The same way, but on which it is not.
    pub(crate) fn without_patience(&self) -> Self {
        Self {
            patience: None,
            ..self.clone()
        }
    }

    pub(crate) fn kept_referrers(&self) -> &Kept {
        &self.shared.kept_referrers
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.shared.endpoint
    }

    pub(crate) fn authorizer(&self) -> &Authorizer {
        &self.shared.authorizer
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.shared.wire
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.shared.wire.clock
    }

    /// Describes an operation for a call.
    pub(crate) fn call<O: Describe>(&self, operation: &O) -> Call {
        Call {
            name: O::NAME,
            class: O::CLASS,
            repeatable: O::IDEMPOTENT,
            repository: operation.repository().cloned(),
            scope: operation.scope(),
            limit: self.shared.max_json_size,
            follows: true,
            leaves: [
                GetManifest::NAME,
                HeadManifest::NAME,
                GetBlob::NAME,
                HeadBlob::NAME,
            ]
            .contains(&O::NAME),
        }
    }

    /// Begins the attempts at a call.
    pub(crate) fn begin(&self, call: &Call) -> RetryState {
        let attempts = self.shared.retry.begin(call.repeatable);
        match self.patience {
            Some(patience) => attempts.waiting_for_replicas(patience),
            None => attempts,
        }
    }

    /// Begins the attempts at something that is made of several calls.
    pub(crate) fn for_composite(&self) -> RetryState {
        self.shared.retry.begin(true)
    }

    /// Runs an operation: its own request, its own decoder.
    pub(crate) async fn run<O>(&self, operation: &O) -> Result<O::Output, Error>
    where
        O: Operation + Sync,
        O::Output: Send,
    {
        let call = self.call(operation);
        self.run_with(operation, &call, operation.request()).await
    }

    /// Runs an operation with a request that was made of its own, and a call likewise.
    pub(crate) async fn run_with<O>(
        &self,
        operation: &O,
        call: &Call,
        request: Request<Bytes>,
    ) -> Result<O::Output, Error>
    where
        O: Operation + Sync,
        O::Output: Send,
    {
        let span = trace::operation(call);
        let mut attempts = self.begin(call);
        let ran = async {
            let template = self.template(request).map_err(|error| call.own(error, 0))?;
            loop {
                let once = self.once(operation, call, &template, &mut attempts).await;
                match once.map_err(|error| call.own(error, attempts.requests)) {
                    Ok(output) => {
                        attempts.succeeded();
                        return Ok(output);
                    }
                    Err(failure) => attempts.retry_or_fail(failure).await?,
                }
            }
        };
        let ran = Box::pin(ran).instrument(span.clone()).await;
        trace::ended(&span, attempts.requests, ran.as_ref().err());
        ran
    }

    async fn once<O>(
        &self,
        operation: &O,
        call: &Call,
        template: &Template,
        attempts: &mut RetryState,
    ) -> Result<O::Output, Error>
    where
        O: Operation + Sync,
        O::Output: Send,
    {
        let mut response = self.send(call, template, attempts).await?;
        if !O::SUCCESS.contains(&response.head.status) {
            return Err(self.refused(call, response, attempts).await);
        }
        if response.head.status.is_client_error() {
            // A refusal that may say that there was nothing to do.
            let body = std::mem::take(&mut response.body);
            let wire = self.wire();
            let most = response_error::MAX_ERROR_BODY;
            let read = {
                let read = pin!(wire.read_at_once(&response.head.headers, body, most));
                let read = watch(response.permit.as_ref(), read);
                attempts.within(read).await
            };
            let body = match read {
                // It is no registry's then.
                Err(error) if error.kind() == ErrorKind::TooLarge => Bytes::new(),
                other => other?,
            };
            response.body = Body::bytes(body.clone());
            let decoded = operation.decode(&response.head, body);
            return match decoded {
                Err(DecodeError::Status(_)) => Err(self.refused(call, response, attempts).await),
                other => other
                    .map_err(|error| undecodable(&response.head, response.sent.as_ref(), error)),
            };
        }
        // The permit of the response is held until its body is read.
        let Received {
            head,
            body,
            sent,
            permit,
            ..
        } = response;
        // Neither has a body, whatever length the head announces.
        let has_none =
            template.parts.method == Method::HEAD || head.status == StatusCode::NO_CONTENT;
        let body = if has_none {
            Bytes::new()
        } else {
            let read = pin!(self.wire().read(&head.headers, body, call.limit));
            let read = watch(permit.as_ref(), read);
            attempts.within(read).await.map_err(|error| {
                let mask = Mask::of_header(sent.as_ref());
                let id = response_error::request_id(&head.headers, &mask);
                error.with_response(head.status, id, None)
            })?
        };
        let decoded = operation.decode(&head, body);
        decoded.map_err(|error| undecodable(&head, sent.as_ref(), error))
    }

    /// Sends a request of which only the head is served in one piece, until its status is one of
    /// `success`; resolves with the body still to be read.
    pub(crate) async fn open(
        &self,
        call: &Call,
        request: Request<Bytes>,
        success: &[StatusCode],
    ) -> Result<Received, Error> {
        let span = trace::operation(call);
        let mut attempts = self.begin(call);
        let opened = async {
            let template = self.template(request)?;
            loop {
                let failure = match self.send(call, &template, &mut attempts).await {
                    Ok(mut response) if success.contains(&response.head.status) => {
                        attempts.succeeded();
                        // Whoever reads the body takes any time.
                        response.permit = None;
                        return Ok(response);
                    }
                    Ok(response) => self.refused(call, response, &mut attempts).await,
                    Err(failure) => failure,
                };
                let failure = call.own(failure, attempts.requests);
                attempts.retry_or_fail(failure).await?;
            }
        };
        let opened = Box::pin(opened).instrument(span.clone()).await;
        let opened = opened.map_err(|error| call.own(error, 0));
        trace::ended(&span, attempts.requests, opened.as_ref().err());
        opened
    }

    /// A request of an operation as it is sent to the registry.
    pub(crate) fn template(&self, request: Request<Bytes>) -> Result<Template, Error> {
        let (mut parts, body) = request.into_parts();
        parts.uri = self.shared.endpoint.absolute(&parts.uri)?;
        Ok(Template { parts, body })
    }

    /// A list: the operation's own request for its first page, then wherever the pages lead.
    pub(crate) fn list<O, T>(
        &self,
        operation: O,
        page_size: Option<u32>,
        resume: Option<PageToken>,
        convert: impl Fn(O::Output) -> Page<T> + Send + Sync + 'static,
    ) -> Pager<T>
    where
        O: Operation + Send + Sync + 'static,
        O::Output: Send,
        T: Send + 'static,
    {
        let call = self.call(&operation);
        if page_size == Some(0) {
            let error = Error::invalid("the page size is 0; a page must hold an item");
            return Pager::failed(call.own(error, 0));
        }
        if let Some(token) = &resume
            && let Err(error) = self.check_token(&operation.request(), token)
        {
            return Pager::failed(call.own(error, 0));
        }
        let pipeline = self.clone();
        let shared = Arc::new((operation, call, convert));
        Pager::new(move |at| {
            let (pipeline, shared) = (pipeline.clone(), shared.clone());
            Box::pin(async move {
                let (operation, call, convert) = &*shared;
                let mut request = operation.request();
                if let Some(token) = at {
                    let next = pipeline.next_page(request.uri(), &token);
                    *request.uri_mut() = next.map_err(|error| call.own(error, 0))?;
                }
                let output = pipeline.run_with(operation, call, request).await?;
                Ok(convert(output))
            })
        })
        .resumed_at(resume)
    }

    /// Where a token leads from a list whose first page has this path.
    pub(crate) fn next_page(&self, first: &Uri, token: &PageToken) -> Result<Uri, Error> {
        let base = self.shared.endpoint.absolute(first)?;
        self.own_path(&base, "Link", token.as_str())
    }

    /// Refuses a token that leads to another list: it was kept by the caller, not just sent.
    pub(crate) fn check_token(
        &self,
        first: &Request<Bytes>,
        token: &PageToken,
    ) -> Result<(), Error> {
        let plain = |path: &str| path.replace("%2F", "/").replace("%2f", "/");
        let of_this_list = self.next_page(first.uri(), token).is_ok_and(|path| {
            // A proxy may put a prefix before the path.
            plain(path.path()).ends_with(&plain(first.uri().path()))
        });
        if of_this_list {
            Ok(())
        } else {
            Err(Error::invalid(
                "the page token to resume at is not one of this list",
            ))
        }
    }

    /// Builds the error of a response whose status is no success of its operation.
    pub(crate) async fn refused(
        &self,
        call: &Call,
        response: Received,
        attempts: &mut RetryState,
    ) -> Error {
        let Received {
            head,
            body,
            method,
            url,
            sent,
            permit,
        } = response;
        let mask = Mask::of_header(sent.as_ref());
        let wire = self.wire();
        let beginning = pin!(async {
            Ok(wire
                .read_beginning(body, response_error::MAX_ERROR_BODY)
                .await)
        });
        let beginning = watch(permit.as_ref(), beginning);
        let body = attempts.within(beginning).await.unwrap_or_default();
        let missing = if head.status == StatusCode::UNAUTHORIZED {
            Authorizer::missing_scope(&head.headers, &call.scope)
        } else {
            None
        };
        let asked = (&method, &url);
        let error = response_error::error(asked, &head, &body, missing, self.clock().now(), &mask);
        redirect::refused_elsewhere(self.endpoint(), &url, &head, error.kind()).unwrap_or(error)
    }

    /// Resolves a URL that a response named, such as the next page, and refuses one that leads away
    /// from the registry. Returns its path and query.
    pub(crate) fn own_path(&self, base: &Uri, header: &str, target: &str) -> Result<Uri, Error> {
        let url = resolve(base, header, target)?;
        if !self.shared.endpoint.is_origin_of(&url) {
            return Err(Error::protocol(format!(
                "the response's header {header} leads away from the registry, to {}; refused",
                crate::endpoint::origin_text(&url)
            )));
        }
        let uri = to_uri(&url, header)?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        path.parse().map_err(|_| {
            Error::protocol(format!("the response's header {header} is no usable URL"))
        })
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("endpoint", &self.shared.endpoint)
            .field("wire", &self.shared.wire)
            .field("authorizer", &self.shared.authorizer)
            .finish_non_exhaustive()
    }
}

impl Call {
    /// Says in an error what it happened in.
    pub(crate) fn own(&self, error: Error, attempts: u32) -> Error {
        let repository = self.repository.as_ref().map(RepositoryName::as_str);
        error.in_operation(self.name, repository, attempts)
    }
}

impl Template {
    fn build(&self) -> Request<Bytes> {
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = self.parts.method.clone();
        *request.uri_mut() = self.parts.uri.clone();
        *request.headers_mut() = self.parts.headers.clone();
        request
    }
}

/// The error of a response with a good status whose content is nonsense.
pub(crate) fn undecodable(head: &Parts, sent: Option<&HeaderValue>, error: DecodeError) -> Error {
    let mask = Mask::of_header(sent);
    let (kind, text) = match error {
        DecodeError::Digest(mismatch) => (ErrorKind::DigestMismatch, mismatch.to_string()),
        other => (ErrorKind::Protocol, other.to_string()),
    };
    let id = response_error::request_id(&head.headers, &mask);
    Error::new(kind, mask.text(text)).with_response(head.status, id, None)
}
