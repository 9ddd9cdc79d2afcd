//! The size that a descriptor says, and the content's.

use acr_protocol::Descriptor;

use crate::error::{Error, ErrorKind};

/// Whether content of this length can be what a descriptor is of. Some writers leave the size out, which reads as 0.
pub(super) const fn fits(descriptor: &Descriptor, length: u64) -> bool {
    descriptor.size == length || descriptor.size == 0
}

/// Holds the size of a descriptor against that of the content, where it is known.
pub(super) fn check_size(
    descriptor: &Descriptor,
    length: Option<u64>,
    shown: &str,
) -> Result<(), Error> {
    match length {
        Some(length) if !fits(descriptor, length) => {
            let size = descriptor.size;
            let text = format!("{shown} has {length} bytes, but its descriptor says {size}");
            Err(Error::new(ErrorKind::DigestMismatch, text))
        }
        _ => Ok(()),
    }
}
