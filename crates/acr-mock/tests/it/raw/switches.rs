//! The switches of the builder, each in both profiles: what real registries and what stands in front of them do.

use std::net::IpAddr;
use std::time::Duration;

use acr_mock::{ClientAddress, OperationClass, Profile, RegistryBuilder, Throttle};
use futures_util::FutureExt as _;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::raw::support::{
    DELETE, HOST, OCI_CONFIG, OCI_MANIFEST, PULL, PUSH, READ, Raw, RawResponse, WRITE, claims,
    digest, error, escape,
};

/// Two registries with the same switches, one of each profile.
fn both(switches: impl Fn(RegistryBuilder) -> RegistryBuilder) -> [Raw; 2] {
    [Profile::Acr, Profile::Oci]
        .map(|profile| Raw::with(|builder| switches(builder.profile(profile))))
}

#[test]
fn without_the_referrers_api_there_is_a_plain_404_and_no_word_about_the_subject() {
    for raw in both(|builder| builder.referrers_api(false)) {
        let subject = raw.push_image("app", "v1");
        let mut artifact: Value = serde_json::from_str(&raw.image("app", "artifact")).unwrap();
        artifact["subject"] = json!({ "mediaType": OCI_MANIFEST, "digest": subject, "size": 7 });
        let set = raw
            .set_manifest("signature", OCI_MANIFEST, artifact.to_string())
            .send();
        assert!(!set.expect(201).has("oci-subject"));
        let path = format!("/v2/app/referrers/{subject}");
        raw.get(&path).expect_not_routed();
        raw.get(&path).scope(PULL).expect_not_routed();
        // What the client keeps in its stead is a tag like any other.
        raw.push_image("app", &subject.replace(':', "-"));
    }
}

#[test]
fn a_registry_with_a_minimum_chunk_says_so_and_takes_nothing_behind_a_short_one() {
    for raw in both(|builder| builder.minimum_chunk_length(4)) {
        let start = || {
            let begun = raw.post("/v2/app/blobs/uploads/").scope(PUSH).send();
            let begun = begun.expect(202);
            begun.expect_header("oci-chunk-min-length", "4");
            begun.header("location").to_owned()
        };
        let send = |location: &str, bytes: &'static [u8]| {
            raw.patch(location).scope(PUSH).body(bytes).send()
        };
        let end = |location: &str, content: &[u8], last: &'static [u8]| {
            let path = format!("{location}&digest={}", escape(&digest(content)));
            raw.put(path).scope(PUSH).body(last).send()
        };

        // Chunks of the minimum, and a short one at the end, in either way to end.
        let first = send(&start(), b"0123").expect(202);
        let second = send(first.header("location"), b"45678").expect(202);
        let last = send(second.header("location"), b"9").expect(202);
        end(last.header("location"), b"0123456789", b"").expect(201);
        let first = send(&start(), b"0123").expect(202);
        end(first.header("location"), b"012345", b"45").expect(201);

        // Chosen: what comes behind a short one is refused, and the upload stays as it was.
        let short = send(&start(), b"012").expect(202);
        let location = short.header("location");
        for refused in [send(location, b"3456"), end(location, b"0123456", b"3456")] {
            let message = "the chunk before was shorter than 4 bytes, so it must be the last";
            refused.expect_json(400, &error("SIZE_INVALID", message));
        }
        let status = raw.get(location).scope(PULL).expect(204);
        status.expect_header("range", "0-2");
        end(location, b"012", b"").expect(201);
    }
    let none = Raw::new().post("/v2/app/blobs/uploads/").scope(PUSH).send();
    assert!(!none.expect(202).has("oci-chunk-min-length"));
}

