//! The 401: its two forms in a header and a body, what each operation asks for, and that it comes before all else.

use serde_json::{Value, json};

use crate::raw::support::{DELETE, HOST, PUSH, READ, Raw, digest, nowhere};

const MESSAGE: &str =
    "authentication required, visit https://aka.ms/acr/authorization for more information.";

fn body(detail: Value) -> String {
    format!(
        "{}\n",
        json!({ "errors": [{ "code": "UNAUTHORIZED", "message": MESSAGE, "detail": detail }] })
    )
}

/// The detail of a scope string, in its order: one element for each action.
fn detail(scope: &str) -> Value {
    let one = |scope: &str| {
        let [kind, name, actions] = scope.split(':').collect::<Vec<_>>()[..] else {
            panic!("{scope}")
        };
        let element = |action: &str| json!({ "Type": kind, "Name": name, "Action": action });
        actions.split(',').map(element).collect::<Vec<_>>()
    };
    scope.split(' ').flat_map(one).collect()
}

/// Each operation's request, and the actions on `a/b` that its challenge names, in the order of the detail.
const OPERATIONS: &str = "
    GET /acr/v1/_catalog?api-version=2021-07-01 registry:catalog:*
    GET /v2/_catalog?n=1000 registry:catalog:*
    GET /acr/v1/a/b metadata_read
    PATCH /acr/v1/a%2Fb metadata_write
    DELETE /acr/v1/a%2Fb delete
    GET /acr/v1/a/b/_tags metadata_read
    GET /acr/v1/a/b/_tags/v1 metadata_read
    PATCH /acr/v1/a/b/_tags/v1 metadata_write
    DELETE /acr/v1/a/b/_tags/v1 delete
    GET /v2/a/b/tags/list metadata_read
    GET /acr/v1/a/b/_manifests metadata_read
    GET /acr/v1/a/b/_manifests/{} metadata_read
    PATCH /acr/v1/a/b/_manifests/{} metadata_write
    GET /v2/a/b/manifests/v1 pull
    HEAD /v2/a/b/manifests/{} pull
    PUT /v2/a/b/manifests/v1 pull,push
    DELETE /v2/a/b/manifests/{} delete
    GET /v2/a/b/referrers/{} pull
    GET /v2/a/b/blobs/{} pull
    HEAD /v2/a/b/blobs/{} pull
    DELETE /v2/a/b/blobs/{} delete
    POST /v2/a/b/blobs/uploads/ pull,push
    POST /v2/a/b/blobs/uploads/?mount={} pull,push
    GET {upload} pull
    PATCH {upload} pull,push
    PUT {upload} pull,push
    DELETE {upload} delete
";
const UPLOAD: &str =
    "/v2/a/b/blobs/uploads/0f305926-cc88-486b-a50e-563e4f94152e?_nouploadcache=false&_state=x";

/// Each operation's request, and the scope that its challenge names.
fn operations() -> impl Iterator<Item = (String, String)> {
    OPERATIONS.trim().lines().map(|row| {
        let (request, actions) = row.trim().rsplit_once(' ').unwrap();
        let request = request.replace("{}", &nowhere());
        let scope = match actions {
            "registry:catalog:*" => actions.to_owned(),
            actions => format!("repository:a/b:{actions}"),
        };
        (request.replace("{upload}", UPLOAD), scope)
    })
}

/// The header with the actions of each scope in the order of the alphabet: the service shuffles them.
fn sorted(challenge: &str) -> String {
    let Some((before, rest)) = challenge.split_once(",scope=\"") else {
        return challenge.to_owned();
    };
    let (scopes, after) = rest.split_once('"').unwrap();
    let sort = |scope: &str| {
        let (thing, actions) = scope.rsplit_once(':').unwrap();
        let mut actions: Vec<&str> = actions.split(',').collect();
        actions.sort_unstable();
        format!("{thing}:{}", actions.join(","))
    };
    let scopes: Vec<String> = scopes.split(' ').map(sort).collect();
    format!("{before},scope=\"{}\"{after}", scopes.join(" "))
}

