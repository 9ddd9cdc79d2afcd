//! Lists, page by page.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use acr_client::models::{Page, PageToken};
use acr_client::{
    ArtifactTagOrder, Digest, Error, ErrorKind, ListManifestPropertiesOptions,
    ListReferrersOptions, ListRepositoryNamesOptions, ListTagPropertiesOptions, ListTagsOptions,
    MediaType, Pages, RepositoryClient,
};
use futures_util::TryStreamExt as _;

use crate::suite::backend::{Backend, Served, on_every_backend};

on_every_backend! {
    pages_of_7_give_250_tags_in_order
    pages_of_7_give_every_manifest_in_order
    repositories_come_in_pages_by_name
    a_registry_without_the_acr_api_lists_its_repositories
    pages_are_of_the_size_that_was_asked_for
    a_list_goes_on_from_a_token_that_was_kept
    a_token_of_another_list_is_refused_before_anything_is_sent
    a_filter_by_digest_holds_on_every_page
    a_list_that_is_changed_meanwhile_gives_what_is_left
    a_large_page_size_is_what_the_registry_makes_of_it
    referrers_come_in_pages_with_and_without_a_filter
    an_empty_list_has_one_empty_page
    a_list_of_an_unknown_repository_is_not_found
    a_pager_is_a_stream
    a_page_costs_one_request
}

const ORDERS: [ArtifactTagOrder; 3] = [
    ArtifactTagOrder::None,
    ArtifactTagOrder::LastUpdatedOnAscending,
    ArtifactTagOrder::LastUpdatedOnDescending,
];

/// A repository `samples/app` with tags that were pushed in this order.
fn served(backend: Backend, tags: impl IntoIterator<Item = String>) -> Served {
    let served = Served::on(backend, |builder| builder);
    let seed = served.seed("samples/app");
    for tag in tags {
        seed.image(tag).unwrap();
    }
    served
}

/// 250 names, in an order that is neither theirs nor its reverse.
fn tags() -> impl Iterator<Item = String> {
    (0..250).map(|at| format!("t{:03}", at * 101 % 250))
}

fn by(order: ArtifactTagOrder, page_size: u32) -> ListTagPropertiesOptions {
    ListTagPropertiesOptions {
        order,
        page_size: NonZeroU32::new(page_size),
        ..Default::default()
    }
}

async fn names(
    app: &RepositoryClient,
    options: ListTagPropertiesOptions,
) -> Result<Vec<String>, Error> {
    let tags = app.list_tag_properties_with(options).collect_all().await?;
    Ok(tags.into_iter().map(|tag| tag.name.to_string()).collect())
}

async fn all<T: Send + 'static>(mut pages: Pages<T>) -> Vec<Page<T>> {
    let mut all = Vec::new();
    while let Some(page) = pages.try_next().await.unwrap() {
        all.push(page);
    }
    all
}

async fn pages_of_7_give_250_tags_in_order(backend: Backend) {
    let served = served(backend, tags());
    let app = served.repository("samples/app");
    let pushed: Vec<String> = tags().collect();
    let (mut sorted, mut newest_first) = (pushed.clone(), pushed.clone());
    sorted.sort();
    newest_first.reverse();
    for (order, expected) in ORDERS.into_iter().zip([&sorted, &pushed, &newest_first]) {
        let names = names(&app, by(order, 7)).await.unwrap();
        assert_eq!(&names, expected, "{order:?}");
    }
    let options = ListTagsOptions {
        page_size: NonZeroU32::new(7),
        ..Default::default()
    };
    let tags = app.list_tags_with(options).collect_all().await.unwrap();
    assert_eq!(tags, sorted[..]);
    // And without a size, in pages of the registry's default size.
    let tags = app.list_tag_properties().collect_all().await.unwrap();
    assert_eq!(tags.len(), 250);
}

