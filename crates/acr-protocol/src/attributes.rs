//! ACR's `changeableAttributes`: the four switches by which repositories, tags and manifests are locked.
//!
//! [`ChangeableAttributes`] is what one asks for (absent members stay as they are); [`Attributes`] is what was read back.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A change of locks: each switch is set on, set off, or left as it is (`None`).
///
/// ```
/// use acr_protocol::ChangeableAttributes;
/// let lock = ChangeableAttributes::default().can_write(false);
/// assert_eq!(serde_json::to_string(&lock).unwrap(), r#"{"writeEnabled":false}"#);
/// ```
#[doc(alias = "ContentProperties")]
#[doc(alias = "TagWriteableProperties")]
#[doc(alias = "ManifestWriteableProperties")]
#[doc(alias = "RepositoryWriteableProperties")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChangeableAttributes {
    /// Whether it may be deleted (`deleteEnabled`).
    #[serde(rename = "deleteEnabled")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub can_delete: Option<bool>,
    /// Whether it may be overwritten, or, for a tag or manifest, deleted (`writeEnabled`).
    #[serde(rename = "writeEnabled")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub can_write: Option<bool>,
    /// Whether it may be pulled (`readEnabled`).
    #[serde(rename = "readEnabled")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub can_read: Option<bool>,
    /// Whether it appears in lists (`listEnabled`).
    #[serde(rename = "listEnabled")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub can_list: Option<bool>,
}

impl ChangeableAttributes {
    /// Neither overwriting nor deleting; reading and listing stay as they are.
    pub const LOCKED: Self = Self {
        can_delete: Some(false),
        can_write: Some(false),
        can_read: None,
        can_list: None,
    };

    /// Overwriting and deleting are allowed again; reading and listing stay as they are.
    pub const UNLOCKED: Self = Self {
        can_delete: Some(true),
        can_write: Some(true),
        can_read: None,
        can_list: None,
    };

    /// Sets whether it may be deleted.
    #[must_use]
    pub fn can_delete(mut self, enabled: bool) -> Self {
        self.can_delete = Some(enabled);
        self
    }

    /// Sets whether it may be overwritten.
    #[must_use]
    pub fn can_write(mut self, enabled: bool) -> Self {
        self.can_write = Some(enabled);
        self
    }

    /// Sets whether it may be pulled.
    #[must_use]
    pub fn can_read(mut self, enabled: bool) -> Self {
        self.can_read = Some(enabled);
        self
    }

    /// Sets whether it appears in lists.
    #[must_use]
    pub fn can_list(mut self, enabled: bool) -> Self {
        self.can_list = Some(enabled);
        self
    }

    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl From<&Attributes> for ChangeableAttributes {
    fn from(attributes: &Attributes) -> Self {
        Self {
            can_delete: Some(attributes.can_delete()),
            can_write: Some(attributes.can_write()),
            can_read: Some(attributes.can_read()),
            can_list: Some(attributes.can_list()),
        }
    }
}

/// The switches as a registry reports them. One that is absent is on.
///
/// Converts into [`ChangeableAttributes`], so that what was read can be restored later.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    #[serde(flatten)]
    switches: ChangeableAttributes,
    /// Members beyond the four switches, such as `quarantineState` of a scanned manifest.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Attributes {
    /// All four flags enabled, the state of a newly created item.
    #[must_use]
    pub fn enabled() -> Self {
        let switches = ChangeableAttributes::UNLOCKED.can_read(true).can_list(true);
        Self {
            switches,
            extra: Map::new(),
        }
    }

    /// Whether it may be deleted.
    #[must_use]
    pub fn can_delete(&self) -> bool {
        self.switches.can_delete.unwrap_or(true)
    }

    /// Whether it may be overwritten (and, for a tag or manifest, deleted).
    #[must_use]
    pub fn can_write(&self) -> bool {
        self.switches.can_write.unwrap_or(true)
    }

    /// Whether it may be pulled.
    #[must_use]
    pub fn can_read(&self) -> bool {
        self.switches.can_read.unwrap_or(true)
    }

    /// Whether it appears in lists.
    #[must_use]
    pub fn can_list(&self) -> bool {
        self.switches.can_list.unwrap_or(true)
    }

    /// Whether overwriting or deleting is switched off.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        !self.can_delete() || !self.can_write()
    }

    /// Applies a change: a switch that it leaves out stays as it is.
    pub fn apply(&mut self, change: &ChangeableAttributes) {
        let switches = &mut self.switches;
        switches.can_delete = change.can_delete.or(switches.can_delete);
        switches.can_write = change.can_write.or(switches.can_write);
        switches.can_read = change.can_read.or(switches.can_read);
        switches.can_list = change.can_list.or(switches.can_list);
    }
}

impl From<ChangeableAttributes> for Attributes {
    fn from(switches: ChangeableAttributes) -> Self {
        Self {
            switches,
            extra: Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_that_is_absent_is_on() {
        let attributes: Attributes = serde_json::from_str(r#"{"writeEnabled":false}"#).unwrap();
        assert!(
            !attributes.can_write()
                && attributes.can_delete()
                && attributes.can_list()
                && attributes.can_read()
        );
        assert!(attributes.is_locked());
        assert!(!Attributes::default().is_locked());
    }

    #[test]
    fn members_come_in_the_order_of_the_wire_and_unknown_ones_survive() {
        let text = r#"{"deleteEnabled":true,"writeEnabled":true,"readEnabled":true,"listEnabled":true,"quarantineDetails":"{}","quarantineState":"Passed"}"#;
        let attributes: Attributes = serde_json::from_str(text).unwrap();
        assert_eq!(attributes.extra["quarantineState"], "Passed");
        assert_eq!(serde_json::to_string(&attributes).unwrap(), text);
    }

    #[test]
    fn a_change_touches_only_what_it_names() {
        let mut attributes = Attributes::enabled();
        attributes.apply(&ChangeableAttributes::LOCKED);
        assert!(attributes.is_locked() && attributes.can_read());
        let restore = ChangeableAttributes::from(&attributes);
        attributes.apply(&ChangeableAttributes::UNLOCKED);
        assert!(!attributes.is_locked());
        attributes.apply(&restore);
        assert!(attributes.is_locked());
    }
}
