//! Content for tests: images, indexes and artifacts that are there before the first request.

use acr_protocol::manifest::SetManifest;
use acr_protocol::{
    Descriptor, Digest, ImageIndex, ImageManifest, InvalidReference, InvalidRepositoryName,
    Manifest, MediaType, Platform, Reference, RepositoryName, ScopeSet, Tag,
};
use bytes::Bytes;
use serde_json::json;

use crate::auth::{Login, Permissions, RefreshToken};
use crate::pause::without_pause;
use crate::registry::Registry;
use crate::store::Content;

impl Registry {
    /// A repository to put content into, past all credentials and locks.
    ///
    /// ```
    /// let registry = acr_mock::Registry::new();
    /// let app = registry.seed("samples/app")?;
    /// let image = app.image("v1")?;
    /// app.artifact(&image.digest, "application/vnd.example.signature")?;
    /// # Ok::<(), acr_mock::SeedError>(())
    /// ```
    ///
    /// # Errors
    /// The name is malformed.
    pub fn seed(&self, repository: impl AsRef<str>) -> Result<RepositorySeed, SeedError> {
        Ok(RepositorySeed {
            registry: self.clone(),
            repository: RepositoryName::new(repository)?,
        })
    }

    /// An access token for these scopes (such as `repository:samples/app:pull`), as the token endpoint would give it to
    /// one who may do everything; for requests that a test writes by hand.
    ///
    /// # Errors
    /// A scope is malformed.
    pub fn access_token(&self, scope: &str) -> Result<String, SeedError> {
        let scopes: ScopeSet = scope
            .parse()
            .map_err(|error: acr_protocol::InvalidScope| SeedError::Refused(error.to_string()))?;
        let login = Login::lasting(Permissions::All);
        Ok(self.issue_access_token(self.login_server(), "seed", &login, &scopes))
    }

    /// A refresh token, as the exchange would give it for this Entra token; `None` where that is refused.
    #[must_use]
    pub fn refresh_token(&self, entra_token: &str) -> Option<String> {
        let settings = self.settings();
        let subject = settings.identities.entra(entra_token)?;
        Some(self.tokens().refresh(&RefreshToken {
            audience: self.login_server(),
            subject: &subject,
            now: self.now(),
            life: settings.refresh_token_life,
            abac: settings.abac,
        }))
    }
}

/// A repository of a [`Registry`] that a test fills. What is put in passes the same checks as a push.
///
/// Every image and artifact has content of its own, so that no two have the same digest.
#[derive(Clone, Debug)]
pub struct RepositorySeed {
    registry: Registry,
    repository: RepositoryName,
}

impl RepositorySeed {
    /// The repository's name.
    #[must_use]
    pub fn name(&self) -> &RepositoryName {
        &self.repository
    }

    /// Puts a blob in.
    #[must_use = "the descriptor is how the blob is found again"]
    pub fn blob(&self, media_type: impl Into<MediaType>, bytes: impl Into<Bytes>) -> Descriptor {
        let bytes = self.registry.quota().hold(bytes.into());
        let descriptor = Descriptor::of(media_type, &bytes);
        self.registry.store().put_blob(
            &self.repository,
            descriptor.digest.clone(),
            Content::from_chunks(vec![bytes]),
            self.registry.now(),
        );
        descriptor
    }

    /// Puts a small image for linux/amd64 in, under a tag.
    ///
    /// # Errors
    /// The tag is malformed.
    pub fn image(&self, tag: impl AsRef<str>) -> Result<Manifest, SeedError> {
        let image = self.build_image(&Platform::new("linux", "amd64"));
        self.manifest(Some(tag.as_ref()), &image)
    }

    /// Puts a small image in that no tag points at.
    ///
    /// # Errors
    /// None that a caller could cause; the type is that of all seeds.
    pub fn untagged_image(&self) -> Result<Manifest, SeedError> {
        let image = self.build_image(&Platform::new("linux", "amd64"));
        self.manifest(None, &image)
    }

    /// Puts an index of two images in, for linux/amd64 and linux/arm64, under a tag. The images themselves have none.
    ///
    /// # Errors
    /// The tag is malformed.
    pub fn index(&self, tag: impl AsRef<str>) -> Result<Manifest, SeedError> {
        let mut children = Vec::new();
        for architecture in ["amd64", "arm64"] {
            let platform = Platform::new("linux", architecture);
            let child = self.manifest(None, &self.build_image(&platform))?;
            children.push(child.descriptor().with_platform(platform));
        }
        let index = Manifest::try_from(&ImageIndex::new(children))
            .map_err(|error| SeedError::Refused(error.to_string()))?;
        self.manifest(Some(tag.as_ref()), &index)
    }

