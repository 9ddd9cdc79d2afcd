//! The choice of platforms from an index.

use acr_protocol::{Descriptor, Digest, Manifest, Platform};
use serde_json::Value;

use super::place::Place;
use crate::error::{Error, ErrorKind};

/// The manifest that is copied.
pub(super) struct Root {
    pub(super) manifest: Manifest,
    /// Whether it was made here, so that the source does not know it.
    pub(super) is_new: bool,
}

/// Returns the image of one platform, or a new index of several ones.
pub(super) async fn choose(
    from: &Place,
    image: Manifest,
    platforms: &[Platform],
) -> Result<Root, Error> {
    let found = |manifest| Root {
        manifest,
        is_new: false,
    };
    if platforms.is_empty() || !image.media_type.is_index() {
        return Ok(found(image));
    }
    let index = image.as_index()?;
    let mut chosen = Vec::new();
    for platform in platforms {
        let best = index.for_platform(platform).ok_or_else(|| {
            let text = format!("{} has no manifest for {platform}", image.digest);
            Error::new(ErrorKind::NotFound, text)
        })?;
        chosen.push(best);
    }
    match chosen.as_slice() {
        [only] => from.manifest(only).await.map(found),
        _ => {
            let manifest = of_these(&image, &chosen)?;
            let is_new = manifest.digest != image.digest;
            Ok(Root { manifest, is_new })
        }
    }
}

/// The index without those that were not chosen. Everything else stays, and so does the order.
fn of_these(image: &Manifest, chosen: &[&Descriptor]) -> Result<Manifest, Error> {
    let malformed = |error: serde_json::Error| Error::protocol(error.to_string());
    let is_chosen = |digest: &str| chosen.iter().any(|chosen| chosen.digest.as_str() == digest);
    let text = |value: &Value| value.as_str().is_some_and(is_chosen);
    let mut index: Value = serde_json::from_slice(&image.bytes).map_err(malformed)?;
    let Some(manifests) = index.get_mut("manifests").and_then(Value::as_array_mut) else {
        return Err(Error::protocol("the index has no manifests"));
    };
    let before = manifests.len();
    manifests.retain(|entry| text(&entry["digest"]) || text(&entry["annotations"][ATTESTED]));
    if manifests.len() == before {
        return Ok(image.clone());
    }
    let bytes = serde_json::to_vec(&index).map_err(malformed)?;
    let digest = Digest::of(&image.digest.algorithm(), &bytes);
    let mut manifest = Manifest::new(bytes, &image.media_type);
    manifest.digest = digest.unwrap_or(manifest.digest);
    Ok(manifest)
}

/// By this annotation an attestation of BuildKit's names the image that it is about.
const ATTESTED: &str = "vnd.docker.reference.digest";
