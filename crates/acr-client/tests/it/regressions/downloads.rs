//! Downloads that break on the way: the right bytes arrive once, or an error says why not.

use std::time::Duration;

use acr_client::{ContainerRegistryClient, Credential, Digest, Error, ErrorKind, RetryOptions};
use acr_mock::{Fault, FaultAction, FaultResponse};
use bytes::Bytes;
use futures_util::TryStreamExt as _;

use crate::regressions::support::Scene;
use crate::seeded;

const SIZE: usize = 10_000;
const MIDDLE: u64 = 5_000;

/// Bytes that are different at every place where they might be misplaced.
pub(super) fn content() -> Vec<u8> {
    (0..SIZE).map(|at| (at ^ (at >> 8)) as u8).collect()
}

/// A registry with a blob, which its storage sends or itself.
struct Stored {
    scene: Scene,
    digest: Digest,
    is_elsewhere: bool,
}

impl Stored {
    fn at(is_elsewhere: bool) -> Self {
        let scene = Scene::with(|builder| builder.data_redirect(is_elsewhere));
        let blob = scene
            .seed("app")
            .blob("application/octet-stream", content());
        Self {
            scene,
            digest: blob.digest,
            is_elsewhere,
        }
    }

    fn new() -> Self {
        Self::at(true)
    }

    fn both() -> [Self; 2] {
        [Self::at(true), Self::at(false)]
    }

    /// Strikes what sends the bytes.
    fn inject(&self, actions: impl FnOnce(Fault) -> Fault) {
        let at = if self.is_elsewhere {
            Fault::on_data()
        } else {
            Fault::on("get_blob")
        };
        self.scene.registry.inject(actions(at)).unwrap();
    }

    /// How many requests came to what sends the bytes.
    fn requests(&self) -> u64 {
        if self.is_elsewhere {
            self.scene.registry.requests().data()
        } else {
            self.scene.count("get_blob")
        }
    }

    fn download_by(&self, client: &ContainerRegistryClient) -> Result<Bytes, Error> {
        let app = client.repository_client("app").unwrap();
        let read = async { app.download_blob(&self.digest).await?.bytes(SIZE).await };
        self.scene.drive(read)
    }

    fn download(&self) -> Result<Bytes, Error> {
        self.download_by(&self.scene.owner())
    }

    /// Saves it to a folder; what is in the folder then has to be the whole file or nothing.
    fn save(&self) -> Result<(), Error> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("layer");
        let app = self.scene.owner().repository_client("app").unwrap();
        let save = async { app.download_blob(&self.digest).await?.save(&file).await };
        let saved = self.scene.drive(save);
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        match saved {
            Ok(count) => {
                assert_eq!((count, left), (SIZE as u64, 1));
                assert!(std::fs::read(&file).unwrap() == content());
                Ok(())
            }
            Err(error) => {
                assert_eq!(left, 0, "{error}");
                Err(error)
            }
        }
    }
}

#[test]
fn a_download_that_is_cut_anywhere_goes_on_from_there() {
    for cut in [0, 1, MIDDLE, SIZE as u64 - 1] {
        for stored in Stored::both() {
            stored.inject(|fault| fault.times(1).then(FaultAction::CutBody(cut)));
            assert!(stored.download().unwrap() == content(), "{cut}");
            assert_eq!(stored.requests(), 2, "{cut}");
            // A URL of before may have expired.
            assert_eq!(stored.scene.count("get_blob"), 2);
            let seen = stored.scene.seen();
            let range = seen.last().unwrap().headers.get("range");
            let range = range.map(|range| range.to_str().unwrap().to_owned());
            assert_eq!(range, (cut > 0).then(|| format!("bytes={cut}-")), "{cut}");
        }
    }
}

#[test]
fn a_saved_download_that_is_cut_has_every_byte_once() {
    for stored in Stored::both() {
        stored.inject(|fault| {
            let fault = fault.times(3).then(FaultAction::CutBody(MIDDLE));
            fault.then(FaultAction::Reset).then(FaultAction::CutBody(1))
        });
        stored.save().unwrap();
    }
}

#[test]
fn a_range_that_is_cut_goes_on_within_its_end() {
    for stored in Stored::both() {
        stored.inject(|fault| fault.times(2).then(FaultAction::CutBody(1_000)));
        let app = stored.scene.owner().repository_client("app").unwrap();
        let read = async {
            let part = app.get_blob(&stored.digest, 2_000..7_000).await?;
            part.bytes(SIZE).await
        };
        let bytes = stored.scene.drive(read).unwrap();
        assert!(bytes == content()[2_000..7_000]);
        let seen = stored.scene.seen();
        assert_eq!(seen.last().unwrap().headers["range"], "bytes=4000-6999");
    }
}

