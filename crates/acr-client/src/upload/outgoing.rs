//! What a step of an upload sends, and what was done so far to get it across.

use std::sync::Arc;

use super::feed::Feed;
use super::pieces::PIECE;
use super::replay::Replay;
use crate::error::Error;
use crate::payload::Payload;
use crate::retry::RetryState;

/// A part of the content.
pub(super) struct Outgoing {
    pub(super) content: Content,
    /// Where it begins and ends in the content.
    pub(super) first: u64,
    pub(super) end: u64,
    /// Whether a response was lost, so that more of it may be there than was told.
    pub(super) may_have_come: bool,
    /// How often its place was refused.
    pub(super) misplaced: u32,
    /// Where the registry stood when a request was lost last.
    pub(super) lost_at: Option<u64>,
    /// How far the registry has ever been.
    pub(super) furthest: u64,
    pub(super) attempts: RetryState,
}

pub(super) enum Content {
    /// Bytes in memory, the first of which is that of the part.
    Memory(Replay),
    /// What can be read again, and what was read of it from a place on.
    Feed(Arc<Feed>, Option<(u64, Replay)>),
}

impl Outgoing {
    /// A part that begins at a place.
    pub(super) fn new(
        content: Content,
        first: u64,
        length: u64,
        attempts: RetryState,
    ) -> Result<Self, Error> {
        // What the registry says it holds may be anything.
        let end = first.checked_add(length);
        Ok(Self {
            content,
            first,
            end: end.ok_or_else(|| Error::invalid("no upload can hold as many bytes as that"))?,
            may_have_come: false,
            misplaced: 0,
            lost_at: None,
            furthest: first,
            attempts,
        })
    }

    /// Whether there are bytes from this place on, up to the end.
    pub(super) const fn reaches(&self, place: u64) -> bool {
        let first = match self.content {
            Content::Memory(_) => self.first,
            Content::Feed(..) => 0,
        };
        first <= place && place <= self.end
    }

    /// What a request sends.
    pub(super) async fn payload(&mut self, at: u64, end: u64) -> Result<Payload, Error> {
        let (first, replay) = match &mut self.content {
            Content::Memory(replay) => (self.first, replay),
            Content::Feed(feed, kept) => {
                feed.meter().sent(at);
                let is_kept = kept
                    .as_ref()
                    .is_some_and(|(first, replay)| *first <= at && end <= *first + replay.length());
                if !is_kept && end - at > PIECE {
                    feed.catch_up(at, end).await?;
                    return Ok(feed.payload(at, end));
                }
                if !is_kept {
                    *kept = Some((at, feed.replay(at, end).await?));
                }
                let Some((first, replay)) = kept else {
                    return Ok(Payload::Bytes(bytes::Bytes::new()));
                };
                (*first, replay)
            }
        };
        Ok(replay.payload(at - first, end - at))
    }

    /// The registry has acknowledged the bytes before this place.
    pub(super) async fn commit(&self, to: u64) -> Result<(), Error> {
        match &self.content {
            Content::Memory(_) => Ok(()),
            Content::Feed(feed, _) => feed.catch_up(to, self.end).await,
        }
    }

    /// Why the source cannot be read, where that is what has ended a request.
    pub(super) fn failure(&self) -> Option<Error> {
        match &self.content {
            Content::Memory(_) => None,
            Content::Feed(feed, _) => feed.failure(),
        }
    }
}
