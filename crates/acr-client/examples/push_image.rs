//! Pushes an image with all its platforms from an OCI image layout, a folder or a tar archive, such as
//! `skopeo copy .. oci:FOLDER` and `oci-archive:FILE` write.
//!
//! ```text
//! cargo run -p acr-client --example push_image [LAYOUT REPOSITORY TAG]
//! ```
//!
//! Without `AZURE_CONTAINERREGISTRY_ENDPOINT` in the environment it runs on a mock inside this program.

use std::fs;
use std::path::{Path, PathBuf};

use acr_client::image::{self, CopyOptions, Layout};
use acr_client::transport::from_fn;
use acr_client::{
    ContainerRegistryClient, Credential, Descriptor, ImageIndex, ImageManifest, Manifest,
    MediaType, Outcome,
};
use acr_mock::Registry;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let mut arguments = std::env::args().skip(1);
    let layout = match arguments.next() {
        Some(layout) => PathBuf::from(layout),
        None => sample()?,
    };
    let name = arguments.next().unwrap_or_else(|| "samples/app".to_owned());
    let tag = arguments.next().unwrap_or_else(|| "v1".to_owned());
    let repository = connect()?.repository_client(name)?;

    let layout = Layout::open(layout)?;
    let pushed = image::push(&layout, (&repository, &*tag), CopyOptions::default()).await?;

    for image in &pushed.images {
        println!("{}:{tag} is {}", repository.name(), image.descriptor.digest);
    }
    let (sent, present) = (pushed.count(Outcome::Sent), pushed.count(Outcome::Present));
    println!("{sent} blobs and manifests sent, {present} present");
    Ok(())
}

/// Writes an image with one small layer, as an OCI image layout.
fn sample() -> Result<PathBuf> {
    let folder = std::env::temp_dir().join("acr-push-image");
    fs::create_dir_all(folder.join("blobs/sha256"))?;
    let write = |media_type, bytes: &[u8]| -> Result<Descriptor> {
        let content = Descriptor::of(media_type, bytes);
        let file = Path::new("blobs/sha256").join(content.digest.hex());
        fs::write(folder.join(file), bytes)?;
        Ok(content)
    };
    let config = br#"{"architecture":"amd64","os":"linux"}"#;
    let config = write(MediaType::OCI_CONFIG, config)?;
    let layer = write(MediaType::OCTET_STREAM, b"content of the layer")?;
    let image = Manifest::try_from(&ImageManifest::new(config, vec![layer]))?;
    let image = write(image.media_type, &image.bytes)?;
    let index = Manifest::try_from(&ImageIndex::new(vec![image]))?;
    fs::write(folder.join("index.json"), &index.bytes)?;
    let version = r#"{"imageLayoutVersion":"1.0.0"}"#;
    fs::write(folder.join("oci-layout"), version)?;
    Ok(folder)
}

/// Connects to the registry that the environment names, or to a mock inside this program.
fn connect() -> Result<ContainerRegistryClient> {
    if std::env::var_os("AZURE_CONTAINERREGISTRY_ENDPOINT").is_some() {
        return Ok(ContainerRegistryClient::from_env()?);
    }
    let mock = Registry::new();
    Ok(ContainerRegistryClient::builder("https://mock.azurecr.io")
        .credential(Credential::entra_token("any"))
        .transport(from_fn(mock.handler()))
        .build()?)
}
