//! Credentials of docker's `config.json`, where `docker login` and `az acr login` leave them, and of the
//! helpers that it names.

mod config;
mod convert;
mod helper;
#[cfg(test)]
mod tests;

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use acr_clock::Clock;
use async_trait::async_trait;
use futures_util::future::{Either, select};

use self::config::{Config, Entry, MAX_CONFIG_SIZE};
use self::helper::Running;
use super::credential::{Credential, Identity, Link, Lookup};
use crate::error::{Error, ErrorKind};

impl Credential {
    /// What docker's configuration has for the registry: the user name and password or the identity
    /// token of a `docker login` or `az acr login`, or what a credential helper brings.
    ///
    /// It is looked up when a token is needed, not before, so that a later login is seen. Where the
    /// configuration has nothing for the registry, the operation fails with
    /// [`ErrorKind::Credential`](crate::ErrorKind::Credential), or a [`chain`](Self::chain) goes on.
    ///
    /// ```
    /// use acr_client::Credential;
    /// use acr_client::auth::DockerConfig;
    ///
    /// let credential = Credential::docker_config(DockerConfig::new()).or(Credential::anonymous());
    /// # let _ = credential;
    /// ```
    #[must_use]
    pub fn docker_config(config: DockerConfig) -> Self {
        Self(vec![Link::Lookup(Arc::new(config))])
    }
}

/// Where docker keeps its credentials: the file `config.json`, and the helpers that it names.
///
/// For a registry the credential is, as with docker, what the helper in `credHelpers` or `credsStore`
/// has; only where no helper is named, it is what stands in `auths`. An `identitytoken` is a refresh token, and
/// so is the password of the user `00000000-0000-0000-0000-000000000000`, as `az acr login` stores it.
///
/// A helper is a program `docker-credential-NAME` from the `PATH`. It is as trustworthy as the file that
/// names it; a NAME with a path in it is refused. Helpers are asked on a thread of their own, one at a
/// time for each registry, and what they print reaches no error.
///
/// Clones share which helpers are running. `Debug` shows no content.
///
/// ```
/// use acr_client::auth::DockerConfig;
///
/// let config = DockerConfig::from_json(
///     r#"{ "auths": { "name.azurecr.io": { "auth": "cm9ib3Q6aHVudGVyMg==" } } }"#,
/// )?;
/// let credential = config.stored("name.azurecr.io")?.expect("it is there");
/// assert_eq!(format!("{credential:?}"), r#"Password { user: "robot", .. }"#);
/// assert!(config.stored("other.azurecr.io")?.is_none());
/// # Ok::<(), acr_client::Error>(())
/// ```
#[derive(Clone)]
#[doc(alias = "config.json")]
#[doc(alias = "credsStore")]
#[doc(alias = "credHelpers")]
#[doc(alias = "DOCKER_AUTH_CONFIG")]
pub struct DockerConfig {
    place: Place,
    helper_timeout: Duration,
    running: Running,
}

#[derive(Clone)]
enum Place {
    /// There is no home folder.
    Nowhere,
    File(PathBuf),
    Content(Arc<Config>),
}

impl DockerConfig {
    /// The user's own: `config.json` in the folder that the variable `DOCKER_CONFIG` names, or else in
    /// `.docker` in the home folder.
    ///
    /// The file is read at each look-up, so a later `docker login` counts. If there is none, nothing is
    /// configured, which is not an error.
    #[must_use]
    pub fn new() -> Self {
        Self::of(usual_place(env::var_os("DOCKER_CONFIG"), env::home_dir()))
    }

