//! [`Secrets`]: what has passed and must not be seen, and every place where it is.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;

use acr_protocol::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::transport::record::scrub::escapes::{may_begin, units};

/// What stands in the place of a secret.
pub(crate) const REDACTED: &str = "REDACTED";

/// The secrets that are known so far, found in text by how they begin.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    entries: Vec<Entry>,
    /// Entries by their first bytes.
    index: HashMap<Prefix, Vec<usize>>,
    /// The first two bytes of all prefixes, because nearly every place of a text begins with none.
    beginnings: Pairs,
    /// How many were learned, ever.
    count: u64,
    /// Grows with each look, for the age of entries.
    ticks: u64,
}

#[derive(Debug)]
struct Entry {
    text: Secret,
    replacement: String,
    last_seen: u64,
}

type Prefix = [u8; SHORTEST];

impl Secrets {
    /// Takes note of a secret, and of how it looks in base64, alone or behind a user name.
    ///
    /// One of fewer than four bytes is not searched for: it would be found everywhere.
    pub(in crate::transport::record) fn learn(&mut self, text: &str, replacement: &str) {
        self.learn_for(text, replacement, false);
    }

    /// The same, for one that is never forgotten.
    pub(crate) fn learn_for_good(&mut self, text: &str) {
        self.learn_for(text, REDACTED, true);
    }

    fn learn_for(&mut self, text: &str, replacement: &str, for_good: bool) {
        if text == REDACTED || text == replacement || text.len() < SHORTEST {
            return;
        }
        self.insert(text, replacement, for_good);
        for encoded in in_base64(text) {
            self.insert(&encoded, REDACTED, for_good);
        }
    }

    /// A number that grows with each new secret.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The text with every secret replaced, if there was one.
    pub(in crate::transport::record) fn replace_in_text(&self, text: &str) -> Option<String> {
        let cleaned = self.replace_in_bytes(text.as_bytes(), false)?;
        Some(String::from_utf8_lossy(&cleaned).into_owned())
    }

    /// The bytes with every secret replaced, if there was one. Of bytes that were cut off, the
    /// beginning of a secret at their end goes too.
    pub(in crate::transport::record) fn replace_in_bytes(
        &self,
        bytes: &[u8],
        cut: bool,
    ) -> Option<Vec<u8>> {
        if self.entries.is_empty() {
            return None;
        }
        let found = self.find(bytes, cut);
        if found.is_empty() {
            return None;
        }
        let mut cleaned = Vec::with_capacity(bytes.len());
        let mut at = 0;
        for (range, entry) in found {
            cleaned.extend_from_slice(&bytes[at..range.start]);
            cleaned.extend_from_slice(self.entries[entry].replacement.as_bytes());
            at = range.end;
        }
        cleaned.extend_from_slice(&bytes[at..]);
        Some(cleaned)
    }

    /// Where secrets are, each range with the entry that begins it. Those that overlap are one range.
    fn find(&self, bytes: &[u8], cut: bool) -> Vec<(Range<usize>, usize)> {
        let mut found: Vec<(Range<usize>, usize)> = Vec::new();
        for at in 0..bytes.len() {
            let longest = match bytes[at..].first_chunk::<SHORTEST>() {
                None => break,
                Some(plain) if !plain.iter().copied().any(may_begin) => {
                    if !self.beginnings.contains(plain) {
                        continue;
                    }
                    self.longest(*plain, bytes, at, cut)
                }
                Some(_) => prefixes(bytes, at)
                    .into_iter()
                    .filter_map(|prefix| self.longest(prefix, bytes, at, cut))
                    .max_by_key(|(_, end)| *end),
            };
            let Some((entry, end)) = longest else {
                continue;
            };
            match found.last_mut() {
                Some((range, _)) if at < range.end => range.end = range.end.max(end),
                _ => found.push((at..end, entry)),
            }
        }
        found
    }

    /// The secret with this prefix that reaches farthest from here, and where it ends.
    fn longest(
        &self,
        prefix: Prefix,
        bytes: &[u8],
        at: usize,
        cut: bool,
    ) -> Option<(usize, usize)> {
        let entries = self.index.get(&prefix)?.iter().copied();
        let ends = entries.filter_map(|entry| {
            let text = self.entries[entry].text.expose().as_bytes();
            Some((entry, end_of(text, bytes, at, cut)?))
        });
        ends.max_by_key(|(_, end)| *end)
    }

    fn insert(&mut self, text: &str, replacement: &str, for_good: bool) {
        let Some(prefix) = text.as_bytes().first_chunk::<SHORTEST>() else {
            return;
        };
        self.ticks += 1;
        let last_seen = if for_good { u64::MAX } else { self.ticks };
        let mut known = self.index.get(prefix).into_iter().flatten().copied();
        if let Some(known) = known.find(|entry| self.entries[*entry].text.expose() == text) {
            let entry = &mut self.entries[known];
            entry.last_seen = entry.last_seen.max(last_seen);
            return;
        }
        self.count += 1;
        if self.entries.len() >= MOST {
            self.forget_the_oldest();
        }
        self.beginnings.insert(prefix);
        let entries = self.index.entry(*prefix).or_default();
        entries.push(self.entries.len());
        self.entries.push(Entry {
            text: Secret::new(text),
            replacement: replacement.to_owned(),
            last_seen,
        });
    }

