use acr_protocol::{ArtifactTagProperties, ChangeableAttributes, Tag};

use super::paging::Pager;
use super::repository::RepositoryClient;
use crate::error::Error;
use crate::tag::{ListTagPropertiesOptions, ListTagsOptions};

/// Tags.
impl RepositoryClient {
    /// Lists the tags with their properties, ordered by name: `GET /acr/v1/{name}/_tags`.
    ///
    /// The twin of the async
    /// [`list_tag_properties`](crate::RepositoryClient::list_tag_properties).
    pub fn list_tag_properties(&self) -> Pager<ArtifactTagProperties> {
        Pager::new(self.inner.list_tag_properties(), &self.runtime)
    }

    /// Lists the tags with their properties in an order, or with other options:
    /// `GET /acr/v1/{name}/_tags`.
    ///
    /// The twin of the async
    /// [`list_tag_properties_with`](crate::RepositoryClient::list_tag_properties_with).
    pub fn list_tag_properties_with(
        &self,
        options: impl Into<ListTagPropertiesOptions>,
    ) -> Pager<ArtifactTagProperties> {
        Pager::new(self.inner.list_tag_properties_with(options), &self.runtime)
    }

    /// Reads the properties of a tag: `GET /acr/v1/{name}/_tags/{tag}`.
    ///
    /// # Errors
    ///
    /// Those of the async [`get_tag_properties`](crate::RepositoryClient::get_tag_properties).
    pub fn get_tag_properties(
        &self,
        tag: impl TryInto<Tag, Error: Into<Error>>,
    ) -> Result<ArtifactTagProperties, Error> {
        self.runtime.run(self.inner.get_tag_properties(tag))
    }

    /// Changes the locks of a tag: `PATCH /acr/v1/{name}/_tags/{tag}`. What is not set stays as it
    /// is. Works on a locked tag: this is how it is unlocked.
    ///
    /// # Errors
    ///
    /// Those of the async
    /// [`update_tag_properties`](crate::RepositoryClient::update_tag_properties).
    pub fn update_tag_properties(
        &self,
        tag: impl TryInto<Tag, Error: Into<Error>>,
        attributes: ChangeableAttributes,
    ) -> Result<ArtifactTagProperties, Error> {
        self.runtime
            .run(self.inner.update_tag_properties(tag, attributes))
    }

    /// Deletes a tag: `DELETE /acr/v1/{name}/_tags/{tag}`. The manifest stays, and so do its other
    /// tags.
    ///
    /// Returns whether the tag was there.
    ///
    /// # Errors
    ///
    /// Those of the async [`delete_tag`](crate::RepositoryClient::delete_tag).
    pub fn delete_tag(&self, tag: impl TryInto<Tag, Error: Into<Error>>) -> Result<bool, Error> {
        self.runtime.run(self.inner.delete_tag(tag))
    }

    /// Lists the names of the tags, ordered by name: `GET /v2/{name}/tags/list`.
    ///
    /// The twin of the async [`list_tags`](crate::RepositoryClient::list_tags).
    pub fn list_tags(&self) -> Pager<Tag> {
        Pager::new(self.inner.list_tags(), &self.runtime)
    }

    /// Lists the names of the tags with options, such as the page size: `GET /v2/{name}/tags/list`.
    ///
    /// The twin of the async [`list_tags_with`](crate::RepositoryClient::list_tags_with).
    pub fn list_tags_with(&self, options: impl Into<ListTagsOptions>) -> Pager<Tag> {
        Pager::new(self.inner.list_tags_with(options), &self.runtime)
    }
}
