use acr_client::transport::{TransportError, TransportErrorKind};
use bytes::Bytes;
use http::StatusCode;

use super::*;
use crate::exchange::FailureKind;

const PASSWORD: &str = "hun\"ter 2/ü";

fn exchanged(
    request: http::request::Builder,
    form: &str,
    response: http::response::Builder,
    body: &str,
) -> Exchange {
    let request = request.body(form.to_owned().into()).unwrap();
    let response = response.body(body.to_owned().into()).unwrap();
    Exchange::new(request, response)
}

/// Redacts as a recorder does.
fn redacted(mut exchanged: Exchange, secrets: &mut Secrets) -> Exchange {
    request_head(&mut exchanged.request, secrets);
    let is_for_token = is_token_request(None, &exchanged.request.path);
    exchange(&mut exchanged, is_for_token, secrets);
    texts(&mut exchanged, secrets);
    exchanged
}

fn body_of(exchange: &Exchange) -> Bytes {
    exchange.response.as_ref().unwrap().bytes().unwrap()
}

fn form_of(exchange: &Exchange) -> Bytes {
    exchange.request.bytes().unwrap()
}

#[test]
fn headers_that_are_not_named_as_safe_are_replaced() {
    for (name, value, expected) in [
        ("authorization", "Bearer hunter2", "Bearer REDACTED"),
        ("authorization", "hunter2", "REDACTED"),
        ("proxy-authorization", "Negotiate a b", "Negotiate REDACTED"),
        ("cookie", "a=hunter2", "REDACTED"),
        ("x-anything", "hunter2", "REDACTED"),
        ("x-ms-token-aad-access-token", "hunter2", "REDACTED"),
        ("content-type", "text/plain", "text/plain"),
        ("range", "bytes=0-3", "bytes=0-3"),
        (
            "link",
            "</v2/_catalog?last=a%2Fb&n=2>; rel=\"next\"",
            "</v2/_catalog?last=a%2Fb&n=2>; rel=\"next\"",
        ),
        (
            "location",
            "/v2/a/blobs/uploads/1?_nouploadcache=false&_state=x%3D",
            "/v2/a/blobs/uploads/1?_nouploadcache=false&_state=REDACTED",
        ),
        (
            "location",
            "https://user:hunter2@h/x",
            "https://REDACTED@h/x",
        ),
        (
            "location",
            "https://h/#token=hunter2",
            "https://h/#token=REDACTED",
        ),
        (
            "location",
            "https://h/?n=1#hunter2",
            "https://h/?n=REDACTED",
        ),
        (
            "www-authenticate",
            "Bearer realm=\"https://h/t?key=x\",service=\"h\",scope=\"registry:catalog:*\"",
            "Bearer realm=\"https://h/t?key=REDACTED\",service=\"h\",scope=\"registry:catalog:*\"",
        ),
    ] {
        let request = http::Request::get("/v2/").header(name, value);
        let exchange = redacted(
            exchanged(request, "", http::Response::builder(), ""),
            &mut Secrets::default(),
        );
        assert_eq!(exchange.request.headers[name], expected, "{value}");
        let response = http::Response::builder().header(name, value);
        let exchange = redacted(
            exchanged(http::Request::get("/v2/"), "", response, ""),
            &mut Secrets::default(),
        );
        assert_eq!(
            exchange.response.unwrap().headers[name],
            expected,
            "{value}"
        );
    }
    let mut value = HeaderValue::from_static("text/plain");
    value.set_sensitive(true);
    let request = http::Request::get("/v2/").header("accept", value);
    let exchange = redacted(
        exchanged(request, "", http::Response::builder(), ""),
        &mut Secrets::default(),
    );
    assert_eq!(exchange.request.headers["accept"], REDACTED);
}

#[test]
fn parameters_that_are_not_named_as_safe_are_replaced() {
    for (given, expected) in [
        ("", ""),
        ("n=1&last=a%2Fb&orderby=", "n=1&last=a%2Fb&orderby="),
        ("passw%6Frd=hunter2&n=1", "passw%6Frd=REDACTED&n=1"),
        ("sig=a%2Bb&sv=2018-03-28&", "sig=REDACTED&sv=2018-03-28&"),
        ("hunter2", "REDACTED"),
        ("x=", "x="),
        ("n=1&amp;sig=ab", "n=1&amp;sig=REDACTED"),
    ] {
        assert_eq!(query(given, &mut |_| {}), expected);
    }
    let mut learned = Vec::new();
    query("password=hun+ter%2F2&n=1", &mut |value| {
        learned.push(value.to_owned())
    });
    assert_eq!(learned, ["hun ter/2"]);
}

