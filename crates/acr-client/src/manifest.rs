use std::num::NonZeroU32;

use acr_protocol::manifest::properties::{
    GetManifestProperties, ListManifestProperties, UpdateManifestProperties,
};
use acr_protocol::manifest::{
    AcceptedManifest, DeleteManifest, GetManifest, HeadManifest, SetManifest,
};
use acr_protocol::{
    ArtifactManifestOrder, ArtifactManifestProperties, ChangeableAttributes, DecodeError,
    Descriptor, Digest, ListQuery, Manifest, MediaType, Operation, PageToken, Reference,
};
use bytes::Bytes;
use http::StatusCode;

use crate::argument::Argument;
use crate::error::{Error, ErrorKind};
use crate::paging::Pager;
use crate::repository::RepositoryClient;
use crate::response::Received;

/// Manifests.
impl RepositoryClient {
    /// Lists the manifests with their properties, ordered by digest: `GET /acr/v1/{name}/_manifests`.
    ///
    /// The list's first item is an error of the kind [`NotFound`](ErrorKind::NotFound) when the
    /// repository does not exist.
    #[doc(alias = "GetAllManifestProperties")]
    #[doc(alias = "GetManifestPropertiesCollection")]
    #[doc(alias = "NewListManifestsPager")]
    pub fn list_manifest_properties(&self) -> Pager<ArtifactManifestProperties> {
        self.list_manifest_properties_with(ListManifestPropertiesOptions::default())
    }

    /// Lists the manifests with their properties in an order, or with other options:
    /// `GET /acr/v1/{name}/_manifests`.
    pub fn list_manifest_properties_with(
        &self,
        options: impl Into<ListManifestPropertiesOptions>,
    ) -> Pager<ArtifactManifestProperties> {
        let ListManifestPropertiesOptions {
            order,
            page_size,
            resume,
        } = options.into();
        let operation = ListManifestProperties {
            repository: self.name.clone(),
            query: ListQuery {
                page_size: page_size.map(NonZeroU32::get),
                last: None,
            },
            order,
        };
        self.pipeline.list(operation, resume, |page| page)
    }

    /// Reads the properties of a manifest: `GET /acr/v1/{name}/_manifests/{digest}`.
    ///
    /// With a tag it [resolves](Self::resolve) the tag first, which costs one more request and the
    /// permission `pull`.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) when there is no such tag or manifest.
    pub async fn get_manifest_properties(
        &self,
        reference: impl Argument<Reference>,
    ) -> Result<ArtifactManifestProperties, Error> {
        let reference = reference.into_argument()?;
        let operation = GetManifestProperties {
            repository: self.name.clone(),
            digest: self.digest_of(&reference).await?,
        };
        self.pipeline.run(&operation).await
    }

    /// Changes the locks of a manifest: `PATCH /acr/v1/{name}/_manifests/{digest}`. What is not set
    /// stays as it is. Works on a locked manifest: this is how it is unlocked.
    ///
    /// With a tag it [resolves](Self::resolve) the tag first, which costs one more request and the
    /// permission `pull`. The lock is then on the manifest; the tag can still move.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) when there is no such tag or manifest.
    pub async fn update_manifest_properties(
        &self,
        reference: impl Argument<Reference>,
        attributes: ChangeableAttributes,
    ) -> Result<ArtifactManifestProperties, Error> {
        let reference = reference.into_argument()?;
        let operation = UpdateManifestProperties {
            repository: self.name.clone(),
            digest: self.digest_of(&reference).await?,
            attributes,
        };
        self.pipeline.run(&operation).await
    }

    /// Gets a manifest with its bytes as they are stored: `GET /v2/{name}/manifests/{reference}`.
    ///
    /// The bytes are checked against the digest that was asked for, and against the one that the
    /// registry promises.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) when there is no such tag or manifest,
    /// [`DigestMismatch`](ErrorKind::DigestMismatch) when the bytes are not the right ones,
    /// [`TooLarge`](ErrorKind::TooLarge) when there are more than 4 MiB of them.
    #[doc(alias = "download_manifest")]
    pub async fn get_manifest(
        &self,
        reference: impl Argument<Reference>,
    ) -> Result<Manifest, Error> {
        let reference = reference.into_argument()?;
        self.get_reference(reference, GetManifest::SPEC.name).await
    }

    /// Gets a manifest for an operation of this name.
    pub(crate) async fn get_reference(
        &self,
        reference: Reference,
        name: &'static str,
    ) -> Result<Manifest, Error> {
        let operation = GetManifest {
            repository: self.name.clone(),
            reference,
            accept: Vec::new(),
        };
        let mut info = self.pipeline.info(&operation);
        info.name = name;
        info.limit = MAX_MANIFEST_SIZE;
        let check = |manifest: Manifest| check_type(&manifest.media_type).map(|()| manifest);
        self.pipeline
            .run_with(&operation, &info, operation.request(), check)
            .await
    }

