use serde_json::{Value, json};

use super::*;

fn planned(lines: &[Value]) -> Vec<StepPlan> {
    let steps: Vec<Exchange> = lines
        .iter()
        .map(|line| Exchange::read("f:1", &line.to_string()).expect("a line"))
        .collect();
    plan(&steps, &vec![false; steps.len()], &|_| None)
}

fn line(method: &str, path: &str, status: u16, body: Value) -> Value {
    json!({
        "request": {"method": method, "path": path}, "response": {"status": status, "body": body}
    })
}

fn tag(time: &str) -> Value {
    json!({"tag": {"name": "v1", "digest": "sha256:ab", "createdTime": time, "lastUpdateTime": time}})
}

fn unknown(code: &str) -> Value {
    json!({"errors": [{"code": code, "message": ""}]})
}

/// Which things are put in before a step.
fn put(plan: &StepPlan) -> Vec<&Thing> {
    let actions = plan.before.iter();
    actions
        .filter_map(|action| match action {
            Action::Put { thing, .. } => Some(thing),
            _ => None,
        })
        .collect()
}

const TAG: &str = "/acr/v1/a/_tags/v1";
const TAGS: &str = "/acr/v1/a/_tags";

#[test]
fn what_a_later_step_shows_was_there_from_the_start() {
    let plans = planned(&[
        line("GET", "/v2/", 200, json!({})),
        line("GET", TAG, 200, tag("t")),
    ]);
    let (v1, home) = (Thing::tag("a", "v1"), Thing::repository("a"));
    assert_eq!(put(&plans[0]), [&v1, &home]);
    assert_eq!(plans[1].before, []);
}

#[test]
fn what_was_not_there_comes_after_the_step_that_says_so() {
    let absent = line("GET", TAG, 404, unknown("TAG_UNKNOWN"));
    let plans = planned(&[absent, line("GET", TAG, 200, tag("t"))]);
    assert_eq!(put(&plans[1])[0], &Thing::tag("a", "v1"));

    let no_repository = line("GET", TAGS, 404, unknown("NAME_UNKNOWN"));
    let plans = planned(&[no_repository, line("GET", TAG, 200, tag("t"))]);
    assert_eq!((put(&plans[0]).len(), put(&plans[1]).len()), (0, 2));

    let without = line("GET", TAGS, 200, json!({"tags": [{"name": "v0"}]}));
    let plans = planned(&[without, line("GET", TAG, 200, tag("t"))]);
    assert_eq!(put(&plans[1]), [&Thing::tag("a", "v1")]);
}

#[test]
fn what_a_step_has_deleted_the_mock_must_have_deleted() {
    let plans = planned(&[
        line("DELETE", TAG, 202, Value::Null),
        line("GET", TAG, 404, unknown("TAG_UNKNOWN")),
    ]);
    assert_eq!(plans[1].before, []);
}

#[test]
fn what_somebody_else_has_deleted_is_removed_before_the_step_that_misses_it() {
    let plans = planned(&[
        line("GET", TAG, 200, tag("t")),
        line("GET", TAG, 404, unknown("TAG_UNKNOWN")),
    ]);
    let thing = Thing::tag("a", "v1");
    assert_eq!(plans[1].before, [Action::Remove { thing }]);
}

#[test]
fn what_the_session_has_made_takes_over_its_times_once() {
    let push = json!({
        "request": {"method": "PUT", "path": "/v2/a/manifests/v1", "body": "{}"},
        "response": {"status": 201, "headers": {"Docker-Content-Digest": "sha256:ab"}}
    });
    let plans = planned(&[
        push,
        line("GET", TAG, 200, tag("t1")),
        line("GET", TAG, 200, tag("t2")),
    ]);
    let changes = |plan: &StepPlan| {
        let changed = plan.before.iter();
        let times = changed.filter_map(|action| match action {
            Action::Change { facts, .. } => facts.updated.clone(),
            _ => None,
        });
        times.collect::<Vec<_>>()
    };
    assert_eq!(put(&plans[0]), Vec::<&Thing>::new());
    // Times that change without a cause are a difference, not a state.
    assert_eq!(
        (changes(&plans[1]), changes(&plans[2])),
        (vec!["t1".to_owned()], vec![])
    );
}

