//! Whole images: pushed while each request is delayed, and copied within a registry.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use acr_client::protocol::ImageManifest;
use acr_client::{Descriptor, Digest, Manifest, MediaType};
use serde_json::json;

use super::Bench;
use super::bytes::{BLOCK, blocks};
use super::contest::{Contest, Contestant};
use super::figures::{Figures, Kind};
use super::requests::SIGN_IN;
use super::servers::{self, Server, Settings};
use super::task::{Task, Work};
use crate::Result;

/// Layers of the image that is pushed, and of the one that is copied; each has 1 MiB.
const PUSHED: u64 = 100;
const COPIED: u64 = 50;
/// Milliseconds by which each response is delayed.
const DELAY: u64 = 5;
const ROUNDS: usize = 3;

pub(super) fn measure(bench: &Bench, figures: &mut Figures) -> Result<()> {
    push(bench, figures)?;
    copy(bench, figures)
}

fn push(bench: &Bench, figures: &mut Figures) -> Result<()> {
    let layout = bench.folder.path().join("pushed");
    write(&layout, PUSHED)?;
    let mut requests = 0;
    let run = |concurrency| {
        let mut mock = Server::start(&Settings {
            kind: servers::Kind::Mock,
            delay: DELAY,
            ..Settings::default()
        })?;
        let layout = layout.clone();
        let work = Work::PushImage {
            layout,
            concurrency,
        };
        let cost = Task::at(&mock.place, work).run()?;
        Ok::<_, crate::Failure>((cost, mock.requests()?))
    };
    let contestants: Vec<Contestant<'_>> = vec![
        (
            "concurrent",
            Box::new(|| {
                let (cost, counts) = run(None)?;
                requests = beside_sign_in(&counts);
                println!("requests: {counts:?}");
                Ok(cost)
            }),
        ),
        ("one by one", Box::new(|| Ok(run(Some(1))?.0))),
    ];
    let title = format!("push of {PUSHED} layers, {DELAY} ms a request");
    let speed = Contest::run(&*title, ROUNDS, contestants)?.speed("concurrent", "one by one");
    let name = format!("times one after the other, {title}");
    figures.at_least(5.0, Kind::Other, &name, speed);
    // A blob is asked for, started and completed; so is the config. The manifest is asked for and set. The first request
    // of all is refused, which tells how to sign in.
    let needed = 3 * (PUSHED + 1) + 3;
    let name = format!("requests, {title}");
    figures.at_most(needed as f64, Kind::Other, &name, Some(requests as f64));
    Ok(())
}

fn copy(bench: &Bench, figures: &mut Figures) -> Result<()> {
    let layout = bench.folder.path().join("copied");
    write(&layout, COPIED)?;
    let mut mock = Server::mock(false, 0)?;
    let push = Work::PushImage {
        layout,
        concurrency: None,
    };
    Task::at(&mock.place, push).run()?;
    mock.requests()?;
    let mut counted = |title: &str| {
        let cost = Task::at(&mock.place, Work::CopyImage).run()?;
        let counts = mock.requests()?;
        println!("{title}: {:.3} s, requests: {counts:?}", cost.seconds);
        Ok::<_, crate::Failure>(counts)
    };
    let title = format!("copy of {COPIED} layers within the registry");
    let counts = counted(&title)?;
    let of = |names: &[&str]| {
        let counts = names.iter().filter_map(|name| counts.get(*name));
        Some(counts.sum::<u64>() as f64)
    };
    let most = COPIED as f64 + 1.0;
    let name = format!("mounts, the config's with them, {title}");
    figures.at_most(most, Kind::Other, &name, of(&["mount_blob"]));
    let with_bytes = of(&[
        "start_upload",
        "upload_chunk",
        "complete_upload",
        "get_blob",
        "data",
    ]);
    let name = format!("requests of blobs' bytes, {title}");
    figures.at_most(0.0, Kind::Other, &name, with_bytes);
    let counts = counted(&format!("{title}, again"))?;
    // The manifest of the source says what to ask for.
    let asking = ["get_manifest", "head_blob", "head_manifest"];
    let asking: u64 = asking.iter().filter_map(|name| counts.get(*name)).sum();
    let others = beside_sign_in(&counts) - asking;
    let name = format!("requests that do more than ask, {title}, again");
    figures.at_most(0.0, Kind::Other, &name, Some(others as f64));
    Ok(())
}

fn beside_sign_in(counts: &BTreeMap<String, u64>) -> u64 {
    let counts = counts
        .iter()
        .filter(|(name, _)| !SIGN_IN.contains(&&***name));
    counts.map(|(_, count)| count).sum()
}

/// Writes an OCI image layout with an image `v1`.
fn write(folder: &Path, layers: u64) -> Result<()> {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let blob = |media_type: MediaType, bytes: &[u8]| {
        let digest = Digest::sha256(bytes);
        fs::write(blobs.join(digest.hex()), bytes)?;
        Ok::<_, crate::Failure>(Descriptor::new(media_type, digest, bytes.len() as u64))
    };
    let layer = |number: u64| {
        let mut bytes: Vec<u8> = blocks(BLOCK).flatten().collect();
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        blob(MediaType::OCI_LAYER, &bytes)
    };
    let layers = (0..layers).map(layer).collect::<Result<_>>()?;
    let config = blob(MediaType::OCI_CONFIG, b"{}")?;
    let manifest = Manifest::try_from(&ImageManifest::new(config, layers))?;
    let image = blob(manifest.media_type.clone(), &manifest.bytes)?;
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": image.media_type,
            "digest": image.digest,
            "size": image.size,
            "annotations": { "org.opencontainers.image.ref.name": "v1" },
        }],
    });
    fs::write(folder.join("index.json"), index.to_string())?;
    fs::write(
        folder.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    Ok(())
}
