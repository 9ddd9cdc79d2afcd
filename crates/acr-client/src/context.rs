use acr_protocol::RepositoryName;

use crate::operation_info::OperationInfo;

/// What a request is part of; each request carries one in its extensions.
///
/// A [`Transport`](crate::transport::Transport) reads it to log or count without taking URLs apart:
///
/// ```
/// # use acr_client::transport::{Body, OperationContext};
/// # fn log(request: &http::Request<Body>) {
/// if let Some(context) = request.extensions().get::<OperationContext>() {
///     println!("{} (attempt {})", context.operation(), context.attempt());
/// }
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationContext {
    operation: &'static str,
    repository: Option<RepositoryName>,
    reference: Option<String>,
    attempt: u32,
    is_redirect: bool,
}

impl OperationContext {
    pub(crate) fn new(info: &OperationInfo, attempt: u32) -> Self {
        Self {
            operation: info.name,
            repository: info.repository.clone(),
            reference: info.reference.clone(),
            attempt,
            is_redirect: info.is_redirect,
        }
    }

    /// Returns the name of the operation, such as `get_manifest`.
    #[must_use]
    pub const fn operation(&self) -> &'static str {
        self.operation
    }

    /// Returns the repository that the operation works on, if it works on one.
    #[must_use]
    pub fn repository(&self) -> Option<&str> {
        self.repository.as_ref().map(RepositoryName::as_str)
    }

    /// Returns the tag or digest that the operation works on, if it works on one.
    #[must_use]
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }

    /// Returns how often the operation was tried, this time included; the first attempt is 1.
    ///
    /// It counts as [`RetryOptions`](crate::RetryOptions) do: a request that is repeated with the
    /// token that a challenge asked for, or that follows a redirect, is of the same attempt.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns whether the request goes where the response to another one of the same attempt led.
    #[must_use]
    pub const fn is_redirect(&self) -> bool {
        self.is_redirect
    }
}