#[test]
fn a_registry_that_ignores_ranges_gives_the_whole() {
    for redirect in [false, true] {
        for raw in both(|builder| builder.ranges(false).data_redirect(redirect)) {
            let blob = raw.push_blob("app", b"0123456789");
            let path = format!("/v2/app/blobs/{blob}");
            let ask = |range: &str| {
                let direct = raw.get(&path).scope(PULL).header("range", range).send();
                if redirect {
                    let location = direct.expect(307).header("location").to_owned();
                    raw.get(location).header("range", range).send()
                } else {
                    direct
                }
            };
            for range in ["bytes=2-3", "bytes=2-", "bytes=-3", "bytes=50-60"] {
                let response = ask(range).expect(200);
                assert_eq!(response.body, "0123456789");
                response.expect_header("content-length", "10");
                assert!(!response.has("content-range") && !response.has("accept-ranges"));
            }
        }
    }
}

#[test]
fn an_abac_registry_leaves_wildcards_out_of_tokens_and_marks_its_refresh_tokens() {
    for raw in both(|builder| builder.abac(true)) {
        raw.push_image("app", "v1");
        assert!(claims(&raw.refresh_token("entra"))["aad_identity"].is_string());
        let scope = "repository:*:* repository:app:metadata_read registry:catalog:*";
        let token = raw.token(scope);
        let access = &claims(&token)["access"];
        let names = access.as_array().unwrap().iter();
        let names: Vec<&Value> = names.map(|entry| &entry["Name"]).collect();
        assert_eq!(names.len(), 2, "{access}");
        assert!(names.contains(&&json!("app")) && names.contains(&&json!("catalog")));
        raw.get("/acr/v1/app").bearer(&token).expect(200);
        raw.get("/acr/v1/_catalog").bearer(&token).expect(200);
        // Granted, and of no use.
        let token = raw.token("repository:*:*");
        assert_eq!(claims(&token)["access"], json!([]));
        let refused = raw.get("/acr/v1/app").bearer(&token).expect(401);
        refused.has_challenge_error("insufficient_scope");
    }
    let raw = Raw::new();
    raw.push_image("app", "v1");
    assert!(
        claims(&raw.refresh_token("entra"))
            .get("aad_identity")
            .is_none()
    );
    let token = raw.token("repository:*:*");
    raw.get("/acr/v1/app").bearer(&token).expect(200);
}

#[test]
fn anonymous_pull_lets_anybody_read_in_either_profile() {
    let form = |scope: &str| format!("grant_type=password&service={HOST}&scope={}", escape(scope));
    for raw in both(|builder| builder.anonymous_pull(true)) {
        raw.push_image("app", "v1");
        let response = raw.post("/oauth2/token").form(form(PULL)).expect(200);
        let token = response.member("access_token");
        for path in ["/v2/app/manifests/v1", "/v2/app/tags/list", "/acr/v1/app"] {
            raw.get(path).bearer(&token).expect(200);
        }
        raw.delete("/acr/v1/app").bearer(&token).expect(401);
    }
    for raw in both(|builder| builder) {
        raw.post("/oauth2/token").form(form(PULL)).expect_empty(401);
    }
}

#[test]
fn a_page_is_as_large_as_it_is_set_where_the_request_does_not_say() {
    for raw in both(|builder| builder.page_size(2)) {
        for tag in ["a", "b", "c"] {
            raw.push_image("app", tag);
        }
        let scope = "repository:app:pull,metadata_read";
        let first = raw.get("/v2/app/tags/list").scope(scope).expect(200);
        assert_eq!(first.json()["tags"], json!(["a", "b"]));
        let link = "</v2/app/tags/list?last=b&n=2&orderby=>; rel=\"next\"";
        first.expect_header("link", link);
        let all = raw.get("/v2/app/tags/list?n=3").scope(scope).send();
        assert!(!all.expect(200).has("link"));
    }
}

