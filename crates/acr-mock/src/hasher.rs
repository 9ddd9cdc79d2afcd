//! [`Hasher`]: the digest of content on its way, which lets others have their turn now and then: a layer of a gigabyte takes
//! seconds.

use acr_protocol::{Algorithm, Digest, Digester};

use crate::pause::pause;

/// Hashes content piece by piece, with pauses.
#[derive(Debug)]
pub(crate) struct Hasher {
    digester: Digester,
    /// How many bytes are hashed before the next pause.
    left: usize,
}

/// How many bytes are hashed in a turn: a few milliseconds' work.
const HASHED_IN_A_TURN: usize = 4 * 1024 * 1024;

impl Hasher {
    /// Begins a digest; `None` for an algorithm that is not known.
    pub(crate) fn new(algorithm: &Algorithm) -> Option<Self> {
        Digester::new(algorithm).map(Self::from)
    }

    pub(crate) async fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left == 0 {
                pause().await;
                self.left = HASHED_IN_A_TURN;
            }
            let (part, behind) = bytes.split_at(bytes.len().min(self.left));
            self.digester.update(part);
            self.left -= part.len();
            bytes = behind;
        }
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.digester.algorithm()
    }

    pub(crate) fn into_digester(self) -> Digester {
        self.digester
    }

    pub(crate) fn finish(self) -> Digest {
        self.digester.finish()
    }
}

impl From<Digester> for Hasher {
    fn from(digester: Digester) -> Self {
        Self {
            digester,
            left: HASHED_IN_A_TURN,
        }
    }
}
