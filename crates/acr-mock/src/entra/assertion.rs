//! What an application comes with in the place of a secret: a token that it has signed itself with the key of a certificate,
//! or one that somebody else has given it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::directory::{Application, OWN_ISSUER};
use super::refusal::Refusal;
use super::token::{self, Signer};
use super::wall_seconds;

/// By how much the clock of a client may be off, in seconds: as much as the service allows.
const SKEW: u64 = 300;

impl Application {
    /// Whether it may come in with this assertion.
    pub(super) fn check_assertion(&self, assertion: &str, signer: &Signer) -> Result<(), Refusal> {
        let (header, claims) = token::parts(assertion).ok_or_else(Refusal::malformed_assertion)?;
        let thumbprint = |name: &str| header[name].as_str();
        match (thumbprint("x5t"), thumbprint("x5t#S256")) {
            (None, None) => {
                self.check_federated(&claims)?;
                // Its issuer is known to everybody who has read the source.
                let is_own = claims["iss"] == OWN_ISSUER;
                if is_own && !signer.has_signed(assertion) {
                    return Err(Refusal::assertion_signature("The issuer has not signed it"));
                }
                Ok(())
            }
            (sha1, sha256) => self.check_signed(assertion, &header, &claims, sha1, sha256),
        }
    }

    fn check_signed(
        &self,
        assertion: &str,
        header: &Value,
        claims: &Value,
        sha1: Option<&str>,
        sha256: Option<&str>,
    ) -> Result<(), Refusal> {
        let mut certificates = self.certificates.iter();
        let certificate = certificates.find(|one| one.is_named(sha1, sha256));
        let Some(certificate) = certificate else {
            let named = sha256.or(sha1).unwrap_or("");
            let reason =
                format!("The key was not found., Thumbprint of key used by client: '{named}'");
            return Err(Refusal::assertion_signature(&reason));
        };
        let is_signed = assertion
            .rsplit_once('.')
            .is_some_and(|(signed, signature)| {
                let signature = URL_SAFE_NO_PAD.decode(signature.trim_end_matches('='));
                let algorithm = header["alg"].as_str().unwrap_or("");
                signature.is_ok_and(|signature| {
                    certificate.verifies(algorithm, signed.as_bytes(), &signature)
                })
            });
        if !is_signed {
            return Err(Refusal::assertion_signature(
                "The key was used, but the signature is not its own",
            ));
        }
        let is_own = |name: &str| {
            let claim = claims[name].as_str();
            claim.is_some_and(|claim| claim.eq_ignore_ascii_case(&self.client_id))
        };
        if !is_own("iss") || !is_own("sub") {
            return Err(Refusal::assertion_subject());
        }
        // By whatever name the client reaches this authority, the path names the tenant.
        let tenant = self.tenant.to_ascii_lowercase();
        let is_here = |audience: &str| {
            let audience = audience.trim_end_matches('/').to_ascii_lowercase();
            audience.ends_with(&format!("/{tenant}/oauth2/v2.0/token"))
                || audience.ends_with(&format!("/{tenant}/v2.0"))
        };
        if !audiences(claims).any(is_here) {
            return Err(Refusal::assertion_audience(
                &audiences(claims).collect::<Vec<_>>().join(", "),
            ));
        }
        if claims["exp"].is_null() {
            return Err(Refusal::assertion_time());
        }
        check_time(claims)
    }

    /// Who has signed it is not looked at: the keys of other issuers are not known here.
    fn check_federated(&self, claims: &Value) -> Result<(), Refusal> {
        let text = |name: &str| claims[name].as_str().unwrap_or("");
        let is_it = |issuer: &str, subject: &str, audience: &str| {
            text("iss") == issuer
                && text("sub") == subject
                && audiences(claims).any(|one| one == audience)
        };
        let mut known = self.federated.iter();
        if !known.any(|one| is_it(&one.issuer, &one.subject, &one.audience)) {
            let audience = audiences(claims).collect::<Vec<_>>().join(", ");
            return Err(Refusal::no_federated_identity(
                text("iss"),
                text("sub"),
                &audience,
            ));
        }
        check_time(claims)
    }
}

/// The client has written the times by its own clock, so the machine's is what they are held against.
fn check_time(claims: &Value) -> Result<(), Refusal> {
    let seconds = |name: &str| claims[name].as_f64();
    let now = wall_seconds();
    #[expect(clippy::cast_precision_loss, reason = "seconds of this age are exact")]
    let (early, late) = ((now.saturating_sub(SKEW)) as f64, (now + SKEW) as f64);
    let is_expired = seconds("exp").is_some_and(|end| end < early);
    let is_early = seconds("nbf").is_some_and(|start| start > late);
    match is_expired || is_early {
        true => Err(Refusal::assertion_time()),
        false => Ok(()),
    }
}

/// The claim `aud`: a text or a list of them.
fn audiences(claims: &Value) -> impl Iterator<Item = &str> {
    let one = claims["aud"].as_str();
    let many = claims["aud"].as_array().into_iter().flatten();
    one.into_iter().chain(many.filter_map(Value::as_str))
}
