/// The audience (`aud`) that an Entra ID token must have to be accepted by a registry.
///
/// The client derives it from the registry's host and hands it to a
/// [`TokenSource`](crate::auth::TokenSource); the builder's
/// [`audience`](crate::ClientBuilder::audience) overrides it. Only Entra ID credentials use it.
///
/// | host | audience |
/// |---|---|
/// | `*.azurecr.cn` | [`CONTAINER_REGISTRY_CHINA`](Self::CONTAINER_REGISTRY_CHINA) |
/// | `*.azurecr.us` | [`CONTAINER_REGISTRY_US_GOVERNMENT`](Self::CONTAINER_REGISTRY_US_GOVERNMENT) |
/// | any other | [`CONTAINER_REGISTRY`](Self::CONTAINER_REGISTRY) |
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[doc(alias = "ContainerRegistryAudience")]
#[doc(alias = "KnownContainerRegistryAudience")]
pub struct Audience(std::borrow::Cow<'static, str>);

impl Audience {
    /// The registry's own audience, in the public cloud and wherever nothing else is known.
    pub const CONTAINER_REGISTRY: Self = Self::known("https://containerregistry.azure.net");
    /// The registry's own audience in Azure China.
    pub const CONTAINER_REGISTRY_CHINA: Self = Self::known("https://containerregistry.azure.cn");
    /// The registry's own audience in Azure US Government.
    pub const CONTAINER_REGISTRY_US_GOVERNMENT: Self =
        Self::known("https://containerregistry.azure.us");
    /// Azure Resource Manager in the public cloud; what `az account get-access-token` asks for.
    #[doc(alias = "AzureResourceManagerPublicCloud")]
    pub const RESOURCE_MANAGER: Self = Self::known("https://management.azure.com");
    /// Azure Resource Manager in Azure China.
    #[doc(alias = "AzureResourceManagerChina")]
    pub const RESOURCE_MANAGER_CHINA: Self = Self::known("https://management.chinacloudapi.cn");
    /// Azure Resource Manager in Azure US Government.
    #[doc(alias = "AzureResourceManagerGovernment")]
    pub const RESOURCE_MANAGER_US_GOVERNMENT: Self =
        Self::known("https://management.usgovcloudapi.net");

    /// Returns the audience of the registry at a host, by the host's suffix.
    #[must_use]
    pub fn of_host(host: &str) -> Self {
        let host = host.to_ascii_lowercase();
        let cloud = CLOUDS
            .into_iter()
            .find(|(suffix, _)| host.ends_with(suffix));
        cloud.map_or(Self::CONTAINER_REGISTRY, |(_, audience)| audience)
    }

    /// Whether a host is that of an Azure container registry, whose challenges are known beforehand.
    ///
    /// Only `name.azurecr.io` and its like: hosts with more in front, such as those of one region, may
    /// name another service in theirs.
    pub(crate) fn is_azure_host(host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        CLOUDS.iter().any(|(suffix, _)| {
            let name = host.strip_suffix(suffix);
            name.is_some_and(|name| !name.is_empty() && !name.contains('.'))
        })
    }

    /// Returns the audience as text, such as `https://containerregistry.azure.net`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the audience as an OAuth 2 scope, which is what Entra ID libraries ask for: the text
    /// with `/.default` behind it.
    #[must_use]
    pub fn default_scope(&self) -> String {
        format!("{}/.default", self.0.trim_end_matches('/'))
    }

    const fn known(text: &'static str) -> Self {
        Self(std::borrow::Cow::Borrowed(text))
    }
}

impl std::fmt::Display for Audience {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl From<&str> for Audience {
    fn from(text: &str) -> Self {
        Self(text.to_owned().into())
    }
}

impl From<String> for Audience {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

/// The registries of the public cloud, of China and of US Government, and whom tokens for them are for.
const CLOUDS: [(&str, Audience); 3] = [
    (".azurecr.io", Audience::CONTAINER_REGISTRY),
    (".azurecr.cn", Audience::CONTAINER_REGISTRY_CHINA),
    (".azurecr.us", Audience::CONTAINER_REGISTRY_US_GOVERNMENT),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audience_follows_the_suffix_of_the_host() {
        for (host, audience) in [
            ("a.azurecr.io", Audience::CONTAINER_REGISTRY),
            ("A.AZURECR.CN", Audience::CONTAINER_REGISTRY_CHINA),
            ("a.azurecr.us", Audience::CONTAINER_REGISTRY_US_GOVERNMENT),
            ("azurecr.us.example", Audience::CONTAINER_REGISTRY),
            ("127.0.0.1", Audience::CONTAINER_REGISTRY),
        ] {
            assert_eq!(Audience::of_host(host), audience, "{host}");
        }
    }

    #[test]
    fn an_azure_host_is_known_by_its_suffix() {
        for host in ["a.azurecr.io", "A.AZURECR.CN", "a.azurecr.us"] {
            assert!(Audience::is_azure_host(host), "{host}");
        }
        for host in [
            "azurecr.io",
            ".azurecr.io",
            "a.region.geo.azurecr.io",
            "a.azurecr.io.example",
            "mcr.microsoft.com",
        ] {
            assert!(!Audience::is_azure_host(host), "{host}");
        }
    }

    #[test]
    fn a_scope_has_one_slash() {
        assert_eq!(
            Audience::from("https://management.azure.com/").default_scope(),
            "https://management.azure.com/.default"
        );
    }
}
