//! Properties of every parser of server-supplied bytes: one function a parser, which takes any bytes and panics
//! where a property does not hold.
//!
//! `cargo xtask fuzz` has libFuzzer look for bytes that break one. The unit tests run them over the files of
//! `fixtures/fuzz`, mutations of those and random bytes. The folder of a function's files, and its program in `src/bin`,
//! have the function's name.

mod challenge;
mod check;
mod content_range;
#[cfg(test)]
mod corpus;
mod docker_config;
mod error_body;
mod hostile;
mod jwt_expiry;
mod link;
mod location;
mod retry_after;

pub use self::challenge::challenge;
pub use self::content_range::content_range;
pub use self::docker_config::docker_config;
pub use self::error_body::error_body;
pub use self::jwt_expiry::jwt_expiry;
pub use self::link::link;
pub use self::location::location;
pub use self::retry_after::retry_after;

/// A function of any bytes that panics where a property does not hold.
pub type Target = fn(&[u8]);

/// Every function, by its name.
pub const TARGETS: &[(&str, Target)] = &[
    ("challenge", challenge),
    ("content_range", content_range),
    ("docker_config", docker_config),
    ("error_body", error_body),
    ("jwt_expiry", jwt_expiry),
    ("link", link),
    ("location", location),
    ("retry_after", retry_after),
];

/// Writes the program of one function. Without cargo-fuzz, which sets `cfg(fuzzing)`, it does nothing.
#[macro_export]
macro_rules! program {
    ($function:ident) => {
        #[cfg(fuzzing)]
        ::libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$function(data));
        #[cfg(not(fuzzing))]
        fn main() {}
    };
}
