//! A repository or a layout, as a source and as a target of manifests.

use acr_protocol::referrers::{change_index, is_fallback_tag};
use acr_protocol::{Algorithm, Descriptor, Digest, Manifest, Reference, Tag};

use super::kept_list::KeptList;
use super::layout::{Layout, REF_NAME, Reader, image_name};
use super::size::check_size;
use crate::error::{Error, ErrorKind};
use crate::progress::Outcome;
use crate::repository::RepositoryClient;

#[derive(Debug, Clone)]
pub(super) enum Side {
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

impl Side {
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
        let length = manifest.bytes.len() as u64;
        check_size(descriptor, Some(length), descriptor.digest.as_str())?;
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

    /// Reads the list of referrers that clients keep under a tag, if there is one.
    pub(super) async fn kept_list(&self, tag: &Tag) -> Result<Option<Manifest>, Error> {
        let list = match self {
            Self::Layout(layout) => match layout.image(Some(tag.as_str())) {
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                list => Some(layout.manifest(&list?)?),
            },
            Self::Repository(repository) => repository.kept_index(tag).await?,
        };
        Ok(list.filter(|list| list.media_type.is_index()))
    }

    /// Adds what the source's list has to the list that clients keep here, if they do: there may be others in it, and
    /// the referrers of others are not lost. A layout gets a list of its own, which is returned.
    pub(super) async fn add_to_kept(&self, list: &KeptList) -> Result<Option<Descriptor>, Error> {
        if let Self::Repository(repository) = self {
            let (tag, subject) = (&list.tag, &list.subject);
            Box::pin(repository.add_to_kept(tag, subject, &list.entries)).await?;
            return Ok(None);
        }
        let before = self.kept_list(&list.tag).await?;
        let entries = list.entries.iter();
        let changes = entries.map(|entry| (&entry.digest, Some(entry)));
        let Some(after) = change_index(before.as_ref(), changes)? else {
            return Ok(None);
        };
        self.put(&after, None).await?;
        let listed = after.descriptor();
        Ok(Some(listed.with_annotation(REF_NAME, list.tag.as_str())))
    }

    /// Puts a manifest under its digest, and under a tag. Where the tag is that of a list of referrers, and clients keep
    /// such lists here, its entries are added to those that are there.
    pub(super) async fn put(
        &self,
        manifest: &Manifest,
        tag: Option<&str>,
    ) -> Result<Outcome, Error> {
        let repository = match self {
            Self::Layout(layout) => {
                let descriptor = manifest.descriptor();
                // It may be what another manifest has named as a blob.
                if layout.has(&descriptor)? {
                    return Ok(Outcome::Present);
                }
                let content = Reader::Bytes(manifest.bytes.clone());
                layout.write(&descriptor, content).await?;
                return Ok(Outcome::Received);
            }
            Self::Repository(repository) => repository,
        };
        let mut tag = tag.map(Tag::new).transpose()?;
        if let Some(list) = &tag
            && is_fallback_tag(list.as_str())
            && manifest.media_type.is_index()
        {
            let entries = manifest.as_index()?.manifests;
            let adding = repository.add_to_kept(list, &manifest.digest, &entries);
            if Box::pin(adding).await? {
                tag = None;
            }
        }
        // A tag makes the registry compute the digest, by sha256.
        if tag.is_none() || manifest.digest.algorithm() != Algorithm::SHA256 {
            let digest = &manifest.digest;
            repository.set_manifest(digest, manifest).await?;
        }
        if let Some(tag) = tag {
            repository.set_manifest(tag, manifest).await?;
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
