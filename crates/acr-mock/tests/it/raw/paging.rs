//! Pages of lists: `n`, `last`, `orderby` and the link, to the letter.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::raw::support::{
    DELETE, OCI_MANIFEST, PUSH, READ, Raw, RawResponse, START_TICKS, escape,
};

const CATALOG: &str = "registry:catalog:*";

fn get(raw: &Raw, path: &str) -> RawResponse {
    raw.get(path).scope(scope(path)).expect(200)
}

fn scope(path: &str) -> &'static str {
    match path.contains("_catalog") {
        true => CATALOG,
        false => READ,
    }
}

/// The names in a page, whatever it lists.
fn names(response: &RawResponse) -> Vec<String> {
    let body = response.json();
    let mut items = ["repositories", "tags", "manifests"].iter();
    let items = items.find_map(|member| body.get(member)).unwrap();
    let name = |item: &Value| match item {
        Value::String(name) => name.clone(),
        item => item
            .get("name")
            .or(item.get("digest"))
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned(),
    };
    items
        .as_array()
        .map(|items| items.iter().map(name).collect())
        .unwrap_or_default()
}

/// Where the link leads.
#[track_caller]
fn next(response: &RawResponse) -> Option<String> {
    let links = response.all("link");
    let [link] = links[..] else {
        assert!(links.is_empty(), "{links:?}");
        return None;
    };
    let target = link.strip_prefix('<').unwrap();
    let target = target.strip_suffix(">; rel=\"next\"").unwrap();
    Some(target.to_owned())
}

/// Every page from a first one on.
fn walk(raw: &Raw, path: &str) -> Vec<Vec<String>> {
    let (mut pages, mut at) = (Vec::new(), Some(path.to_owned()));
    while let Some(path) = at {
        let response = get(raw, &path);
        pages.push(names(&response));
        at = next(&response);
        assert!(pages.len() < 100, "the pages never end");
    }
    pages
}

fn with_tags(tags: &[&str]) -> Raw {
    let raw = Raw::new();
    for tag in tags {
        raw.push_image("app", tag);
    }
    raw
}

#[test]
fn the_link_is_the_service_s_to_the_letter() {
    let raw = with_tags(&["3.15.6", "3.16.3", "3.17.1"]);
    for name in ["ubuntu", "library/busybox", "alpine"] {
        raw.push_image(name, "v1");
    }
    for (path, expected) in [
        (
            "/acr/v1/_catalog?api-version=2021-07-01&n=1",
            "/acr/v1/_catalog?last=alpine&n=1&orderby=",
        ),
        (
            "/acr/v1/_catalog?last=app&n=1&orderby=",
            "/acr/v1/_catalog?last=library%2Fbusybox&n=1&orderby=",
        ),
        (
            "/acr/v1/_catalog?n=3",
            "/acr/v1/_catalog?last=library%2Fbusybox&n=3&orderby=",
        ),
        (
            "/v2/_catalog?n=3",
            "/v2/_catalog?last=library%2Fbusybox&n=3&orderby=",
        ),
        (
            "/acr/v1/app/_tags?api-version=2021-07-01&n=1",
            "/acr/v1/app/_tags?last=3.15.6&n=1&orderby=",
        ),
        (
            "/v2/app/tags/list?n=2",
            "/v2/app/tags/list?last=3.16.3&n=2&orderby=",
        ),
    ] {
        let link = format!("<{expected}>; rel=\"next\"");
        assert_eq!(get(&raw, path).all("link"), [link], "{path}");
    }
    for (path, expected) in [
        (
            "/acr/v1/_catalog?last=library%2Fbusybox&n=1&orderby=",
            "ubuntu",
        ),
        // A marker may come unescaped.
        ("/acr/v1/_catalog?last=library/busybox&n=1", "ubuntu"),
        ("/v2/app/tags/list?last=3.16.3&n=2&orderby=", "3.17.1"),
    ] {
        let last = get(&raw, path);
        assert_eq!(
            (names(&last), next(&last)),
            (vec![expected.to_owned()], None)
        );
    }
}

