//! The one path to the registry: authorise, send, judge the status, decode, build the error.

use std::fmt;
use std::sync::Arc;

use acr_protocol::{
    DecodeError, Describe, Operation, Page, PageToken, Ping, RepositoryName, ScopeSet,
};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::response::Parts;
use http::{Method, Request, StatusCode, Uri};

use crate::answer;
use crate::auth::{Authorization, Authorizer, Verdict};
use crate::clock::Clock;
use crate::context::OperationContext;
use crate::endpoint::{Endpoint, resolve, to_uri};
use crate::error::{Error, ErrorKind};
use crate::paging::Pager;
use crate::transport::Body;
use crate::wire::Wire;

/// Everything that a client and its handles share.
#[derive(Clone)]
pub(crate) struct Pipeline(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) endpoint: Endpoint,
    pub(crate) wire: Wire,
    pub(crate) authorizer: Authorizer,
    /// The most bytes that a list or a set of properties may have.
    pub(crate) most_of_json: usize,
}

/// What the pipeline needs to know of an operation, apart from its request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) repository: Option<RepositoryName>,
    pub(crate) scope: ScopeSet,
    /// The most bytes of a body that is read whole.
    pub(crate) limit: usize,
}

/// The answer to a call: its head is there, its body is still to be read.
pub(crate) struct Answer {
    pub(crate) head: Parts,
    pub(crate) body: Body,
    /// The URL that answered.
    pub(crate) url: Uri,
    pub(crate) attempts: u32,
}

