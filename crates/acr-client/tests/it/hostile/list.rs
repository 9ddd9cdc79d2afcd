use acr_client::models::PageToken;
use acr_client::{Digest, ErrorKind, ListTagPropertiesOptions, ListTagsOptions};
use wiremock::matchers::{any, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::hostile::{over, repository, response, seen, text};

const TAGS: &str = "/v2/app/tags/list";

fn tags(names: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(
        format!(r#"{{"name":"app","tags":{names}}}"#),
        "application/json",
    )
}

fn leading_to(response: ResponseTemplate, target: &str) -> ResponseTemplate {
    response.insert_header("Link", format!("<{target}>; rel=\"next\""))
}

async fn serving(response: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(response)
        .mount(&server)
        .await;
    server
}

#[tokio::test]
async fn a_chain_of_pages_in_a_circle_ends_in_an_error() {
    let target = format!("{TAGS}?last=v1&n=1");
    let server = serving(leading_to(tags(r#"["v1"]"#), &target)).await;
    let error = repository(&server).list_tags().collect_all().await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Protocol);
    assert_eq!(seen(&server).await.len(), 2);
}

#[tokio::test]
async fn a_chain_of_pages_without_items_ends_in_an_error() {
    let repository = over(|request| {
        let query = request.uri().query().unwrap_or_default();
        let page: u32 = query.trim_start_matches("page=").parse().unwrap_or(0);
        let link = format!("<{TAGS}?page={}>; rel=\"next\"", page + 1);
        response(200, &[("link", &link)], r#"{"name":"app","tags":null}"#)
    });
    let error = repository.list_tags().collect_all().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{}", text(&error));
}

#[tokio::test]
async fn a_next_page_on_another_origin_is_not_fetched() {
    let evil = serving(tags("[]")).await;
    for target in [
        format!("{}{TAGS}?last=v1", evil.uri()),
        evil.uri().replace("http:", "") + TAGS,
        "ftp://evil.example/".to_owned(),
    ] {
        let server = serving(leading_to(tags(r#"["v1"]"#), &target)).await;
        let mut list = repository(&server).list_tags();
        assert_eq!(list.try_next().await.unwrap().unwrap(), "v1");
        let error = list.try_next().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{}", text(&error));
        assert_eq!(error.operation(), Some("list_tags"));
        assert!(list.try_next().await.unwrap().is_none());
    }
    assert!(seen(&evil).await.is_empty());
}

#[tokio::test]
async fn a_next_page_may_be_named_in_every_form_that_stays_on_the_registry() {
    let server = MockServer::start().await;
    for (form, next) in [
        ("a", format!("{}{TAGS}?last=b", server.uri())),
        ("b", "?last=c".to_owned()),
        ("c", format!("{TAGS}?last=d%26e&n=")),
    ] {
        Mock::given(path(TAGS))
            .and(query_param("last", form))
            .respond_with(leading_to(tags(&format!("[\"{form}\"]")), &next))
            .mount(&server)
            .await;
    }
    Mock::given(query_param("last", "d&e"))
        .respond_with(tags("[\"d\"]"))
        .mount(&server)
        .await;
    let options = ListTagsOptions {
        resume: Some(PageToken::new(format!("{TAGS}?last=a")).unwrap()),
        ..Default::default()
    };
    let all = repository(&server).list_tags_with(options).collect_all();
    let all = all.await;
    assert_eq!(all.unwrap(), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn a_malformed_link_is_an_error_not_the_end() {
    let response = tags(r#"["v1"]"#).insert_header("Link", "/v2/app/tags/list; rel=next");
    let server = serving(response).await;
    let error = repository(&server).list_tags().try_next().await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{}", text(&error));
}

#[tokio::test]
async fn null_lists_are_empty() {
    let server = serving(tags("null")).await;
    let all = repository(&server).list_tags().collect_all().await;
    assert!(all.unwrap().is_empty());

    let list = r#"{"registry":"r","imageName":"app","tags":null}"#;
    let server = serving(ResponseTemplate::new(200).set_body_string(list)).await;
    let all = repository(&server).list_tag_properties().collect_all();
    let all = all.await;
    assert!(all.unwrap().is_empty());

    let deleted = r#"{"manifestsDeleted":null,"tagsDeleted":null}"#;
    let server = serving(ResponseTemplate::new(202).set_body_string(deleted)).await;
    let went = repository(&server).delete_repository().await.unwrap();
    let went = went.unwrap();
    assert!(went.deleted_tags.is_empty() && went.deleted_manifests.is_empty());
}

#[tokio::test]
async fn what_is_no_list_is_a_protocol_error() {
    for body in [
        "",
        "<html/>",
        "7",
        "null",
        "{\"tags\":7}",
        "{\"tags\":[\"a/b\"]}",
        "{\"tags\":[\"v1\"]",
    ] {
        let server = serving(ResponseTemplate::new(200).set_body_string(body)).await;
        let error = repository(&server).list_tags().collect_all().await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Protocol, "{body}");
        let error = repository(&server).get_tag_properties("v1").await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Protocol, "{body}");
    }
}

#[tokio::test]
async fn a_list_that_is_too_large_is_refused() {
    let server = serving(tags(&format!("[{}\"v1\"]", " ".repeat(9 << 20)))).await;
    let error = repository(&server).list_tags().try_next().await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{}", text(&error));
}

#[tokio::test]
async fn a_filter_that_the_links_drop_still_holds() {
    let (wanted, other) = (Digest::sha256("wanted"), Digest::sha256("other"));
    let page = |name: &str, digest: &Digest| {
        let times =
            r#""createdTime":"2024-01-24T06:16:24Z","lastUpdateTime":"2024-01-24T06:16:24Z""#;
        let tag = format!(r#"{{"name":"{name}","digest":"{digest}",{times}}}"#);
        ResponseTemplate::new(200).set_body_string(format!(
            r#"{{"registry":"r","imageName":"app","tags":[{tag}]}}"#
        ))
    };
    let server = MockServer::start().await;
    for (last, response) in [
        (
            "a",
            leading_to(page("b", &other), "/acr/v1/app/_tags?last=b&orderby="),
        ),
        ("b", page("c", &wanted)),
    ] {
        Mock::given(query_param("last", last))
            .respond_with(response)
            .mount(&server)
            .await;
    }
    Mock::given(query_param("digest", wanted.as_str()))
        .respond_with(leading_to(
            page("a", &wanted),
            "/acr/v1/app/_tags?last=a&orderby=",
        ))
        .mount(&server)
        .await;
    let options = ListTagPropertiesOptions {
        digest: Some(wanted),
        ..Default::default()
    };
    let list = repository(&server).list_tag_properties_with(options);
    let list = list.collect_all().await;
    let names: Vec<_> = list.unwrap().into_iter().map(|tag| tag.name).collect();
    assert_eq!(names, ["a", "c"]);
}

#[tokio::test]
async fn a_token_of_another_list_is_refused_before_anything_is_sent() {
    let server = serving(tags("[]")).await;
    let repository = repository(&server);
    let resume = |target: &str| ListTagsOptions {
        resume: Some(PageToken::new(target).unwrap()),
        ..Default::default()
    };
    for options in [
        resume("/v2/other/tags/list?last=v1"),
        resume("/acr/v1/app/_tags?last=v1"),
        resume("https://evil.example/v2/app/tags/list?last=v1"),
    ] {
        let error = repository.list_tags_with(options).try_next().await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{}", text(&error));
    }
    assert!(seen(&server).await.is_empty());
}

#[tokio::test]
async fn a_registry_without_referrers_is_asked_for_their_tag() {
    let server = MockServer::start().await;
    let subject = Digest::sha256("subject");
    let (a, b) = (Digest::sha256("a"), Digest::sha256("b"));
    let item = |digest: &Digest, kind: &str| {
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        format!(
            r#"{{"mediaType":"{media_type}","digest":"{digest}","size":1,"artifactType":"{kind}"}}"#
        )
    };
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{},{}]}}"#,
        item(&a, "application/a"),
        item(&b, "application/b")
    );
    Mock::given(path(format!("/v2/app/manifests/sha256-{}", subject.hex())))
        .respond_with(
            ResponseTemplate::new(200)
                .set_body_raw(index, "application/vnd.oci.image.index.v1+json"),
        )
        .mount(&server)
        .await;
    let unknown = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":""}]}"#;
    Mock::given(path(format!("/v2/app/manifests/sha256-{}", a.hex())))
        .respond_with(ResponseTemplate::new(404).set_body_string(unknown))
        .mount(&server)
        .await;
    let repository = repository(&server);
    let all = repository.list_referrers(&subject).collect_all().await;
    let all = all.unwrap();
    assert_eq!(all.len(), 2);
    let kind = acr_client::MediaType::from("application/b");
    let some = repository.list_referrers_with(&subject, kind).collect_all();
    let some = some.await.unwrap();
    assert_eq!(some.len(), 1);
    assert_eq!(some[0].digest, b);
    let none = repository.list_referrers(&a).collect_all().await.unwrap();
    assert!(none.is_empty(), "without the tag nothing refers");
}

#[tokio::test]
async fn a_list_of_referrers_is_taken_up_where_it_was_left_and_no_other_list_is() {
    let subject = Digest::sha256("subject");
    let route = format!("/v2/app/referrers/{subject}");
    let page = |digest: &Digest| {
        let item = format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":1}}"#);
        ResponseTemplate::new(200).set_body_raw(
            format!(r#"{{"schemaVersion":2,"manifests":[{item}]}}"#),
            "application/vnd.oci.image.index.v1+json",
        )
    };
    let server = MockServer::start().await;
    let (first, second) = (Digest::sha256("1"), Digest::sha256("2"));
    let link = format!("{route}?last=1");
    Mock::given(query_param("last", "1"))
        .respond_with(page(&second))
        .with_priority(1)
        .mount(&server)
        .await;
    Mock::given(path(route.as_str()))
        .respond_with(leading_to(page(&first), &link))
        .mount(&server)
        .await;
    let repository = repository(&server);
    let mut pages = repository.list_referrers(&subject).by_page();
    let next = pages.try_next().await.unwrap().unwrap().next;
    let rest = |resume| acr_client::ListReferrersOptions {
        resume,
        ..Default::default()
    };
    let left = repository.list_referrers_with(&subject, rest(next));
    let left = left.collect_all().await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].digest, second);

    let other = PageToken::new("/v2/other/tags/list?last=1").unwrap();
    let foreign = repository.list_referrers_with(&subject, rest(Some(other)));
    let error = foreign.collect_all().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{}", text(&error));
}