#[test]
fn the_link_of_the_manifests_escapes_the_digest() {
    let raw = with_tags(&["a", "b", "c"]);
    let first = get(&raw, "/acr/v1/app/_manifests?n=1&api-version=2021-07-01");
    let digest = names(&first).remove(0).replace(':', "%3A");
    let link = next(&first).unwrap();
    let expected = format!("/acr/v1/app/_manifests?last={digest}&n=1&orderby=");
    assert_eq!(link, expected);
    let second = names(&get(&raw, &link));
    assert!(second[0] > names(&first)[0]);
    // The marker may be written with its colon.
    assert_eq!(names(&get(&raw, &link.replace("%3A", ":"))), second);
}

#[test]
fn the_link_keeps_the_form_of_the_path() {
    let raw = Raw::new();
    for tag in ["a", "b"] {
        raw.push_image("ocitest/alltests", tag);
    }
    let link = |path: &str| {
        let response = raw
            .get(path)
            .scope("repository:ocitest/alltests:metadata_read")
            .expect(200);
        next(&response).unwrap()
    };
    for (path, expected) in [
        (
            "/acr/v1/ocitest%2Falltests/_tags?n=1",
            "/acr/v1/ocitest%2Falltests/_tags?last=a&n=1&orderby=",
        ),
        (
            "/acr/v1/ocitest/alltests/_tags?n=1",
            "/acr/v1/ocitest/alltests/_tags?last=a&n=1&orderby=",
        ),
        (
            "/v2/ocitest%2falltests/tags/list?n=1",
            "/v2/ocitest%2falltests/tags/list?last=a&n=1&orderby=",
        ),
    ] {
        assert_eq!(link(path), expected);
        raw.get(expected)
            .scope("repository:ocitest/alltests:metadata_read")
            .expect(200);
    }
}

#[test]
fn the_marker_in_time_order_holds_ticks_and_name() {
    // Pushed in this order, each a tick after the one before.
    let raw = with_tags(&["v2", "v9", "v1"]);
    let start = START_TICKS;
    let link = |path: &str| next(&get(&raw, path)).unwrap();
    for (query, ticks, marker) in [
        ("n=2&orderby=timeasc", start + 1, "v9&n=2&orderby=timeasc"),
        ("orderby=timedesc&n=1", start + 2, "v1&n=1&orderby=timedesc"),
    ] {
        let expected = format!("/acr/v1/app/_tags?last={ticks}%26{marker}");
        assert_eq!(link(&format!("/acr/v1/app/_tags?{query}")), expected);
    }
    let first = get(&raw, "/acr/v1/app/_manifests?n=1&orderby=timeasc");
    let digest = names(&first).remove(0);
    assert_eq!(
        next(&first).unwrap(),
        format!(
            "/acr/v1/app/_manifests?last={}&n=1&orderby=timeasc",
            escape(&format!("{start}&{digest}"))
        )
    );
}

#[test]
fn the_recorded_marker_is_the_time_in_ticks() {
    // Of a recorded session: the tag was written at 2026-01-13T17:34:21.1470601Z.
    let clock = acr_mock::VirtualClock::starting_at(
        SystemTime::UNIX_EPOCH + Duration::new(1_768_325_661, 147_060_100),
    );
    let raw = Raw::with(|builder| builder.clock(clock));
    for tag in ["v2", "v3"] {
        raw.push_image("app", tag);
    }
    let link = next(&get(&raw, "/acr/v1/app/_tags?n=1&orderby=timeasc")).unwrap();
    assert_eq!(
        link,
        "/acr/v1/app/_tags?last=639039224611470601%26v2&n=1&orderby=timeasc"
    );
}

