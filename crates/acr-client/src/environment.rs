//! The client's settings in environment variables.

use std::env::{self, VarError};

use crate::auth::{Credential, without_line_break};
use crate::error::Error;

/// What the environment says.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) endpoint: String,
    pub(crate) credential: Credential,
}

impl Environment {
    /// Reads the variables of this process.
    pub(crate) fn read() -> Result<Self, Error> {
        Self::from_lookup(variable)
    }

    /// Reads the variables by a function.
    fn from_lookup(lookup: impl Fn(&str) -> Result<Option<String>, Error>) -> Result<Self, Error> {
        let endpoint = trimmed(lookup(ENDPOINT)?);
        let endpoint = endpoint.ok_or_else(|| {
            Error::invalid(format!(
                "the variable {ENDPOINT} is not set; it names the registry, such as \
                 https://name.azurecr.io"
            ))
        })?;
        Ok(Self {
            endpoint,
            credential: Credential::from_lookup(lookup)?,
        })
    }
}

impl Credential {
    /// Reads the credential that the environment names, as
    /// [`ClientBuilder::from_env`](crate::ClientBuilder::from_env) does: user name and password, or a
    /// refresh token, or an Entra token; anonymous if it names none.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the environment names two credentials, half of one, or one
    /// that only `azure_identity` can use; the error names the variables.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_lookup(variable)
    }

    /// Reads the variables by a function; one that is empty counts as one that is not set.
    fn from_lookup(lookup: impl Fn(&str) -> Result<Option<String>, Error>) -> Result<Self, Error> {
        let lookup = |name: &str| Ok::<_, Error>(trimmed(lookup(name)?));
        let password = match (lookup(USERNAME)?, lookup(PASSWORD)?) {
            (Some(user), Some(password)) => Some(Self::password(user, password)),
            (Some(_), None) => return Err(alone(USERNAME, PASSWORD)),
            (None, Some(_)) => return Err(alone(PASSWORD, USERNAME)),
            (None, None) => None,
        };
        let refresh_token = lookup(REFRESH_TOKEN)?.map(Self::refresh_token);
        let entra_token = lookup(ENTRA_TOKEN)?.map(Self::entra_token);
        let mut credential = None;
        for (name, found) in [
            (USERNAME, password),
            (REFRESH_TOKEN, refresh_token),
            (ENTRA_TOKEN, entra_token),
        ] {
            match (&credential, found) {
                (_, None) => {}
                (None, Some(found)) => credential = Some((name, found)),
                (Some((other, _)), Some(_)) => {
                    return Err(Error::invalid(format!(
                        "the variables {other} and {name} are both set; a client has one credential"
                    )));
                }
            }
        }
        if let Some((_, credential)) = credential {
            return Ok(credential);
        }
        for name in OF_AZURE_IDENTITY {
            if lookup(name)?.is_some() {
                return Err(Error::invalid(format!(
                    "the variable {name} is set, which is for the crate azure_identity; give its \
                     credential to Credential::token_credential (feature azure-core), or put a \
                     token into {ENTRA_TOKEN}; a TokenSource brings tokens from elsewhere"
                )));
            }
        }
        Ok(Self::anonymous())
    }
}

fn variable(name: &str) -> Result<Option<String>, Error> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => {
            Err(Error::invalid(format!("the variable {name} is not UTF-8")))
        }
    }
}

/// The value of a variable that says something. What is put there from a file has its line break at the
/// end, which belongs to no secret.
fn trimmed(value: Option<String>) -> Option<String> {
    let value = without_line_break(&value?).to_owned();
    Some(value).filter(|value| !value.is_empty())
}

fn alone(set: &str, missing: &str) -> Error {
    Error::invalid(format!("the variable {set} is set, but {missing} is not"))
}

const ENDPOINT: &str = "AZURE_CONTAINERREGISTRY_ENDPOINT";
const USERNAME: &str = "AZURE_CONTAINERREGISTRY_USERNAME";
const PASSWORD: &str = "AZURE_CONTAINERREGISTRY_PASSWORD";
const REFRESH_TOKEN: &str = "AZURE_CONTAINERREGISTRY_REFRESH_TOKEN";
const ENTRA_TOKEN: &str = "AZURE_CONTAINERREGISTRY_ENTRA_TOKEN";
const OF_AZURE_IDENTITY: [&str; 3] = ["AZURE_CLIENT_SECRET", "AZURE_CLIENT_ID", "AZURE_TENANT_ID"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn read(variables: &[(&str, &str)]) -> Result<Environment, Error> {
        Environment::from_lookup(|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            Ok(found.map(|(_, value)| (*value).to_owned()))
        })
    }

    #[test]
    fn each_kind_of_credential_is_found() {
        let endpoint = (ENDPOINT, "https://r.example");
        for (variables, shown) in [
            (&[endpoint][..], "Anonymous"),
            (&[endpoint, (USERNAME, ""), (ENTRA_TOKEN, "")], "Anonymous"),
            (&[endpoint, (USERNAME, "u"), (PASSWORD, "p")], "Password"),
            (&[endpoint, (REFRESH_TOKEN, "t")], "RefreshToken"),
            (
                &[endpoint, (ENTRA_TOKEN, "t"), ("AZURE_CLIENT_ID", "x")],
                "Entra",
            ),
        ] {
            let environment = read(variables).unwrap();
            assert_eq!(environment.endpoint, "https://r.example");
            let text = format!("{:?}", environment.credential);
            assert!(text.starts_with(shown), "{text}");
        }
    }

    #[test]
    fn what_is_missing_or_double_is_named() {
        let endpoint = (ENDPOINT, "https://r.example");
        for (variables, named) in [
            (&[][..], &[ENDPOINT][..]),
            (&[endpoint, (USERNAME, "u")], &[USERNAME, PASSWORD]),
            (&[endpoint, (PASSWORD, "p")], &[USERNAME, PASSWORD]),
            (
                &[endpoint, (REFRESH_TOKEN, "t"), (ENTRA_TOKEN, "t")],
                &[REFRESH_TOKEN, ENTRA_TOKEN],
            ),
            (
                &[
                    endpoint,
                    (USERNAME, "u"),
                    (PASSWORD, "p"),
                    (REFRESH_TOKEN, "t"),
                ],
                &[USERNAME, REFRESH_TOKEN],
            ),
            (
                &[endpoint, ("AZURE_CLIENT_SECRET", "hunter2")],
                &[
                    "AZURE_CLIENT_SECRET",
                    "TokenSource",
                    "Credential::token_credential",
                    "azure-core",
                ],
            ),
        ] {
            let error = read(variables).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let text = error.to_string();
            assert!(named.iter().all(|name| text.contains(name)), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn the_line_break_of_the_file_a_secret_was_read_from_is_no_part_of_it() {
        let endpoint = (ENDPOINT, "https://r.example\r\n");
        for variables in [
            &[endpoint, (USERNAME, "u\n"), (PASSWORD, "p\r\n")][..],
            &[endpoint, (REFRESH_TOKEN, "t\n")],
        ] {
            let environment = read(variables).unwrap();
            assert_eq!(environment.endpoint, "https://r.example");
            environment.credential.check().unwrap();
        }
        // A password that is only that is none.
        let error = read(&[endpoint, (USERNAME, "u"), (PASSWORD, "\n")]).unwrap_err();
        assert!(error.to_string().contains(PASSWORD), "{error}");
        // What is inside is not a line break of a file.
        let odd = read(&[endpoint, (REFRESH_TOKEN, "t\nt")]).unwrap();
        odd.credential.check().unwrap_err();
    }
}
