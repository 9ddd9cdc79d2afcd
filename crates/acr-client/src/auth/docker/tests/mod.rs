mod file;
#[cfg(unix)]
mod helpers;

use serde_json::{Value, json};

use super::*;
use crate::auth::credential::Kind;

const REGISTRY: &str = "name.azurecr.io";

/// A credential as text, secret included.
fn shown(credential: Option<Credential>) -> String {
    match credential.map(|credential| credential.0) {
        None => "none".to_owned(),
        Some(Kind::Password { user, password }) => format!("{user}:{}", password.expose()),
        Some(Kind::RefreshToken(token)) => format!("token {}", token.expose()),
        Some(_) => "another kind".to_owned(),
    }
}

fn config(content: &Value) -> DockerConfig {
    DockerConfig::from_json(content.to_string()).unwrap()
}

#[track_caller]
fn stored(content: &Value) -> String {
    shown(config(content).stored(REGISTRY).unwrap())
}

/// `robot:hunter2`
const AUTH: &str = "cm9ib3Q6aHVudGVyMg==";