#[test]
fn a_walk_covers_every_list_once_in_every_order_and_size() {
    let tags = [5, 2, 9, 0, 7, 1, 8, 3, 6, 4].iter();
    let tags: Vec<String> = tags.map(|n| format!("t{n}")).collect();
    let raw = with_tags(&tags.iter().map(String::as_str).collect::<Vec<_>>());
    let mut by_name = tags.clone();
    by_name.sort();
    let mut newest_first = tags.clone();
    newest_first.reverse();
    let digest_of = |tag: &String| {
        let response = raw.get(format!("/acr/v1/app/_tags/{tag}")).scope(READ);
        let response = response.send().json();
        response["tag"]["digest"].as_str().unwrap().to_owned()
    };
    let digests = |tags: &[String]| tags.iter().map(digest_of).collect::<Vec<_>>();
    let mut by_digest = digests(&tags);
    by_digest.sort();
    for size in 1..=11 {
        for (path, expected) in [
            ("/v2/app/tags/list?", &by_name),
            ("/acr/v1/app/_tags?", &by_name),
            ("/acr/v1/app/_tags?orderby=&", &by_name),
            ("/acr/v1/app/_tags?orderby=none&", &by_name),
            ("/acr/v1/app/_tags?orderby=timedesc&", &newest_first),
            ("/acr/v1/app/_tags?orderby=timeasc&", &tags),
            ("/acr/v1/app/_manifests?", &by_digest),
            ("/acr/v1/app/_manifests?orderby=none&", &by_digest),
            (
                "/acr/v1/app/_manifests?orderby=timedesc&",
                &digests(&newest_first),
            ),
            ("/acr/v1/app/_manifests?orderby=timeasc&", &digests(&tags)),
        ] {
            let pages = walk(&raw, &format!("{path}n={size}"));
            assert_eq!(&pages.concat(), expected, "{path} {size}");
            assert_eq!(
                pages.len(),
                10_usize.div_ceil(size),
                "a full last page has no link: {path} {size}"
            );
        }
    }
}

#[test]
fn a_marker_that_is_not_there_is_a_place() {
    let raw = with_tags(&["a", "c", "e"]);
    assert_eq!(names(&get(&raw, "/acr/v1/app/_tags?last=b")), ["c", "e"]);
    assert_eq!(names(&get(&raw, "/v2/app/tags/list?last=d&n=5")), ["e"]);
    assert!(names(&get(&raw, "/acr/v1/app/_tags?last=f")).is_empty());
    assert_eq!(names(&get(&raw, "/acr/v1/_catalog?last=aaa")), ["app"]);
    // Two of three are gone when the walk goes on.
    let link = next(&get(&raw, "/acr/v1/app/_tags?n=1&orderby=timedesc")).unwrap();
    for tag in ["e", "c"] {
        raw.delete(format!("/acr/v1/app/_tags/{tag}"))
            .scope(DELETE)
            .expect(202);
    }
    assert_eq!(names(&get(&raw, &link)), ["a"]);
}

#[test]
fn a_page_of_none_is_empty_and_without_a_link() {
    // Chosen: the service's response is not known.
    let raw = with_tags(&["a", "b"]);
    for path in [
        "/acr/v1/_catalog?n=0",
        "/v2/_catalog?n=0",
        "/acr/v1/app/_tags?n=0",
        "/acr/v1/app/_manifests?n=0&orderby=timeasc",
        "/v2/app/tags/list?n=0",
    ] {
        let response = get(&raw, path);
        assert_eq!(
            (names(&response), next(&response)),
            (vec![], None),
            "{path}"
        );
    }
}

#[test]
fn a_page_size_that_is_no_number_is_refused() {
    // Chosen: the service's response is not known.
    let raw = with_tags(&["a"]);
    for path in [
        "/acr/v1/_catalog",
        "/v2/_catalog",
        "/acr/v1/app/_tags",
        "/acr/v1/app/_manifests",
        "/v2/app/tags/list",
    ] {
        for n in ["many", "-1", "1.5", "0x10", "1%20"] {
            let ask = raw.get(format!("{path}?n={n}")).scope(scope(path));
            let response = ask.expect(400);
            let error = &response.json()["errors"][0];
            assert_eq!(error["code"], "PAGINATION_NUMBER_INVALID", "{path} {n}");
            assert!(error["detail"]["n"].is_string());
        }
        let response = get(&raw, &format!("{path}?n="));
        assert_eq!(
            names(&response).len(),
            1,
            "an empty parameter is none: {path}"
        );
    }
}

