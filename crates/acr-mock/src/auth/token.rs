use acr_protocol::{Action, Scope, ScopeSet, Timestamp, TokenClaims};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::auth::identity::ANONYMOUS;
use crate::auth::verified::{Access, Verified};
use crate::random::Ids;

/// Makes and reads the registry's tokens.
///
/// They have the shape of the service's JWTs, and need no state: everything is in the claims, under an HMAC of the
/// registry's key in the place of the service's RSA signature (which no client checks).
#[derive(Debug)]
pub(crate) struct Tokens {
    key: SigningKey,
    key_id: String,
    /// How often tokens of each kind were revoked. It goes into their signatures, so that those from before do not hold.
    generations: [AtomicU64; 2],
    verified: Mutex<Verified>,
    ids: Arc<Ids>,
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Access,
    Refresh,
}

impl TokenKind {
    /// The value of the claim `grant_type`.
    fn grant(self) -> &'static str {
        match self {
            Self::Access => "access_token",
            Self::Refresh => "refresh_token",
        }
    }
}

/// What a new refresh token is to say.
pub(crate) struct RefreshToken<'a> {
    pub(crate) audience: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) now: Timestamp,
    pub(crate) life: Duration,
    /// Whether it is for a registry whose permissions go by repository.
    pub(crate) abac: bool,
}

/// What a new access token is to say.
pub(crate) struct AccessToken<'a> {
    pub(crate) audience: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) scopes: &'a ScopeSet,
    pub(crate) now: Timestamp,
    pub(crate) life: Duration,
}

impl Tokens {
    pub(crate) fn new(key: SigningKey, ids: Arc<Ids>) -> Self {
        // Shape of the service's key ids: twelve groups of four letters of base32.
        let digest = key.sign("key id", b"");
        let letter = |at: u8| {
            let byte = digest[usize::from(at) % digest.len()].wrapping_add(at);
            char::from(BASE32[usize::from(byte & 31)])
        };
        let group = |group: u8| (group * 4..group * 4 + 4).map(letter).collect::<String>();
        let groups: Vec<String> = (0..12).map(group).collect();
        Self {
            key_id: groups.join(":"),
            key,
            generations: Default::default(),
            verified: Mutex::default(),
            ids,
        }
    }

    /// Refuses all tokens of this kind that were made so far.
    pub(crate) fn revoke(&self, kind: TokenKind) {
        self.generation(kind).fetch_add(1, Ordering::Relaxed);
        if kind == TokenKind::Access {
            self.verified().clear();
        }
    }

