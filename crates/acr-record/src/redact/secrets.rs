//! [`Secrets`]: what has passed and must not be seen, found in whatever a text escapes it by.

use std::collections::HashMap;
use std::ops::Range;

use acr_client::protocol::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::REDACTED;
use crate::redact::escapes::{DECODERS, Decode};

/// The secrets that have passed, in lists by how they begin. Each list is sorted.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    by_prefix: HashMap<Prefix, Vec<Secret>>,
    /// The length of the longest one.
    longest: usize,
}

type Prefix = [u8; MIN_SECRET];

/// The length from which a secret is looked for, in bytes. Shorter ones would be found everywhere.
const MIN_SECRET: usize = 4;
/// JSON in JSON with a form in it, for example.
const MAX_LAYERS: usize = 3;

impl Secrets {
    /// Learns a text, if it is long enough.
    pub(super) fn learn(&mut self, text: &str) {
        let Some(prefix) = text.as_bytes().first_chunk::<MIN_SECRET>() else {
            return;
        };
        let secrets = self.by_prefix.entry(*prefix).or_default();
        let place = secrets.binary_search_by(|secret| secret.expose().cmp(text));
        if let (Err(place), true) = (place, text != REDACTED) {
            secrets.insert(place, Secret::new(text));
            self.longest = self.longest.max(text.len());
        }
    }

    /// Learns a text and how it looks within base64, in both alphabets and wherever it begins there:
    /// without the letters that its neighbours have a part in.
    pub(super) fn learn_credential(&mut self, text: &str) {
        if text.len() < MIN_SECRET {
            return;
        }
        self.learn(text);
        for before in 0..3 {
            let bytes = [&[0; 3][..before], text.as_bytes()].concat();
            let letters = (before * 8).div_ceil(6)..bytes.len() * 8 / 6;
            for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                self.learn(&engine.encode(&bytes)[letters.clone()]);
            }
        }
    }

    /// Returns the text with every secret replaced. Those that overlap are replaced as one.
    pub(super) fn mask(&self, text: &str) -> String {
        let mut found = Vec::new();
        let view = View {
            bytes: text.into(),
            places: (0..=text.len()).collect(),
        };
        self.find(&view, MAX_LAYERS, &mut found);
        found.sort_unstable_by_key(|range| range.start);
        let mut masked = Vec::with_capacity(text.len());
        let mut at = 0;
        for range in found {
            if at <= range.start {
                masked.extend_from_slice(&text.as_bytes()[at..range.start]);
                masked.extend_from_slice(REDACTED.as_bytes());
            }
            at = at.max(range.end);
        }
        masked.extend_from_slice(&text.as_bytes()[at..]);
        String::from_utf8_lossy(&masked).into_owned()
    }

    fn find(&self, view: &View, layers: usize, found: &mut Vec<Range<usize>>) {
        for at in 0..view.bytes.len() {
            self.find_at(view, at, found);
        }
        if layers == 0 {
            return;
        }
        for decode in DECODERS {
            let mut inner = Vec::new();
            let decoded = view.decoded(decode, 0, usize::MAX, &mut inner);
            if decoded.bytes == view.bytes {
                continue;
            }
            self.find(&decoded, layers - 1, found);
            // What stands before a secret may look like an escape with its first letters: `100%abc%2F`.
            let mut begin = Vec::new();
            for at in inner {
                view.decode(decode, at, MIN_SECRET, &mut begin, &mut |_, _| {});
                let prefix = begin.first_chunk::<MIN_SECRET>();
                if prefix.is_some_and(|prefix| self.by_prefix.contains_key(prefix)) {
                    let decoded = view.decoded(decode, at, self.longest, &mut Vec::new());
                    self.find_at(&decoded, 0, found);
                }
            }
        }
    }

    /// Finds the longest secret that begins at a place.
    fn find_at(&self, view: &View, at: usize, found: &mut Vec<Range<usize>>) {
        let text = &view.bytes[at..];
        let secrets = text
            .first_chunk()
            .and_then(|prefix| self.by_prefix.get(prefix));
        if let Some(length) = secrets.and_then(|secrets| longest(secrets, text)) {
            found.push(view.places[at]..view.places[at + length]);
        }
    }
}

/// The length of the longest of these sorted secrets that a text begins with.
fn longest(secrets: &[Secret], mut text: &[u8]) -> Option<usize> {
    loop {
        let at = secrets.partition_point(|secret| secret.expose().as_bytes() <= text);
        let before = secrets[..at].last()?.expose().as_bytes();
        let pairs = before.iter().zip(text);
        let common = pairs.take_while(|(one, other)| one == other).count();
        if common == before.len() {
            return Some(common);
        }
        // Whatever the text begins with is before this one, which begins with it too.
        text = &text[..common];
    }
}