    /// Puts an artifact in that refers to a subject: a signature, an SBOM. The subject need not exist.
    ///
    /// # Errors
    /// None that a caller could cause; the type is that of all seeds.
    pub fn artifact(
        &self,
        subject: &Digest,
        artifact_type: impl Into<MediaType>,
    ) -> Result<Manifest, SeedError> {
        let config = self.blob(MediaType::OCI_EMPTY, &b"{}"[..]);
        let layer = self.blob(
            MediaType::OCTET_STREAM,
            format!("artifact {}", self.registry.next_seed()),
        );
        let mut artifact = ImageManifest::new(config, vec![layer]);
        artifact.artifact_type = Some(artifact_type.into());
        artifact.subject = Some(Descriptor::new(MediaType::OCI_MANIFEST, subject.clone(), 0));
        let artifact =
            Manifest::try_from(&artifact).map_err(|error| SeedError::Refused(error.to_string()))?;
        self.manifest(None, &artifact)
    }

    /// Puts any manifest in, under a tag or none. What it names must be there.
    ///
    /// # Errors
    /// The tag is malformed, or the registry would refuse the push.
    pub fn manifest(&self, tag: Option<&str>, manifest: &Manifest) -> Result<Manifest, SeedError> {
        let reference = match tag {
            Some(tag) => Reference::Tag(Tag::new(tag).map_err(InvalidReference::from)?),
            None => Reference::Digest(manifest.digest.clone()),
        };
        let operation = SetManifest {
            repository: self.repository.clone(),
            reference,
            media_type: manifest.media_type.clone(),
            bytes: manifest.bytes.clone(),
            tags: Vec::new(),
        };
        let put = self.registry.put_manifest(&operation, self.registry.now());
        match without_pause(put) {
            Ok(_) => Ok(manifest.clone()),
            Err(refusal) => Err(SeedError::Refused(refusal.to_string())),
        }
    }

    fn build_image(&self, platform: &Platform) -> Manifest {
        let number = self.registry.next_seed();
        let layer = tar("seed.txt", format!("layer of seed {number}\n").as_bytes());
        let layer = self.blob(MediaType::OCI_LAYER, layer);
        let config = json!({
            "architecture": platform.architecture, "os": platform.os, "config": {},
            "rootfs": { "type": "layers", "diff_ids": [layer.digest] }
        });
        let config = self.blob(MediaType::OCI_CONFIG, config.to_string());
        let image = json!({
            "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "config": config, "layers": [layer]
        });
        Manifest::new(image.to_string(), MediaType::OCI_MANIFEST)
    }
}

/// A seed could not be put in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// The repository's name is malformed.
    #[error(transparent)]
    Name(#[from] InvalidRepositoryName),
    /// The tag is malformed.
    #[error(transparent)]
    Reference(#[from] InvalidReference),
    /// The registry would refuse it from a client too.
    #[error("the registry refuses the seed: {0}")]
    Refused(String),
}

/// A tar archive of one small file, so that a seed's layer is one that tools can unpack.
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 512;
    let mut header = [0_u8; BLOCK];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", content.len()));
    put(136, "00000000000\0");
    // The checksum is taken with blanks in its own place.
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = header.to_vec();
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
    archive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_seed_is_content_of_its_own() {
        let registry = Registry::new();
        let app = registry.seed("samples/app").unwrap();
        let (first, second, index) = (
            app.image("v1").unwrap(),
            app.untagged_image().unwrap(),
            app.index("v2").unwrap(),
        );
        assert!(first.digest != second.digest && second.digest != index.digest);
        let artifact = app.artifact(&first.digest, "application/x").unwrap();
        let store = registry.store();
        let repository = store.repository(app.name()).unwrap();
        assert_eq!(
            (repository.manifests().len(), repository.tags().len()),
            (6, 2)
        );
        let mut referrers = repository.manifests().referrers_of(&first.digest, None);
        assert_eq!(referrers.next().unwrap().digest, artifact.digest);
        let image = repository.manifests().get(first.digest.as_str()).unwrap();
        assert_eq!(
            (image.architecture(), image.operating_system()),
            (Some("amd64"), Some("linux"))
        );
    }

    #[test]
    fn a_seed_that_a_push_would_not_get_in_is_refused() {
        let registry = Registry::new();
        assert!(matches!(registry.seed("Wrong"), Err(SeedError::Name(_))));
        let app = registry.seed("samples/app").unwrap();
        assert!(matches!(app.image(".wrong"), Err(SeedError::Reference(_))));
        let config = Descriptor::of(MediaType::OCI_CONFIG, b"not there");
        let manifest = Manifest::try_from(&ImageManifest::new(config, Vec::new())).unwrap();
        let error = app.manifest(Some("v1"), &manifest).unwrap_err();
        assert!(
            error.to_string().contains("MANIFEST_BLOB_UNKNOWN"),
            "{error}"
        );
    }

    #[test]
    fn a_seeded_layer_is_a_tar_archive() {
        let archive = tar("seed.txt", b"hello");
        assert_eq!(archive.len(), 4 * 512);
        assert_eq!(&archive[257..263], b"ustar\0");
        let stated =
            u32::from_str_radix(std::str::from_utf8(&archive[148..154]).unwrap(), 8).unwrap();
        let mut header = archive[..512].to_vec();
        header[148..156].fill(b' ');
        assert_eq!(
            stated,
            header.iter().map(|byte| u32::from(*byte)).sum::<u32>()
        );
    }
}
