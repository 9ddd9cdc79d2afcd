use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use futures_core::Stream;
use futures_util::TryStreamExt as _;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};

use super::{TransportError, TransportErrorKind};
use crate::error::{Error, ErrorKind};

/// The body of a request or response as a [`Transport`](super::Transport) sees it.
///
/// A body is either bytes in memory, which can be sent again, or a stream, which can be sent once.
/// [`Body::try_clone`] tells the two apart; a request is repeated only when it gives a copy.
#[derive(Default)]
pub struct Body(Inner);

enum Inner {
    Full(Bytes),
    /// In a mutex, which is locked to ask for its length alone, so that a body is `Sync`.
    Stream(Mutex<UnsyncBoxBody<Bytes, TransportError>>),
}

impl Body {
    /// Creates a body of no bytes.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Inner::Full(Bytes::new()))
    }

    /// Creates a body of bytes in memory, which can be sent again.
    #[must_use]
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self(Inner::Full(bytes.into()))
    }

    /// Creates a body from any other body, which can be read once.
    ///
    /// An error of the given body that is not a [`TransportError`] becomes one of the kind
    /// [`TransportErrorKind::Interrupted`], with the given one as its source.
    #[must_use]
    pub fn new<B>(body: B) -> Self
    where
        B: HttpBody + Send + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let body = UnsyncBoxBody::new(Adapt(Box::pin(body)));
        Self(Inner::Stream(Mutex::new(body)))
    }

    /// Creates a body from a stream of byte chunks, which can be read once and has no known length.
    #[must_use]
    pub fn stream<S, D, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<D, E>> + Send + 'static,
        D: Buf + 'static,
        E: Into<Box<dyn StdError + Send + Sync>> + 'static,
    {
        Self::new(StreamBody::new(stream.map_ok(Frame::data)))
    }

    /// Returns a copy that can be sent in place of this body, or `None` for a stream.
    ///
    /// A copy shares the bytes; nothing is copied in memory.
    #[must_use]
    pub fn try_clone(&self) -> Option<Self> {
        self.in_memory()
            .map(|bytes| Self(Inner::Full(bytes.clone())))
    }

    /// Returns the bytes of a body that is in memory.
    pub(crate) const fn in_memory(&self) -> Option<&Bytes> {
        match &self.0 {
            Inner::Full(bytes) => Some(bytes),
            Inner::Stream(_) => None,
        }
    }

    /// Reads what is left into memory, at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](ErrorKind::TooLarge) when there is more;
    /// [`Transport`](ErrorKind::Transport) or [`Timeout`](ErrorKind::Timeout) when it breaks or stops
    /// arriving.
    pub async fn read(mut self, limit: usize) -> Result<Bytes, Error> {
        let mut all = BytesMut::new();
        while let Some(frame) = self.frame().await {
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            if data.len() > limit - all.len() {
                return Err(Error::new(
                    ErrorKind::TooLarge,
                    format!("the body is larger than {limit} bytes"),
                ));
            }
            all.extend_from_slice(&data);
        }
        Ok(all.freeze())
    }

    /// Returns the number of bytes still to come, where that is known.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.size_hint().exact()
    }
}

impl Default for Inner {
    fn default() -> Self {
        Self::Full(Bytes::new())
    }
}

impl fmt::Debug for Body {
    /// Says what kind of body it is and how long, never what is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0 {
            Inner::Full(_) => "bytes",
            Inner::Stream(_) => "stream",
        };
        f.debug_struct("Body")
            .field("kind", &kind)
            .field("content_length", &self.content_length())
            .finish()
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        match &mut self.0 {
            Inner::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Inner::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Inner::Stream(body) => {
                let body = body.get_mut().unwrap_or_else(PoisonError::into_inner);
                Pin::new(body).poll_frame(cx)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Full(bytes) => bytes.is_empty(),
            Inner::Stream(body) => locked(body).is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Inner::Stream(body) => locked(body).size_hint(),
        }
    }
}

fn locked<T>(body: &Mutex<T>) -> MutexGuard<'_, T> {
    body.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::bytes(bytes)
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::bytes(bytes)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::bytes(text)
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Self::bytes(bytes)
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::bytes(text)
    }
}

/// Gives any body the data and error types of a [`Body`].
///
/// Not `http_body_util`'s `map_frame`, which forgets the length, and with it `Content-Length`.
struct Adapt<B>(Pin<Box<B>>);

impl<B> HttpBody for Adapt<B>
where
    B: HttpBody,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        self.0.as_mut().poll_frame(cx).map(|frame| {
            Some(match frame? {
                Ok(frame) => Ok(frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))),
                Err(error) => Err(TransportError::from_boxed(
                    TransportErrorKind::Interrupted,
                    error,
                )),
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures_util::stream;

    use super::*;

    async fn read(body: Body) -> Result<Bytes, TransportError> {
        Ok(body.collect().await?.to_bytes())
    }

    #[tokio::test]
    async fn no_more_is_read_than_the_limit() {
        let chunks = || {
            Body::stream(stream::iter(
                ["ab", "cd"].map(|c| Ok::<_, io::Error>(Bytes::from(c))),
            ))
        };
        for body in [chunks, || Body::bytes("abcd")] {
            assert_eq!(body().read(4).await.unwrap(), "abcd");
            let error = body().read(3).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
        }
        let broken = stream::iter([Err::<Bytes, _>(io::Error::other("gone"))]);
        let error = Body::stream(broken).read(9).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
    }

    #[tokio::test]
    async fn bytes_can_be_sent_twice() {
        let body = Body::bytes("layer");
        let copy = body.try_clone().unwrap();
        assert_eq!(copy.content_length(), Some(5));
        assert_eq!(read(body).await.unwrap(), "layer");
        assert_eq!(read(copy).await.unwrap(), "layer");
    }

    #[tokio::test]
    async fn a_stream_can_be_sent_once() {
        let chunks = ["ab", "cd"].map(|c| Ok::<_, io::Error>(Bytes::from(c)));
        let body = Body::stream(stream::iter(chunks));
        assert!(body.try_clone().is_none());
        assert_eq!(body.content_length(), None);
        assert_eq!(read(body).await.unwrap(), "abcd");
    }

    #[test]
    fn another_body_keeps_its_length() {
        let body = Body::new(http_body_util::Full::new(Bytes::from("abc")));
        assert_eq!(body.content_length(), Some(3));
    }

    #[tokio::test]
    async fn an_empty_body_ends_at_once() {
        let body = Body::empty();
        assert!(body.is_end_stream());
        assert_eq!(body.content_length(), Some(0));
        assert_eq!(read(body).await.unwrap(), "");
    }

    #[tokio::test]
    async fn an_error_of_a_stream_is_an_interruption_and_keeps_its_source() {
        let broken = stream::iter([
            Ok(Bytes::from("ab")),
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, "gone")),
        ]);
        let error = read(Body::stream(broken)).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Interrupted);
        assert_eq!(error.source().unwrap().to_string(), "gone");
    }

    #[tokio::test]
    async fn a_transport_error_inside_a_body_stays_as_it_is() {
        let timeout = TransportError::new(TransportErrorKind::Timeout, "too slow");
        let body = Body::stream(stream::iter([Err::<Bytes, _>(timeout)]));
        let error = read(Body::new(body)).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Timeout);
        assert_eq!(error.source().unwrap().to_string(), "too slow");
    }

    #[test]
    fn debug_never_shows_what_is_in_a_body() {
        let text = format!("{:?}", Body::bytes("refresh_token=secret"));
        assert_eq!(text, "Body { kind: \"bytes\", content_length: Some(20) }");
    }
}
