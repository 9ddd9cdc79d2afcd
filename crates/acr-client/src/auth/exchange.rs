//! The requests that turn a credential into an access token.

use std::pin::pin;
use std::time::Duration;

use acr_protocol::auth::{
    EXCHANGE_PATH, ExchangeEntraToken, Grant, RequestAccessToken, RequestAccessTokenWithLogin,
    TOKEN_PATH,
};
use acr_protocol::{Operation, ScopeSet, Secret};
use http::{StatusCode, Uri};

use super::credential::{TokenSource, check_secret};
use super::realm::Realm;
use crate::audience::Audience;
use crate::call_options::CallOptions;
use crate::error::{Error, ErrorKind};
use crate::mask::Mask;
use crate::operation_info::OperationInfo;
use crate::sender::Sender;
use crate::url::Endpoint;

/// A token, and how long the client's own limiter held the requests for it back.
type Fetched = (Secret, Duration);

/// Asks for an access token as nobody in particular.
///
/// ACR takes a `POST`. Token servers of other registries know the `GET` alone, and refuse a `POST` in
/// different ways, so only one that has ACR's own path is asked that way.
pub(super) async fn anonymously(
    sender: &Sender,
    realm: &Realm,
    scope: &ScopeSet,
) -> Result<Fetched, Error> {
    if realm.url.path() != TOKEN_PATH {
        return with_login(sender, realm, scope, None).await;
    }
    let post = RequestAccessToken {
        service: realm.service.clone(),
        scope: scope.clone(),
        grant: Grant::Anonymous,
    };
    let posted = run(sender, &post, &realm.url).await;
    match posted.as_ref().err().and_then(Error::status) {
        Some(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) => {
            with_login(sender, realm, scope, None).await
        }
        _ => posted,
    }
}

/// Asks for an access token with a user name and password, or without.
pub(super) async fn with_login(
    sender: &Sender,
    realm: &Realm,
    scope: &ScopeSet,
    login: Option<(String, Secret)>,
) -> Result<Fetched, Error> {
    let get = RequestAccessTokenWithLogin {
        service: realm.service.clone(),
        scope: scope.clone(),
        login,
    };
    run(sender, &get, &realm.url).await
}

/// Asks for an access token with a refresh token.
pub(super) async fn with_refresh_token(
    sender: &Sender,
    realm: &Realm,
    scope: &ScopeSet,
    refresh_token: Secret,
) -> Result<Fetched, Error> {
    let post = RequestAccessToken {
        service: realm.service.clone(),
        scope: scope.clone(),
        grant: Grant::RefreshToken(refresh_token),
    };
    run(sender, &post, &realm.url).await
}

/// Fetches an Entra token and exchanges it for a refresh token of the registry.
pub(super) async fn exchange(
    sender: &Sender,
    endpoint: &Endpoint,
    realm: &Realm,
    source: &dyn TokenSource,
    audience: &Audience,
) -> Result<Fetched, Error> {
    let failed = |what: &str| format!("the source of Entra tokens brought {what} for {audience}");
    let entra = async {
        let entra = source.token(audience).await;
        entra.map_err(|error| Error::of_credential(failed("no token"), error))
    };
    let entra = sender
        .retry
        .begin(true, &CallOptions::default())
        .with_deadline(pin!(entra))
        .await?;
    if entra.is_empty() {
        return Err(Error::new(ErrorKind::Credential, failed("an empty token")));
    }
    check_secret("the Entra token", entra.expose())?;
    let post = ExchangeEntraToken {
        service: realm.service.clone(),
        access_token: entra,
        ..ExchangeEntraToken::default()
    };
    let url = endpoint.absolute(&Uri::from_static(EXCHANGE_PATH))?;
    run(sender, &post, &url).await
}

/// Sends a request for a token to `url`, whose path stands for the operation's own, until there is
/// a token or a refusal that is final.
async fn run<O>(sender: &Sender, operation: &O, url: &Uri) -> Result<Fetched, Error>
where
    O: Operation<Output = Secret> + Secrets + Sync,
{
    let info = &OperationInfo::of(operation, MAX_TOKEN_SIZE);
    let mut request = operation.request()?;
    *request.uri_mut() = join(url, request.uri())?;
    let attempts = sender.retry.begin(true, &CallOptions::default());
    let once = || async {
        let permit = sender.limiter.admit(info.class).await;
        attempts.exclude_queued(permit.waited());
        let sent = sender.send(request.clone(), info, Some(permit), &attempts);
        let mut response = sent.await?;
        response.secrets = Mask::of(operation.secrets());
        if !O::SPEC.success.contains(&response.head.status) {
            return Err(sender.refused(info, response, &attempts).await);
        }
        let read = sender.read_at_once(&mut response, info.limit, &attempts);
        let body = read.await?;
        // The decoder's words are left out, because they may repeat a part of the body.
        operation.read(&response.head, body).map_err(|_| {
            Error::protocol(format!("the response of {} has no token in it", info.name))
        })
    };
    let token = attempts.run(once).await?;
    Ok((token, attempts.queued()))
}

/// What a request holds that must not come back in an error.
trait Secrets {
    fn secrets(&self) -> Vec<&Secret>;
}

impl Secrets for ExchangeEntraToken {
    fn secrets(&self) -> Vec<&Secret> {
        vec![&self.access_token]
    }
}

impl Secrets for RequestAccessToken {
    fn secrets(&self) -> Vec<&Secret> {
        match &self.grant {
            Grant::RefreshToken(secret) | Grant::Login(_, secret) => vec![secret],
            _ => Vec::new(),
        }
    }
}

impl Secrets for RequestAccessTokenWithLogin {
    fn secrets(&self) -> Vec<&Secret> {
        self.login.iter().map(|(_, password)| password).collect()
    }
}

/// Puts the query of an operation behind that of the realm. ACR's own paths keep the query as the
/// operation made it, with its API version; a foreign realm gets only what its protocol has.
fn join(url: &Uri, operation: &Uri) -> Result<Uri, Error> {
    let own = matches!(url.path(), TOKEN_PATH | EXCHANGE_PATH);
    let mut query = url.query().unwrap_or_default().to_owned();
    for pair in operation.query().unwrap_or_default().split('&') {
        if pair.is_empty() || (!own && pair.starts_with("api-version=")) {
            continue;
        }
        if !query.is_empty() {
            query.push('&');
        }
        query.push_str(pair);
    }
    let separator = if query.is_empty() { "" } else { "?" };
    let mut parts = url.clone().into_parts();
    parts.path_and_query = format!("{}{separator}{query}", url.path()).parse().ok();
    Uri::from_parts(parts).map_err(|error| {
        Error::protocol("the challenge's realm is not a valid URL").with_source(error)
    })
}

/// An access token names every repository of its scope, so it may be long, but not this long.
const MAX_TOKEN_SIZE: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_of_a_realm_is_kept() {
        let operation = Uri::from_static("/oauth2/token?api-version=1&service=r&scope=a%3Ab");
        for (url, expected) in [
            (
                "https://r.example/oauth2/token",
                "https://r.example/oauth2/token?api-version=1&service=r&scope=a%3Ab",
            ),
            (
                "https://auth.example/token?account=x",
                "https://auth.example/token?account=x&service=r&scope=a%3Ab",
            ),
        ] {
            let joined = join(&Uri::from_static(url), &operation).unwrap();
            assert_eq!(joined, expected);
        }
        let bare = Uri::from_static("https://auth.example/token");
        assert_eq!(join(&bare, &Uri::from_static("/x")).unwrap(), bare);
    }
}
