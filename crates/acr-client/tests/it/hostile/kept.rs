//! Registries without an API for referrers, where clients keep the lists as indexes under tags.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use acr_client::transport::from_fn;
use acr_client::{
    Credential, Digest, ErrorKind, Manifest, MediaType, RepositoryClient, RetryOptions,
};
use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;

use crate::hostile::{Body, response, seeded, text};

const UNKNOWN: &str = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown"}]}"#;

/// What a registry holds, and what it does beside holding it.
#[derive(Default)]
struct State {
    manifests: HashMap<String, (String, Vec<u8>)>,
    seen: Vec<String>,
    /// Whether it lists referrers itself, and whether it says so at a push.
    has_api: bool,
    tells_subject: bool,
    /// What another client sets a tag to, right after it was set here; the last one first.
    rivals: Vec<Manifest>,
    refuses_tags: bool,
    /// What the first read of a list gets, and the code in it.
    refuses_reads: Option<(u16, &'static str)>,
    /// How long requests take is drawn from this; 0: no time at all.
    seed: u64,
}

impl State {
    fn response(
        &mut self,
        method: &Method,
        path: &str,
        of_type: &str,
        body: &[u8],
    ) -> Response<Body> {
        if path == "/v2/" {
            return response(
                200,
                &[("docker-distribution-api-version", "registry/2.0")],
                "{}",
            );
        }
        let (kind, name) = path
            .strip_prefix("/v2/app/")
            .unwrap()
            .split_once('/')
            .unwrap();
        let short = name.get(..7).unwrap_or(name);
        self.seen.push(format!("{method} {kind} {short}"));
        if kind == "referrers" {
            return match self.has_api {
                true => response(200, &[], r#"{"schemaVersion":2,"manifests":[]}"#),
                false => response(404, &[], "404 page not found\n"),
            };
        }
        let digest = Digest::sha256(body).to_string();
        match (method.as_str(), self.manifests.get(name)) {
            ("PUT", _) if self.refuses_tags && name.starts_with("sha256-") => response(
                405,
                &[],
                r#"{"errors":[{"code":"DENIED","message":"tags are frozen"}]}"#,
            ),
            ("PUT", _) => {
                let held = (of_type.to_owned(), body.to_vec());
                self.manifests.insert(digest.clone(), held.clone());
                let held = match self.rivals.pop() {
                    Some(rival) if name.starts_with("sha256-") => {
                        (rival.media_type.to_string(), rival.bytes.to_vec())
                    }
                    Some(later) => {
                        self.rivals.push(later);
                        held
                    }
                    None => held,
                };
                self.manifests.insert(name.to_owned(), held);
                let subject: serde_json::Value = serde_json::from_slice(body).unwrap();
                let subject = subject["subject"]["digest"].as_str().map(str::to_owned);
                let subject = subject.filter(|_| self.tells_subject);
                let mut headers = vec![("docker-content-digest", digest.as_str())];
                headers.extend(subject.as_deref().map(|subject| ("oci-subject", subject)));
                response(201, &headers, "")
            }
            ("GET", _) if name.starts_with("sha256-") && self.refuses_reads.is_some() => {
                let (status, code) = self.refuses_reads.take().unwrap();
                let body = format!(r#"{{"errors":[{{"code":"{code}","message":"no"}}]}}"#);
                response(status, &[("content-type", "application/json")], &body)
            }
            (_, None) => response(404, &[], UNKNOWN),
            ("DELETE", Some(_)) => {
                self.manifests.remove(name);
                response(202, &[], "")
            }
            (_, Some((of_type, bytes))) => {
                let body = String::from_utf8(bytes.clone()).unwrap();
                response(200, &[("content-type", of_type)], &body)
            }
        }
    }

    /// How often a request gives way to others.
    fn delay(&mut self) -> u64 {
        if self.seed != 0 {
            self.seed ^= self.seed << 13;
            self.seed ^= self.seed >> 7;
            self.seed ^= self.seed << 17;
        }
        self.seed % 7
    }
}

fn registry_at(endpoint: &str, state: State) -> (RepositoryClient, Arc<Mutex<State>>) {
    let state = Arc::new(Mutex::new(state));
    let kept = state.clone();
    let transport = from_fn(move |request: Request<Body>| {
        let state = kept.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let wait = async |state: &Mutex<State>| {
                let delay = state.lock().unwrap().delay();
                for _ in 0..delay {
                    tokio::task::yield_now().await;
                }
            };
            wait(&state).await;
            let of_type = head.headers.get("content-type");
            let of_type = of_type.map_or("", |value| value.to_str().unwrap());
            let path = head.uri.path();
            let response = state
                .lock()
                .unwrap()
                .response(&head.method, path, of_type, &body);
            wait(&state).await;
            response
        }
    });
    let client = seeded::builder(endpoint)
        .credential(Credential::anonymous())
        .assume_azure_auth(false)
        .transport(transport)
        .retry(RetryOptions::none())
        .limiter(None)
        .build()
        .unwrap();
    (client.repository_client("app").unwrap(), state)
}

fn registry(state: State) -> (RepositoryClient, Arc<Mutex<State>>) {
    registry_at("https://r.example", state)
}

fn subject() -> Digest {
    Digest::sha256("the subject")
}

fn signature(number: usize) -> Manifest {
    let subject = subject();
    let text = format!(
        r#"{{"schemaVersion":2,"artifactType":"application/sig","subject":{{"mediaType":"a/b","digest":"{subject}","size":1}},"annotations":{{"n":"{number}"}}}}"#
    );
    Manifest::new(text, MediaType::OCI_MANIFEST)
}

async fn listed(app: &RepositoryClient) -> Vec<Digest> {
    let items = app.list_referrers(subject()).collect_all().await.unwrap();
    items.into_iter().map(|item| item.digest).collect()
}

#[tokio::test]
async fn an_artifact_with_a_subject_is_not_lost_where_there_is_no_api_for_referrers() {
    let (app, state) = registry(State::default());
    let (one, two) = (signature(1), signature(2));
    app.set_manifest(&one.digest, &one).await.unwrap();
    app.set_manifest("sig", &two).await.unwrap();
    app.set_manifest("sig", &two).await.unwrap();
    let items = app.list_referrers(subject()).collect_all().await.unwrap();
    assert_eq!(items.len(), 2, "{items:?}");
    assert_eq!(
        (&items[0].digest, &items[1].digest),
        (&one.digest, &two.digest)
    );
    assert_eq!(
        items[1].artifact_type,
        Some(MediaType::from("application/sig"))
    );
    assert_eq!(items[1].annotations["n"], "2");
    assert_eq!(items[1].size, two.bytes.len() as u64);
    // A manifest without a subject is in no list, and costs nothing more.
    state.lock().unwrap().seen.clear();
    let plain = Manifest::new("{}", MediaType::OCI_MANIFEST);
    app.set_manifest("v1", &plain).await.unwrap();
    assert_eq!(state.lock().unwrap().seen, ["PUT manifests v1"]);

    assert!(app.delete_manifest(&one.digest).await.unwrap());
    assert_eq!(listed(&app).await, std::slice::from_ref(&two.digest));
    assert!(app.delete_manifest("sig").await.unwrap());
    assert!(listed(&app).await.is_empty());
    assert!(!app.delete_manifest(&one.digest).await.unwrap());
}

#[tokio::test]
async fn a_list_that_another_client_overwrites_is_set_again() {
    let of = |digests: &[Digest]| {
        let entries = digests
            .iter()
            .map(|digest| acr_client::Descriptor::new(MediaType::OCI_MANIFEST, digest.clone(), 1));
        Manifest::try_from(&acr_client::ImageIndex::new(entries.collect())).unwrap()
    };
    let (other, third) = (Digest::sha256("other"), Digest::sha256("third"));
    let own = signature(1);
    let rivals = vec![
        of(&[other.clone(), third.clone()]),
        of(std::slice::from_ref(&other)),
    ];
    let (app, _) = registry(State {
        rivals,
        ..State::default()
    });
    app.set_manifest("sig", &own).await.unwrap();
    assert_eq!(listed(&app).await, [other, third, own.digest.clone()]);

    let rivals = vec![of(&[]); 99];
    let (app, state) = registry(State {
        rivals,
        ..State::default()
    });
    let error = app.set_manifest("sig", &own).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Registry, "{}", text(&error));
    assert!(state.lock().unwrap().seen.len() < 30, "it ends");
}

#[tokio::test]
async fn callers_of_one_client_do_not_undo_each_others_entries() {
    for seed in 1..40 {
        let (app, _) = registry(State {
            seed,
            ..State::default()
        });
        let signatures: Vec<_> = (0..12).map(signature).collect();
        let first = signatures.iter().take(4);
        let first = first.map(|one| app.set_manifest(&one.digest, one));
        for set in join_all(first).await {
            set.unwrap();
        }
        let set = signatures.iter().skip(4);
        let set = set.map(|one| app.set_manifest(&one.digest, one));
        let deleted = signatures.iter().take(2);
        let deleted = deleted.map(|one| app.delete_manifest(&one.digest));
        let (set, deleted) = futures_util::join!(join_all(set), join_all(deleted));
        assert!(set.iter().all(Result::is_ok), "seed {seed}: {set:?}");
        assert!(
            deleted.iter().all(Result::is_ok),
            "seed {seed}: {deleted:?}"
        );
        let mut found = listed(&app).await;
        found.sort_unstable();
        let expected = signatures.iter().skip(2).map(|one| one.digest.clone());
        let mut expected: Vec<_> = expected.collect();
        expected.sort_unstable();
        assert_eq!(found, expected, "seed {seed}");
    }
}

#[tokio::test]
async fn a_caller_does_not_wait_for_those_that_come_after_it() {
    for seed in 1..4 {
        let (app, state) = registry(State {
            seed,
            ..State::default()
        });
        let signatures: Vec<_> = (0..80).map(signature).collect();
        let set = signatures
            .iter()
            .map(|one| app.set_manifest(&one.digest, one));
        let set: Vec<_> = stream::iter(set).buffer_unordered(10).collect().await;
        let failed = set.iter().find_map(|set| set.as_ref().err());
        assert!(failed.is_none(), "seed {seed}: {failed:?}");
        let requests = state.lock().unwrap().seen.len();
        assert!(requests < 80 * 10, "seed {seed}: {requests} requests");
        assert_eq!(listed(&app).await.len(), 80, "seed {seed}");
    }
}

#[tokio::test]
async fn a_list_is_replaced_only_where_the_registry_says_that_there_is_none() {
    for (status, code, is_none) in [
        (404, "MANIFEST_UNKNOWN", true),
        (404, "NAME_UNKNOWN", true),
        // Harbor's code.
        (404, "NOT_FOUND", true),
        (404, "DENIED", false),
        (404, "TOOMANYREQUESTS", false),
        (404, "ROUTE_UNKNOWN", false),
        (200, "MANIFEST_UNKNOWN", false),
    ] {
        let (app, state) = registry(State {
            refuses_reads: Some((status, code)),
            ..State::default()
        });
        let set = app.set_manifest("sig", signature(1)).await;
        assert_eq!(set.is_ok(), is_none, "{status} {code}: {set:?}");
        let seen = &state.lock().unwrap().seen;
        let is_put = seen.iter().any(|line| line == "PUT manifests sha256-");
        assert_eq!(is_put, is_none, "{status} {code}: {seen:?}");
    }
}

#[tokio::test]
async fn an_entry_of_another_size_is_put_right() {
    let (own, subject) = (signature(1), subject());
    let entry = acr_client::Descriptor::new(MediaType::OCI_MANIFEST, own.digest.clone(), 1);
    let index = acr_client::ImageIndex::new(vec![entry.clone(), entry]);
    let index = Manifest::try_from(&index).unwrap();
    let (app, _) = registry(State::default());
    let tag = subject.as_str().replace(':', "-");
    app.set_manifest(&*tag, &index).await.unwrap();
    app.set_manifest("sig", &own).await.unwrap();
    let items = app.list_referrers(&subject).collect_all().await.unwrap();
    let sizes: Vec<_> = items.iter().map(|item| item.size).collect();
    assert_eq!(sizes, [own.bytes.len() as u64]);
}

#[tokio::test]
async fn an_error_of_the_list_does_not_hide_that_the_manifest_is_set() {
    let (app, state) = registry(State {
        refuses_tags: true,
        ..State::default()
    });
    let own = signature(1);
    let error = app.set_manifest("sig", &own).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disallowed, "{}", text(&error));
    let set = format!(
        "set_manifest app:sig: the manifest {} is set, but",
        own.digest
    );
    assert!(error.to_string().starts_with(&set), "{error}");
    assert!(text(&error).contains("tags are frozen"));
    assert!(state.lock().unwrap().manifests.contains_key("sig"));
}

