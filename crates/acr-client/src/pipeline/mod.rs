//! The one path to the registry: authorise, wait for a turn, send, judge the status, decode, and do it
//! again where that may help.

pub(crate) mod redirect;
mod send;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use acr_clock::Clock;
use acr_protocol::{DecodeError, Operation, Page, PageToken};
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri};
use tracing::Instrument as _;

use crate::auth::Authorizer;
use crate::call_options::CallOptions;
use crate::error::{Error, ErrorKind};
use crate::operation_info::OperationInfo;
use crate::paging::Pager;
use crate::payload::Payload;
use crate::referrers::Kept;
use crate::response::Received;
use crate::response_error::MAX_ERROR_BODY;
use crate::retry::RetryState;
use crate::sender::Sender;
use crate::trace;
use crate::transport::Body;
use crate::url::Endpoint;

/// The way of a client and its handles to the registry.
#[derive(Clone)]
pub(crate) struct Pipeline {
    shared: Arc<Shared>,
    /// Those of the handle.
    options: CallOptions,
}

/// Everything that a client and its handles share.
pub(crate) struct Shared {
    pub(crate) endpoint: Endpoint,
    pub(crate) sender: Sender,
    pub(crate) authorizer: Authorizer,
    /// The most bytes that a list or a set of properties may have.
    pub(crate) max_json_size: usize,
    /// What is known of lists of referrers that clients keep.
    pub(crate) kept_referrers: Kept,
    /// The most bytes of a request of an upload, where the registry refused larger ones.
    pub(crate) largest_request: AtomicU64,
}

impl Pipeline {
    pub(crate) fn new(shared: Shared) -> Self {
        Self {
            shared: Arc::new(shared),
            options: CallOptions::default(),
        }
    }

    /// The same way with other options.
    pub(crate) fn with(&self, options: CallOptions) -> Self {
        Self {
            shared: self.shared.clone(),
            options,
        }
    }

    pub(crate) const fn options(&self) -> &CallOptions {
        &self.options
    }

    pub(crate) fn kept_referrers(&self) -> &Kept {
        &self.shared.kept_referrers
    }

    pub(crate) fn largest_request(&self) -> u64 {
        self.shared.largest_request.load(Ordering::Relaxed)
    }

    /// Remembers for later uploads that the registry takes no larger requests of theirs.
    pub(crate) fn set_largest_request(&self, bytes: u64) {
        self.shared
            .largest_request
            .fetch_min(bytes, Ordering::Relaxed);
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.shared.endpoint
    }

    pub(crate) fn authorizer(&self) -> &Authorizer {
        &self.shared.authorizer
    }

    pub(crate) fn sender(&self) -> &Sender {
        &self.shared.sender
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.shared.sender.clock
    }

    /// Ends the `Debug` output of a handle: what it is a handle to, and as whom.
    pub(crate) fn describe(&self, handle: &mut fmt::DebugStruct<'_, '_>) -> fmt::Result {
        let credential = self.authorizer().credential();
        handle
            .field("endpoint", self.endpoint())
            .field("credential", &format_args!("{credential}"))
            .finish_non_exhaustive()
    }

    /// Describes an operation.
    pub(crate) fn info<O: Operation>(&self, operation: &O) -> OperationInfo {
        OperationInfo::of(operation, self.shared.max_json_size)
    }

    /// Begins the attempts at an operation.
    pub(crate) fn begin(&self, info: &OperationInfo) -> RetryState {
        self.sender().retry.begin(info.repeatable, &self.options)
    }

    /// Begins the attempts at something that is made of several operations.
    pub(crate) fn for_composite(&self) -> RetryState {
        let options = CallOptions {
            wait_for_replication: None,
            ..self.options.clone()
        };
        self.sender().retry.begin(true, &options)
    }

    /// Makes attempts at an operation, in its span, until one succeeds or a failure is final. All errors
    /// of an operation that was begun say what they happened in from here on.
    pub(crate) async fn attempt<T, F>(
        &self,
        info: &OperationInfo,
        attempts: &RetryState,
        once: impl Fn() -> F + Send + Sync,
    ) -> Result<T, Error>
    where
        T: Send,
        F: Future<Output = Result<T, Error>> + Send,
    {
        let span = trace::operation(info);
        let annotate = |error| info.annotate(error, attempts.requests());
        let once = || async { once().await.map_err(annotate) };
        let done = Box::pin(attempts.run(once)).instrument(span.clone()).await;
        trace::ended(&span, attempts.requests(), done.as_ref().err());
        done
    }

    /// Runs an operation: its own request, its own decoder.
    pub(crate) async fn run<O>(&self, operation: &O) -> Result<O::Output, Error>
    where
        O: Operation + Sync,
        O::Output: Send,
    {
        let info = self.info(operation);
        self.run_with(operation, &info, operation.request(), Ok)
            .await
    }

    /// Runs an operation with a request that was made of its own, and a description likewise; what it
    /// brings is judged by `accept`.
    pub(crate) async fn run_with<O, T>(
        &self,
        operation: &O,
        info: &OperationInfo,
        request: Result<Request<impl Into<Payload> + Send>, impl Into<Error> + Send>,
        accept: impl Fn(O::Output) -> Result<T, Error> + Send + Sync,
    ) -> Result<T, Error>
    where
        O: Operation + Sync,
        O::Output: Send,
        T: Send,
    {
        let request = self.absolute(info, request)?;
        let attempts = self.begin(info);
        let once = || async { accept(self.once(operation, info, &request, &attempts).await?) };
        self.attempt(info, &attempts, once).await
    }