    fn forget_the_oldest(&mut self) {
        self.entries.sort_by_key(|entry| entry.last_seen);
        let passing = self
            .entries
            .iter()
            .filter(|entry| entry.last_seen < u64::MAX);
        let forgotten = passing.count().min(MOST / 2);
        self.entries.drain(..forgotten);
        self.index.clear();
        self.beginnings = Pairs::default();
        for (at, entry) in self.entries.iter().enumerate() {
            if let Some(prefix) = entry.text.expose().as_bytes().first_chunk() {
                self.index.entry(*prefix).or_default().push(at);
                self.beginnings.insert(prefix);
            }
        }
    }
}

/// A set of two bytes each.
#[derive(Default)]
struct Pairs(Vec<u64>);

impl Pairs {
    fn insert(&mut self, prefix: &Prefix) {
        self.0.resize(1 << 10, 0);
        let (word, bit) = Self::place(prefix);
        self.0[word] |= bit;
    }

    fn contains(&self, prefix: &Prefix) -> bool {
        let (word, bit) = Self::place(prefix);
        self.0.get(word).is_some_and(|bits| bits & bit != 0)
    }

    fn place(prefix: &Prefix) -> (usize, u64) {
        let pair = u16::from_be_bytes([prefix[0], prefix[1]]);
        (usize::from(pair >> 6), 1 << (pair & 63))
    }
}

impl fmt::Debug for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pairs").finish_non_exhaustive()
    }
}

/// The first bytes of what the text may stand for from here on.
fn prefixes(text: &[u8], at: usize) -> Vec<Prefix> {
    let mut found = Vec::new();
    let mut open = vec![(at, [0; SHORTEST], 0)];
    let mut seen = 0;
    while let Some(&(at, prefix, length)) = open.get(seen) {
        seen += 1;
        for unit in units(text, at) {
            let (mut prefix, mut length) = (prefix, length);
            for byte in unit.bytes() {
                if length < SHORTEST {
                    prefix[length] = *byte;
                    length += 1;
                }
            }
            let so_far = (unit.next, prefix, length);
            if length < SHORTEST {
                if !open.contains(&so_far) {
                    open.push(so_far);
                }
            } else if !found.contains(&prefix) {
                found.push(prefix);
            }
        }
    }
    found
}

/// Where a secret ends that begins here, in whatever escapes; the farthest place, if there are several.
fn end_of(secret: &[u8], text: &[u8], start: usize, cut: bool) -> Option<usize> {
    let mut open = vec![(start, 0)];
    let mut seen = HashSet::new();
    let most = MOST_WAYS * (secret.len() + SHORTEST);
    let mut farthest = None;
    while let Some((mut at, mut matched)) = open.pop() {
        loop {
            if matched == secret.len() {
                farthest = farthest.max(Some(at));
                break;
            }
            let left = text.len() - at;
            let is_special = left > 0 && may_begin(text[at]);
            if cut && matched >= SHORTEST && (left == 0 || is_special && left < LONGEST_ESCAPE) {
                farthest = farthest.max(Some(text.len()));
                break;
            }
            if is_special {
                if seen.len() > most {
                    // Nobody escapes like this; better too much than too little.
                    return farthest.max(Some(at));
                }
                if seen.insert((at, matched)) {
                    for unit in units(text, at) {
                        if secret[matched..].starts_with(unit.bytes()) {
                            open.push((unit.next, matched + unit.bytes().len()));
                        }
                    }
                }
                break;
            }
            if text.get(at) != Some(&secret[matched]) {
                break;
            }
            at += 1;
            matched += 1;
        }
    }
    farthest
}

/// How the text looks inside longer base64, in both alphabets, wherever it begins: without the letters
/// that its neighbours have a part in.
fn in_base64(text: &str) -> Vec<String> {
    let mut forms: Vec<String> = Vec::new();
    for before in 0..3 {
        let bytes = [&[0; 3][..before], text.as_bytes()].concat();
        let first = (before * 8).div_ceil(6);
        let last = bytes.len() * 8 / 6;
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let form = engine.encode(&bytes)[first..last].to_owned();
            if form.len() >= SHORTEST && !forms.contains(&form) {
                forms.push(form);
            }
        }
    }
    forms
}

/// The shortest secret that is searched for, in bytes.
const SHORTEST: usize = 4;
/// The most entries. A secret takes up to seven, for its forms in base64.
const MOST: usize = 4096;
/// How many ways to read an escaped text are tried for each byte of a secret.
const MOST_WAYS: usize = 4;
/// No escape that is read has more bytes.
const LONGEST_ESCAPE: usize = 40;

#[cfg(test)]
mod tests;
