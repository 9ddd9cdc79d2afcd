use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use acr_client::auth::{Secret, TokenProvider, TokenRequest, TokenSource};
use acr_client::{Credential, ErrorKind};
use acr_mock::{Fault, FaultResponse, Registry};

use crate::regressions::support::Scene;

/// A source that has nothing, like a machine where nobody has signed in.
#[derive(Debug)]
struct SignedOut;

#[acr_client::async_trait]
impl TokenSource for SignedOut {
    async fn token(
        &self,
        _: &acr_client::auth::Audience,
    ) -> Result<Secret, Box<dyn StdError + Send + Sync>> {
        Err("nobody is signed in; run `az login`".into())
    }
}

/// A provider that has the registry's own tokens.
#[derive(Debug, Clone)]
struct Vault {
    registry: Registry,
    asked: Arc<AtomicU32>,
}

#[acr_client::async_trait]
impl TokenProvider for Vault {
    async fn access_token(
        &self,
        request: &TokenRequest,
    ) -> Result<Secret, Box<dyn StdError + Send + Sync>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        assert_eq!(request.registry, crate::regressions::support::HOST);
        Ok(self
            .registry
            .access_token(&request.scope.to_string())?
            .into())
    }
}

/// What was read from a file as it is.
#[derive(Debug)]
struct OfAFile;

#[acr_client::async_trait]
impl TokenSource for OfAFile {
    async fn token(
        &self,
        _: &acr_client::auth::Audience,
    ) -> Result<Secret, Box<dyn StdError + Send + Sync>> {
        Ok("hunter2\n".into())
    }
}

#[acr_client::async_trait]
impl TokenProvider for OfAFile {
    async fn access_token(
        &self,
        _: &TokenRequest,
    ) -> Result<Secret, Box<dyn StdError + Send + Sync>> {
        Ok("hunter2\n".into())
    }
}

#[test]
fn a_token_with_the_line_break_of_its_file_is_refused_with_a_hint_and_not_shown() {
    let support = Scene::new();
    for credential in [
        Credential::entra(OfAFile),
        Credential::entra_token("hunter2\n"),
        Credential::token_provider(OfAFile),
    ] {
        let client = support.client(credential);
        let error = support.drive(client.repository_client("app").unwrap().get_manifest("v1"));
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        let text = format!("{error} {error:?}");
        assert!(text.contains("trim") && !text.contains("hunter2"), "{text}");
        assert!(!support.paths().iter().any(|path| path.starts_with("POST")));
    }
}

#[test]
fn every_kind_of_credential_works_and_not_entra_alone() {
    let support = Scene::with(|builder| {
        let rights = "repository:app:pull,metadata_read".parse().unwrap();
        builder
            .anonymous_pull(true)
            .scoped_user("scoped", "hunter2", rights)
    });
    support.seed("app").image("v1").unwrap();
    let refresh_token = support.registry.refresh_token("any").unwrap();
    let vault = Vault {
        registry: support.registry.clone(),
        asked: Arc::default(),
    };
    for credential in [
        Credential::entra_token("any"),
        Credential::password("ci", "hunter2"),
        Credential::password("scoped", "hunter2"),
        Credential::password(
            "00000000-0000-0000-0000-000000000000",
            refresh_token.as_str(),
        ),
        Credential::refresh_token(refresh_token),
        Credential::anonymous(),
        Credential::token_provider(vault),
    ] {
        let shown = format!("{credential:?}");
        let client = support.client(credential);
        let app = client.repository_client("app").unwrap();
        support.drive(async {
            app.get_manifest("v1").await.unwrap();
            let tag = app.get_tag_properties("v1").await;
            tag.unwrap_or_else(|error| panic!("{shown}: {error}"));
        });
    }
}

#[test]
fn a_provider_is_asked_once_for_a_scope_and_again_when_its_token_is_refused() {
    let support = Scene::new();
    support.seed("app").image("v1").unwrap();
    let vault = Vault {
        registry: support.registry.clone(),
        asked: Arc::default(),
    };
    let client = support.client(Credential::token_provider(vault.clone()));
    let app = client.repository_client("app").unwrap();
    support.drive(async {
        for _ in 0..3 {
            app.get_tag_properties("v1").await.unwrap();
        }
        assert_eq!(vault.asked.load(Ordering::Relaxed), 1);
        support.registry.revoke_access_tokens();
        app.get_tag_properties("v1").await.unwrap();
        assert_eq!(vault.asked.load(Ordering::Relaxed), 2);
    });
    assert!(support.paths().iter().all(|path| !path.contains("oauth2")));
}

