//! A row of the matrix, and its cells.

use std::pin::Pin;

use acr_client::protocol::ScopeSet;
use acr_client::{
    ChangeableAttributes, ContainerRegistryClient, Credential, Error, ErrorKind, Pager,
    RepositoryClient,
};
use http::Method;

use super::world::{APP, Expected, Plain, RawResponse, SOURCE, Target, What, World};

/// An operation in each situation. What cannot happen says why.
pub(super) struct Case {
    /// The plain request, without credentials.
    pub(super) request: fn(&Target) -> Plain,
    /// The plain response where all goes well.
    pub(super) response: fn(&World) -> Expected,
    /// The scopes that a token needs, with `APP` and `SOURCE` for the repositories; empty where any token will do.
    pub(super) scope: &'static str,
    /// The operation through the client, whatever comes of it.
    pub(super) call: fn(Caller) -> Called,
    /// What it names is not there.
    pub(super) missing: Result<Missing, &'static str>,
    /// What it works on is locked.
    pub(super) locked: Result<Locked, &'static str>,
}

pub(super) type Called = Pin<Box<dyn Future<Output = Result<Outcome, Error>> + Send>>;

/// A call as an async closure.
macro_rules! call {
    (|$c:ident| $body:expr) => {
        |$c| Box::pin(async move { $body })
    };
}
pub(super) use call;

/// Who calls, and on what.
pub(super) struct Caller {
    pub(super) client: ContainerRegistryClient,
    pub(super) app: RepositoryClient,
    pub(super) at: Target,
}

/// What came of an operation, as far as situations differ by it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// A list of so many items.
    Items(usize),
    /// A head or a delete, and whether there was something.
    WasThere(bool),
    /// An upload began, in the place of a mount.
    Opened,
}

/// What comes of an operation on what is not there.
pub(super) struct Missing {
    pub(super) what: What,
    pub(super) status: u16,
    pub(super) code: Option<&'static str>,
    /// From the client. An error has the code.
    pub(super) outcome: Result<Outcome, ErrorKind>,
}

impl Missing {
    pub(super) fn not_found(what: What, code: &'static str) -> Self {
        let outcome = Err(ErrorKind::NotFound);
        Self {
            what,
            status: 404,
            code: Some(code),
            outcome,
        }
    }

    /// What is not there is deleted already; a head says so. Without a body there is no code.
    pub(super) fn was_not_there(what: What, code: impl Into<Option<&'static str>>) -> Self {
        let outcome = Ok(Outcome::WasThere(false));
        Self {
            what,
            status: 404,
            code: code.into(),
            outcome,
        }
    }
}

/// What comes of an operation on what is locked.
pub(super) enum Locked {
    /// A closed switch forbids it.
    By(Item, Switch),
    /// No switch forbids it: with all closed, this comes of it.
    Not(Outcome),
}

pub(super) enum Item {
    Repository,
    Tag,
    Manifest,
}

pub(super) enum Switch {
    Delete,
    Read,
    Write,
}

pub(super) async fn items<T: Send>(list: Pager<T>) -> Result<Outcome, Error> {
    let items = list.collect_all().await?;
    Ok(Outcome::Items(items.len()))
}

pub(super) fn done<T>(result: Result<T, Error>) -> Result<Outcome, Error> {
    result.map(|_| Outcome::Done)
}

impl Case {
    fn scope(&self, at: &Target) -> String {
        self.scope
            .replace("APP", &at.repository)
            .replace("SOURCE", SOURCE)
    }

    async fn send(&self, world: &World, at: &Target) -> RawResponse {
        world.send_with((self.request)(at), &self.scope(at)).await
    }

    async fn call(&self, client: ContainerRegistryClient, at: &Target) -> Result<Outcome, Error> {
        let app = client.repository_client(at.repository.as_str()).unwrap();
        let at = at.clone();
        (self.call)(Caller { client, app, at }).await
    }

    /// The plain request has the plain response.
    pub(super) async fn raw(&self) {
        let world = World::new().await;
        let response = self.send(&world, &world.target).await;
        (self.response)(&world).expect(&response);
    }

    /// Without a token: a challenge for the scope on the wire, `Unauthorized` from the client.
    pub(super) async fn no_token(&self, operation: &str) {
        let world = World::new().await;
        let response = world.send((self.request)(&world.target)).await;
        expect_challenge(&response, &self.scope(&world.target), None);
        let stranger = world.served.client(Credential::anonymous());
        let called = self.call(stranger, &world.target).await;
        let error = expect_error(operation, called, ErrorKind::Unauthorized);
        assert_eq!(error.status().unwrap(), 401, "{error}");
    }

    /// With a token that lacks one of the actions: a challenge that says so, `Denied` from the client with the scope.
    pub(super) async fn no_scope(&self, operation: &str) {
        let needed = self.scope(&World::new().await.target);
        for held in all_but_one_action(&needed) {
            let user = held.parse().unwrap();
            let world = World::with(|builder| builder.scoped_user("limited", "word", user)).await;
            let request = (self.request)(&world.target);
            let response = world.send_with(request, &held).await;
            expect_challenge(&response, &needed, Some("insufficient_scope"));
            let client = world.served.client(Credential::password("limited", "word"));
            let called = self.call(client, &world.target).await;
            let error = expect_error(operation, called, ErrorKind::Denied);
            let missing: ScopeSet = error.missing_scope().unwrap().parse().unwrap();
            assert_eq!(missing, needed.parse().unwrap());
        }
    }

