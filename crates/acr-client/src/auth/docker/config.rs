//! What docker's `config.json` says about one registry.

use serde_json::{Map, Value, json};

use super::convert::{NoUser, identity};
use super::helper::Helper;
use crate::auth::credential::Identity;
use crate::error::{Error, ErrorKind};

/// A configuration that was read.
pub(super) struct Config {
    members: Map<String, Value>,
    /// What errors call it.
    name: String,
}

/// Where the credential of one registry is.
pub(super) enum Entry {
    Nowhere,
    /// In the file itself.
    Here(Identity),
    /// A program has it.
    With(Helper),
}

impl Config {
    pub(super) fn parse(bytes: &[u8], name: String) -> Result<Self, Error> {
        if bytes.len() > MAX_CONFIG_SIZE {
            return Err(Error::invalid(format!(
                "{name} is larger than 1 MiB, so it is not docker's configuration"
            )));
        }
        // An empty file says nothing, to docker too.
        if bytes.trim_ascii().is_empty() {
            let members = Map::new();
            return Ok(Self { members, name });
        }
        // The parser's error names a line and column, and repeats nothing of the file.
        let value = serde_json::from_slice(bytes).map_err(|error| {
            let text = format!("{name} is not JSON");
            Error::of_foreign(ErrorKind::InvalidInput, text, error)
        })?;
        match value {
            Value::Object(members) => Ok(Self { members, name }),
            _ => Err(Error::invalid(format!("{name} is JSON, but no object"))),
        }
    }

    /// Finds who has the credential, in docker's order: the registry's own helper, then the general
    /// one, and only without either the file. A helper that has nothing is the last word.
    pub(super) fn look_up(&self, registry: &str) -> Result<Entry, Error> {
        let registry = Registry::new(registry)?;
        if let Some(helper) = self.helper(&registry)? {
            return Ok(Entry::With(helper));
        }
        let Some((_, entry)) = self.entry(&registry)? else {
            return Ok(Entry::Nowhere);
        };
        let found = self.credential_in(entry, &registry)?;
        Ok(found.map_or(Entry::Nowhere, Entry::Here))
    }

    fn helper(&self, registry: &Registry<'_>) -> Result<Option<Helper>, Error> {
        let own = self.object("credHelpers")?.and_then(|helpers| {
            let exact = helpers.get_key_value(registry.server);
            exact.or_else(|| helpers.iter().find(|(key, _)| registry.is_named(key)))
        });
        let (place, address, value) = match own {
            Some((key, value)) => (format!("credHelpers.{key}"), key.as_str(), Some(value)),
            None => {
                // A sign-in leaves an entry without content, by the name under which the helper has it.
                let key = self.object("auths")?.and_then(|entries| {
                    let mut keys = entries.keys().map(String::as_str);
                    keys.find(|key| registry.is_named(key))
                });
                let address = key.unwrap_or(registry.server);
                (
                    "credsStore".to_owned(),
                    address,
                    member(&self.members, "credsStore"),
                )
            }
        };
        match value {
            None | Some(Value::Null) => Ok(None),
            // An empty name turns a helper off, for one registry or for all.
            Some(Value::String(name)) if name.is_empty() => Ok(None),
            Some(Value::String(name)) => Helper::new(name, address).map(Some).ok_or_else(|| {
                Error::invalid(format!(
                    "{place} in {} is not a valid name of a credential helper; letters, digits, '.', '_' \
                     and '-' are allowed, and the first is no '-'",
                    self.name
                ))
            }),
            Some(_) => Err(Error::invalid(format!(
                "{place} in {} is not text; it names a credential helper",
                self.name
            ))),
        }
    }

    /// Finds the registry's entry: by its name, or else the first whose key is a URL of it.
    fn entry(&self, registry: &Registry<'_>) -> Result<Option<(&str, &Value)>, Error> {
        let Some(entries) = self.object("auths")? else {
            return Ok(None);
        };
        let exact = entries.get_key_value(registry.server);
        let found = exact.or_else(|| entries.iter().find(|(key, _)| registry.is_at(key)));
        Ok(found.map(|(key, entry)| (key.as_str(), entry)))
    }

