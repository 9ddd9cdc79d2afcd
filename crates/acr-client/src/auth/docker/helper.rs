//! Programs that keep docker's credentials.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use docker_credential::CredentialRetrievalError as Failure;
use futures_util::FutureExt;
use futures_util::future::{RemoteHandle, Shared};
use serde_json::json;

use super::convert::{NoUser, identity};
use crate::auth::credential::Identity;
use crate::error::{Error, ErrorKind};

/// A program and what it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Helper {
    /// What follows `docker-credential-`.
    name: String,
    address: String,
}

pub(super) type Outcome = Result<Option<Identity>, Error>;

impl Helper {
    /// Takes a name that can be the end of a program's name and nothing else: no path, no option.
    pub(super) fn new(name: &str, address: &str) -> Option<Self> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let usable = !name.is_empty() && !name.starts_with('-') && name.chars().all(allowed);
        usable.then(|| Self {
            name: name.to_owned(),
            address: address.to_owned(),
        })
    }

    /// The program's name.
    pub(super) fn program(&self) -> String {
        format!("docker-credential-{}", self.name)
    }

    /// An error that says of the program what it did, and what can be done.
    pub(super) fn failed(&self, what: &str) -> Error {
        let (program, address) = (self.program(), &self.address);
        Error::new(
            ErrorKind::Credential,
            format!("the credential helper {program}, asked for {address}, {what}"),
        )
    }

    /// Runs the program and waits for its end. What it printed is in no error, since it may hold the secret.
    fn run(&self) -> Outcome {
        let (address, name) = (self.address.as_str(), self.name.as_str());
        let config = json!({ "credHelpers": { address: name } }).to_string();
        match docker_credential::get_credential_from_reader(config.as_bytes(), address) {
            Ok(found) => identity(found)
                .map_err(|NoUser| self.failed("responded with a secret, but without a user name")),
            Err(Failure::HelperFailure { stdout, .. }) => match stdout.trim() {
                NOT_FOUND => Ok(None),
                said @ (NO_SERVER | NO_USER) => Err(self.failed(&format!("says: {said}"))),
                _ => Err(self.failed(
                    "failed; what it printed is not shown, as it may hold a secret; run it by hand \
                     to see why",
                )),
            },
            Err(Failure::MalformedHelperResponse) => {
                Err(self.failed("did not respond with a user name and a secret in JSON"))
            }
            Err(_) => {
                Err(self
                    .failed("could not be run; it must be in the PATH and read its standard input"))
            }
        }
    }
}

/// The programs that are running.
///
/// A program that nobody waits for any more still runs, and may still be asking a person for a PIN. Who
/// needs its response next waits for it, so that there are never two of it for one registry.
#[derive(Clone, Default)]
pub(super) struct Running(Arc<Mutex<HashMap<Helper, SharedOutcome>>>);

/// A response to come.
type SharedOutcome = Shared<RemoteHandle<Outcome>>;

impl Running {
    /// Waits for the helper if it runs, and starts it otherwise.
    pub(super) fn ask(&self, helper: &Helper) -> Result<SharedOutcome, Error> {
        let mut running = self.lock();
        if let Some(response) = running.get(helper) {
            return Ok(response.clone());
        }
        let work = {
            let (this, helper) = (self.clone(), helper.clone());
            async move {
                let outcome = helper.run();
                // Before the response is there, so that nobody takes it for one to a later question.
                this.lock().remove(&helper);
                outcome
            }
        };
        let (work, response) = work.remote_handle();
        // A thread, because the program is waited for without a limit, which would block the caller's
        // runtime; nothing else is known of that runtime. The thread ends with the program.
        thread::Builder::new()
            .name(helper.program())
            .spawn(move || work.now_or_never())
            .map_err(|error| {
                let message = "no thread could be started to ask a credential helper";
                Error::of_foreign(ErrorKind::Io, message, error)
            })?;
        let response = response.shared();
        running.insert(helper.clone(), response.clone());
        Ok(response)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Helper, SharedOutcome>> {
        // Nothing panics while the lock is held; if it did, the map would still be whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What helpers print when they have nothing, and when they are asked for nothing; their protocol has
/// no other sign.
const NOT_FOUND: &str = "credentials not found in native keychain";
const NO_SERVER: &str = "no credentials server URL";
const NO_USER: &str = "no credentials username";
