//! The list of a manifest's referrers.

use std::sync::Arc;

use acr_protocol::referrers::ListReferrers;
use acr_protocol::{ListOrder, Page, PageToken};
use form_urlencoded::Serializer;

use crate::registry::Registry;
use crate::request_body::RequestBody;
use crate::request_context::RequestContext;
use crate::response::respond;
use crate::serve::{Outcome, Serve};
use crate::settings::REFERRERS_PAGE_BYTES;
use crate::store::{ManifestRecord, Place, marker, place, read_marker};

const NEWEST_FIRST: ListOrder = ListOrder::LastUpdatedOnDescending;

/// `GET /v2/{name}/referrers/{digest}`
///
/// Empty where nothing refers to the digest, or where it is unknown. Chosen: also where the repository is; and all that
/// makes the list one of pages. A page begins behind a time and a digest, so what is pushed meanwhile moves nothing.
impl Serve for ListReferrers {
    async fn serve(self, registry: &Registry, call: &RequestContext, _: RequestBody) -> Outcome {
        let most = registry.settings().referrers_page_size.max(1);
        let size = self.query.page_size.unwrap_or(most).min(most) as usize;
        let behind = read_marker(NEWEST_FIRST, self.query.last.as_deref());
        let wanted = self.artifact_type.as_ref();
        let (mut page, mut end) = registry
            .gather(size, behind, |store, page| {
                let repository = store.repository(&self.repository);
                page.go_on(
                    |behind| {
                        let manifests = repository.map(|repository| repository.manifests());
                        manifests
                            .map(|manifests| manifests.referrers_of(&self.digest, behind))
                            .into_iter()
                            .flatten()
                    },
                    |manifest| {
                        let fits = wanted.is_none() || wanted == manifest.artifact_type.as_ref();
                        fits.then(|| Arc::clone(manifest))
                    },
                    |manifest| place_of(manifest),
                );
                Ok(())
            })
            .await?;
        let fitting = as_many_as_fit(page.iter().map(|manifest| manifest.bytes.len()));
        if fitting < page.len() {
            page.truncate(fitting);
            end = page.last().map(|last| place_of(last));
        }
        let output = Page {
            items: page.iter().map(|referrer| referrer.descriptor()).collect(),
            filtered: self.artifact_type.is_some(),
            next: end.and_then(|end| next_page(call, &self, size, &end)),
            ..Page::default()
        };
        Ok(respond(&self, &output))
    }
}

fn place_of(manifest: &ManifestRecord) -> Place {
    place(
        NEWEST_FIRST,
        manifest.last_updated_on,
        manifest.digest.as_str(),
    )
}

/// How many manifests of these lengths a page may tell of: at least one.
fn as_many_as_fit(lengths: impl Iterator<Item = usize>) -> usize {
    let mut bytes = 0_usize;
    let fitting = lengths.take_while(|length| {
        bytes = bytes.saturating_add(*length);
        bytes <= REFERRERS_PAGE_BYTES
    });
    fitting.count().max(1)
}

/// The link keeps the filter, for it is the only thing that does.
fn next_page(
    call: &RequestContext,
    operation: &ListReferrers,
    size: usize,
    end: &Place,
) -> Option<PageToken> {
    let mut query = Serializer::new(String::new());
    if let Some(artifact_type) = &operation.artifact_type {
        query.append_pair("artifactType", artifact_type.as_str());
    }
    query.append_pair("last", &marker(NEWEST_FIRST, end));
    query.append_pair("n", &size.to_string());
    PageToken::new(format!("{}?{}", call.uri().path(), query.finish())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_referrers_is_bounded_in_bytes() {
        let most = REFERRERS_PAGE_BYTES;
        let fit = |lengths: &[usize]| as_many_as_fit(lengths.iter().copied());
        assert_eq!(fit(&[most, 1]), 1);
        assert_eq!(fit(&[most + 1, 1]), 1, "one is always told of");
        assert_eq!(fit(&[1, most - 1, 1]), 2);
        assert_eq!(fit(&[1, most]), 1);
        assert_eq!(fit(&[600; 1_000]), 1_000);
    }
}
