//! Which manifest of an index a machine runs, as containerd's package `platforms` decides it: spellings are normalised,
//! and a machine that runs several variants is given the best of them.

use crate::descriptor::Platform;

impl Platform {
    /// The same platform in Go's words, without what goes without saying: `x86_64` is `amd64`, `aarch64` and `arm64/v8` are
    /// `arm64`, `arm` is `arm/v7`, `macos` is `darwin`.
    #[must_use]
    pub fn normalized(&self) -> Self {
        let os = match self.os.to_ascii_lowercase() {
            os if os == "macos" => "darwin".to_owned(),
            os => os,
        };
        let architecture = self.architecture.to_ascii_lowercase();
        let variant = self.variant.as_deref().unwrap_or_default();
        let variant = variant.to_ascii_lowercase();
        let variant = variant.strip_prefix("arm").unwrap_or(&variant);
        let (architecture, variant) = normalize(&architecture, variant);
        Self {
            architecture,
            os,
            variant: Some(variant).filter(|variant| !variant.is_empty()),
            ..self.clone()
        }
    }

    /// What this machine runs, the best first, each normalised: an `arm/v7` also v6 and v5, an `amd64/v3` also v2, v1 and
    /// `386`, an `arm64` also `arm/v8` and what that runs.
    pub(crate) fn runs(&self) -> Vec<Self> {
        let own = self.normalized();
        let with = |architecture: &str, variant: Option<u32>| Self {
            architecture: architecture.to_owned(),
            variant: variant.map(|variant| format!("v{variant}")),
            ..own.clone()
        };
        let version = own.variant.as_deref().and_then(version);
        let mut all = vec![own.clone()];
        match own.architecture.as_str() {
            "amd64" => {
                let lower = (2..version.unwrap_or(1)).rev();
                all.extend(lower.map(|version| with("amd64", Some(version))));
                all.extend((version > Some(1)).then(|| with("amd64", None)));
                all.push(with("386", None));
            }
            "arm" => {
                let lower = (5..version.unwrap_or(5)).rev();
                all.extend(lower.map(|version| with("arm", Some(version))));
            }
            "arm64" => {
                let lower = (9..version.unwrap_or(8)).rev();
                all.extend(lower.map(|version| with("arm64", Some(version))));
                all.extend((version > Some(8)).then(|| with("arm64", None)));
                all.extend((5..=8).rev().map(|version| with("arm", Some(version))));
            }
            _ => {}
        }
        all
    }

    /// Whether an image for `other` is one for this platform, both normalised.
    pub(crate) fn takes(&self, other: &Self) -> bool {
        self.os == other.os
            && self.architecture == other.architecture
            && self.variant == other.variant
            && self.takes_version(other)
    }

    /// An image for Windows is for one build of it. What either side leaves open fits all.
    fn takes_version(&self, other: &Self) -> bool {
        let build = |platform: &Self| {
            let version = platform.os_version.clone().unwrap_or_default();
            let parts = version.split('.').take(3).map(str::to_owned);
            (!version.is_empty()).then(|| parts.collect::<Vec<_>>())
        };
        match (build(self), build(other)) {
            (Some(own), Some(other)) if self.os == "windows" => own == other,
            _ => true,
        }
    }
}

/// The number in `v7`. Bounded, since it comes from a registry.
fn version(variant: &str) -> Option<u32> {
    let number = variant.strip_prefix('v')?.parse().ok()?;
    (number < 100).then_some(number)
}

