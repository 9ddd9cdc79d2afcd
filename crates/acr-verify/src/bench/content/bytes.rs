//! The bytes that are sent and received: one block again and again.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use acr_client::Digest;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

/// The length of the block.
pub(super) const BLOCK: u64 = 1 << 20;

/// The blocks of a blob; the last may be shorter.
pub(super) fn blocks(size: u64) -> impl Iterator<Item = Bytes> + Send {
    // Any bytes will do that are not all the same: nothing on the way compresses them.
    let block: Bytes = (0..BLOCK as u32)
        .map(|at| (at.wrapping_mul(0x9E37_79B1) >> 24) as u8)
        .collect();
    (0..size.div_ceil(BLOCK)).map(move |number| {
        let rest = size - number * BLOCK;
        block.slice(..rest.min(BLOCK) as usize)
    })
}

/// The digest of such a blob.
pub(super) fn digest(size: u64) -> Digest {
    let mut hash = Sha256::new();
    blocks(size).for_each(|block| hash.update(block));
    text(hash)
}

/// Writes such a blob to a file.
pub(super) fn write(path: &Path, size: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    blocks(size).try_for_each(|block| file.write_all(&block))
}

/// The digest of what was hashed.
pub(super) fn text(hash: Sha256) -> Digest {
    use std::fmt::Write as _;
    let mut text = "sha256:".to_owned();
    for byte in hash.finalize() {
        // A text takes whatever is written to it.
        let _ = write!(text, "{byte:02x}");
    }
    Digest::new(text).unwrap_or_else(|error| unreachable!("64 hexadecimal digits: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_bytes_in_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("blob");
        for size in [0, 1, BLOCK, 2 * BLOCK + 3] {
            write(&path, size).expect("it is written");
            let bytes = std::fs::read(&path).expect("it is there");
            assert_eq!(bytes.len() as u64, size);
            assert_eq!(digest(size), Digest::sha256(bytes));
        }
    }
}
