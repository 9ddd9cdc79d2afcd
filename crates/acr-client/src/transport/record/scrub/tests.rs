use http::{Request, Response, StatusCode};

use super::*;
use crate::transport::TransportErrorKind;

const PASSWORD: &str = "hun\"ter 2/ü";

fn exchanged(
    request: http::request::Builder,
    form: &str,
    response: http::response::Builder,
    body: &str,
) -> RecordedExchange {
    let request = request.body(form.to_owned().into()).unwrap();
    let response = response.body(body.to_owned().into()).unwrap();
    RecordedExchange::new(request, response)
}

fn body_of(exchange: &RecordedExchange) -> &str {
    let response = exchange.outcome.as_ref().unwrap();
    std::str::from_utf8(response.body.bytes().unwrap()).unwrap()
}

fn form_of(exchange: &RecordedExchange) -> &str {
    std::str::from_utf8(exchange.request.body.bytes().unwrap()).unwrap()
}

#[test]
fn a_token_request_and_its_answer_lose_their_secrets() {
    let mut known = Secrets::default();
    let mut token = exchanged(
        Request::post("/oauth2/token"),
        "grant_type=refresh_token&refresh_token=first-token&scope=registry%3Acatalog%3A*",
        Response::builder(),
        "{\"access_token\":\"second-token\"}\n",
    );
    exchange(&mut token, &mut known);
    assert_eq!(
        form_of(&token),
        "grant_type=refresh_token&refresh_token=REDACTED&scope=registry%3Acatalog%3A*"
    );
    assert_eq!(body_of(&token), "{\"access_token\":\"REDACTED\"}\n");
    assert_eq!(token.mask, ["request.body"]);

    let mut later = exchanged(
        Request::get("/v2/a-first-token/tags/list?last=second-token"),
        "second-token",
        Response::builder().header("x-echo", "<first-token>"),
        "<second-token>",
    );
    exchange(&mut later, &mut known);
    assert_eq!(later.request.path, "/v2/a-REDACTED/tags/list");
    assert_eq!(later.request.query, "last=REDACTED");
    assert_eq!(body_of(&later), "<REDACTED>");
    let parts = ["response.headers.x-echo", "response.body", "request.body"];
    for part in parts {
        assert!(later.is_masked(part), "{part}");
    }
}

#[test]
fn an_error_that_repeats_the_password_loses_it() {
    let login = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("user:{PASSWORD}"),
    );
    let message = Value::from(PASSWORD).to_string();
    let mut refused = exchanged(
        Request::get("/oauth2/token?service=r").header("authorization", format!("Basic {login}")),
        "",
        Response::builder().status(401),
        &format!(
            "{{\"errors\":[{{\"code\":\"A\",\"message\":{message},\"detail\":\"{login}\"}}]}}"
        ),
    );
    exchange(&mut refused, &mut Secrets::default());
    assert_eq!(
        body_of(&refused),
        "{\"errors\":[{\"code\":\"A\",\"message\":\"REDACTED\",\"detail\":\"REDACTED\"}]}"
    );
    assert_eq!(refused.request.headers["authorization"], "Basic REDACTED");
}

#[test]
fn a_token_answer_that_cannot_be_read_is_hidden_whole() {
    for (status, body, expected) in [
        (200, "{\"access_token\":\"hunt", "REDACTED"),
        (200, "access_token is hunter2", "REDACTED"),
        (200, "", ""),
        (
            401,
            "{\"access_token\":\"hunter2\",\"access_token\":null}",
            "{\"access_token\":null}",
        ),
        (502, "<html>bad gateway</html>", "<html>bad gateway</html>"),
    ] {
        let answer = Response::builder().status(status);
        let mut token = exchanged(Request::get("/token"), "", answer, body);
        exchange(&mut token, &mut Secrets::default());
        assert_eq!(body_of(&token), expected, "{body}");
    }
}

