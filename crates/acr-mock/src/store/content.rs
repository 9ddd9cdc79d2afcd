use acr_protocol::Timestamp;
use bytes::Bytes;

use crate::quota::Quota;

/// The bytes of a blob, in the pieces in which they came: never joined, so a large blob is not held twice.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    chunks: Vec<Bytes>,
    length: u64,
    created_on: Timestamp,
    blocks: u64,
}

/// The most that storage appends at once, in bytes.
const BLOCK: u64 = 4 * 1024 * 1024;

/// The length of a piece from which on its own overhead is nothing beside it, in bytes.
const SHORT: usize = 4 * 1024;

impl Content {
    pub(crate) fn from_chunks(chunks: Vec<Bytes>) -> Self {
        let mut content = Self::default();
        content.push(chunks);
        content
    }

    /// Says when it was put in.
    pub(crate) fn created(self, created_on: Timestamp) -> Self {
        Self { created_on, ..self }
    }

    pub(crate) fn created_on(&self) -> Timestamp {
        self.created_on
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn push(&mut self, chunks: impl IntoIterator<Item = Bytes>) {
        let before = self.length;
        for chunk in chunks {
            self.length += chunk.len() as u64;
            self.chunks.push(chunk);
        }
        self.blocks += (self.length - before).div_ceil(BLOCK);
    }

    /// Puts further pieces of an upload behind the others. Where both sides of the seam are short they become one, so
    /// that many short chunks do not cost more than their bytes.
    pub(crate) fn append(&mut self, mut chunks: Vec<Bytes>, quota: &Quota) {
        let length: usize = chunks.iter().map(Bytes::len).sum();
        let short = |piece: Option<&Bytes>| piece.is_some_and(|piece| piece.len() < SHORT);
        if short(self.chunks.last())
            && short(chunks.first())
            && let (Some(last), Some(first)) = (self.chunks.pop(), chunks.first_mut())
        {
            *first = quota.hold([last, std::mem::take(first)].concat().into());
        }
        self.chunks.append(&mut chunks);
        self.length += length as u64;
        self.blocks += (length as u64).div_ceil(BLOCK);
    }

    /// Says how many blocks storage has appended to hold it.
    pub(crate) fn with_blocks(self, blocks: u64) -> Self {
        Self { blocks, ..self }
    }

    /// How many blocks storage has appended to hold it: one for each request that brought bytes, or more for a long one.
    pub(crate) fn blocks(&self) -> u64 {
        self.blocks
    }

    pub(crate) fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    pub(crate) fn into_chunks(self) -> Vec<Bytes> {
        self.chunks
    }

    /// The pieces from the first byte to the last, both inclusive.
    pub(crate) fn slice(&self, first: u64, last: u64) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        let mut at = 0_u64;
        for chunk in &self.chunks {
            let end = at + chunk.len() as u64;
            if end > first && at <= last {
                // Both lie within the chunk, so they fit a usize.
                let from = usize::try_from(first.saturating_sub(at))
                    .unwrap_or(usize::MAX)
                    .min(chunk.len());
                let to = usize::try_from((last + 1).min(end) - at)
                    .unwrap_or(usize::MAX)
                    .min(chunk.len());
                pieces.push(chunk.slice(from..to));
            }
            at = end;
        }
        pieces
    }

    /// The bytes in one piece, where they are few: configs.
    pub(crate) fn joined(&self, limit: u64) -> Option<Bytes> {
        match &self.chunks[..] {
            _ if self.length > limit => None,
            [chunk] => Some(chunk.clone()),
            chunks => Some(chunks.concat().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_crosses_the_pieces() {
        let content = Content::from_chunks(vec!["abc".into(), "def".into(), "ghi".into()]);
        assert_eq!(content.slice(0, 8).concat(), b"abcdefghi");
        assert_eq!(content.slice(2, 6).concat(), b"cdefg");
        assert_eq!(content.slice(3, 5).concat(), b"def");
        assert_eq!(content.slice(8, 8).concat(), b"i");
        assert_eq!(content.joined(8), None);
        assert_eq!(content.joined(9).unwrap(), "abcdefghi");
    }

    #[test]
    fn many_short_chunks_become_few_pieces_and_are_counted_once() {
        let (quota, mut content) = (Quota::new(Some(1_000_000)), Content::default());
        for _ in 0..20_000 {
            content.append(vec![quota.hold("x".into())], &quota);
        }
        assert_eq!(content.length(), 20_000);
        assert_eq!(quota.room(), 1_000_000 - 20_000);
        assert!(content.chunks().len() <= 5, "{}", content.chunks().len());
        content.append(vec![], &quota);
        content.append(vec![quota.hold(vec![b'y'; SHORT].into())], &quota);
        assert_eq!(content.slice(19_999, 20_000).concat(), b"xy");
        assert_eq!(content.blocks(), 20_001);
        drop(content);
        assert_eq!(quota.room(), 1_000_000);
    }
}
