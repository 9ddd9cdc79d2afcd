//! The data origin: signed URLs that end, ranges, and no token in sight.

use std::time::Duration;

use crate::raw::support::{Ask, PULL, Raw, RawResponse};

/// A blob of 1,472 bytes, and the URL that the registry redirects to for it.
fn signed(raw: &Raw) -> (Vec<u8>, String) {
    let content: Vec<u8> = (0..1_472_u32).map(|at| (at % 251) as u8).collect();
    let digest = raw.push_blob("app", &content);
    let response = raw.get(format!("/v2/app/blobs/{digest}")).scope(PULL);
    let response = response.expect(307);
    (content, response.header("location").to_owned())
}

fn expect_xml(response: RawResponse, status: u16, code: &str) -> RawResponse {
    let response = response.expect(status);
    response.expect_header("content-type", "application/xml");
    response.expect_header("x-ms-error-code", code);
    assert!(
        response.text().contains(&format!("<Code>{code}</Code>")),
        "{}",
        response.text()
    );
    response.expect_header("content-length", response.body.len().to_string());
    assert_of_storage(&response);
    response
}

/// Storage has headers of its own, and none of the registry's.
fn assert_of_storage(response: &RawResponse) {
    response.expect_header("server", "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0");
    assert!(response.has("x-ms-request-id") && response.has("x-ms-version"));
    for absent in [
        "docker-content-digest",
        "docker-distribution-api-version",
        "www-authenticate",
        "x-ms-correlation-request-id",
    ] {
        assert!(!response.has(absent), "{absent}");
    }
}

#[test]
fn a_signed_url_gives_the_bytes_without_a_token() {
    let raw = Raw::new();
    let (content, url) = signed(&raw);
    let get = raw.get(&url).expect(200);
    assert_eq!(get.body, content);
    let head = raw.head(&url).expect(200);
    assert!(head.body.is_empty());
    for response in [&get, &head] {
        response.expect_header("content-length", "1472");
        response.expect_header("content-type", "application/octet-stream");
        response.expect_header("accept-ranges", "bytes");
        assert!(response.header("etag").starts_with("\"0x8D"));
        response.expect_header("last-modified", "Wed, 15 Feb 2023 08:59:14 GMT");
        response.expect_header("x-ms-blob-type", "AppendBlob");
        assert_of_storage(response);
    }
    get.expect_header("etag", head.header("etag"));
}

#[test]
fn a_token_is_refused() {
    let raw = Raw::new();
    let (_, url) = signed(&raw);
    let token = raw.token(PULL);
    for ask in [
        raw.get(&url).bearer(&token),
        raw.get(&url).basic("a", "b"),
        raw.get(&url).header("authorization", ""),
    ] {
        expect_xml(ask.send(), 400, "InvalidAuthenticationInfo");
    }
    assert!(raw.head(&url).bearer(&token).expect(400).body.is_empty());
}

#[test]
fn a_url_is_good_for_twenty_minutes() {
    let raw = Raw::new();
    let (_, url) = signed(&raw);
    raw.clock.advance(Duration::from_secs(20 * 60 - 1));
    raw.get(&url).expect(200);
    raw.clock.advance(Duration::from_secs(1));
    expect_xml(raw.get(&url).send(), 403, "AuthenticationFailed");
    // A fresh one is to be had at the registry.
    let (_, url) = signed(&raw);
    raw.get(&url).expect(200);
}

#[test]
fn a_url_that_was_changed_is_refused() {
    let raw = Raw::new();
    let (_, url) = signed(&raw);
    let other = raw.push_blob("app", b"other");
    let hex = other.strip_prefix("sha256:").unwrap();
    let (base, query) = url.split_once('?').unwrap();
    let id = query.rsplit_once("regid=").unwrap().1;
    for changed in [
        base.to_owned(),
        url.replacen("se=2023", "se=2033", 1),
        url.replacen("sig=", "sig=A", 1),
        url.replacen("sig=", "gis=", 1),
        url.replacen("se=", "es=", 1),
        format!("{base}?se=nonsense&sig=nonsense"),
        format!(
            "https://mock.data.invalid/{id}//docker/registry/v2/blobs/sha256/{}/{hex}/data?{query}",
            &hex[..2]
        ),
        signed(&Raw::new()).1,
    ] {
        expect_xml(raw.get(&changed).send(), 403, "AuthenticationFailed");
    }
}

