//! The default transport against a registry on a port of its own, over TLS.

use crate::seeded;

use acr_client::transport::{Body, HyperTransport, Transport, TransportErrorKind};
use acr_client::{
    Advice, BlobSource, ContainerRegistryClient, Credential, Digest, ErrorKind, UploadBlobOptions,
};
use acr_mock::AcrMock;

fn client(mock: &AcrMock) -> ContainerRegistryClient {
    seeded::builder(mock.endpoint())
        .credential(Credential::entra_token("any"))
        .hyper(|hyper| hyper.root_certificate_pem(mock.ca_pem().unwrap()))
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_blob_goes_up_in_chunks_and_comes_down_from_the_data_origin() {
    let mock = AcrMock::start().unwrap();
    let repository = client(&mock).repository_client("app").unwrap();
    let content: Vec<u8> = (0..=255).cycle().take(300_001).collect();
    let options = UploadBlobOptions {
        chunk_size: Some(100_000),
        ..Default::default()
    };
    let source = BlobSource::reader(std::io::Cursor::new(content.clone()));
    let blob = repository.upload_blob_with(source, options).await.unwrap();
    assert_eq!(blob.digest, Digest::sha256(&content));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("layer");
    let stream = repository.download_blob(&blob.digest).await.unwrap();
    assert_eq!(stream.save(&file).await.unwrap(), 300_001);
    assert_eq!(std::fs::read(&file).unwrap(), content);
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let mock = AcrMock::start().unwrap();
    let other = AcrMock::start().unwrap();
    let client = seeded::builder(mock.endpoint())
        .hyper(|hyper| hyper.root_certificate_pem(other.ca_pem().unwrap()))
        .build()
        .unwrap();
    let error = client.ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{error:?}");
    assert!(error.to_string().contains(&mock.endpoint()), "{error}");
    // What is not trusted now is not trusted in a second either.
    assert_eq!((error.advice(), error.attempts()), (Advice::Never, 1));
}

#[tokio::test]
async fn without_any_root_a_server_cannot_be_trusted() {
    let mock = AcrMock::start().unwrap();
    let transport = HyperTransport::builder().platform_roots(false).build();
    let transport = transport.unwrap();
    let request = http::Request::get(mock.endpoint())
        .body(Body::empty())
        .unwrap();
    let error = transport.send(request).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Untrusted);
}

#[tokio::test]
async fn the_transport_that_was_set_last_sends_the_requests() {
    let mock = AcrMock::start().unwrap();
    let pem = mock.ca_pem().unwrap();
    let client = seeded::builder(mock.endpoint())
        .transport(HyperTransport::builder().build().unwrap())
        .hyper(|hyper| hyper.root_certificate_pem(pem))
        .credential(Credential::entra_token("any"));
    client.build().unwrap().ping().await.unwrap();
}

#[test]
fn a_root_certificate_that_is_none_is_refused() {
    let error = seeded::builder("https://r.example")
        .hyper(|hyper| hyper.root_certificate_pem("no certificate"))
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