impl Pipeline {
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.0.wire
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.0.wire.clock
    }

    /// Describes an operation for a call.
    pub(crate) fn call<O: Describe>(&self, operation: &O) -> Call {
        Call {
            name: O::NAME,
            repository: operation.repository().cloned(),
            scope: operation.scope(),
            limit: self.0.most_of_json,
        }
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
        let is_head = request.method() == Method::HEAD;
        let answer = self.send(call, request).await?;
        if !O::SUCCESS.contains(&answer.head.status) {
            return Err(self.refused(call, answer).await);
        }
        let Answer {
            head,
            body,
            attempts,
            ..
        } = answer;
        let body = if is_head {
            Bytes::new()
        } else {
            let read = self.0.wire.read(&head.headers, body, call.limit).await;
            read.map_err(|error| call.own(error, attempts))?
        };
        let decoded = operation.decode(&head, body);
        decoded.map_err(|error| call.own(undecodable(&head, error), attempts))
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
        let base = self.0.endpoint.absolute(first)?;
        self.own_path(&base, "Link", token.as_str())
    }

    /// Refuses a token that leads to another list: it was kept by the caller, not just sent.
    fn check_token(&self, first: &Request<Bytes>, token: &PageToken) -> Result<(), Error> {
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

    /// Sends a request that needs a scope to the registry; resolves at the head of any answer but a
    /// 401 that can be helped.
    pub(crate) async fn send(&self, call: &Call, request: Request<Bytes>) -> Result<Answer, Error> {
        let (mut parts, body) = request.into_parts();
        let mut attempts = 0;
        let sent = async {
            parts.uri = self.0.endpoint.absolute(&parts.uri)?;
            self.attempts(call, &Template { parts, body }, &mut attempts)
                .await
        };
        let sent = Box::pin(sent).await;
        sent.map_err(|error| call.own(error, attempts))
    }

    /// Every attempt at one call.
    ///
    /// One turn of the loop is one request. Each turn is rebuilt from the template, so a policy that
    /// repeats failed requests has its place around `send_once`, and a limiter its place before it;
    /// today a request is repeated for one reason alone, a challenge that was not met yet, and once.
    async fn attempts(
        &self,
        call: &Call,
        template: &Template,
        attempts: &mut u32,
    ) -> Result<Answer, Error> {
        let authorizer = &self.0.authorizer;
        let mut authorization = if template.body.is_empty() || !authorizer.is_unknown() {
            authorizer.authorize(&call.scope).await?
        } else {
            self.ask_first(call).await?
        };
        let mut challenged = false;
        loop {
            *attempts += 1;
            let mut answer = self
                .send_once(call, template, &authorization, *attempts)
                .await?;
            if answer.head.status != StatusCode::UNAUTHORIZED {
                authorizer.went_through(&authorization);
                return Ok(answer);
            }
            if challenged {
                return Ok(answer);
            }
            challenged = true;
            self.drain(&mut answer).await;
            let headers = &answer.head.headers;
            match authorizer
                .answer(headers, &authorization, &call.scope)
                .await?
            {
                Verdict::Retry(better) => authorization = better,
                Verdict::GiveUp => return Ok(answer),
            }
        }
    }

    /// Finds out by a ping what the registry wants, before a body is sent.
    ///
    /// A server may answer a bare request with a large body by a 401 and hang up while the body is
    /// still on its way; then the challenge is lost.
    async fn ask_first(&self, call: &Call) -> Result<Authorization, Error> {
        let (mut parts, body) = Ping.request().into_parts();
        parts.uri = self.0.endpoint.absolute(&parts.uri)?;
        let bare = Authorization::Nothing;
        let template = Template { parts, body };
        let ping = self.call(&Ping);
        let mut answer = self.send_once(&ping, &template, &bare, 1).await?;
        self.drain(&mut answer).await;
        if answer.head.status != StatusCode::UNAUTHORIZED {
            self.0.authorizer.went_through(&bare);
            return Ok(bare);
        }
        let headers = &answer.head.headers;
        let verdict = self.0.authorizer.answer_ping(headers, &call.scope).await?;
        match verdict {
            Verdict::Retry(authorization) => Ok(authorization),
            Verdict::GiveUp => Ok(bare),
        }
    }

    /// Reads the body of an answer of which only the head counts, so that its connection can be
    /// used for the next request. It is a line or two; of a long one the beginning is kept.
    pub(crate) async fn drain(&self, answer: &mut Answer) {
        let body = std::mem::take(&mut answer.body);
        let wire = &self.0.wire;
        let beginning = wire.read_beginning(body, answer::MOST_OF_AN_ERROR);
        answer.body = Body::bytes(beginning.await);
    }

    async fn send_once(
        &self,
        call: &Call,
        template: &Template,
        authorization: &Authorization,
        attempt: u32,
    ) -> Result<Answer, Error> {
        let mut request = template.build();
        if let Some(value) = authorization.header() {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let url = request.uri().clone();
        let repository = call.repository.as_ref().map(ToString::to_string);
        let context = OperationContext::new(call.name, repository, attempt);
        let (head, body) = self.0.wire.send(request, context).await?.into_parts();
        Ok(Answer {
            head,
            body,
            url,
            attempts: attempt,
        })
    }

    /// Sends one more request of a call to another place that an answer named, without credentials.
    pub(crate) async fn send_bare(
        &self,
        call: &Call,
        request: Request<Bytes>,
        attempt: u32,
    ) -> Result<Answer, Error> {
        let (parts, body) = request.into_parts();
        let template = Template { parts, body };
        let sent = self.send_once(call, &template, &Authorization::Nothing, attempt);
        sent.await.map_err(|error| call.own(error, attempt))
    }

    /// Builds the error of an answer whose status is no success of its operation.
    pub(crate) async fn refused(&self, call: &Call, answer: Answer) -> Error {
        let Answer {
            head,
            body,
            attempts,
            ..
        } = answer;
        let body = self.0.wire.read_beginning(body, answer::MOST_OF_AN_ERROR);
        let body = body.await;
        let missing = if head.status == StatusCode::UNAUTHORIZED {
            Authorizer::missing_scope(&head.headers, &call.scope)
        } else {
            None
        };
        call.own(answer::error(&head, &body, missing), attempts)
    }

    /// Resolves a URL that an answer named, such as the next page, and refuses one that leads away
    /// from the registry. Returns its path and query.
    pub(crate) fn own_path(&self, base: &Uri, header: &str, target: &str) -> Result<Uri, Error> {
        let url = resolve(base, header, target)?;
        if !self.0.endpoint.is_origin_of(&url) {
            return Err(Error::protocol(format!(
                "the answer's header {header} leads away from the registry, to {}; refused",
                crate::endpoint::origin_text(&url)
            )));
        }
        let uri = to_uri(&url, header)?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        path.parse()
            .map_err(|_| Error::protocol(format!("the answer's header {header} is no usable URL")))
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("endpoint", &self.0.endpoint)
            .field("wire", &self.0.wire)
            .field("authorizer", &self.0.authorizer)
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

/// A request as it is before each attempt: its body is in memory, so that it can be sent again.
struct Template {
    parts: http::request::Parts,
    body: Bytes,
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

/// The error of an answer with a good status whose content is nonsense.
pub(crate) fn undecodable(head: &Parts, error: DecodeError) -> Error {
    let (kind, text) = match error {
        DecodeError::Digest(mismatch) => (ErrorKind::DigestMismatch, mismatch.to_string()),
        other => (ErrorKind::Protocol, other.to_string()),
    };
    Error::new(kind, text).with_answer(
        head.status,
        answer::request_id(&head.headers),
        answer::retry_after(&head.headers),
    )
}