    /// What the operation names is not there.
    pub(super) async fn missing(&self, operation: &str) {
        let Ok(missing) = &self.missing else {
            return;
        };
        let world = World::new().await;
        let target = world.missing(missing.what);
        let response = self.send(&world, &target).await;
        let called = self.call(world.served.owner(), &target).await;
        assert_eq!(response.status, missing.status, "{}", response.text());
        assert_eq!(response.code().as_deref(), missing.code);
        match &missing.outcome {
            Ok(outcome) => assert_eq!(&called.unwrap(), outcome),
            Err(kind) => {
                let error = expect_error(operation, called, *kind);
                assert_eq!(error.code().map(|code| code.as_str()), missing.code);
            }
        }
    }

    /// What the operation works on has a switch closed that forbids it; where none does, all are closed.
    pub(super) async fn locked(&self, operation: &str) {
        let Ok(locked) = &self.locked else {
            return;
        };
        let world = World::new().await;
        let open = ChangeableAttributes::default();
        match locked {
            Locked::By(item, switch) => {
                let change = match switch {
                    Switch::Delete => open.can_delete(false),
                    Switch::Read => open.can_read(false),
                    Switch::Write => open.can_write(false),
                };
                world.close(item, change).await;
            }
            Locked::Not(_) => {
                let closed = ChangeableAttributes::LOCKED.can_read(false).can_list(false);
                for item in [Item::Tag, Item::Manifest, Item::Repository] {
                    world.close(&item, closed).await;
                }
            }
        }
        // The client first: what goes well on the wire may be gone behind it.
        let called = self.call(world.served.owner(), &world.target).await;
        let response = self.send(&world, &world.target).await;
        match locked {
            Locked::Not(outcome) => {
                assert_eq!(&called.unwrap(), outcome);
                // The upload that was given up is no longer there.
                let status = if operation == "cancel_upload" {
                    404..405
                } else {
                    200..300
                };
                assert!(status.contains(&response.status), "{}", response.text());
            }
            Locked::By(..) => {
                let error = expect_error(operation, called, ErrorKind::Disallowed);
                assert_eq!(response.status, 405, "{}", response.text());
                let code = Some("REGISTRY_DISALLOWED_OPERATION");
                assert_eq!(error.code().map(|code| code.as_str()), code);
                // Without a body there is no code, so the client asks by a `GET` what the 405 means.
                let is_head = (self.request)(&world.target).method == Method::HEAD;
                assert_eq!(response.code().as_deref(), code.filter(|_| !is_head));
            }
        }
    }

    /// The reasons of what cannot happen.
    pub(super) fn reasons(&self) -> impl Iterator<Item = &'static str> {
        let reasons = [self.missing.as_ref().err(), self.locked.as_ref().err()];
        reasons.into_iter().flatten().copied()
    }
}

#[track_caller]
fn expect_error(operation: &str, called: Result<Outcome, Error>, kind: ErrorKind) -> Error {
    let error = called.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.operation(), Some(operation), "{error}");
    error
}

#[track_caller]
fn expect_challenge(response: &RawResponse, needed: &str, error: Option<&str>) {
    assert_eq!(response.status, 401, "{}", response.text());
    let challenge = response.headers["www-authenticate"].to_str().unwrap();
    let part = |name: &str| {
        let (_, rest) = challenge.split_once(&format!(",{name}=\""))?;
        Some(rest.split_once('"').unwrap().0)
    };
    let asked: ScopeSet = part("scope").unwrap_or_default().parse().unwrap();
    assert_eq!(asked, needed.parse().unwrap(), "{challenge}");
    assert_eq!(part("error"), error, "{challenge}");
}

/// Every set of rights that lacks exactly one action of those needed; none where nothing is needed.
fn all_but_one_action(needed: &str) -> Vec<String> {
    const ACTIONS: [&str; 5] = ["delete", "metadata_read", "metadata_write", "pull", "push"];
    let everything = |name: &str, but: &str| {
        let held = ACTIONS.into_iter().filter(|action| *action != but);
        format!("repository:{name}:{}", held.collect::<Vec<_>>().join(","))
    };
    if needed == "registry:catalog:*" {
        return vec![everything(APP, "")];
    }
    let scopes: Vec<(&str, &str)> = needed
        .split_whitespace()
        .map(|scope| {
            scope
                .strip_prefix("repository:")
                .unwrap()
                .rsplit_once(':')
                .unwrap()
        })
        .collect();
    let mut lacking = Vec::new();
    for (at, (_, actions)) in scopes.iter().enumerate() {
        for action in actions.split(',') {
            let held = scopes
                .iter()
                .enumerate()
                .map(|(other, (name, _))| everything(name, if other == at { action } else { "" }));
            let held: Vec<String> = held.chain(["registry:catalog:*".to_owned()]).collect();
            lacking.push(held.join(" "));
        }
    }
    lacking
}