async fn pages_of_7_give_every_manifest_in_order(backend: Backend) {
    let served = served(backend, []);
    let seed = served.seed("samples/app");
    let pushed: Vec<Digest> = (0..60)
        .map(|_| seed.untagged_image().unwrap().digest)
        .collect();
    let app = served.repository("samples/app");
    let (mut sorted, mut newest_first) = (pushed.clone(), pushed.clone());
    sorted.sort();
    newest_first.reverse();
    for (order, expected) in ORDERS.into_iter().zip([sorted, pushed, newest_first]) {
        let options = ListManifestPropertiesOptions {
            order,
            page_size: NonZeroU32::new(7),
            ..Default::default()
        };
        let listed = app.list_manifest_properties_with(options).collect_all();
        let listed = listed.await.unwrap();
        for manifest in &listed {
            assert_eq!(manifest.repository_name, "samples/app");
        }
        let listed: Vec<Digest> = listed.into_iter().map(|manifest| manifest.digest).collect();
        assert_eq!(listed, expected, "{order:?}");
    }
}

async fn repositories_come_in_pages_by_name(backend: Backend) {
    let served = Served::on(backend, |builder| builder);
    let mut expected: Vec<String> = (0..30)
        .map(|at| format!("team{}/app-{at}", at % 3))
        .collect();
    for name in &expected {
        served.seed(name).untagged_image().unwrap();
    }
    expected.sort();
    for page_size in [1, 4, 30, 31] {
        let options = ListRepositoryNamesOptions {
            page_size: NonZeroU32::new(page_size),
            ..Default::default()
        };
        let listed = served.owner().list_repository_names_with(options);
        let listed = listed.collect_all().await.unwrap();
        assert_eq!(listed, expected[..], "{page_size}");
    }
}

async fn a_registry_without_the_acr_api_lists_its_repositories(backend: Backend) {
    let served = Served::on(backend, |builder| builder.profile(acr_mock::Profile::Oci));
    let expected = ["a/one", "a/two", "b", "c", "d"];
    for name in expected {
        served.seed(name).untagged_image().unwrap();
    }
    let client = served.owner();
    for page_size in [None, Some(1), Some(2), Some(5), Some(6)] {
        let mut options = ListRepositoryNamesOptions {
            page_size: page_size.and_then(NonZeroU32::new),
            resume: None,
        };
        let listed = client.list_repositories_with(options.clone());
        assert_eq!(listed.collect_all().await.unwrap(), expected);
        let mut pages = client.list_repositories_with(options.clone()).by_page();
        let first = pages.try_next().await.unwrap().unwrap();
        options.resume = first.next;
        if options.resume.is_some() {
            let rest = client.list_repositories_with(options).collect_all().await;
            assert_eq!(rest.unwrap(), expected[first.items.len()..]);
        }
    }
    let requests = served.requests();
    let is_acr = |request: &String| request.contains("/acr/");
    assert!(!requests.iter().any(is_acr), "{requests:?}");
}

async fn pages_are_of_the_size_that_was_asked_for(backend: Backend) {
    let served = served(backend, (0..10).map(|at| format!("v{at}")));
    let app = served.repository("samples/app");
    for (size, expected) in [
        (1, vec![1; 10]),
        (3, vec![3, 3, 3, 1]),
        (5, vec![5, 5]),
        (10, vec![10]),
        (11, vec![10]),
    ] {
        let pages = app.list_tag_properties_with(by(ArtifactTagOrder::None, size));
        let pages = all(pages.by_page()).await;
        let sizes: Vec<usize> = pages.iter().map(|page| page.items.len()).collect();
        assert_eq!(sizes, expected);
        let (last, others) = pages.split_last().unwrap();
        assert!(last.next.is_none() && others.iter().all(|page| page.next.is_some()));
    }
}

async fn a_list_goes_on_from_a_token_that_was_kept(backend: Backend) {
    let served = served(backend, tags().take(40));
    let app = served.repository("samples/app");
    for order in ORDERS {
        let whole = names(&app, by(order, 100)).await.unwrap();
        let mut pages = app.list_tag_properties_with(by(order, 7)).by_page();
        let mut seen = 0;
        for _ in 0..3 {
            let page = pages.try_next().await.unwrap().unwrap();
            seen += page.items.len();
            // Kept as text, and used by another client.
            let token = PageToken::new(page.next.unwrap().as_str()).unwrap();
            let again = served.repository("samples/app");
            let options = ListTagPropertiesOptions {
                resume: Some(token),
                ..Default::default()
            };
            let rest = names(&again, options).await.unwrap();
            assert_eq!(rest, whole[seen..], "{order:?}");
        }
    }
}