    /// Asks what a manifest is without getting it: `HEAD /v2/{name}/manifests/{reference}`. `None` when
    /// the registry says that there is no such tag or manifest.
    ///
    /// A registry that does not take the `HEAD`, or whose response lacks the digest, is asked by a `GET`,
    /// and the digest is that of the bytes.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](ErrorKind::Unsupported) when a 404 is that of another server, such as a proxy.
    pub async fn head_manifest(
        &self,
        reference: impl Argument<Reference>,
    ) -> Result<Option<Descriptor>, Error> {
        found(self.resolve(reference).await)
    }

    /// Finds what a tag or digest stands for now, by one [`head_manifest`](Self::head_manifest).
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) when there is no such tag or manifest.
    #[doc(alias = "GetDigest")]
    pub async fn resolve(&self, reference: impl Argument<Reference>) -> Result<Descriptor, Error> {
        self.head_reference(reference.into_argument()?).await
    }

    /// Puts a manifest under a tag or its digest: `PUT /v2/{name}/manifests/{reference}`.
    ///
    /// A tag that points elsewhere is moved; the manifest it pointed at stays, without this tag. The
    /// blobs and manifests that the manifest names must be in the repository already.
    ///
    /// It takes an [`ImageManifest`](crate::ImageManifest) or [`ImageIndex`](crate::ImageIndex) too, which is
    /// written as JSON. The bytes of a [`Manifest`], such as one that came from a registry, stay as they are.
    ///
    /// A manifest with a subject is in the list of the subject's referrers from then on. On a registry
    /// without an API for these lists they are indexes under tags that clients keep (OCI 1.1), and it is
    /// added there. Registries have no way to change an index only if nobody else did meanwhile; it is
    /// read again to see, and set again if another client's change has undone this one.
    ///
    /// ```
    /// # use acr_client::{Error, Manifest, MediaType, RepositoryClient};
    /// # async fn example(repository: RepositoryClient, bytes: Vec<u8>) -> Result<(), Error> {
    /// let manifest = Manifest::new(bytes, MediaType::OCI_MANIFEST);
    /// repository.set_manifest("v1", &manifest).await?;
    /// repository.set_manifest(&manifest.digest, &manifest).await?; // without a tag
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`TooLarge`](ErrorKind::TooLarge) when it has more than 4 MiB, and
    /// [`DigestMismatch`](ErrorKind::DigestMismatch) when the reference is a digest but not that of
    /// the bytes, both before anything is sent; [`Registry`](ErrorKind::Registry) with the code
    /// `MANIFEST_BLOB_UNKNOWN` for each blob that is missing;
    /// [`Disallowed`](ErrorKind::Disallowed) when the tag or the repository is locked.
    #[doc(alias = "upload_manifest")]
    pub async fn set_manifest(
        &self,
        reference: impl Argument<Reference>,
        manifest: impl Argument<Manifest>,
    ) -> Result<AcceptedManifest, Error> {
        let reference = reference.into_argument()?;
        let manifest = manifest.into_argument()?;
        let operation = SetManifest {
            repository: self.name.clone(),
            reference,
            media_type: manifest.media_type.clone(),
            bytes: manifest.bytes.clone(),
            tags: Vec::new(),
        };
        let info = self.pipeline.info(&operation);
        let request = check(&operation).and_then(|()| Ok(operation.request()?));
        let accepted = self
            .pipeline
            .run_with(&operation, &info, request, Ok)
            .await?;
        Box::pin(self.list_referrer(&manifest, &accepted, &info)).await?;
        Ok(accepted)
    }

    /// Deletes a manifest with all its tags: `DELETE /v2/{name}/manifests/{digest}`.
    ///
    /// With a tag it [resolves](Self::resolve) the tag first, which costs one more request and the
    /// permission `pull`; the other tags of the manifest go too. To remove a tag alone there is
    /// [`delete_tag`](Self::delete_tag). Returns whether the manifest was there. On a registry without an
    /// API for referrers a manifest with a subject is taken out of the index that clients keep as the
    /// list; whether the registry is one costs a request the first time, but never on Azure.
    ///
    /// # Errors
    ///
    /// [`Disallowed`](ErrorKind::Disallowed) when the manifest, one of its tags or the repository is
    /// locked.
    pub async fn delete_manifest(
        &self,
        reference: impl Argument<Reference>,
    ) -> Result<bool, Error> {
        let reference = reference.into_argument()?;
        let Some(digest) = found(self.digest_of(&reference).await)? else {
            return Ok(false);
        };
        let subject = Box::pin(self.listed_under(&digest)).await;
        let operation = DeleteManifest {
            repository: self.name.clone(),
            reference: (&digest).into(),
        };
        let was_there = self.pipeline.run(&operation).await?.was_there();
        if let Some(subject) = subject {
            let info = self.pipeline.info(&operation);
            Box::pin(self.unlist_referrer(&subject, digest, &info)).await?;
        }
        Ok(was_there)
    }

    /// The digest itself, or that which a tag points at now.
    async fn digest_of(&self, reference: &Reference) -> Result<Digest, Error> {
        match reference {
            Reference::Digest(digest) => Ok(digest.clone()),
            Reference::Tag(_) => Ok(self.head_reference(reference.clone()).await?.digest),
        }
    }

    async fn head_reference(&self, reference: Reference) -> Result<Descriptor, Error> {
        let operation = HeadManifest {
            repository: self.name.clone(),
            reference,
            accept: Vec::new(),
        };
        let info = self.pipeline.info(&operation);
        let read = |response: Received| match operation.read(&response.head, Bytes::new()) {
            Ok(descriptor) => check_type(&descriptor.media_type).map(|()| Some(descriptor)),
            Err(DecodeError::MissingHeader(_)) => Ok(None),
            Err(error) => Err(response.undecodable(error)),
        };
        let (request, success) = (operation.request(), HeadManifest::SPEC.success);
        match self.pipeline.open(&info, request, success, read).await {
            // What it means is in the body, which a `HEAD` has not: a lock, a registry that does not
            // take the method, or one that has no such manifest but does not say who it is.
            Err(error) if !is_moot(&error) => Err(error),
            Ok(Some(descriptor)) => Ok(descriptor),
            Ok(None) | Err(_) => {
                let got = self.get_reference(operation.reference, HeadManifest::SPEC.name);
                Ok(got.await?.descriptor())
            }
        }
    }
}

