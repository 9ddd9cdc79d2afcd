use std::sync::Arc;
use std::time::Duration;

use acr_protocol::OperationClass;
use http::{HeaderMap, StatusCode};

use crate::clock::Clock;

/// Options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimiterOptions {
    /// Whether.
    pub enabled: bool,
}

impl Default for LimiterOptions {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl LimiterOptions {
    /// Off.
    #[must_use]
    pub fn off() -> Self {
        Self { enabled: false }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Limiter;

#[derive(Debug)]
pub(crate) struct Permit;

impl Limiter {
    pub(crate) fn new(_: Arc<dyn Clock>, _: LimiterOptions) -> Self {
        Self
    }
    pub(crate) async fn admit(&self, _: OperationClass) -> Permit {
        Permit
    }
    pub(crate) fn learn(&self, _: &Permit, _: StatusCode, _: &HeaderMap, _: Option<Duration>) {}
}

impl Permit {
    pub(crate) fn waited(&self) -> Duration {
        Duration::ZERO
    }
}
