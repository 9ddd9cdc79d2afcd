//! Tokens of three parts, and what stands in their place: of the same shape, without what opens a door.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::secrets::{REDACTED, Secrets};

/// What stands in the place of a token; of the same shape if it is a JWT.
///
/// Kept of the claims is what a client reads: how long the token lives, what it allows, and whether
/// it tells of attribute-based access control. Who it is for, its id and its signature are gone.
pub(super) fn stand_in(token: &str, secrets: &Secrets) -> String {
    let Some(claims) = claims(token) else {
        return REDACTED.to_owned();
    };
    let mut kept = Map::new();
    for (name, value) in claims {
        match name.as_str() {
            "exp" | "iat" | "nbf" if value.is_number() => kept.insert(name, value),
            "access" => kept.insert(name, value),
            "aad_identity" => kept.insert(name, REDACTED.into()),
            _ => continue,
        };
    }
    let payload = Value::Object(kept).to_string();
    let payload = secrets.replace_in_text(&payload).unwrap_or(payload);
    format!("{HEADER}.{}.{SIGNATURE}", URL_SAFE_NO_PAD.encode(payload))
}

/// The text with a stand-in for each token in it that has the shape of a JWT, if there is one. Of a text
/// that was cut off, the beginning of one at its end goes too.
pub(super) fn replace(text: &str, cut: bool, secrets: &mut Secrets) -> Option<String> {
    let mut cleaned = String::new();
    let mut at = 0;
    while let Some(found) = text[at..].find(BEGIN) {
        let start = at + found;
        let end = text[start..]
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
            .map_or(text.len(), |length| start + length);
        let token = &text[start..end];
        cleaned.push_str(&text[at..start]);
        at = end;
        if cut && end == text.len() {
            cleaned.push_str(REDACTED);
        } else if token.split('.').count() >= 3 && object(token.split('.').next()).is_some() {
            let stand_in = stand_in(token, secrets);
            secrets.learn(token, &stand_in);
            cleaned.push_str(&stand_in);
        } else {
            cleaned.push_str(token);
        }
    }
    cleaned.push_str(&text[at..]);
    (cleaned != text).then_some(cleaned)
}

fn claims(token: &str) -> Option<Map<String, Value>> {
    let mut parts = token.split('.');
    let (_, claims, _, None) = (parts.next()?, parts.next(), parts.next()?, parts.next()) else {
        return None;
    };
    object(claims)
}

fn object(part: Option<&str>) -> Option<Map<String, Value>> {
    let json = URL_SAFE_NO_PAD.decode(part?.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&json).ok()
}

/// How the base64 of a JSON object begins.
const BEGIN: &str = "eyJ";
/// `{"alg":"none"}`
const HEADER: &str = "eyJhbGciOiJub25lIn0";
/// `REDACTED`
const SIGNATURE: &str = "UkVEQUNURUQ";

#[cfg(test)]
mod tests {
    use acr_protocol::TokenClaims;
    use serde_json::json;

    use super::*;

    fn jwt(claims: &Value) -> String {
        let parts = [
            &json!({"alg": "RS256", "kid": "key-id"}),
            claims,
            &json!("s"),
        ];
        parts
            .map(|part| URL_SAFE_NO_PAD.encode(part.to_string()))
            .join(".")
    }

    fn full() -> Value {
        json!({
            "jti": "the-id", "sub": "the-subject", "appid": "the-app", "permissions": {"Actions": ["read"]},
            "nbf": 100, "exp": 200.5, "iat": 100, "aad_identity": "the-identity",
            "access": [{"Type": "repository", "Name": "a/b", "Actions": ["pull", "push"]}]
        })
    }

    #[test]
    fn a_stand_in_lives_as_long_and_allows_as_much_and_names_nobody() {
        let token = jwt(&full());
        let stand_in = stand_in(&token, &Secrets::default());
        assert_eq!(TokenClaims::read(&stand_in), TokenClaims::read(&token));
        let kept = object(stand_in.split('.').nth(1)).unwrap();
        let names: Vec<&str> = kept.keys().map(String::as_str).collect();
        assert_eq!(names, ["nbf", "exp", "iat", "aad_identity", "access"]);
        assert_eq!(kept["aad_identity"], REDACTED);
    }

    #[test]
    fn a_stand_in_is_its_own() {
        let once = stand_in(&jwt(&full()), &Secrets::default());
        assert_eq!(stand_in(&once, &Secrets::default()), once);
        assert_eq!(replace(&once, false, &mut Secrets::default()), None);
    }

    #[test]
    fn what_is_no_jwt_becomes_a_word() {
        for token in [
            "opaque",
            "",
            "a.b.c",
            "eyJ.eyJ.x",
            &jwt(&json!(7)),
            "a.b.c.d",
        ] {
            assert_eq!(stand_in(token, &Secrets::default()), REDACTED, "{token}");
        }
    }

    #[test]
    fn a_secret_among_the_claims_goes_too() {
        let mut secrets = Secrets::default();
        secrets.learn("hunter2", REDACTED);
        let token = jwt(&json!({"access": [{"Type": "hunter2", "Name": "a", "Actions": []}]}));
        let stand_in = stand_in(&token, &secrets);
        let kept = object(stand_in.split('.').nth(1)).unwrap();
        assert!(!Value::Object(kept).to_string().contains("hunter2"));
    }

    #[test]
    fn tokens_are_found_in_text_by_their_shape() {
        let token = jwt(&full());
        let mut secrets = Secrets::default();
        let text = format!("{{\"x\":\"{token}\",\"y\":\"eyJ.no.jwt\"}}");
        let cleaned = replace(&text, false, &mut secrets).unwrap();
        let expected = text.replace(&token, &stand_in(&token, &secrets));
        assert_eq!(cleaned, expected);
        assert!(secrets.replace_in_text(&token).is_some(), "it is known now");
        let five = format!("{token}.x.y");
        assert_eq!(replace(&five, false, &mut secrets).unwrap(), REDACTED);
        let cut = &token[..token.len() / 2];
        assert_eq!(replace(cut, true, &mut secrets).unwrap(), REDACTED);
        assert_eq!(replace(cut, false, &mut secrets), None);
    }
}