    fn credential_in(
        &self,
        entry: &Value,
        registry: &Registry<'_>,
    ) -> Result<Option<Identity>, Error> {
        let unusable = |what: &str| {
            Error::invalid(format!(
                "the entry of {server} in {} {what}; sign in again with `docker login {server}` or \
                 `az acr login`",
                self.name,
                server = registry.server
            ))
        };
        let entry = match entry {
            Value::Null => return Ok(None),
            Value::Object(entry) => entry,
            _ => return Err(unusable("is not an object")),
        };
        let text = |name: &str| match member(entry, name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(unusable(&format!("has a member {name} that is not text"))),
        };
        let (auth, token) = (text("auth")?, text("identitytoken")?);
        let (user, password) = (text("username")?, text("password")?);
        // The token stands for the user and password beside it, and `auth` for the members that it
        // is made of. The decoder gets what counts and nothing else: in what it gets no helper is
        // named, so it starts no program.
        let entry = match (token, auth, user, password) {
            (Some(token), ..) => json!({ "identitytoken": token }),
            // Go's decoder passes over the line breaks of a text that was wrapped.
            (None, Some(auth), ..) => json!({ "auth": auth.replace(['\r', '\n'], "") }),
            (None, None, Some(user), Some(password)) => {
                json!({ "username": user, "password": password })
            }
            _ => return Ok(None),
        };
        let server = registry.server;
        let config = json!({ "auths": { server: entry } }).to_string();
        let found = docker_credential::get_credential_from_reader(config.as_bytes(), server)
            .map_err(|_| {
                unusable("has a member auth that is not a user name and password in base64")
            })?;
        identity(found).map_err(|NoUser| unusable("has a password, but no user name"))
    }

    fn object(&self, name: &str) -> Result<Option<&Map<String, Value>>, Error> {
        match member(&self.members, name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(members)) => Ok(Some(members)),
            Some(_) => Err(Error::invalid(format!(
                "{name} in {} is not an object",
                self.name
            ))),
        }
    }
}

/// A member by its name, or else by another spelling of it: Go's decoder passes over the case of letters.
fn member<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let other = || {
        let mut all = members.iter();
        all.find(|(key, _)| key.eq_ignore_ascii_case(name))
    };
    members
        .get(name)
        .or_else(|| other().map(|(_, value)| value))
}

/// A registry by the name that docker knows it by.
struct Registry<'a> {
    server: &'a str,
}

impl<'a> Registry<'a> {
    /// Reads a host with its port, or a URL of it.
    fn new(text: &'a str) -> Result<Self, Error> {
        let (host, _) = split_key(text);
        if host.is_empty() {
            return Err(Error::invalid(
                "the registry's name is empty; it is a host such as name.azurecr.io",
            ));
        }
        let server = if is_docker_hub(host) {
            DOCKER_HUB_KEY
        } else {
            host
        };
        Ok(Self { server })
    }

    /// Whether a key is the registry's name. Case does not count in host names, and those that come from
    /// a URL are in lower case, however the user spelled them to docker.
    fn is_named(&self, key: &str) -> bool {
        key.eq_ignore_ascii_case(self.server)
    }

    /// Whether a key is a name or URL of the registry as a whole. Other programs that use the file
    /// have keys for a part of a registry, which is not for all of it.
    fn is_at(&self, key: &str) -> bool {
        let (host, path) = split_key(key);
        let (own, _) = split_key(self.server);
        let hub = self.server == DOCKER_HUB_KEY && is_docker_hub(host);
        (hub || host.eq_ignore_ascii_case(own))
            && matches!(path.trim_end_matches('/'), "" | "/v1" | "/v2")
    }
}

/// Splits a key into a host with its port, and a path. A user is left out, and so is the port that the scheme
/// has of itself; without a scheme it is https.
fn split_key(key: &str) -> (&str, &str) {
    let (scheme, rest) = key.split_once("://").unwrap_or(("https", key));
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let port = match scheme {
        scheme if scheme.eq_ignore_ascii_case("https") => ":443",
        scheme if scheme.eq_ignore_ascii_case("http") => ":80",
        _ => return (host, path),
    };
    (host.strip_suffix(port).unwrap_or(host), path)
}

fn is_docker_hub(host: &str) -> bool {
    DOCKER_HUB
        .iter()
        .any(|name| name.eq_ignore_ascii_case(host))
}

/// Names of Docker Hub, which docker keeps under a name of old.
const DOCKER_HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";
pub(super) const MAX_CONFIG_SIZE: usize = 1 << 20;
