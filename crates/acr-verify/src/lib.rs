//! What needs client and mock at once, or other programs. Not published.
//!
//! | module | what it has |
//! |---|---|
//! | [`mod@bench`] | what the client costs, counted and measured |
//! | [`image`] | [`Image`](image::Image): an image of `fixtures/images`, pushed and compared |
//! | [`conformance`] | the OCI conformance suite on our mock |
//! | [`fidelity`] | recorded exchanges of the real service on our mock, compared to the byte |
//! | [`interop`] | other people's software on our mock, our client on other people's servers |

pub mod bench;
pub mod conformance;
pub mod fidelity;
pub mod image;
pub mod interop;
mod table;

/// Any failure. These programs report failures and end; nobody tells them apart.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A result with any failure.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a program did not pass.
#[derive(Debug)]
pub enum Ending {
    /// It could not run here; the reason says what is missing.
    Skipped(String),
    /// The program has no such arguments.
    BadUsage,
    /// Something did not work as it should.
    Failed(Failure),
}

impl Ending {
    /// It could not run here.
    pub fn skipped(reason: impl Into<String>) -> Self {
        Self::Skipped(reason.into())
    }
}

impl<E: Into<Failure>> From<E> for Ending {
    fn from(failure: E) -> Self {
        Self::Failed(failure.into())
    }
}

/// The programs of the root's README and of `docs/`: the doc tests compile them.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../../README.md")]
    mod readme {}
    #[doc = include_str!("../../../docs/errors.md")]
    mod errors {}
    #[doc = include_str!("../../../docs/mock/identity.md")]
    mod mock_identity {}
    #[doc = include_str!("../../../docs/mock/run.md")]
    mod mock_run {}
    #[doc = include_str!("../../../docs/recording.md")]
    mod recording {}
    #[doc = include_str!("../../../docs/testing.md")]
    mod testing {}
}
