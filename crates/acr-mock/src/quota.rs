//! [`Quota`]: how many bytes of content a registry holds, and may hold.
//!
//! Bytes are counted where they come in and until nobody has a handle to them any more, whatever they have become
//! meanwhile: a body that is still coming, an open upload, a blob, a manifest, a response of what was deleted since.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// The count of one registry. A clone is the same count.
#[derive(Clone, Debug)]
pub(crate) struct Quota(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    most: u64,
    held: AtomicU64,
}

impl Quota {
    /// For at most so many bytes; for any number of them without.
    pub(crate) fn new(most: Option<u64>) -> Self {
        Self(Arc::new(Counts {
            most: most.unwrap_or(u64::MAX),
            held: AtomicU64::new(0),
        }))
    }

    /// The most bytes that may be held.
    pub(crate) fn most(&self) -> u64 {
        self.0.most
    }

    /// How many more bytes there is room for.
    pub(crate) fn room(&self) -> u64 {
        let held = self.0.held.load(Ordering::Relaxed);
        self.0.most.saturating_sub(held)
    }

    /// A share of no bytes.
    pub(crate) fn share(&self) -> Share {
        Share {
            quota: self.clone(),
            bytes: 0,
        }
    }

    /// A copy of bytes that came in already, counted for itself: it takes no more than one allocation, and is what many small
    /// things are held by.
    pub(crate) fn keep(&self, bytes: &[u8]) -> Counted<Box<[u8]>> {
        self.0.held.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Counted {
            bytes: bytes.into(),
            quota: self.clone(),
        }
    }

    /// Counts bytes that are not refused in any case: those of a seed. What is small is copied, so that it does not
    /// pin a larger buffer.
    pub(crate) fn hold(&self, bytes: Bytes) -> Bytes {
        let mut share = self.share();
        share.bytes = bytes.len() as u64;
        self.0.held.fetch_add(share.bytes, Ordering::Relaxed);
        match bytes.len() < MIN_KEPT {
            true => share.copied(bytes.to_vec()),
            false => share.kept(bytes),
        }
    }
}

/// The shortest piece that is kept in the buffer it came in, in bytes. The server's buffers are twice as long at most.
pub(crate) const MIN_KEPT: usize = 64 * 1024;

/// Bytes that are counted as long as this is there.
#[derive(Debug)]
pub(crate) struct Share {
    quota: Quota,
    bytes: u64,
}

impl Share {
    /// Counts so many more, if there is room for them.
    #[must_use]
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let (bytes, most) = (bytes as u64, self.quota.0.most);
        // Seeds may have gone beyond it, and nothing more is still nothing more.
        let grown = |held: u64| {
            held.checked_add(bytes)
                .filter(|&held| held <= most || bytes == 0)
        };
        let held = &self.quota.0.held;
        let has_room = held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown)
            .is_ok();
        if has_room {
            self.bytes += bytes;
        }
        has_room
    }

    /// These bytes, counted by this share, in a buffer of just their length.
    pub(crate) fn copied(self, bytes: Vec<u8>) -> Bytes {
        self.own(bytes.into_boxed_slice())
    }

    /// These bytes, counted by this share, in the buffer that they are in.
    pub(crate) fn kept(self, bytes: Bytes) -> Bytes {
        self.own(bytes)
    }

    fn own(mut self, bytes: impl AsRef<[u8]> + Send + 'static) -> Bytes {
        debug_assert_eq!(self.bytes, bytes.as_ref().len() as u64);
        if self.bytes == 0 {
            return Bytes::new();
        }
        self.bytes = 0;
        Bytes::from_owner(Counted {
            bytes,
            quota: self.quota.clone(),
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.quota.0.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Bytes that are counted by their length as long as this is there.
pub(crate) struct Counted<B: AsRef<[u8]>> {
    bytes: B,
    quota: Quota,
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Counted<B> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl<B: AsRef<[u8]>> std::ops::Deref for Counted<B> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl Clone for Counted<Box<[u8]>> {
    fn clone(&self) -> Self {
        self.quota.keep(self)
    }
}

/// Says how many they are, never what.
impl<B: AsRef<[u8]>> std::fmt::Debug for Counted<B> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} bytes", self.len())
    }
}

impl<B: AsRef<[u8]>> Drop for Counted<B> {
    fn drop(&mut self) {
        let length = self.bytes.as_ref().len() as u64;
        self.quota.0.held.fetch_sub(length, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_until_the_last_handle_to_any_part_of_them_is_gone() {
        let quota = Quota::new(Some(10));
        let mut share = quota.share();
        assert!(share.grow(4) && share.grow(4) && !share.grow(3) && share.grow(2));
        assert_eq!(quota.room(), 0);
        let bytes = share.copied(b"0123456789".to_vec());
        let part = bytes.slice(3..5);
        drop(bytes);
        assert_eq!((quota.room(), &part[..]), (0, &b"34"[..]));
        drop(part);
        assert_eq!(quota.room(), 10);
    }

    #[test]
    fn a_seed_is_counted_and_never_refused() {
        let quota = Quota::new(Some(10));
        let seeds = [
            quota.hold(Bytes::from(vec![0; MIN_KEPT])),
            quota.hold("x".into()),
        ];
        assert_eq!(quota.room(), 0);
        assert!(!quota.share().grow(1) && quota.share().grow(0));
        drop(seeds);
        assert_eq!(quota.room(), 10);
        assert!(!quota.share().grow(usize::MAX));
    }
}