#[test]
fn a_lock_that_no_step_has_set_was_there_before() {
    let locked = json!({"errors": [{"code": "REGISTRY_DISALLOWED_OPERATION"}]});
    let refused = line("DELETE", TAG, 405, locked);
    let plans = planned(std::slice::from_ref(&refused));
    let seeded = plans[0].before.iter().find_map(|action| match action {
        Action::Put { thing, facts } if *thing == Thing::tag("a", "v1") => facts.locked,
        _ => None,
    });
    assert_eq!(seeded, Some("writeEnabled"));

    let mut shown = tag("t");
    shown["tag"]["changeableAttributes"] = json!({"writeEnabled": false});
    let plans = planned(&[line("GET", TAG, 200, shown), refused]);
    assert_eq!(plans[1].before, [], "the lock that was shown explains it");
}

#[test]
fn an_upload_of_filler_counts_as_its_blob_and_one_of_known_bytes_is_verified() {
    let digest = digest_of(b"known");
    for (body, claims) in [(json!("known"), 0), (json!({"sha256": null, "size": 5}), 1)] {
        let chunk = json!({
            "request": {"method": "PATCH", "path": "/v2/a/blobs/uploads/1", "body": body},
            "response": {"status": 202, "headers": {"Range": "0-4"}}
        });
        let end = json!({
            "request": {"method": "PUT", "path": "/v2/a/blobs/uploads/1", "query": format!("digest={digest}")},
            "response": {"status": 201}
        });
        let plans = planned(&[chunk, end]);
        let claimed = plans[1]
            .before
            .iter()
            .filter(|action| matches!(action, Action::Claim { .. }));
        assert_eq!((claimed.count(), plans[1].held), (claims, Some(5)));
    }
}

#[test]
fn behind_a_link_something_is_there_for_that_step_alone() {
    let mut page = line("GET", TAGS, 200, json!({"tags": [{"name": "v1"}]}));
    page["response"]["headers"] =
        json!({"Link": "</acr/v1/a/_tags?last=v1&n=1&orderby=>; rel=\"next\""});
    let plans = planned(&[page]);
    let thing = Thing::tag("a", "v1-next");
    assert!(put(&plans[0]).contains(&&thing));
    assert_eq!(plans[0].after, [Action::Remove { thing }]);
}

#[test]
fn what_storage_shows_of_a_blob_was_so_when_the_registry_led_to_it() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    let path = format!(
        "/i//docker/registry/v2/blobs/sha256/ab/{}/data",
        "ab".repeat(32)
    );
    let plans = planned(&[
        line("GET", &format!("/v2/a/blobs/{digest}"), 307, Value::Null),
        json!({
            "origin": "data",
            "request": {"method": "GET", "path": path},
            "response": {"status": 206, "headers": {"Content-Range": "bytes 7-9/10"}, "body": "abc"}
        }),
    ]);
    let sizes: Vec<usize> = plans[0]
        .before
        .iter()
        .filter_map(|action| match action {
            Action::Put {
                thing: Thing::Blob { .. },
                facts,
            } => Some(facts.content.bytes().len()),
            _ => None,
        })
        .collect();
    assert_eq!(sizes, [10]);
}

#[test]
fn bytes_that_a_recorder_dropped_from_an_upload_are_those_that_a_later_step_shows() {
    let content = "later";
    let digest = digest_of(content.as_bytes());
    let upload = "/v2/a/blobs/uploads/5f47a34c-a896-4a74-99ee-b0cff529fd28";
    let plans = planned(&[
        json!({
            "request": {"method": "PATCH", "path": upload},
            "response": {"status": 202, "headers": {"Range": "0-4", "Location": upload}}
        }),
        json!({
            "request": {"method": "PUT", "path": upload, "query": format!("digest={digest}")},
            "response": {"status": 201}
        }),
        line("GET", &format!("/v2/a/blobs/{digest}"), 200, json!(content)),
    ]);
    let sent = plans[1].before.iter().find_map(|action| match action {
        Action::Upload { bytes, .. } => Some(bytes.clone()),
        _ => None,
    });
    assert_eq!(sent.as_deref(), Some(content.as_bytes()));
}
