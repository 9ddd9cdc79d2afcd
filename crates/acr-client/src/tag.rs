use std::num::NonZeroU32;

use acr_protocol::tag::{
    DeleteTag, GetTagProperties, ListTagProperties, ListTags, UpdateTagProperties,
};
use acr_protocol::{
    ArtifactTagOrder, ArtifactTagProperties, ChangeableAttributes, Digest, ListQuery, PageToken,
    Tag,
};

use crate::argument::Argument;
use crate::error::Error;
use crate::paging::Pager;
use crate::repository::RepositoryClient;

/// Tags.
impl RepositoryClient {
    /// Lists the tags with their properties, ordered by name: `GET /acr/v1/{name}/_tags`.
    ///
    /// The list's first item is an error of the kind [`NotFound`](crate::ErrorKind::NotFound) when
    /// the repository does not exist.
    #[doc(alias = "GetAllTagProperties")]
    #[doc(alias = "GetTagPropertiesCollection")]
    #[doc(alias = "NewListTagsPager")]
    pub fn list_tag_properties(&self) -> Pager<ArtifactTagProperties> {
        self.list_tag_properties_with(ListTagPropertiesOptions::default())
    }

    /// Lists the tags with their properties in an order, or with other options:
    /// `GET /acr/v1/{name}/_tags`.
    ///
    /// With a digest it lists the tags of that manifest alone.
    pub fn list_tag_properties_with(
        &self,
        options: impl Into<ListTagPropertiesOptions>,
    ) -> Pager<ArtifactTagProperties> {
        let ListTagPropertiesOptions {
            order,
            digest,
            page_size,
            resume,
        } = options.into();
        let operation = ListTagProperties {
            repository: self.name.clone(),
            query: ListQuery {
                page_size: page_size.map(NonZeroU32::get),
                last: None,
            },
            order,
            digest: digest.clone(),
        };
        self.pipeline.list(operation, resume, move |mut page| {
            // The service drops the filter from its links, so pages from the second on hold
            // the tags of all manifests.
            if let Some(digest) = &digest {
                page.items.retain(|tag| tag.digest == *digest);
            }
            page
        })
    }

    /// Reads the properties of a tag: `GET /acr/v1/{name}/_tags/{tag}`.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is no such tag.
    pub async fn get_tag_properties(
        &self,
        tag: impl Argument<Tag>,
    ) -> Result<ArtifactTagProperties, Error> {
        let tag = tag.into_argument()?;
        let repository = self.name.clone();
        let operation = GetTagProperties { repository, tag };
        self.pipeline.run(&operation).await
    }

    /// Changes the locks of a tag: `PATCH /acr/v1/{name}/_tags/{tag}`. What is not set stays as it
    /// is. Works on a locked tag: this is how it is unlocked.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is no such tag.
    pub async fn update_tag_properties(
        &self,
        tag: impl Argument<Tag>,
        attributes: ChangeableAttributes,
    ) -> Result<ArtifactTagProperties, Error> {
        let tag = tag.into_argument()?;
        let operation = UpdateTagProperties {
            repository: self.name.clone(),
            tag,
            attributes,
        };
        self.pipeline.run(&operation).await
    }

    /// Deletes a tag: `DELETE /acr/v1/{name}/_tags/{tag}`. The manifest stays, and so do its other
    /// tags.
    ///
    /// Returns whether the tag was there.
    ///
    /// # Errors
    ///
    /// [`Disallowed`](crate::ErrorKind::Disallowed) when the tag is locked, against writing or
    /// against deletion.
    pub async fn delete_tag(&self, tag: impl Argument<Tag>) -> Result<bool, Error> {
        let tag = tag.into_argument()?;
        let repository = self.name.clone();
        let operation = DeleteTag { repository, tag };
        Ok(self.pipeline.run(&operation).await?.was_there())
    }

    /// Lists the names of the tags, ordered by name: `GET /v2/{name}/tags/list`.
    ///
    /// This is the list of the OCI specification, which every registry has. It needs the permission
    /// `metadata_read` on ACR, like [`list_tag_properties`](Self::list_tag_properties).
    pub fn list_tags(&self) -> Pager<Tag> {
        self.list_tags_with(ListTagsOptions::default())
    }

    /// Lists the names of the tags with options, such as the page size: `GET /v2/{name}/tags/list`.
    pub fn list_tags_with(&self, options: impl Into<ListTagsOptions>) -> Pager<Tag> {
        let ListTagsOptions { page_size, resume } = options.into();
        let operation = ListTags {
            repository: self.name.clone(),
            query: ListQuery {
                page_size: page_size.map(NonZeroU32::get),
                last: None,
            },
        };
        self.pipeline
            .list(operation, resume, std::convert::identity)
    }
}

/// Options of [`RepositoryClient::list_tag_properties_with`]; an [`ArtifactTagOrder`] is enough for
/// the order alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListTagPropertiesOptions {
    /// The order of the list.
    pub order: ArtifactTagOrder,
    /// The manifest whose tags are listed. `None`: every tag.
    pub digest: Option<Digest>,
    /// The most tags that a page may hold. `None`: the registry's default.
    pub page_size: Option<NonZeroU32>,
    /// Where to go on: the token of a page of an earlier list, whose order and page size then hold.
    pub resume: Option<PageToken>,
}

impl From<ArtifactTagOrder> for ListTagPropertiesOptions {
    fn from(order: ArtifactTagOrder) -> Self {
        Self {
            order,
            ..Self::default()
        }
    }
}

/// Options of [`RepositoryClient::list_tags_with`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListTagsOptions {
    /// The most tags that a page may hold. `None`: the registry's default.
    pub page_size: Option<NonZeroU32>,
    /// Where to go on: the token of a page of an earlier list, whose page size then holds.
    pub resume: Option<PageToken>,
}
