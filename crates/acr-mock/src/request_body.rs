//! Reading the body of a request, within a bound and in a memory that goes by its bytes: not by how many frames they come
//! in, and not by the buffers of the connection that the frames are parts of.

use bytes::{Buf, Bytes};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;

use crate::error::ErrorResponse;
use crate::hasher::Hasher;
use crate::quota::{MIN_KEPT, Quota, Share};

/// The body of a request, whatever it is made of. Why one breaks is told to nobody.
#[derive(Debug, Default)]
pub(crate) struct RequestBody {
    frames: UnsyncBoxBody<Bytes, ()>,
    /// How long it is by its head, at least; 0 where that is silent. `map_frame` forgets it.
    told: u64,
}

/// Erases the type of a body.
pub(crate) fn erase(body: impl http_body::Body + Send + 'static) -> RequestBody {
    let told = body.size_hint().lower();
    let frames =
        body.map_frame(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())));
    RequestBody {
        frames: frames.map_err(|_| ()).boxed_unsync(),
        told,
    }
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// There was more than the bound.
    TooLarge,
    /// There was more than the registry has room for, which is so many bytes in all.
    Full(u64),
    /// The sender stopped before the end.
    Broken,
}

impl From<Unread> for ErrorResponse {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::TooLarge => Self::body_too_large(),
            Unread::Full(most) => Self::registry_full(most),
            Unread::Broken => Self::size_invalid(),
        }
    }
}

/// Reads a body into one piece. It is counted where it may be kept.
pub(crate) async fn read(
    body: RequestBody,
    limit: usize,
    quota: Option<&Quota>,
) -> Result<Bytes, Unread> {
    let (mut bytes, mut share) = (Vec::new(), quota.map(Quota::share));
    let mut frames = Frames::new(body, limit as u64, quota)?;
    while let Some(mut data) = frames.next().await? {
        let length = data.remaining();
        if share.as_mut().is_some_and(|share| !share.grow(length)) {
            return Err(frames.full());
        }
        append(&mut bytes, &mut data, length);
    }
    Ok(match share {
        Some(share) => share.copied(bytes),
        None => bytes.into(),
    })
}

/// Reads a body in pieces: those of its frames that are long, and blocks of those that are short. `hasher` takes each frame
/// as it comes.
pub(crate) async fn read_chunks(
    body: RequestBody,
    limit: u64,
    quota: &Quota,
    mut hasher: Option<&mut Hasher>,
) -> Result<Vec<Bytes>, Unread> {
    let mut chunks = Chunks::new(quota);
    let mut frames = Frames::new(body, limit, Some(quota))?;
    while let Some(data) = frames.next().await? {
        if !chunks.push(&mut data.clone(), data.len()) {
            return Err(frames.full());
        }
        if let Some(hasher) = &mut hasher {
            hasher.update(&data).await;
        }
    }
    Ok(chunks.finish())
}

/// Reads the first bytes of a body, or all that come where there are fewer.
pub(crate) async fn read_first(mut body: RequestBody, bytes: u64, quota: &Quota) -> Vec<Bytes> {
    let (mut chunks, mut left) = (Chunks::new(quota), bytes);
    while left > 0
        && let Some(Ok(frame)) = body.frames.frame().await
    {
        let Ok(mut data) = frame.into_data() else {
            continue;
        };
        let length = data
            .remaining()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        left -= length as u64;
        if !chunks.push(&mut data, length) {
            break;
        }
    }
    chunks.finish()
}

/// The frames of a body, as long as they are within the bound.
struct Frames<'a> {
    body: RequestBody,
    limit: u64,
    quota: Option<&'a Quota>,
    /// How many bytes have come.
    length: u64,
}

impl<'a> Frames<'a> {
    fn new(body: RequestBody, limit: u64, quota: Option<&'a Quota>) -> Result<Self, Unread> {
        let frames = Self {
            body,
            limit,
            quota,
            length: 0,
        };
        // Where the length is told, nothing has to come first.
        if frames.body.told > limit {
            return Err(Unread::TooLarge);
        }
        if frames.body.told > quota.map_or(u64::MAX, Quota::room) {
            return Err(frames.full());
        }
        Ok(frames)
    }

    /// The content of the next frame; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Unread> {
        while let Some(frame) = self.body.frames.frame().await {
            let Ok(data) = frame.map_err(|()| Unread::Broken)?.into_data() else {
                continue;
            };
            self.length += data.remaining() as u64;
            return match self.length > self.limit {
                true => Err(Unread::TooLarge),
                false => Ok(Some(data)),
            };
        }
        Ok(None)
    }

    fn full(&self) -> Unread {
        Unread::Full(self.quota.map_or(0, Quota::most))
    }
}

/// Pieces of a body.
struct Chunks<'a> {
    quota: &'a Quota,
    done: Vec<Bytes>,
    /// Short frames, in a block that still grows.
    block: Vec<u8>,
    share: Share,
}

impl<'a> Chunks<'a> {
    fn new(quota: &'a Quota) -> Self {
        Self {
            quota,
            done: Vec::new(),
            block: Vec::new(),
            share: quota.share(),
        }
    }

