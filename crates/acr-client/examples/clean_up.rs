//! Deletes all images of a repository but the newest.
//!
//! ```text
//! cargo run -p acr-client --example clean_up [REPOSITORY NUMBER]
//! ```
//!
//! Deleting what has no tag would break images: the platforms of a multi-platform image have none, and neither have
//! signatures. So all manifests are read, and whatever belongs to a kept image is kept.
//!
//! Without `AZURE_CONTAINERREGISTRY_ENDPOINT` in the environment it runs on a mock inside this program.

use std::collections::{BTreeMap, BTreeSet};

use acr_client::transport::from_fn;
use acr_client::{ArtifactTagOrder, ContainerRegistryClient, Credential, Digest, RepositoryClient};
use acr_mock::Registry;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "samples/app".to_owned());
    let newest = arguments.next().map_or(Ok(1), |number| number.parse())?;
    let repository = connect()?.repository_client(name)?;

    let plan = plan(&repository, newest).await?;
    for digest in &plan.keep {
        println!("{digest}  kept");
    }
    for digest in &plan.delete {
        repository.delete_manifest(digest).await?;
        println!("{digest}  deleted");
    }
    Ok(())
}

/// What stays and what goes.
pub(crate) struct Plan {
    /// The manifests of the newest images, and all that belongs to them.
    pub(crate) keep: BTreeSet<Digest>,
    /// The others, each before those that it refers to: whoever stops halfway leaves no incomplete image.
    pub(crate) delete: Vec<Digest>,
}

/// What a manifest refers to.
#[derive(Default)]
struct References {
    children: Vec<Digest>,
    subject: Option<Digest>,
}

/// Plans to keep the images whose tags were pushed last, and to delete the rest.
///
/// What is pushed after this has read the repository is in neither list. Blobs need no plan: the registry frees those
/// that no manifest refers to.
pub(crate) async fn plan(repository: &RepositoryClient, newest: usize) -> Result<Plan> {
    let mut keep = BTreeSet::new();
    let mut tags = repository.list_tag_properties_with(ArtifactTagOrder::LastUpdatedOnDescending);
    while keep.len() < newest
        && let Some(tag) = tags.try_next().await?
    {
        keep.insert(tag.digest); // several tags may name one image
    }
    let mut manifests = BTreeMap::new();
    let mut list = repository.list_manifest_properties();
    while let Some(properties) = list.try_next().await? {
        let manifest = repository.get_manifest(&properties.digest).await?;
        let references = manifest.references()?.into_iter();
        let references = References {
            children: references.map(|child| child.digest).collect(),
            subject: manifest.subject()?.map(|subject| subject.digest),
        };
        manifests.insert(properties.digest, references);
    }
    // Until nothing more is found: what a kept manifest refers to, and what has one as its subject.
    let mut before = 0;
    while before < keep.len() {
        before = keep.len();
        for (digest, references) in &manifests {
            if references
                .subject
                .as_ref()
                .is_some_and(|subject| keep.contains(subject))
            {
                keep.insert(digest.clone());
            }
            if keep.contains(digest) {
                let children = references.children.iter();
                keep.extend(
                    children
                        .filter(|child| manifests.contains_key(*child))
                        .cloned(),
                );
            }
        }
    }
    let mut delete = Vec::new();
    for digest in manifests.keys() {
        children_first(digest, &manifests, &keep, &mut delete);
    }
    delete.reverse();
    Ok(Plan { keep, delete })
}

/// Appends a manifest that is not kept, after all that it refers to.
fn children_first(
    digest: &Digest,
    manifests: &BTreeMap<Digest, References>,
    keep: &BTreeSet<Digest>,
    order: &mut Vec<Digest>,
) {
    let Some(references) = manifests.get(digest) else {
        return;
    };
    if keep.contains(digest) || order.contains(digest) {
        return;
    }
    for reference in references.children.iter().chain(&references.subject) {
        children_first(reference, manifests, keep, order);
    }
    order.push(digest.clone());
}

/// Connects to the registry that the environment names, or to a mock inside this program.
fn connect() -> Result<ContainerRegistryClient> {
    if std::env::var_os("AZURE_CONTAINERREGISTRY_ENDPOINT").is_some() {
        return Ok(ContainerRegistryClient::from_env()?);
    }
    let mock = Registry::new();
    let images = mock.seed("samples/app")?;
    for tag in ["v1", "v2"] {
        images.index(tag)?;
    }
    Ok(ContainerRegistryClient::builder("https://mock.azurecr.io")
        .credential(Credential::entra_token("any"))
        .transport(from_fn(mock.handler()))
        .build()?)
}