    /// A file by its path, read at each look-up as [`new`](Self::new) does.
    ///
    /// The `auth.json` of podman and its relatives has the same form; of it, entries for a whole registry
    /// count.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self::of(Place::File(path.into()))
    }

    /// The content of such a file, for example that of the variable `DOCKER_AUTH_CONFIG`.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when it is not a JSON object, or larger than
    /// 1 MiB. What is wrong with an entry is told when that is looked up.
    pub fn from_json(bytes: impl AsRef<[u8]>) -> Result<Self, Error> {
        let config = Config::parse(bytes.as_ref(), "docker's configuration".to_owned())?;
        Ok(Self::of(Place::Content(Arc::new(config))))
    }

    /// Sets how long a helper may take to respond. The default is 30 seconds.
    ///
    /// A helper that takes longer is not ended: it may be waiting for a person. The operation fails, and
    /// the next one waits for the same helper for as long again.
    #[must_use]
    pub fn helper_timeout(mut self, timeout: Duration) -> Self {
        self.helper_timeout = timeout;
        self
    }

    /// Finds the credential of a registry that stands in the file itself; starts no program.
    ///
    /// `registry` is the host, with its port unless that is the usual one. `None` when nothing is stored,
    /// and when a helper is responsible.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) when the file cannot be read;
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when it, or what it says about this registry, is
    /// malformed.
    pub fn stored(&self, registry: &str) -> Result<Option<Credential>, Error> {
        match self.entry(registry)? {
            Entry::Here(credential) => Ok(Some(Credential::of(credential))),
            Entry::Nowhere | Entry::With(_) => Ok(None),
        }
    }

    /// Finds the credential of a registry, where a helper is responsible by asking that.
    async fn find(&self, registry: &str, clock: &dyn Clock) -> Result<Option<Identity>, Error> {
        let helper = match self.entry(registry)? {
            Entry::Nowhere => return Ok(None),
            Entry::Here(credential) => return Ok(Some(credential)),
            Entry::With(helper) => helper,
        };
        // The program works in real time. A virtual clock that went on by itself would be at the end of
        // the time limit before the program has begun; held, it gets there when a test moves it.
        let _held = clock.hold();
        let response = self.running.ask(&helper)?;
        match select(response, clock.sleep(self.helper_timeout)).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(_) => Err(helper.failed(&format!(
                "has not responded for {:?}; it may be waiting for somebody to unlock its store",
                self.helper_timeout
            ))),
        }
    }

    fn of(place: Place) -> Self {
        Self {
            place,
            helper_timeout: Duration::from_secs(30),
            running: Running::default(),
        }
    }

    fn entry(&self, registry: &str) -> Result<Entry, Error> {
        match &self.place {
            Place::Nowhere => Ok(Entry::Nowhere),
            Place::Content(config) => config.look_up(registry),
            Place::File(path) => match read(path)? {
                None => Ok(Entry::Nowhere),
                Some(bytes) => {
                    let name = format!("docker's configuration {}", path.display());
                    Config::parse(&bytes, name)?.look_up(registry)
                }
            },
        }
    }
}

#[async_trait]
impl Lookup for DockerConfig {
    fn name(&self) -> &'static str {
        "docker's configuration"
    }

    async fn look_up(&self, registry: &str, clock: &dyn Clock) -> Result<Identity, Error> {
        let found = self.find(registry, clock).await?.ok_or_else(|| {
            Error::new(
                ErrorKind::Credential,
                format!("docker's configuration has no credential for {registry}"),
            )
        })?;
        found.check()?;
        Ok(found)
    }
}

impl Default for DockerConfig {
    /// The same as [`new`](Self::new).
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for DockerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("DockerConfig");
        if let Place::File(path) = &self.place {
            text.field("path", path);
        }
        text.field("helper_timeout", &self.helper_timeout)
            .finish_non_exhaustive()
    }
}

fn usual_place(folder: Option<OsString>, home: Option<PathBuf>) -> Place {
    let folder = folder.filter(|folder| !folder.is_empty());
    let home = home.filter(|home| !home.as_os_str().is_empty());
    match (folder.map(PathBuf::from), home) {
        (Some(folder), _) => Place::File(folder.join("config.json")),
        (None, Some(home)) => Place::File(home.join(".docker").join("config.json")),
        (None, None) => Place::Nowhere,
    }
}

/// Reads the file, if there is one, and no more of it than shows that it is too large.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let failed = |error: io::Error| {
        let message = format!("cannot read docker's configuration {}", path.display());
        Error::of_foreign(ErrorKind::Io, message, error)
    };
    let kind = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?.file_type(),
    };
    // Also because reading from a pipe may never end.
    if !kind.is_file() {
        return Err(Error::invalid(format!(
            "{} is not a file; docker's configuration is one, usually config.json in a folder .docker",
            path.display()
        )));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    let bound = MAX_CONFIG_SIZE as u64 + 1;
    file.take(bound).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}
