//! What is in `index.json` and `oci-layout`.

use std::collections::HashMap;
use std::fmt::Display;
use std::mem;

use acr_protocol::referrers::is_fallback_tag;
use acr_protocol::{Descriptor, Digest, Manifest, MediaType};
use bytes::Bytes;
use serde_json::Value;

use crate::image::entries::edit_entries;

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

/// The images of a layout, by name and by digest.
pub(super) struct Images {
    pub(super) list: Vec<Descriptor>,
    names: HashMap<String, Vec<usize>>,
    digests: HashMap<Digest, usize>,
}

impl Images {
    pub(super) fn new(list: Vec<Descriptor>) -> Self {
        let mut names = HashMap::<String, Vec<usize>>::new();
        let mut digests = HashMap::new();
        for (place, image) in list.iter().enumerate() {
            digests.entry(image.digest.clone()).or_insert(place);
            if let Some(name) = image_name(image) {
                names.entry(name.to_owned()).or_default().push(place);
            }
        }
        Self {
            list,
            names,
            digests,
        }
    }

    /// Finds the one image of a name or digest; without either, the only one or the only one with a name of its own.
    /// Else returns how many there are.
    pub(super) fn find(&self, name: Option<&str>) -> Result<&Descriptor, usize> {
        let found = match name {
            Some(name) => {
                let named = self.names.get(name).into_iter().flatten();
                only(named.map(|&place| &self.list[place])).or_else(|| {
                    let digest = Digest::new(name).ok()?;
                    self.digests.get(&digest).map(|&place| &self.list[place])
                })
            }
            None => only(self.list.iter()).or_else(|| {
                let named = self.list.iter().filter(|image| image_name(image).is_some());
                // Beside an image there may be what belongs to it by its tag.
                let own = named.clone().filter(|image| !belongs_to_another(image));
                only(own).or_else(|| only(named))
            }),
        };
        found.ok_or(self.list.len())
    }
}

/// Whether an image's name says that it belongs to another one: a signature of cosign's, or a list of referrers.
fn belongs_to_another(image: &Descriptor) -> bool {
    let is_suffix = |suffix: &&str| SIGNATURE_SUFFIXES.contains(suffix);
    image_name(image).is_some_and(|name| {
        let digest = name.find('.').filter(|&dot| is_suffix(&&name[dot..]));
        is_fallback_tag(digest.map_or(name, |dot| &name[..dot]))
    })
}

/// The only image. The same one may stand there for several names, and for none.
fn only<'a>(images: impl Iterator<Item = &'a Descriptor>) -> Option<&'a Descriptor> {
    let mut found: Option<&Descriptor> = None;
    for image in images {
        match found {
            Some(other) if other.digest != image.digest => return None,
            Some(other) if image_name(other).is_some() => {}
            _ => found = Some(image),
        }
    }
    found
}

/// Adds images, each in the place of the one of the same name, or of the same digest where it has no name. Everything
/// else stays as it is.
pub(super) fn add(index: Bytes, images: &[Descriptor]) -> Result<Vec<u8>, String> {
    let changed = edit_entries(&index, |entries| {
        // There may be a hundred thousand, so that each is looked up, and not looked for.
        let mut list = List::default();
        for entry in entries {
            list.push(entry);
        }
        for image in images {
            let entry = serde_json::to_value(image)?;
            match image_name(image) {
                Some(name) => list.replace(name, entry),
                None if list.has(image.digest.as_str()) => {}
                None => list.push(entry),
            }
        }
        Ok(list.entries.into_iter().flatten().collect())
    });
    changed.map_err(text)
}

/// The entries of an index.
#[derive(Default)]
struct List {
    /// `None` where one was taken out.
    entries: Vec<Option<Value>>,
    /// The places of each name.
    names: HashMap<String, Vec<usize>>,
    /// How many there are of each digest.
    digests: HashMap<String, usize>,
}

impl List {
    fn push(&mut self, entry: Value) {
        if let Some(name) = entry["annotations"][REF_NAME].as_str() {
            let places = self.names.entry(name.to_owned()).or_default();
            places.push(self.entries.len());
        }
        self.entries.push(None);
        self.put(self.entries.len() - 1, Some(entry));
    }

    /// Puts an entry in the place of the first one of its name, and takes out the others.
    fn replace(&mut self, name: &str, entry: Value) {
        let places = self.names.remove(name).unwrap_or_default();
        let Some((&first, others)) = places.split_first() else {
            return self.push(entry);
        };
        for &other in others {
            self.put(other, None);
        }
        self.put(first, Some(entry));
        self.names.insert(name.to_owned(), vec![first]);
    }

    fn has(&self, digest: &str) -> bool {
        self.digests.get(digest).is_some_and(|&count| count > 0)
    }

    fn put(&mut self, place: usize, entry: Option<Value>) {
        let digest = |entry: &Option<Value>| Some(entry.as_ref()?["digest"].as_str()?.to_owned());
        if let Some(new) = digest(&entry) {
            *self.digests.entry(new).or_default() += 1;
        }
        let old = mem::replace(&mut self.entries[place], entry);
        if let Some(count) = digest(&old).and_then(|old| self.digests.get_mut(&old)) {
            *count -= 1;
        }
    }
}

/// The name of an image.
pub(in crate::image) fn image_name(image: &Descriptor) -> Option<&str> {
    image.annotations.get(REF_NAME).map(String::as_str)
}

fn text(error: impl Display) -> String {
    error.to_string()
}

/// What the tags of cosign end with, after the digest of what they belong to.
pub(in crate::image) const SIGNATURE_SUFFIXES: [&str; 3] = [".sig", ".att", ".sbom"];
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
    fn one_that_stood_twice_stands_once_and_one_that_was_replaced_may_come_without_a_name() {
        let before = [
            image(Some("v1"), "a"),
            image(None, "b"),
            image(Some("v1"), "c"),
        ];
        let index = Manifest::try_from(&acr_protocol::ImageIndex::new(before.to_vec())).unwrap();
        let new = [image(Some("v1"), "d"), image(None, "a"), image(None, "b")];
        let index = add(index.bytes, &new).unwrap();
        let expected = [new[0].clone(), before[1].clone(), new[1].clone()];
        assert_eq!(images(index.into()).unwrap(), expected);
    }

    #[test]
    fn an_image_is_found_by_name_by_digest_or_as_the_only_one() {
        let (one, other) = (image(Some("v1"), "a"), image(None, "b"));
        let find = |images: &[Descriptor], name: Option<&str>| {
            let images = Images::new(images.to_vec());
            images.find(name).cloned()
        };
        let both = [one.clone(), other.clone()];
        assert_eq!(find(&both, Some("v1")), Ok(one.clone()));
        let digest = other.digest.as_str();
        assert_eq!(find(&both, Some(digest)), Ok(other.clone()));
        assert_eq!(find(&both, None), Ok(one.clone()));
        assert_eq!(find(&both[1..], None), Ok(other));
        assert_eq!(find(&both, Some("v9")), Err(2));
        let several = [one.clone(), image(Some("v2"), "b")];
        assert_eq!(find(&several, None), Err(2));
        let same = [one.clone(), image(Some("v2"), "a")];
        assert_eq!(find(&same, None), Ok(one));
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
