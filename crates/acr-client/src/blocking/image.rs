//! Whole images, for programs without an async runtime: the functions of [`acr_client::image`](crate::image), which has
//! the options and the details.
//!
//! Either side is a repository of a blocking client or a [`Layout`], written as there.
//!
//! ```no_run
//! use acr_client::blocking::{RepositoryClient, image};
//! use acr_client::image::{CopyOptions, Layout};
//!
//! # fn example(dev: RepositoryClient, prod: RepositoryClient) -> Result<(), acr_client::Error> {
//! image::copy((&dev, "v1"), (&prod, "v1"), CopyOptions::default())?;
//! image::pull((&prod, "v1"), &Layout::create_tar("app.tar"), CopyOptions::default())?;
//! # Ok(())
//! # }
//! ```
//!
//! Connections that a copy between two clients opens are driven by the [thread](super#the-thread-behind-it) of the
//! target's, so that one is dropped after all calls of the other have ended.

use acr_protocol::{Descriptor, Reference};

use super::{RepositoryClient, Runtime};
use crate::argument::Argument;
use crate::error::Error;
use crate::image::{self, Artifact, AttachOptions, Copied, CopyOptions, ImageLocation, Layout};

/// Copies an image with everything that it is made of.
///
/// # Errors
///
/// Those of the async [`copy`](image::copy), which has the details.
pub fn copy(
    from: impl Argument<ImageLocation>,
    to: impl Argument<ImageLocation>,
    options: impl Into<CopyOptions>,
) -> Result<Copied, Error> {
    let (from, to) = (from.into_argument()?, to.into_argument()?);
    runtime(&[&to, &from])?.run(image::copy(from, to, options))
}

/// Pushes an image from a layout to a repository.
///
/// # Errors
///
/// Those of the async [`push`](image::push), which has the details.
pub fn push(
    layout: &Layout,
    to: impl Argument<ImageLocation>,
    options: impl Into<CopyOptions>,
) -> Result<Copied, Error> {
    let to = to.into_argument()?;
    runtime(&[&to])?.run(image::push(layout, to, options))
}

/// Pulls an image into a layout, under the name of its tag, or without a name where it is given by its digest.
///
/// # Errors
///
/// Those of the async [`pull`](image::pull), which has the details and an example.
pub fn pull(
    from: impl Argument<ImageLocation>,
    layout: &Layout,
    options: impl Into<CopyOptions>,
) -> Result<Copied, Error> {
    let from = from.into_argument()?;
    runtime(&[&from])?.run(image::pull(from, layout, options))
}

/// Attaches an artifact to a manifest of a repository, so that it is among the manifest's referrers.
///
/// # Errors
///
/// Those of the async [`attach`](image::attach), which has the details and an example.
pub fn attach(
    repository: &RepositoryClient,
    subject: impl Argument<Reference>,
    artifact: Artifact,
    options: impl Into<AttachOptions>,
) -> Result<Descriptor, Error> {
    let attached = image::attach(&repository.inner, subject, artifact, options);
    repository.runtime.run(attached)
}

/// The first that there is. Two layouts have none, nor has a repository of an async client.
fn runtime(locations: &[&ImageLocation]) -> Result<Runtime, Error> {
    let found = locations
        .iter()
        .find_map(|location| location.runtime.clone());
    found.map_or_else(Runtime::start, Ok)
}

impl From<&RepositoryClient> for ImageLocation {
    fn from(repository: &RepositoryClient) -> Self {
        Self::from(&repository.inner).driven_by(&repository.runtime)
    }
}

impl Argument<ImageLocation> for &RepositoryClient {
    fn into_argument(self) -> Result<ImageLocation, Error> {
        Ok(self.into())
    }
}

impl<R: Argument<Reference>> Argument<ImageLocation> for (&RepositoryClient, R) {
    fn into_argument(self) -> Result<ImageLocation, Error> {
        let location = (&self.0.inner, self.1).into_argument()?;
        Ok(location.driven_by(&self.0.runtime))
    }
}
