//! What a registry said or did once, and must not do harm for longer than that.

use std::sync::{Arc, Mutex};

use acr_client::{Credential, ErrorKind};

use crate::hostile::liar::{REALM, SCOPE, TAG, challenged, client, properties, tokens};
use crate::hostile::{SECRET, response};

#[tokio::test]
async fn a_token_server_that_refuses_is_no_longer_asked_when_the_registry_names_another() {
    for (status, kind) in [
        (400, ErrorKind::Unauthorized),
        (401, ErrorKind::Unauthorized),
        (403, ErrorKind::Denied),
        (429, ErrorKind::Throttled),
        (503, ErrorKind::Registry),
    ] {
        let asked = Arc::new(Mutex::new(0));
        let (client, lines) = client(
            Credential::password("robot", SECRET),
            move |seen| match seen.path.as_str() {
                "/oauth2/token" if seen.line.contains("service=r.example") => tokens(),
                "/oauth2/token" | "/v2/token" => response(status, &[], ""),
                _ if seen.authorization.is_some() => properties(),
                _ => {
                    let mut asked = asked.lock().unwrap();
                    *asked += 1;
                    match *asked {
                        1 => challenged("https://r.example/v2/token", "r.example", SCOPE),
                        2 => challenged(REALM, "of another name", SCOPE),
                        _ => challenged(REALM, "r.example", SCOPE),
                    }
                }
            },
        );
        let app = client.repository_client("app").unwrap();
        for _ in 0..2 {
            let error = app.get_tag_properties("v1").await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
        }
        lines.take();
        app.get_tag_properties("v1").await.unwrap();
        let tag = format!("GET {TAG}");
        assert_eq!(lines.take(), [&tag, "GET /oauth2/token", &tag]);
    }
}

#[tokio::test]
async fn a_realm_that_no_credential_may_go_to_does_not_stop_the_next_call() {
    let lies = Arc::new(Mutex::new(false));
    let lie = lies.clone();
    let count = Mutex::new(0);
    let (client, _) = client(Credential::password("robot", SECRET), move |seen| {
        assert!(seen.line.contains("https://r.example/"), "{}", seen.line);
        if seen.path == "/oauth2/token" {
            let mut count = count.lock().unwrap();
            *count += 1;
            return response(200, &[], &format!(r#"{{"access_token":"{count}"}}"#));
        }
        if std::mem::take(&mut *lie.lock().unwrap()) {
            // For this scope there is a token, so that none has to be fetched.
            let scope = "repository:other:metadata_read";
            return challenged("https://evil.example/token", "r.example", scope);
        }
        match seen.authorization {
            Some(_) => properties(),
            None => challenged(REALM, "r.example", ""),
        }
    });
    let [app, other, third] =
        ["app", "other", "third"].map(|name| client.repository_client(name).unwrap());
    app.get_tag_properties("v1").await.unwrap();
    other.get_tag_properties("v1").await.unwrap();
    *lies.lock().unwrap() = true;
    app.get_tag_properties("v1").await.unwrap();
    assert!(!*lies.lock().unwrap());
    third.get_tag_properties("v1").await.unwrap();
}

#[tokio::test]
async fn when_all_tokens_at_hand_are_refused_the_call_gets_a_new_one() {
    let valid = Arc::new(Mutex::new("first"));
    let accepted = valid.clone();
    let count = Mutex::new(0);
    let (client, lines) = client(Credential::password("robot", SECRET), move |seen| {
        let valid = *accepted.lock().unwrap();
        if seen.path == "/oauth2/token" {
            let mut count = count.lock().unwrap();
            *count += 1;
            let body = format!(r#"{{"access_token":"{valid} {count}"}}"#);
            return response(200, &[], &body);
        }
        match &seen.authorization {
            Some(token) if token.contains(valid) && seen.path == "/v2/" => response(200, &[], "{}"),
            Some(token) if token.contains(valid) => properties(),
            _ => challenged(REALM, "r.example", ""),
        }
    });
    for at in 0..8 {
        let repository = client.repository_client(format!("r{at}")).unwrap();
        repository.get_tag_properties("v1").await.unwrap();
    }
    lines.take();
    *valid.lock().unwrap() = "second";
    // Each of the tokens at hand is one for a ping.
    client.ping().await.unwrap();
    assert_eq!(lines.take(), ["GET /v2/", "GET /oauth2/token", "GET /v2/"]);
}
