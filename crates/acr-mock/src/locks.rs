//! What the switches of repositories, tags and manifests forbid. One function for each row of the service's rules.
//!
//! The three levels are independent of each other. Some rows are only documented by the service, and some are chosen
//! here because nothing is known; those say so.

use acr_protocol::Reference;

use crate::error::ErrorResponse;
use crate::store::{ManifestRecord, RepositoryRecord, Switches, TagRecord};

/// Pushing anything into a repository: its write switch.
pub(crate) fn push(repository: &RepositoryRecord) -> Result<(), ErrorResponse> {
    allow(repository.switches.can_write())
}

/// Setting a manifest: the repository's write switch, and the tag's if one is set. The delete switches do not matter, and
/// (chosen) neither does the write switch of a manifest that is there already, since the push leaves it as it is.
pub(crate) fn set_manifest(
    repository: &RepositoryRecord,
    tag: Option<&TagRecord>,
) -> Result<(), ErrorResponse> {
    push(repository)?;
    allow(tag.is_none_or(|tag| tag.switches.can_write()))
}

/// Deleting a tag: the tag's write switch forbids it as its delete switch does, and so does the repository's write
/// switch; the repository's delete switch does not.
pub(crate) fn delete_tag(
    repository: &RepositoryRecord,
    tag: &TagRecord,
) -> Result<(), ErrorResponse> {
    allow(repository.switches.can_write() && is_open(&tag.switches))
}

/// Deleting a manifest: as a tag. Chosen: a locked tag of it holds it too, because it would go with it.
pub(crate) fn delete_manifest(
    repository: &RepositoryRecord,
    manifest: &ManifestRecord,
) -> Result<(), ErrorResponse> {
    let tags_open = !repository.tags().are_locked_of(&manifest.digest);
    allow(repository.switches.can_write() && is_open(&manifest.switches) && tags_open)
}

/// Deleting a blob: the repository's write switch, as for every delete in it.
pub(crate) fn delete_blob(repository: &RepositoryRecord) -> Result<(), ErrorResponse> {
    allow(repository.switches.can_write())
}

/// Deleting a repository: its own switches, and those of everything in it.
pub(crate) fn delete_repository(repository: &RepositoryRecord) -> Result<(), ErrorResponse> {
    let all_open = !repository.tags().are_locked() && !repository.manifests().are_locked();
    allow(is_open(&repository.switches) && all_open)
}

/// Pulling a manifest: the read switches of the repository and of the tag that is asked for. Chosen: the manifest's own
/// holds by digest and by every tag; a tag's does not hold by digest; the status is that of the other locks.
pub(crate) fn get_manifest(
    repository: &RepositoryRecord,
    reference: &Reference,
    manifest: &ManifestRecord,
) -> Result<(), ErrorResponse> {
    let tag = reference
        .tag()
        .and_then(|tag| repository.tags().get(tag.as_str()));
    let tag_open = tag.is_none_or(|tag| tag.switches.can_read());
    allow(repository.switches.can_read() && tag_open && manifest.switches.can_read())
}

/// Pulling a blob: the repository's read switch.
pub(crate) fn get_blob(repository: &RepositoryRecord) -> Result<(), ErrorResponse> {
    allow(repository.switches.can_read())
}

/// Neither the write nor the delete switch is off.
fn is_open(switches: &Switches) -> bool {
    !switches.is_locked()
}

fn allow(allowed: bool) -> Result<(), ErrorResponse> {
    if allowed {
        Ok(())
    } else {
        Err(ErrorResponse::disallowed())
    }
}
