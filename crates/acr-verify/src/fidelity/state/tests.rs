use acr_protocol::{Tag, Timestamp};
use serde_json::json;

use super::*;

/// A session before its first step, and the content of its registry, which nobody has.
struct Session<'a> {
    steps: Vec<Step>,
    state: State<'a>,
    content: Snapshot,
}

impl Session<'_> {
    fn new(lines: Vec<Value>) -> Self {
        let steps = lines
            .into_iter()
            .map(|line| Step::new(serde_json::from_value(line).unwrap()).unwrap());
        let steps: Vec<Step> = steps.collect();
        Self {
            state: State::new(&steps, &|_| None),
            steps,
            content: Snapshot::default(),
        }
    }

    /// Prepares a step, and concludes the one before.
    fn prepare(&mut self, index: usize) -> &mut RepositorySnapshot {
        if index > 0 {
            self.state.conclude(index - 1, &mut self.content);
        }
        self.state
            .prepare(index, &self.steps[index], &mut self.content);
        let empty = RepositorySnapshot {
            properties: Properties::new(Timestamp::UNIX_EPOCH),
            manifests: BTreeMap::new(),
            tags: BTreeMap::new(),
        };
        self.content
            .repositories
            .entry("a".parse().unwrap())
            .or_insert(empty)
    }
}

fn line(method: &str, path: &str, status: u16, body: Value) -> Value {
    json!({
        "request": {"method": method, "path": path}, "response": {"status": status, "body": body}
    })
}

fn shown(name: &str, minute: u8) -> Value {
    let time = format!("2024-01-01T00:{minute:02}:00Z");
    json!({"name": name, "digest": Digest::sha256("m"), "createdTime": time, "lastUpdateTime": time})
}

fn tag(minute: u8) -> Value {
    json!({"imageName": "a", "tag": shown("v1", minute)})
}

fn unknown(code: &str) -> Value {
    json!({"errors": [{"code": code, "message": ""}]})
}

fn minute(repository: &RepositorySnapshot) -> Option<i64> {
    let v1 = repository.tags.get("v1")?;
    let start: Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
    Some((v1.properties.last_updated_on.seconds() - start.seconds()) / 60)
}

const TAG: &str = "/acr/v1/a/_tags/v1";
const TAGS: &str = "/acr/v1/a/_tags";
const NAMES: &str = "/v2/a/tags/list";

#[test]
fn a_resource_is_put_in_with_what_later_steps_show_of_it() {
    let names = line("GET", NAMES, 200, json!({"name": "a", "tags": ["v1"]}));
    let mut session = Session::new(vec![names, line("GET", TAG, 200, tag(7))]);
    assert_eq!(minute(session.prepare(0)), Some(7));
}

#[test]
fn a_resource_that_was_absent_comes_after_the_step_that_says_so() {
    let absent = line("GET", TAG, 404, unknown("TAG_UNKNOWN"));
    let mut session = Session::new(vec![absent, line("GET", TAG, 200, tag(1))]);
    assert_eq!(minute(session.prepare(0)), None);
    assert_eq!(minute(session.prepare(1)), Some(1));
}

#[test]
fn what_a_step_has_deleted_the_registry_must_have_deleted() {
    let delete = line("DELETE", TAG, 202, Value::Null);
    let absent = line("GET", TAG, 404, unknown("TAG_UNKNOWN"));
    let mut session = Session::new(vec![delete, absent]);
    session.prepare(0);
    assert!(
        minute(session.prepare(1)).is_some(),
        "the registry has not, and that must show"
    );
}

#[test]
fn what_somebody_else_has_deleted_is_removed_before_the_step_that_misses_it() {
    let absent = line("GET", TAG, 404, unknown("TAG_UNKNOWN"));
    let mut session = Session::new(vec![line("GET", TAG, 200, tag(1)), absent]);
    session.prepare(0);
    assert_eq!(minute(session.prepare(1)), None);
}

#[test]
fn what_the_session_has_made_takes_over_its_times_once() {
    let push = json!({
        "request": {"method": "PUT", "path": "/v2/a/manifests/v1", "body": "{}"},
        "response": {"status": 201, "headers": {"Docker-Content-Digest": Digest::sha256("m")}}
    });
    let shown = [tag(1), tag(2)].map(|tag| line("GET", TAG, 200, tag));
    let mut session = Session::new([vec![push], shown.to_vec()].concat());
    let pushed = TagSnapshot {
        digest: Digest::sha256("m"),
        properties: Properties::new(Timestamp::UNIX_EPOCH),
    };
    let repository = session.prepare(0);
    assert_eq!(minute(repository), None);
    repository.tags.insert(Tag::new("v1").unwrap(), pushed);
    assert_eq!(minute(session.prepare(1)), Some(1));
    // Times that change without a cause are a difference, not a state.
    assert_eq!(minute(session.prepare(2)), Some(1));
}

#[test]
fn a_lock_that_no_step_has_shown_was_there_before() {
    let locked = unknown("REGISTRY_DISALLOWED_OPERATION");
    let refused = line("DELETE", TAG, 405, locked);
    let is_locked =
        |repository: &RepositorySnapshot| repository.tags["v1"].properties.attributes.is_locked();
    let mut session = Session::new(vec![refused.clone()]);
    assert!(is_locked(session.prepare(0)));

    let mut shown = tag(1);
    shown["tag"]["changeableAttributes"] = json!({"writeEnabled": false});
    let unlock = line("PATCH", TAG, 200, tag(1));
    let mut session = Session::new(vec![line("GET", TAG, 200, shown), unlock, refused]);
    session.prepare(0);
    let repository = session.prepare(1);
    let attributes = &mut repository.tags.get_mut("v1").unwrap().properties.attributes;
    *attributes = Attributes::enabled();
    assert!(
        is_locked(session.prepare(2)),
        "nothing that was shown explains it"
    );
}

#[test]
fn behind_a_link_something_is_there_for_that_step_alone() {
    let mut page = line(
        "GET",
        TAGS,
        200,
        json!({"imageName": "a", "tags": [shown("v1", 1)]}),
    );
    page["response"]["headers"] =
        json!({"Link": "</acr/v1/a/_tags?last=v1&n=1&orderby=>; rel=\"next\""});
    let mut session = Session::new(vec![page, line("GET", "/v2/", 200, json!({}))]);
    assert_eq!(session.prepare(0).tags.len(), 2);
    assert_eq!(session.prepare(1).tags.len(), 1);
}

#[test]
fn manifests_and_tags_that_are_only_counted_make_room_for_those_that_are_shown() {
    let repository = json!({
        "imageName": "a", "createdTime": "2024-01-01T00:00:00Z", "lastUpdateTime": "2024-01-01T00:00:00Z",
        "manifestCount": 3, "tagCount": 2
    });
    let manifest = format!("/v2/a/manifests/{}", Digest::sha256("m"));
    let mut session = Session::new(vec![
        line("GET", "/acr/v1/a", 200, repository),
        line("GET", TAG, 200, tag(1)),
        line("GET", &manifest, 200, json!({})),
    ]);
    for index in 0..3 {
        let repository = session.prepare(index);
        assert_eq!((repository.manifests.len(), repository.tags.len()), (3, 2));
    }
}
