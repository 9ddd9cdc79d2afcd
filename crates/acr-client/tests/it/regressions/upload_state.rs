use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use acr_client::{
    BlobSource, Credential, Digest, ErrorKind, Progress, UploadBlobOptions, UploadState,
};
use acr_mock::{AcrMock, Fault, FaultAction};

use crate::regressions::support::{HOST, Scene};
use crate::seeded;

const PART: u64 = 64 << 10;

fn content(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8)
        .collect()
}

fn in_parts(state_file: &Path) -> UploadBlobOptions {
    UploadBlobOptions {
        chunk_size: Some(PART),
        state_file: Some(state_file.to_owned()),
        ..UploadBlobOptions::default()
    }
}

/// Where a child uploads, by the environment.
const ENDPOINT: &str = "ACR_TEST_UPLOAD_TO";
const FOLDER: &str = "ACR_TEST_UPLOAD_FROM";
const STREAMED: &str = "ACR_TEST_UPLOAD_STREAMED";
const EVENT: &str = "event ";

/// Uploads; says each step, and waits for leave to go on.
#[test]
#[ignore = "is run by the test that kills it"]
fn child_that_uploads() {
    let Ok(endpoint) = std::env::var(ENDPOINT) else {
        return;
    };
    let folder = PathBuf::from(std::env::var(FOLDER).unwrap());
    let authority = std::fs::read(folder.join("ca.pem")).unwrap();
    let client = seeded::builder(endpoint)
        .credential(Credential::entra_token("any"))
        .hyper(|hyper| hyper.root_certificate_pem(authority))
        .build_blocking();
    let app = client.unwrap().repository_client("app").unwrap();
    let mut options = in_parts(&folder.join("state"));
    if std::env::var(STREAMED).is_ok() {
        options.chunk_size = None;
    }
    options.on_progress = (|progress: &Progress| {
        println!("{EVENT}{} {}", progress.acknowledged, progress.bytes);
        std::io::stdout().flush().unwrap();
        std::io::stdin().read_exact(&mut [0]).unwrap();
    })
    .into();
    app.upload_blob_with(folder.join("layer"), options).unwrap();
}

/// Lets a child go this many steps, and kills it then; returns whether it was done before.
fn lives_for(steps: usize, endpoint: &str, folder: &Path, is_streamed: bool) -> bool {
    let name = format!(
        "{}::child_that_uploads",
        module_path!().split_once("::").unwrap().1
    );
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            &name,
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(ENDPOINT, endpoint)
        .env(FOLDER, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if is_streamed {
        command.env(STREAMED, "1");
    }
    let mut child: Child = command.spawn().unwrap();
    let (mut leave, told) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let events = BufReader::new(told).lines().map(Result::unwrap);
    let events = events.filter(|line| line.contains(EVENT)).take(steps);
    for (at, _) in events.enumerate() {
        // It is killed while it waits for leave to go on.
        if at + 1 < steps {
            drop(leave.write_all(b"\n"));
        }
    }
    if steps < usize::MAX {
        child.kill().unwrap();
    }
    child.wait().unwrap().success()
}

#[test]
fn an_upload_whose_process_is_killed_again_and_again_goes_on_in_the_next() {
    for (length, is_streamed) in [(20 * PART as usize + 5, false), (5 << 20, true)] {
        let mock = AcrMock::start().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let content = content(length);
        std::fs::write(folder.path().join("layer"), &content).unwrap();
        std::fs::write(folder.path().join("ca.pem"), mock.ca_pem().unwrap()).unwrap();
        let mut random = fastrand::Rng::with_seed(8);
        for kill in 0..8 {
            // A streamed request has more than that.
            let steps = random.usize(1..7);
            let is_done = lives_for(steps, &mock.endpoint(), folder.path(), is_streamed);
            assert!(!is_done, "killed {kill} times with the seed 8");
        }
        assert!(lives_for(
            usize::MAX,
            &mock.endpoint(),
            folder.path(),
            is_streamed
        ));
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 2, "{left:?}");
        let requests = mock.registry().requests();
        if !is_streamed {
            // Each kill costs at most the part that was on its way.
            let parts = requests.of("upload_chunk").unwrap();
            assert!(parts <= 20 + 8, "{parts}");
            // One, and the same without a token, which is challenged.
            assert_eq!(requests.of("start_upload").unwrap(), 2);
        }
        let client = seeded::builder(mock.endpoint())
            .credential(Credential::entra_token("any"))
            .hyper(|hyper| hyper.root_certificate_pem(mock.ca_pem().unwrap()))
            .build_blocking();
        let app = client.unwrap().repository_client("app").unwrap();
        let found = app.head_blob(Digest::sha256(&content)).unwrap().unwrap();
        assert_eq!(found.size, content.len() as u64);
    }
}

