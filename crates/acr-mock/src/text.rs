//! Long bodies, written piece by piece.

use bytes::Bytes;
use serde::Serialize;

use crate::Body;
use crate::pause::pause;

/// How many items are written in a turn: less than a millisecond's work.
const WRITTEN_IN_A_TURN: usize = 2_000;

/// The length of a piece, in bytes: as much as a server sends at once.
const PIECE: usize = 64 * 1024;

/// The text of a body. It is never one long piece, which would be copied whenever it grows.
#[derive(Debug, Default)]
pub(crate) struct Text {
    pieces: Vec<Bytes>,
    last: Vec<u8>,
    written: usize,
}

impl Text {
    pub(crate) fn push(&mut self, text: &[u8]) {
        self.last.extend_from_slice(text);
    }

    /// Writes a list, or `null` for none, as the service does.
    pub(crate) async fn push_list<T: Serialize>(&mut self, items: impl Iterator<Item = T> + Send) {
        let begin = self.written;
        self.push(b"[");
        self.push_items(items).await;
        if self.written == begin {
            self.last.pop();
            return self.push(b"null");
        }
        self.push(b"]");
    }

    /// Writes items of a list with commas between them, and lets others have their turn now and then.
    pub(crate) async fn push_items<T: Serialize>(&mut self, items: impl Iterator<Item = T> + Send) {
        for (at, item) in items.enumerate() {
            if at > 0 {
                self.last.push(b',');
            }
            self.push_json(&item);
            self.written += 1;
            if self.written.is_multiple_of(WRITTEN_IN_A_TURN) {
                pause().await;
            }
        }
    }

    fn push_json(&mut self, value: &impl Serialize) {
        // Names and digests: nothing in them can fail to be written.
        let _infallible = serde_json::to_writer(&mut self.last, value);
        if self.last.len() >= PIECE {
            self.pieces.push(std::mem::take(&mut self.last).into());
        }
    }

    pub(crate) fn into_body(mut self) -> Body {
        self.pieces.push(self.last.into());
        Body::from_chunks(self.pieces)
    }
}