#[test]
fn ranges_are_cut_out_and_clamped() {
    let raw = Raw::new();
    let (content, url) = signed(&raw);
    for (range, given, first, last) in [
        ("bytes=0-999", "bytes 0-999/1472", 0, 999),
        ("bytes=1000-1999", "bytes 1000-1471/1472", 1000, 1471),
        ("bytes=1471-", "bytes 1471-1471/1472", 1471, 1471),
        ("bytes=5-5", "bytes 5-5/1472", 5, 5),
        ("bytes=-2", "bytes 1470-1471/1472", 1470, 1471),
        ("bytes=-9999", "bytes 0-1471/1472", 0, 1471),
        ("bytes=0-18446744073709551615", "bytes 0-1471/1472", 0, 1471),
    ] {
        let response = raw.get(&url).header("range", range).expect(206);
        response.expect_header("content-range", given);
        assert_eq!(
            response.header("content-length"),
            (last - first + 1).to_string(),
            "{range}"
        );
        assert_eq!(response.body, content[first..=last], "{range}");
        assert_of_storage(&response);
    }
}

#[test]
fn a_range_behind_the_end_is_refused_with_the_size() {
    // Chosen, after the storage service's documentation.
    let raw = Raw::new();
    let (_, url) = signed(&raw);
    for range in ["bytes=1472-", "bytes=1472-1500", "bytes=99999999999-"] {
        let response = expect_xml(
            raw.get(&url).header("range", range).send(),
            416,
            "InvalidRange",
        );
        response.expect_header("content-range", "bytes */1472");
    }
}

#[test]
fn a_range_that_is_malformed_is_passed_over() {
    let raw = Raw::new();
    let (content, url) = signed(&raw);
    for range in ["bytes=5-4", "bytes=a-b", "lines=1-2", "bytes=0-1,3-4", ""] {
        let response = raw.get(&url).header("range", range).expect(200);
        assert_eq!(response.body, content, "{range}");
    }
}

#[test]
fn an_empty_blob_has_no_range() {
    let raw = Raw::new();
    let digest = raw.push_blob("app", b"");
    let response = raw.get(format!("/v2/app/blobs/{digest}")).scope(PULL);
    let response = response.expect(307);
    let url = response.header("location");
    raw.get(url)
        .expect(200)
        .expect_header("content-length", "0");
    expect_xml(
        raw.get(url).header("range", "bytes=0-").send(),
        416,
        "InvalidRange",
    );
}

#[test]
fn other_methods_are_refused() {
    let raw = Raw::new();
    let (_, url) = signed(&raw);
    let asks: [Ask<'_>; 3] = [raw.put(&url), raw.post(&url), raw.delete(&url)];
    for ask in asks {
        expect_xml(ask.send(), 405, "UnsupportedHttpVerb");
    }
}

#[test]
fn content_is_freed_with_its_last_holder() {
    let raw = Raw::new();
    let (_, url) = signed(&raw);
    let digest = url.rsplit('/').nth(1).unwrap();
    let mount = format!("/v2/other/blobs/uploads/?from=app&mount=sha256:{digest}");
    raw.post(mount)
        .scope("repository:other:pull,push repository:app:pull")
        .expect(201);
    let delete = |repository: &str| {
        let path = format!("/v2/{repository}/blobs/sha256:{digest}");
        raw.delete(path)
            .scope(&format!("repository:{repository}:delete"))
            .expect(202);
    };
    delete("app");
    raw.get(&url).expect(200);
    delete("other");
    expect_xml(raw.get(&url).send(), 404, "BlobNotFound");
}

#[test]
fn the_data_origin_is_known_by_its_path_in_process() {
    // One handle serves both origins: whatever host the request names.
    let raw = Raw::new();
    let (content, url) = signed(&raw);
    let path = url.strip_prefix("https://mock.data.invalid").unwrap();
    assert_eq!(raw.get(path).expect(200).body, content);
}
