//! Lists, locks and manifests.

use std::num::NonZeroU32;

use acr_client::blocking::ContainerRegistryClient;
use acr_client::models::PageToken;
use acr_client::{
    ArtifactManifestOrder, ArtifactTagOrder, ChangeableAttributes, Credential, Error, ErrorKind,
    ListReferrersOptions, ListRepositoryNamesOptions, ListTagsOptions, Manifest, MediaType,
};

use crate::blocking::served::Served;

fn names_by(page_size: u32) -> ListRepositoryNamesOptions {
    ListRepositoryNamesOptions {
        page_size: NonZeroU32::new(page_size),
        ..Default::default()
    }
}

#[test]
fn a_client_is_made_of_an_endpoint_and_a_credential() {
    fn from_env() -> Result<ContainerRegistryClient, Error> {
        ContainerRegistryClient::from_env()
    }
    let _ = from_env;
    let client = ContainerRegistryClient::new("https://name.azurecr.io", Credential::anonymous());
    assert_eq!(client.unwrap().endpoint(), "https://name.azurecr.io");
    let error = ContainerRegistryClient::new("https://r.example/v2", Credential::anonymous());
    assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn names_come_by_item_by_page_and_from_where_a_page_led() {
    for served in Served::both() {
        for name in ["a", "b", "c"] {
            served.registry.seed(name).unwrap().image("v1").unwrap();
        }
        let client = &served.client;
        client.ping().unwrap();
        let mut seen = Vec::new();
        for name in client.list_repository_names_with(names_by(2)) {
            seen.push(name.unwrap().to_string());
        }
        assert_eq!(seen, ["a", "b", "c"]);
        let names = client.list_repositories().collect_all();
        assert_eq!(names.unwrap(), ["a", "b", "c"]);

        let mut pages = client.list_repository_names_with(names_by(2)).by_page();
        let first = pages.next().unwrap().unwrap();
        assert_eq!(first.items, ["a", "b"]);
        assert_eq!(pages.next().unwrap().unwrap().items, ["c"]);
        assert!(pages.next().is_none());

        let rest = client.list_repository_names_with(ListRepositoryNamesOptions {
            resume: first.next,
            ..Default::default()
        });
        assert_eq!(rest.collect_all().unwrap(), ["c"]);

        let mut begun = client.list_repository_names_with(names_by(2));
        assert_eq!(begun.next().unwrap().unwrap(), "a");
        let pages: Vec<_> = begun.by_page().map(|page| page.unwrap().items).collect();
        assert_eq!(pages[0], ["b"]);
        assert_eq!(pages[1], ["c"]);
    }
}

#[test]
fn a_list_ends_after_its_error() {
    for served in Served::both() {
        let missing = served.repository("missing");
        let mut tags = missing.list_tag_properties();
        let error = tags.next().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(tags.next().is_none());
        assert!(tags.by_page().next().is_none());

        let mut pages = missing.list_tags().by_page();
        assert!(pages.next().unwrap().is_err());
        assert!(pages.next().is_none());

        let error = missing.list_manifest_properties().collect_all();
        assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
        let elsewhere = ListRepositoryNamesOptions {
            resume: Some(PageToken::new("/v2/app/tags/list?last=v1").unwrap()),
            ..Default::default()
        };
        let error = served.client.list_repository_names_with(elsewhere).next();
        assert_eq!(error.unwrap().unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn a_locked_tag_is_deleted_once_it_is_unlocked() {
    for served in Served::both() {
        let image = served.registry.seed("app").unwrap();
        image.image("v1").unwrap();
        image.image("v2").unwrap();
        let app = served.repository("app");
        let locked = app
            .update_tag_properties("v1", ChangeableAttributes::LOCKED)
            .unwrap();
        assert!(!locked.attributes.can_delete());
        let error = app.delete_tag("v1").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Disallowed);
        assert_eq!(error.operation(), Some("delete_tag"));

        app.update_tag_properties("v1", ChangeableAttributes::UNLOCKED)
            .unwrap();
        assert!(
            app.get_tag_properties("v1")
                .unwrap()
                .attributes
                .can_delete()
        );
        assert!(app.delete_tag("v1").unwrap());
        assert!(!app.delete_tag("v1").unwrap());
        assert_eq!(app.list_tags().collect_all().unwrap(), ["v2"]);
        let options = ListTagsOptions {
            page_size: Some(NonZeroU32::MIN),
            ..Default::default()
        };
        assert_eq!(app.list_tags_with(options).count(), 1);
        let newest = app.list_tag_properties_with(ArtifactTagOrder::LastUpdatedOnDescending);
        assert_eq!(newest.map(|tag| tag.unwrap().name).last().unwrap(), "v2");
    }
}

#[test]
fn a_manifest_is_put_found_locked_and_deleted() {
    for served in Served::both() {
        let image = served.registry.seed("app").unwrap().image("v1").unwrap();
        let app = served.repository("app");
        assert_eq!(app.get_manifest("v1").unwrap(), image);
        let put = app.set_manifest("v2", &image).unwrap();
        assert_eq!(put.digest, image.digest);
        let found = app.head_manifest("v2").unwrap().unwrap();
        assert_eq!(found, app.resolve(&image.digest).unwrap());
        assert_eq!(found.digest, image.digest);
        let newest =
            app.list_manifest_properties_with(ArtifactManifestOrder::LastUpdatedOnDescending);
        assert_eq!(newest.collect_all().unwrap().len(), 1);
        let properties = app.get_manifest_properties("v2").unwrap();
        assert_eq!(properties.tags.len(), 2);

        let locked = app.update_manifest_properties("v2", ChangeableAttributes::LOCKED);
        assert!(!locked.unwrap().attributes.can_delete());
        let error = app.delete_manifest("v2").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Disallowed);
        app.update_manifest_properties("v2", ChangeableAttributes::UNLOCKED)
            .unwrap();
        assert!(app.delete_manifest("v2").unwrap());
        assert!(!app.delete_manifest("v2").unwrap());
        let error = app.get_manifest("v1").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);

        let foreign = Manifest::new("{}", MediaType::OCI_MANIFEST);
        let error = app.set_manifest(&image.digest, foreign).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DigestMismatch);
    }
}

