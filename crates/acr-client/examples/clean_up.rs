//! Deletes the images of a repository that nobody needs any more: those without a tag that are old, or all but the newest.
//!
//! ```text
//! cargo run -p acr-client --example clean_up [REPOSITORY] [--untagged DAYS | --newest NUMBER] [--yes]
//! ```
//!
//! It prints what it would delete, and deletes it with `--yes`. Without a rule it is `--untagged 30`.
//!
//! Deleting all that has no tag would break images: the platforms of a multi-platform image have none, and neither have
//! signatures. So all manifests are read, and whatever belongs to a kept image is kept, as is whatever is locked.
//!
//! Without `AZURE_CONTAINERREGISTRY_ENDPOINT` in the environment it runs on a mock inside this program.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use acr_client::clock::VirtualClock;
use acr_client::protocol::Timestamp;
use acr_client::transport::from_fn;
use acr_client::{ArtifactTagOrder, ContainerRegistryClient, Credential, Digest, RepositoryClient};
use acr_mock::Registry;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let client = connect()?;
    let (mut name, mut is_confirmed) = ("samples/app".to_owned(), false);
    let mut rule = Rule::Untagged(client.now() - 30 * DAY);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let number = arguments.next().unwrap_or_default();
            let wrong = |_| format!("{argument} takes a number, not {number:?}");
            number.parse::<usize>().map_err(wrong)
        };
        match argument.as_str() {
            "--yes" => is_confirmed = true,
            "--newest" => rule = Rule::Newest(number()?),
            "--untagged" => rule = Rule::Untagged(client.now() - u32::try_from(number()?)? * DAY),
            flag if flag.starts_with('-') => return Err(format!("unknown option {flag}").into()),
            _ => name = argument,
        }
    }
    let repository = client.repository_client(name)?;

    let plan = plan(&repository, rule).await?;
    for digest in &plan.keep {
        println!("{digest}  kept");
    }
    for digest in &plan.delete {
        if !is_confirmed {
            println!("{digest}  would be deleted with --yes");
            continue;
        }
        let properties = repository.get_manifest_properties(digest).await?;
        if matches!(rule, Rule::Untagged(_)) && !properties.tags.is_empty() {
            return Err(format!("{digest} was tagged meanwhile, and needs what comes next").into());
        }
        repository.delete_manifest(digest).await?;
        println!("{digest}  deleted");
    }
    Ok(())
}

/// Which images stay.
#[derive(Clone, Copy)]
pub(crate) enum Rule {
    /// So many, those whose tags were pushed last.
    Newest(usize),
    /// Those that have a tag, and all that has changed since.
    Untagged(Timestamp),
}

/// What stays and what goes.
pub(crate) struct Plan {
    /// The manifests of the images that stay, and all that belongs to them.
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

/// Plans to keep the images of a rule with all that belongs to them, and to delete the rest.
///
/// What is pushed after this has read the repository is in neither list. Blobs need no plan: the registry frees those
/// that no manifest refers to.
pub(crate) async fn plan(repository: &RepositoryClient, rule: Rule) -> Result<Plan> {
    let (mut keep, mut newest, mut signed) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
    let mut tags = repository.list_tag_properties_with(ArtifactTagOrder::LastUpdatedOnDescending);
    while let Some(tag) = tags.try_next().await? {
        if let Some(subject) = signed_by(tag.name.as_str()) {
            signed.insert(tag.digest.clone(), subject);
        } else if !matches!(rule, Rule::Newest(number) if newest.len() >= number) {
            newest.insert(tag.digest.clone()); // several tags may name one image
        }
        if matches!(rule, Rule::Untagged(_))
            || !tag.attributes.can_delete()
            || !tag.attributes.can_write()
        {
            keep.insert(tag.digest);
        }
    }
    keep.append(&mut newest);
    let mut manifests = BTreeMap::new();
    let mut list = repository.list_manifest_properties();
    while let Some(properties) = list.try_next().await? {
        let (digest, attributes) = (properties.digest, properties.attributes);
        let is_young =
            matches!(rule, Rule::Untagged(before) if properties.last_updated_on >= before);
        if is_young || !attributes.can_delete() || !attributes.can_write() {
            keep.insert(digest.clone());
        }
        let manifest = repository.get_manifest(&digest).await?;
        let subject = manifest.subject()?.map(|subject| subject.digest);
        let references = References {
            children: manifest
                .references()?
                .into_iter()
                .map(|child| child.digest)
                .collect(),
            subject: subject.or_else(|| signed.remove(&digest)),
        };
        manifests.insert(digest, references);
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

/// What a tag like `sha256-<hex>.sig` is about: some tools store signatures under such tags.
fn signed_by(tag: &str) -> Option<Digest> {
    let (algorithm, rest) = tag.split_once('-')?;
    let hex = rest.split('.').next().unwrap_or(rest);
    format!("{algorithm}:{hex}").parse().ok()
}

/// Connects to the registry that the environment names, or to a mock inside this program.
fn connect() -> Result<ContainerRegistryClient> {
    if std::env::var_os("AZURE_CONTAINERREGISTRY_ENDPOINT").is_some() {
        return Ok(ContainerRegistryClient::from_env()?);
    }
    let time = VirtualClock::new();
    let mock = Registry::builder().clock(time.clone()).build();
    let images = mock.seed("samples/app")?;
    for tag in ["v1", "v1", "v2", "v3", "v4"] {
        images.index(tag)?; // the second one takes the tag from the first
    }
    time.advance(31 * DAY);
    Ok(ContainerRegistryClient::builder("https://mock.azurecr.io")
        .credential(Credential::entra_token("any"))
        .transport(from_fn(mock.handler()))
        .clock(time)
        .build()?)
}