#[test]
fn a_firewall_tells_a_client_its_address_at_every_endpoint() {
    let allowed: IpAddr = "10.0.0.1".parse().unwrap();
    let denied = |address: &str| {
        let message = format!(
            "client with IP '{address}' is not allowed access. Refer https://aka.ms/acr/firewall to grant access."
        );
        error("DENIED", &message)
    };
    for raw in both(|builder| builder.firewall([allowed]).data_redirect(true)) {
        let ask = |path: &str, from: Option<&str>| {
            let mut request = Request::get(format!("https://{HOST}{path}"));
            if let Some(from) = from {
                request = request.extension(ClientAddress(from.parse().unwrap()));
            }
            let request = request.body(String::new()).unwrap();
            raw.registry.handle(request).now_or_never().unwrap()
        };
        for (from, address) in [
            (Some("1.2.3.4"), "1.2.3.4"),
            (Some("::ffff:1.2.3.4"), "1.2.3.4"),
            (Some("2001:db8::7"), "2001:db8::7"),
            (None, "127.0.0.1"),
        ] {
            let expected = denied(address);
            for path in [
                "/v2/",
                "/acr/v1/_catalog",
                "/oauth2/token?service=x&scope=y",
            ] {
                let (head, body) = ask(path, from).into_parts();
                assert_eq!(head.status, 403, "{path}");
                assert!(head.headers.contains_key("x-ms-correlation-request-id"));
                assert!(!head.headers.contains_key("www-authenticate"));
                let body = body.collect().now_or_never().unwrap().unwrap().to_bytes();
                assert_eq!(body, expected, "{path}");
            }
        }
        for from in ["10.0.0.1", "::ffff:10.0.0.1"] {
            assert_eq!(ask("/v2/", Some(from)).status(), 401);
        }
        let exchange = raw.post("/oauth2/exchange").form("grant_type=access_token");
        exchange.expect_json(403, &denied("127.0.0.1"));
    }
    let nobody = Raw::with(|builder| builder.firewall([]));
    for path in ["/v2/", "/acr/v1/app/_tags"] {
        nobody.get(path).expect_json(403, &denied("127.0.0.1"));
    }
}

/// The statuses of calls that follow each other at once.
fn burst(calls: usize, ask: impl Fn() -> RawResponse) -> Vec<u16> {
    (0..calls).map(|_| ask().status).collect()
}

#[test]
fn a_throttled_class_is_refused_until_the_next_second_and_the_others_are_not() {
    let throttle = Throttle::per_second(2);
    for raw in both(|builder| builder.throttle(OperationClass::Referrers, throttle)) {
        let subject = raw.push_image("app", "v1");
        let token = raw.token("repository:app:pull,metadata_read");
        let path = format!("/v2/app/referrers/{subject}");
        let list = || raw.get(&path).bearer(&token).send();
        // What has no credentials is not counted.
        assert_eq!(burst(5, || raw.get(&path).send()), [401; 5]);
        assert_eq!(burst(4, list), [200, 200, 429, 429]);
        // Chosen, but for the code.
        let refused = list().expect_json(429, &error("TOOMANYREQUESTS", "too many requests"));
        assert!(!refused.has("retry-after"));
        raw.get("/v2/app/manifests/v1").bearer(&token).expect(200);
        raw.get("/acr/v1/app").bearer(&token).expect(200);
        raw.clock.advance(Duration::from_secs(1));
        assert_eq!(burst(3, list), [200, 200, 429]);
    }
}

#[test]
fn a_throttle_by_the_minute_can_say_when_to_come_again() {
    let throttle = Throttle::per_minute(1).with_retry_after();
    for raw in both(|builder| builder.throttle(OperationClass::MetadataWrite, throttle)) {
        raw.push_image("app", "v1");
        let token = raw.token(WRITE);
        let lock = || raw.patch("/acr/v1/app").bearer(&token).body("{}").send();
        assert_eq!(burst(2, lock), [200, 429]);
        // The tests begin at the 14th second of a minute.
        assert_eq!(lock().header("retry-after"), "46");
        raw.clock.advance(Duration::from_secs(45));
        assert_eq!(lock().expect(429).header("retry-after"), "1");
        raw.clock.advance(Duration::from_secs(1));
        assert_eq!(burst(2, lock), [200, 429]);
        assert_eq!(lock().header("retry-after"), "60");
    }
}

