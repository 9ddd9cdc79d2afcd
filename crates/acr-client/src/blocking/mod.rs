//! The same client for programs without an async runtime.
//!
//! Each operation has the name and the arguments of its async twin and returns when it is done.
//! Lists are iterators, blobs are readers; options, errors and everything else are the same types.
//! Whole images are copied by the functions of [`image`].
//!
//! ```
//! use acr_client::Credential;
//! use acr_client::blocking::ContainerRegistryClient;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let client = ContainerRegistryClient::new("https://name.azurecr.io", Credential::anonymous())?;
//! # let registry = acr_mock::Registry::new();
//! # registry.seed("samples/app")?.image("v1")?;
//! # let client = ContainerRegistryClient::builder("https://mock.azurecr.io")
//! #     .credential(Credential::entra_token("any"))
//! #     .transport(acr_client::transport::from_fn(registry.handler()))
//! #     .build_blocking()?;
//! let repository = client.repository_client("samples/app")?;
//! for tag in repository.list_tag_properties() {
//!     let tag = tag?;
//!     println!("{} {} {}", tag.name, tag.digest, tag.last_updated_on);
//! }
//!
//! let manifest = repository.get_manifest("v1")?;
//! for blob in manifest.as_image()?.blobs() {
//!     let file = blob.digest.hex();
//! #   let file = folder.path().join(file);
//!     repository.download_blob(&blob.digest)?.save(file)?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Handles are cheap to clone and may be used from several threads at once.
//!
//! # The thread behind it
//!
//! Each client has one thread of its own, which keeps the connections between calls; the clones,
//! lists and readers of the client share it. It ends with the last of them. What a call does itself
//! is done by the thread that calls, so a reader that an upload reads from may use a blocking client
//! too, and a blob is copied from one registry to another through the memory of two chunks:
//!
//! ```
//! use acr_client::BlobSource;
//! # use acr_client::blocking::ContainerRegistryClient;
//! # use acr_client::{Credential, transport::from_fn};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let registry = acr_mock::Registry::new();
//! # let client = ContainerRegistryClient::builder("https://mock.azurecr.io")
//! #     .credential(Credential::entra_token("any"))
//! #     .transport(from_fn(registry.handler()))
//! #     .build_blocking()?;
//! # let (there, here) = (client.repository_client("there")?, client.repository_client("here")?);
//! # let digest = there.upload_blob(b"Sample layer")?.digest;
//! let blob = there.download_blob(&digest)?;
//! let copy = here.upload_blob(BlobSource::reader(blob))?;
//! assert_eq!(copy.digest, digest);
//! # Ok(())
//! # }
//! ```
//!
//! # Within an async runtime
//!
//! A call would block a thread that has other work to do there. It is an error of the kind
//! [`InvalidInput`](crate::ErrorKind::InvalidInput) instead, on every thread on which a tokio runtime
//! is the current one; those of tokio's `spawn_blocking` are among them, those of [`std::thread`]
//! are not. Making and dropping a client is allowed everywhere.

mod authorized;
mod blob;
mod client;
pub mod image;
mod operations;
mod paging;
mod repository;
mod runtime;
mod upload;

pub use self::blob::BlobReader;
pub use self::client::ContainerRegistryClient;
pub use self::paging::{Pager, Pages};
pub use self::repository::RepositoryClient;
pub(crate) use self::runtime::Runtime;
pub use self::upload::BlobUpload;
