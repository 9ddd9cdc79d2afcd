//! Changes of what an index lists.

use serde::de::Error as _;
use serde_json::{Map, Value};

/// Changes the entries of an index, given as JSON, and leaves everything else as it is.
pub(super) fn edit_entries(
    index: &[u8],
    change: impl FnOnce(Vec<Value>) -> serde_json::Result<Vec<Value>>,
) -> serde_json::Result<Vec<u8>> {
    let mut index: Map<String, Value> = serde_json::from_slice(index)?;
    let entries = match index.get_mut("manifests").map(Value::take) {
        Some(Value::Array(entries)) => entries,
        None | Some(Value::Null) => Vec::new(),
        Some(_) => return Err(serde_json::Error::custom("its manifests are no list")),
    };
    index.insert("manifests".to_owned(), change(entries)?.into());
    serde_json::to_vec(&index)
}
