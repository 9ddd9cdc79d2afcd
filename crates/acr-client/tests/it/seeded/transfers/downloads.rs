use std::fs;
use std::io;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::Path;

use acr_client::{
    Digest, DownloadBlobOptions, Error, ErrorKind, ParallelRanges, RepositoryClient,
    SaveBlobOptions,
};
use acr_mock::{FaultAction, FaultResponse};
use proptest::prelude::*;

use super::{DATA, Scene, Strike, content, for_all, lasting, passing, places, sizes, strikes};

/// A download, and what befalls it.
#[derive(Clone, Debug)]
struct Download {
    size: usize,
    way: Way,
    parallel: Option<ParallelRanges>,
    /// Whether storage sends the bytes, or the registry itself.
    redirects: bool,
    strikes: Vec<Strike>,
}

/// Where the bytes go.
#[derive(Clone, Copy, Debug)]
enum Way {
    Memory,
    /// To a writer that takes so many bytes.
    Writer(u64),
    File,
    /// To a file, whose first part is kept where the download ends early; called until it is there.
    Resumed,
}

const TARGETS: [&str; 5] = [DATA, DATA, "get_blob", "get_blob", "request_access_token"];

fn downloads(
    actions: impl Fn(usize) -> BoxedStrategy<FaultAction>,
) -> impl Strategy<Value = Download> {
    sizes().prop_flat_map(move |size| {
        let way = prop_oneof![
            2 => Just(Way::Memory),
            1 => places(size).prop_map(Way::Writer),
            2 => Just(Way::File),
            1 => Just(Way::Resumed),
        ];
        let ranges = (1_usize..5, (size as u64 / 20).max(1)..=size as u64 + 1);
        let ranges = ranges.prop_map(|(count, size)| ParallelRanges {
            count: NonZeroUsize::new(count).unwrap(),
            size: NonZeroU64::new(size).unwrap(),
        });
        let strikes = strikes(&TARGETS, actions(size));
        (way, prop::option::of(ranges), any::<bool>(), strikes).prop_map(
            move |(way, parallel, redirects, strikes)| Download {
                size,
                way,
                parallel,
                redirects,
                strikes,
            },
        )
    })
}

/// What a download overcomes.
fn overcome(size: usize) -> BoxedStrategy<FaultAction> {
    prop_oneof![
        4 => passing(),
        2 => places(size).prop_map(FaultAction::CutBody),
        2 => places(size).prop_map(FaultAction::StallBody),
        2 => Just(FaultAction::IgnoreRange),
        2 => Just(FaultAction::ChangeEtag),
        1 => Just(FaultResponse::expired_url().into()),
    ]
    .boxed()
}

fn any_action(size: usize) -> BoxedStrategy<FaultAction> {
    prop_oneof![
        4 => overcome(size),
        2 => lasting(),
        1 => places(size).prop_map(FaultAction::FlipByte),
        1 => places(size).prop_map(FaultAction::ExtendBody),
        1 => places(size).prop_map(FaultAction::AnnounceLength),
    ]
    .boxed()
}

#[test]
fn a_download_is_the_right_bytes_once_or_an_error_and_nothing() {
    for_all(64, &downloads(any_action), |download| {
        download.check().map(drop)
    });
}

#[test]
fn a_download_overcomes_what_passes() {
    for_all(64, &downloads(overcome), |mut download| {
        download.strikes.truncate(2);
        for strike in &mut download.strikes {
            strike.times = 1;
        }
        if download.parallel.is_some() {
            // A server that has given one range and then the whole is none that ranges can be had from at once.
            let ignores = |strike: &Strike| strike.action == FaultAction::IgnoreRange;
            download.strikes.retain(|strike| !ignores(strike));
        }
        let outcome = download.check()?;
        let is_full = matches!(download.way, Way::Writer(room) if room < download.size as u64);
        match outcome {
            Err(error) if is_full && error.kind() == ErrorKind::Io => {}
            outcome => prop_assert!(outcome.is_ok() && !is_full, "{outcome:?}"),
        }
        Ok(())
    });
}

impl Download {
    /// Carries it out, and holds what is left to what must be.
    fn check(&self) -> Result<Result<(), Error>, TestCaseError> {
        let scene = Scene::new(self.redirects);
        let bytes = content(self.size);
        let blob = scene.registry.seed("app").unwrap();
        let digest = blob.blob("application/octet-stream", bytes.clone()).digest;
        for strike in &self.strikes {
            strike.at(&scene);
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("layer");
        let left = || fs::read_dir(folder.path()).unwrap().count();
        let repository = &scene.repository;
        let outcome = match self.way {
            Way::Memory => scene
                .clock
                .drive(self.read(repository, &digest))
                .map(|got| {
                    prop_assert!(got == bytes, "other bytes");
                    Ok(())
                }),
            Way::Writer(room) => {
                let mut writer = Room {
                    left: room,
                    bytes: Vec::new(),
                };
                let written = scene
                    .clock
                    .drive(self.write(repository, &digest, &mut writer));
                written.map(|count| {
                    prop_assert!(writer.bytes == bytes && count == self.size as u64);
                    Ok(())
                })
            }
            Way::File | Way::Resumed => {
                let resume = matches!(self.way, Way::Resumed);
                let save = || {
                    scene
                        .clock
                        .drive(self.save(repository, &digest, &file, resume))
                };
                let mut saved = save();
                // What cannot be overcome passes with so many calls.
                for _ in 0..20 {
                    if resume && let Err(error) = &saved {
                        let is_wrong = error.kind() == ErrorKind::DigestMismatch;
                        prop_assert!(
                            !file.exists() && left() <= usize::from(!is_wrong),
                            "{error}"
                        );
                        saved = save();
                    }
                }
                if resume {
                    prop_assert!(saved.is_ok(), "{saved:?}");
                }
                match saved {
                    Err(error) => {
                        prop_assert_eq!(left(), 0, "{}", error);
                        Err(error)
                    }
                    Ok(count) => {
                        prop_assert_eq!((count, left()), (self.size as u64, 1));
                        prop_assert!(fs::read(&file).unwrap() == bytes, "other bytes");
                        Ok(Ok(()))
                    }
                }
            }
        };
        match outcome {
            Ok(checked) => checked.map(Ok),
            Err(error) => {
                // The signature of a URL is as good as a token.
                prop_assert!(!format!("{error:?}").contains("sig="), "{error}");
                Ok(Err(error))
            }
        }
    }

    fn options(&self) -> DownloadBlobOptions {
        DownloadBlobOptions {
            parallel: self.parallel,
            ..DownloadBlobOptions::default()
        }
    }

    async fn read(&self, from: &RepositoryClient, digest: &Digest) -> Result<Vec<u8>, Error> {
        let mut stream = from.download_blob_with(digest, self.options()).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = stream.try_next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    async fn write(
        &self,
        from: &RepositoryClient,
        digest: &Digest,
        writer: &mut Room,
    ) -> Result<u64, Error> {
        let stream = from.download_blob_with(digest, self.options()).await?;
        stream.write_to(writer).await
    }

    async fn save(
        &self,
        from: &RepositoryClient,
        digest: &Digest,
        file: &Path,
        resume: bool,
    ) -> Result<u64, Error> {
        let options = SaveBlobOptions {
            resume,
            parallel: self.parallel,
            ..SaveBlobOptions::default()
        };
        from.download_blob_to(digest, file, options).await
    }
}

/// A writer with room for so many bytes.
struct Room {
    left: u64,
    bytes: Vec<u8>,
}

impl io::Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if count == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.left -= count as u64;
        self.bytes.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
