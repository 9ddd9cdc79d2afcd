use std::fmt;
use std::str::FromStr;

use crate::blob::InvalidRange;
use crate::http_parts::number;
use crate::text::excerpt;

/// The bytes of a blob that a chunk holds, as a `Content-Range` without a unit: `0-255`. ACR refuses the form with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChunkRange {
    /// The first byte, counted from 0.
    pub first: u64,
    /// The last byte, inclusive.
    pub last: u64,
}

impl ChunkRange {
    /// The range of `length` bytes from `offset` on; `None` where there are none.
    #[must_use]
    pub fn new(offset: u64, length: u64) -> Option<Self> {
        let last = offset.checked_add(length.checked_sub(1)?)?;
        Some(Self {
            first: offset,
            last,
        })
    }

    /// The length in bytes; 0 if `last < first`.
    #[must_use]
    pub fn length(self) -> u64 {
        let behind_first = self.last.checked_sub(self.first);
        behind_first.map_or(0, |bytes| bytes.saturating_add(1))
    }
}

impl fmt::Display for ChunkRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for ChunkRange {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ends = text
            .split_once('-')
            .and_then(|(first, last)| Some((number(first)?, number(last)?)));
        match ends {
            Some((first, last)) if first <= last => Ok(Self { first, last }),
            _ => Err(InvalidRange {
                text: excerpt(text),
                expected: "the range of a chunk such as \"0-255\"",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_ranges_round_trip() {
        assert_eq!(ChunkRange::new(0, 256).unwrap().to_string(), "0-255");
        assert_eq!("22-41".parse::<ChunkRange>().unwrap().length(), 20);
        assert_eq!(ChunkRange::new(5, 0), None);
        assert_eq!(ChunkRange::new(u64::MAX, 2), None);
        for text in [
            "",
            "-1--1",
            "1",
            "2-1",
            "bytes 0-1/2",
            "bytes=0-1",
            "0-",
            "-5",
        ] {
            assert!(text.parse::<ChunkRange>().is_err(), "{text}");
        }
    }
}
