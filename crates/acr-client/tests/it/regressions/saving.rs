//! Blobs that are saved to a file: whole under its name, or not there; and gone on with after an end before
//! the end.

use std::ffi::OsString;
use std::fs;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::process::Command;

use acr_client::{
    Credential, Digest, Error, ErrorKind, OnProgress, Outcome, ParallelRanges, Progress,
    RepositoryClient, RetryOptions, SaveBlobOptions,
};
use acr_mock::{Fault, FaultAction, FaultResponse};
use tempfile::TempDir;

use crate::regressions::downloads::content;
use crate::regressions::support::Scene;

const MIDDLE: u64 = 5_000;

/// A registry with a blob, and a folder for it.
struct Place {
    scene: Scene,
    digest: Digest,
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self::of(&content())
    }

    fn of(content: &[u8]) -> Self {
        let scene = Scene::new();
        let blob = scene
            .seed("app")
            .blob("application/octet-stream", content.to_vec());
        Self {
            scene,
            digest: blob.digest,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("layer")
    }

    /// One whose requests are repeated or not.
    fn app(&self, retry: RetryOptions) -> RepositoryClient {
        let builder = self.scene.builder(Credential::entra_token("any"));
        let client = builder.retry(retry).build().unwrap();
        client.repository_client("app").unwrap()
    }

    fn save_with(&self, options: SaveBlobOptions) -> Result<u64, Error> {
        let app = self.app(RetryOptions::none());
        let save = app.download_blob_to(&self.digest, self.file(), options);
        self.scene.drive(save)
    }

    fn save(&self) -> Result<u64, Error> {
        self.save_with(resumed())
    }

    fn inject(&self, fault: Fault) {
        self.scene.registry.inject(fault).unwrap();
    }

    /// Ends a first download after so many bytes; returns the partial file that it leaves.
    fn begin(&self, bytes: u64) -> PathBuf {
        self.inject(Fault::on_data().times(1).then(FaultAction::CutBody(bytes)));
        let error = self.save().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
        let names = names(self.folder.path());
        assert_eq!(names.len(), 1, "{names:?}");
        let partial = self.folder.path().join(&names[0]);
        assert_eq!(fs::metadata(&partial).unwrap().len(), bytes);
        self.scene.seen();
        partial
    }

    /// The ranges that the storage was asked for since the last call.
    fn asked(&self) -> Vec<String> {
        let seen = self.scene.seen();
        let data = seen
            .iter()
            .filter(|seen| seen.line.contains("data.invalid"));
        data.map(|seen| match seen.headers.get("range") {
            Some(range) => range.to_str().unwrap().to_owned(),
            None => String::new(),
        })
        .collect()
    }

    #[track_caller]
    fn assert_saved(&self) {
        assert_eq!(names(self.folder.path()), ["layer"]);
        assert!(fs::read(self.file()).unwrap() == content());
    }
}

fn resumed() -> SaveBlobOptions {
    SaveBlobOptions {
        resume: true,
        ..Default::default()
    }
}

fn names(folder: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

#[test]
fn what_has_come_of_a_download_that_ended_is_not_fetched_again() {
    for bytes in [1, MIDDLE, 9_999] {
        let place = Place::new();
        place.begin(bytes);
        assert_eq!(place.save().unwrap(), 10_000);
        place.assert_saved();
        assert_eq!(place.asked(), [format!("bytes={bytes}-")]);
    }
}

#[test]
fn a_download_goes_on_however_often_it_has_ended() {
    let place = Place::new();
    place.inject(Fault::on_data().then(FaultAction::CutBody(1_000)));
    for _ in 0..9 {
        place.save().unwrap_err();
        assert!(!place.file().exists());
    }
    place.save().unwrap();
    place.assert_saved();
}

#[test]
fn a_partial_file_that_is_complete_costs_no_request() {
    let place = Place::new();
    let partial = place.begin(MIDDLE);
    fs::write(&partial, content()).unwrap();
    let (on_progress, mut events) = OnProgress::stream();
    let options = SaveBlobOptions {
        on_progress,
        ..resumed()
    };
    assert_eq!(place.save_with(options).unwrap(), 10_000);
    place.assert_saved();
    assert!(place.scene.seen().is_empty());
    let last: Progress = place.scene.drive(events.next()).unwrap();
    assert_eq!(
        (last.bytes, last.outcome),
        (10_000, Some(Outcome::Received))
    );
}

#[test]
fn a_partial_file_that_is_wrong_is_removed_and_the_next_download_begins_anew() {
    let place = Place::new();
    let partial = place.begin(MIDDLE);
    let wrong = [
        vec![0; 5_000],
        // Longer than the blob, and as long.
        vec![0; 10_001],
        vec![0; 10_000],
    ];
    for wrong in wrong {
        fs::write(&partial, wrong).unwrap();
        let error = place.save().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error}");
        assert!(names(place.folder.path()).is_empty(), "{error}");
    }
    place.asked();
    place.save().unwrap();
    assert_eq!(place.asked(), [""]);
    place.assert_saved();
}