/// A request of unknown fate is sent again from its beginning: where it is the only one, nothing can be gone on with.
#[test]
fn an_upload_whose_state_is_kept_is_not_one_request_that_a_killed_process_loses() {
    let scene = Scene::new();
    let folder = tempfile::tempdir().unwrap();
    let content = content(33 << 20);
    let layer = folder.path().join("layer");
    std::fs::write(&layer, &content).unwrap();
    let options = || UploadBlobOptions {
        state_file: Some(folder.path().join("state")),
        ..UploadBlobOptions::default()
    };
    let app = scene.owner().repository_client("app").unwrap();
    let fault = Fault::on("upload_chunk").after(1).then(FaultAction::Reset);
    let fault = scene.registry.inject(fault).unwrap();
    let uploaded = app.upload_blob_with(layer.as_path(), options());
    let error = scene.drive(uploaded).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
    fault.remove();
    let state = std::fs::read(folder.path().join("state")).unwrap();
    let state: UploadState = serde_json::from_slice(&state).unwrap();
    assert_eq!(state.offset(), Some(16 << 20));
    let uploaded = app.upload_blob_with(layer.as_path(), options());
    assert_eq!(
        scene.drive(uploaded).unwrap().digest,
        Digest::sha256(&content)
    );
    assert_eq!(scene.count("start_upload"), 1);
}

/// An upload that has ended by an error after two parts, and its state.
fn broken_off(scene: &Scene, folder: &Path) -> (Vec<u8>, PathBuf) {
    let app = scene.owner().repository_client("app").unwrap();
    let content = content(5 * PART as usize + 1);
    std::fs::write(folder.join("layer"), &content).unwrap();
    let state = folder.join("state");
    let fault = Fault::on("upload_chunk").after(2).then(FaultAction::Reset);
    let fault = scene.registry.inject(fault).unwrap();
    let uploaded = app.upload_blob_with(folder.join("layer"), in_parts(&state));
    let error = scene.drive(uploaded).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
    fault.remove();
    (content, state)
}

#[test]
fn a_process_that_is_killed_while_it_writes_the_state_leaves_one_that_can_be_gone_on_with() {
    let whole = {
        let folder = tempfile::tempdir().unwrap();
        let (_, state) = broken_off(&Scene::new(), folder.path());
        std::fs::read(state).unwrap()
    };
    for cut in [0, 1, whole.len() / 2, whole.len() - 1, whole.len()] {
        let scene = Scene::new();
        let folder = tempfile::tempdir().unwrap();
        let (content, state) = broken_off(&scene, folder.path());
        // The new state was not written to its end, or not renamed.
        std::fs::write(folder.path().join("state.new"), &whole[..cut]).unwrap();
        let app = scene.owner().repository_client("app").unwrap();
        let before = scene.count("upload_chunk");
        let uploaded = app.upload_blob_with(folder.path().join("layer"), in_parts(&state));
        let blob = scene.drive(uploaded).unwrap();
        assert_eq!(blob.digest, Digest::sha256(&content));
        assert_eq!(scene.count("upload_chunk") - before, 3, "{cut}");
        assert_eq!(scene.count("start_upload"), 1, "{cut}");
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}

#[test]
fn a_state_of_an_upload_that_is_lost_or_of_another_source_begins_anew() {
    for change in ["lost", "changed"] {
        let scene = Scene::new();
        let folder = tempfile::tempdir().unwrap();
        let (_, state) = broken_off(&scene, folder.path());
        let path = folder.path().join("layer");
        if change == "lost" {
            scene.clock.advance(std::time::Duration::from_secs(86_400));
        } else {
            std::fs::write(&path, content(3 * PART as usize)).unwrap();
        }
        let app = scene.owner().repository_client("app").unwrap();
        let uploaded = app.upload_blob_with(path.as_path(), in_parts(&state));
        let blob = scene.drive(uploaded).unwrap();
        assert_eq!(blob.digest, Digest::sha256(std::fs::read(&path).unwrap()));
        assert_eq!(scene.count("start_upload"), 2, "{change}");
        assert!(!state.exists());
    }
}

#[test]
fn a_state_file_that_is_something_else_is_refused_and_left_as_it_is() {
    let scene = Scene::new();
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("notes");
    let app = scene.owner().repository_client("app").unwrap();
    for text in ["", "the only copy", "{}", r#"{"location":"nowhere"}"#] {
        std::fs::write(&state, text).unwrap();
        let uploaded = scene.drive(app.upload_blob_with(b"layer", in_parts(&state)));
        let error = uploaded.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert_eq!(std::fs::read_to_string(&state).unwrap(), text);
        assert!(scene.seen().is_empty());
    }
}

#[cfg(unix)]
#[test]
fn a_state_can_be_read_by_its_owner_alone_and_tells_nothing_in_a_log() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (_, state) = broken_off(&Scene::new(), folder.path());
    let mode = std::fs::metadata(&state).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(&state).unwrap();
    let state: UploadState = serde_json::from_str(&text).unwrap();
    assert_eq!(state.offset(), Some(2 * PART));
    let shown = format!("{state:?}");
    assert!(
        !shown.contains("_state") && !shown.contains("digest"),
        "{shown}"
    );
}

