/// What a request is part of; each request carries one in its extensions.
///
/// A [`Transport`](crate::Transport) reads it to log or count without taking URLs apart:
///
/// ```
/// # use acr_client::{OperationContext, transport::Body};
/// # fn log(request: &http::Request<Body>) {
/// if let Some(context) = request.extensions().get::<OperationContext>() {
///     println!("{} (attempt {})", context.operation(), context.attempt());
/// }
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationContext {
    operation: &'static str,
    repository: Option<String>,
    attempt: u32,
}

impl OperationContext {
    pub(crate) const fn new(
        operation: &'static str,
        repository: Option<String>,
        attempt: u32,
    ) -> Self {
        Self {
            operation,
            repository,
            attempt,
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
        self.repository.as_deref()
    }

    /// Returns how often the operation was tried, this time included; the first attempt is 1.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }
}