/// A text, or what it stands for, and for each byte (and the end) where it stands in the text.
struct View {
    bytes: Vec<u8>,
    places: Vec<usize>,
}

impl View {
    /// Returns what this stands for from a place on, as many bytes as are wanted or one character more, and
    /// adds the places within escapes.
    fn decoded(&self, decode: Decode, from: usize, most: usize, inner: &mut Vec<usize>) -> Self {
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        let end = self.decode(decode, from, most, &mut bytes, &mut |escape, length| {
            places.resize(length, self.places[escape.start]);
            inner.extend(escape.skip(1));
        });
        places.push(self.places[end]);
        Self { bytes, places }
    }

    /// Decodes from a place on, and tells each character: where it is, and how many bytes there are with it.
    /// Returns where it ended.
    fn decode(
        &self,
        decode: Decode,
        from: usize,
        most: usize,
        bytes: &mut Vec<u8>,
        tell: &mut dyn FnMut(Range<usize>, usize),
    ) -> usize {
        bytes.clear();
        let mut at = from;
        while at < self.bytes.len() && bytes.len() < most {
            let length = decode(&self.bytes[at..], bytes).unwrap_or_else(|| {
                bytes.push(self.bytes[at]);
                1
            });
            tell(at..at + length, bytes.len());
            at += length;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_masks(secrets: &[&str], text: &str, expected: &str) {
        let mut known = Secrets::default();
        for secret in secrets {
            known.learn_credential(secret);
        }
        assert_eq!(known.mask(text), expected, "{text}");
    }

    #[test]
    fn a_secret_is_found_in_whatever_escapes_it() {
        for text in [
            "<hun\"ter /2\\ü&>",
            "<hun\\\"ter /2\\\\ü&>",
            "<hun\\\"ter \\/2\\\\\\u00fc\\u0026>",
            "<hun%22ter+%2F2%5C%C3%BC%26>",
            "<hun%22ter%20%2f2%5c%c3%bc%26>",
            "<hun%2522ter%2520%252F2%255C%25C3%25BC%2526>",
            "<hun%5C%22ter+%2F2%5C%5C%C3%BC%26>",
            "<hun\\\\\\\"ter /2\\\\\\\\ü&>",
            "<hun&quot;ter /2\\ü&amp;>",
        ] {
            assert_masks(&["hun\"ter /2\\ü&"], text, "<REDACTED>");
        }
    }

    #[test]
    fn base64_hides_no_secret() {
        for before in ["", "u", "us", "user:"] {
            for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                let text = engine.encode(format!("{before}hunter2-and-more?>"));
                let mut secrets = Secrets::default();
                secrets.learn_credential("hunter2-and-more?>");
                let masked = secrets.mask(&text);
                assert!(masked.len() <= before.len() + 12, "{masked}");
            }
        }
    }

    #[test]
    fn secrets_that_overlap_are_replaced_as_one() {
        let secrets = ["abcdefgh", "efghijkl", "efgh"];
        assert_masks(&secrets, "<abcdefghijkl> <efgh>", "<REDACTED> <REDACTED>");
    }

    #[test]
    fn what_stands_before_a_secret_hides_none_of_its_letters() {
        for (secret, text, expected) in [
            ("abc/d", "100%abc%2Fd", "100%REDACTED"),
            ("abc/d", r"\u0abc\/d", r"\u0REDACTED"),
            ("bell\n.", r"C:\bell\n.", r"C:\REDACTED"),
        ] {
            assert_masks(&[secret], text, expected);
        }
    }

    #[test]
    fn the_longest_secret_at_a_place_is_found_among_those_with_the_same_beginning() {
        let secrets = ["abcd", "abcdef", "abcdefgh", "abcdeg", "abcdzz"].map(Secret::new);
        for (text, length) in [
            ("abcdefghi", Some(8)),
            ("abcdefg", Some(6)),
            ("abcdez", Some(4)),
            ("abcdzzz", Some(6)),
            ("abcd", Some(4)),
            ("abc", None),
        ] {
            assert_eq!(longest(&secrets, text.as_bytes()), length, "{text}");
        }
        assert_eq!(longest(&secrets[1..], b"abcdx"), None);
    }

    #[test]
    fn what_is_not_a_secret_stays() {
        for text in [
            "", "hunter", "hunter3", "abc", "%68unter", "hunter%3", "\\", "\\ud83d", "&#;",
        ] {
            assert_masks(&["hunter2", "abc", "", REDACTED], text, text);
        }
    }
}
