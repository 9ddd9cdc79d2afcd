use std::fs;
use std::io::{self, Cursor};
use std::path::Path;

use acr_client::{BlobSource, Digest, Error, HashOn, UploadBlobOptions};
use acr_mock::{FaultAction, FaultResponse};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::stream;
use http_body_util::{BodyExt as _, Empty};
use proptest::prelude::*;
use tempfile::NamedTempFile;

use super::{Scene, Strike, content, for_all, lasting, passing, places, sizes, strikes};

/// An upload, and what befalls it.
#[derive(Clone, Debug)]
struct Upload {
    size: usize,
    source: Source,
    chunk_size: Option<u64>,
    hash_on: HashOn,
    skip_existing: Option<bool>,
    /// Whether the digest is given.
    is_known: bool,
    /// Whether the blob is there already.
    is_there: bool,
    strikes: Vec<Strike>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Bytes,
    File,
    Reopen,
    Reader,
    Stream,
}

const TARGETS: [&str; 8] = [
    "start_upload",
    "upload_chunk",
    "upload_chunk",
    "complete_upload",
    "get_upload_status",
    "head_blob",
    "cancel_upload",
    "request_access_token",
];

fn uploads(actions: impl Fn(usize) -> BoxedStrategy<FaultAction>) -> impl Strategy<Value = Upload> {
    sizes().prop_flat_map(move |size| {
        let source = prop_oneof![
            Just(Source::Bytes),
            Just(Source::File),
            Just(Source::Reopen),
            Just(Source::Reader),
            Just(Source::Stream),
        ];
        // Not so short that the chunks are too many for a quick test.
        let chunk_size = prop::option::of((size as u64 / 20).max(1)..=size as u64 + 1);
        let hash_on = prop_oneof![Just(HashOn::Caller), Just(HashOn::Thread)];
        let skip_existing = prop::option::of(any::<bool>());
        let strikes = strikes(&TARGETS, actions(size));
        let how = (chunk_size, hash_on, skip_existing);
        (
            source,
            how,
            any::<bool>(),
            prop::bool::weighted(0.1),
            strikes,
        )
            .prop_map(move |(source, how, is_known, is_there, strikes)| Upload {
                size,
                source,
                chunk_size: how.0,
                hash_on: how.1,
                skip_existing: how.2,
                // What can be read once can be asked for only by its digest.
                is_known: is_known || (how.2 == Some(true) && source.is_read_once()),
                is_there,
                strikes,
            })
    })
}

/// What an upload overcomes, if its source can be read again.
fn overcome(size: usize) -> BoxedStrategy<FaultAction> {
    prop_oneof![
        4 => passing(),
        2 => places(size).prop_map(FaultAction::ResetAfterTaking),
        1 => Just(FaultAction::LoseUpload),
        1 => Just(FaultAction::CorruptUpload),
        1 => Just(FaultResponse::stale_location().into()),
    ]
    .boxed()
}

fn any_action(size: usize) -> BoxedStrategy<FaultAction> {
    prop_oneof![
        4 => overcome(size),
        2 => lasting(),
        1 => places(size).prop_map(FaultAction::RefuseBodyOver),
        1 => places(size).prop_map(FaultAction::ResetBodyOver),
        1 => places(size).prop_map(FaultAction::AnnounceLength),
    ]
    .boxed()
}

#[test]
fn an_upload_is_the_right_bytes_once_or_an_error() {
    for_all(64, &uploads(any_action), |upload| upload.check().map(drop));
}

#[test]
fn an_upload_overcomes_what_passes() {
    for_all(64, &uploads(overcome), |mut upload| {
        upload.strikes.truncate(2);
        for strike in &mut upload.strikes {
            strike.times = 1;
        }
        let is_read_once = upload.source.is_read_once();
        upload.strikes.retain(|strike| match strike.action {
            // What was sent and lost cannot be read again.
            FaultAction::LoseUpload | FaultAction::CorruptUpload => !is_read_once,
            // To ask for the place is never out of place.
            action if action == FaultResponse::stale_location().into() => {
                strike.on != "get_upload_status"
            }
            _ => true,
        });
        let outcome = upload.check()?;
        prop_assert!(outcome.is_ok(), "{outcome:?}");
        Ok(())
    });
}

impl Upload {
    /// Carries it out, and holds what the registry has to what it must have.
    fn check(&self) -> Result<Result<(), Error>, TestCaseError> {
        let scene = Scene::new(false);
        let bytes = content(self.size);
        let digest = Digest::sha256(&bytes);
        if self.is_there {
            let blob = scene.registry.seed("app").unwrap();
            let _descriptor = blob.blob("application/octet-stream", bytes.clone());
        }
        for strike in &self.strikes {
            strike.at(&scene);
        }
        let options = UploadBlobOptions {
            chunk_size: self.chunk_size,
            hash_on: self.hash_on,
            skip_existing: self.skip_existing,
            digest: self.is_known.then(|| digest.clone()),
            ..UploadBlobOptions::default()
        };
        let file = NamedTempFile::new().unwrap();
        let source = self.source.of(&bytes, file.path());
        let upload = scene.repository.upload_blob_with(source, options);
        let outcome = scene.clock.drive(upload);
        let held = scene.registry.statistics();
        prop_assert!(held.blobs <= 1, "{} blobs", held.blobs);
        match outcome {
            Err(error) => Ok(Err(error)),
            Ok(descriptor) => {
                prop_assert_eq!(&descriptor.digest, &digest);
                // How long a source is that was not read, because the blob is there, the registry says.
                if !(self.is_there && self.source.is_read_once()) {
                    prop_assert_eq!(descriptor.size, self.size as u64);
                }
                prop_assert!(scene.blob(&digest) == bytes, "other bytes");
                Ok(Ok(()))
            }
        }
    }
}

impl Source {
    fn is_read_once(self) -> bool {
        matches!(self, Self::Reader | Self::Stream)
    }

    /// A source of these bytes, which may use a file.
    fn of(self, bytes: &Bytes, file: &Path) -> BlobSource {
        let bytes = bytes.clone();
        match self {
            Self::Bytes => BlobSource::bytes(bytes),
            Self::File => {
                fs::write(file, &bytes).unwrap();
                BlobSource::file(file)
            }
            Self::Reader => BlobSource::reader(Cursor::new(bytes)),
            Self::Stream => {
                let pieces: Vec<_> = bytes.chunks(7_777).map(Bytes::copy_from_slice).collect();
                BlobSource::stream(stream::iter(pieces.into_iter().map(io::Result::Ok)))
            }
            Self::Reopen => BlobSource::reopen(bytes.len() as u64, move |offset| {
                let mut reader = Cursor::new(bytes.clone());
                reader.set_position(offset);
                Ok(Box::new(reader))
            }),
        }
    }
}

impl Scene {
    /// The bytes of a blob, as a request without faults and without the client reads them.
    fn blob(&self, digest: &Digest) -> Bytes {
        self.registry.clear_faults();
        let token = self.registry.access_token("repository:app:pull").unwrap();
        let request = http::Request::get(format!("https://mock.azurecr.io/v2/app/blobs/{digest}"))
            .header("authorization", format!("Bearer {token}"))
            .body(Empty::<Bytes>::new())
            .unwrap();
        let response = self.registry.handle(request).now_or_never().unwrap();
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().now_or_never().unwrap();
        body.unwrap().to_bytes()
    }
}