#[test]
fn token_requests_and_deletes_are_throttled_with_what_their_headers_tell() {
    let raw = Raw::with(|builder| {
        builder
            .throttle(
                OperationClass::Token,
                Throttle::per_second(3).with_retry_after(),
            )
            .throttle(OperationClass::Delete, Throttle::per_second(2))
    });
    let left = |response: &RawResponse| {
        let left = response.header("x-ms-ratelimit-remaining-calls-per-second");
        left.to_owned()
    };
    let token = raw.token(DELETE);
    let delete = || {
        raw.delete("/v2/app/blobs/sha256:0000")
            .bearer(&token)
            .send()
    };
    // A path of no operation is not counted.
    assert_eq!(burst(3, delete), [404; 3]);
    let delete = || raw.delete("/acr/v1/app/_tags/v1").bearer(&token).send();
    assert_eq!(left(&delete().expect(404)), "2.000000");
    assert_eq!(left(&delete().expect(404)), "1.000000");
    assert_eq!(left(&delete().expect(429)), "0.000000");

    raw.clock.advance(Duration::from_secs(1));
    let exchange = || {
        let form = format!("grant_type=access_token&service={HOST}&access_token=entra");
        raw.post("/oauth2/exchange").form(form).send()
    };
    assert_eq!(left(&exchange().expect(200)), "3");
    assert_eq!(burst(3, exchange), [200, 200, 429]);
    let refused = exchange();
    refused.expect_header("retry-after", "1");
    let expected = error("TOOMANYREQUESTS", "too many requests");
    refused.expect_json(429, &expected);
}

#[test]
fn a_replica_finds_a_push_by_digest_at_once_and_by_tag_later() {
    for raw in both(|builder| builder.replication_lag(Duration::from_secs(5))) {
        let manifest = raw.push_image("app", "v1");
        let by_tag = || {
            let path = "/v2/app/manifests/v1";
            (
                raw.head(path).scope(PULL).send().status,
                raw.get(path).scope(PULL).send(),
            )
        };
        let wording = crate::raw::support::error_with(
            "MANIFEST_UNKNOWN",
            "manifest tagged by \"v1\" is not found",
            json!({ "Tag": "v1" }),
        );
        for _ in 0..5 {
            let (head, get) = by_tag();
            assert_eq!(head, 404);
            get.expect_json(404, &wording);
            raw.clock.advance(Duration::from_secs(1));
        }
        let path = format!("/v2/app/manifests/{manifest}");
        raw.get(&path).scope(PULL).expect(200);
        let (head, get) = by_tag();
        assert_eq!((head, get.status), (200, 200));
        // A tag that moves is pushed once more.
        let moved = raw.push_image("app", "other");
        raw.get(format!("/v2/app/manifests/{moved}"))
            .scope(PULL)
            .expect(200);
        raw.push_image("app", "v1");
        assert_eq!(by_tag().0, 404);
        raw.clock.advance(Duration::from_secs(5));
        assert_eq!(by_tag().0, 200);
    }
}

#[test]
fn the_config_s_type_comes_into_the_properties_later() {
    for raw in both(|builder| builder.metadata_lag(Duration::from_secs(3))) {
        let manifest = raw.push_image("app", "v1");
        let types = || {
            let single = raw.get(format!("/acr/v1/app/_manifests/{manifest}"));
            let single = single.scope(READ).expect(200).json();
            let list = raw.get("/acr/v1/app/_manifests").scope(READ).send();
            let list = list.expect(200).json();
            let (single, listed) = (&single["manifest"], &list["manifests"][0]);
            // The rest is there at once.
            assert_eq!(
                (&single["architecture"], &listed["os"]),
                (&json!("amd64"), &json!("linux"))
            );
            [single, listed].map(|manifest| manifest.get("configMediaType").cloned())
        };
        assert_eq!(types(), [None, None]);
        raw.clock.advance(Duration::from_secs(2));
        assert_eq!(types(), [None, None]);
        raw.clock.advance(Duration::from_secs(1));
        assert_eq!(types(), [Some(json!(OCI_CONFIG)), Some(json!(OCI_CONFIG))]);
        // A push of the same bytes is not a first push.
        raw.push_image("app", "v1");
        assert_eq!(types(), [Some(json!(OCI_CONFIG)), Some(json!(OCI_CONFIG))]);
    }
}