#[test]
fn a_form_that_is_none_is_hidden_whole() {
    for (form, expected) in [
        ("{\"password\":\"hunt", "REDACTED"),
        (
            "{\"password\":\"hunter2\",\"a\":1}",
            "{\"password\":\"REDACTED\",\"a\":1}",
        ),
        ("service=r", "service=r"),
    ] {
        let request = Request::post("/oauth2/token");
        let mut token = exchanged(request, form, Response::builder(), "");
        exchange(&mut token, &mut Secrets::default());
        assert_eq!(form_of(&token), expected, "{form}");
    }
    let mut token = exchanged(Request::post("/oauth2/token"), "", Response::builder(), "");
    token.request.body = RecordedBody::Digest {
        digest: Some(acr_protocol::Digest::sha256(b"password=1234")),
        size: Some(13),
    };
    exchange(&mut token, &mut Secrets::default());
    assert_eq!(
        token.request.body.digest(),
        None,
        "it could be found by trying"
    );
}

#[test]
fn what_cannot_be_seen_into_is_hidden() {
    let form = "--x\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nhunter2\r\n--x--";
    let request = Request::post("/oauth2/token");
    let mut token = exchanged(request, form, Response::builder().status(401), "");
    exchange(&mut token, &mut Secrets::default());
    assert_eq!(form_of(&token), REDACTED);

    let answer = Response::builder()
        .status(400)
        .header("content-encoding", "gzip");
    let mut packed = exchanged(Request::get("/v2/"), "", answer, "packed");
    exchange(&mut packed, &mut Secrets::default());
    assert_eq!(body_of(&packed), REDACTED);
    assert!(packed.is_masked("response.body"));
}

#[test]
fn content_keeps_its_bytes_but_for_known_secrets() {
    let content = "{\"url\":\"https://h/?sig=abcdefgh\",\"token\":\"x\"}";
    for (status, expected) in [
        (StatusCode::OK, content),
        (
            StatusCode::BAD_REQUEST,
            "{\"url\":\"https://h/?sig=REDACTED\",\"token\":\"x\"}",
        ),
    ] {
        let response = Response::builder().status(status);
        let request = Request::get("/v2/a/manifests/token");
        let mut got = exchanged(request, "", response, content);
        exchange(&mut got, &mut Secrets::default());
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
    let answer = Response::builder().status(307).header("location", location);
    let mut known = Secrets::default();
    let mut redirect = exchanged(Request::get("/v2/a/blobs/x"), "", answer, &html);
    exchange(&mut redirect, &mut known);
    let response = redirect.outcome.as_ref().unwrap();
    let hidden = location.replace("a%2Bbcdef%3D", REDACTED);
    assert_eq!(response.headers["location"], hidden);
    assert!(!body_of(&redirect).contains("bcdef"));
    assert_eq!(redirect.mask, [""; 0], "placeholders tell what differs");

    let mut data = exchanged(Request::get(location), "", Response::builder(), "a+bcdef=");
    exchange(&mut data, &mut known);
    assert_eq!(data.request.query, "sv=2018-03-28&sig=REDACTED&sp=r");
    assert_eq!(body_of(&data), REDACTED);
}

#[test]
fn what_was_learned_later_is_taken_out_of_what_was_there_before() {
    let mut known_now = Secrets::default();
    let mut early = exchanged(Request::get("/x"), "", Response::builder(), "<hunter2>");
    exchange(&mut early, &mut known_now);
    assert_eq!(body_of(&early), "<hunter2>");
    known_now.learn("hunter2", REDACTED);
    known(&mut early, &known_now);
    assert_eq!(body_of(&early), "<REDACTED>");
}

#[test]
fn the_words_of_errors_are_cleaned_too() {
    let (parts, ()) = Request::get("/x").body(()).unwrap().into_parts();
    let message = "GET https://h/x?sig=abcdef failed: hunter2";
    let error = RecordedError::new(TransportErrorKind::Connect, message);
    let mut known = Secrets::default();
    known.learn("hunter2", REDACTED);
    let mut failed = RecordedExchange::with(RecordedRequest::of(&parts), Err(error.clone()));
    failed.request.end = BodyEnd::Broken(error);
    exchange(&mut failed, &mut known);
    let clean = "GET https://h/x?sig=REDACTED failed: REDACTED";
    assert_eq!(failed.outcome.unwrap_err().message, clean);
    assert!(matches!(failed.request.end, BodyEnd::Broken(error) if error.message == clean));
}
