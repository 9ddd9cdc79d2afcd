use std::any::type_name;
use std::error::Error as StdError;
use std::fmt;

use async_trait::async_trait;
use http::{Request, Response};
use http_body::Body as HttpBody;

use super::{Body, Transport, TransportError, TransportErrorKind};

/// Makes a transport of a function from a request to a future of a response.
///
/// The future's output is a [`Response`] with any body, or a `Result` of one. So a registry in the
/// same process, which gives such a function, is joined in one line:
///
/// ```
/// # use http::{Request, Response};
/// # #[derive(Clone)] struct Registry;
/// # impl Registry {
/// #     fn handler<B>(&self) -> impl Fn(Request<B>) -> std::future::Ready<Response<String>> + use<B> {
/// #         |_| std::future::ready(Response::new("{}".to_owned()))
/// #     }
/// # }
/// # let registry = Registry;
/// use acr_client::transport::from_fn;
///
/// let transport = from_fn(registry.handler());
/// ```
pub fn from_fn<F, Fut>(f: F) -> FromFn<F>
where
    F: Fn(Request<Body>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoTransportResult> + Send + 'static,
{
    FromFn(f)
}

/// The transport that [`from_fn`] makes.
#[derive(Clone, Copy)]
pub struct FromFn<F>(F);

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FromFn").field(&type_name::<F>()).finish()
    }
}

#[async_trait]
impl<F, Fut> Transport for FromFn<F>
where
    F: Fn(Request<Body>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoTransportResult> + Send + 'static,
{
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let response = (self.0)(request);
        response.await.into_transport_result()
    }
}

/// What the function given to [`from_fn`] may resolve to: a [`Response`] with any body, or a
/// `Result` of one.
///
/// An error that is not a [`TransportError`] becomes one of the kind
/// [`TransportErrorKind::Interrupted`], since nobody knows whether the server has seen the request.
/// The trait is sealed.
pub trait IntoTransportResult: sealed::Sealed {
    /// Converts into what a transport returns.
    ///
    /// # Errors
    ///
    /// When the value is one.
    fn into_transport_result(self) -> Result<Response<Body>, TransportError>;
}

impl<B> IntoTransportResult for Response<B>
where
    B: HttpBody + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    fn into_transport_result(self) -> Result<Response<Body>, TransportError> {
        Ok(self.map(Body::new))
    }
}

impl<B, E> IntoTransportResult for Result<Response<B>, E>
where
    B: HttpBody + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    fn into_transport_result(self) -> Result<Response<Body>, TransportError> {
        match self {
            Ok(response) => response.into_transport_result(),
            Err(error) => Err(TransportError::from_boxed(
                TransportErrorKind::Interrupted,
                error,
            )),
        }
    }
}

mod sealed {
    #[expect(
        unnameable_types,
        reason = "nobody else can implement what nobody else can name"
    )]
    pub trait Sealed {}

    impl<B> Sealed for http::Response<B> {}
    impl<B, E> Sealed for Result<http::Response<B>, E> {}
}

#[cfg(test)]
mod tests {
    use std::io;

    use http::StatusCode;

    use super::*;

    fn request() -> Request<Body> {
        Request::get("https://registry.example/v2/")
            .body(Body::empty())
            .unwrap()
    }

    #[tokio::test]
    async fn a_plain_response_is_a_response() {
        let transport = from_fn(|request: Request<Body>| {
            let text = request.uri().to_string();
            async move { Response::new(text) }
        });
        let response = transport.send(request()).await.unwrap();
        let body = response.into_body().read(1 << 20).await.unwrap();
        assert_eq!(body, "https://registry.example/v2/");
    }

    #[tokio::test]
    async fn a_result_is_a_response_or_an_error() {
        let transport = from_fn(|_| async {
            Response::builder()
                .status(StatusCode::NOT_FOUND)
                .body(String::new())
        });
        let response = transport.send(request()).await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);

        let broken =
            from_fn(|_| async { Err::<Response<String>, _>(io::Error::other("no route")) });
        let error = broken.send(request()).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Interrupted);
        assert_eq!(error.source().unwrap().to_string(), "no route");
    }

    #[tokio::test]
    async fn a_transport_error_keeps_its_kind() {
        let broken = from_fn(|_| async {
            let error = TransportError::new(TransportErrorKind::Connect, "refused");
            Err::<Response<String>, _>(error)
        });
        let error = broken.send(request()).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Connect);
    }

    #[test]
    fn debug_names_the_function() {
        let transport = from_fn(|_| async { Response::new(String::new()) });
        assert!(format!("{transport:?}").starts_with("FromFn(\"acr_client::transport::from_fn"));
    }
}
