use serde_json::json;

use super::*;

#[track_caller]
fn hides(name: &'static str, value: &'static str, expected: &str) -> Secrets {
    let mut secrets = Secrets::default();
    let value = HeaderValue::from_static(value);
    let hidden = header(&HeaderName::from_static(name), &value, &mut secrets);
    assert_eq!(hidden.unwrap(), expected, "{name}");
    secrets
}

#[test]
fn headers_of_credentials_are_hidden_and_known() {
    for (name, value, hidden, secret) in [
        (
            "authorization",
            "Bearer hunter22",
            "Bearer REDACTED",
            "hunter22",
        ),
        (
            "authorization",
            "Basic dTpodW50ZXIyMg==",
            "Basic REDACTED",
            "hunter22",
        ),
        ("authorization", "hunter22", "REDACTED", "hunter22"),
        (
            "proxy-authorization",
            "Negotiate hunter22",
            "Negotiate REDACTED",
            "hunter22",
        ),
        ("cookie", "a=hunter21; b=hunter22", "REDACTED", "hunter22"),
        (
            "set-cookie",
            "a=\"hunter22\"; Path=/; Secure",
            "REDACTED",
            "hunter22",
        ),
        (
            "x-ms-token-aad-access-token",
            "hunter22",
            "REDACTED",
            "hunter22",
        ),
        (
            "x-ms-authorization-auxiliary",
            "Bearer hunter22",
            "REDACTED",
            "Bearer hunter22",
        ),
    ] {
        let secrets = hides(name, value, hidden);
        assert!(secrets.replace_in_text(secret).is_some(), "{name}");
    }
    let secrets = hides("set-cookie", "a=b; Path=/somewhere; Secure", "REDACTED");
    assert_eq!(secrets.replace_in_text("/somewhere"), None);
    let mut value = HeaderValue::from_static("x");
    value.set_sensitive(true);
    let name = HeaderName::from_static("x-any");
    assert!(header(&name, &value, &mut Secrets::default()).is_some());
}

#[test]
fn other_headers_stay() {
    for name in [
        "www-authenticate",
        "location",
        "x-ms-correlation-request-id",
        "access-control-expose-headers",
        "access-control-allow-credentials",
        "docker-content-digest",
    ] {
        let value = HeaderValue::from_static("x");
        let name = HeaderName::from_static(name);
        assert_eq!(
            header(&name, &value, &mut Secrets::default()),
            None,
            "{name}"
        );
    }
}

#[test]
fn secrets_of_forms_and_queries_are_hidden_and_the_rest_stays_to_the_letter() {
    let mut secrets = Secrets::default();
    let form = "grant_type=password&service=r&passw%6Frd=hun+ter%2F2&username=u&token=&x";
    assert_eq!(
        pairs(form, &mut secrets).unwrap(),
        "grant_type=password&service=r&passw%6Frd=REDACTED&username=u&token=&x"
    );
    for form in ["hun ter/2", "hun+ter/2", "hun%2Bter%2F2"] {
        assert!(secrets.replace_in_text(form).is_some(), "{form}");
    }
    assert_eq!(pairs("a=b&sig=REDACTED", &mut secrets), None);
}

#[test]
fn signatures_are_hidden_wherever_a_url_stands() {
    for (before, after) in [
        (
            "https://h/x?sv=1&sig=a%2Bb%3D&sp=r",
            "https://h/x?sv=1&sig=REDACTED&sp=r",
        ),
        (
            "<a href=\"https://h/x?se=1&amp;sig=ab&amp;sp=r\">x</a>",
            "<a href=\"https://h/x?se=1&amp;sig=REDACTED&amp;sp=r\">x</a>",
        ),
        (
            "{\"u\":\"h?a\\u0026sig=ab\"}",
            "{\"u\":\"h?a\\u0026sig=REDACTED\"}",
        ),
        (
            "bad password=hunter2, sorry",
            "bad password=REDACTED, sorry",
        ),
        ("https://u:hunter2@h/x", "https://REDACTED@h/x"),
    ] {
        let mut secrets = Secrets::default();
        let cleaned = text(before, false, &mut secrets);
        assert_eq!(cleaned.as_deref(), Some(after));
        assert_eq!(text(after, false, &mut secrets), None);
    }
    for plain in [
        "design=1",
        "Bearer realm=\"https://h/\",service=\"r\"",
        "a://b",
        "=",
    ] {
        assert_eq!(text(plain, false, &mut Secrets::default()), None, "{plain}");
    }
}

#[test]
fn members_of_json_with_a_telling_name_are_hidden() {
    let mut secrets = Secrets::default();
    let mut value = json!({
        "access_token": "hunter2", "deep": [{"Password": 12345, "n": 1}], "id_token": ["x", null], "a": "b"
    });
    assert!(json(&mut value, &mut secrets));
    let hidden = json!({
        "access_token": "REDACTED", "deep": [{"Password": "REDACTED", "n": 1}],
        "id_token": ["REDACTED", null], "a": "b"
    });
    assert_eq!(value, hidden);
    assert!(!json(&mut value, &mut secrets));
    assert!(secrets.replace_in_text("hunter2 12345").is_some());
}

#[test]
fn the_password_in_a_url_is_known() {
    let mut secrets = Secrets::default();
    user_of(&Uri::from_static("https://u:hunt%65r2@h/x"), &mut secrets);
    assert!(secrets.replace_in_text("hunter2").is_some());
}