fn normalize(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = match (architecture, variant) {
        ("i386" | "i486" | "i586" | "i686" | "x86", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1" | "1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8" | "8.0" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", variant) => ("arm64", variant),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        ("arm", "") => ("arm", "v7"),
        // What `uname -m` says.
        ("armv5" | "armv5l" | "armv5tel", _) => ("arm", "v5"),
        ("armv6" | "armv6l", _) => ("arm", "v6"),
        ("armv7" | "armv7l", _) => ("arm", "v7"),
        ("armv8" | "armv8l", _) => ("arm", "v8"),
        other => other,
    };
    let is_number = !variant.is_empty() && variant.bytes().all(|b| b.is_ascii_digit());
    let v = if is_number { "v" } else { "" };
    (architecture.to_owned(), format!("{v}{variant}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::Descriptor;
    use crate::manifest::ImageIndex;
    use crate::media_type::MediaType;

    /// `os/architecture[/variant][@version]`
    fn platform(text: &str) -> Platform {
        let (text, os_version) = text.split_once('@').unwrap_or((text, ""));
        let mut parts = text.split('/');
        let mut platform = Platform::new(parts.next().unwrap(), parts.next().unwrap());
        platform.variant = parts.next().map(str::to_owned);
        platform.os_version = Some(os_version.to_owned()).filter(|text| !text.is_empty());
        platform
    }

    #[test]
    fn spellings_are_normalised_as_containerd_does() {
        for (written, normalized) in [
            ("Linux/AMD64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/x86-64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/i386/v2", "linux/386"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm64/8", "linux/arm64"),
            ("linux/arm64/armv8", "linux/arm64"),
            ("linux/arm64/v9", "linux/arm64/v9"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/7", "linux/arm/v7"),
            ("linux/arm/armv6", "linux/arm/v6"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/armv7l", "linux/arm/v7"),
            ("linux/armv8", "linux/arm/v8"),
            ("macos/arm64", "darwin/arm64"),
            ("linux/s390x", "linux/s390x"),
            ("unknown/unknown", "unknown/unknown"),
        ] {
            assert_eq!(
                platform(written).normalized().to_string(),
                normalized,
                "{written}"
            );
        }
    }

    #[test]
    fn a_machine_is_given_the_best_of_what_it_runs() {
        for (asked, index, found) in [
            ("linux/arm64/v8", "linux/arm64", Some(0)),
            ("linux/arm64", "linux/arm64/v8", Some(0)),
            ("linux/aarch64", "linux/amd64 linux/arm64/v8", Some(1)),
            ("linux/arm64", "linux/arm64/v9", None),
            ("linux/arm64/v9", "linux/arm64 linux/arm64/v9", Some(1)),
            ("linux/arm64/v9", "linux/arm/v7 linux/arm64", Some(1)),
            ("linux/arm64", "linux/arm/v6 linux/arm/v7", Some(1)),
            (
                "linux/arm/v7",
                "linux/arm/v5 linux/arm/v6 linux/arm/v7",
                Some(2),
            ),
            ("linux/arm/v7", "linux/arm/v5 linux/arm/v6", Some(1)),
            ("linux/arm/v7", "linux/arm/v5", Some(0)),
            ("linux/arm/v7", "linux/arm64 linux/arm/v8", None),
            ("linux/arm", "linux/arm/v6 linux/arm", Some(1)),
            ("linux/arm/v6", "linux/arm/v7", None),
            ("linux/amd64", "linux/amd64/v2 linux/amd64", Some(1)),
            ("linux/amd64", "linux/amd64/v2", None),
            (
                "linux/amd64/v3",
                "linux/amd64 linux/amd64/v2 linux/amd64/v4",
                Some(1),
            ),
            ("linux/amd64/v3", "linux/386 linux/amd64/v1", Some(1)),
            ("linux/amd64", "linux/i386", Some(0)),
            ("linux/x86_64", "windows/amd64 linux/amd64", Some(1)),
            ("linux/amd64", "unknown/unknown", None),
            ("linux/amd64/v4000000000", "linux/amd64", None),
            (
                "windows/amd64@10.0.17763.1",
                "windows/amd64@10.0.20348.5 windows/amd64@10.0.17763.9",
                Some(1),
            ),
            ("windows/amd64", "windows/amd64@10.0.20348.5", Some(0)),
        ] {
            let entries = index.split(' ').map(|entry| {
                Descriptor::of(MediaType::OCI_MANIFEST, entry).with_platform(platform(entry))
            });
            let index = ImageIndex::new(entries.collect());
            let best = index.for_platform(&platform(asked));
            let place = best.and_then(|best| index.manifests.iter().position(|m| m == best));
            assert_eq!(place, found, "{asked} of {:?}", index.manifests);
        }
    }
}
