//! [`Layout`]: images as files, in the form of the OCI image specification.

mod archive;
mod content;
mod folder;
mod index;
mod new_archive;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use acr_protocol::{Descriptor, Digest, Manifest};
use bytes::Bytes;

use self::archive::Archive;
use self::content::Stored;
use self::folder::Folder;
use self::index::Images;
use self::new_archive::NewArchive;
use super::size::{check_size, fits};
use crate::error::{Error, ErrorKind};
use crate::manifest::MAX_MANIFEST_SIZE;

pub(super) use self::content::Reader;
pub(super) use self::index::{REF_NAME, SIGNATURE_SUFFIXES, image_name};

/// An OCI image layout: images as files, in a folder or in a tar archive.
///
/// It is what `skopeo copy .. oci:FOLDER:TAG`, `oci-archive:FILE:TAG`, `docker buildx build --output type=oci` and
/// others write and read. A clone is the same layout.
///
/// What it says is not trusted: a path that leaves the folder, a link in an archive, a file of another length and
/// content of another digest are errors that name them.
#[derive(Clone)]
pub struct Layout {
    kind: Arc<Kind>,
    /// What was in `index.json` when this was made for one copy, for which it is not read anew for each image.
    images: Option<Arc<Images>>,
}

enum Kind {
    Folder(Folder),
    Archive(Archive),
    NewArchive(NewArchive),
}