#[test]
fn an_upload_that_was_kept_is_completed_from_any_source_of_the_same_content() {
    let scene = Scene::new();
    let app = scene.owner().repository_client("app").unwrap();
    let content = content(3 * PART as usize + 7);
    for (held, is_once, knows_digest) in [
        (0, false, false),
        (PART as usize, false, false),
        (PART as usize, true, false),
        (PART as usize + 9, false, true),
        (content.len(), false, false),
        (content.len(), true, false),
    ] {
        let state = scene.drive(async {
            let mut upload = app.start_upload().await.unwrap();
            if held > 0 {
                upload.append(content[..held].to_vec()).await.unwrap();
            }
            let text = serde_json::to_string(&upload.state()).unwrap();
            serde_json::from_str::<UploadState>(&text).unwrap()
        });
        let source = match is_once {
            true => BlobSource::reader(std::io::Cursor::new(content.clone())),
            false => BlobSource::from(&content),
        };
        let options = UploadBlobOptions {
            chunk_size: Some(PART),
            digest: knows_digest.then(|| Digest::sha256(&content)),
            ..UploadBlobOptions::default()
        };
        scene.seen();
        let blob = scene.drive(async {
            let mut upload = app.resume_upload(state).await?;
            upload.complete_from(source, options).await
        });
        assert_eq!(blob.unwrap().digest, Digest::sha256(&content), "{held}");
        let sent: usize = scene.seen().iter().map(|seen| seen.body.len()).sum();
        assert!(sent < content.len() - held + 10_000, "{held}: {sent}");
    }
}

#[test]
fn an_upload_is_not_completed_from_a_source_with_fewer_bytes_than_the_registry_holds() {
    let scene = Scene::new();
    let app = scene.owner().repository_client("app").unwrap();
    for is_once in [false, true] {
        let mut upload = scene.drive(app.start_upload()).unwrap();
        scene.drive(upload.append("0123456789")).unwrap();
        let source = match is_once {
            true => BlobSource::reader(&b"01234"[..]),
            false => BlobSource::from(b"01234"),
        };
        let completed = upload.complete_from(source, UploadBlobOptions::default());
        let error = scene.drive(completed).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        assert_eq!(error.operation(), Some("complete_upload"));
        // It is its owner's to cancel.
        assert_eq!(scene.count("cancel_upload"), 0);
    }
}

#[test]
fn a_state_of_an_upload_to_another_repository_or_registry_is_neither_sent_there_nor_gone_on_with() {
    for (endpoint, repository) in [
        (format!("https://{HOST}"), "other"),
        ("https://other.azurecr.io".to_owned(), "app"),
    ] {
        let scene = Scene::new();
        let folder = tempfile::tempdir().unwrap();
        let (content, state) = broken_off(&scene, folder.path());
        let kept: UploadState = serde_json::from_slice(&std::fs::read(&state).unwrap()).unwrap();
        let of_kept = kept.location().as_str().to_owned();
        scene.seen();

        let builder = scene.builder_at(&endpoint, Credential::entra_token("of the owner"));
        let builder = builder.assume_azure_auth(true);
        let other = builder
            .build()
            .unwrap()
            .repository_client(repository)
            .unwrap();
        let error = scene.drive(other.resume_upload(kept)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("app of the registry"), "{error}");
        assert!(!format!("{error} {error:?}").contains("_state"), "{error}");
        assert!(scene.seen().is_empty());

        let uploaded = other.upload_blob_with(folder.path().join("layer"), in_parts(&state));
        let blob = scene.drive(uploaded).unwrap();
        assert!(
            scene
                .seen()
                .iter()
                .all(|seen| !seen.line.contains(&of_kept))
        );
        let found = scene.drive(other.head_blob(&blob.digest)).unwrap();
        assert_eq!(found.unwrap().size, content.len() as u64);
        assert!(!state.exists());
    }
}

