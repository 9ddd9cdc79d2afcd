//! [`Serve`]: how the registry carries an operation out, and the way to it from a [`Route`].

use std::pin::Pin;

use acr_protocol::operations::*;
use acr_protocol::{Operation, Route, for_each_operation};
use http::Response;

use crate::Body;
use crate::error::ErrorResponse;
use crate::pause::without_pause;
use crate::registry::Registry;
use crate::request_body::RequestBody;
use crate::request_context::RequestContext;
use crate::response::respond;
use crate::store::Store;

/// What came of an operation.
pub(crate) type Outcome = Result<Response<Body>, ErrorResponse>;

/// An operation as the registry carries it out, once the request may have it.
pub(crate) trait Serve: Operation + Sized + Send {
    /// Whether it needs no body and never pauses. It then does without a future on the heap.
    const IS_IMMEDIATE: bool = false;

    /// What has to be there before the body's form matters, or a malformed parameter is named.
    fn must_exist(&self, _store: &Store) -> Result<(), ErrorResponse> {
        Ok(())
    }

    /// Carries it out. `body` is for the operations that read it themselves; the small ones are in the operation.
    fn serve(
        self,
        registry: &Registry,
        call: &RequestContext,
        body: RequestBody,
    ) -> impl Future<Output = Outcome> + Send;
}

impl Serve for Ping {
    const IS_IMMEDIATE: bool = true;

    async fn serve(self, _: &Registry, _: &RequestContext, _: RequestBody) -> Outcome {
        Ok(respond(&self, &()))
    }
}

/// An operation that was begun. What never waits is done, without a future.
#[expect(
    clippy::large_enum_variant,
    reason = "most requests are served, and a box is what they do without"
)]
enum Served<'a> {
    Now(Outcome),
    Later(Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>),
}

impl<'a> Served<'a> {
    fn begin<O: Serve + 'a>(
        operation: O,
        registry: &'a Registry,
        call: &'a RequestContext,
        body: RequestBody,
    ) -> Self {
        if O::IS_IMMEDIATE {
            let nothing = RequestBody::default();
            return Self::Now(without_pause(operation.serve(registry, call, nothing)));
        }
        Self::Later(Box::pin(operation.serve(registry, call, body)))
    }
}

macro_rules! dispatch {
    ($($name:ident)*) => {
        impl Registry {
            /// Carries an operation out.
            pub(crate) async fn serve(
                &self,
                call: &RequestContext,
                route: Route,
                body: RequestBody,
            ) -> Outcome {
                let served = match route {
                    $(Route::$name(operation) => Served::begin(operation, self, call, body),)*
                };
                match served {
                    Served::Now(outcome) => outcome,
                    Served::Later(work) => work.await,
                }
            }

            /// Checks that what the operation changes or lists is there.
            pub(crate) fn must_exist(&self, route: &Route) -> Result<(), ErrorResponse> {
                match route {
                    $(Route::$name(operation) => operation.must_exist(&self.store()),)*
                }
            }
        }

        /// Whether an operation needs no body and never pauses.
        pub(crate) fn is_immediate(route: &Route) -> bool {
            match route {
                $(Route::$name(_) => $name::IS_IMMEDIATE,)*
            }
        }
    };
}

for_each_operation!(dispatch);
