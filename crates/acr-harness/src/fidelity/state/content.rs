//! [`Content`]: what is known of the bytes of a blob or manifest, and filler for the rest.

use bytes::Bytes;

/// Bytes of which some are known, perhaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// All of them.
    whole: Option<Bytes>,
    /// How many there are.
    size: Option<u64>,
    /// Some of them, each with its offset.
    pieces: Vec<(u64, Bytes)>,
}

impl Content {
    /// All bytes are known.
    pub fn whole(bytes: Bytes) -> Self {
        Self {
            size: Some(bytes.len() as u64),
            whole: Some(bytes),
            pieces: Vec::new(),
        }
    }

    /// The size is known, if it is.
    pub fn sized(size: Option<u64>) -> Self {
        Self {
            size,
            ..Self::default()
        }
    }

    /// Adds bytes that are known to stand at an offset.
    #[must_use]
    pub fn with_piece(mut self, offset: u64, bytes: Bytes) -> Self {
        self.pieces.push((offset, bytes));
        self
    }

    /// Takes over what is not known yet.
    pub fn learn(&mut self, later: Self) {
        if self.whole.is_none() {
            self.whole = later.whole;
        }
        // A size that was measured is better than one that a manifest states, but nobody can tell them apart here.
        self.size = self.size.or(later.size);
        self.pieces.extend(later.pieces);
    }

    /// All bytes, if they are known.
    pub fn known(&self) -> Option<&Bytes> {
        self.whole.as_ref()
    }

    /// Real bytes as far as they are known, and filler where not. What cannot be held is cut: no recording needs it.
    pub fn bytes(&self) -> Bytes {
        if let Some(whole) = &self.whole {
            return whole.clone();
        }
        let end = |(offset, bytes): &(u64, Bytes)| offset.saturating_add(bytes.len() as u64);
        let least = self.pieces.iter().map(end).max().unwrap_or_default();
        let size = self.size.unwrap_or(least).min(MOST);
        let mut filler: Vec<u8> = FILLER
            .iter()
            .copied()
            .cycle()
            .take(usize::try_from(size).unwrap_or_default())
            .collect();
        for (offset, bytes) in &self.pieces {
            let at = usize::try_from(*offset).unwrap_or(usize::MAX);
            if let Some(place) = filler.get_mut(at..at.saturating_add(bytes.len())) {
                place.copy_from_slice(bytes);
            }
        }
        filler.into()
    }
}

/// Filler bytes of a size.
pub fn filler(size: u64) -> Bytes {
    Content::sized(Some(size)).bytes()
}

const FILLER: &[u8] = b"filler, for bytes that nobody has recorded. ";

/// The most filler that is made, in bytes.
const MOST: u64 = 1024 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filler_has_the_size_and_the_pieces_that_are_known() {
        let content = Content::sized(Some(10)).with_piece(7, Bytes::from_static(b"abc"));
        assert_eq!(content.bytes(), Bytes::from_static(b"filler,abc"));
        assert_eq!(content.known(), None);
        let grown = Content::default().with_piece(2, Bytes::from_static(b"x"));
        assert_eq!(grown.bytes().len(), 3);
        assert_eq!(filler(100).len(), 100);
    }

    #[test]
    fn known_bytes_win() {
        let mut content = Content::sized(Some(3));
        content.learn(Content::whole(Bytes::from_static(b"abc")));
        assert_eq!(content.bytes(), "abc");
    }
}