#[test]
fn a_token_request_and_its_response_lose_their_secrets() {
    let mut secrets = Secrets::default();
    let token = exchanged(
        http::Request::post("/oauth2/token"),
        "grant_type=refresh_token&refresh_token=first-token&scope=registry%3Acatalog%3A*",
        http::Response::builder(),
        "{\"access_token\":\"second-token\"}\n",
    );
    let token = redacted(token, &mut secrets);
    assert_eq!(
        form_of(&token),
        "grant_type=refresh_token&refresh_token=REDACTED&scope=registry%3Acatalog%3A*"
    );
    assert_eq!(body_of(&token), "{\"access_token\":\"REDACTED\"}\n");
    assert_eq!(token.mask, ["request.body"]);

    let response = http::Response::builder()
        .status(404)
        .header("server", "<first-token>");
    let request = http::Request::get("/v2/a-first-token/tags/list?last=second-token");
    let later = redacted(
        exchanged(request, "", response, "<second-token>"),
        &mut secrets,
    );
    assert_eq!(later.request.path, "/v2/a-REDACTED/tags/list");
    assert_eq!(later.request.query, "last=REDACTED");
    assert_eq!(
        later.response.as_ref().unwrap().headers["server"],
        "<REDACTED>"
    );
    assert_eq!(body_of(&later), "<REDACTED>");
}

#[test]
fn a_token_response_keeps_its_life_alone() {
    let body = "{\"token\":\"hunter2\",\"expires_in\":60,\"issued_at\":\"2025-09-02T08:26:56Z\",\"user\":\"robot\"}";
    let response = http::Response::builder().header("content-length", body.len());
    let token = exchanged(http::Request::get("/oauth2/token"), "", response, body);
    let token = redacted(token, &mut Secrets::default());
    let expected =
        "{\"token\":\"REDACTED\",\"expires_in\":60,\"issued_at\":\"2025-09-02T08:26:56Z\"}";
    assert_eq!(body_of(&token), expected);
    let length = expected.len().to_string();
    assert_eq!(
        token.response.as_ref().unwrap().headers["content-length"],
        length
    );
    assert_eq!(
        token.mask,
        ["response.headers.content-length", "response.body"]
    );
}

#[test]
fn what_cannot_be_read_at_a_token_server_is_replaced_whole() {
    for (status, body, expected) in [
        (200, "{\"access_token\":\"hunt", "REDACTED"),
        (200, "access_token is hunter2", "REDACTED"),
        (200, "", ""),
        (502, "<html>bad gateway</html>", "<html>bad gateway</html>"),
    ] {
        let response = http::Response::builder().status(status);
        let token = exchanged(http::Request::get("/oauth2/token"), "", response, body);
        let token = redacted(token, &mut Secrets::default());
        assert_eq!(body_of(&token), expected, "{body}");
    }
    for (form, expected) in [
        ("{\"password\":\"hunt", "REDACTED"),
        (
            "--x\r\nname=\"password\"\r\n\r\nhunter2\r\n--x--",
            "REDACTED",
        ),
        ("service=r", "service=r"),
    ] {
        let request = http::Request::post("/oauth2/token");
        let token = exchanged(request, form, http::Response::builder().status(401), "");
        let token = redacted(token, &mut Secrets::default());
        assert_eq!(form_of(&token), expected, "{form}");
    }
    let mut token = exchanged(
        http::Request::post("/oauth2/token"),
        "",
        http::Response::builder(),
        "",
    );
    let (sha256, size) = (Some("0".repeat(64)), Some(13));
    token.request.body = Body::Omitted { sha256, size };
    let token = redacted(token, &mut Secrets::default());
    assert_eq!(
        token.request.sha256(),
        None,
        "a short secret could be found by trying"
    );
}

#[test]
fn an_error_that_repeats_what_the_request_carried_loses_it() {
    let login = acr_client::protocol::auth::basic_login("user", &PASSWORD.into());
    let encoded = login
        .to_str()
        .unwrap()
        .trim_start_matches("Basic ")
        .to_owned();
    let message = Value::from(PASSWORD).to_string();
    let refused = exchanged(
        http::Request::get("/v2/").header("authorization", login),
        "",
        http::Response::builder().status(401),
        &format!(
            "{{\"errors\":[{{\"code\":\"A\",\"message\":{message},\"detail\":\"{encoded}\"}}]}}"
        ),
    );
    let refused = redacted(refused, &mut Secrets::default());
    let expected =
        "{\"errors\":[{\"code\":\"A\",\"message\":\"REDACTED\",\"detail\":\"REDACTED\"}]}";
    assert_eq!(body_of(&refused), expected);
    assert_eq!(refused.request.headers["authorization"], "Basic REDACTED");
}

