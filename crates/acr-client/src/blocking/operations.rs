//! The operations, each as its async form with the calling thread waiting for it.

use std::path::Path;

use acr_protocol::blob::ByteRange;
use acr_protocol::manifest::AcceptedManifest;
use acr_protocol::{
    ArtifactManifestProperties, ArtifactTagProperties, ChangeableAttributes, DeletedRepository,
    Descriptor, Digest, Manifest, Reference, RepositoryName, RepositoryProperties, Tag,
};
use bytes::Bytes;

use super::runtime::Runtime;
use super::{BlobReader, BlobUpload, ContainerRegistryClient, Pager, RepositoryClient};
use crate::argument::Argument;
use crate::auth::AccessToken;
use crate::blob::{BlobLocation, BlobStream, DownloadBlobOptions, SaveBlobOptions};
use crate::client::ListRepositoryNamesOptions;
use crate::error::Error;
use crate::manifest::ListManifestPropertiesOptions;
use crate::referrers::ListReferrersOptions;
use crate::tag::{ListTagPropertiesOptions, ListTagsOptions};
use crate::upload::{BlobSource, UploadBlobOptions, UploadState};

/// Writes blocking methods from the signatures of the async ones. The word before `fn` is the
/// function below that waits.
macro_rules! blocking {
    ($client:ident {$(
        $(#[$docs:meta])*
        $wait:ident $(& $mut:tt)? fn $name:ident($($argument:ident: $type:ty),*) -> $output:ty;
    )*}) => {
        impl $client {$(
            $(#[$docs])*
            ///
            /// # Errors
            ///
            #[doc = concat!(
                "Those of the async [`", stringify!($name), "`](crate::", stringify!($client), "::", stringify!($name),
                "), which has the details and an example."
            )]
            pub fn $name(& $($mut)? self, $($argument: $type),*) -> $output {
                $wait(&self.runtime, self.inner.$name($($argument),*))
            }
        )*}
    };
}

blocking! {
    ContainerRegistryClient {
        /// Checks that there is a registry and that it accepts the credential: `GET /v2/`.
        run fn ping() -> Result<(), Error>;
        /// Lists the names of the repositories, ordered by name: `GET /acr/v1/_catalog`.
        list fn list_repository_names() -> Pager<RepositoryName>;
        /// Lists the names of the repositories with options: `GET /acr/v1/_catalog`.
        list fn list_repository_names_with(options: impl Into<ListRepositoryNamesOptions>) -> Pager<RepositoryName>;
        /// Lists the names of the repositories of a registry without the ACR API: `GET /v2/_catalog`.
        list fn list_repositories() -> Pager<RepositoryName>;
        /// Lists the names of the repositories of a registry without the ACR API with options: `GET /v2/_catalog`.
        list fn list_repositories_with(options: impl Into<ListRepositoryNamesOptions>) -> Pager<RepositoryName>;
        /// Reads the properties of a repository: `GET /acr/v1/{name}`.
        run fn get_repository_properties(name: impl Argument<RepositoryName>)
            -> Result<RepositoryProperties, Error>;
        /// Changes the locks of a repository: `PATCH /acr/v1/{name}`. What is not set stays as it is.
        run fn update_repository_properties(
            name: impl Argument<RepositoryName>,
            attributes: ChangeableAttributes
        ) -> Result<RepositoryProperties, Error>;
        /// Deletes a repository with everything in it: `DELETE /acr/v1/{name}`. Returns what was deleted, or `None` if
        /// there was no such repository.
        run fn delete_repository(name: impl Argument<RepositoryName>)
            -> Result<Option<DeletedRepository>, Error>;
        /// Returns the token that the client sends with requests of a scope; fetches one if there is none yet.
        run fn access_token(scope: impl AsRef<str>) -> Result<Option<AccessToken>, Error>;
    }
}

