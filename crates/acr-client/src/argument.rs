use std::ops::{Range, RangeFrom};

use acr_protocol::blob::ByteRange;
use acr_protocol::upload::UploadLocation;
use acr_protocol::{Digest, ImageIndex, ImageManifest, Manifest, Reference, RepositoryName, Tag};

use crate::error::Error;

/// What a method takes as a `T`: a `T`, a reference to one, or its text as a `&str` or `String`.
///
/// A [`ByteRange`] is written as `0..512` or `512..`, or as [`ByteRange::Last`]. A [`Manifest`] may be an
/// [`ImageManifest`] or an [`ImageIndex`], which is written as JSON.
///
/// Text is checked before anything is sent. Types of a program's own implement it by way of a `T`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be used as a `{T}`",
    label = "expected a `{T}` or what can be read as one",
    note = "`{T}::new` makes one; names, tags, digests and references are taken as `&str` or `String` too",
    note = "a manifest may be an `ImageManifest` or `ImageIndex`, a range `0..512` or `512..`"
)]
pub trait Argument<T> {
    /// Returns the value.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the text is not a valid `T`.
    fn into_argument(self) -> Result<T, Error>;
}

macro_rules! arguments {
    ($($type:ident: $($value:ty),*;)*) => {$(
        arguments!(@text $type: &str, String, &String);
        $(impl Argument<$type> for $value {
            fn into_argument(self) -> Result<$type, Error> {
                Ok($type::from(self))
            }
        })*
    )*};
    (@text $type:ident: $($text:ty),*) => {
        $(impl Argument<$type> for $text {
            fn into_argument(self) -> Result<$type, Error> {
                Ok($type::new(self)?)
            }
        })*
    };
}

arguments! {
    Digest: Digest, &Digest;
    Reference: Reference, &Reference, Digest, &Digest, Tag, &Tag;
    RepositoryName: RepositoryName, &RepositoryName;
    Tag: Tag, &Tag;
    UploadLocation: UploadLocation, &UploadLocation;
}

impl Argument<Self> for Manifest {
    fn into_argument(self) -> Result<Self, Error> {
        Ok(self)
    }
}

impl Argument<Manifest> for &Manifest {
    fn into_argument(self) -> Result<Manifest, Error> {
        Ok(self.clone())
    }
}

macro_rules! manifests {
    ($($type:ty),*) => {$(
        impl Argument<Manifest> for &$type {
            fn into_argument(self) -> Result<Manifest, Error> {
                Manifest::try_from(self).map_err(|error| Error::invalid(error.to_string()))
            }
        }

        impl Argument<Manifest> for $type {
            fn into_argument(self) -> Result<Manifest, Error> {
                (&self).into_argument()
            }
        }
    )*};
}

manifests!(ImageManifest, ImageIndex);

impl Argument<Self> for ByteRange {
    fn into_argument(self) -> Result<Self, Error> {
        // Servers pass over a range that ends before it begins, and would send all.
        match self.within(u64::MAX) {
            Some(_) => Ok(self),
            None => Err(Error::invalid(format!("the range {self} holds no byte"))),
        }
    }
}

impl Argument<ByteRange> for Range<u64> {
    fn into_argument(self) -> Result<ByteRange, Error> {
        if self.is_empty() {
            return Err(Error::invalid(format!("the range {self:?} holds no byte")));
        }
        Ok(ByteRange::FromTo(self.start, self.end - 1))
    }
}

impl Argument<ByteRange> for RangeFrom<u64> {
    fn into_argument(self) -> Result<ByteRange, Error> {
        ByteRange::From(self.start).into_argument()
    }
}
