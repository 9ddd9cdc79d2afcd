//! The list of a manifest's referrers.

use acr_protocol::MediaType;
use acr_protocol::referrers::{ListReferrers, Referrers};
use http::Response;

use crate::Body;
use crate::error::Refusal;
use crate::registry::{Registry, respond};

impl Registry {
    /// `GET /v2/{name}/referrers/{digest}`
    ///
    /// Empty where nothing refers to the digest, or where it is unknown. Chosen: also where the repository is.
    pub(crate) fn list_referrers(
        &self,
        operation: &ListReferrers,
    ) -> Result<Response<Body>, Refusal> {
        let store = self.store();
        let repository = store.repository(&operation.repository);
        let referrers = repository
            .map(|repository| repository.manifests().referrers_of(&operation.digest, None));
        let wanted = |artifact_type: Option<&MediaType>| {
            operation.artifact_type.is_none() || operation.artifact_type.as_ref() == artifact_type
        };
        let items = referrers
            .into_iter()
            .flatten()
            .filter(|referrer| wanted(referrer.listed_type()))
            .map(|referrer| referrer.descriptor());
        let output = Referrers {
            items: items.collect(),
            filtered: operation.artifact_type.is_some(),
            next: None,
        };
        Ok(respond(operation, &output))
    }
}
