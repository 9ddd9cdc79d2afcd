//! The load: 64 connections that each send the same request again as soon as it is served.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::Result;
use crate::bench::raw_http::read_response;
use crate::interop::output_of;

/// How many connections there are.
pub(super) const CONNECTIONS: usize = 64;

/// What clients accept; docker-registry hides a manifest from those that do not name its type.
pub(super) const ACCEPT: &str =
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";

/// How long one load lasts: whole seconds, as wrk wants them.
const LENGTH: Duration = Duration::from_secs(2);

/// A request for one path, sent to whatever server.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) path: String,
    /// The value of `Authorization`, if the server wants one.
    pub(super) authorization: Option<String>,
}

/// What a load came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) requests: u64,
    pub(super) time: Duration,
}

impl Load {
    /// Requests in a second.
    pub(super) fn rate(&self) -> f64 {
        self.requests as f64 / self.time.as_secs_f64()
    }
}

impl Target {
    pub(super) fn bytes(&self, address: SocketAddr) -> Vec<u8> {
        let path = &self.path;
        let mut text = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: {ACCEPT}\r\n");
        if let Some(value) = &self.authorization {
            text.push_str(&format!("Authorization: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.into_bytes()
    }

    /// Sends the request once; gives the response as it is on the wire.
    pub(super) fn send(&self, address: SocketAddr) -> Result<Vec<u8>> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(&self.bytes(address))?;
        let response = read_response(&mut stream);
        Ok(response.map_err(|error| format!("{address}, GET {}: {error}", self.path))?)
    }
}

/// What sends the load: `wrk`, where it is installed.
pub(super) static GENERATOR: LazyLock<&str> =
    LazyLock::new(|| match Command::new("wrk").arg("--version").output() {
        Ok(_) => "wrk",
        Err(_) => "this program",
    });

/// Loads a server for a while.
///
/// # Errors
/// The server cannot be reached, breaks a connection, or responds with anything but 200.
pub(super) fn run(address: SocketAddr, target: &Target) -> Result<Load> {
    match *GENERATOR {
        "wrk" => wrk(address, target),
        _ => own(address, target, LENGTH),
    }
}

fn wrk(address: SocketAddr, target: &Target) -> Result<Load> {
    let mut command = Command::new("wrk");
    command.args(["--threads", "1", "--connections"]);
    command.args([CONNECTIONS.to_string(), "--duration".to_owned()]);
    command.arg(format!("{}s", LENGTH.as_secs()));
    command.args(["--header", &format!("Accept: {ACCEPT}")]);
    if let Some(value) = &target.authorization {
        command.args(["--header", &format!("Authorization: {value}")]);
    }
    let output = output_of(command.arg(format!("http://{address}{}", target.path)))?;
    if output.contains("Non-2xx") || output.contains("Socket errors") {
        return Err(format!("not all of wrk's requests went well:\n{output}").into());
    }
    // `  123456 requests in 2.00s, 40.01MB read`
    let read = || {
        let (before, after) = output.split_once(" requests in ")?;
        let requests = before.lines().last()?.trim().parse().ok()?;
        let seconds: f64 = after.split_once("s,")?.0.parse().ok()?;
        Some((requests, seconds))
    };
    let (requests, seconds) =
        read().ok_or_else(|| format!("wrk says something else:\n{output}"))?;
    let time = Duration::from_secs_f64(seconds);
    Ok(Load { requests, time })
}

fn own(address: SocketAddr, target: &Target, time: Duration) -> Result<Load> {
    let request = target.bytes(address);
    // Responses to the same request are all of one length.
    let length = target.send(address)?.len();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let start = Instant::now();
    let clients = (0..CONNECTIONS).map(|_| client(address, &request, length, start + time));
    let requests = runtime.block_on(futures_util::future::try_join_all(clients))?;
    Ok(Load {
        requests: requests.into_iter().sum(),
        time: start.elapsed(),
    })
}

async fn client(address: SocketAddr, request: &[u8], length: usize, end: Instant) -> Result<u64> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut response = vec![0; length];
    let mut requests = 0;
    while Instant::now() < end {
        stream.write_all(request).await?;
        stream.read_exact(&mut response).await?;
        if !response.starts_with(b"HTTP/1.1 200 ") {
            return Err(format!("{address} responds with something else than 200 OK").into());
        }
        requests += 1;
    }
    Ok(requests)
}

#[cfg(test)]
mod tests {
    use acr_mock::AcrMock;

    use super::*;

    #[test]
    fn every_request_is_counted_once_however_its_response_is_framed() {
        let mock = AcrMock::builder()
            .plain_http(true)
            .start()
            .expect("it starts");
        let app = mock.seed("bench/app").expect("a name");
        let image = app.image("v0").expect("an image");
        for number in 1..100 {
            app.manifest(Some(&format!("v{number}")), &image)
                .expect("a tag");
        }
        let scope = "repository:bench/app:metadata_read,pull";
        let token = mock.access_token(scope).expect("a token");
        for path in [
            "/v2/bench/app/manifests/v0",
            "/acr/v1/bench/app/_tags?n=100",
        ] {
            let target = Target {
                path: path.to_owned(),
                authorization: Some(format!("Bearer {token}")),
            };
            mock.reset_requests();
            let load = own(mock.local_addr(), &target, Duration::from_millis(20)).expect("a load");
            // One more tells how long the response is.
            assert_eq!(load.requests + 1, mock.requests().total(), "{path}");
        }
        let nobody = Target {
            path: "/v2/".to_owned(),
            authorization: None,
        };
        assert!(own(mock.local_addr(), &nobody, Duration::from_secs(60)).is_err());
    }
}
