mod file;
#[cfg(unix)]
mod helpers;

use serde_json::{Value, json};

use super::*;

const REGISTRY: &str = "name.azurecr.io";

/// An identity as text, secret included.
fn shown(identity: Option<Identity>) -> String {
    match identity {
        None => "none".to_owned(),
        Some(Identity::Password { user, password }) => format!("{user}:{}", password.expose()),
        Some(Identity::RefreshToken(token)) => format!("token {}", token.expose()),
        Some(_) => "another kind".to_owned(),
    }
}

/// The identity of a credential that is not a chain.
fn identity(credential: Option<Credential>) -> Option<Identity> {
    credential.map(|credential| match &credential.0[..] {
        [Link::Known(identity)] => identity.clone(),
        other => panic!("{other:?}"),
    })
}

fn config(content: &Value) -> DockerConfig {
    DockerConfig::from_json(content.to_string()).unwrap()
}

#[track_caller]
fn stored(content: &Value) -> String {
    shown(identity(config(content).stored(REGISTRY).unwrap()))
}

/// `robot:hunter2`
const AUTH: &str = "cm9ib3Q6aHVudGVyMg==";
