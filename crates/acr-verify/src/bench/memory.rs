//! What a thing costs the mock in memory, by the size of its process before and after: each measure in a process of its own,
//! because what another has freed would be used again.

use std::process::Command;

use acr_mock::Registry;
use acr_protocol::{Descriptor, ImageManifest, Manifest, MediaType};

/// Resident bytes for each of many `tag`s of one manifest, for each `repository` with one small image under a tag, its 430
/// bytes included, or for each `referrer`: a manifest of 590 bytes that refers to an image, its bytes included. `None`
/// for any other thing, and where the system does not tell.
#[must_use]
pub fn measure(thing: &str) -> Option<u64> {
    match thing {
        "tag" => bytes_a_tag(1_000_000),
        "repository" => bytes_a_repository(100_000),
        "referrer" => bytes_a_referrer(100_000),
        _ => None,
    }
}

/// The same in a process of its own: this program, called with `bench memory` and the thing's name.
pub(super) fn measure_apart(thing: &str) -> Option<f64> {
    let mut measure = Command::new(std::env::current_exe().ok()?);
    let output = measure.args(["bench", "memory", thing]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.trim().parse().ok()
}

/// Resident bytes for each of `count` tags of one manifest.
fn bytes_a_tag(count: u64) -> Option<u64> {
    let registry = Registry::new();
    let app = registry.seed("samples/app").ok()?;
    let image = app.image("v1").ok()?;
    grown_by(count, || {
        (0..count).try_for_each(|number| {
            let tag = format!("build-{number}");
            app.manifest(Some(&tag), &image).map(drop).ok()
        })
    })
}

fn bytes_a_repository(count: u64) -> Option<u64> {
    let registry = Registry::new();
    grown_by(count, || {
        (0..count).try_for_each(|number| {
            let app = registry.seed(format!("samples/app-{number}")).ok()?;
            let config = app.blob(MediaType::OCI_CONFIG, format!("{{\"number\":{number}}}"));
            let layer = app.blob(MediaType::OCI_LAYER_GZIP, format!("layer {number}"));
            let image = Manifest::try_from(&ImageManifest::new(config, vec![layer])).ok()?;
            app.manifest(Some("v1"), &image).map(drop).ok()
        })
    })
}

/// The referrers have the empty config and a layer in common.
fn bytes_a_referrer(count: u64) -> Option<u64> {
    let registry = Registry::new();
    let app = registry.seed("samples/app").ok()?;
    let subject = app.image("v1").ok()?.digest;
    let config = app.blob(MediaType::OCI_EMPTY, "{}");
    let layer = app.blob(MediaType::OCTET_STREAM, "signature");
    grown_by(count, || {
        (0..count).try_for_each(|number| {
            let mut artifact = ImageManifest::new(config.clone(), vec![layer.clone()]);
            artifact.artifact_type = Some("application/vnd.example.signature".into());
            artifact.subject = Some(Descriptor::new(MediaType::OCI_MANIFEST, subject.clone(), 0));
            artifact.annotations.insert("n".into(), number.to_string());
            let artifact = Manifest::try_from(&artifact).ok()?;
            app.manifest(None, &artifact).map(drop).ok()
        })
    })
}

fn grown_by(count: u64, fill: impl FnOnce() -> Option<()>) -> Option<u64> {
    let before = resident()?;
    fill()?;
    resident()?.saturating_sub(before).checked_div(count)
}

/// Bytes of this process in the machine's memory.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    // The usual size of a page; where it is another, the figure is off by that factor.
    Some(pages * 4096)
}