#[test]
fn referrers_are_listed_and_filtered() {
    for served in Served::both() {
        let seed = served.registry.seed("app").unwrap();
        let image = seed.image("v1").unwrap();
        let (signature, sbom) = ("application/vnd.example.signature", "text/spdx");
        let signed = seed.artifact(&image.digest, signature).unwrap();
        seed.artifact(&image.digest, sbom).unwrap();
        let app = served.repository("app");
        assert_eq!(app.list_referrers(&image.digest).count(), 2);
        let options = ListReferrersOptions::from(MediaType::from(signature));
        let found = app.list_referrers_with(&image.digest, options);
        let found = found.collect_all().unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].digest, signed.digest);
        let error = app.list_referrers("no digest").next().unwrap();
        assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn a_repository_is_locked_and_deleted_by_name_and_by_handle() {
    for served in Served::both() {
        for name in ["one", "two"] {
            served.registry.seed(name).unwrap().image("v1").unwrap();
        }
        let (client, two) = (&served.client, served.repository("two"));
        let attributes = ChangeableAttributes::default().can_write(false);
        let one = client.update_repository_properties("one", attributes);
        assert!(!one.unwrap().attributes.can_write());
        assert!(
            !two.update_repository_properties(attributes)
                .unwrap()
                .attributes
                .can_write()
        );
        let one = client.get_repository_properties("one").unwrap();
        assert_eq!(one.name, "one");
        assert_eq!(two.get_repository_properties().unwrap().name, *two.name());
        assert!(one.created_on <= client.now());

        let unlocked = ChangeableAttributes::UNLOCKED;
        client
            .update_repository_properties("one", unlocked)
            .unwrap();
        two.update_repository_properties(unlocked).unwrap();
        assert!(client.delete_repository("one").unwrap().is_some());
        assert!(client.delete_repository("one").unwrap().is_none());
        assert!(two.delete_repository().unwrap().is_some());
        assert_eq!(client.list_repository_names().count(), 0);
    }
}

#[test]
fn a_request_of_ones_own_gives_its_body_up_to_a_limit() {
    for served in Served::both() {
        let image = served.registry.seed("app").unwrap().image("v1").unwrap();
        let client = &served.client;
        let ask = |method: &str, limit| {
            let request = http::Request::builder().method(method);
            let request = request.uri("/v2/app/manifests/v1").body("").unwrap();
            client.authorized_request(request, "repository:app:pull", limit)
        };
        assert_eq!(ask("GET", 1 << 20).unwrap().body(), &image.bytes);
        assert_eq!(ask("GET", 5).unwrap_err().kind(), ErrorKind::TooLarge);
        // It announces the length of what it does not have.
        let head = ask("HEAD", 5).unwrap();
        assert_eq!((head.status().as_u16(), head.body().len()), (200, 0));

        let token = client.access_token("repository:app:pull").unwrap().unwrap();
        assert_eq!(token.granted().unwrap().to_string(), "repository:app:pull");
    }
}