#[test]
fn a_download_that_gets_further_each_time_is_never_given_up() {
    for stored in Stored::both() {
        // A hundred breaks, and a client that may repeat ten times in all.
        stored.inject(|fault| fault.then(FaultAction::CutBody(100)));
        let client = stored
            .scene
            .builder(Credential::entra_token("any"))
            .retry(RetryOptions {
                max_retries: 1,
                retry_budget: 10,
                ..seeded::retry()
            })
            .build()
            .unwrap();
        assert!(stored.download_by(&client).unwrap() == content());
        assert_eq!(stored.requests(), 100);
    }
}

#[test]
fn a_download_that_gets_no_further_is_given_up_after_the_retries() {
    for action in [FaultAction::CutBody(0), FaultAction::Reset] {
        for stored in Stored::both() {
            // It begins well.
            stored.inject(|fault| fault.times(1).then(FaultAction::CutBody(MIDDLE)));
            stored.inject(|fault| fault.then(action));
            let error = stored.download().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
            assert!(error.to_string().contains("tried 5 times"), "{error}");
            assert!(error.is_retryable());
            assert_eq!(stored.requests(), 5);
        }
    }
}

#[test]
fn nothing_is_gone_on_with_where_nothing_is_to_be_repeated() {
    for stored in Stored::both() {
        stored.inject(|fault| fault.then(FaultAction::CutBody(MIDDLE)));
        let builder = stored.scene.builder(Credential::entra_token("any"));
        let client = builder.retry(RetryOptions::none()).build().unwrap();
        let error = stored.download_by(&client).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
        assert_eq!(stored.requests(), 1);
    }
}

#[test]
fn a_download_whose_server_falls_silent_goes_on_elsewhere() {
    for stored in Stored::both() {
        stored.inject(|fault| fault.times(1).then(FaultAction::StallBody(MIDDLE)));
        let start = stored.scene.clock.now();
        assert!(stored.download().unwrap() == content());
        let took = stored.scene.clock.now().duration_since(start).unwrap();
        // The idle timeout, and a pause.
        assert!(took >= Duration::from_secs(60), "{took:?}");
        assert!(took <= Duration::from_secs(61), "{took:?}");
    }
}

#[test]
fn bytes_that_drip_are_not_taken_for_progress_where_a_rate_is_asked_for() {
    let stored = Stored::new();
    let (bytes, pause) = (1, Duration::from_secs(10));
    stored.inject(|fault| fault.then(FaultAction::SlowBody { bytes, pause }));
    let builder = stored.scene.builder(Credential::entra_token("any"));
    let client = builder.min_stream_rate(1, Duration::from_secs(30));
    let error = stored.download_by(&client.build().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.to_string().contains("min_stream_rate"), "{error}");
    assert_eq!(stored.requests(), 5);
}

#[test]
fn a_server_that_breaks_after_each_byte_does_not_get_round_the_rate_that_is_asked_for() {
    let stored = Stored::new();
    stored.inject(|fault| fault.then(FaultAction::CutBody(1)));
    let builder = stored.scene.builder(Credential::entra_token("any"));
    let client = builder.min_stream_rate(100, Duration::from_secs(30));
    let error = stored.download_by(&client.build().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
    assert_eq!(stored.requests(), 5);
}

#[test]
fn a_url_that_expired_before_the_first_byte_is_asked_for_anew() {
    let stored = Stored::new();
    stored.inject(|fault| fault.times(2).then(FaultResponse::expired_url()));
    assert!(stored.download().unwrap() == content());
    assert_eq!(stored.scene.count("get_blob"), 3);
}

#[test]
fn a_url_that_expired_in_the_middle_is_asked_for_anew() {
    let stored = Stored::new();
    stored.inject(|fault| {
        let fault = fault.times(9).then(FaultAction::CutBody(1_000));
        let expired = FaultResponse::expired_url();
        fault.then(expired).then(expired)
    });
    assert!(stored.download().unwrap() == content());
    assert_eq!(stored.scene.count("get_blob"), 10);
}

#[test]
fn a_storage_that_refuses_every_url_is_named_without_the_signature() {
    for begun in [0, 1] {
        let stored = Stored::new();
        stored.inject(|fault| fault.times(begun).then(FaultAction::CutBody(MIDDLE)));
        stored.inject(|fault| fault.then(FaultResponse::expired_url()));
        let error = stored.download().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Registry, "{error}");
        assert_eq!(error.status().unwrap(), 403);
        let text = format!("{error} {error:?}");
        assert!(text.contains("data.invalid"), "{text}");
        assert!(!text.contains("sig="), "{text}");
        assert_eq!(stored.scene.count("get_blob"), 3 + begun);
    }
}