async fn a_token_of_another_list_is_refused_before_anything_is_sent(backend: Backend) {
    let served = served(backend, tags().take(3));
    let app = served.repository("samples/app");
    served.requests();
    for token in [
        "/acr/v1/other/_tags?last=t001&n=1&orderby=",
        "/acr/v1/samples/app/_manifests?last=t001&n=1&orderby=",
        "https://elsewhere.example/acr/v1/samples/app/_tags?last=t001&n=1",
        "//elsewhere.example/acr/v1/samples/app/_tags",
    ] {
        let options = ListTagPropertiesOptions {
            resume: Some(PageToken::new(token).unwrap()),
            ..Default::default()
        };
        let error = names(&app, options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    assert!(served.requests().is_empty());
}

async fn a_filter_by_digest_holds_on_every_page(backend: Backend) {
    // The registry forgets the filter in its link, so that the later pages hold other tags too.
    let served = served(backend, []);
    let seed = served.seed("samples/app");
    let wanted = seed.untagged_image().unwrap();
    let other = seed.untagged_image().unwrap();
    for at in 0..40 {
        let manifest = if at % 3 == 0 { &wanted } else { &other };
        seed.manifest(Some(&format!("t{at:02}")), manifest).unwrap();
    }
    let app = served.repository("samples/app");
    let expected: BTreeSet<String> = (0..40).step_by(3).map(|at| format!("t{at:02}")).collect();
    for order in ORDERS {
        for size in [1, 4, 100] {
            let options = ListTagPropertiesOptions {
                digest: Some(wanted.digest.clone()),
                ..by(order, size)
            };
            let listed = names(&app, options).await.unwrap();
            assert_eq!(listed.len(), expected.len(), "{order:?} {size}");
            assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), expected);
        }
    }
}

async fn a_list_that_is_changed_meanwhile_gives_what_is_left(backend: Backend) {
    // What every purge does: walk, and delete what it walks over.
    let served = served(backend, tags().take(30));
    let app = served.repository("samples/app");
    for order in [
        ArtifactTagOrder::LastUpdatedOnDescending,
        ArtifactTagOrder::None,
    ] {
        let mut pager = app.list_tag_properties_with(by(order, 4));
        let mut seen = BTreeSet::new();
        let before = app.list_tags().collect_all().await.unwrap();
        while let Some(tag) = pager.try_next().await.unwrap() {
            assert!(seen.insert(tag.name.clone()), "{} came twice", tag.name);
            if seen.len() % 2 == 0 {
                assert!(app.delete_tag(&tag.name).await.unwrap());
            }
        }
        assert_eq!(seen, before.into_iter().collect());
    }
    assert_eq!(app.list_tags().collect_all().await.unwrap().len(), 8);
}

async fn a_large_page_size_is_what_the_registry_makes_of_it(backend: Backend) {
    let served = Served::on(backend, |builder| builder.page_size_limit(10));
    let seed = served.seed("samples/app");
    for at in 0..25 {
        seed.image(format!("v{at}")).unwrap();
    }
    let app = served.repository("samples/app");
    for size in [11, 1_000, u32::MAX] {
        let pages = app.list_tag_properties_with(by(ArtifactTagOrder::None, size));
        let pages = all(pages.by_page()).await;
        let sizes: Vec<usize> = pages.iter().map(|page| page.items.len()).collect();
        assert_eq!(sizes, [10, 10, 5]);
    }
}