#[tokio::test]
async fn a_registry_with_the_api_is_asked_for_nothing_more() {
    let own = signature(1);
    let told = State {
        has_api: true,
        tells_subject: true,
        ..State::default()
    };
    let (app, state) = registry(told);
    app.set_manifest("sig", &own).await.unwrap();
    app.delete_manifest(&own.digest).await.unwrap();
    let seen = std::mem::take(&mut state.lock().unwrap().seen);
    assert_eq!(seen, ["PUT manifests sig", "DELETE manifests sha256:"]);

    // One that does not say so is asked once.
    let (app, state) = registry(State {
        has_api: true,
        ..State::default()
    });
    for _ in 0..2 {
        app.clone().set_manifest("sig", &own).await.unwrap();
    }
    app.delete_manifest(&own.digest).await.unwrap();
    let seen = std::mem::take(&mut state.lock().unwrap().seen);
    let expected = [
        "PUT manifests sig",
        "GET referrers sha256:",
        "PUT manifests sig",
        "DELETE manifests sha256:",
    ];
    assert_eq!(seen, expected);

    // All of Azure's have it.
    let (app, state) = registry_at("https://name.azurecr.io", State::default());
    app.set_manifest("sig", &own).await.unwrap();
    app.delete_manifest(&own.digest).await.unwrap();
    let seen = std::mem::take(&mut state.lock().unwrap().seen);
    assert_eq!(seen, ["PUT manifests sig", "DELETE manifests sha256:"]);
}
