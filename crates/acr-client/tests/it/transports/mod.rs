//! Transports that other crates carry, each with its feature.

#[cfg(feature = "reqwest")]
mod over_reqwest;
#[cfg(feature = "tower")]
mod over_tower;

/// An error's text at every level.
#[cfg(any(feature = "reqwest", feature = "tower"))]
pub(crate) fn text(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(" {error} {error:?}"));
        cause = error.source();
    }
    text
}
