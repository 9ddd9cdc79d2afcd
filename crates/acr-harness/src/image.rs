//! [`Image`]: everything that an image consists of, in memory.

use std::collections::{BTreeMap, HashSet};

use acr_client::{Descriptor, Digest, Manifest, Platform};
use bytes::Bytes;

use crate::Result;

/// An image for all its platforms: its manifests and the blobs that they name.
///
/// It is held in memory, which suits the small images of tests and examples. Two images are equal when all their
/// bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Each manifest comes after those that it refers to, so this is the order to push them in. The last one is the
    /// image's own: an index, or the manifest of an image for one platform.
    pub manifests: Vec<Manifest>,
    /// The configs and layers by digest.
    pub blobs: BTreeMap<Digest, Bytes>,
}

impl Image {
    /// The manifest that stands for the whole image.
    ///
    /// # Errors
    ///
    /// If there is none, which only an image made by hand can have.
    pub fn root(&self) -> Result<&Manifest> {
        Ok(self.manifests.last().ok_or("an image has a manifest")?)
    }

    /// The manifest for each platform, in the order of the index; empty where the image is for one platform.
    ///
    /// # Errors
    ///
    /// If the index is not well-formed.
    pub fn platforms(&self) -> Result<Vec<(Platform, Descriptor)>> {
        let children = children(self.root()?)?;
        Ok(children
            .into_iter()
            .filter_map(|child| Some((child.platform.clone()?, child)))
            .collect())
    }
}

/// The manifests that a manifest refers to: those of an index.
///
/// # Errors
///
/// If it is an index, and not a well-formed one.
pub fn children(manifest: &Manifest) -> Result<Vec<Descriptor>> {
    if !manifest.media_type.is_index() {
        return Ok(Vec::new());
    }
    Ok(manifest.as_index()?.manifests)
}

/// The blobs that a manifest refers to: config and layers of an image, none for an index.
///
/// # Errors
///
/// If it is not well-formed.
pub fn blobs(manifest: &Manifest) -> Result<Vec<Descriptor>> {
    if manifest.media_type.is_index() {
        return Ok(Vec::new());
    }
    Ok(manifest.as_image()?.blobs().cloned().collect())
}

/// Walks over all manifests of an image, wherever they come from: it names those that it wants, and is given them.
///
/// Ask `wanted` for the next descriptor, and give the manifest of that digest to `found`, until nothing is wanted.
#[derive(Debug)]
pub(crate) struct Walk {
    steps: Vec<Step>,
    seen: HashSet<Digest>,
    manifests: Vec<Manifest>,
}

#[derive(Debug)]
enum Step {
    Want(Descriptor),
    /// All that it refers to has been found.
    Complete(Manifest),
}

impl Walk {
    /// Begins at the image's own manifest.
    pub(crate) fn from(root: &Manifest) -> Result<Self> {
        let mut walk = Self {
            steps: Vec::new(),
            seen: HashSet::from([root.digest.clone()]),
            manifests: Vec::new(),
        };
        walk.found(root.clone())?;
        Ok(walk)
    }

    /// The next manifest to bring, or `None` when all are there.
    pub(crate) fn wanted(&mut self) -> Option<Descriptor> {
        loop {
            match self.steps.pop()? {
                Step::Complete(manifest) => self.manifests.push(manifest),
                Step::Want(descriptor) if self.seen.insert(descriptor.digest.clone()) => {
                    return Some(descriptor);
                }
                Step::Want(_) => {}
            }
        }
    }

    /// Takes the manifest that was wanted last.
    pub(crate) fn found(&mut self, manifest: Manifest) -> Result<()> {
        let children = children(&manifest)?;
        self.steps.push(Step::Complete(manifest));
        self.steps
            .extend(children.into_iter().rev().map(Step::Want));
        Ok(())
    }

    /// The manifests, each after those that it refers to.
    pub(crate) fn into_manifests(self) -> Vec<Manifest> {
        self.manifests
    }
}

#[cfg(test)]
mod tests {
    use acr_client::{ImageIndex, ImageManifest, MediaType};

    use super::*;

    fn image(text: &str) -> Manifest {
        let config = Descriptor::of(MediaType::OCI_CONFIG, text);
        Manifest::try_from(&ImageManifest::new(config, Vec::new())).unwrap()
    }

    fn index(manifests: &[&Manifest]) -> Manifest {
        let descriptors = manifests.iter().map(|manifest| manifest.descriptor());
        Manifest::try_from(&ImageIndex::new(descriptors.collect())).unwrap()
    }

    #[test]
    fn a_walk_names_each_manifest_once_and_orders_them_for_a_push() {
        let (one, two) = (image("one"), image("two"));
        let inner = index(&[&two, &one]);
        let root = index(&[&one, &inner, &two]);
        let all = [&one, &two, &inner, &root];

        let mut walk = Walk::from(&root).unwrap();
        let mut wanted = Vec::new();
        while let Some(descriptor) = walk.wanted() {
            let found = all
                .iter()
                .find(|manifest| manifest.digest == descriptor.digest);
            wanted.push(descriptor.digest);
            walk.found((*found.unwrap()).clone()).unwrap();
        }
        assert_eq!(
            wanted,
            [&one, &inner, &two].map(|manifest| manifest.digest.clone())
        );
        let order: Vec<_> = walk.into_manifests();
        assert_eq!(order, [one, two, inner, root]);
    }

    #[test]
    fn an_index_that_is_none_is_an_error() {
        let manifest = Manifest::new("not JSON", MediaType::OCI_INDEX);
        assert!(Walk::from(&manifest).is_err());
    }
}