blocking! {
    RepositoryClient {
        /// Reads the properties of the repository: `GET /acr/v1/{name}`.
        run fn get_repository_properties() -> Result<RepositoryProperties, Error>;
        /// Changes the locks of the repository: `PATCH /acr/v1/{name}`. What is not set stays as it is.
        run fn update_repository_properties(attributes: ChangeableAttributes) -> Result<RepositoryProperties, Error>;
        /// Deletes the repository with everything in it: `DELETE /acr/v1/{name}`. Returns what was deleted, or `None` if
        /// the repository did not exist.
        run fn delete_repository() -> Result<Option<DeletedRepository>, Error>;

        /// Lists the tags with their properties, ordered by name: `GET /acr/v1/{name}/_tags`.
        list fn list_tag_properties() -> Pager<ArtifactTagProperties>;
        /// Lists the tags with their properties in an order, or with other options: `GET /acr/v1/{name}/_tags`.
        list fn list_tag_properties_with(options: impl Into<ListTagPropertiesOptions>) -> Pager<ArtifactTagProperties>;
        /// Reads the properties of a tag: `GET /acr/v1/{name}/_tags/{tag}`.
        run fn get_tag_properties(tag: impl Argument<Tag>) -> Result<ArtifactTagProperties, Error>;
        /// Changes the locks of a tag: `PATCH /acr/v1/{name}/_tags/{tag}`. What is not set stays as it is. Works on a
        /// locked tag: this is how it is unlocked.
        run fn update_tag_properties(tag: impl Argument<Tag>, attributes: ChangeableAttributes)
            -> Result<ArtifactTagProperties, Error>;
        /// Deletes a tag: `DELETE /acr/v1/{name}/_tags/{tag}`. The manifest stays, and so do its other tags. Returns
        /// whether the tag was there.
        run fn delete_tag(tag: impl Argument<Tag>) -> Result<bool, Error>;
        /// Lists the names of the tags, ordered by name: `GET /v2/{name}/tags/list`.
        list fn list_tags() -> Pager<Tag>;
        /// Lists the names of the tags with options, such as the page size: `GET /v2/{name}/tags/list`.
        list fn list_tags_with(options: impl Into<ListTagsOptions>) -> Pager<Tag>;

        /// Lists the manifests with their properties, ordered by digest: `GET /acr/v1/{name}/_manifests`.
        list fn list_manifest_properties() -> Pager<ArtifactManifestProperties>;
        /// Lists the manifests with their properties in an order, or with other options:
        /// `GET /acr/v1/{name}/_manifests`.
        list fn list_manifest_properties_with(options: impl Into<ListManifestPropertiesOptions>)
            -> Pager<ArtifactManifestProperties>;
        /// Reads the properties of a manifest: `GET /acr/v1/{name}/_manifests/{digest}`. With a tag it
        /// [resolves](Self::resolve) the tag first, which costs one more request.
        run fn get_manifest_properties(reference: impl Argument<Reference>)
            -> Result<ArtifactManifestProperties, Error>;
        /// Changes the locks of a manifest: `PATCH /acr/v1/{name}/_manifests/{digest}`. What is not set stays as it is.
        /// With a tag it [resolves](Self::resolve) the tag first; the lock is then on the manifest, and the tag can
        /// still move.
        run fn update_manifest_properties(
            reference: impl Argument<Reference>,
            attributes: ChangeableAttributes
        ) -> Result<ArtifactManifestProperties, Error>;
        /// Gets a manifest with its bytes as they are stored: `GET /v2/{name}/manifests/{reference}`.
        run fn get_manifest(reference: impl Argument<Reference>) -> Result<Manifest, Error>;
        /// Asks what a manifest is without getting it: `HEAD /v2/{name}/manifests/{reference}`. `None` when there is no
        /// such tag or manifest.
        run fn head_manifest(reference: impl Argument<Reference>) -> Result<Option<Descriptor>, Error>;
        /// Finds what a tag or digest stands for now: `HEAD /v2/{name}/manifests/{reference}`.
        run fn resolve(reference: impl Argument<Reference>) -> Result<Descriptor, Error>;
        /// Puts a manifest under a tag or its digest: `PUT /v2/{name}/manifests/{reference}`. A tag that points elsewhere
        /// is moved. The blobs and manifests that the manifest names must be in the repository already.
        run fn set_manifest(reference: impl Argument<Reference>, manifest: impl Argument<Manifest>)
            -> Result<AcceptedManifest, Error>;
        /// Deletes a manifest with all its tags: `DELETE /v2/{name}/manifests/{digest}`. With a tag it
        /// [resolves](Self::resolve) the tag first; to remove a tag alone there is [`delete_tag`](Self::delete_tag).
        /// Returns whether the manifest was there.
        run fn delete_manifest(reference: impl Argument<Reference>) -> Result<bool, Error>;

        /// Lists the manifests that name a manifest as their subject, such as signatures and SBOMs, the latest first:
        /// `GET /v2/{name}/referrers/{digest}`.
        list fn list_referrers(digest: impl Argument<Digest>) -> Pager<Descriptor>;
        /// Lists the manifests of one artifact type that name a manifest as their subject:
        /// `GET /v2/{name}/referrers/{digest}?artifactType=`.
        list fn list_referrers_with(
            digest: impl Argument<Digest>,
            options: impl Into<ListReferrersOptions>
        ) -> Pager<Descriptor>;

        /// Downloads a blob, verified against its digest: `GET /v2/{name}/blobs/{digest}`. The reader is returned when
        /// the first bytes are about to come; it has `save` and `write_to` for a file and a writer.
        read fn download_blob(digest: impl Argument<Digest>) -> Result<BlobReader, Error>;
        /// Downloads a blob with options: in several ranges at once, or with events of progress.
        read fn download_blob_with(digest: impl Argument<Digest>, options: impl Into<DownloadBlobOptions> + Send)
            -> Result<BlobReader, Error>;
        /// Downloads a blob to a file, verified against its digest, with options such as to go on with what an earlier
        /// download has left: `GET /v2/{name}/blobs/{digest}`. Returns how many bytes the file has.
        run fn download_blob_to(
            digest: impl Argument<Digest>,
            path: impl AsRef<Path> + Send,
            options: impl Into<SaveBlobOptions> + Send
        ) -> Result<u64, Error>;
        /// Gets the bytes of a range of a blob: `GET /v2/{name}/blobs/{digest}`. They are not verified, because there is
        /// no digest of a part.
        read fn get_blob(digest: impl Argument<Digest>, range: impl Argument<ByteRange>)
            -> Result<BlobReader, Error>;
        /// Finds where the bytes of a blob are, without getting them: `GET /v2/{name}/blobs/{digest}`, whose redirect is
        /// not followed.
        run fn blob_url(digest: impl Argument<Digest>) -> Result<BlobLocation, Error>;
        /// Asks whether a blob is there, and how large it is: `HEAD /v2/{name}/blobs/{digest}`. `None` when it is not.
        run fn head_blob(digest: impl Argument<Digest>) -> Result<Option<Descriptor>, Error>;
        /// Makes a blob of another repository one of this repository's too, without sending it:
        /// `POST /v2/{name}/blobs/uploads/?mount=&from=`. Returns `None` when it was mounted. Where the source does not
        /// have the blob, the registry starts an upload instead, which is returned.
        mount fn mount_blob(
            digest: impl Argument<Digest>,
            from: impl Argument<RepositoryName>
        ) -> Result<Option<BlobUpload>, Error>;
        /// Deletes a blob: `DELETE /v2/{name}/blobs/{digest}`. Returns whether it was there. The registry does not check
        /// whether a manifest still names it.
        run fn delete_blob(digest: impl Argument<Digest>) -> Result<bool, Error>;

        /// Uploads a blob from bytes, text, a path to a file, or a [`BlobSource::reader`]; returns its descriptor, with
        /// the digest that was computed on the way.
        run fn upload_blob(source: impl Into<BlobSource>) -> Result<Descriptor, Error>;
        /// Uploads a blob with options, such as the size of a chunk.
        run fn upload_blob_with(source: impl Into<BlobSource>, options: impl Into<UploadBlobOptions>)
            -> Result<Descriptor, Error>;
        /// Starts an upload: `POST /v2/{name}/blobs/uploads/`. The repository need not exist.
        upload fn start_upload() -> Result<BlobUpload, Error>;
        /// Resumes an upload, also in another process: from a state that was kept, or a location alone, with which the
        /// registry is asked how many bytes it holds: `GET` on the location.
        upload fn resume_upload(state: impl Argument<UploadState>) -> Result<BlobUpload, Error>;
    }
}

