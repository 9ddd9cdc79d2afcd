//! What can cross threads, and be kept and moved: for async callers this is half of the API.

use acr_client::transport::record::{Recorder, Recording, Replay};
use acr_client::transport::{Body, TransportError};
use acr_client::{
    ArtifactTagProperties, Audience, BlobSource, BlobStream, ClientBuilder,
    ContainerRegistryClient, Credential, Error, ErrorKind, OperationContext, Pager, Pages,
    RepositoryClient, UploadBlobOptions,
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
    shared::<Recorder>();
    shared::<Recording>();
    shared::<Replay>();
}

#[test]
fn streams_can_be_sent_and_need_no_pin() {
    sendable::<Pager<ArtifactTagProperties>>();
    sendable::<Pages<ArtifactTagProperties>>();
    sendable::<BlobStream>();
    sendable::<BlobSource>();
    sendable::<Body>();
}

#[test]
fn futures_can_be_spawned() {
    // Never polled: that they are of the right type is the test.
    fn check(client: &ContainerRegistryClient, repository: &RepositoryClient) {
        future(client.ping());
        future(client.delete_repository("a"));
        future(repository.get_manifest("v1"));
        future(repository.upload_blob("layer".to_owned()));
        future(async {
            let mut tags = repository.list_tags();
            let blob = repository.download_blob("sha256:x").await?;
            tags.try_next().await?;
            blob.save("layer").await
        });
    }
    let _ = check;
}