    fn verified(&self) -> MutexGuard<'_, Verified> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn generation(&self, kind: TokenKind) -> &AtomicU64 {
        &self.generations[kind as usize]
    }

    /// What a token of this kind is signed for: the generation is in here.
    fn purpose(&self, kind: TokenKind) -> String {
        purpose(kind, self.generation(kind).load(Ordering::Relaxed))
    }

    /// A refresh token of this subject.
    pub(crate) fn refresh(&self, token: &RefreshToken<'_>) -> String {
        let issued = token.now.seconds();
        let mut claims = json!({
            "jti": self.ids.next().to_string(), "sub": token.subject, "nbf": issued, "exp": (token.now + token.life).seconds(),
            "iat": issued, "iss": ISSUER, "aud": token.audience, "version": "1.0", "rid": self.registry_id(), "grant_type": TokenKind::Refresh.grant(),
            "appid": APP_ID,
            "permissions": { "Actions": ["read", "write", "delete", "deleted/read", "deleted/restore/action"], "NotActions": null },
            "roles": []
        });
        if token.abac {
            claims["aad_identity"] = token.subject.into();
        }
        self.sign(TokenKind::Refresh, &claims)
    }

    pub(crate) fn access(&self, token: &AccessToken<'_>) -> String {
        let issued = token.now.seconds();
        self.sign(TokenKind::Access, &json!({
            "jti": self.ids.next().to_string(), "sub": token.subject, "nbf": issued, "exp": (token.now + token.life).seconds(),
            "iat": issued, "iss": ISSUER, "aud": token.audience, "version": "2.0", "rid": self.registry_id(),
            "access": access_claim(token.scopes), "roles": [], "grant_type": TokenKind::Access.grant(), "appid": APP_ID
        }))
    }

    /// An anonymous token. The service shares and caches these: it lives 20 minutes, but was made about a quarter of an
    /// hour before it is handed out, and the same one, byte for byte, goes to all who ask within a while.
    pub(crate) fn anonymous(&self, audience: &str, wanted: &ScopeSet, now: Timestamp) -> String {
        let issued = now.seconds() - now.seconds().rem_euclid(60) - 900;
        // Whatever repository was asked for, the claim says pull on all; the catalogue it names as it is.
        let scopes: ScopeSet = wanted
            .iter()
            .filter_map(|scope| match scope.resource_type() {
                "repository" => Scope::new("repository", "*", [Action::PULL]).ok(),
                _ => (scope == Scope::catalog()).then_some(scope),
            })
            .collect();
        let access = access_claim(&scopes);
        let id = self.key.sign(
            "anonymous token",
            format!(
                "{audience} {issued} {access} {}",
                self.purpose(TokenKind::Access)
            )
            .as_bytes(),
        );
        let id =
            uuid::Builder::from_random_bytes(id[..16].try_into().unwrap_or_default()).into_uuid();
        self.sign(TokenKind::Access, &json!({
            "jti": id.to_string(), "sub": ANONYMOUS, "nbf": issued, "exp": issued + 1200, "iat": issued, "iss": ISSUER, "aud": audience,
            "version": "1.0", "rid": self.registry_id(), "access": access, "roles": [], "grant_type": TokenKind::Access.grant()
        }))
    }

    /// What an access token allows. None where it is not this registry's, is of another kind, was tampered with, or is
    /// past its life.
    pub(crate) fn read_access(&self, token: &str, now: Timestamp) -> Option<Arc<Access>> {
        let generation = self.generation(TokenKind::Access).load(Ordering::Relaxed);
        if let Some(access) = self.verified().get(token, generation, now) {
            return Some(access);
        }
        let claims = self.verify(token, TokenKind::Access, generation, now)?;
        let scopes = TokenClaims::read(token)?.access;
        let end = Timestamp::new(claims["exp"].as_i64()?, 0);
        let access = Arc::new(Access::new(scopes, claims["sub"] == ANONYMOUS, end));
        self.verified().keep(token, generation, now, &access);
        Some(access)
    }

    /// The subject of a refresh token; none as above.
    pub(crate) fn read_refresh(&self, token: &str, now: Timestamp) -> Option<String> {
        let generation = self.generation(TokenKind::Refresh).load(Ordering::Relaxed);
        let claims = self.verify(token, TokenKind::Refresh, generation, now)?;
        claims["sub"].as_str().map(str::to_owned)
    }

    fn verify(
        &self,
        token: &str,
        kind: TokenKind,
        generation: u64,
        now: Timestamp,
    ) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let purpose = purpose(kind, generation);
        if !self.key.verify(&purpose, signed.as_bytes(), &signature) {
            return None;
        }
        let (_, payload) = signed.split_once('.')?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let claims: Value = serde_json::from_slice(&payload).ok()?;
        let is_alive = now < Timestamp::new(claims["exp"].as_i64()?, 0);
        (is_alive && claims["grant_type"] == kind.grant()).then_some(claims)
    }

    fn sign(&self, kind: TokenKind, claims: &Value) -> String {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.key_id });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(plain_ascii(&value.to_string()));
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let signature = self.key.sign(&self.purpose(kind), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn registry_id(&self) -> String {
        hex::encode(&self.key.sign("registry id", b"")[..16])
    }
}

const ISSUER: &str = "Azure Container Registry";
const APP_ID: &str = "00000000-0000-0000-0000-000000000000";
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn purpose(kind: TokenKind, generation: u64) -> String {
    format!("{} {generation}", kind.grant())
}

fn access_claim(scopes: &ScopeSet) -> Value {
    let entry = |scope: Scope| json!({ "Type": scope.resource_type(), "Name": scope.name(), "Actions": scope.actions().collect::<Vec<_>>() });
    Value::Array(scopes.iter().map(entry).collect())
}