#[test]
fn public_content_is_read_where_nobody_has_signed_in() {
    let support = Scene::with(|builder| builder.anonymous_pull(true).refuse_entra_tokens());
    support.seed("app").image("v1").unwrap();
    for first in [
        Credential::entra(SignedOut),
        // An identity that the registry does not know.
        Credential::entra_token("of another tenant"),
        Credential::password("ci", "an old password"),
    ] {
        let client = support.client(first.or(Credential::anonymous()));
        let app = client.repository_client("app").unwrap();
        support.drive(async {
            for _ in 0..3 {
                app.get_manifest("v1").await.unwrap();
            }
        });
    }
}

#[test]
fn without_being_told_to_nobody_goes_on_anonymously() {
    let support = Scene::with(|builder| builder.anonymous_pull(true));
    support.seed("app").image("v1").unwrap();
    let client = support.client(Credential::entra(SignedOut));
    let app = client.repository_client("app").unwrap();
    let error = support.drive(app.get_manifest("v1")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credential, "{error}");
    let cause = error.source().unwrap().to_string();
    assert!(cause.contains("az login"), "{cause}");
}

#[test]
fn a_chain_that_ends_says_what_became_of_each_link() {
    let support = Scene::new();
    support.seed("app").image("v1").unwrap();
    let chain = Credential::chain([
        Credential::entra(SignedOut),
        Credential::password("ci", "wrong-hunter3"),
        Credential::anonymous(),
    ]);
    let app = support.client(chain).repository_client("app").unwrap();
    let error = support.drive(app.get_manifest("v1")).unwrap_err();
    let text = error.to_string();
    for word in ["the Entra token", "the password", "anonymous access"] {
        assert!(text.contains(word), "{text}");
    }
    assert!(!format!("{error:?}").contains("hunter3"), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
}

#[test]
fn a_server_that_fails_does_not_make_an_identity_anonymous() {
    let support = Scene::with(|builder| builder.anonymous_pull(true));
    support.seed("app").image("v1").unwrap();
    let down = Fault::on("exchange_entra_token").then(FaultResponse::service_unavailable());
    support.registry.inject(down).unwrap();
    let chain = Credential::entra_token("any").or(Credential::anonymous());
    let app = support.client(chain).repository_client("app").unwrap();
    let error = support.drive(app.get_manifest("v1")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Registry, "{error}");
    assert_eq!(support.count("request_access_token"), 0);
}

#[test]
fn a_missing_right_is_no_reason_to_become_somebody_else() {
    let support = Scene::with(|builder| {
        let rights = "repository:app:pull".parse().unwrap();
        builder.scoped_user("scoped", "hunter2", rights)
    });
    support.seed("app").image("v1").unwrap();
    let chain = Credential::password("scoped", "hunter2").or(Credential::password("ci", "hunter2"));
    let app = support.client(chain).repository_client("app").unwrap();
    let error = support.drive(app.delete_tag("v1")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
}

#[test]
fn the_link_of_a_chain_that_works_is_stayed_with_until_it_works_no_more() {
    let support = Scene::with(|builder| builder.anonymous_pull(true));
    support.seed("app").image("v1").unwrap();
    let chain = Credential::entra_token("any").or(Credential::anonymous());
    let client = support.client(chain);
    let app = client.repository_client("app").unwrap();
    support.drive(async {
        app.get_manifest("v1").await.unwrap();
        let refused = Fault::on("exchange_entra_token").then(FaultResponse::denied());
        let refused = support.registry.inject(refused).unwrap();
        support.registry.revoke_refresh_tokens();
        support.registry.revoke_access_tokens();
        app.get_manifest("v1").await.unwrap();
        refused.remove();
        support.registry.reset_requests();
        app.get_manifest("v1").await.unwrap();
        assert_eq!(support.registry.requests().total(), 1, "anonymous by now");
    });
}

#[test]
fn one_bad_moment_does_not_make_a_whole_job_anonymous() {
    let support = Scene::with(|builder| builder.anonymous_pull(true));
    support.seed("app").image("v1").unwrap();
    let chain = Credential::entra_token("any").or(Credential::anonymous());
    let app = support.client(chain).repository_client("app").unwrap();
    let refused = Fault::on("exchange_entra_token").then(FaultResponse::denied());
    let refused = support.registry.inject(refused).unwrap();
    support.drive(async {
        app.get_manifest("v1").await.unwrap();
        let error = app.delete_tag("v1").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        refused.remove();
        support.clock.advance(std::time::Duration::from_secs(301));
        assert!(app.delete_tag("v1").await.unwrap());
    });
}

#[test]
fn a_firewall_is_told_apart_from_a_wrong_password() {
    let support = Scene::with(|builder| builder.firewall([]));
    let app = support.owner().repository_client("app").unwrap();
    let error = support.drive(app.get_manifest("v1")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("client with IP"), "{error}");
}
