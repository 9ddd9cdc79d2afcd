//! [`CopyOptions`], and what a copy says it has done.

use acr_protocol::{Descriptor, Platform};

use super::limits::{DEFAULT_CONCURRENCY, DEFAULT_MAX_DEPTH, DEFAULT_MAX_MANIFESTS};
use crate::progress::{OnProgress, Outcome};

/// Options of [`copy`](super::copy), [`push`](super::push) and [`pull`](super::pull).
#[derive(Debug, Clone)]
pub struct CopyOptions {
    /// The platforms to copy; empty: all of them, as they are.
    ///
    /// For one platform it is that platform's image that is copied, and not the index. For several it is a new index of
    /// those alone, with the annotations and attestations of the old one; its digest is another one then, as
    /// [`CopiedImage`] shows, so signatures of the old index are not carried over. A machine's platform finds the image
    /// that it runs best, as containerd chooses. An image without an index is copied as it is.
    pub platforms: Vec<Platform>,
    /// Whether the referrers of the image, and theirs, are copied too: signatures, SBOMs and the like that name it as
    /// their subject. On a target without an API for referrers they get into the index that clients keep.
    pub referrers: bool,
    /// Whether the images of all tags are copied, or all with a name of a layout. Neither side has a name then. Tags of
    /// the form `sha256-<hex>`, under which clients keep lists of referrers, are left to the other options.
    pub all_tags: bool,
    /// Whether what belongs to an image by its tag is copied too: cosign's `sha256-<hex>.sig`, `.att` and `.sbom`, and
    /// what is in the list of referrers that clients keep under `sha256-<hex>`. That asks for four more tags a manifest.
    ///
    /// A list is never put in the place of another one. Where clients keep them, each entry is added to the target's own
    /// list; a registry that makes them itself lists what has a subject. An entry whose manifest the source has not is
    /// left out.
    pub signature_tags: bool,
    /// Whether foreign layers are copied, those that their media type says not to distribute and that have URLs. The
    /// source must have them; they are never fetched from their URLs.
    pub foreign_layers: bool,
    /// How many contents go over at once, at least 1. The default is 8.
    ///
    /// Between registries each of them is two requests at a time, a download and an upload, and holds a chunk of the
    /// upload in memory: 4 MiB, or as many bytes as the target wants a chunk to have at the least, up to 64 MiB. An
    /// archive takes one content at a time.
    pub concurrency: usize,
    /// How many manifests an image may have, with referrers and what belongs to it by its tag. The default is 4096;
    /// together they may have 64 MiB.
    pub max_manifests: usize,
    /// How deep indexes may lie within indexes, referrers behind referrers, and signatures under tags behind each other.
    /// The default is 16.
    pub max_depth: usize,
    /// Who is told how far the blobs and manifests are, each with how far the whole is.
    pub on_progress: OnProgress,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self {
            platforms: Vec::new(),
            referrers: false,
            all_tags: false,
            signature_tags: false,
            foreign_layers: false,
            concurrency: DEFAULT_CONCURRENCY,
            max_manifests: DEFAULT_MAX_MANIFESTS,
            max_depth: DEFAULT_MAX_DEPTH,
            on_progress: OnProgress::default(),
        }
    }
}

/// What a copy has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// The images: one, or with `all_tags` and `signature_tags` one for each tag. Lists of referrers are no images.
    pub images: Vec<CopiedImage>,
    /// The blobs and manifests, each once, and what has become of it, in the order in which they were done.
    pub contents: Vec<(Descriptor, Outcome)>,
    /// The foreign layers that were left out.
    pub left_out: Vec<Descriptor>,
}

/// An image that is where it was to be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopiedImage {
    /// The tag or name that it has there, if any.
    pub name: Option<String>,
    /// What it was copied from.
    pub source: Descriptor,
    /// What it is there: the same, but where platforms were chosen.
    pub descriptor: Descriptor,
}

impl Copied {
    /// Returns how many blobs and manifests have had this outcome.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        let all = self.contents.iter();
        all.filter(|content| content.1 == outcome).count()
    }
}
