use acr_client::Credential;
use acr_client::auth::DockerConfig;

use crate::check::{SECRET, error_hides_the_secret, error_is_bounded, tells_the_secret};

/// Docker's `config.json`: a login is found for the registry it stands for, and for no other; neither an error nor what
/// `Debug` shows repeats one. No helper is started: only what stands in the file is looked up.
pub fn docker_config(data: &[u8]) {
    if tells_the_secret(data) {
        return;
    }
    match DockerConfig::from_json(data) {
        Ok(config) => look_up(&config),
        Err(error) => error_is_bounded(&error),
    }
    // The same file with a login of another registry, whose user `Debug` would show if it were given out.
    let text = String::from_utf8_lossy(data).replace(r#""auths": {"#, r#""auths":{"#);
    let entry = format!(r#""other.example":{{"username":"{SECRET}","password":"{SECRET}"}}"#);
    let with_login = text.replacen(r#""auths":{"#, &format!(r#""auths":{{{entry},"#), 1);
    match DockerConfig::from_json(with_login.as_bytes()) {
        Ok(config) => look_up(&config),
        Err(error) => {
            error_is_bounded(&error);
            error_hides_the_secret(&error);
        }
    }
}

fn look_up(config: &DockerConfig) {
    assert!(!format!("{config:?}").contains(SECRET));
    for registry in ["registry.example", "registry.example:5000", "", "*", "a/b"] {
        match config.stored(registry) {
            Ok(credential) => {
                let shown = credential
                    .as_ref()
                    .map(|credential| format!("{credential:?}"));
                assert!(!shown.unwrap_or_default().contains(SECRET));
                assert!(!credential.as_ref().is_some_and(Credential::is_anonymous));
            }
            Err(error) => {
                error_is_bounded(&error);
                error_hides_the_secret(&error);
            }
        }
    }
}
