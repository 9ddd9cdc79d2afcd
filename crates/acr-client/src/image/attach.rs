//! [`attach`]: an artifact that refers to an image, such as a signature or an SBOM.

use std::collections::BTreeMap;

use acr_protocol::referrers::referrer;
use acr_protocol::{Descriptor, ImageManifest, Manifest, MediaType, Reference};
use futures_util::{StreamExt as _, stream};

use super::limits::DEFAULT_CONCURRENCY;
use crate::argument::Argument;
use crate::error::Error;
use crate::progress::OnProgress;
use crate::repository::RepositoryClient;
use crate::trace;
use crate::upload::{BlobSource, UploadBlobOptions};

/// Attaches an artifact to a manifest of a repository, so that it is among the manifest's referrers.
///
/// The artifact is an OCI image manifest with an artifact type, the empty config and the manifest as its subject. On a
/// registry without an API for referrers it gets into the index that clients keep as the list. Returns what
/// [`list_referrers`](RepositoryClient::list_referrers) lists: the artifact with its type and annotations.
///
/// ```
/// use acr_client::BlobSource;
/// use acr_client::image::{Artifact, AttachOptions, attach};
/// # async fn example(repository: acr_client::RepositoryClient) -> Result<(), acr_client::Error> {
/// let sbom = Artifact::new("application/spdx+json")
///     .with_layer("application/spdx+json", BlobSource::file("app.spdx.json"));
/// let attached = attach(&repository, "v1", sbom, AttachOptions::default()).await?;
/// println!("{}", attached.digest);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`NotFound`](crate::ErrorKind::NotFound) when there is no such tag or manifest; else as
/// [`upload_blob`](RepositoryClient::upload_blob) and [`set_manifest`](RepositoryClient::set_manifest).
pub async fn attach(
    repository: &RepositoryClient,
    subject: impl Argument<Reference>,
    artifact: Artifact,
    options: impl Into<AttachOptions>,
) -> Result<Descriptor, Error> {
    let (subject, options) = (subject.into_argument()?, options.into());
    let name = "attach_artifact";
    let text = subject.as_str().to_owned();
    let work = attached(repository, subject, artifact, options);
    let attached = Box::pin(trace::in_whole(name, Some(&repository.name), work)).await;
    attached.map_err(|error| {
        let repository = repository.name.as_str();
        error.in_operation(name, Some(repository), Some(&text), 0)
    })
}

async fn attached(
    repository: &RepositoryClient,
    subject: Reference,
    artifact: Artifact,
    options: AttachOptions,
) -> Result<Descriptor, Error> {
    let subject = repository.resolve(subject).await?;
    let empty = Layer::new(MediaType::OCI_EMPTY, b"{}".to_vec());
    let layers = artifact.layers.into_iter();
    let mut uploads = stream::iter(std::iter::once(empty).chain(layers))
        .map(|layer| upload(repository, layer, options.on_progress.clone()))
        .buffered(options.concurrency.max(1));
    let mut uploaded = Vec::new();
    while let Some(blob) = uploads.next().await {
        uploaded.push(blob?);
    }
    let config = uploaded.remove(0);
    if uploaded.is_empty() {
        // Registries want a layer.
        uploaded.push(config.clone());
    }
    let mut manifest = ImageManifest::new(config, uploaded)
        .with_artifact_type(artifact.artifact_type)
        .with_subject(subject);
    manifest.annotations = artifact.annotations;
    let manifest = Manifest::try_from(&manifest)?;
    repository.set_manifest(&manifest.digest, &manifest).await?;
    let entry = referrer(&manifest).map(|(_, entry)| entry);
    Ok(entry.unwrap_or_else(|| manifest.descriptor()))
}

async fn upload(
    repository: &RepositoryClient,
    layer: Layer,
    on_progress: OnProgress,
) -> Result<Descriptor, Error> {
    let options = UploadBlobOptions {
        on_progress,
        ..UploadBlobOptions::default()
    };
    let mut blob = repository.upload_blob_with(layer.source, options).await?;
    blob.media_type = layer.media_type;
    blob.annotations = layer.annotations;
    Ok(blob)
}

/// An artifact that is to be attached to a manifest.
#[derive(Debug)]
pub struct Artifact {
    /// What kind of artifact it is, by which referrers are told apart.
    pub artifact_type: MediaType,
    /// The content; there may be none.
    pub layers: Vec<Layer>,
    /// Remarks, by key, which stand in the list of referrers too.
    pub annotations: BTreeMap<String, String>,
}

impl Artifact {
    /// An artifact without content.
    #[must_use]
    pub fn new(artifact_type: impl Into<MediaType>) -> Self {
        Self {
            artifact_type: artifact_type.into(),
            layers: Vec::new(),
            annotations: BTreeMap::new(),
        }
    }

    /// Adds content.
    #[must_use]
    pub fn with_layer(
        mut self,
        media_type: impl Into<MediaType>,
        source: impl Into<BlobSource>,
    ) -> Self {
        self.layers.push(Layer::new(media_type, source));
        self
    }

    /// Adds an annotation, or replaces the one of this key.
    #[must_use]
    pub fn with_annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }
}

/// Content of an [`Artifact`].
#[derive(Debug)]
pub struct Layer {
    /// What it is.
    pub media_type: MediaType,
    /// Where its bytes come from.
    pub source: BlobSource,
    /// Remarks, by key, such as a file's name (`org.opencontainers.image.title`).
    pub annotations: BTreeMap<String, String>,
}

impl Layer {
    /// Content without annotations.
    #[must_use]
    pub fn new(media_type: impl Into<MediaType>, source: impl Into<BlobSource>) -> Self {
        Self {
            media_type: media_type.into(),
            source: source.into(),
            annotations: BTreeMap::new(),
        }
    }
}

/// Options of [`attach`].
#[derive(Debug, Clone)]
pub struct AttachOptions {
    /// How many layers go up at once, at least 1. The default is 8.
    pub concurrency: usize,
    /// Who is told how far each layer is.
    pub on_progress: OnProgress,
}

impl Default for AttachOptions {
    fn default() -> Self {
        Self {
            concurrency: DEFAULT_CONCURRENCY,
            on_progress: OnProgress::default(),
        }
    }
}
