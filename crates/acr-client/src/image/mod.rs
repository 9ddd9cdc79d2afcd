//! Whole images: pushed from and pulled into OCI image layouts, copied within and between registries, with what refers
//! to them.
//!
//! [`copy`] is the one operation; [`push`] and [`pull`] are its short forms for a [`Layout`]. [`attach`] adds an
//! artifact, such as a signature or an SBOM, to an image.
//!
//! ```
//! use acr_client::image::{self, CopyOptions};
//! # use acr_client::{ContainerRegistryClient, Error};
//!
//! # async fn example(client: ContainerRegistryClient) -> Result<(), Error> {
//! let (dev, prod) = (client.repository_client("dev/app")?, client.repository_client("prod/app")?);
//! let options = CopyOptions { referrers: true, ..CopyOptions::default() };
//! let copied = image::copy((&dev, "4f2a9c1"), (&prod, "v1"), options).await?;
//! println!("{}", copied.images[0].descriptor.digest);
//! # Ok(())
//! # }
//! ```
//!
//! # What happens in which order
//!
//! 1. The manifests of the image are read, each once: the image's own, those of an index, and on request the
//!    referrers. Everything that can be wrong with them is found before anything is written.
//! 2. The target is asked which of them it has.
//! 3. The blobs that are missing go over, several at a time and each once. Within one registry they are mounted, so that
//!    no byte is sent; between registries they are streamed and verified, and none is in memory as a whole.
//! 4. The manifests follow, byte for byte: those of an index before it, referrers after their subject, the tag last, so
//!    that nobody sees a tag on an image that is not complete.
//!
//! A copy that failed or was dropped can be repeated and sends what is missing. Of what is there already, the target
//! is asked by `HEAD` requests, and nothing is sent. Into a [new archive](Layout::create_tar) it can be repeated with the
//! same [`Layout`], which knows what is in it. What was copied before a copy of several images failed stays, and has its
//! tags; a layout lists its images at the end.
//!
//! Between registries nothing waits for a disk. The files of a layout are read, and those that another layout or an
//! archive gets are written, where the copy is polled, a piece at a time; so is the sync at the end of an archive. A program
//! that serves others meanwhile copies on a thread of its own.

mod attach;
mod copying;
mod entries;
mod graph;
mod kept_list;
mod layout;
mod limits;
mod location;
mod options;

mod platforms;
mod referrers;
mod side;
mod size;
mod tally;
mod transfer;

use crate::argument::Argument;
use crate::error::Error;
use crate::trace;

pub use self::attach::{Artifact, AttachOptions, Layer, attach};
use self::copying::Copying;
pub use self::layout::Layout;
pub use self::location::ImageLocation;
pub use self::options::{Copied, CopiedImage, CopyOptions};

/// Copies an image with everything that it is made of.
///
/// Either side is a repository with a tag or digest, `(&repository, "v1")`, or a layout with a name, `(&layout, "v1")`,
/// or either without. A source without a name is the only image of a layout, or the only one that has a name of its own,
/// other than that of a signature or of a list of referrers; a target without one gets the image under the source's
/// name, or without a tag where that is a digest. The module's documentation says [what is done in which
/// order](self#what-happens-in-which-order).
///
/// With the permission to pull from the source and to push to the target, blobs of one registry are mounted. Where the
/// registry refuses that, they are streamed. Two clients of one endpoint are clients of one registry; in a test, two mocks
/// need endpoints of their own.
///
/// With [`all_tags`](CopyOptions::all_tags) the images are copied one after the other. Where one cannot be, such as one
/// without a platform that was chosen, the copy ends there, and those before it stay at the target.
///
/// # Errors
///
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) when names or options contradict each other, or a layout is
/// malformed; [`NotFound`](crate::ErrorKind::NotFound) when the source has no such image, no such platform, or lacks a
/// part of it; [`DigestMismatch`](crate::ErrorKind::DigestMismatch) when content is not of its digest or not of the size
/// that its descriptor says; [`TooLarge`](crate::ErrorKind::TooLarge) when a manifest has more than 4 MiB, or there are
/// more of them, or deeper ones, than [`CopyOptions`] allows;
/// [`Protocol`](crate::ErrorKind::Protocol) when a manifest is malformed; else as the operations that it is made of.
pub async fn copy(
    from: impl Argument<ImageLocation>,
    to: impl Argument<ImageLocation>,
    options: impl Into<CopyOptions>,
) -> Result<Copied, Error> {
    let (from, to) = (from.into_argument()?, to.into_argument()?);
    run("copy_image", from, to, options.into()).await
}

/// Pushes an image from a layout to a repository.
///
/// It is the only image of the layout or, where there are several, the one of the target's name; where none has it, the
/// one that [`copy`] finds without a name.
///
/// ```no_run
/// use acr_client::image::{self, CopyOptions, Layout};
/// # async fn example(repository: acr_client::RepositoryClient) -> Result<(), acr_client::Error> {
/// let layout = Layout::open("app.tar")?;
/// image::push(&layout, (&repository, "v1"), CopyOptions::default()).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// As [`copy`].
pub async fn push(
    layout: &Layout,
    to: impl Argument<ImageLocation>,
    options: impl Into<CopyOptions>,
) -> Result<Copied, Error> {
    let (to, options) = (to.into_argument()?, options.into());
    let mut from = ImageLocation::from(layout);
    let is_there = |name: &String| layout.image(Some(name)).is_ok();
    if !options.all_tags
        && layout.images()?.len() > 1
        && (to.name.as_ref().is_some_and(is_there) || layout.image(None).is_err())
    {
        from.name.clone_from(&to.name);
    }
    run("push_image", from, to, options).await
}

/// Pulls an image into a layout, under the name of its tag, or without a name where it is given by its digest.
///
/// ```no_run
/// use acr_client::image::{self, CopyOptions, Layout};
/// use acr_client::models::Platform;
/// # async fn example(repository: acr_client::RepositoryClient) -> Result<(), acr_client::Error> {
/// let options = CopyOptions { platforms: vec![Platform::new("linux", "arm64")], ..CopyOptions::default() };
/// image::pull((&repository, "v1"), &Layout::create("app")?, options).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// As [`copy`].
pub async fn pull(
    from: impl Argument<ImageLocation>,
    layout: &Layout,
    options: impl Into<CopyOptions>,
) -> Result<Copied, Error> {
    let from = from.into_argument()?;
    run("pull_image", from, layout.into(), options.into()).await
}

async fn run(
    name: &'static str,
    from: ImageLocation,
    to: ImageLocation,
    options: CopyOptions,
) -> Result<Copied, Error> {
    let told = to.repository().or(from.repository()).cloned();
    let (told, reference) = (told.as_ref(), to.name.clone());
    let work = Copying::new(from, to, options).run();
    let copied = Box::pin(trace::in_whole(name, told, work)).await;
    let repository = told.map(|repository| repository.as_str());
    copied.map_err(|error| error.in_operation(name, repository, reference.as_deref(), 0))
}
