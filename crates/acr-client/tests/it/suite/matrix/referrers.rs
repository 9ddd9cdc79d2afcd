//! Referrers.

use acr_client::RepositoryClient;

use super::case::{Case, Locked, Missing, Outcome, call, items};
use super::world::{Expected, Plain, What, World};

pub(super) fn list_referrers() -> Case {
    Case {
        request: |at| Plain::get(format!("/v2/{}/referrers/{}", at.repository, at.digest)),
        response: |world| {
            let index_type = "application/vnd.oci.image.index.v1+json";
            let signature = &world.signature;
            let referrer = format!(
                r#"{{"mediaType":"{}","digest":"{}","size":{},"artifactType":"application/vnd.example.signature"}}"#,
                signature.media_type,
                signature.digest,
                signature.bytes.len()
            );
            let body = format!(
                "{{\"schemaVersion\":2,\"mediaType\":\"{index_type}\",\"manifests\":[{referrer}]}}\n"
            );
            Expected::empty(200)
                .body(body)
                .header("content-type", index_type)
        },
        scope: "repository:APP:pull",
        call: call!(|c| items(c.app.list_referrers(&c.at.digest)).await),
        missing: Ok(Missing {
            what: What::Repository,
            status: 200,
            code: None,
            outcome: Ok(Outcome::Items(0)),
        }),
        locked: Ok(Locked::Not(Outcome::Items(1))),
    }
}

pub(super) mod ok {
    use super::*;

    pub(crate) async fn list_referrers(world: World, app: RepositoryClient) {
        let referrers = app.list_referrers(&world.image.digest).collect_all().await;
        let [referrer] = &referrers.unwrap()[..] else {
            panic!("there is one")
        };
        assert_eq!(referrer.digest, world.signature.digest);
        assert_eq!(referrer.size, world.signature.bytes.len() as u64);
        let artifact_type = referrer.artifact_type.as_ref().unwrap();
        assert_eq!(artifact_type, "application/vnd.example.signature");
    }
}