async fn referrers_come_in_pages_with_and_without_a_filter(backend: Backend) {
    let served = Served::on(backend, |builder| builder.referrers_page_size(7));
    let seed = served.seed("samples/app");
    let subject = seed.image("v1").unwrap().digest;
    let kinds = ["application/vnd.one+json", "application/vnd.two"];
    let mut pushed: Vec<(Digest, &str)> = (0..25)
        .map(|at| {
            let kind = kinds[at % 2];
            (seed.artifact(&subject, kind).unwrap().digest, kind)
        })
        .collect();
    pushed.reverse();
    let app = served.repository("samples/app");
    let pages = all(app.list_referrers(&subject).by_page()).await;
    let sizes: Vec<usize> = pages.iter().map(|page| page.items.len()).collect();
    assert_eq!(sizes, [7, 7, 7, 4]);
    let listed = pages.iter().flat_map(|page| &page.items);
    let listed: Vec<&Digest> = listed.map(|referrer| &referrer.digest).collect();
    let expected: Vec<&Digest> = pushed.iter().map(|(digest, _)| digest).collect();
    assert_eq!(listed, expected);
    for wanted in kinds {
        let options = ListReferrersOptions::from(MediaType::from(wanted));
        let listed = app.list_referrers_with(&subject, options).collect_all();
        let listed = listed.await;
        let listed: Vec<Digest> = listed
            .unwrap()
            .into_iter()
            .map(|item| item.digest)
            .collect();
        let pushed = pushed.iter().filter(|(_, kind)| *kind == wanted);
        let expected: Vec<Digest> = pushed.map(|(digest, _)| digest.clone()).collect();
        assert_eq!(listed, expected);
    }
    // A token that was kept leads on from there, under its filter.
    let rest = ListReferrersOptions {
        resume: pages[1].next.clone(),
        ..Default::default()
    };
    let rest = app.list_referrers_with(&subject, rest).collect_all().await;
    let rest = rest.unwrap();
    assert_eq!(rest.len(), 11);
}

async fn an_empty_list_has_one_empty_page(backend: Backend) {
    let served = served(backend, []);
    let untagged = served.seed("samples/app").untagged_image().unwrap();
    let app = served.repository("samples/app");
    // The registry says `null` here, not `[]`.
    let tags = app.list_tag_properties().try_next().await.unwrap();
    assert!(tags.is_none());
    assert!(app.list_tags().try_next().await.unwrap().is_none());
    let referrers = app.list_referrers(&untagged.digest).try_next().await;
    assert!(referrers.unwrap().is_none());
    let pages = all(app.list_tag_properties().by_page()).await;
    assert!(pages.len() == 1 && pages[0].items.is_empty() && pages[0].next.is_none());
    let empty = Served::on(backend, |builder| builder);
    assert!(
        empty
            .owner()
            .list_repository_names()
            .try_next()
            .await
            .unwrap()
            .is_none()
    );
}

async fn a_list_of_an_unknown_repository_is_not_found(backend: Backend) {
    let served = served(backend, []);
    let app = served.repository("no/where");
    let mut tags = app.list_tag_properties();
    let error = tags.try_next().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.repository()),
        (ErrorKind::NotFound, Some("no/where"))
    );
    assert_eq!(error.code().unwrap(), "NAME_UNKNOWN");
    // After an error the list has ended.
    assert!(tags.try_next().await.unwrap().is_none());
    for error in [
        app.list_manifest_properties().try_next().await.unwrap_err(),
        app.list_tags().try_next().await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}

async fn a_pager_is_a_stream(backend: Backend) {
    let served = served(backend, tags().take(20));
    let app = served.repository("samples/app");
    let pager = app.list_tag_properties_with(by(ArtifactTagOrder::None, 3));
    let names = pager.map_ok(|tag| tag.name.to_string()).try_collect().await;
    let names: Vec<String> = names.unwrap();
    assert_eq!(names.len(), 20);
    let pages = app.list_tag_properties_with(by(ArtifactTagOrder::None, 3));
    let pages: Vec<Page<_>> = pages.by_page().try_collect().await.unwrap();
    assert_eq!(pages.len(), 7);
}

async fn a_page_costs_one_request(backend: Backend) {
    let served = served(backend, tags().take(100));
    let app = served.repository("samples/app");
    app.get_tag_properties("t000").await.unwrap();
    served.requests();
    names(&app, by(ArtifactTagOrder::None, 10)).await.unwrap();
    let requests = served.requests();
    assert_eq!(requests.len(), 10, "{requests:?}");
    // A list that is not read to its end is not fetched to its end.
    let mut pager = app.list_tag_properties_with(by(ArtifactTagOrder::None, 10));
    for _ in 0..5 {
        pager.try_next().await.unwrap();
    }
    drop(pager);
    assert!(served.requests().len() <= 2);
}
