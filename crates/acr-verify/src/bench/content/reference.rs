//! The reference: the shortest client of hyper that does the work. What it needs nobody can save.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::thread;

use acr_client::Digest;
use bytes::Bytes;
use futures_util::stream::poll_fn;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION};
use http::{Method, Request, Response, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::bytes::{BLOCK, text};
use super::place::{Place, REPOSITORY};
use super::tls;
use crate::Result;

/// How many pieces lie between two threads.
const PIECES: usize = 2;

/// Hashes a file and does nothing else.
pub(super) fn hash(file: &Path) -> Result<Digest> {
    let mut hash = Sha256::new();
    read(file, |piece| {
        hash.update(&piece);
        true
    })?;
    Ok(text(hash))
}

/// Uploads a file in one `PATCH`, whose body comes from a thread that reads and hashes.
pub(super) async fn upload(place: &Place, file: &Path) -> Result<()> {
    let length = file.metadata()?.len();
    let mut registry = Connection::open(place, &place.endpoint).await?;
    let start = format!("/v2/{REPOSITORY}/blobs/uploads/");
    let started = registry.send(Method::POST, &start, None).await?;
    let (sender, mut pieces) = mpsc::channel(PIECES);
    let file = file.to_owned();
    let hashing = thread::spawn(move || {
        let mut hash = Sha256::new();
        let send = |piece: Bytes| {
            hash.update(&piece);
            sender.blocking_send(piece).is_ok()
        };
        read(&file, send).map(|()| hash)
    });
    let pieces = poll_fn(move |cx| {
        let piece = pieces.poll_recv(cx);
        piece.map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    });
    let body = (length, StreamBody::new(pieces).boxed());
    let location = path(&started)?;
    let sent = registry.send(Method::PATCH, &location, Some(body)).await?;
    let hash = hashing.join().map_err(|_| "the hash panicked")??;
    let location = path(&sent)?;
    let separator = if location.contains('?') { '&' } else { '?' };
    let end = format!("{location}{separator}digest={}", text(hash));
    registry.send(Method::PUT, &end, None).await.map(drop)
}

/// Downloads a blob and hashes it.
pub(super) async fn download(place: &Place, digest: &Digest) -> Result<()> {
    let mut body = open(place, digest).await?;
    let mut hash = Sha256::new();
    while let Some(bytes) = next(&mut body).await? {
        hash.update(&bytes);
    }
    compare(hash, digest)
}

/// Downloads a blob, hashes it, and has it written by a thread; ends as `save` does, with both file and folder synced.
pub(super) async fn save(place: &Place, digest: &Digest, target: &Path) -> Result<()> {
    let mut body = open(place, digest).await?;
    let mut hash = Sha256::new();
    let (sender, mut pieces) = mpsc::channel::<Bytes>(PIECES);
    let partial = target.with_extension("partial");
    let mut file = File::create(&partial)?;
    let writing = thread::spawn(move || {
        while let Some(piece) = pieces.blocking_recv() {
            file.write_all(&piece)?;
        }
        file.sync_all()
    });
    while let Some(bytes) = next(&mut body).await? {
        sender.send(bytes.clone()).await?;
        hash.update(&bytes);
    }
    drop(sender);
    writing.join().map_err(|_| "the writer panicked")??;
    compare(hash, digest)?;
    std::fs::rename(partial, target)?;
    let folder = target.parent().ok_or("the file is in no folder")?;
    Ok(File::open(folder)?.sync_all()?)
}

/// Reads a file piece by piece, until `piece` wants no more of them.
fn read(file: &Path, mut piece: impl FnMut(Bytes) -> bool) -> io::Result<()> {
    let file = File::open(file)?;
    loop {
        let mut bytes = Vec::with_capacity(BLOCK as usize);
        (&file).take(BLOCK).read_to_end(&mut bytes)?;
        if bytes.is_empty() || !piece(bytes.into()) {
            return Ok(());
        }
    }
}

/// Asks for a blob, and follows the redirect to where it is kept.
async fn open(place: &Place, digest: &Digest) -> Result<Incoming> {
    let get = format!("/v2/{REPOSITORY}/blobs/{digest}");
    let mut registry = Connection::open(place, &place.endpoint).await?;
    let response = registry.send(Method::GET, &get, None).await?;
    if !response.status().is_redirection() {
        return Ok(response.into_body());
    }
    let url = location(&response)?;
    let mut storage = Connection::open(place, url).await?;
    storage.token = None;
    let path = url
        .parse::<Uri>()?
        .path_and_query()
        .map(ToString::to_string);
    let path = path.ok_or("the redirect has no path")?;
    Ok(storage.send(Method::GET, &path, None).await?.into_body())
}

async fn next(body: &mut Incoming) -> Result<Option<Bytes>> {
    match body.frame().await {
        None => Ok(None),
        Some(frame) => Ok(Some(frame?.into_data().unwrap_or_default())),
    }
}

fn compare(hash: Sha256, digest: &Digest) -> Result<()> {
    match text(hash) {
        hash if hash == *digest => Ok(()),
        hash => Err(format!("{hash} came, not {digest}").into()),
    }
}

fn location(response: &Response<Incoming>) -> Result<&str> {
    let location = response.headers().get(LOCATION);
    Ok(location.ok_or("the response has no Location")?.to_str()?)
}

/// The path in `Location`, with its query.
fn path(response: &Response<Incoming>) -> Result<String> {
    let location = location(response)?.parse::<Uri>()?;
    Ok(location.path_and_query().ok_or("no path")?.to_string())
}

type Body = BoxBody<Bytes, std::convert::Infallible>;

/// A connection to one server.
struct Connection {
    sender: SendRequest<Body>,
    host: String,
    token: Option<String>,
}

impl Connection {
    /// Opens one to the server that this URL names.
    async fn open(place: &Place, url: &str) -> Result<Self> {
        let host = url.parse::<Uri>()?.authority().map(ToString::to_string);
        let host = host.ok_or("the URL has no host")?;
        let stream = TcpStream::connect(&host).await?;
        stream.set_nodelay(true)?;
        let sender = match &place.ca {
            None => over(stream).await?,
            Some(pem) => {
                let name = rustls::pki_types::ServerName::try_from("127.0.0.1")?;
                over(tls::connector(pem)?.connect(name, stream).await?).await?
            }
        };
        let token = place.token.clone();
        Ok(Self {
            sender,
            host,
            token,
        })
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<(u64, Body)>,
    ) -> Result<Response<Incoming>> {
        let (length, body) = body.unwrap_or_else(|| (0, Empty::new().boxed()));
        let mut request = Request::builder().method(&method).uri(path);
        request = request.header(HOST, &self.host);
        if method != Method::GET {
            request = request
                .header(CONTENT_LENGTH, length)
                .header(CONTENT_TYPE, "application/octet-stream");
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        self.sender.ready().await?;
        let response = self.sender.send_request(request.body(body)?).await?;
        match response.status() {
            status if status.is_client_error() || status.is_server_error() => {
                Err(format!("{status} to {method}").into())
            }
            _ => Ok(response),
        }
    }
}

async fn over(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<SendRequest<Body>> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use acr_mock::AcrMock;

    use super::super::{bytes, registry};
    use super::*;

    #[tokio::test]
    async fn the_reference_moves_every_byte_over_http_and_https() {
        let size = 2 * BLOCK + 7;
        let digest = bytes::digest(size);
        let folder = tempfile::tempdir().expect("a folder");
        let [file, saved] = ["file", "saved"].map(|name| folder.path().join(name));
        bytes::write(&file, size).expect("it is written");
        assert_eq!(hash(&file).expect("it is read"), digest);
        for plain_http in [true, false] {
            let mock = AcrMock::builder().plain_http(plain_http).start();
            let mock = mock.expect("it starts");
            let place = registry::place(&mock).expect("the scope is well formed");
            upload(&place, &file).await.expect("the mock takes it");
            download(&place, &digest).await.expect("it is there");
            save(&place, &digest, &saved).await.expect("it is there");
            assert_eq!(
                std::fs::read(&saved).unwrap(),
                std::fs::read(&file).unwrap()
            );
            let absent = Digest::sha256("absent");
            assert!(download(&place, &absent).await.is_err());
        }
    }
}
