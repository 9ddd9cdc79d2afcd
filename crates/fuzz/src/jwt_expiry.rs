use acr_protocol::{Timestamp, TokenClaims};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::check::through_text;

/// The life of a token: read off the bytes as a token, and as the payload of one. Times are those of the payload where
/// a calendar has them, and no right is read that cannot be written.
pub fn jwt_expiry(data: &[u8]) {
    let token = String::from_utf8_lossy(data);
    if let Some(claims) = TokenClaims::read(&token) {
        assert_eq!(token.matches('.').count(), 2, "a JWT has three parts");
        read(&claims, token.len());
    }
    let token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(data));
    let payload = serde_json::from_slice::<Value>(data).ok();
    let payload = payload.as_ref().and_then(Value::as_object);
    let claims = TokenClaims::read(&token);
    // Only an object holds claims, and every object may.
    assert_eq!(claims.is_some(), payload.is_some());
    let (Some(claims), Some(payload)) = (claims, payload) else {
        return;
    };
    read(&claims, token.len());
    assert_eq!(claims.is_abac, payload.contains_key("aad_identity"));
    for (name, time) in [("exp", claims.expires_at), ("iat", claims.issued_at)] {
        let wanted = payload.get(name);
        assert_eq!(time.is_some(), wanted.is_some_and(Value::is_number));
        // Beyond that a float cannot tell every second.
        let seconds = wanted.and_then(Value::as_i64);
        if let Some(seconds) = seconds.filter(|seconds| seconds.unsigned_abs() < 1 << 52) {
            assert_eq!(time, Some(Timestamp::new(seconds, 0)));
        }
    }
}

fn read(claims: &TokenClaims, length: usize) {
    for time in [claims.expires_at, claims.issued_at].into_iter().flatten() {
        through_text(&time);
        // The end of all times, which a later one is held to, is not a whole second.
        assert!(time.nanoseconds() == 0 || time == Timestamp::new(i64::MAX, 0));
    }
    through_text(&claims.access);
    let mut rights = 0;
    for scope in claims.access.iter() {
        through_text(&scope.clone());
        assert!(claims.access.covers(&scope.clone().into()));
        rights += 1;
    }
    assert!(rights <= length);
}
