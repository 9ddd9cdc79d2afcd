//! Texts and JSON of nobody's making.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{digest, odd_text};

/// Arbitrary texts, and such as come near to what the parsers want.
pub(crate) fn hostile_text() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => odd_text(),
        1 => "[a-z0-9./:@_-]{0,40}",
        1 => "(sha256|sha512|SHA256|a\\+b):[0-9a-fA-F=_]{0,70}",
        1 => "(Bearer|Basic|Negotiate)? ?([a-z]{1,6}[ =]{1,3}\"?[^\"]{0,6}\"?[, ]{0,2}){0,4}",
        1 => "(<[^>]{0,10}>?(; ?[a-z]{0,5}=?\"?[a-z\\\\ ]{0,6}\"?){0,3},? ?){0,3}",
        1 => "bytes[= ][0-9*-]{0,24}(-[0-9]{0,24})?(/[0-9*]{0,24})?",
        1 => "[0-9]{0,22}-[0-9]{0,22}",
        1 => "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,12})?(Z|z|[+-][0-9]{2}:[0-9]{2})?",
        1 => "[a-z]{1,5}://[^/]{0,10}(/[^?]{0,10})?(\\?.{0,10})?",
        1 => "([A-Za-z0-9_=-]{0,20}\\.){0,3}",
        1 => "(repository|registry)?:[^ ]{0,10}:[a-z,*]{0,10} ?([a-z:,]{0,12})?",
    ]
}

/// JSON with the members that the parsers look for, of every type.
pub(crate) fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        odd_text().prop_map(Into::into),
        digest().prop_map(|digest| digest.as_str().into()),
    ];
    let names = proptest::sample::select(vec![
        "errors",
        "code",
        "message",
        "detail",
        "config",
        "layers",
        "manifests",
        "digest",
        "size",
        "mediaType",
        "platform",
        "annotations",
        "subject",
        "deleteEnabled",
        "urls",
    ]);
    let value = leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Into::into),
            vec((names.clone(), inner), 0..4).prop_map(|members| {
                let members = members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value));
                serde_json::Value::Object(members.collect())
            }),
        ]
    });
    value.prop_map(|value| value.to_string())
}
