//! Referrers: the manifests (signatures, SBOMs and the like) that name another as their subject.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode, response};

use crate::auth::{Action, Scope, ScopeSet};
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::DecodeError;
use crate::manifest::ImageIndex;
use crate::media_type::MediaType;
use crate::operation::{
    Describe, Operation, OperationClass, bare, check_status, from_json, headers, insert,
    insert_link, json_response, text,
};
use crate::paging::PageToken;
use crate::path::PathBuilder;
use crate::reference::{RepositoryName, Tag};

/// Lists the referrers of a manifest: `GET /v2/{name}/referrers/{digest}`, the latest push first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListReferrers {
    /// Which repository.
    pub repository: RepositoryName,
    /// The subject, which need not exist.
    pub digest: Digest,
    /// Only referrers of this kind. A registry need not apply the filter; [`Referrers::filtered`] tells.
    pub artifact_type: Option<MediaType>,
}

/// A page of referrers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrers {
    /// The referrers. Each says its artifact type and its annotations.
    pub items: Vec<Descriptor>,
    /// Whether the registry has applied the filter by artifact type.
    pub filtered: bool,
    /// The way to the next page; `None` on the last. ACR has not been seen to page this list.
    pub next: Option<PageToken>,
}

impl Describe for ListReferrers {
    const NAME: &'static str = "list_referrers";
    const CLASS: OperationClass = OperationClass::Referrers;
    const IDEMPOTENT: bool = true;

    fn scope(&self) -> ScopeSet {
        Scope::repository(&self.repository, [Action::PULL]).into()
    }

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }
}

impl Operation for ListReferrers {
    type Output = Referrers;
    const SUCCESS: &'static [StatusCode] = &[StatusCode::OK];

    fn request(&self) -> Request<Bytes> {
        let path = PathBuilder::new("/v2")
            .name(self.repository.as_str())
            .fixed("/referrers")
            .segment(self.digest.as_str());
        bare(
            Method::GET,
            path.query_opt("artifactType", self.artifact_type.as_ref())
                .uri(),
        )
    }

    fn decode(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        check_status(head, Self::SUCCESS)?;
        let index: ImageIndex = from_json("a list of referrers", &body)?;
        let applied = text(&head.headers, &headers::OCI_FILTERS_APPLIED)?.unwrap_or_default();
        let filtered = applied
            .split(',')
            .any(|filter| filter.trim() == "artifactType");
        Ok(Referrers {
            items: index.manifests,
            filtered,
            next: PageToken::from_headers(&head.headers)?,
        })
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        let mut response = json_response(StatusCode::OK, &ImageIndex::new(output.items.clone()));
        insert(&mut response, CONTENT_TYPE, MediaType::OCI_INDEX.as_str());
        if output.filtered {
            insert(&mut response, headers::OCI_FILTERS_APPLIED, "artifactType");
        }
        insert_link(response, output.next.as_ref())
    }
}

/// The tag under which clients keep the list of referrers where the registry has no such API: `sha256-2cf2…`.
#[must_use]
pub fn fallback_tag(subject: &Digest) -> Option<Tag> {
    // OCI cuts the algorithm to 32 characters and the hash to 64, and puts a dash for what no tag may hold.
    let (algorithm, hash) = subject.as_str().split_once(':')?;
    let cut = |text: &str, most: usize| text.chars().take(most).collect::<String>();
    let text = format!("{}-{}", cut(algorithm, 32), cut(hash, 64));
    Tag::new(text.replace(['+', '='], "-")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fallback_tag_is_the_digest_with_a_dash() {
        let digest = Digest::sha256(b"");
        assert_eq!(
            fallback_tag(&digest).unwrap(),
            format!("sha256-{}", digest.hex()).as_str()
        );
        assert_eq!(
            fallback_tag(&Digest::sha512(b"")).unwrap().as_str().len(),
            "sha512-".len() + 64
        );
        let other =
            Digest::new("multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx=").unwrap();
        assert_eq!(
            fallback_tag(&other).unwrap(),
            "multihash-base58-QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx-"
        );
    }
}