    async fn once<O>(
        &self,
        operation: &O,
        info: &OperationInfo,
        request: &Request<Payload>,
        attempts: &RetryState,
    ) -> Result<O::Output, Error>
    where
        O: Operation + Sync,
        O::Output: Send,
    {
        let sender = self.sender();
        let mut response = self.send(info, request, attempts).await?;
        let status = response.head.status;
        if !O::SPEC.success.contains(&status) {
            return Err(sender.refused(info, response, attempts).await);
        }
        if status.is_client_error() {
            // A refusal that may say that there was nothing to do.
            let read = sender.read_at_once(&mut response, MAX_ERROR_BODY, attempts);
            let body = match read.await {
                // It is not a registry's then.
                Err(error) if error.kind() == ErrorKind::TooLarge => Bytes::new(),
                other => other?,
            };
            response.body = Body::bytes(body.clone());
            return match operation.read(&response.head, body) {
                Err(DecodeError::Status(_)) => Err(sender.refused(info, response, attempts).await),
                other => other.map_err(|error| response.undecodable(error)),
            };
        }
        // Neither has a body, whatever length the head announces.
        let body = if request.method() == Method::HEAD || status == StatusCode::NO_CONTENT {
            Bytes::new()
        } else {
            let read = sender.read(&mut response, info.limit, attempts).await;
            read.map_err(|error| response.annotate(error))?
        };
        let decoded = operation.read(&response.head, body);
        decoded.map_err(|error| response.undecodable(error))
    }

    /// Sends a request of whose response only the head is read at once, until its status is one of
    /// `success`; resolves with what `accept` makes of the response, whose body is still to be read.
    pub(crate) async fn open<T: Send>(
        &self,
        info: &OperationInfo,
        request: Result<Request<Bytes>, impl Into<Error> + Send>,
        success: &[StatusCode],
        accept: impl Fn(Received) -> Result<T, Error> + Send + Sync,
    ) -> Result<T, Error> {
        let attempts = self.begin(info);
        self.open_within(info, request, success, accept, &attempts)
            .await
    }

    /// The same within attempts that were begun before.
    pub(crate) async fn open_within<T: Send>(
        &self,
        info: &OperationInfo,
        request: Result<Request<Bytes>, impl Into<Error> + Send>,
        success: &[StatusCode],
        accept: impl Fn(Received) -> Result<T, Error> + Send + Sync,
        attempts: &RetryState,
    ) -> Result<T, Error> {
        let request = self.absolute(info, request)?;
        let once = || async {
            let mut response = self.send(info, &request, attempts).await?;
            if !success.contains(&response.head.status) {
                return Err(self.sender().refused(info, response, attempts).await);
            }
            // Whoever reads the body takes any time.
            response.permit = None;
            accept(response)
        };
        self.attempt(info, attempts, once).await
    }

    /// A request as it is sent to the registry.
    pub(crate) fn absolute(
        &self,
        info: &OperationInfo,
        request: Result<Request<impl Into<Payload>>, impl Into<Error>>,
    ) -> Result<Request<Payload>, Error> {
        let absolute = request.map_err(Into::into).and_then(|request| {
            let mut request = request.map(Into::into);
            *request.uri_mut() = self.shared.endpoint.absolute(request.uri())?;
            Ok(request)
        });
        absolute.map_err(|error| info.annotate(error, 0))
    }

    /// A list: the operation's own request for its first page, then wherever the pages lead.
    pub(crate) fn list<O, T>(
        &self,
        operation: O,
        resume: Option<PageToken>,
        convert: impl Fn(O::Output) -> Page<T> + Send + Sync + 'static,
    ) -> Pager<T>
    where
        O: Operation + Send + Sync + 'static,
        O::Output: Send,
        T: Send + 'static,
    {
        let info = self.info(&operation);
        if let Some(token) = &resume
            && let Err(error) = self.check_token(&operation, token)
        {
            return Pager::failed(info.annotate(error, 0));
        }
        let pipeline = self.clone();
        let shared = Arc::new((operation, info, convert));
        Pager::new(move |at| {
            let (pipeline, shared) = (pipeline.clone(), shared.clone());
            Box::pin(async move {
                let (operation, info, convert) = &*shared;
                let request = pipeline.page_request(operation, at);
                let convert = |output| Ok(convert(output));
                pipeline.run_with(operation, info, request, convert).await
            })
        })
        .resumed_at(resume)
    }

    /// The request for the page of a list that a token leads to, or for the first one.
    pub(crate) fn page_request(
        &self,
        list: &impl Operation,
        at: Option<PageToken>,
    ) -> Result<Request<Bytes>, Error> {
        let mut request = list.request()?;
        if let Some(token) = at {
            *request.uri_mut() = self.next_page(request.uri(), &token)?;
        }
        Ok(request)
    }

    /// Where a token leads from a list whose first page has this path.
    fn next_page(&self, first: &Uri, token: &PageToken) -> Result<Uri, Error> {
        let base = self.shared.endpoint.absolute(first)?;
        self.shared.endpoint.own_path(&base, "Link", token.as_str())
    }

    /// Refuses a token that leads to another list: it was kept by the caller, not just sent.
    pub(crate) fn check_token(
        &self,
        list: &impl Operation,
        token: &PageToken,
    ) -> Result<(), Error> {
        let first = list.request()?;
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
}
