//! A repository or a layout, as a source and as a target of manifests.

use acr_protocol::{Algorithm, Descriptor, Digest, Manifest, Reference, Tag};

use super::layout::{Layout, Reader, image_name};
use crate::error::{Error, ErrorKind};
use crate::progress::Outcome;
use crate::repository::RepositoryClient;

#[derive(Debug, Clone)]
pub(super) enum Place {
    Repository(RepositoryClient),
    Layout(Layout),
}

/// How near the two sides of a copy are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nearness {
    SameRepository,
    SameRegistry,
    Apart,
}

impl Place {
    pub(super) fn nearness(&self, to: &Self) -> Nearness {
        match (self, to) {
            (Self::Repository(from), Self::Repository(to))
                if from.pipeline.endpoint() == to.pipeline.endpoint() =>
            {
                if from.name == to.name {
                    Nearness::SameRepository
                } else {
                    Nearness::SameRegistry
                }
            }
            _ => Nearness::Apart,
        }
    }

    /// Reads the manifest of an image; returns also the name that it has there, if it is not just a digest.
    pub(super) async fn image(
        &self,
        name: Option<&str>,
    ) -> Result<(Manifest, Option<String>), Error> {
        match self {
            Self::Layout(layout) => {
                let image = layout.image(name)?;
                Ok((
                    layout.manifest(&image)?,
                    image_name(&image).map(str::to_owned),
                ))
            }
            Self::Repository(repository) => {
                let name = name.ok_or_else(|| {
                    Error::invalid("the image is not named: a repository wants a tag or digest")
                })?;
                let reference = Reference::new(name)?;
                let tag = reference.tag().map(ToString::to_string);
                Ok((repository.get_manifest(reference).await?, tag))
            }
        }
    }

    /// The name that an image is to have here; `None` where that is its digest.
    pub(super) fn tag(&self, name: String, image: &Manifest) -> Result<Option<String>, Error> {
        match Digest::new(&name) {
            Ok(digest) if digest == image.digest => Ok(None),
            Ok(digest) => Err(Error::invalid(format!(
                "the image is to be under {digest}, but has the digest {}",
                image.digest
            ))),
            Err(_) => self.check_tag(name).map(Some),
        }
    }

    /// Checks a name that may come from elsewhere.
    pub(super) fn check_tag(&self, name: String) -> Result<String, Error> {
        if let Self::Repository(_) = self {
            Tag::new(&name)?;
        }
        Ok(name)
    }

    /// Reads a manifest that another one refers to.
    pub(super) async fn manifest(&self, descriptor: &Descriptor) -> Result<Manifest, Error> {
        let repository = match self {
            Self::Layout(layout) => return layout.manifest(descriptor),
            Self::Repository(repository) => repository,
        };
        let manifest = repository.get_manifest(&descriptor.digest).await?;
        check_size(descriptor, Some(manifest.bytes.len() as u64))?;
        Ok(manifest)
    }

    /// Lists the names of all images.
    pub(super) async fn names(&self) -> Result<Vec<String>, Error> {
        match self {
            Self::Layout(layout) => {
                let images = layout.images()?;
                let names = images.iter().filter_map(image_name);
                Ok(names.map(str::to_owned).collect())
            }
            Self::Repository(repository) => {
                let tags = repository.list_tags().collect_all().await?;
                Ok(tags.iter().map(ToString::to_string).collect())
            }
        }
    }

    /// Finds what is there under a name or digest.
    pub(super) async fn find(&self, name: &str) -> Result<Option<Digest>, Error> {
        let found = match self {
            Self::Layout(layout) => match layout.image(Some(name)) {
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                found => Some(found?),
            },
            Self::Repository(repository) => {
                let reference = Reference::new(name)?;
                repository.impatient().head_manifest(reference).await?
            }
        };
        Ok(found.map(|found| found.digest))
    }

    /// Asks whether a manifest is there.
    pub(super) async fn has_manifest(&self, manifest: &Descriptor) -> Result<bool, Error> {
        match self {
            Self::Layout(layout) => layout.has(manifest),
            Self::Repository(_) => Ok(self.find(manifest.digest.as_str()).await?.is_some()),
        }
    }

    /// Sees to it that a manifest that is there is in the list of its subject's referrers, where clients keep these:
    /// whoever put it there may have been stopped before it was listed.
    pub(super) async fn see_listed(&self, manifest: &Manifest) -> Result<(), Error> {
        match self {
            Self::Layout(_) => Ok(()),
            Self::Repository(repository) => {
                Box::pin(repository.list_kept(manifest, &manifest.digest)).await
            }
        }
    }

    /// Puts a manifest under its digest, and under a tag. The tag of a list of referrers that this client keeps itself
    /// is left alone: the referrers are in it, beside others.
    pub(super) async fn put(
        &self,
        manifest: &Manifest,
        tag: Option<&str>,
    ) -> Result<Outcome, Error> {
        let repository = match self {
            Self::Layout(layout) => {
                let descriptor = manifest.descriptor();
                if layout.has(&descriptor)? {
                    return Ok(Outcome::Present);
                }
                let content = Reader::Bytes(manifest.bytes.clone());
                layout.write(&descriptor, content).await?;
                return Ok(Outcome::Received);
            }
            Self::Repository(repository) => repository,
        };
        let tag = match tag {
            Some(tag) if is_list(tag) && repository.keeps_referrers(&manifest.digest).await? => {
                None
            }
            tag => tag,
        };
        // A tag makes the registry compute the digest, by sha256.
        if tag.is_none() || manifest.digest.algorithm() != Algorithm::SHA256 {
            let digest = &manifest.digest;
            repository.set_manifest(digest, manifest).await?;
        }
        if let Some(tag) = tag {
            repository.set_manifest(Tag::new(tag)?, manifest).await?;
        }
        Ok(Outcome::Sent)
    }

    /// How many contents can be written at once.
    pub(super) fn max_writers(&self) -> usize {
        match self {
            Self::Layout(layout) => layout.max_writers(),
            Self::Repository(_) => usize::MAX,
        }
    }
}

/// Holds the size of a descriptor against the content's. Some writers leave it out, which reads as 0.
pub(super) fn check_size(descriptor: &Descriptor, actual: Option<u64>) -> Result<(), Error> {
    match actual {
        Some(actual) if actual != descriptor.size && descriptor.size != 0 => {
            let Descriptor { digest, size, .. } = descriptor;
            let text = format!("{digest} has {actual} bytes, but its descriptor says {size}");
            Err(Error::new(ErrorKind::DigestMismatch, text))
        }
        _ => Ok(()),
    }
}

/// Whether it is a tag under which clients keep a list of referrers (OCI 1.1), such as `sha256-2cf2…`.
pub(super) fn is_list(tag: &str) -> bool {
    let hash = tag.strip_prefix("sha256-").or(tag.strip_prefix("sha512-"));
    hash.is_some_and(|hash| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()))
}
