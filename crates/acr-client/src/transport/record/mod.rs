//! Recording what goes over the wire, and playing it back: for tests of programs that use this crate.
//!
//! A [`Recorder`] stands around any transport and keeps what goes through it as a [`Recording`], which
//! is saved as text. [`Replay`] is a transport that answers from a recording, without a network:
//!
//! ```
//! use acr_client::transport::record::{Recording, Replay};
//! use acr_client::{ContainerRegistryClient, clock};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Recorded, or written by hand: one exchange a line.
//! let replay = Replay::new(Recording::from_jsonl(r#"
//! {"request": {"method": "GET", "path": "/v2/app/tags/list"}, "response": {"status": 200, "body": {"name": "app", "tags": ["v1"]}}}
//! "#)?);
//! let client = ContainerRegistryClient::builder("https://registry.example")
//!     .transport(replay.clone())
//!     .clock(clock::from_fn(std::time::SystemTime::now, |_| std::future::pending()))
//!     .build()?;
//!
//! let tag = client.repository_client("app")?.list_tags().try_next().await?;
//! assert_eq!(tag.unwrap().as_str(), "v1");
//! assert!(replay.remaining().is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! # Secrets
//!
//! Nothing is kept that opens a door. Taken out are, before an exchange is kept,
//!
//! - `Authorization`, `Proxy-Authorization`, `Cookie`, `Set-Cookie`, and headers whose names tell of a
//!   token, key or password, such as `x-ms-token-aad-access-token`;
//! - tokens and passwords in the forms, queries and answers of token requests;
//! - signatures of URLs (`sig`), wherever a URL stands in a header or in the body of a refusal or
//!   redirect;
//! - **every further occurrence of any of these**, in whatever the exchange or a later one holds: plain,
//!   escaped for JSON, forms, URLs or HTML, or as base64, alone or behind a user name.
//!
//! `REDACTED` stands in their place. A token of three parts becomes one that keeps its `exp`, `iat`,
//! `nbf`, `access`, and whether there is an `aad_identity`, but no name, id or signature: from these a
//! client reads how long it may use the token. They are the times of the recording. A client whose
//! clock is past them takes such a token for one that does not say, and uses it for a minute.
//!
//! Not taken out are user names, the name of the registry, and the `_state` of uploads: it is bound to
//! one upload for some hours and is of no use without a token, and a replayed client has to send back
//! the one that it was given. Manifests and blobs are changed only where a known secret is in them,
//! because a changed one no longer has its digest; [`Recorder::secret`] makes another secret known, and
//! [`Recorder::scrub`] has a function change what it likes. Of a body that is too long to be kept, the
//! digest is. A secret of fewer than four bytes is taken out only where it has its place. Bodies under
//! way are in memory as they came.
//!
//! # The form of the text
//!
//! One JSON object a line, with `request` (`method`, `path`, `query`, `headers`, `body`) and `response`
//! (`status`, `headers`, `body`), or an `error` of a `kind` (`connect`, `timeout`, `interrupted`,
//! `other`) and a `message`. Only `method`, `path` and `status` must be there. A header that is sent
//! more than once is a list. A body is
//!
//! - `null`: none;
//! - a text: these bytes;
//! - an object with `sha256`, `size`, and `text` or `base64`: exact bytes;
//! - an object with `sha256` and `size` alone: bytes that were not kept;
//! - any other JSON value: compact JSON, in a response followed by one newline unless `Content-Length`
//!   says that there is none.
//!
//! `end` beside a body says that it did not come to its end: `"unread"`, or the error that broke it off.
//! `mask` lists what the recorder has changed, `origin` is `"data"` for requests that left the
//! registry's host, and `operation` names the operation. `REDACTED` stands for anything.

mod exchange;
mod jsonl;
mod recorder;
mod recording;
mod replay;
mod scrub;

pub use self::exchange::{
    BodyEnd, RecordedBody, RecordedError, RecordedExchange, RecordedRequest, RecordedResponse,
};
pub use self::recorder::Recorder;
pub use self::recording::Recording;
pub use self::replay::Replay;
