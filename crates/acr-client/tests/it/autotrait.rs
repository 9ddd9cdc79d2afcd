//! What can cross threads, and be kept and moved: for async callers this is half of the API.

use acr_client::auth::{AccessToken, Audience, Secret, TokenProvider, TokenRequest, TokenSource};
use acr_client::transport::OperationContext;
use acr_client::transport::{Body, TransportError, TransportErrorKind};
use acr_client::{
    Advice, ArtifactTagProperties, BlobLocation, BlobSource, BlobStream, BlobUpload, CallOptions,
    ClientBuilder, ContainerRegistryClient, Credential, Error, ErrorKind, LimiterOptions,
    ListManifestPropertiesOptions, ListReferrersOptions, ListRepositoryNamesOptions,
    ListTagPropertiesOptions, ListTagsOptions, Pager, Pages, RepositoryClient, RetryOptions,
    UploadBlobOptions,
};

fn shared<T: Send + Sync + Unpin + 'static>() {}
fn sendable<T: Send + Unpin + 'static>() {}
fn future<F: Future + Send>(_: F) {}

#[test]
fn handles_settings_and_errors_can_be_shared() {
    shared::<ContainerRegistryClient>();
    shared::<RepositoryClient>();
    shared::<ClientBuilder>();
    shared::<Credential>();
    shared::<Audience>();
    shared::<Error>();
    shared::<ErrorKind>();
    shared::<TransportError>();
    shared::<OperationContext>();
    shared::<UploadBlobOptions>();
    shared::<AccessToken>();
    shared::<Advice>();
    shared::<BlobLocation>();
    shared::<CallOptions>();
    shared::<LimiterOptions>();
    shared::<ListManifestPropertiesOptions>();
    shared::<ListReferrersOptions>();
    shared::<ListRepositoryNamesOptions>();
    shared::<ListTagPropertiesOptions>();
    shared::<ListTagsOptions>();
    shared::<RetryOptions>();
    shared::<Secret>();
    shared::<TokenRequest>();
    shared::<TransportErrorKind>();
    shared::<Box<dyn TokenSource>>();
    shared::<Box<dyn TokenProvider>>();
    shared::<acr_client::clock::VirtualClock>();
    shared::<Box<dyn acr_client::Clock>>();
}

#[cfg(feature = "docker-config")]
#[test]
fn docker_s_configuration_can_be_shared() {
    shared::<acr_client::auth::DockerConfig>();
}

#[cfg(feature = "hyper")]
#[test]
fn the_default_transport_and_its_settings_can_be_shared() {
    use acr_client::transport::{HyperTransport, HyperTransportBuilder, HyperTransportError};
    shared::<HyperTransport>();
    shared::<HyperTransportBuilder>();
    shared::<HyperTransportError>();
    shared::<acr_client::transport::InvalidProxy>();
}

#[cfg(feature = "reqwest")]
#[test]
fn a_transport_over_reqwest_can_be_shared() {
    shared::<acr_client::transport::ReqwestTransport>();
}

#[cfg(feature = "tower")]
#[test]
fn a_transport_over_a_service_that_can_only_be_sent_can_be_shared() {
    use std::cell::Cell;
    shared::<acr_client::transport::TowerTransport<Cell<u8>>>();
}

#[cfg(feature = "blocking")]
#[test]
fn blocking_handles_and_their_readers_can_be_shared() {
    use acr_client::blocking;
    shared::<blocking::ContainerRegistryClient>();
    shared::<blocking::RepositoryClient>();
    shared::<blocking::Pager<ArtifactTagProperties>>();
    shared::<blocking::Pages<ArtifactTagProperties>>();
    shared::<blocking::BlobReader>();
    shared::<blocking::BlobUpload>();
}

#[test]
fn streams_can_be_sent_and_need_no_pin() {
    shared::<Pager<ArtifactTagProperties>>();
    shared::<Pages<ArtifactTagProperties>>();
    shared::<BlobStream>();
    shared::<BlobUpload>();
    sendable::<BlobSource>();
    shared::<Body>();
}

#[test]
fn futures_can_be_spawned() {
    // Never polled: that they are of the right type is the test.
    fn check(client: &ContainerRegistryClient, repository: &RepositoryClient) {
        future(client.ping());
        future(client.delete_repository("a"));
        future(repository.get_manifest("v1"));
        future(client.access_token("repository:app:pull"));
        future(client.authorized_request(http::Request::new(""), ""));
        future(repository.upload_blob("layer".to_owned()));
        future(async {
            let mut tags = repository.list_tags();
            let blob = repository.download_blob("sha256:x").await?;
            tags.try_next().await?;
            repository.start_upload().await?.append("chunk").await?;
            blob.save("layer").await
        });
    }
    let _ = check;
}
