//! Who the clients are.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use acr_client::Credential;
use acr_client::auth::{Audience, Secret, TokenProvider, TokenRequest, TokenSource};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastrand::Rng;

use super::Shared;
use crate::hostile::SECRET;

/// A credential, and whether it is one that an honest registry accepts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub(super) kind: Kind,
    pub(super) good: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Anonymous,
    Password,
    Refresh,
    Entra,
    Provider,
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rights {
    None,
    Read,
    All,
}

/// A credential alone, or a chain of two or three, each of another kind.
pub(super) fn links(dice: &mut Rng) -> Vec<Link> {
    let mut kinds = [
        Kind::Anonymous,
        Kind::Password,
        Kind::Refresh,
        Kind::Entra,
        Kind::Provider,
    ];
    dice.shuffle(&mut kinds);
    let length = if dice.bool() { 1 } else { dice.usize(2..=3) };
    let link = |kind| Link {
        kind,
        good: kind == Kind::Anonymous || dice.u8(..4) > 0,
    };
    kinds.into_iter().take(length).map(link).collect()
}

impl Link {
    pub(super) fn credential(&self, world: &Shared) -> Credential {
        let brings = Brings {
            world: world.clone(),
            good: self.good,
        };
        match self.kind {
            Kind::Anonymous => Credential::anonymous(),
            Kind::Password if self.good => Credential::password(USER, password()),
            Kind::Password => Credential::password(USER, format!("not-{SECRET}")),
            Kind::Refresh if self.good => Credential::refresh_token(refresh_token()),
            Kind::Refresh => Credential::refresh_token(format!("refresh-{SECRET}-of-nobody")),
            Kind::Entra => Credential::entra(brings),
            Kind::Provider => Credential::token_provider(brings),
        }
    }

    /// How many requests this one may need for a token, if none of them is repeated.
    pub(super) const fn requests_for_a_token(&self) -> usize {
        match self.kind {
            Kind::Provider => 0,
            Kind::Password | Kind::Refresh => 1,
            // By both methods.
            Kind::Anonymous => 2,
            // Twice, where the refresh token that is at hand is refused, or due and not renewed.
            Kind::Entra => 4,
        }
    }
}

/// A source of Entra tokens and a provider of access tokens in one. While the world is hostile either
/// fails now and then.
struct Brings {
    world: Shared,
    good: bool,
}

impl fmt::Debug for Brings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Brings")
    }
}

type Failure = Box<dyn StdError + Send + Sync>;

impl Brings {
    async fn bring(&self, token: impl FnOnce(&Shared) -> String + Send) -> Result<Secret, Failure> {
        let (clock, fails, pause) = {
            let mut world = self.world.lock().unwrap();
            let hostile = !world.is_honest();
            let fails = !self.good || (hostile && world.dice.u8(..4) == 0);
            let pause = hostile && world.dice.u8(..4) == 0;
            let pause = pause.then(|| Duration::from_millis(world.dice.u64(..4000)));
            (world.clock.clone(), fails, pause)
        };
        if let Some(pause) = pause {
            clock.sleep(pause).await;
        }
        if fails {
            return Err("not signed in".into());
        }
        Ok(token(&self.world).into())
    }
}

#[acr_client::async_trait]
impl TokenSource for Brings {
    async fn token(&self, _: &Audience) -> Result<Secret, Failure> {
        self.bring(|world| world.lock().unwrap().entra_token())
            .await
    }
}

#[acr_client::async_trait]
impl TokenProvider for Brings {
    async fn access_token(&self, request: &TokenRequest) -> Result<Secret, Failure> {
        self.bring(|world| {
            let mut world = world.lock().unwrap();
            assert_eq!(request.registry, world.host);
            world.check_scope(&request.scope);
            world.access_token(request.scope.clone(), Rights::All, false)
        })
        .await
    }
}

pub(super) const USER: &str = "robot";

pub(super) fn password() -> String {
    format!("password-{SECRET}")
}

pub(super) fn refresh_token() -> String {
    format!("refresh-{SECRET}-of-a-login")
}

/// The user name and password as a header has them.
pub(super) fn login() -> String {
    STANDARD.encode(format!("{USER}:{}", password()))
}
