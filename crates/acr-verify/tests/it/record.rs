//! What the client's recorder writes is read here: a recorded session matches when it is replayed on acr-mock.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use acr_client::transport::{Body, HyperTransport, TransportError, TransportErrorKind, from_fn};
use acr_client::{
    BlobSource, ContainerRegistryClient, Credential, Error, Manifest, RetryOptions,
    UploadBlobOptions,
};
use acr_mock::{AcrMock, Registry, VirtualClock};
use acr_record::{Recorder, Recording};
use acr_verify::fidelity::report::Report;
use acr_verify::fidelity::{read, replay};
use http::{Request, Response};

/// A client that is recorded on a registry in the same process, which has an image of two tags.
fn scene(credential: Credential) -> (Recorder, ContainerRegistryClient, Manifest) {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_756_801_616);
    let registry = Registry::builder().user("robot", "a password of the robot");
    let registry = registry.clock(VirtualClock::starting_at(start)).build();
    let seed = registry.seed("samples/app").unwrap();
    let manifest = seed.image("v1").unwrap();
    seed.image("v2").unwrap();
    let recorder = Recorder::new(from_fn(move |request: Request<Body>| {
        registry.handle(request)
    }));
    let client = ContainerRegistryClient::builder("https://myregistry.azurecr.io")
        .credential(credential)
        .transport(recorder.clone())
        .clock(VirtualClock::starting_at(start))
        // The first challenge is to be recorded too, and a clock that stands still waits for nothing.
        .assume_azure_auth(false)
        .retry(RetryOptions::none())
        .limiter(None)
        .build();
    (recorder, client.unwrap(), manifest)
}

/// Replays a recording as `cargo xtask fidelity FILE` does.
fn replayed(recording: &Recording) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("session.jsonl");
    recording.save(&file).unwrap();
    replay(read(&[file]).unwrap()).unwrap()
}

#[track_caller]
fn assert_matches(recording: &Recording, least: usize) {
    let report = replayed(recording);
    assert_eq!((report.mismatches(), report.skipped()), (0, 0), "{report}");
    assert!(report.matches() >= least, "{report}");
}

async fn pull_and_push(client: &ContainerRegistryClient, manifest: &Manifest) -> Result<(), Error> {
    client.ping().await?;
    let mut names = client.list_repository_names();
    while names.try_next().await?.is_some() {}
    let repository = client.repository_client("samples/app")?;
    let mut tags = repository.list_tag_properties();
    while tags.try_next().await?.is_some() {}
    let mut tags = repository.list_tags();
    while tags.try_next().await?.is_some() {}
    let pulled = repository.get_manifest("v1").await?;
    repository.head_manifest("v1").await?;
    for blob in pulled.as_image().unwrap().blobs() {
        repository.head_blob(&blob.digest).await?;
        repository
            .download_blob(&blob.digest)
            .await?
            .bytes(1 << 20)
            .await?;
    }
    let options = UploadBlobOptions {
        chunk_size: Some(1000),
        ..UploadBlobOptions::default()
    };
    let layer: Vec<u8> = (0..=255).cycle().take(2500).collect();
    repository
        .upload_blob_with(BlobSource::from(layer), options)
        .await?;
    repository.set_manifest("v3", manifest).await?;
    repository.get_tag_properties("missing").await.unwrap_err();
    repository.get_manifest("missing").await.unwrap_err();
    Ok(())
}

#[tokio::test]
async fn a_recorded_session_matches_when_it_is_replayed_on_the_mock() {
    for credential in [
        Credential::entra_token("an Entra token"),
        Credential::password("robot", "a password of the robot"),
    ] {
        let (recorder, client, manifest) = scene(credential);
        pull_and_push(&client, &manifest).await.unwrap();
        assert_matches(&recorder.recording(), 25);
    }
}

#[tokio::test]
async fn a_session_that_was_recorded_over_tcp_matches_too() {
    let mock = AcrMock::start().unwrap();
    let manifest = mock.seed("samples/app").unwrap().image("v1").unwrap();
    let transport = HyperTransport::builder()
        .platform_roots(false)
        .root_certificate_pem(mock.ca_pem().unwrap());
    let recorder = Recorder::new(transport.build().unwrap());
    let client = ContainerRegistryClient::builder(format!("https://{}", mock.login_server()))
        .credential(Credential::entra_token("an Entra token"))
        .transport(recorder.clone())
        .retry(RetryOptions::none())
        .build()
        .unwrap();
    pull_and_push(&client, &manifest).await.unwrap();
    let recording = recorder.recording();
    assert_eq!(recording.registry(), Some(mock.login_server()));
    assert_matches(&recording, 25);
}

#[tokio::test]
async fn a_refused_login_matches() {
    let (recorder, client, _) = scene(Credential::password("robot", "another password"));
    client
        .get_repository_properties("samples/app")
        .await
        .unwrap_err();
    assert_matches(&recorder.recording(), 2);
}

#[tokio::test]
async fn a_recording_with_another_response_does_not_match() {
    let (recorder, client, _) = scene(Credential::entra_token("an Entra token"));
    client
        .get_repository_properties("samples/app")
        .await
        .unwrap();
    let recording = recorder.recording();
    assert_matches(&recording, 4);
    for (what, change) in [
        ("status", "\"status\":200,"),
        ("code", "UNAUTHORIZED"),
        ("name", "\"samples/app\",\"createdTime\""),
    ] {
        let text = recording.to_jsonl();
        assert!(text.contains(change), "{what}: {text}");
        let other = match what {
            "status" => "\"status\":201,",
            "name" => "\"samples/other\",\"createdTime\"",
            _ => "UNKNOWN",
        };
        let changed = Recording::from_jsonl(&text.replacen(change, other, 1)).unwrap();
        let report = replayed(&changed);
        assert!(report.mismatches() > 0, "{what}: {report}");
    }
}

#[tokio::test]
async fn what_had_no_response_is_skipped_and_what_was_not_read_is_compared_by_its_head() {
    let (recorder, client, manifest) = scene(Credential::entra_token("an Entra token"));
    let repository = client.repository_client("samples/app").unwrap();
    let layer = &manifest.as_image().unwrap().layers[0].digest.clone();
    drop(repository.download_blob(layer).await.unwrap());
    let broken = Recorder::new(from_fn(|_| async {
        Err::<Response<Body>, _>(TransportError::new(TransportErrorKind::Timeout, "too slow"))
    }));
    let unreachable = ContainerRegistryClient::builder("https://myregistry.azurecr.io")
        .transport(broken.clone())
        .assume_azure_auth(false)
        .retry(RetryOptions::none())
        .build();
    unreachable.unwrap().ping().await.unwrap_err();

    let recording = recorder.recording();
    let exchanges = [recording, broken.recording()].map(|recording| recording.exchanges().to_vec());
    let recording = Recording::from_iter(exchanges.concat());
    assert!(recording.to_jsonl().contains("\"end\":\"unread\""));
    let report = replayed(&recording);
    assert_eq!((report.mismatches(), report.skipped()), (0, 1), "{report}");
    assert_eq!(
        report.matches(),
        recording.exchanges().len() - 1,
        "{report}"
    );
}
