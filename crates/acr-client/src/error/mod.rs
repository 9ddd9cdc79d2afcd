//! The one error of this crate.

pub(crate) mod cause;
mod convert;
mod kind;
pub(crate) mod transport;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use acr_protocol::{ErrorCode, RegistryError, one_line};
use http::StatusCode;

pub use self::kind::{Advice, ErrorKind};
pub(crate) use self::kind::{is_absence, is_transient};
pub(crate) use self::transport::decisive;
pub use self::transport::{TransportError, TransportErrorKind};

/// Why an operation failed.
///
/// [`kind`](Self::kind) is what a program acts on, [`advice`](Self::advice) what it can do. The
/// text is one line and names what decided it: the host that is not known, the certificate that is not
/// trusted; [`source`](StdError::source) has all of the causes, where there are any. An error of this
/// type inside another one, such as the [`std::io::Error`] of a reader that an upload reads from, keeps
/// its kind, code, status and advice on its way out. An error is one word wide and cheap to clone. It never holds a credential, a
/// token or the query of a URL.
///
/// ```
/// use acr_client::{Error, ErrorKind};
///
/// fn is_locked(error: &Error) -> bool {
///     error.kind() == ErrorKind::Disallowed
/// }
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    operation: Option<&'static str>,
    repository: Option<String>,
    reference: Option<String>,
    status: Option<StatusCode>,
    errors: Vec<RegistryError>,
    request_id: Option<String>,
    retry_after: Option<Duration>,
    missing_scope: Option<String>,
    attempts: u32,
    /// Whether the server has certainly not done what it was asked to.
    not_sent: bool,
    deadline_exceeded: bool,
    /// Whether what a redirect led to refused its URL, which the next redirect replaces.
    is_of_redirect_url: bool,
    /// Whether it was the source of what is sent that failed, and not who it is sent to.
    is_of_source: bool,
    /// What can be done, where that is not said by the kind and the response.
    advice: Option<Advice>,
    /// Whether what failed inside was tried again already, as often as it may be.
    is_tried_inside: bool,
    /// How often it was tried, and why not again; 0 and empty while that is open.
    tries: u32,
    why_final: &'static str,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Returns what went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns what can be done about it.
    #[must_use]
    pub fn advice(&self) -> Advice {
        let of_kind = || self.0.kind.advice(self.0.status, self.code());
        self.0.advice.unwrap_or_else(of_kind)
    }

    /// Returns whether the same call may succeed later, which is [`Advice::RetryAfter`].
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.advice() == Advice::RetryAfter
    }

    /// Returns the status of the response, if the error comes from one.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// Returns the code of the first error in the registry's response, if it had one.
    #[must_use]
    pub fn code(&self) -> Option<&ErrorCode> {
        self.0.errors.first().map(|error| &error.code)
    }

    /// Returns all errors in the registry's response: one for each missing blob of a manifest, say.
    ///
    /// Empty where the response had none in a form that can be read, and where there was no response.
    #[must_use]
    pub fn registry_errors(&self) -> &[RegistryError] {
        &self.0.errors
    }

    /// Returns the id by which the service's operators find the request: the response's
    /// `X-Ms-Correlation-Request-Id`.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// Returns the name of the operation, such as `get_manifest`, if one was begun.
    ///
    /// It is that of the step that failed: of [`upload_blob`](crate::RepositoryClient::upload_blob) a
    /// `start_upload`, `upload_chunk` or `complete_upload`, of
    /// [`download_blob`](crate::RepositoryClient::download_blob) `get_blob`.
    #[must_use]
    pub fn operation(&self) -> Option<&'static str> {
        self.0.operation
    }

    /// Returns the repository that the operation works on, if it works on one.
    #[must_use]
    pub fn repository(&self) -> Option<&str> {
        self.0.repository.as_deref()
    }

    /// Returns the tag or digest that the operation works on, if it works on one.
    #[must_use]
    pub fn reference(&self) -> Option<&str> {
        self.0.reference.as_deref()
    }

    /// Returns the permission that the identity lacks, such as `repository:app:delete`, where the
    /// registry named it.
    #[must_use]
    pub fn missing_scope(&self) -> Option<&str> {
        self.0.missing_scope.as_deref()
    }

    /// Returns how long the registry asks to wait before the next try, if it says.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns how many requests the operation sent before it gave up, repetitions included; 0 if it
    /// sent none.
    ///
    /// Requests for tokens are not counted.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: fit(message.into()),
            operation: None,
            repository: None,
            reference: None,
            status: None,
            errors: Vec::new(),
            request_id: None,
            retry_after: None,
            missing_scope: None,
            attempts: 0,
            not_sent: false,
            deadline_exceeded: false,
            is_of_redirect_url: false,
            is_of_source: false,
            advice: None,
            is_tried_inside: false,
            tries: 0,
            why_final: "",
            source: None,
        }))
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    pub(crate) fn protocol(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Protocol, message)
    }

    pub(crate) fn with_source(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let source: Box<dyn StdError + Send + Sync> = source.into();
        self.edit(|inner| inner.source = Some(source.into()))
    }

    /// The error of what a foreign error stopped: of the given kind, or of that of an error of this
    /// type further inside, whose advice it keeps too.
    pub(crate) fn of_foreign(
        kind: ErrorKind,
        what: impl fmt::Display,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        let source: Box<dyn StdError + Send + Sync> = source.into();
        let own = match cause::find::<Self>(source.as_ref()) {
            Some(inner) => Self::new(inner.kind(), format!("{what}: {inner}")).inheriting(inner),
            None => Self::new(kind, format!("{what}: {}", decisive(source.as_ref()))),
        };
        own.with_source(source)
    }

    /// The error of a source of tokens. Its kind stays that of a credential, whatever led to it: what the
    /// source did not find is nothing that the registry does not have. What may heal there may heal here.
    pub(crate) fn of_credential(
        what: impl fmt::Display,
        source: Box<dyn StdError + Send + Sync>,
    ) -> Self {
        let text = format!("{what}: {}", decisive(source.as_ref()));
        let mut own = Self::new(ErrorKind::Credential, text);
        if let Some(inner) = cause::find::<Self>(source.as_ref()).filter(|e| e.is_retryable()) {
            let (retry_after, is_tried_inside) = (inner.retry_after(), inner.is_final());
            own = own.edit(|own| {
                own.advice = Some(Advice::RetryAfter);
                own.retry_after = retry_after;
                own.is_tried_inside = is_tried_inside;
            });
        }
        own.with_source(source)
    }

    /// Takes over what another error, which led to this one, says besides its kind and its text.
    pub(crate) fn inheriting(self, inner: &Self) -> Self {
        let advice = Some(inner.advice());
        let is_tried_inside = inner.is_final();
        let from = &*inner.0;
        self.edit(|own| {
            own.advice = advice;
            own.is_tried_inside = is_tried_inside;
            own.status = from.status;
            own.errors.clone_from(&from.errors);
            own.request_id.clone_from(&from.request_id);
            own.retry_after = from.retry_after;
            own.missing_scope.clone_from(&from.missing_scope);
        })
    }

    pub(crate) fn with_response(
        self,
        status: StatusCode,
        request_id: Option<String>,
        retry_after: Option<Duration>,
    ) -> Self {
        self.edit(|inner| {
            inner.status = Some(status);
            inner.request_id = request_id;
            inner.retry_after = retry_after;
        })
    }

    /// Says what led to it, unless it has a cause of its own.
    pub(crate) fn caused_by(self, earlier: Self) -> Self {
        if self.0.source.is_some() {
            return self;
        }
        self.with_source(earlier)
    }

    pub(crate) fn with_registry_errors(self, errors: Vec<RegistryError>) -> Self {
        self.edit(|inner| inner.errors = errors)
    }

    pub(crate) fn with_missing_scope(self, scope: Option<String>) -> Self {
        self.edit(|inner| inner.missing_scope = scope)
    }

    /// Says what the error happened in; an operation named further inside stays.
    pub(crate) fn in_operation(
        self,
        operation: &'static str,
        repository: Option<&str>,
        reference: Option<&str>,
        attempts: u32,
    ) -> Self {
        self.edit(|inner| {
            inner.attempts = inner.attempts.max(attempts);
            if inner.operation.is_none() {
                inner.operation = Some(operation);
                inner.repository = repository.map(str::to_owned);
                inner.reference = reference.map(str::to_owned);
            }
        })
    }

    /// What it says, without what it happened in.
    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    pub(crate) fn with_message(self, message: String) -> Self {
        self.edit(|inner| inner.message = fit(message))
    }

    /// The server has not seen the request, or has refused to look at it.
    pub(crate) fn not_sent(self) -> Self {
        self.edit(|inner| inner.not_sent = true)
    }

    /// Whether what changes something may be sent again, because it has changed nothing yet.
    pub(crate) fn was_not_carried_out(&self) -> bool {
        self.0.not_sent || self.0.kind == ErrorKind::Throttled
    }

    /// Another try would end the same way.
    pub(crate) fn permanent(self) -> Self {
        self.edit(|inner| inner.advice = Some(Advice::Never))
    }

    /// There is no time left for the operation.
    pub(crate) fn deadline_exceeded(self) -> Self {
        self.edit(|inner| inner.deadline_exceeded = true)
    }

    /// What a redirect led to refuses its URL; the next redirect has a new one.
    pub(crate) fn of_redirect_url(self) -> Self {
        self.edit(|inner| inner.is_of_redirect_url = true)
    }

    pub(crate) fn is_of_redirect_url(&self) -> bool {
        self.0.is_of_redirect_url
    }

    /// The source of what is sent has failed: a status and an advice that it brings along are of another call.
    pub(crate) fn of_source(self) -> Self {
        self.edit(|inner| inner.is_of_source = true)
    }

    pub(crate) fn is_of_source(&self) -> bool {
        self.0.is_of_source
    }

    pub(crate) fn is_past_deadline(&self) -> bool {
        self.0.deadline_exceeded
    }

    /// Says how often the operation was tried, and why it is not tried again; what was said further
    /// inside, of a request for a token, stays.
    pub(crate) fn after(self, tries: u32, why: &'static str) -> Self {
        self.edit(|inner| {
            if inner.tries == 0 {
                inner.tries = tries;
                inner.why_final = why;
            }
        })
    }

    /// Whether it was tried as often as it may be already.
    pub(crate) fn is_final(&self) -> bool {
        self.0.tries > 0 || self.0.is_tried_inside
    }

    /// The error of a part of the work, which may be gone on with in another way.
    pub(crate) fn into_part(self) -> Self {
        self.edit(|inner| {
            inner.tries = 0;
            inner.why_final = "";
            inner.is_tried_inside = false;
        })
    }

    /// Whether it is of a response to the call itself. One that came from further inside, from a transport
    /// that makes calls of its own, says nothing about what the call was for.
    pub(crate) fn is_own(&self) -> bool {
        self.0.source.is_none()
    }

    /// Whether the registry says that what was asked for is not there: by a code, or as a `HEAD` does.
    pub(crate) fn tells_absence(&self) -> bool {
        self.0.kind == ErrorKind::NotFound && self.is_own() && self.code().is_none_or(is_absence)
    }

    fn edit(mut self, edit: impl FnOnce(&mut Inner)) -> Self {
        edit(Arc::make_mut(&mut self.0));
        self
    }
}

