//! Reading the body of a request, within a bound and in a memory that goes by its bytes: not by how many frames they come
//! in, and not by the buffers of the connection that the frames are parts of.

use std::error::Error;
use std::pin::pin;

use bytes::{Buf, Bytes};
use http_body_util::BodyExt as _;

use crate::quota::{MIN_KEPT, Quota, Share};

/// What has become of a body.
#[derive(Debug)]
pub(crate) enum ReadBody<T = Bytes> {
    Whole(T),
    /// There was more than the bound.
    TooLarge,
    /// There was more than the registry has room for.
    Full,
    /// The sender stopped before the end.
    Broken,
}

/// Reads a body into one piece. It is counted where it may be kept.
pub(crate) async fn read<B>(body: B, limit: usize, quota: Option<&Quota>) -> ReadBody
where
    B: http_body::Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (mut bytes, mut share) = (Vec::new(), quota.map(Quota::share));
    let has_room = quota.map_or(u64::MAX, Quota::room);
    let read = each_frame(body, limit as u64, has_room, |data: &mut B::Data| {
        let length = data.remaining();
        let has_room = share.as_mut().is_none_or(|share| share.grow(length));
        if has_room {
            append(&mut bytes, data, length);
        }
        has_room
    });
    match read.await {
        ReadBody::Whole(()) => ReadBody::Whole(match share {
            Some(share) => share.copied(bytes),
            None => bytes.into(),
        }),
        ReadBody::TooLarge => ReadBody::TooLarge,
        ReadBody::Full => ReadBody::Full,
        ReadBody::Broken => ReadBody::Broken,
    }
}

/// Reads a body in pieces: those of its frames that are long, and blocks of those that are short.
pub(crate) async fn read_chunks<B>(body: B, limit: u64, quota: &Quota) -> ReadBody<Vec<Bytes>>
where
    B: http_body::Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut chunks = Chunks::new(quota);
    let read = each_frame(body, limit, quota.room(), |data: &mut B::Data| {
        chunks.push(data, data.remaining())
    });
    match read.await {
        ReadBody::Whole(()) => ReadBody::Whole(chunks.finish()),
        ReadBody::TooLarge => ReadBody::TooLarge,
        ReadBody::Full => ReadBody::Full,
        ReadBody::Broken => ReadBody::Broken,
    }
}

/// Reads the first bytes of a body, or all that come where there are fewer.
pub(crate) async fn read_first<B>(body: B, bytes: u64, quota: &Quota) -> Vec<Bytes>
where
    B: http_body::Body + Send,
    B::Data: Send,
{
    let mut body = pin!(body);
    let (mut chunks, mut left) = (Chunks::new(quota), bytes);
    while left > 0
        && let Some(Ok(frame)) = body.frame().await
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

/// Hands the content of each frame on, which is taken or not.
async fn each_frame<B>(
    body: B,
    limit: u64,
    room: u64,
    mut take: impl FnMut(&mut B::Data) -> bool + Send,
) -> ReadBody<()>
where
    B: http_body::Body + Send,
    B::Data: Send,
{
    let mut body = pin!(body);
    // Where the length is told, nothing has to come first.
    let told = body.size_hint().lower();
    if told > limit {
        return ReadBody::TooLarge;
    }
    if told > room {
        return ReadBody::Full;
    }
    let mut length = 0_u64;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return ReadBody::Broken;
        };
        let Ok(mut data) = frame.into_data() else {
            continue;
        };
        length += data.remaining() as u64;
        if length > limit {
            return ReadBody::TooLarge;
        }
        if !take(&mut data) {
            return ReadBody::Full;
        }
    }
    ReadBody::Whole(())
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

    use futures_util::FutureExt as _;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    /// A body of frames of these lengths.
    fn frames(
        lengths: impl IntoIterator<Item = usize>,
    ) -> impl http_body::Body<Data = Bytes, Error = Infallible> + Send {
        let lengths: Vec<usize> = lengths.into_iter().collect();
        let frames = lengths
            .into_iter()
            .map(|length| Ok(Frame::data(vec![7; length].into())));
        StreamBody::new(futures_util::stream::iter(frames))
    }

    fn chunks(lengths: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let quota = Quota::new(None);
        let read = read_chunks(frames(lengths), u64::MAX, &quota).now_or_never();
        let Some(ReadBody::Whole(chunks)) = read else {
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

    #[test]
    fn what_is_refused_or_given_up_is_not_counted_any_more() {
        let quota = Quota::new(Some(1_000));
        let read = |lengths: &[usize], limit| {
            read_chunks(frames(lengths.to_vec()), limit, &quota)
                .now_or_never()
                .unwrap()
        };
        assert!(matches!(read(&[500, 500, 1], 2_000), ReadBody::Full));
        assert!(matches!(read(&[500, 500, 1], 1_000), ReadBody::TooLarge));
        assert!(matches!(read(&[MIN_KEPT], u64::MAX), ReadBody::Full));
        assert_eq!(quota.room(), 1_000);
        let ReadBody::Whole(kept) = read(&[400, 400], 2_000) else {
            panic!("there is room for it")
        };
        assert_eq!(quota.room(), 200);
        let whole = super::read(frames([201]), 2_000, Some(&quota)).now_or_never();
        assert!(matches!(whole, Some(ReadBody::Full)));
        // A form is not kept, so a full registry still lets everybody sign in.
        let form = super::read(frames([201]), 2_000, None).now_or_never();
        assert!(matches!(form, Some(ReadBody::Whole(bytes)) if bytes.len() == 201));
        drop(kept);
        assert_eq!(quota.room(), 1_000);
    }
}