#[test]
fn a_page_holds_100_unless_told_and_1000_at_most() {
    // Chosen: the service's numbers are not known.
    let raw = Raw::new();
    let manifest = raw.image("app", "v1");
    let token = raw.token(PUSH);
    for at in 0..1_101 {
        raw.put(format!("/v2/app/manifests/t{at:04}"))
            .bearer(&token)
            .header("content-type", OCI_MANIFEST)
            .body(manifest.clone())
            .expect(201);
    }
    for (query, count, size) in [
        ("", 100, 100),
        ("?n=1000", 1_000, 1_000),
        ("?n=4294967295", 1_000, 1_000),
        ("?n=99999999999", 1_000, 1_000),
    ] {
        for path in ["/acr/v1/app/_tags", "/v2/app/tags/list"] {
            let response = get(&raw, &format!("{path}{query}"));
            assert_eq!(names(&response).len(), count, "{path}{query}");
            let expected = format!("{path}?last=t{:04}&n={size}&orderby=", count - 1);
            assert_eq!(next(&response).unwrap(), expected);
        }
    }
    assert_eq!(walk(&raw, "/acr/v1/app/_tags?n=5000").concat().len(), 1_101);
}

#[test]
fn the_page_sizes_can_be_set() {
    let raw = Raw::with(|builder| builder.page_size(2).page_size_limit(3));
    for tag in ["a", "b", "c", "d", "e"] {
        raw.push_image("app", tag);
    }
    for (path, sizes) in [
        ("/acr/v1/app/_tags", &[2, 2, 1][..]),
        ("/acr/v1/app/_tags?n=9", &[3, 2]),
    ] {
        let pages = walk(&raw, path);
        assert!(pages.iter().map(Vec::len).eq(sizes.iter().copied()));
    }
}

#[test]
fn the_filter_by_digest_is_missing_in_the_link() {
    let raw = Raw::new();
    let wanted = raw.image("app", "wanted");
    let other = raw.image("app", "other");
    for (tag, manifest) in [
        ("v1", &wanted),
        ("v2", &other),
        ("v3", &wanted),
        ("v4", &wanted),
    ] {
        raw.push_manifest("app", tag, OCI_MANIFEST, manifest);
    }
    let digest = crate::raw::support::digest(wanted.as_bytes()).replace(':', "%3A");
    let first = get(&raw, &format!("/acr/v1/app/_tags?n=2&digest={digest}"));
    assert_eq!(names(&first), ["v1", "v3"]);
    assert_eq!(
        next(&first).unwrap(),
        "/acr/v1/app/_tags?last=v3&n=2&orderby="
    );
    let first = get(
        &raw,
        &format!("/acr/v1/app/_tags?n=1&orderby=timeasc&digest={digest}"),
    );
    let link = next(&first).unwrap();
    assert_eq!(
        link,
        format!("/acr/v1/app/_tags?last={START_TICKS}%26v1&n=1&orderby=timeasc")
    );
    // So the second page holds what the filter would keep away.
    assert_eq!(names(&get(&raw, &link)), ["v2"]);
}

#[test]
fn an_order_that_does_not_exist_is_the_order_by_name() {
    // Chosen: the service's response is not known.
    let raw = with_tags(&["b", "a"]);
    let response = get(&raw, "/acr/v1/app/_tags?orderby=size&n=1");
    assert_eq!(names(&response), ["a"]);
}

#[test]
fn a_marker_of_another_order_begins_the_list() {
    // Chosen.
    let raw = with_tags(&["b", "a"]);
    assert_eq!(
        names(&get(&raw, "/acr/v1/app/_tags?orderby=timeasc&last=b")),
        ["b", "a"]
    );
}