#[test]
fn a_partial_file_of_another_blob_is_left_alone() {
    let place = Place::new();
    let partial = place.begin(MIDDLE);
    let other = place
        .scene
        .seed("app")
        .blob("application/octet-stream", "other");
    let app = place.app(RetryOptions::none());
    let save = app.download_blob_to(&other.digest, place.file(), resumed());
    assert_eq!(place.scene.drive(save).unwrap(), 5);
    assert_eq!(fs::read(place.file()).unwrap(), b"other");
    assert_eq!(fs::metadata(partial).unwrap().len(), MIDDLE);
    place.save().unwrap();
    place.assert_saved();
}

#[test]
fn a_download_in_ranges_goes_on_where_it_ended() {
    let place = Place::new();
    place.begin(MIDDLE);
    let parallel = ParallelRanges {
        count: NonZeroUsize::new(3).unwrap(),
        size: NonZeroU64::new(2_000).unwrap(),
    };
    let options = SaveBlobOptions {
        parallel: Some(parallel),
        ..resumed()
    };
    assert_eq!(place.save_with(options).unwrap(), 10_000);
    let mut asked = place.asked();
    asked.sort();
    assert_eq!(
        asked,
        ["bytes=5000-6999", "bytes=7000-8999", "bytes=9000-9999"]
    );
    place.assert_saved();
}

#[test]
fn what_there_was_counts_as_progress_from_the_beginning() {
    let place = Place::new();
    place.begin(MIDDLE);
    let (on_progress, mut events) = OnProgress::stream();
    let options = SaveBlobOptions {
        on_progress,
        ..resumed()
    };
    place.save_with(options).unwrap();
    let mut last = None;
    while let Some(progress) = place.scene.drive(events.next()) {
        assert!(
            progress.bytes > MIDDLE && progress.total == Some(10_000),
            "{progress:?}"
        );
        last = Some(progress);
    }
    let last = last.unwrap();
    assert_eq!(
        (last.bytes, last.outcome),
        (10_000, Some(Outcome::Received))
    );
}

