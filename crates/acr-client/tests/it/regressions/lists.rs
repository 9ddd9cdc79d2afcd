use std::num::NonZeroU32;

use acr_client::{ArtifactTagOrder, ListRepositoryNamesOptions, ListTagPropertiesOptions};
use acr_mock::{Fault, FaultAction, FaultResponse};

use crate::regressions::support::Scene;

#[test]
fn a_list_does_not_end_with_its_first_page() {
    let support = Scene::with(|builder| builder.page_size(10));
    for at in 0..101 {
        support.seed(&format!("app-{at:03}")).image("v1").unwrap();
    }
    let names = support.drive(support.owner().list_repository_names().collect_all());
    let names = names.unwrap();
    assert_eq!(names.len(), 101);
    assert!(names.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn a_page_that_fails_is_asked_for_again_and_the_list_goes_on() {
    let support = Scene::with(|builder| builder.page_size(2));
    let seed = support.seed("app");
    for at in 0..9 {
        seed.image(format!("v{at}")).unwrap();
    }
    let app = support.owner().repository_client("app").unwrap();
    for fault in [
        Fault::on("list_tag_properties")
            .after(2)
            .times(2)
            .then(FaultAction::Reset),
        Fault::on("list_tag_properties")
            .after(2)
            .times(2)
            .then(FaultAction::CutBody(20)),
        Fault::on("list_tag_properties")
            .after(2)
            .times(2)
            .then(FaultResponse::service_unavailable()),
    ] {
        support.registry.inject(fault).unwrap();
        let tags = support
            .drive(app.list_tag_properties().collect_all())
            .unwrap();
        assert_eq!(tags.len(), 9);
    }
}

#[test]
fn a_list_that_was_left_is_taken_up_where_it_was_by_another_process() {
    let support = Scene::with(|builder| builder.page_size(3));
    for at in 0..10 {
        support.seed(&format!("app-{at}")).image("v1").unwrap();
    }
    let kept = support.drive(async {
        let mut pages = support.owner().list_repository_names().by_page();
        let page = pages.try_next().await.unwrap().unwrap();
        page.next.unwrap().as_str().to_owned()
    });
    let options = ListRepositoryNamesOptions {
        resume: Some(kept.parse().unwrap()),
        ..Default::default()
    };
    let rest = support.owner().list_repository_names_with(options);
    assert_eq!(support.drive(rest.collect_all()).unwrap().len(), 7);
}

#[test]
fn the_tags_of_one_manifest_are_its_own_on_every_page() {
    for order in [
        ArtifactTagOrder::None,
        ArtifactTagOrder::LastUpdatedOnAscending,
        ArtifactTagOrder::LastUpdatedOnDescending,
    ] {
        let support = Scene::new();
        let seed = support.seed("app");
        let wanted = seed.image("wanted-0").unwrap();
        for at in 1..8 {
            seed.image(format!("other-{at}")).unwrap();
            seed.manifest(Some(&format!("wanted-{at}")), &wanted)
                .unwrap();
        }
        let app = support.owner().repository_client("app").unwrap();
        let tags = app.list_tag_properties_with(ListTagPropertiesOptions {
            order,
            digest: Some(wanted.digest.clone()),
            page_size: NonZeroU32::new(2),
            resume: None,
        });
        let tags = support.drive(tags.collect_all()).unwrap();
        assert_eq!(tags.len(), 8, "{order:?}");
        assert!(tags.iter().all(|tag| tag.digest == wanted.digest));
    }
}

#[test]
fn a_list_of_nothing_is_empty_and_no_error() {
    let support = Scene::new();
    let image = support.seed("app").image("v1").unwrap();
    let app = support.owner().repository_client("app").unwrap();
    support.drive(async {
        app.delete_tag("v1").await.unwrap();
        // The service says `"tags":null` here.
        assert!(
            app.list_tag_properties()
                .collect_all()
                .await
                .unwrap()
                .is_empty()
        );
        let referrers = app.list_referrers(&image.digest).collect_all().await;
        assert!(referrers.unwrap().is_empty());
        let deleted = app.delete_repository().await.unwrap().unwrap();
        assert!(deleted.deleted_tags.is_empty() && deleted.deleted_manifests.len() == 1);
    });
}
