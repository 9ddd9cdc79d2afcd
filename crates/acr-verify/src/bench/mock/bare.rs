//! A bare hyper server that gives the same bytes as the mock: what HTTP alone costs.

use std::convert::Infallible;
use std::fs;
use std::future::{Ready, ready};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{Once, once};
use http::header::{CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body_util::{Either, Full, StreamBody};
use hyper::body::Frame;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::Result;
use crate::bench::raw_http::parse;

/// The responses that a bare server gives: to paths of `/v2/`, and to all others.
#[derive(Debug)]
struct Responses {
    content: Prepared,
    metadata: Prepared,
}

#[derive(Debug)]
struct Prepared {
    headers: HeaderMap,
    body: Bytes,
    chunked: bool,
}

/// Serves the two responses in the files at a free port, which it prints, until its stdin ends.
///
/// # Errors
/// A file holds no response, or the machine has no port.
pub fn serve(content: &Path, metadata: &Path) -> Result<()> {
    let responses = Arc::new(Responses {
        content: Prepared::read(content)?,
        metadata: Prepared::read(metadata)?,
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("{}", listener.local_addr()?);
        end_with_stdin();
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(connection(stream, responses.clone()));
        }
    })
}

fn end_with_stdin() {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
}

async fn connection(stream: TcpStream, responses: Arc<Responses>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
        let response = match request.uri().path().starts_with("/v2/") {
            true => responses.content.response(),
            false => responses.metadata.response(),
        };
        ready(Ok::<_, Infallible>(response))
    });
    // The settings of the mock's connections.
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_header_size(128 * 1024)
        .max_headers(128)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    // The load ends by closing its connections.
    let _ = connection.await;
}

impl Prepared {
    fn read(file: &Path) -> Result<Self> {
        let response = fs::read(file)?;
        let (headers, body) = parse(&response).ok_or("the file holds no response")?;
        let headers = headers
            .into_iter()
            .map(|(name, value)| Ok((HeaderName::try_from(name)?, HeaderValue::try_from(value)?)))
            .filter(|header| !matches!(header, Ok((name, _)) if [DATE, TRANSFER_ENCODING].contains(name)))
            .collect::<Result<HeaderMap>>()?;
        Ok(Self {
            chunked: !headers.contains_key(CONTENT_LENGTH),
            headers,
            body: body.into(),
        })
    }

    fn response(&self) -> Response<Repeated> {
        let body = self.body.clone();
        let mut response = Response::new(match self.chunked {
            true => Either::Right(StreamBody::new(once(ready(Ok(Frame::data(body)))))),
            false => Either::Left(Full::new(body)),
        });
        *response.headers_mut() = self.headers.clone();
        response
    }
}

/// A body of one piece, whose length may be hidden.
type Repeated = Either<Full<Bytes>, StreamBody<Once<Ready<Result<Frame<Bytes>, Infallible>>>>>;

#[cfg(test)]
mod tests {
    use hyper::body::Body as _;

    use super::*;

    #[test]
    fn the_bare_server_gives_what_it_was_shown() {
        for (framing, body, chunked) in [
            ("content-length: 4", "body", false),
            ("transfer-encoding: chunked", "4\r\nbody\r\n0\r\n\r\n", true),
        ] {
            let shown = format!(
                "HTTP/1.1 200 OK\r\netag: \"x\"\r\ndate: now\r\nlink: a\r\nlink: b\r\n{framing}\r\n\r\n{body}"
            );
            let file = tempfile::NamedTempFile::new().expect("a file");
            fs::write(&file, shown).expect("it is written");
            let prepared = Prepared::read(file.path()).expect("a response");
            let mut expected: HeaderMap = [("etag", "\"x\""), ("link", "a"), ("link", "b")]
                .map(|(name, value)| {
                    (
                        HeaderName::from_static(name),
                        HeaderValue::from_static(value),
                    )
                })
                .into_iter()
                .collect();
            if !chunked {
                expected.insert("content-length", HeaderValue::from(4));
            }
            let response = prepared.response();
            assert_eq!(*response.headers(), expected);
            assert_eq!(
                (prepared.chunked, &prepared.body[..]),
                (chunked, &b"body"[..])
            );
            let length = (!chunked).then_some(4);
            assert_eq!(response.body().size_hint().exact(), length);
        }
    }
}