#[test]
fn what_is_too_large_for_a_state_or_names_no_file_is_refused_before_anything_is_read_or_sent() {
    let scene = Scene::new();
    let folder = tempfile::tempdir().unwrap();
    let large = folder.path().join("large");
    // A hole, and more than any memory.
    let file = std::fs::File::create(&large).unwrap();
    file.set_len(1 << 42).unwrap();
    let app = scene.owner().repository_client("app").unwrap();
    for path in [
        large.as_path(),
        folder.path(),
        Path::new(""),
        Path::new(".."),
    ] {
        let uploaded = scene.drive(app.upload_blob_with(b"layer", in_parts(path)));
        let error = uploaded.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{path:?} {error}");
        assert!(scene.seen().is_empty());
    }
}

#[test]
fn an_upload_whose_state_cannot_be_kept_is_cancelled() {
    let scene = Scene::new();
    let folder = tempfile::tempdir().unwrap();
    let app = scene.owner().repository_client("app").unwrap();
    let nowhere = folder.path().join("missing").join("state");
    let content = content(2 * PART as usize);
    let uploaded = scene.drive(app.upload_blob_with(content, in_parts(&nowhere)));
    let error = uploaded.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert_eq!(scene.count("start_upload"), scene.count("cancel_upload"));
}

#[test]
fn a_state_that_cannot_take_its_name_is_not_left_under_another_one() {
    let scene = Scene::new();
    let folder = tempfile::tempdir().unwrap();
    let app = scene.owner().repository_client("app").unwrap();
    let state = folder.path().join("state");
    let mut options = in_parts(&state);
    let in_the_way = state.clone();
    options.on_progress = (move |_: &Progress| {
        drop(std::fs::remove_file(&in_the_way));
        drop(std::fs::create_dir(&in_the_way));
    })
    .into();
    let uploaded = scene.drive(app.upload_blob_with(content(2 * PART as usize), options));
    let error = uploaded.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn content_of_the_same_length_is_not_taken_for_that_of_the_state() {
    let whole = content(5 * PART as usize + 1);
    let mut other = whole.clone();
    other[7] ^= 1;
    let reopen = |content: &Vec<u8>| {
        let content = content.clone();
        BlobSource::reopen(content.len() as u64, move |at| {
            let rest = content[usize::try_from(at).unwrap()..].to_vec();
            Ok(Box::new(std::io::Cursor::new(rest)))
        })
    };
    for (is_same, reopens, was_file) in [
        (true, false, false),
        (true, true, false),
        (false, false, false),
        (false, true, false),
        (false, true, true),
    ] {
        let scene = Scene::new();
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let app = scene.owner().repository_client("app").unwrap();
        if was_file {
            broken_off(&scene, folder.path());
        } else {
            let fault = Fault::on("upload_chunk").after(2).then(FaultAction::Reset);
            let fault = scene.registry.inject(fault).unwrap();
            let uploaded = app.upload_blob_with(whole.clone(), in_parts(&state));
            scene.drive(uploaded).unwrap_err();
            fault.remove();
        }
        let now = if is_same { &whole } else { &other };
        let source = match reopens {
            true => reopen(now),
            false => BlobSource::from(now),
        };
        let before = scene.count("upload_chunk");
        let uploaded = scene.drive(app.upload_blob_with(source, in_parts(&state)));
        let blob = uploaded.unwrap();
        assert_eq!(blob.digest, Digest::sha256(now), "{reopens} {was_file}");
        let sent = scene.count("upload_chunk") - before;
        assert_eq!(sent, if is_same { 3 } else { 5 });
    }
}

#[test]
fn an_upload_is_not_completed_from_other_content_of_the_same_length() {
    let scene = Scene::new();
    let app = scene.owner().repository_client("app").unwrap();
    let whole = content(5 * PART as usize + 1);
    let mut other = whole.clone();
    other[7] ^= 1;
    let options = || UploadBlobOptions {
        chunk_size: Some(PART),
        ..UploadBlobOptions::default()
    };
    let mut upload = scene.drive(app.start_upload()).unwrap();
    let fault = Fault::on("upload_chunk").after(2).then(FaultAction::Reset);
    let fault = scene.registry.inject(fault).unwrap();
    let completed = upload.complete_from(&whole, options());
    scene.drive(completed).unwrap_err();
    fault.remove();
    let completed = upload.complete_from(&other, options());
    let error = scene.drive(completed).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    let completed = upload.complete_from(&whole, options());
    let blob = scene.drive(completed).unwrap();
    assert_eq!(blob.digest, Digest::sha256(&whole));
}
