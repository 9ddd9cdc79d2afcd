//! oci-client does one task of `cargo xtask bench content`; prints what it has cost as acr-verify's own tasks do.

#[path = "../../../src/bench/content/cost.rs"]
mod cost;

use std::error::Error;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};

use bytes::Bytes;
use cost::{Cost, Start};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::manifest::OciDescriptor;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use sha2::{Digest as _, Sha256};

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// The length of a piece of a stream.
const PIECE: u64 = 1 << 20;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [work, host, name, password, what] = &arguments[..] else {
        return Err("usage: WORK HOST NAME PASSWORD FILE|DIGEST".into());
    };
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| "there is a TLS provider already")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let auth = match &name[..] {
        "" => RegistryAuth::Anonymous,
        _ => RegistryAuth::Basic(name.clone(), password.clone()),
    };
    let cost = runtime.block_on(run(work, host, &auth, what))?;
    println!("{cost}");
    Ok(())
}

async fn run(work: &str, host: &str, auth: &RegistryAuth, what: &str) -> Result<Cost> {
    let client = Client::new(ClientConfig {
        protocol: ClientProtocol::Http,
        use_monolithic_push: work == "push-in-one",
        ..ClientConfig::default()
    });
    let image: Reference = format!("{host}/bench/app:peer").parse()?;
    let is_push = work.starts_with("push");
    let operation = match is_push {
        true => RegistryOperation::Push,
        false => RegistryOperation::Pull,
    };
    client.auth(&image, auth, operation).await?;
    if is_push {
        let digest = digest([Ok(Bytes::from("small"))])?;
        client.push_blob(&image, "small", &digest).await?;
    }
    let start = Start::now()?;
    match work {
        "push" => {
            let bytes = Bytes::from(std::fs::read(what)?);
            let digest = digest([Ok(bytes.clone())])?;
            client.push_blob(&image, bytes, &digest).await?;
        }
        "push-in-one" => {
            let digest = digest(pieces(what)?)?;
            let size = std::fs::metadata(what)?.len();
            let body = streamed(what)?;
            client
                .push_blob_stream(&image, body, &digest, Some(size))
                .await?;
        }
        "push-stream" => {
            let body = streamed(what)?;
            client.push_blob_stream_chunked(&image, body).await?;
        }
        "pull" => {
            let out = tokio::io::sink();
            client.pull_blob(&image, &descriptor(what), out).await?;
        }
        "pull-stream" => {
            let mut blob = client.pull_blob_stream(&image, &descriptor(what)).await?;
            while blob.try_next().await?.is_some() {}
        }
        _ => return Err(format!("no such work: {work}").into()),
    }
    Ok(start.end()?)
}

fn descriptor(digest: &str) -> OciDescriptor {
    OciDescriptor {
        digest: digest.to_owned(),
        ..OciDescriptor::default()
    }
}

/// Reads a file piece by piece.
fn pieces(path: &str) -> Result<impl Iterator<Item = io::Result<Bytes>> + Send + use<>> {
    let mut file = File::open(path)?;
    Ok(std::iter::from_fn(move || {
        let mut piece = Vec::with_capacity(PIECE as usize);
        match file.by_ref().take(PIECE).read_to_end(&mut piece) {
            Ok(0) => None,
            Ok(_) => Some(Ok(piece.into())),
            Err(error) => Some(Err(error)),
        }
    }))
}

fn streamed(
    path: &str,
) -> Result<impl Stream<Item = oci_client::errors::Result<Bytes>> + Send + use<>> {
    Ok(stream::iter(pieces(path)?).map(|piece| Ok(piece?)))
}

fn digest(pieces: impl IntoIterator<Item = io::Result<Bytes>>) -> Result<String> {
    let mut hash = Sha256::new();
    for piece in pieces {
        hash.update(piece?);
    }
    let mut text = "sha256:".to_owned();
    for byte in hash.finalize() {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}
