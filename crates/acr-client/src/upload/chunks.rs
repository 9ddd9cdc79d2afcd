//! A source that can be read once, chunk by chunk: the one that is under way is kept, to be sent again.

use std::sync::Arc;

use acr_clock::Clock;
use acr_protocol::Digester;

use super::options::HashOn;
use super::pieces::{Cut, Piece, Pieces, Source};
use super::replay::Replay;
use super::source;
use crate::error::Error;

/// A source that can be read once, and of it the chunk that is under way.
pub(super) struct Chunks {
    pieces: Pieces,
    /// The first piece behind the chunk.
    ahead: Option<Piece>,
    chunk: Replay,
    /// The digest's state behind the chunk.
    digester: Digester,
}

impl Chunks {
    pub(super) fn new(
        source: source::Once,
        length: Option<u64>,
        digester: Digester,
        chunk_size: u64,
        hash_on: HashOn,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let cut = Cut {
            from: 0,
            next: chunk_size,
            step: chunk_size,
        };
        let state = digester.clone();
        let pieces = match source {
            source::Once::Reader(reader) => {
                let source = Source::once(reader, length);
                Pieces::read(source, digester, cut, hash_on, clock)
            }
            source::Once::Stream(stream) => Pieces::stream(stream, length, digester, cut, clock),
        };
        Self {
            pieces,
            ahead: None,
            chunk: Replay::default(),
            digester: state,
        }
    }

    /// Reads until the chunk has so many bytes, and looks whether there are more. Returns whether this chunk is
    /// the last.
    pub(super) async fn fill(&mut self, size: u64) -> Result<bool, Error> {
        loop {
            let piece = match self.ahead.take() {
                Some(piece) => piece,
                None => match self.pieces.next().await? {
                    Some(piece) => piece,
                    None => {
                        self.chunk.close();
                        return Ok(true);
                    }
                },
            };
            if !piece.bytes.is_empty() && self.chunk.length() >= size {
                self.ahead = Some(piece);
                self.chunk.close();
                return Ok(false);
            }
            self.chunk.push(piece.bytes);
            self.digester = piece.digester;
        }
    }

    pub(super) const fn chunk(&self) -> &Replay {
        &self.chunk
    }

    /// The place of the chunk's first byte.
    pub(super) fn first(&self) -> u64 {
        self.digester.bytes() - self.chunk.length()
    }

    /// The digest's state behind the chunk.
    pub(super) const fn digester(&self) -> &Digester {
        &self.digester
    }

    /// The chunk is where it belongs.
    pub(super) fn pass(&mut self) {
        self.chunk = Replay::default();
    }
}