/// Tells an absence that the registry itself has told from other errors.
pub(crate) fn found<T>(asked: Result<T, Error>) -> Result<Option<T>, Error> {
    match asked {
        Err(error) if error.tells_absence() => Ok(None),
        other => other.map(Some),
    }
}

/// Whether the error of a `HEAD` leaves open what a `GET` would say.
pub(crate) fn is_moot(error: &Error) -> bool {
    error.kind() == ErrorKind::Unsupported || error.status() == Some(StatusCode::NOT_IMPLEMENTED)
}

/// Refuses what is not a manifest: a portal on the way responds with 200 with a page of its own.
fn check_type(media_type: &MediaType) -> Result<(), Error> {
    if media_type.begins_with("application/") {
        return Ok(());
    }
    Err(Error::protocol(format!(
        "the response is of the type {media_type}, which is not a manifest"
    )))
}

/// Finds what a registry would refuse, before anything is sent.
pub(crate) fn check(operation: &SetManifest) -> Result<(), Error> {
    let size = operation.bytes.len();
    if size > MAX_MANIFEST_SIZE {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("the manifest has {size} bytes; a registry takes {MAX_MANIFEST_SIZE}"),
        ));
    }
    if http::HeaderValue::try_from(operation.media_type.as_str()).is_err()
        || operation.media_type.as_str().is_empty()
    {
        return Err(Error::invalid(
            "the manifest's media type is empty or no header value",
        ));
    }
    if let Some(digest) = operation.reference.digest()
        && digest.matches(&operation.bytes) == Some(false)
    {
        return Err(Error::new(
            ErrorKind::DigestMismatch,
            format!("the manifest is to be put under {digest}, which is not its digest"),
        ));
    }
    Ok(())
}

/// Options of [`RepositoryClient::list_manifest_properties_with`]; an [`ArtifactManifestOrder`] is
/// enough for the order alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListManifestPropertiesOptions {
    /// The order of the list.
    pub order: ArtifactManifestOrder,
    /// The most manifests that a page may hold. `None`: the registry's default.
    pub page_size: Option<NonZeroU32>,
    /// Where to go on: the token of a page of an earlier list, whose order and page size then hold.
    pub resume: Option<PageToken>,
}

impl From<ArtifactManifestOrder> for ListManifestPropertiesOptions {
    fn from(order: ArtifactManifestOrder) -> Self {
        Self {
            order,
            ..Self::default()
        }
    }
}

/// The most bytes of a manifest, either way: what the OCI specification asks a registry to take.
pub(crate) const MAX_MANIFEST_SIZE: usize = 4 << 20;