#[test]
fn a_token_that_is_refused_in_the_middle_is_replaced() {
    for stored in Stored::both() {
        stored.inject(|fault| fault.times(1).then(FaultAction::CutBody(MIDDLE)));
        let refused = Fault::on("get_blob").times(1);
        let refused = refused.after(u64::from(stored.is_elsewhere));
        let refused = refused.then(FaultResponse::invalid_token());
        stored.scene.registry.inject(refused).unwrap();
        assert!(stored.download().unwrap() == content());
    }
}

#[test]
fn a_busy_or_failing_server_in_the_middle_is_waited_for() {
    for (busy, least) in [
        (FaultResponse::too_many_requests().retry_after(7), 7),
        (FaultResponse::service_unavailable(), 0),
        (FaultResponse::bad_gateway(), 0),
        (FaultResponse::internal_server_error(), 0),
    ] {
        for stored in Stored::both() {
            stored.inject(|fault| fault.times(2).then(FaultAction::CutBody(MIDDLE)).then(busy));
            let start = stored.scene.clock.now();
            assert!(stored.download().unwrap() == content());
            let took = stored.scene.clock.now().duration_since(start).unwrap();
            assert!(took >= Duration::from_secs(least), "{took:?}");
            assert_eq!(stored.requests(), 3);
        }
    }
}

#[test]
fn a_blob_that_is_deleted_in_the_middle_is_not_found_and_nothing_is_left() {
    let stored = Stored::at(false);
    stored.inject(|fault| {
        let fault = fault.times(2).then(FaultAction::CutBody(MIDDLE));
        fault.then(FaultResponse::not_found())
    });
    let error = stored.save().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert_eq!(stored.requests(), 2);
}

#[test]
fn a_byte_that_is_another_is_told_and_nothing_is_left() {
    for at in [0, MIDDLE, SIZE as u64 - 1] {
        for stored in Stored::both() {
            stored.inject(|fault| fault.times(1).then(FaultAction::FlipByte(at)));
            let error = stored.save().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error}");
            // What is wrong is not repeated by itself.
            assert_eq!(stored.requests(), 1);
        }
    }
}

#[test]
fn a_byte_that_is_another_behind_a_break_is_told_and_nothing_is_left() {
    for stored in Stored::both() {
        stored.inject(|fault| {
            let fault = fault.times(2).then(FaultAction::CutBody(MIDDLE));
            fault.then(FaultAction::FlipByte(MIDDLE - 1))
        });
        let error = stored.save().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error}");
    }
}

#[test]
fn a_stream_loses_no_byte_when_its_reads_are_dropped() {
    let stored = Stored::new();
    stored.inject(|fault| fault.then(FaultAction::CutBody(100)));
    let app = stored.scene.owner().repository_client("app").unwrap();
    let read = async {
        let mut blob = app.download_blob(&stored.digest).await?;
        let mut all = Vec::new();
        loop {
            // Polled once and dropped, in whatever it was.
            let begun = futures_util::poll!(Box::pin(blob.try_next()));
            let next = match begun {
                std::task::Poll::Ready(next) => next?,
                std::task::Poll::Pending => blob.try_next().await?,
            };
            match next {
                Some(bytes) => all.extend_from_slice(&bytes),
                None => return Ok::<_, Error>(all),
            }
        }
    };
    assert!(stored.scene.drive(read).unwrap() == content());
}

#[test]
fn a_reader_of_the_stream_does_not_notice_a_break() {
    let stored = Stored::new();
    stored.inject(|fault| fault.times(3).then(FaultAction::CutBody(1_000)));
    let app = stored.scene.owner().repository_client("app").unwrap();
    let read = async {
        let blob = app.download_blob(&stored.digest).await?;
        let mut reader = blob.map_err(std::io::Error::from).into_async_read();
        let mut all = Vec::new();
        futures_util::AsyncReadExt::read_to_end(&mut reader, &mut all)
            .await
            .map_err(|error| error.downcast::<Error>().unwrap())?;
        Ok::<_, Error>(all)
    };
    assert!(stored.scene.drive(read).unwrap() == content());
}