fn header(scope: &str, error: &str) -> String {
    format!(r#"Bearer realm="https://{HOST}/oauth2/token",service="{HOST}",scope="{scope}"{error}"#)
}

#[test]
fn the_ping_is_challenged_without_a_scope() {
    let raw = Raw::new();
    let response = raw.get("/v2/").expect_json(401, &body(Value::Null));
    assert_eq!(response.body.len(), 149);
    let expected = format!(r#"Bearer realm="https://{HOST}/oauth2/token",service="{HOST}""#);
    assert_eq!(response.all("www-authenticate"), [expected]);
}

#[test]
fn every_operation_names_its_scope_in_header_and_body() {
    let raw = Raw::new();
    for (line, scope) in operations() {
        let is_head = line.starts_with("HEAD");
        let response = raw.line(&line).expect(401);
        assert_eq!(
            sorted(response.header("www-authenticate")),
            header(&scope, ""),
            "{line}"
        );
        let expected = body(detail(&scope));
        response.expect_header("content-length", expected.len().to_string());
        response.expect_header("content-type", "application/json; charset=utf-8");
        assert_eq!(
            response.text(),
            if is_head { "" } else { &expected },
            "{line}"
        );
    }
}

#[test]
fn a_mount_asks_for_two_repositories_with_the_target_first() {
    let raw = Raw::new();
    // The source comes first in the alphabet, the target on the wire.
    let path = format!(
        "/v2/hello-world/blobs/uploads/?from=alpine&mount={}",
        nowhere()
    );
    let scope = "repository:hello-world:pull,push repository:alpine:pull";
    let response = raw.post(path).expect_json(401, &body(detail(scope)));
    assert_eq!(
        sorted(response.header("www-authenticate")),
        header(scope, "")
    );
}

#[test]
fn the_actions_change_places_and_the_detail_does_not() {
    let raw = Raw::new();
    let mut seen = [0, 0];
    for _ in 0..64 {
        let response = raw.post("/v2/app/blobs/uploads/").send();
        assert_eq!(response.text(), body(detail(PUSH)));
        let challenge = response.header("www-authenticate");
        let swapped = challenge.contains("repository:app:push,pull");
        assert!(swapped || challenge.contains(PUSH), "{challenge}");
        seen[usize::from(swapped)] += 1;
    }
    assert!(seen[0] > 8 && seen[1] > 8, "{seen:?}");
}

#[test]
fn the_order_of_actions_repeats_with_the_seed() {
    let orders = |seed| -> Vec<bool> {
        let raw = Raw::with(|builder| builder.scope_order_seed(seed));
        let ask = || raw.post("/v2/app/blobs/uploads/").send();
        (0..32)
            .map(|_| ask().header("www-authenticate").contains("push,pull"))
            .collect()
    };
    assert_eq!(orders(7), orders(7));
    assert_ne!(orders(7), orders(8));
}

#[test]
fn a_token_that_lacks_the_action_is_refused_with_a_fourth_part() {
    let raw = Raw::new();
    for (line, scope) in operations() {
        // All actions but those that are needed, and all on another repository.
        let needed: Vec<&str> = scope.rsplit_once(':').unwrap().1.split(',').collect();
        let others = ["delete", "metadata_read", "metadata_write", "pull", "push"];
        let mut others: Vec<&str> = others
            .into_iter()
            .filter(|action| !needed.contains(action))
            .collect();
        if needed == ["pull", "push"] {
            // One of two is not enough.
            others.push("pull");
        }
        let held = format!(
            "repository:a/b:{} repository:other:delete,metadata_read,pull,push",
            others.join(",")
        );
        let is_head = line.starts_with("HEAD");
        let response = raw.line(&line).scope(&held).expect(401);
        let expected = header(&scope, r#",error="insufficient_scope""#);
        assert_eq!(
            sorted(response.header("www-authenticate")),
            expected,
            "{line}"
        );
        assert_eq!(
            response.text(),
            if is_head {
                "".to_owned()
            } else {
                body(detail(&scope))
            },
            "{line}"
        );
    }
}

#[test]
fn the_scope_that_an_operation_names_is_enough_for_it() {
    let raw = Raw::new();
    for (line, scope) in operations() {
        let response = raw.line(&line).scope(&scope).send();
        assert_ne!(response.status, 401, "{line}");
    }
}

#[test]
fn any_valid_token_is_enough_for_the_ping() {
    let raw = Raw::new();
    for scope in ["repository:a/b:metadata_read", "registry:catalog:*"] {
        raw.get("/v2/").scope(scope).expect_json(200, "{}");
    }
}

#[test]
fn the_scope_is_checked_before_existence() {
    let raw = Raw::new();
    let tag = "/acr/v1/app/_tags/v1";
    raw.push_image("app", "v1");
    raw.delete(tag).scope(DELETE).expect(202);
    let response = raw.get(tag).scope(DELETE).expect(401);
    response.has_challenge_error("insufficient_scope");
    raw.get(tag).scope(READ).expect(404);
}

#[test]
fn the_scope_is_checked_before_the_body_and_the_parameters() {
    let raw = Raw::new();
    raw.push_image("app", "v1");
    raw.patch("/acr/v1/app").body("no json").expect(401);
    raw.put("/v2/app/manifests/v2").body("no json").expect(401);
    raw.get("/acr/v1/app/_tags?n=many").expect(401);
    raw.post("/v2/app/blobs/uploads/?digest=wrong")
        .body("x")
        .expect(401);
}

#[test]
fn a_token_that_is_not_accepted_is_an_invalid_token() {
    let raw = Raw::new();
    let path = "/acr/v1/library%2Fhello-world/_tags";
    let scope = "repository:library/hello-world:metadata_read";
    let good = raw.token(scope);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (head, payload) = signed.split_once('.').unwrap();
    let more = raw.token("repository:library/hello-world:metadata_read,delete");
    let other_payload = more.split('.').nth(1).unwrap();
    let flipped = signature.replacen(
        |_: char| true,
        if signature.starts_with('A') { "B" } else { "A" },
        1,
    );
    for bad in [
        "no-token".to_owned(),
        "a.b.c".to_owned(),
        String::new(),
        format!("{signed}."),
        format!("{signed}.{flipped}"),
        format!("{head}.{other_payload}.{signature}"),
        format!("{head}.{payload}x.{signature}"),
        // Another registry's, and one of another kind.
        Raw::new().token(scope),
        raw.refresh_token("entra"),
    ] {
        let response = raw.get(path).bearer(&bad);
        let response = response.expect_json(401, &body(detail(scope)));
        let expected = header(scope, r#",error="invalid_token""#);
        assert_eq!(response.all("www-authenticate"), [expected], "{bad}");
    }
    raw.get(path).bearer(&good).expect(404);
}

#[test]
fn an_access_token_is_over_after_75_minutes() {
    let raw = Raw::new();
    let token = raw.token("registry:catalog:*");
    let ask = || raw.get("/acr/v1/_catalog").bearer(&token).send();
    raw.clock.advance(std::time::Duration::from_secs(4_499));
    ask().expect(200);
    raw.clock.advance(std::time::Duration::from_secs(1));
    let response = ask().expect(401);
    response.has_challenge_error("invalid_token");
}

#[test]
fn the_realm_follows_the_authority_of_the_request() {
    let raw = Raw::new();
    let challenge = |uri: &str, host: Option<&str>| {
        let mut ask = raw.get(uri);
        if let Some(host) = host {
            ask = ask.header("host", host);
        }
        ask.send().header("www-authenticate").to_owned()
    };
    assert_eq!(
        challenge("http://127.0.0.1:5000/v2/", None),
        r#"Bearer realm="http://127.0.0.1:5000/oauth2/token",service="127.0.0.1:5000""#
    );
    // A URI wins over `Host`; neither selects another state.
    assert_eq!(
        challenge("https://a.azurecr.io/v2/", Some("b.azurecr.io")),
        r#"Bearer realm="https://a.azurecr.io/oauth2/token",service="a.azurecr.io""#
    );
    let token = raw.token("registry:catalog:*");
    raw.get("https://a.azurecr.io/v2/")
        .bearer(&token)
        .expect(200);
}

#[test]
fn a_login_server_that_is_set_stands_for_every_authority() {
    let raw = Raw::with(|builder| builder.login_server("fixed.azurecr.io"));
    let response = raw.get("https://127.0.0.1:5000/v2/").send();
    assert_eq!(
        response.header("www-authenticate"),
        r#"Bearer realm="https://fixed.azurecr.io/oauth2/token",service="fixed.azurecr.io""#
    );
}

#[test]
fn without_authentication_nothing_is_asked_for() {
    let raw = Raw::with(|builder| builder.authentication(false));
    raw.get("/v2/").expect_json(200, "{}");
    raw.get("/acr/v1/_catalog")
        .expect_json(200, "{\"repositories\":null}\n");
    let content = b"content";
    raw.post(format!("/v2/app/blobs/uploads/?digest={}", digest(content)))
        .body(&content[..])
        .expect(201);
}
