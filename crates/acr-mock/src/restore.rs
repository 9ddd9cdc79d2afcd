//! Taking the content out of a registry, and putting it back.

use crate::registry::Registry;
use crate::snapshot::Snapshot;
use crate::store::Store;

impl Registry {
    /// Returns the content of the registry: repositories, tags, manifests and blobs, with their times and locks.
    ///
    /// Open uploads, tokens and settings are not part of it: locations and tokens are signed by the registry that
    /// gave them out. Other requests wait while the content is copied.
    ///
    /// ```
    /// use acr_mock::{Registry, Snapshot};
    ///
    /// let registry = Registry::new();
    /// registry.seed("samples/app")?.image("v1")?;
    /// let file = serde_json::to_string(&registry.snapshot())?;
    ///
    /// let snapshot: Snapshot = serde_json::from_str(&file)?;
    /// let other = Registry::new();
    /// other.restore(snapshot.clone());
    /// assert_eq!(other.snapshot(), snapshot);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.store().to_snapshot()
    }

    /// Replaces the content of the registry. Open uploads stay open, tokens stay valid.
    ///
    /// Nothing is checked: bytes are served under the digest that they stand under, and a tag may point at a
    /// manifest that is missing. `restore(Snapshot::default())` empties the registry.
    pub fn restore(&self, snapshot: Snapshot) {
        let mut store = Store::from_snapshot(snapshot, self.quota());
        self.store().swap_content(&mut store);
        // What was there before is dropped here, while others use the registry.
    }
}
