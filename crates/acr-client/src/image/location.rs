//! [`ImageLocation`]: where an image is, or is to be.

use acr_protocol::{Reference, RepositoryName};

use super::layout::Layout;
use super::side::Side;
use crate::argument::Argument;
use crate::error::Error;
use crate::repository::RepositoryClient;

/// Where an image is, or is to be: a repository or a layout, and in it a name or none.
///
/// Written as `(&repository, "v1")`, `(&layout, "v1")`, `&repository` or `&layout`. In a repository the name is a tag or
/// a digest, in a layout it is what its `index.json` says, or a digest.
#[derive(Debug, Clone)]
pub struct ImageLocation {
    pub(super) side: Side,
    pub(super) name: Option<String>,
    /// Of a repository of a blocking client: where its connections are at work.
    #[cfg(feature = "blocking")]
    pub(crate) runtime: Option<crate::blocking::Runtime>,
}

impl ImageLocation {
    const fn new(side: Side, name: Option<String>) -> Self {
        Self {
            side,
            name,
            #[cfg(feature = "blocking")]
            runtime: None,
        }
    }

    /// The same, whose connections are at work there.
    #[cfg(feature = "blocking")]
    pub(crate) fn driven_by(self, runtime: &crate::blocking::Runtime) -> Self {
        Self {
            runtime: Some(runtime.clone()),
            ..self
        }
    }

    pub(super) const fn repository(&self) -> Option<&RepositoryName> {
        match &self.side {
            Side::Repository(repository) => Some(&repository.name),
            Side::Layout(_) => None,
        }
    }
}

impl From<&RepositoryClient> for ImageLocation {
    fn from(repository: &RepositoryClient) -> Self {
        Self::new(Side::Repository(repository.clone()), None)
    }
}

impl From<&Layout> for ImageLocation {
    fn from(layout: &Layout) -> Self {
        Self::new(Side::Layout(layout.clone()), None)
    }
}

impl<R: Argument<Reference>> Argument<ImageLocation> for (&RepositoryClient, R) {
    fn into_argument(self) -> Result<ImageLocation, Error> {
        let reference = self.1.into_argument()?;
        let name = Some(reference.as_str().to_owned());
        let side = Side::Repository(self.0.clone());
        Ok(ImageLocation::new(side, name))
    }
}

macro_rules! locations {
    ($($type:ty: $self:ident => $location:expr;)*) => {$(
        impl Argument<ImageLocation> for $type {
            fn into_argument($self) -> Result<ImageLocation, Error> {
                Ok($location)
            }
        }
    )*};
}

locations! {
    ImageLocation: self => self;
    &ImageLocation: self => self.clone();
    &RepositoryClient: self => self.into();
    &Layout: self => self.into();
    (&Layout, &str): self => ImageLocation { name: Some(self.1.to_owned()), ..self.0.into() };
    (&Layout, String): self => ImageLocation { name: Some(self.1), ..self.0.into() };
}
