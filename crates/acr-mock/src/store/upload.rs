use acr_protocol::{Digester, RepositoryName, Timestamp};

use crate::store::content::Content;

/// An open upload: what has come so far, and its digest on the way.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    id: String,
    repository: RepositoryName,
    started_on: Timestamp,
    pub(crate) content: Content,
    pub(crate) digester: Digester,
    /// Whether a chunk has come that may only be the last.
    pub(crate) is_closed: bool,
    /// When it ends if no further byte comes.
    pub(crate) end: Timestamp,
}

impl Upload {
    pub(crate) fn new(id: String, repository: RepositoryName, started_on: Timestamp) -> Self {
        Self {
            id,
            repository,
            started_on,
            content: Content::default(),
            digester: Digester::sha256(),
            is_closed: false,
            end: started_on,
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    pub(crate) fn started_on(&self) -> Timestamp {
        self.started_on
    }

    /// How many bytes have come.
    pub(crate) fn offset(&self) -> u64 {
        self.content.length()
    }
}