    /// Takes the first bytes of a frame, if there is room for them.
    fn push(&mut self, data: &mut impl Buf, length: usize) -> bool {
        if length >= MIN_KEPT {
            self.end_block();
            if !self.share.grow(length) {
                return false;
            }
            let share = std::mem::replace(&mut self.share, self.quota.share());
            self.done.push(share.kept(data.copy_to_bytes(length)));
            return true;
        }
        if !self.share.grow(length) {
            return false;
        }
        append(&mut self.block, data, length);
        if self.block.len() >= MIN_KEPT {
            self.end_block();
        }
        true
    }

    fn end_block(&mut self) {
        if !self.block.is_empty() {
            let share = std::mem::replace(&mut self.share, self.quota.share());
            self.done
                .push(share.copied(std::mem::take(&mut self.block)));
        }
    }

    fn finish(mut self) -> Vec<Bytes> {
        self.end_block();
        self.done
    }
}

fn append(bytes: &mut Vec<u8>, data: &mut impl Buf, length: usize) {
    let mut left = length;
    while left > 0 {
        let part = data.chunk();
        let part = &part[..part.len().min(left)];
        bytes.extend_from_slice(part);
        let taken = part.len();
        left -= taken;
        data.advance(taken);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures_util::FutureExt as _;
    use http_body::{Body, Frame, SizeHint};
    use http_body_util::StreamBody;

    use super::*;

    /// A body of frames of these lengths.
    fn frames(lengths: impl IntoIterator<Item = usize>) -> RequestBody {
        let lengths: Vec<usize> = lengths.into_iter().collect();
        let frames = lengths
            .into_iter()
            .map(|length| Ok::<_, Infallible>(Frame::data(Bytes::from(vec![7; length]))));
        erase(StreamBody::new(futures_util::stream::iter(frames)))
    }

    fn chunks(lengths: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let quota = Quota::new(None);
        let read = read_chunks(frames(lengths), u64::MAX, &quota, None).now_or_never();
        let Some(Ok(chunks)) = read else {
            panic!("the body is whole")
        };
        chunks.iter().map(Bytes::len).collect()
    }

    #[test]
    fn a_body_of_short_frames_becomes_a_few_blocks() {
        assert_eq!(
            chunks(std::iter::repeat_n(1, 150_000)),
            [MIN_KEPT, MIN_KEPT, 150_000 - 2 * MIN_KEPT]
        );
        assert!(chunks([]).is_empty());
        assert_eq!(chunks([0, 0, 3, 0]), [3]);
        // A block may be as long as what ended it lets it be, and no frame is split.
        assert_eq!(
            chunks([MIN_KEPT - 1, MIN_KEPT - 1, 1]),
            [2 * MIN_KEPT - 2, 1]
        );
        // What is long is kept as it is, in its order.
        assert_eq!(
            chunks([1, MIN_KEPT, 1, 1, MIN_KEPT + 1]),
            [1, MIN_KEPT, 2, MIN_KEPT + 1]
        );
    }

    /// A body of this length by its head, of which nothing may be read.
    struct Told(u64);

    impl Body for Told {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            panic!("the body is read")
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.0)
        }
    }

    #[test]
    fn a_body_that_is_too_long_by_its_head_is_not_read() {
        let quota = Quota::new(Some(1_000));
        let told = || erase(Told(1_001));
        let chunks = |limit| read_chunks(told(), limit, &quota, None).now_or_never();
        assert_eq!(chunks(1_000), Some(Err(Unread::TooLarge)));
        assert_eq!(chunks(1_001), Some(Err(Unread::Full(1_000))));
        let whole = |limit, quota| read(told(), limit, quota).now_or_never();
        assert_eq!(whole(1_000, None), Some(Err(Unread::TooLarge)));
        assert_eq!(whole(1_001, Some(&quota)), Some(Err(Unread::Full(1_000))));
    }

    #[test]
    fn what_is_refused_or_given_up_is_not_counted_any_more() {
        let quota = Quota::new(Some(1_000));
        let read = |lengths: &[usize], limit| {
            read_chunks(frames(lengths.to_vec()), limit, &quota, None)
                .now_or_never()
                .unwrap()
        };
        assert_eq!(read(&[500, 500, 1], 2_000), Err(Unread::Full(1_000)));
        assert_eq!(read(&[500, 500, 1], 1_000), Err(Unread::TooLarge));
        assert_eq!(read(&[MIN_KEPT], u64::MAX), Err(Unread::Full(1_000)));
        assert_eq!(quota.room(), 1_000);
        let Ok(kept) = read(&[400, 400], 2_000) else {
            panic!("there is room for it")
        };
        assert_eq!(quota.room(), 200);
        let whole = super::read(frames([201]), 2_000, Some(&quota)).now_or_never();
        assert!(matches!(whole, Some(Err(Unread::Full(_)))));
        // A form is not kept, so a full registry still lets everybody sign in.
        let form = super::read(frames([201]), 2_000, None).now_or_never();
        assert!(matches!(form, Some(Ok(bytes)) if bytes.len() == 201));
        drop(kept);
        assert_eq!(quota.room(), 1_000);
    }
}
