//! The choice of platforms from an index.

use acr_protocol::{Descriptor, Digest, Manifest, Platform};
use serde_json::Value;

use super::entries::edit_entries;
use super::limits::Limits;
use super::options::CopyOptions;
use super::side::Side;
use crate::error::{Error, ErrorKind};

/// The manifest that is copied.
pub(super) struct Root {
    pub(super) manifest: Manifest,
    /// Whether it was made here, so that the source does not know it.
    pub(super) is_new: bool,
}

/// Returns the image of one platform, or a new index of several ones.
pub(super) async fn choose(
    from: &Side,
    image: Manifest,
    platforms: &[Platform],
    options: &CopyOptions,
) -> Result<Root, Error> {
    let found = |manifest| Root {
        manifest,
        is_new: false,
    };
    if platforms.is_empty() || !image.media_type.is_index() {
        return Ok(found(image));
    }
    let mut limits = Limits::new(options.max_manifests, options.max_depth);
    let mut chosen = Vec::new();
    for platform in platforms {
        chosen.push(find(from, &image, platform, &mut limits).await?);
    }
    match chosen.as_slice() {
        [only] => from.manifest(&only.image).await.map(found),
        _ => {
            let entries: Vec<_> = chosen.iter().map(|chosen| &chosen.entry).collect();
            let manifest = of_these(&image, &entries)?;
            let is_new = manifest.digest != image.digest;
            Ok(Root { manifest, is_new })
        }
    }
}

/// The image of a platform.
struct Chosen {
    image: Descriptor,
    /// The entry of the index by which it was found: itself, or an index in which it is.
    entry: Descriptor,
}

/// Finds the image of a platform in an index, or in one within it that is for this platform or does not say for which.
async fn find(
    from: &Side,
    image: &Manifest,
    platform: &Platform,
    limits: &mut Limits,
) -> Result<Chosen, Error> {
    let mut open: Vec<(Chosen, usize)> = Vec::new();
    let mut of_platform = None;
    let (mut index, mut by, mut depth) = (image.as_index()?, None::<Descriptor>, 0);
    loop {
        let chosen = |image: &Descriptor| Chosen {
            image: image.clone(),
            entry: by.as_ref().unwrap_or(image).clone(),
        };
        match index.for_platform(platform) {
            Some(best) if !best.media_type.is_index() => return Ok(chosen(best)),
            Some(best) => {
                of_platform.get_or_insert_with(|| chosen(best));
                open.push((chosen(best), depth + 1));
            }
            None => {
                let within = index.manifests.iter().rev();
                let within = within.filter(|e| e.media_type.is_index() && e.platform.is_none());
                open.extend(within.map(|entry| (chosen(entry), depth + 1)));
            }
        }
        let Some((next, at)) = open.pop() else {
            break;
        };
        limits.check_depth(at)?;
        limits.count(1)?;
        let manifest = from.manifest(&next.image).await?;
        limits.hold(&manifest)?;
        (index, by, depth) = (manifest.as_index()?, Some(next.entry), at);
    }
    of_platform.ok_or_else(|| {
        let text = format!("{} has no manifest for {platform}", image.digest);
        Error::new(ErrorKind::NotFound, text)
    })
}

/// The index without those that were not chosen. Everything else stays, and so does the order.
fn of_these(image: &Manifest, chosen: &[&Descriptor]) -> Result<Manifest, Error> {
    let is_chosen = |digest: &str| chosen.iter().any(|chosen| chosen.digest.as_str() == digest);
    let text = |value: &Value| value.as_str().is_some_and(is_chosen);
    let mut is_all = true;
    let changed = edit_entries(&image.bytes, |mut entries| {
        let before = entries.len();
        entries.retain(|entry| text(&entry["digest"]) || text(&entry["annotations"][ATTESTED]));
        is_all = entries.len() == before;
        Ok(entries)
    });
    let bytes = changed.map_err(|error| Error::protocol(error.to_string()))?;
    if is_all {
        return Ok(image.clone());
    }
    let digest = Digest::of(&image.digest.algorithm(), &bytes);
    let mut manifest = Manifest::new(bytes, &image.media_type);
    manifest.digest = digest.unwrap_or(manifest.digest);
    Ok(manifest)
}

/// By this annotation an attestation of BuildKit's names the image that it is about.
const ATTESTED: &str = "vnd.docker.reference.digest";
