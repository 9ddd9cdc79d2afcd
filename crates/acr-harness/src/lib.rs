//! What the programs of this repository share: the quickstart and the interop runs. Not published.
//!
//! | module | what it has |
//! |---|---|
//! | [`mod@bench`] | what the client costs, counted and measured |
//! | [`image`] | [`Image`](image::Image): manifests and blobs of one image, for all its platforms |
//! | [`layout`] | reads an image from an OCI image layout, such as those in `fixtures/images` |
//! | [`push`], [`pull`] | move an image to a repository and back, with the operations of acr-client |
//! | [`cleanup`] | finds what may be deleted when the newest images are to stay |
//! | [`conformance`] | the OCI conformance suite on our mock |
//! | [`fidelity`] | recorded exchanges of the real service on our mock, compared to the byte |
//! | [`interop`] | other people's software on our mock, our client on other people's servers |

pub mod bench;
pub mod cleanup;
pub mod conformance;
pub mod fidelity;
pub mod image;
pub mod interop;
pub mod layout;
pub mod pull;
pub mod push;

/// Any failure. These programs report failures and end; nobody tells them apart.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A result with any failure.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// The programs of the root's README and of `docs/`: the doc tests compile them.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../../README.md")]
    mod readme {}
    #[doc = include_str!("../../../docs/errors.md")]
    mod errors {}
    #[doc = include_str!("../../../docs/recording.md")]
    mod recording {}
    #[doc = include_str!("../../../docs/testing.md")]
    mod testing {}
}