impl Layout {
    /// Opens a layout that is there: a folder, or an uncompressed tar archive, which is indexed once and read in place.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](ErrorKind::InvalidInput) when it is no layout, or one that must not be read: without
    /// `index.json` or `oci-layout`, with links that leave the folder, or an archive with links, with `..` in a path
    /// or with two entries of one path; [`TooLarge`](ErrorKind::TooLarge) when `index.json` has more than 64 MiB;
    /// [`Io`](ErrorKind::Io) when it cannot be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let kind = if path.is_dir() {
            Kind::Folder(Folder::open(path)?)
        } else {
            Kind::Archive(Archive::open(path)?)
        };
        let layout = Self::of(kind);
        index::check_version(&layout.required(OCI_LAYOUT)?)
            .map_err(|reason| layout.invalid(OCI_LAYOUT, reason))?;
        layout.images()?;
        Ok(layout)
    }

    /// Creates a layout in a folder, which is made if need be; one that is there already is opened, and keeps its
    /// images.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io) when the folder cannot be written; else as [`open`](Self::open).
    pub fn create(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = Folder::create(folder.as_ref())?;
        folder.begin(&[(INDEX, index::EMPTY), (OCI_LAYOUT, VERSION)])?;
        Self::open(folder.path())
    }

    /// Creates a layout as a tar archive. The file is there once an image was copied into it, complete, in the place
    /// of a file that was there; from then on it is read as one that was opened, and nothing more can be copied into it.
    ///
    /// A copy into it that failed or was dropped can be repeated, and goes on behind the contents that are whole, as long
    /// as this layout or a clone lives. With the last of them it is gone, and a new one begins anew.
    ///
    /// Content goes into an archive one after the other.
    #[must_use]
    pub fn create_tar(file: impl AsRef<Path>) -> Self {
        let new = NewArchive::new(file.as_ref());
        Self::of(Kind::NewArchive(new))
    }

    fn of(kind: Kind) -> Self {
        Self {
            kind: Arc::new(kind),
            images: None,
        }
    }

    /// Returns the folder or the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        match &*self.kind {
            Kind::Folder(folder) => folder.path(),
            Kind::Archive(archive) => archive.path(),
            Kind::NewArchive(archive) => archive.path(),
        }
    }

    /// Returns the images as `index.json` lists them. The annotation `org.opencontainers.image.ref.name` is an image's
    /// name, such as a tag; not every one has a name.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](ErrorKind::InvalidInput) when the list is malformed, [`TooLarge`](ErrorKind::TooLarge) when it
    /// has more than 64 MiB, [`Io`](ErrorKind::Io) when it cannot be read.
    pub fn images(&self) -> Result<Vec<Descriptor>, Error> {
        if let Kind::NewArchive(archive) = &*self.kind
            && archive.readable()?.is_none()
        {
            return Ok(Vec::new());
        }
        if let Some(images) = &self.images {
            return Ok(images.list.clone());
        }
        let images = index::images(self.required(INDEX)?);
        images.map_err(|reason| self.invalid(INDEX, reason))
    }

    /// The same layout with the images that it has now.
    pub(super) fn as_it_is(&self) -> Result<Self, Error> {
        Ok(Self {
            kind: self.kind.clone(),
            images: Some(Arc::new(Images::new(self.images()?))),
        })
    }

    /// Finds an image by its name or digest; without either, the only one or the only one with a name.
    pub(super) fn image(&self, name: Option<&str>) -> Result<Descriptor, Error> {
        let images = match &self.images {
            Some(images) => images.clone(),
            None => Arc::new(Images::new(self.images()?)),
        };
        let found = images.find(name).map_err(|count| {
            let what = name.map_or_else(|| "an image".to_owned(), |name| format!("{name:?}"));
            let text = format!(
                "{} has {count} images, and none or several of them are {what}",
                self.path().display()
            );
            Error::new(ErrorKind::NotFound, text)
        });
        found.cloned()
    }

    /// Reads a manifest, verified.
    pub(super) fn manifest(&self, descriptor: &Descriptor) -> Result<Manifest, Error> {
        let name = self.blob_name(&descriptor.digest)?;
        let stored = self.stored(descriptor)?;
        let bytes = self.read(&name, &stored)?;
        if descriptor.digest.matches(&bytes) != Some(true) {
            let text = format!("{} is not content of its digest", self.display(&name));
            return Err(Error::new(ErrorKind::DigestMismatch, text));
        }
        let mut manifest = Manifest::new(bytes, &descriptor.media_type);
        manifest.digest = descriptor.digest.clone();
        Ok(manifest)
    }

    /// Finds content of the length that its descriptor says.
    pub(super) fn stored(&self, descriptor: &Descriptor) -> Result<Stored, Error> {
        let name = self.blob_name(&descriptor.digest)?;
        let Some(stored) = self.find(&name)? else {
            let text = format!("{} is missing", self.display(&name));
            return Err(Error::new(ErrorKind::NotFound, text));
        };
        check_size(descriptor, Some(stored.length), &self.display(&name))?;
        Ok(stored)
    }

    /// Whether content is there; of another length, it is not.
    pub(super) fn has(&self, descriptor: &Descriptor) -> Result<bool, Error> {
        if let Kind::NewArchive(archive) = &*self.kind {
            return Ok(archive.has(&descriptor.digest));
        }
        let stored = self.find(&self.blob_name(&descriptor.digest)?)?;
        Ok(stored.is_some_and(|stored| fits(descriptor, stored.length)))
    }

    /// The largest number of contents that can be written at once.
    pub(super) fn max_writers(&self) -> usize {
        match &*self.kind {
            Kind::NewArchive(_) => 1,
            _ => usize::MAX,
        }
    }

    /// Writes content, verified; it is there when all of it is. Returns how long it is.
    pub(super) async fn write(
        &self,
        descriptor: &Descriptor,
        reader: Reader,
    ) -> Result<u64, Error> {
        let name = self.blob_name(&descriptor.digest)?;
        match &*self.kind {
            Kind::Folder(folder) => folder.write_all(&name, reader).await,
            Kind::NewArchive(archive) => archive.write_all(&name, descriptor, reader).await,
            Kind::Archive(_) => Err(self.is_complete()),
        }
    }

    /// Lists images in `index.json`, each in the place of one of the same name; the others stay.
    pub(super) fn list(&self, images: &[Descriptor]) -> Result<(), Error> {
        match &*self.kind {
            Kind::Folder(folder) => folder.change_index(
                |stored| self.read(INDEX, stored),
                |index| self.with_images(index, images),
            ),
            Kind::NewArchive(archive) => {
                archive.complete(&self.with_images(index::EMPTY.into(), images)?)
            }
            Kind::Archive(_) => Err(self.is_complete()),
        }
    }

    /// The list with these images. One that nobody would read is not written.
    fn with_images(&self, index: Bytes, images: &[Descriptor]) -> Result<Vec<u8>, Error> {
        let added = index::add(index, images).map_err(|reason| self.invalid(INDEX, reason))?;
        self.check_length(INDEX, added.len() as u64)?;
        Ok(added)
    }

    fn is_complete(&self) -> Error {
        Error::invalid(format!(
            "{} is an archive that is complete; nothing can be added to it",
            self.path().display()
        ))
    }

    fn find(&self, name: &str) -> Result<Option<Stored>, Error> {
        match &*self.kind {
            Kind::Folder(folder) => folder.find(name),
            Kind::Archive(archive) => Ok(archive.find(name)),
            Kind::NewArchive(archive) => Ok(archive.readable()?.and_then(|file| file.find(name))),
        }
    }

    fn required(&self, name: &str) -> Result<Bytes, Error> {
        let Some(stored) = self.find(name)? else {
            let hint = match &*self.kind {
                Kind::Archive(archive) => archive.hint(),
                Kind::Folder(_) | Kind::NewArchive(_) => "",
            };
            let text = format!("it is missing, so this is no OCI image layout{hint}");
            return Err(self.invalid(name, text));
        };
        self.read(name, &stored)
    }

    /// Reads what is to be in memory.
    fn read(&self, name: &str, stored: &Stored) -> Result<Bytes, Error> {
        self.check_length(name, stored.length)?;
        stored.bytes()
    }

    fn check_length(&self, name: &str, length: u64) -> Result<(), Error> {
        let most = match name {
            INDEX => MAX_INDEX_SIZE,
            _ => MAX_MANIFEST_SIZE,
        };
        if length > most as u64 {
            let text = format!(
                "{} has {length} bytes; at most {most} are read",
                self.display(name)
            );
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        Ok(())
    }

    /// The path of content within the layout. Only what can be verified has one.
    fn blob_name(&self, digest: &Digest) -> Result<String, Error> {
        let algorithm = digest.algorithm();
        if algorithm.is_supported() {
            return Ok(format!("blobs/{algorithm}/{}", digest.hex()));
        }
        let text = format!("content of the digest {digest} cannot be verified");
        Err(self.invalid(INDEX, text))
    }

    fn display(&self, name: &str) -> String {
        self.path().join(name).display().to_string()
    }

    fn invalid(&self, name: &str, reason: impl fmt::Display) -> Error {
        Error::invalid(format!("{}: {reason}", self.display(name)))
    }
}

impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Layout").field(&self.path()).finish()
    }
}

/// How many bytes of `index.json` are read: some hundred thousand images.
const MAX_INDEX_SIZE: usize = 64 << 20;
const INDEX: &str = "index.json";
const OCI_LAYOUT: &str = "oci-layout";
const VERSION: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