blocking! {
    BlobUpload {
        /// Appends a chunk: `PATCH` on the location.
        run &mut fn append(bytes: impl Into<Bytes>) -> Result<(), Error>;
        /// Asks how many bytes the registry holds: `GET` on the location.
        run &mut fn status() -> Result<u64, Error>;
        /// Completes the upload: `PUT` on the location. What was appended is now the blob of this digest.
        run &mut fn complete(digest: impl Argument<Digest>) -> Result<Digest, Error>;
        /// Completes the upload with its last bytes, or its only ones, in the same request: `PUT` on the location.
        run &mut fn complete_with(digest: impl Argument<Digest>, bytes: impl Into<Bytes>)
            -> Result<Digest, Error>;
        /// Sends what the upload lacks of a source, and completes it.
        run &mut fn complete_from(source: impl Into<BlobSource>, options: impl Into<UploadBlobOptions>)
            -> Result<Descriptor, Error>;
        /// Cancels the upload: `DELETE` on the location. On ACR this needs the permission `delete`.
        run &mut fn cancel() -> Result<(), Error>;
    }
}

/// Waits for an operation.
fn run<T>(
    runtime: &Runtime,
    operation: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    runtime.run(operation)
}

/// Makes an iterator of a list.
fn list<T>(runtime: &Runtime, list: crate::Pager<T>) -> Pager<T> {
    Pager::new(list, runtime)
}

/// Waits for the beginning of a blob.
fn read(
    runtime: &Runtime,
    blob: impl Future<Output = Result<BlobStream, Error>>,
) -> Result<BlobReader, Error> {
    Ok(BlobReader::new(runtime.run(blob)?, runtime))
}

/// Waits for an upload.
fn upload(
    runtime: &Runtime,
    upload: impl Future<Output = Result<crate::BlobUpload, Error>>,
) -> Result<BlobUpload, Error> {
    Ok(BlobUpload::new(runtime.run(upload)?, runtime.clone()))
}

/// Waits for a mount.
fn mount(
    runtime: &Runtime,
    mount: impl Future<Output = Result<Option<crate::BlobUpload>, Error>>,
) -> Result<Option<BlobUpload>, Error> {
    let upload = runtime.run(mount)?;
    Ok(upload.map(|upload| BlobUpload::new(upload, runtime.clone())))
}
