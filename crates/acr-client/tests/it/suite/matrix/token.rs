//! The operations that fetch tokens: they have no token of their own, so their situations differ.

use acr_client::{Credential, ErrorKind};
use acr_mock::RegistryBuilder;

use super::world::{APP, Expected, Plain, World};
use crate::suite::backend::HOST;

pub(super) const OPERATIONS: [&str; 3] = [
    "exchange_entra_token",
    "request_access_token",
    "request_access_token_with_login",
];

/// A fetch of a token in each situation. A token is granted whatever is locked: locks are met at use.
struct Case {
    /// What a registry needs for it.
    registry: fn(RegistryBuilder) -> RegistryBuilder,
    credential: Credential,
    /// The plain request for pulls of a repository, without credentials.
    request: fn(repository: &str) -> Plain,
    /// The member of the response that holds the token.
    member: &'static str,
    /// The client's requests where all goes well.
    requests: &'static [&'static str],
    /// A request and a credential without what a token is made of, and what the client makes of it.
    bare: (Plain, Credential, ErrorKind),
}

fn exchange_entra_token() -> Case {
    Case {
        registry: |builder| builder,
        credential: Credential::entra_token("of an owner"),
        request: |_| exchange("of+an+owner"),
        member: "refresh_token",
        requests: &[
            "GET /v2/",
            "POST /oauth2/exchange",
            "POST /oauth2/token",
            "GET /v2/",
        ],
        // An empty token is not even sent.
        bare: (
            exchange(""),
            Credential::entra_token(""),
            ErrorKind::Credential,
        ),
    }
}

fn request_access_token() -> Case {
    // Anonymous access, which needs no other token first.
    fn request(repository: &str) -> Plain {
        let scope = format!("repository%3A{repository}%3Apull");
        Plain::form(
            "/oauth2/token",
            format!("grant_type=password&service={HOST}&scope={scope}"),
        )
    }
    Case {
        registry: |builder| builder.anonymous_pull(true),
        credential: Credential::anonymous(),
        request,
        member: "access_token",
        requests: &["GET /v2/", "POST /oauth2/token", "GET /v2/"],
        bare: (
            request(APP),
            Credential::anonymous(),
            ErrorKind::Unauthorized,
        ),
    }
}

fn request_access_token_with_login() -> Case {
    fn request(repository: &str) -> Plain {
        let scope = format!("repository%3A{repository}%3Apull");
        Plain::get(format!("/oauth2/token?service={HOST}&scope={scope}"))
    }
    Case {
        registry: |builder| builder.anonymous_pull(true).user("ci", "secret"),
        credential: Credential::password("ci", "secret"),
        request,
        member: "access_token",
        requests: &["GET /v2/", "GET /oauth2/token", "GET /v2/"],
        bare: (
            request(APP),
            Credential::password("", ""),
            ErrorKind::Unauthorized,
        ),
    }
}

fn exchange(entra: &str) -> Plain {
    let form = format!("grant_type=access_token&service={HOST}&access_token={entra}");
    Plain::form("/oauth2/exchange", form)
}

impl Case {
    async fn ok(self) {
        let world = World::with(self.registry).await;
        world.served.requests();
        world.served.client(self.credential).ping().await.unwrap();
        assert_eq!(world.served.requests(), self.requests);
    }

    async fn raw(self) {
        let world = World::with(self.registry).await;
        let response = world.send((self.request)(APP)).await;
        let body = format!("{{\"{}\":", self.member);
        let expected = Expected::beginning(200, &body);
        let expected = expected.header("content-type", "application/json; charset=utf-8");
        expected.expect(&response);
    }

    /// Without what a token is made of: 401 without a body, an error of the credential's kind from the client.
    async fn no_token(self) {
        let world = World::new().await;
        let (request, credential, kind) = self.bare;
        let response = world.send(request).await;
        assert_eq!((response.status, response.text()), (401, ""));
        assert!(!response.headers.contains_key("www-authenticate"));
        let error = world.served.client(credential).ping().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }

    /// A token is granted for what is not there: it is missed at use.
    async fn missing(self) {
        let world = World::with(self.registry).await;
        let granted = world.send((self.request)("no/where")).await;
        assert_eq!(granted.status, 200, "{}", granted.text());
        let client = world.served.client(self.credential);
        let repository = client.repository_client("no/where").unwrap();
        let error = repository.get_manifest("v1").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
}

mod without_rights {
    use super::*;

    async fn world() -> World {
        World::with(|builder| {
            let other = || "repository:other:pull".parse().unwrap();
            builder
                .entra_token("nobody", "".parse().unwrap())
                .entra_token("reader", other())
                .scoped_user("reader", "word", other())
        })
        .await
    }

    async fn expect_denied(world: &World, credential: Credential) {
        let app = world.served.client(credential).repository_client(APP);
        let app = app.unwrap();
        let error = app.get_manifest("v1").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    }

    /// Expects a token that is granted, and that opens nothing.
    async fn expect_useless(world: &World, request: Plain) {
        let granted = world.send(request).await;
        assert_eq!(granted.status, 200, "{}", granted.text());
        let used = Plain::get(format!("/v2/{APP}/manifests/v1"));
        let used = used.authorized(format!("Bearer {}", granted.member("access_token")));
        let refused = world.send(used).await;
        assert_eq!(refused.status, 401);
        let challenge = refused.headers["www-authenticate"].to_str().unwrap();
        assert!(
            challenge.ends_with(r#"error="insufficient_scope""#),
            "{challenge}"
        );
    }

    /// An identity without any role is denied at the exchange.
    #[tokio::test]
    async fn exchange_entra_token() {
        let world = world().await;
        let exchanged = world.send(exchange("nobody")).await;
        assert_eq!(
            (exchanged.status, exchanged.code().as_deref()),
            (403, Some("DENIED"))
        );
        expect_denied(&world, Credential::entra_token("nobody")).await;
    }

    #[tokio::test]
    async fn request_access_token() {
        let world = world().await;
        let exchanged = world.send(exchange("reader")).await;
        let refresh = exchanged.member("refresh_token");
        let form = format!(
            "grant_type=refresh_token&service={HOST}&scope=repository%3A{APP}%3Apull&refresh_token={refresh}"
        );
        expect_useless(&world, Plain::form("/oauth2/token", form)).await;
        expect_denied(&world, Credential::entra_token("reader")).await;
    }

    #[tokio::test]
    async fn request_access_token_with_login() {
        let world = world().await;
        let request = (super::request_access_token_with_login().request)(APP);
        expect_useless(&world, request.authorized("Basic cmVhZGVyOndvcmQ=")).await;
        expect_denied(&world, Credential::password("reader", "word")).await;
    }
}

macro_rules! cells {
    ($($operation:ident: $($cell:ident)*;)*) => {
        $(mod $operation {
            $(#[tokio::test]
            async fn $cell() {
                super::$operation().$cell().await;
            })*
        })*
    };
}

cells! {
    // It names no item that could be missing.
    exchange_entra_token: ok raw no_token;
    request_access_token: ok raw no_token missing;
    request_access_token_with_login: ok raw no_token missing;
}
