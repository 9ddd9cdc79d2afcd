//! `acr-mock healthcheck`: for images that have neither a shell nor curl.

use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Failure;

/// How long a mock may take to respond.
const TIME: Duration = Duration::from_secs(2);

pub(crate) async fn check(url: Option<&str>) -> Result<ExitCode, Failure> {
    let named = |name: &str| std::env::var(name).ok().filter(|url| !url.is_empty());
    let url = url.map(str::to_owned);
    let url = url
        .or_else(|| named("ACR_MOCK_CONTROL"))
        .or_else(|| named("ACR_MOCK_ENDPOINT"));
    let Some(url) = url else {
        return Err(Failure::usage(
            "healthcheck: say where the mock is, by a URL or in ACR_MOCK_CONTROL",
        ));
    };
    let asked = tokio::time::timeout(TIME, ask(&url)).await;
    asked
        .unwrap_or_else(|_| Err(format!("{url} does not respond")))
        .map_or_else(
            |text| Err(Failure::new(format!("healthcheck: {text}"))),
            |()| Ok(ExitCode::SUCCESS),
        )
}

/// Whether the local port responds, or a registry accepts a connection: over https its certificate is not this program's to check.
async fn ask(url: &str) -> Result<(), String> {
    let uri: http::Uri = url
        .parse()
        .map_err(|error| format!("{url} is no URL: {error}"))?;
    let (Some(host), Some(scheme)) = (uri.authority(), uri.scheme_str()) else {
        return Err(format!("{url} is no URL with a scheme and a host"));
    };
    let port = host
        .port_u16()
        .unwrap_or(if scheme == "https" { 443 } else { 80 });
    let name = host.host().trim_matches(['[', ']']);
    let failed = |error: std::io::Error| format!("{url} does not respond: {error}");
    let mut stream = TcpStream::connect((name, port)).await.map_err(failed)?;
    if scheme == "https" {
        return Ok(());
    }
    let request =
        format!("GET /_mock/health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut line = [0; 12];
    stream.read_exact(&mut line).await.map_err(failed)?;
    match &line[..] {
        b"HTTP/1.1 200" => Ok(()),
        _ => Err(format!(
            "{url} is no mock: {}",
            String::from_utf8_lossy(&line)
        )),
    }
}