/// Escapes what would put `-` or `_` into base64url, and what is not ASCII: three of the official SDKs decode a token's
/// payload with the standard alphabet and fail on either. These characters stand only within strings.
fn plain_ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() && !matches!(c, '>' | '?' | '~' | '\u{7f}') {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _infallible = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

/// The key under which a registry signs tokens, upload states and data URLs. Random, and gone with the registry.
#[derive(Clone)]
pub(crate) struct SigningKey([u8; 32]);

impl SigningKey {
    pub(crate) fn random() -> Self {
        let mut key = [0; 32];
        // Without randomness from the system no key is safe, and nothing of the registry would be.
        getrandom::fill(&mut key).expect("the system gives random bytes");
        Self(key)
    }

    /// The signature over a message that is used for this purpose only.
    pub(crate) fn sign(&self, purpose: &str, message: &[u8]) -> [u8; 32] {
        self.mac(purpose, message).finalize().into_bytes().into()
    }

    /// Whether the signature is that of the message; compared in constant time.
    pub(crate) fn verify(&self, purpose: &str, message: &[u8], signature: &[u8]) -> bool {
        self.mac(purpose, message).verify_slice(signature).is_ok()
    }

    fn mac(&self, purpose: &str, message: &[u8]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of every length");
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(message);
        mac
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn tokens() -> Tokens {
        Tokens::new(SigningKey::random(), Arc::new(Ids::random()))
    }

    fn set(text: &str) -> ScopeSet {
        text.parse().unwrap()
    }

    fn access(tokens: &Tokens, scopes: &str) -> String {
        let now = Timestamp::new(NOW, 0);
        tokens.access(&AccessToken {
            audience: "r",
            subject: "s",
            scopes: &set(scopes),
            now,
            life: Duration::from_secs(10),
        })
    }

    #[test]
    fn a_token_lives_until_its_end_and_no_longer() {
        let tokens = tokens();
        let token = access(&tokens, "repository:a:pull");
        assert!(
            tokens
                .read_access(&token, Timestamp::new(NOW + 9, 999_999_999))
                .unwrap()
                .covers(&set("repository:a:pull"))
        );
        assert!(
            tokens
                .read_access(&token, Timestamp::new(NOW + 10, 0))
                .is_none()
        );
    }

    #[test]
    fn forged_foreign_and_exchanged_tokens_are_refused() {
        let tokens = tokens();
        let now = Timestamp::new(NOW, 0);
        let token = access(&tokens, "repository:a:pull");
        assert!(
            self::tokens().read_access(&token, now).is_none(),
            "another registry's"
        );
        assert!(
            tokens.read_refresh(&token, now).is_none(),
            "of the other kind"
        );
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let other = access(&tokens, "repository:a:push");
        let forged = format!("{}.{signature}", other.rsplit_once('.').unwrap().0);
        for token in [
            "",
            "x",
            "a.b.c",
            signed,
            &forged,
            &format!("{signed}."),
            &format!("{token}x"),
        ] {
            assert!(tokens.read_access(token, now).is_none(), "{token}");
        }
    }

    #[test]
    fn no_payload_holds_what_the_standard_alphabet_lacks() {
        let tokens = tokens();
        for subject in ["a?b>c~d", "ä€😀", "\u{7f}\"\\"] {
            let token = tokens.refresh(&RefreshToken {
                audience: "r?~>",
                subject,
                now: Timestamp::new(NOW, 0),
                life: Duration::from_secs(10),
                abac: true,
            });
            let payload = token.split('.').nth(1).unwrap();
            assert!(!payload.contains(['-', '_']), "{payload}");
            assert_eq!(
                tokens.read_refresh(&token, Timestamp::new(NOW, 0)).unwrap(),
                subject
            );
        }
    }

    #[test]
    fn an_anonymous_token_is_shared_old_and_reads_properties_too() {
        let tokens = tokens();
        let now = Timestamp::new(NOW, 0);
        let token = tokens.anonymous("r", &set("repository:a:metadata_write"), now);
        assert_eq!(token, tokens.anonymous("r", &set("repository:b:pull"), now));
        let claims = TokenClaims::read(&token).unwrap();
        assert_eq!(claims.access, set("repository:*:pull"));
        let left = claims
            .expires_at
            .unwrap()
            .saturating_duration_since(now)
            .as_secs();
        assert!((200..=300).contains(&left), "{left}");
        let access = tokens.read_access(&token, now).unwrap();
        assert!(
            access.covers(&set("repository:a:pull,metadata_read"))
                && !access.covers(&set("repository:a:metadata_write"))
        );
        assert!(!access.covers(&set("registry:catalog:*")));
        let catalog = tokens.anonymous("r", &set("registry:catalog:*"), now);
        let access = tokens.read_access(&catalog, now).unwrap();
        assert!(
            access.covers(&set("registry:catalog:*")) && !access.covers(&set("repository:a:pull"))
        );
    }

    #[test]
    fn the_key_id_has_the_service_s_shape() {
        let key_id = tokens().key_id;
        let groups: Vec<_> = key_id.split(':').collect();
        assert_eq!(groups.len(), 12);
        assert!(
            groups
                .iter()
                .all(|group| group.len() == 4 && group.bytes().all(|b| BASE32.contains(&b)))
        );
    }
}
