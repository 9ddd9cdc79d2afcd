//! The production name of a registry, and the other names that its clients meet: those of its data and of Entra ID.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// The name of a registry at one of the service's clouds, such as `myregistry.azurecr.io`.
///
/// ```
/// let name: acr_mock::RegistryName = "MyRegistry".parse()?;
/// assert_eq!(name.login_server(), "myregistry.azurecr.io");
/// # Ok::<(), acr_mock::InvalidRegistryName>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RegistryName {
    login_server: String,
    data_host: String,
}

/// It is not the name of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is the name of a registry, 5 to 50 letters and digits, alone or with .azurecr.io, .azurecr.cn or .azurecr.us"
)]
pub struct InvalidRegistryName;

impl RegistryName {
    /// The host by which clients know the registry.
    #[must_use]
    pub fn login_server(&self) -> &str {
        &self.login_server
    }

    /// The host of the data origin, to which the registry redirects whoever reads a blob.
    #[must_use]
    pub fn data_host(&self) -> &str {
        &self.data_host
    }

    /// Every name that comes with this one: the registry, its data, Entra's hosts.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &str> + Clone {
        [self.login_server(), self.data_host()]
            .into_iter()
            .chain(LOGIN_HOSTS)
    }

    /// The registry's URL, which a program has in production.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("https://{}", self.login_server)
    }
}

impl FromStr for RegistryName {
    type Err = InvalidRegistryName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.to_ascii_lowercase();
        let (name, cloud) = match text.split_once('.') {
            None => (text.as_str(), Some(&CLOUDS[0])),
            Some((name, domain)) => (name, CLOUDS.iter().find(|cloud| cloud.registries == domain)),
        };
        let cloud = cloud.ok_or(InvalidRegistryName)?;
        // Behind a hyphen stands the hash of a registry whose name is unique only with it.
        let (plain, hash) = match name.split_once('-') {
            None => (name, None),
            Some((plain, hash)) => (plain, Some(hash)),
        };
        let is_word = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let is_name = (5..=50).contains(&plain.len())
            && is_word(plain)
            && hash.is_none_or(|hash| !hash.is_empty() && is_word(hash))
            && name.len() <= 63;
        if !is_name {
            return Err(InvalidRegistryName);
        }
        let login_server = format!("{name}.{}", cloud.registries);
        // The service's Location names an account of its storage. The account is chosen here, another for each registry.
        let hash = hex::encode(Sha256::digest(&login_server));
        let data_host = format!("acrmock{}.blob.{}", &hash[..12], cloud.storage);
        Ok(Self {
            login_server,
            data_host,
        })
    }
}

/// As the login server.
impl fmt::Display for RegistryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.login_server)
    }
}

/// Entra's hosts, of every cloud: a program may sign in at one and use a registry of another.
pub(super) const LOGIN_HOSTS: [&str; 4] = [
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.chinacloudapi.cn",
    "login.partner.microsoftonline.cn",
];

/// Where a virtual machine asks for the tokens of its managed identities, over plain http.
pub(super) const METADATA_HOST: &str = "169.254.169.254";

struct Cloud {
    registries: &'static str,
    storage: &'static str,
}

const CLOUDS: [Cloud; 3] = [
    Cloud {
        registries: "azurecr.io",
        storage: "core.windows.net",
    },
    Cloud {
        registries: "azurecr.cn",
        storage: "core.chinacloudapi.cn",
    },
    Cloud {
        registries: "azurecr.us",
        storage: "core.usgovcloudapi.net",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_with_and_without_its_cloud_and_nothing_else_is() {
        for (text, login_server, storage) in [
            (
                "myregistry",
                "myregistry.azurecr.io",
                ".blob.core.windows.net",
            ),
            (
                "MyRegistry.azurecr.IO",
                "myregistry.azurecr.io",
                ".blob.core.windows.net",
            ),
            (
                "abc12.azurecr.cn",
                "abc12.azurecr.cn",
                ".blob.core.chinacloudapi.cn",
            ),
            (
                "abcde.azurecr.us",
                "abcde.azurecr.us",
                ".blob.core.usgovcloudapi.net",
            ),
            (
                "abcde-f00",
                "abcde-f00.azurecr.io",
                ".blob.core.windows.net",
            ),
        ] {
            let name: RegistryName = text.parse().unwrap();
            assert_eq!(name.login_server(), login_server);
            let account = name.data_host().strip_suffix(storage).unwrap();
            assert!((3..=24).contains(&account.len()), "{account}");
        }
        let long = "a".repeat(51);
        for text in [
            "",
            "abcd",
            &long,
            "my_registry",
            "myregistry.",
            ".azurecr.io",
            "myregistry.azurecr.io.",
            "myregistry.azurecr.io:443",
            "myregistry.example.com",
            "https://myregistry.azurecr.io",
            "myregistry-",
            "myregistry-a-b",
            "my.registry.azurecr.io",
            "127.0.0.1",
            "a\u{e4}bcde",
        ] {
            assert_eq!(
                text.parse::<RegistryName>(),
                Err(InvalidRegistryName),
                "{text}"
            );
        }
    }
}
