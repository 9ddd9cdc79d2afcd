//! Finds what may be deleted from a repository when its newest images are to stay.
//!
//! Deleting by age alone breaks images: the manifests of an index's platforms have no tags, and look like rubbish.
//! So everything is looked at, and what a kept image refers to is kept.

use std::collections::{BTreeMap, BTreeSet};

use acr_client::{ArtifactTagOrder, Digest, RepositoryClient};

use crate::Result;
use crate::image::children;

/// What stays and what goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Manifests that stay: the newest tagged ones, and all that belongs to them.
    pub keep: BTreeSet<Digest>,
    /// Manifests that go, each before those that it refers to, so that no index is left without its images if
    /// somebody stops halfway.
    pub delete: Vec<Digest>,
}

/// Plans to keep the `newest` tagged images, by the time their tags were last pushed, and to delete the rest.
///
/// Kept with an image are the manifests of its platforms, and artifacts that refer to it, such as signatures. Blobs
/// need no plan: the registry frees those that no manifest needs. The plan is as old as the reading of it: what is
/// pushed afterwards is not in it.
///
/// # Errors
///
/// If the registry refuses to list or to read a manifest.
pub async fn plan(repository: &RepositoryClient, newest: usize) -> Result<Plan> {
    let mut roots = Vec::new();
    let mut tags = repository.list_tag_properties_with(ArtifactTagOrder::LastUpdatedOnDescending);
    while let Some(tag) = tags.try_next().await? {
        // Several tags may stand for one image.
        if !roots.contains(&tag.digest) {
            roots.push(tag.digest);
        }
        if roots.len() == newest {
            break;
        }
    }

    let mut manifests = BTreeMap::new();
    let mut list = repository.list_manifest_properties();
    while let Some(properties) = list.try_next().await? {
        let manifest = repository.get_manifest(&properties.digest).await?;
        let references = References {
            children: children(&manifest)?.into_iter().map(|c| c.digest).collect(),
            subject: subject(&manifest.bytes)?,
        };
        manifests.insert(properties.digest, references);
    }
    let keep = belonging_to(roots, &manifests);
    let delete = parents_first(&keep, &manifests);
    Ok(Plan { keep, delete })
}

/// What one manifest refers to.
#[derive(Debug, Default)]
struct References {
    children: Vec<Digest>,
    subject: Option<Digest>,
}

/// The roots, what they refer to, and what refers to any of it as its subject.
fn belonging_to(roots: Vec<Digest>, manifests: &BTreeMap<Digest, References>) -> BTreeSet<Digest> {
    let mut keep = BTreeSet::new();
    let mut open = roots;
    while let Some(digest) = open.pop() {
        let artifacts = manifests
            .iter()
            .filter(|(_, references)| references.subject.as_ref() == Some(&digest))
            .map(|(artifact, _)| artifact.clone());
        let children = manifests.get(&digest).map(|found| found.children.clone());
        let found: Vec<_> = artifacts.chain(children.into_iter().flatten()).collect();
        if keep.insert(digest) {
            open.extend(found);
        }
    }
    keep
}

/// All manifests that are not kept, each before its children and its subject.
fn parents_first(keep: &BTreeSet<Digest>, manifests: &BTreeMap<Digest, References>) -> Vec<Digest> {
    let mut left: BTreeMap<_, _> = manifests
        .iter()
        .filter(|(digest, _)| !keep.contains(*digest))
        .collect();
    let mut order = Vec::new();
    while !left.is_empty() {
        let needed: BTreeSet<&Digest> = left
            .values()
            .flat_map(|references| references.children.iter().chain(&references.subject))
            .collect();
        let round: Vec<Digest> = left
            .keys()
            .filter(|digest| !needed.contains(*digest))
            .map(|digest| (*digest).clone())
            .collect();
        if round.is_empty() {
            // A digest cannot be part of what it is the digest of, so there are no circles; were there one, the order
            // would not matter.
            order.extend(left.keys().map(|digest| (*digest).clone()));
            break;
        }
        left.retain(|digest, _| !round.contains(*digest));
        order.extend(round);
    }
    order
}

/// The manifest that an image, artifact or index refers to as its subject.
fn subject(bytes: &[u8]) -> Result<Option<Digest>> {
    #[derive(serde::Deserialize)]
    struct View {
        #[serde(default)]
        subject: Option<acr_client::Descriptor>,
    }
    let view: View = serde_json::from_slice(bytes)?;
    Ok(view.subject.map(|subject| subject.digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository written as `parent: child child ^subject`.
    fn repository(lines: &[&str]) -> BTreeMap<Digest, References> {
        let mut manifests = BTreeMap::new();
        for line in lines {
            let (name, rest) = line.split_once(':').unwrap();
            let mut references = References::default();
            for word in rest.split_whitespace() {
                match word.strip_prefix('^') {
                    Some(subject) => references.subject = Some(Digest::sha256(subject)),
                    None => references.children.push(Digest::sha256(word)),
                }
            }
            manifests.insert(Digest::sha256(name), references);
        }
        manifests
    }

    fn digests<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<Digest> {
        names.into_iter().map(Digest::sha256).collect()
    }

    #[test]
    fn what_a_kept_index_refers_to_is_kept() {
        let manifests = repository(&["v1: a shared", "v2: b shared", "a:", "b:", "shared:"]);
        let keep = belonging_to(vec![Digest::sha256("v2")], &manifests);
        assert_eq!(keep, digests(["v2", "b", "shared"]));
        let delete = parents_first(&keep, &manifests);
        assert_eq!(delete, [Digest::sha256("v1"), Digest::sha256("a")]);
    }

    #[test]
    fn a_signature_stays_with_its_image_and_goes_with_it() {
        let manifests = repository(&["v1: a", "a:", "sig-a: ^a", "v2: b", "b:", "sig-b: ^b"]);
        let keep = belonging_to(vec![Digest::sha256("v2")], &manifests);
        assert_eq!(keep, digests(["v2", "b", "sig-b"]));
        let delete = parents_first(&keep, &manifests);
        assert_eq!(delete.len(), 3);
        assert_eq!(delete.last(), Some(&Digest::sha256("a")));
    }

    #[test]
    fn a_child_that_is_not_there_changes_nothing() {
        let manifests = repository(&["v1: gone"]);
        let keep = belonging_to(vec![Digest::sha256("v1")], &manifests);
        assert!(parents_first(&keep, &manifests).is_empty());
    }

    #[test]
    fn nested_indexes_are_deleted_from_the_outside_in() {
        let manifests = repository(&["outer: inner", "inner: leaf", "leaf:"]);
        let order = parents_first(&BTreeSet::new(), &manifests);
        assert_eq!(order, ["outer", "inner", "leaf"].map(Digest::sha256));
    }
}
