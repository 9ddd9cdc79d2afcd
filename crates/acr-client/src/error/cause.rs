//! What is inside of an error: its causes, from the outside in.

use std::error::Error as StdError;
use std::io;

/// The error and its causes, from the outside in.
pub(crate) fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let next = |&error: &&'a (dyn StdError + 'static)| {
        // What an `io::Error` was made of is not its source: the source is the source of that.
        match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        }
    };
    std::iter::successors(Some(error), next)
}

/// The outermost error of a type among an error and its causes.
pub(crate) fn find<'a, E: StdError + 'static>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a E> {
    chain(error).find_map(|error| error.downcast_ref())
}
