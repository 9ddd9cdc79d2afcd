//! The sink: the shortest registry. It takes uploads without keeping or hashing a byte, and has one blob, which comes out
//! of nowhere.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;

use acr_client::Digest;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, LOCATION, RANGE};
use http::response::Builder;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use super::bytes::{blocks, digest};
use super::place::Place;
use super::servers::{self, Settings};
use super::tls;
use crate::Result;

/// Serves at a free port until stdin ends.
pub(super) fn serve(settings: &Settings) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut place = Place::open(format!("http://{address}"));
        let mut acceptor = None;
        if settings.https {
            let (accepts, pem) = tls::acceptor()?;
            place.endpoint = format!("https://{address}");
            (acceptor, place.ca) = (Some(accepts), Some(pem));
        }
        let blob = Arc::new(Blob {
            size: settings.blob,
            digest: digest(settings.blob),
            tells_digest: settings.tells_digest,
        });
        servers::announce(&place)?;
        std::thread::spawn(servers::end_with_stdin);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            match acceptor.clone() {
                None => drop(tokio::spawn(connection(stream, blob.clone()))),
                Some(acceptor) => {
                    let blob = blob.clone();
                    tokio::spawn(async move {
                        // A client that cannot go on says why itself.
                        if let Ok(stream) = acceptor.accept(stream).await {
                            connection(stream, blob).await;
                        }
                    });
                }
            }
        }
    })
}

/// What there is to download.
#[derive(Debug)]
struct Blob {
    size: u64,
    digest: Digest,
    /// Whether responses name it in `Docker-Content-Digest`.
    tells_digest: bool,
}

type Body = BoxBody<Bytes, Infallible>;

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, blob: Arc<Blob>) {
    let service = service_fn(move |request| respond(request, blob.clone()));
    // A client ends by closing its connections.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn respond(request: Request<Incoming>, blob: Arc<Blob>) -> Result<Response<Body>> {
    let (head, mut body) = request.into_parts();
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        received += frame?.data_ref().map_or(0, |bytes| bytes.len() as u64);
    }
    let path = head.uri.path();
    let is_blob = path.ends_with(blob.digest.as_str());
    let mut response =
        Response::builder().header("Docker-Distribution-Api-Version", "registry/2.0");
    response = match head.method {
        // How much has come is part of the location, so that nothing is kept.
        Method::POST | Method::PATCH => {
            let before = head.uri.query().and_then(|query| query.split_once("at="));
            let before: u64 = before.map_or(Ok(0), |(_, offset)| offset.parse())?;
            let offset = before + received;
            let path = path.trim_end_matches('/').trim_end_matches("/an-upload");
            response
                .status(StatusCode::ACCEPTED)
                .header(LOCATION, format!("{path}/an-upload?at={offset}"))
                .header(RANGE, format!("0-{}", offset.saturating_sub(1)))
        }
        Method::PUT => {
            let query = head.uri.query().unwrap_or_default();
            let named = query.split_once("digest=").map_or("", |(_, digest)| digest);
            let digest = named.replace("%3A", ":");
            response
                .status(StatusCode::CREATED)
                .header(LOCATION, format!("/v2/bench/app/blobs/{digest}"))
                .header("Docker-Content-Digest", digest)
        }
        Method::GET if is_blob => return with_blob(response, &blob),
        Method::HEAD if is_blob => response.header(CONTENT_LENGTH, blob.size),
        Method::GET if path == "/v2/" => response,
        _ => response.status(StatusCode::NOT_FOUND),
    };
    Ok(response.body(Empty::new().boxed())?)
}

fn with_blob(mut response: Builder, blob: &Blob) -> Result<Response<Body>> {
    if blob.tells_digest {
        response = response.header("Docker-Content-Digest", blob.digest.as_str());
    }
    let blocks = blocks(blob.size).map(|block| Ok(Frame::data(block)));
    let body = StreamBody::new(futures_util::stream::iter(blocks));
    Ok(response
        .header(CONTENT_LENGTH, blob.size)
        .body(BoxBody::new(body))?)
}
