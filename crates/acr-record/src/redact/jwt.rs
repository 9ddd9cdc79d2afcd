//! Replaces JWTs by unsigned ones with the same `exp`, `iat`, `nbf` and `access`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::REDACTED;

/// `{"alg":"none"}`
const HEADER: &str = "eyJhbGciOiJub25lIn0";
/// `REDACTED`
const SIGNATURE: &str = "UkVEQUNURUQ";

/// Returns a token that a client can use in a replay as long as the given one.
///
/// Of a JWT, the life and the access are kept, and whether it has the claim `aad_identity`. Any other
/// token becomes [`REDACTED`].
pub(super) fn stand_in(token: &str) -> String {
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
    let payload = URL_SAFE_NO_PAD.encode(Value::Object(kept).to_string());
    format!("{HEADER}.{payload}.{SIGNATURE}")
}

fn claims(token: &str) -> Option<Map<String, Value>> {
    let mut parts = token.split('.');
    let (_, claims, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    let json = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests {
    use acr_client::protocol::TokenClaims;
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

    #[test]
    fn a_stand_in_lives_as_long_and_allows_as_much_and_names_nobody() {
        let token = jwt(&json!({
            "jti": "the-id", "sub": "the-subject", "appid": "the-app", "permissions": {"Actions": ["read"]},
            "nbf": 100, "exp": 200.5, "iat": 100, "aad_identity": "the-identity",
            "access": [{"Type": "repository", "Name": "a/b", "Actions": ["pull", "push"]}]
        }));
        let once = stand_in(&token);
        assert_eq!(TokenClaims::read(&once), TokenClaims::read(&token));
        let kept = claims(&once).unwrap();
        let names: Vec<&str> = kept.keys().map(String::as_str).collect();
        assert_eq!(names, ["nbf", "exp", "iat", "aad_identity", "access"]);
        assert_eq!(kept["aad_identity"], REDACTED);
        assert_eq!(stand_in(&once), once);
    }

    #[test]
    fn a_token_that_is_not_a_jwt_becomes_the_placeholder() {
        for token in [
            "opaque",
            "",
            "a.b.c",
            "eyJ.eyJ.x",
            &jwt(&json!(7)),
            "a.b.c.d",
        ] {
            assert_eq!(stand_in(token), REDACTED, "{token}");
        }
    }
}