#[test]
fn a_file_that_cannot_take_its_name_is_not_told_to_be_there() {
    let place = Place::new();
    fs::create_dir(place.file()).unwrap();
    for resume in [false, true] {
        let (on_progress, mut events) = OnProgress::stream();
        let options = SaveBlobOptions {
            resume,
            on_progress,
            ..SaveBlobOptions::default()
        };
        let error = place.save_with(options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        while let Some(progress) = place.scene.drive(events.next()) {
            assert_eq!(progress.outcome, None);
        }
    }
}

#[test]
fn two_downloads_to_one_path_do_not_spoil_each_other() {
    let place = Place::new();
    let app = place.app(RetryOptions::none());
    place.inject(
        Fault::on_data()
            .times(1)
            .then(FaultAction::StallBody(MIDDLE)),
    );
    place.scene.drive(async {
        let mut first = Box::pin(app.download_blob_to(&place.digest, place.file(), resumed()));
        let mut second = Box::pin(app.download_blob_to(&place.digest, place.file(), resumed()));
        // The first is in the middle, and has the partial file.
        while place.scene.registry.requests().data() == 0 {
            assert!(futures_util::poll!(&mut first).is_pending());
            tokio_yield().await;
        }
        assert_eq!((&mut second).await.unwrap(), 10_000);
        assert!(fs::read(place.file()).unwrap() == content());
        let error = first.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    });
    assert_eq!(names(place.folder.path()).len(), 2);
    fs::remove_file(place.file()).unwrap();
    place.save().unwrap();
    place.assert_saved();
}

/// Gives way once, so that a thread may go on.
async fn tokio_yield() {
    let mut has_yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut has_yielded, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

#[test]
fn a_dropped_download_leaves_what_is_to_be_resumed_and_nothing_else() {
    for (resume, left) in [(true, 1), (false, 0)] {
        let place = Place::new();
        let app = place.app(RetryOptions::none());
        place.inject(
            Fault::on_data()
                .times(1)
                .then(FaultAction::StallBody(MIDDLE)),
        );
        let options = SaveBlobOptions {
            resume,
            ..Default::default()
        };
        place.scene.drive(async {
            let mut save = Box::pin(app.download_blob_to(&place.digest, place.file(), options));
            while place.scene.registry.requests().data() == 0 {
                assert!(futures_util::poll!(&mut save).is_pending());
                tokio_yield().await;
            }
            // What has come is taken, and silence follows.
            for _ in 0..9 {
                assert!(futures_util::poll!(&mut save).is_pending());
            }
        });
        assert_eq!(names(place.folder.path()).len(), left);
        if resume {
            place.asked();
            place.save().unwrap();
            assert_eq!(place.asked(), ["bytes=5000-"]);
            place.assert_saved();
        }
    }
}

#[test]
fn a_blob_that_is_not_there_leaves_nothing_even_to_be_resumed() {
    let place = Place::new();
    place.inject(Fault::on("get_blob").then(FaultResponse::not_found()));
    let error = place.save().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(names(place.folder.path()).is_empty());
}

#[test]
fn an_empty_blob_is_saved_too() {
    for options in [resumed(), SaveBlobOptions::default()] {
        let place = Place::of(b"");
        assert_eq!(place.save_with(options).unwrap(), 0);
        assert_eq!(fs::read(place.file()).unwrap(), b"");
        assert_eq!(names(place.folder.path()), ["layer"]);
    }
}

#[test]
fn a_target_that_is_a_folder_is_an_error_and_nothing_is_left_beside_it() {
    let place = Place::new();
    fs::create_dir(place.file()).unwrap();
    let error = place.save_with(SaveBlobOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert_eq!(error.operation(), Some("get_blob"));
    assert_eq!(names(place.folder.path()), ["layer"]);
}

/// Runs this test again in a process of its own, with a folder; returns whether it is that process.
fn in_child(test: &str, before: &str, folder: &Path) -> Option<std::process::ExitStatus> {
    let path = module_path!().split_once("::").unwrap().1;
    let program = std::env::current_exe().unwrap();
    // Its output is read here: a file that it might go to would be bounded too.
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!("{before} exec \"$0\" \"$@\""))
        .arg(program)
        .args([&format!("{path}::{test}"), "--exact", "--nocapture"])
        .env(CHILD, folder)
        .output()
        .ok()?;
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    Some(output.status)
}

/// The folder of a process that was started by a test.
const CHILD: &str = "ACR_CLIENT_TEST_FOLDER";

#[test]
fn a_disk_that_is_full_is_an_error_and_leaves_nothing_but_what_is_to_be_resumed() {
    if let Some(folder) = std::env::var_os(CHILD) {
        // Larger than a file may be here.
        let large = content().repeat(100);
        for (resume, left) in [(false, 0), (true, 1)] {
            let mut place = Place::of(&large);
            let inner = Path::new(&folder).join(if resume { "resume" } else { "new" });
            fs::create_dir(&inner).unwrap();
            place.folder = TempDir::new_in(inner).unwrap();
            let options = SaveBlobOptions {
                resume,
                ..Default::default()
            };
            let error = place.save_with(options).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io, "{error}");
            assert!(!place.file().exists());
            let names = names(place.folder.path());
            assert!(names.len() <= left, "{names:?}");
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // Of 512 bytes each, or of a kibibyte.
    let test = "a_disk_that_is_full_is_an_error_and_leaves_nothing_but_what_is_to_be_resumed";
    let limited = "trap '' XFSZ && ulimit -f 200 || exit 77;";
    let Some(status) = in_child(test, limited, folder.path()) else {
        return;
    };
    assert!(status.success() || status.code() == Some(77), "{status}");
}

#[test]
fn a_process_that_is_killed_leaves_what_the_next_one_goes_on_with() {
    let large = content().repeat(300);
    if let Some(folder) = std::env::var_os(CHILD) {
        let place = Place::of(&large);
        let slow = FaultAction::SlowBody {
            bytes: 100_000,
            pause: std::time::Duration::from_secs(1),
        };
        place.inject(Fault::on_data().then(slow));
        let options = SaveBlobOptions {
            on_progress: OnProgress::from(|progress: &Progress| {
                if progress.bytes > 2_000_000 {
                    std::process::exit(9);
                }
            }),
            ..resumed()
        };
        let app = place.app(RetryOptions::none());
        let file = Path::new(&folder).join("layer");
        let save = app.download_blob_to(&place.digest, file, options);
        let saved = place.scene.drive(save);
        panic!("it is not killed: {saved:?}");
    }
    let mut place = Place::of(&large);
    let test = "a_process_that_is_killed_leaves_what_the_next_one_goes_on_with";
    let Some(status) = in_child(test, "", place.folder.path()) else {
        return;
    };
    assert_eq!(status.code(), Some(9));
    let names_left = names(place.folder.path());
    assert_eq!(names_left.len(), 1);
    // What had come but for what may have been waiting for the disk.
    let partial = place.folder.path().join(&names_left[0]);
    let length = fs::metadata(&partial).unwrap().len();
    assert!(length > 1_000_000, "{length}");
    assert_eq!(place.save().unwrap(), 3_000_000);
    assert_eq!(place.asked(), [format!("bytes={length}-")]);
    assert_eq!(names(place.folder.path()), ["layer"]);
    assert!(fs::read(place.file()).unwrap() == large);
    place.folder = tempfile::tempdir().unwrap();
}

#[test]
fn a_name_as_long_as_a_file_system_takes_is_saved_to_and_resumed() {
    for name in ["n".repeat(255), "\u{fc}".repeat(127), "\u{20ac}".repeat(85)] {
        let place = Place::new();
        let file = place.folder.path().join(&name);
        for options in [SaveBlobOptions::default(), resumed()] {
            let app = place.app(RetryOptions::none());
            let save = app.download_blob_to(&place.digest, &file, options);
            assert_eq!(place.scene.drive(save).unwrap(), 10_000);
            assert_eq!(names(place.folder.path()), [OsString::from(&name)]);
            fs::remove_file(&file).unwrap();
        }
        place.inject(Fault::on_data().times(1).then(FaultAction::CutBody(MIDDLE)));
        place.scene.seen();
        let app = place.app(RetryOptions::none());
        for is_done in [false, true] {
            let save = app.download_blob_to(&place.digest, &file, resumed());
            assert_eq!(place.scene.drive(save).is_ok(), is_done);
        }
        assert!(place.asked().contains(&format!("bytes={MIDDLE}-")));
        assert!(fs::read(&file).unwrap() == content());
    }
}

#[cfg(unix)]
#[test]
fn a_partial_file_that_is_a_link_or_a_pipe_is_neither_written_to_nor_waited_for() {
    let place = Place::new();
    let partial = place.begin(MIDDLE);
    let victim = place.folder.path().join("victim");
    fs::rename(&partial, &victim).unwrap();
    std::os::unix::fs::symlink(&victim, &partial).unwrap();
    for what in ["link", "pipe"] {
        if what == "pipe" {
            fs::remove_file(&partial).unwrap();
            let made = Command::new("mkfifo").arg(&partial).status().unwrap();
            assert!(made.success());
        }
        let error = place.save().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{what}: {error}");
        assert_eq!(fs::metadata(&victim).unwrap().len(), MIDDLE);
        assert!(!place.file().exists());
    }
}
