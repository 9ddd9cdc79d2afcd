//! Uploads over the steps: what each holds, and whether its bytes are known when it becomes a blob.

use bytes::Bytes;

use super::{Action, Planner, UploadState};
use crate::fidelity::body::digest_of;
use crate::fidelity::exchange::Exchange;
use crate::fidelity::state::content::filler;
use crate::fidelity::state::upload::{Effect, UploadUse, request_bytes, request_length};

impl Planner<'_> {
    pub(super) fn upload(&mut self, index: usize, step: &Exchange) {
        if let Some(key) = UploadUse::opened(step) {
            let state = UploadState {
                held: 0,
                bytes: Some(Vec::new()),
            };
            self.uploads.insert(key, state);
            return;
        }
        let Some(used) = UploadUse::of(step) else {
            return;
        };
        let key = (used.repository.clone(), used.id.clone());
        let length = request_length(&step.request).unwrap_or_default();
        let sent = request_bytes(&step.request);
        // A blob whose size is shown elsewhere was uploaded whole.
        let held = used.held.or_else(|| match &used.effect {
            Effect::Completed(digest) => self.sizes.get(digest)?.checked_sub(length),
            _ => None,
        });
        let is_open = self
            .uploads
            .get(&key)
            .is_some_and(|state| used.held.is_none_or(|held| held == state.held));
        if !is_open {
            let is_whole = matches!((&used.effect, &sent), (Effect::Completed(digest), Some(sent))
                if !sent.is_empty() && digest_of(sent) == *digest);
            let held = if is_whole {
                0
            } else {
                held.unwrap_or_default()
            };
            self.plans[index].before.push(Action::Upload {
                repository: used.repository.clone(),
                id: used.id.clone(),
                bytes: filler(held),
            });
            let bytes = (held == 0).then(Vec::new);
            self.uploads
                .insert(key.clone(), UploadState { held, bytes });
        }
        let Some(state) = self.uploads.get_mut(&key) else {
            return;
        };
        self.plans[index].location = used.location;
        self.plans[index].held = Some(state.held);
        match used.effect {
            Effect::None => {}
            Effect::Holds(held) => {
                state.held = held;
                state.bytes = state.bytes.take().zip(sent).map(|(mut bytes, sent)| {
                    bytes.extend_from_slice(&sent);
                    bytes
                });
            }
            Effect::Completed(digest) => {
                let held = state.held;
                let sends_nothing = sent.as_ref().is_some_and(Bytes::is_empty);
                let whole = state
                    .bytes
                    .take()
                    .zip(sent)
                    .map(|(bytes, sent)| [&bytes[..], &sent].concat());
                match whole.filter(|whole| digest_of(whole) == digest) {
                    Some(whole) => {
                        self.known.insert(digest, whole.into());
                    }
                    None => {
                        let real = self.content(&digest).filter(|real| {
                            sends_nothing && real.len() as u64 == held && digest_of(real) == digest
                        });
                        let before = &mut self.plans[index].before;
                        match real {
                            // The recorder dropped what was sent, but a later step shows it.
                            Some(bytes) => before.push(Action::Upload {
                                repository: used.repository,
                                id: used.id,
                                bytes,
                            }),
                            None => before.push(Action::Claim {
                                repository: used.repository,
                                id: used.id,
                                digest,
                            }),
                        }
                    }
                }
                self.uploads.remove(&key);
            }
            Effect::Cancelled => {
                self.uploads.remove(&key);
            }
        }
    }
}
