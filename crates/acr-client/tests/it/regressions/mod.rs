//! What users of other clients lose work to, each as a test that is named after what it prevents.
//!
//! All of it happens in one process on a clock that moves by itself when everybody waits: hours pass in
//! milliseconds, and nothing sleeps. Faults are the registry's own.
//!
//! | module | what it prevents |
//! |---|---|
//! | [`tokens`] | tokens that die in the middle of a job, token storms, tokens that grow or go astray |
//! | [`flights`] | callers who wait for one token and end with it |
//! | [`credentials`] | identities that do not work, or fail without a word |
//! | [`errors`] | errors that do not say what to do, and retries of what cannot heal |
//! | [`throttling`] | jobs that break on 429, wait in vain, or crawl |
//! | [`redirects`] | credentials at the storage, blobs that cannot be handed on |
//! | [`lists`] | lists that end too early, never, or hold what was not asked for |
//! | [`content`] | names that do not fit a path, artifacts that are refused, locks that go too far |
//! | [`transport`] | transports that do not know what they send, requests that no method covers |
//! | [`uploads`] | uploads that are given up although they are done, or sent again and again |
//! | [`upload_faults`] | uploads that break, or break what they send, in each way that there is to send |
//! | [`upload_sources`] | sources that fail, wait or can be read once, and what that makes of an upload |
//! | [`upload_state`] | uploads that a process takes along when it is killed |
//! | `paused` | tests on tokio's paused time that measure something else |
//! | [`downloads`] | downloads that end where the connection does, or have a byte twice |
//! | [`parallel`] | ranges at once that come out of order, or hold more than their window |
//! | [`saving`] | files that are not whole, and downloads that begin from the first byte again |
//! | [`random`] | downloads that a sequence of faults spoils which nobody thought of |
//! | [`requests`] | more requests than a job needs |
//! | [`job`] | all of it at once |

mod content;
mod credentials;
mod downloads;
mod errors;
mod flights;
mod job;
mod lists;
mod parallel;
#[cfg(feature = "hyper")]
mod paused;
mod redirects;
mod requests;
mod saving;
mod slow;
mod support;
mod throttling;
mod tokens;
mod transport;
mod upload_faults;
mod upload_sources;
#[cfg(feature = "blocking")]
mod upload_state;
mod uploads;
