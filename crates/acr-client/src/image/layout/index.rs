//! What is in `index.json` and `oci-layout`.

use std::fmt::Display;

use acr_protocol::{Descriptor, Manifest, MediaType};
use bytes::Bytes;
use serde_json::Value;

/// The index of a layout without images.
pub(super) const EMPTY: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

/// Checks the version of a layout. All of those that begin so can be read.
pub(super) fn check_version(oci_layout: &[u8]) -> Result<(), String> {
    let value: Value = serde_json::from_slice(oci_layout).map_err(text)?;
    match value["imageLayoutVersion"].as_str() {
        Some(version) if version.starts_with("1.") => Ok(()),
        version => Err(format!("the version {version:?} is not known")),
    }
}

/// Reads the list of images.
pub(super) fn images(index: Bytes) -> Result<Vec<Descriptor>, String> {
    let index = Manifest::new(index, MediaType::OCI_INDEX).as_index();
    Ok(index.map_err(text)?.manifests)
}

/// Finds the one image of a name or digest; without either, the only one or the only one with a name. Else returns how
/// many there are.
pub(super) fn find<'a>(
    images: &'a [Descriptor],
    name: Option<&str>,
) -> Result<&'a Descriptor, usize> {
    let only = |wanted: &dyn Fn(&Descriptor) -> bool| {
        let mut found: Vec<_> = images.iter().filter(|image| wanted(image)).collect();
        // The same image may stand there for several names.
        found.dedup_by(|a, b| a.digest == b.digest);
        (found.len() == 1).then(|| found[0])
    };
    let found = match name {
        Some(name) => only(&|image| image_name(image) == Some(name))
            .or_else(|| only(&|image| image.digest.as_str() == name)),
        None => only(&|_| true).or_else(|| only(&|image| image_name(image).is_some())),
    };
    found.ok_or(images.len())
}

/// Adds images, each in the place of the one of the same name, or of the same digest where it has no name. Everything
/// else stays as it is.
pub(super) fn add(index: Bytes, images: &[Descriptor]) -> Result<Vec<u8>, String> {
    let mut index: Value = serde_json::from_slice(&index).map_err(text)?;
    let mut entries = match index["manifests"].take() {
        Value::Array(entries) => entries,
        _ => Vec::new(),
    };
    for image in images {
        let is_same = |entry: &Value| match image_name(image) {
            Some(name) => entry["annotations"][REF_NAME] == name,
            None => entry["digest"] == image.digest.as_str(),
        };
        let place = entries.iter().position(is_same);
        if place.is_some() && image_name(image).is_none() {
            continue;
        }
        entries.retain(|entry| !is_same(entry));
        let place = place.unwrap_or(entries.len()).min(entries.len());
        entries.insert(place, serde_json::to_value(image).map_err(text)?);
    }
    index["manifests"] = Value::Array(entries);
    serde_json::to_vec(&index).map_err(text)
}

/// The name of an image.
pub(in crate::image) fn image_name(image: &Descriptor) -> Option<&str> {
    image.annotations.get(REF_NAME).map(String::as_str)
}

fn text(error: impl Display) -> String {
    error.to_string()
}

/// The annotation that names an image.
pub(in crate::image) const REF_NAME: &str = "org.opencontainers.image.ref.name";

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: Option<&str>, content: &str) -> Descriptor {
        let image = Descriptor::of(MediaType::OCI_MANIFEST, content);
        match name {
            Some(name) => image.with_annotation(REF_NAME, name),
            None => image,
        }
    }

    #[test]
    fn an_image_takes_the_place_of_its_name_and_the_others_stay() {
        let before = [
            image(Some("v1"), "a"),
            image(None, "b"),
            image(Some("v2"), "c"),
        ];
        let foreign = EMPTY.replace("\"manifests\"", "\"x\":{\"b\":1,\"a\":2},\"manifests\"");
        let index = add(foreign.into(), &before).unwrap();
        let index = add(index.into(), &[image(Some("v1"), "d"), image(None, "b")]).unwrap();
        assert_eq!(
            images(index.clone().into()).unwrap(),
            [image(Some("v1"), "d"), before[1].clone(), before[2].clone()]
        );
        let text = String::from_utf8(index).unwrap();
        assert!(text.contains(r#""x":{"b":1,"a":2}"#), "{text}");
    }

    #[test]
    fn an_image_is_found_by_name_by_digest_or_as_the_only_one() {
        let (one, other) = (image(Some("v1"), "a"), image(None, "b"));
        let both = [one.clone(), other.clone()];
        assert_eq!(find(&both, Some("v1")), Ok(&one));
        assert_eq!(find(&both, Some(other.digest.as_str())), Ok(&other));
        assert_eq!(find(&both, None), Ok(&one));
        assert_eq!(find(&both[1..], None), Ok(&other));
        assert_eq!(find(&both, Some("v9")), Err(2));
        assert_eq!(find(&[one, image(Some("v2"), "b")], None), Err(2));
        assert_eq!(find(&[], None), Err(0));
    }

    #[test]
    fn only_a_known_version_is_read() {
        assert!(check_version(br#"{"imageLayoutVersion":"1.0.0"}"#).is_ok());
        for bad in [r#"{"imageLayoutVersion":"2.0.0"}"#, "{}", "", "[]"] {
            assert!(check_version(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
