//! The tokens: JWTs under a key of this authority, ES256, which nobody but the registry checks.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use serde_json::{Value, json};

/// The key, made when the first token is.
#[derive(Debug, Default)]
pub(super) struct Signer(OnceLock<Key>);

#[derive(Debug)]
struct Key {
    pair: EcdsaKeyPair,
    id: String,
    random: SystemRandom,
}

/// What the registry reads in a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claims {
    pub(super) audience: String,
    pub(super) tenant: String,
    /// The id of the principal.
    pub(super) subject: String,
    /// Seconds since the epoch, by the registry's clock.
    pub(super) expires: i64,
}

/// What a token is to this authority.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    Own(Claims),
    /// It names this authority's key, and was not signed with it.
    Forged,
    Foreign,
}

impl Key {
    /// The claims that it has signed.
    fn verify(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.pair.public_key().as_ref())
            .verify(signed.as_bytes(), &signature)
            .ok()?;
        Some(parts(signed)?.1)
    }
}

impl Claims {
    fn of(claims: &Value) -> Option<Self> {
        let text = |name: &str| claims[name].as_str().map(str::to_owned);
        Some(Self {
            audience: text("aud")?,
            tenant: text("tid")?,
            subject: text("oid")?,
            expires: claims["exp"].as_i64()?,
        })
    }
}

impl Signer {
    fn key(&self) -> &Key {
        self.0.get_or_init(|| {
            let random = SystemRandom::new();
            let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
            // As for the registry's own key: without randomness from the system nothing would be safe.
            let pair = EcdsaKeyPair::generate_pkcs8(algorithm, &random)
                .map_err(|_| "no random bytes")
                .and_then(|key| {
                    EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random)
                        .map_err(|_| "not the key that was made")
                })
                .expect("the system gives random bytes");
            let id =
                acr_protocol::Digest::sha256(pair.public_key().as_ref()).hex()[..27].to_owned();
            Key { pair, id, random }
        })
    }

    /// Signs these claims.
    pub(super) fn sign(&self, claims: &Value) -> String {
        let key = self.key();
        let header = json!({ "typ": "JWT", "alg": "ES256", "kid": key.id });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let signature = key.pair.sign(&key.random, signed.as_bytes());
        let signature = signature.expect("the system gives random bytes");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// What is in a token that names this key.
    pub(super) fn read(&self, token: &str) -> Read {
        let names_key =
            |key: &Key| parts(token).is_some_and(|(header, _)| header["kid"] == *key.id);
        // Without a key no token was made.
        let Some(key) = self.0.get().filter(|key| names_key(key)) else {
            return Read::Foreign;
        };
        let claims = key.verify(token).and_then(|claims| Claims::of(&claims));
        claims.map_or(Read::Forged, Read::Own)
    }

    /// Whether this key has signed a token, whatever is in it.
    pub(super) fn has_signed(&self, token: &str) -> bool {
        self.0.get().is_some_and(|key| key.verify(token).is_some())
    }

    /// The public key, as `jwks_uri` has it.
    pub(super) fn jwks(&self) -> Value {
        let key = self.key();
        // An uncompressed point: 4, x, y.
        let point = key.pair.public_key().as_ref();
        let coordinate = |from: usize| URL_SAFE_NO_PAD.encode(&point[from..from + 32]);
        json!({ "keys": [{
            "kty": "EC", "use": "sig", "alg": "ES256", "kid": key.id, "crv": "P-256",
            "x": coordinate(1), "y": coordinate(33)
        }] })
    }
}

/// The header and the claims of a JWT, whoever has signed it.
pub(super) fn parts(token: &str) -> Option<(Value, Value)> {
    let mut parts = token.split('.');
    let mut read = || {
        let json = URL_SAFE_NO_PAD
            .decode(parts.next()?.trim_end_matches('='))
            .ok()?;
        serde_json::from_slice(&json).ok()
    };
    Some((read()?, read()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Value {
        json!({ "aud": "a", "tid": "t", "oid": "o", "exp": 7 })
    }

    #[test]
    fn a_token_is_read_by_the_authority_that_made_it_and_by_no_other() {
        let (one, other) = (Signer::default(), Signer::default());
        let token = one.sign(&claims());
        assert!(matches!(one.read(&token), Read::Own(claims) if claims.expires == 7));
        assert_eq!(other.read(&token), Read::Foreign);
        other.sign(&claims());
        assert_eq!(other.read(&token), Read::Foreign);
    }

    #[test]
    fn a_token_that_was_changed_holds_no_more() {
        let signer = Signer::default();
        let token = signer.sign(&claims());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, _) = signed.split_once('.').unwrap();
        let mut raised = claims();
        raised["exp"] = 8.into();
        let raised = URL_SAFE_NO_PAD.encode(raised.to_string());
        for forged in [
            format!("{header}.{raised}.{signature}"),
            format!("{header}.{raised}."),
            format!("{signed}."),
            signed.to_owned(),
        ] {
            assert_eq!(signer.read(&forged), Read::Forged, "{forged}");
        }
        for foreign in ["opaque", "", "..", "a.b.c", "e30.e30.e30"] {
            assert_eq!(signer.read(foreign), Read::Foreign, "{foreign}");
        }
    }

    #[test]
    fn the_public_key_is_that_of_the_tokens() {
        let signer = Signer::default();
        let token = signer.sign(&claims());
        let header = parts(&token).unwrap().0;
        let key = &signer.jwks()["keys"][0];
        assert_eq!(header["kid"], key["kid"]);
        let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
        let point = [vec![4], coordinate("x"), coordinate("y")].concat();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(
                signed.as_bytes(),
                &URL_SAFE_NO_PAD.decode(signature).unwrap(),
            )
            .unwrap();
    }
}