#[test]
fn an_error_body_that_cannot_be_read_is_replaced() {
    let response = || http::Response::builder().status(400);
    let packed = response().header("content-encoding", "gzip");
    let packed = exchanged(http::Request::get("/v2/"), "", packed, "packed");
    let mut cut = exchanged(http::Request::get("/v2/"), "", response(), "cut");
    cut.response.as_mut().unwrap().end = BodyEnd::Unread;
    for exchange in [packed, cut] {
        assert_eq!(
            body_of(&redacted(exchange, &mut Secrets::default())),
            REDACTED
        );
    }
}

#[test]
fn content_keeps_its_bytes() {
    let content = "{\"url\":\"https://h/?n=1\\u0026sig=abcdefgh\",\"token\":\"x\"}";
    for (status, expected) in [
        (StatusCode::OK, content),
        (
            StatusCode::BAD_REQUEST,
            "{\"url\":\"https://h/?n=1&sig=REDACTED\",\"token\":\"x\"}",
        ),
    ] {
        let response = http::Response::builder().status(status);
        let request = http::Request::get("/v2/a/manifests/token");
        let got = redacted(
            exchanged(request, "", response, content),
            &mut Secrets::default(),
        );
        assert_eq!(body_of(&got), expected);
        assert_eq!(got.mask, [""; 0]);
    }
}

#[test]
fn a_redirect_keeps_all_but_its_signature() {
    let location = "https://h.example/x//data?sv=2018-03-28&sig=a%2Bbcdef%3D&sp=r";
    let html = format!(
        "<a href=\"{}\">Temporary Redirect</a>",
        location.replace('&', "&amp;")
    );
    let response = http::Response::builder()
        .status(307)
        .header("location", location);
    let redirect = exchanged(http::Request::get("/v2/a/blobs/x"), "", response, &html);
    let redirect = redacted(redirect, &mut Secrets::default());
    let expected = location.replace("a%2Bbcdef%3D", REDACTED);
    assert_eq!(
        redirect.response.as_ref().unwrap().headers["location"],
        expected
    );
    let text = String::from_utf8(body_of(&redirect).to_vec()).unwrap();
    assert!(
        text.starts_with("<a href=\"https://h.example/x//data?sv=2018-03-28&amp;sig=REDACTED&amp;"),
        "{text}"
    );
    assert!(text.ends_with(">Temporary Redirect</a>"), "{text}");
    assert_eq!(redirect.mask, [""; 0], "the placeholders say what differs");
}

#[test]
fn a_secret_that_is_learned_later_is_masked() {
    let mut secrets = Secrets::default();
    let response = http::Response::builder()
        .status(404)
        .header("content-length", 9);
    let early = exchanged(http::Request::get("/x"), "", response, "<hunter2>");
    let mut early = redacted(early, &mut secrets);
    assert_eq!(body_of(&early), "<hunter2>");
    secrets.learn_credential("hunter2");
    texts(&mut early, &secrets);
    assert_eq!(body_of(&early), "<REDACTED>");
    assert_eq!(
        early.response.as_ref().unwrap().headers["content-length"],
        "10"
    );
    assert_eq!(early.mask, ["response.headers.content-length"]);
}

#[test]
fn messages_of_errors_are_redacted() {
    let message = "GET https://h/x?sig=abcdef failed: hunter2";
    let failure = Failure::new(FailureKind::Connect, message);
    let mut secrets = Secrets::default();
    secrets.learn_credential("hunter2");
    let mut failed = exchanged(http::Request::get("/x"), "", http::Response::builder(), "");
    failed.request.end = BodyEnd::Failed(failure.clone());
    failed.response = None;
    failed.error = Some(failure);
    let mut failed = redacted(failed, &mut secrets);
    let messages: Vec<_> = failures(&mut failed)
        .map(|failure| failure.message.clone())
        .collect();
    assert_eq!(
        messages,
        ["GET https://h/x?sig=REDACTED failed: REDACTED"; 2]
    );
}

#[test]
fn a_failure_names_all_causes_and_becomes_an_error_of_its_kind() {
    let cause = TransportError::new(TransportErrorKind::Connect, "refused");
    let error = TransportError::new(TransportErrorKind::Timeout, cause);
    let failure = Failure::from(&error);
    assert_eq!(failure.message, "cannot connect to the server: refused");
    let again = TransportError::from(&failure);
    assert_eq!(again.kind(), TransportErrorKind::Timeout);
    assert_eq!(Failure::from(&again), failure);
}
