//! Downloads that break, in process and over TCP: the right bytes under the file's name, or an error and no file.

use acr_client::{
    Credential, DownloadBlobOptions, ErrorKind, ParallelRanges, RetryOptions, SaveBlobOptions,
};
use acr_mock::{Fault, FaultAction, FaultResponse};

use crate::seeded;
use crate::suite::backend::{Backend, Served, on_every_backend};

on_every_backend! {
    a_download_that_breaks_arrives_or_leaves_nothing
    a_download_that_breaks_is_kept_where_it_is_to_be_resumed
    ranges_at_once_that_break_arrive
}

const SIZE: usize = 300_001;
const MIDDLE: u64 = 200_000;

/// Bytes that are different at every place where they might be misplaced.
fn content() -> Vec<u8> {
    (0..SIZE)
        .map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8)
        .collect()
}

/// What the storage does in turn, and the kinds of error that may come of it; none where all arrives.
fn faults() -> Vec<(Vec<FaultAction>, &'static [ErrorKind])> {
    use FaultAction as Act;
    let cut = Act::CutBody(MIDDLE);
    let respond = FaultAction::Respond;
    let size = SIZE as u64;
    vec![
        (vec![Act::Reset], &[]),
        (vec![Act::DropResponse], &[]),
        (vec![Act::CutBody(0)], &[]),
        (vec![cut], &[]),
        (vec![Act::CutBody(size - 1)], &[]),
        (vec![cut, Act::Reset, Act::CutBody(1), cut], &[]),
        (vec![respond(FaultResponse::expired_url())], &[]),
        (vec![cut, respond(FaultResponse::expired_url())], &[]),
        (vec![cut, respond(FaultResponse::too_many_requests())], &[]),
        (
            vec![cut, respond(FaultResponse::service_unavailable())],
            &[],
        ),
        (vec![cut, Act::IgnoreRange], &[]),
        (vec![cut, Act::ChangeEtag], &[]),
        (vec![Act::AnnounceLength(size + 9)], &[]),
        // Over TCP it ends there.
        (
            vec![Act::AnnounceLength(size - 9)],
            &[ErrorKind::DigestMismatch, ErrorKind::Transport],
        ),
        (vec![Act::ExtendBody(9)], &[ErrorKind::DigestMismatch]),
        (vec![cut, Act::ExtendBody(9)], &[ErrorKind::Protocol]),
        (vec![Act::FlipByte(0)], &[ErrorKind::DigestMismatch]),
        (vec![Act::FlipByte(size - 1)], &[ErrorKind::DigestMismatch]),
        (vec![cut, Act::FlipByte(1)], &[ErrorKind::DigestMismatch]),
        (vec![Act::RedirectToSelf; 6], &[ErrorKind::Protocol]),
        (
            vec![cut, respond(FaultResponse::not_found())],
            &[ErrorKind::Registry],
        ),
        (vec![Act::CutBody(0); 5], &[ErrorKind::Transport]),
    ]
}

/// Makes the storage do these things, one a request.
fn inject(served: &Served, actions: Vec<FaultAction>) {
    for action in actions {
        let fault = Fault::on_data().times(1).then(action);
        served.registry.inject(fault).unwrap();
    }
}

fn builder(served: &Served) -> acr_client::ClientBuilder {
    // Nothing is waited for, because the clock stands still.
    let retry = RetryOptions {
        base_delay: std::time::Duration::ZERO,
        ..seeded::retry()
    };
    served.builder(Credential::entra_token("any")).retry(retry)
}

async fn a_download_that_breaks_arrives_or_leaves_nothing(backend: Backend) {
    let content = content();
    let served = Served::on(backend, |builder| builder);
    let blob = served
        .seed("app")
        .blob("application/octet-stream", content.clone());
    let client = builder(&served).build().unwrap();
    let app = client.repository_client("app").unwrap();
    for (actions, kinds) in faults() {
        let shown = format!("{actions:?}");
        inject(&served, actions);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("layer");
        let saved = async { app.download_blob(&blob.digest).await?.save(&file).await };
        let saved = saved.await;
        served.registry.clear_faults();
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        match saved {
            Ok(size) => {
                assert!(kinds.is_empty(), "{shown}");
                assert_eq!((size, left), (SIZE as u64, 1), "{shown}");
                assert!(std::fs::read(&file).unwrap() == content, "{shown}");
            }
            Err(error) => {
                assert!(kinds.contains(&error.kind()), "{shown}: {error}");
                assert_eq!(left, 0, "{shown}");
                let text = format!("{error} {error:?}");
                assert!(!text.contains("sig="), "{text}");
            }
        }
    }
}

async fn a_download_that_breaks_is_kept_where_it_is_to_be_resumed(backend: Backend) {
    let content = content();
    let served = Served::on(backend, |builder| builder);
    let blob = served
        .seed("app")
        .blob("application/octet-stream", content.clone());
    let client = builder(&served).retry(RetryOptions::none());
    let client = client.build().unwrap();
    let app = client.repository_client("app").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("layer");
    let resume = SaveBlobOptions {
        resume: true,
        ..Default::default()
    };
    inject(&served, vec![FaultAction::CutBody(70_000); 4]);
    for _ in 0..4 {
        let saved = app.download_blob_to(&blob.digest, &file, resume.clone());
        assert_eq!(saved.await.unwrap_err().kind(), ErrorKind::Transport);
        assert!(!file.exists());
    }
    let saved = app.download_blob_to(&blob.digest, &file, resume).await;
    assert_eq!(saved.unwrap(), SIZE as u64);
    assert!(std::fs::read(&file).unwrap() == content);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(served.registry.requests().data(), 5);
}

async fn ranges_at_once_that_break_arrive(backend: Backend) {
    let content = content();
    let served = Served::on(backend, |builder| builder);
    let blob = served
        .seed("app")
        .blob("application/octet-stream", content.clone());
    let app = builder(&served).build().unwrap();
    let app = app.repository_client("app").unwrap();
    inject(&served, vec![FaultAction::CutBody(10_000); 9]);
    let options = DownloadBlobOptions {
        parallel: Some(ParallelRanges {
            count: 4.try_into().unwrap(),
            size: 50_000.try_into().unwrap(),
        }),
        ..Default::default()
    };
    let blob = app.download_blob_with(&blob.digest, options).await.unwrap();
    assert!(blob.bytes(SIZE).await.unwrap() == content);
    // Seven ranges, and nine that went on.
    assert_eq!(served.registry.requests().data(), 16);
}