/// A message in one line that is read as it stands, whoever has written it.
fn fit(message: String) -> String {
    match one_line(&message) {
        std::borrow::Cow::Borrowed(_) => message,
        std::borrow::Cow::Owned(fit) => fit,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        if let Some(operation) = inner.operation {
            f.write_str(operation)?;
            if let Some(repository) = &inner.repository {
                write!(f, " {repository}")?;
            }
            if let Some(reference) = &inner.reference {
                let separator = if reference.contains(':') { '@' } else { ':' };
                write!(f, "{separator}{reference}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&inner.message)?;
        match (inner.tries, inner.why_final) {
            (0 | 1, "") => Ok(()),
            (tries, "") => write!(f, " (tried {tries} times)"),
            (1, why) => write!(f, " (not tried again: {why})"),
            (tries, why) => write!(f, " (tried {tries} times, not again: {why})"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        let mut text = f.debug_struct("Error");
        text.field("kind", &inner.kind)
            .field("message", &inner.message);
        if let Some(operation) = inner.operation {
            text.field("operation", &operation);
        }
        for (name, value) in [
            ("repository", &inner.repository),
            ("reference", &inner.reference),
            ("request_id", &inner.request_id),
            ("missing_scope", &inner.missing_scope),
        ] {
            if let Some(value) = value {
                text.field(name, value);
            }
        }
        if let Some(status) = inner.status {
            text.field("status", &status);
        }
        if !inner.errors.is_empty() {
            text.field("registry_errors", &inner.errors);
        }
        if let Some(source) = &inner.source {
            text.field("source", source);
        }
        text.field("attempts", &inner.attempts).finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_ref()
            .map(|source| source.as_ref() as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn the_text_says_what_happened_to_what_and_leaves_the_cause_to_the_source() {
        let error = Error::new(ErrorKind::Transport, "the connection broke")
            .with_source(io::Error::other("reset"))
            .in_operation("get_manifest", Some("app"), Some("v1"), 1);
        assert_eq!(
            error.to_string(),
            "get_manifest app:v1: the connection broke"
        );
        assert_eq!(error.source().unwrap().to_string(), "reset");
        assert_eq!(error.attempts(), 1);
        assert_eq!(error.reference(), Some("v1"));
    }

    #[test]
    fn what_was_named_further_inside_stays() {
        let error = Error::protocol("nonsense")
            .in_operation("head_manifest", Some("a"), Some("v1"), 2)
            .in_operation("delete_manifest", Some("b"), Some("v2"), 1);
        assert_eq!(error.to_string(), "head_manifest a:v1: nonsense");
        assert_eq!(error.attempts(), 2);
    }

    #[test]
    fn the_text_says_how_often_it_was_tried_and_why_not_again() {
        let error = || Error::new(ErrorKind::Registry, "503 Service Unavailable");
        for (tries, why, text) in [
            (1, "", "503 Service Unavailable"),
            (5, "", "503 Service Unavailable (tried 5 times)"),
            (1, "late", "503 Service Unavailable (not tried again: late)"),
            (
                2,
                "late",
                "503 Service Unavailable (tried 2 times, not again: late)",
            ),
        ] {
            assert_eq!(error().after(tries, why).after(9, "x").to_string(), text);
        }
    }

    #[test]
    fn an_error_is_one_word_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn a_clone_is_not_changed_by_what_the_other_one_learns() {
        let error = Error::protocol("nonsense");
        let shared = error.clone();
        let told = error.in_operation("ping", None, None, 1);
        assert_eq!(shared.operation(), None);
        assert_eq!(told.operation(), Some("ping"));
    }
}
