//! How true acr-mock is, as a number: recorded exchanges with the real service are replayed on it, and the responses
//! compared, header by header and byte by byte. `cargo xtask fidelity [FILE...]`.
//!
//! The recorded bytes are the oracle. `step` reads an exchange with the types of acr-protocol, `preconditions` says what
//! it needs to be there, and `state` brings a registry into that state by a snapshot. `replay` sends the requests in the
//! same process; `compare` holds the responses against the recording, and `mask` and `rename` say what may differ.
//! A mistake of acr-protocol cannot hide: the response would not have the recorded bytes, whoever has seeded the mock.

pub mod compare;
mod mask;
mod page;
mod placeholder;
mod preconditions;
mod rename;
pub mod replay;
pub mod report;
mod request;
mod resource;
mod service;
mod state;
mod step;
mod upload;

use std::path::{Path, PathBuf};

use acr_mock::Registry;
use acr_protocol::Digest;
use acr_record::Exchange;
use bytes::Bytes;

use self::replay::{Send, in_process, replay_session};
use self::report::Report;
use crate::Result;

/// An exchange and its place: file and line.
pub type Placed = (String, Exchange);

/// Returns the exchange files of this repository: `fixtures/<area>/<operation>.jsonl`.
///
/// # Errors
///
/// The folder cannot be read.
pub fn own_files() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for area in std::fs::read_dir(fixtures())? {
        let area = area?.path();
        if area.is_dir() {
            for file in std::fs::read_dir(area)? {
                files.push(file?.path());
            }
        }
    }
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "jsonl")
    });
    files.sort();
    Ok(files)
}

/// Reads exchange files.
///
/// # Errors
///
/// A file or a line cannot be read; the message begins with the place.
pub fn read(files: &[PathBuf]) -> Result<Vec<Placed>> {
    let mut exchanges = Vec::new();
    for file in files {
        let name = file.display();
        let text = std::fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
        for line in acr_record::read(&text) {
            let (line, exchange) = line.map_err(|error| format!("{name}: {error}"))?;
            exchanges.push((format!("{name}:{line}"), exchange));
        }
    }
    Ok(exchanges)
}

/// Replays exchanges in process: each alone, but for those of a session, which share a registry and are played in the
/// order of their steps.
///
/// # Errors
///
/// None in process.
pub fn replay(exchanges: Vec<Placed>) -> Result<Report> {
    replay_on(exchanges, &|registry| Ok(in_process(registry)))
}

/// Replays exchanges on registries that `connect` makes reachable.
///
/// # Errors
///
/// A registry cannot be reached.
pub fn replay_on(
    exchanges: Vec<Placed>,
    connect: &dyn Fn(Registry) -> Result<Box<Send<'static>>>,
) -> Result<Report> {
    let mut outcomes = Vec::new();
    for session in sessions(exchanges) {
        outcomes.extend(replay_session(session, &in_fixture_images, connect)?);
    }
    Ok(Report::new(outcomes))
}

/// The exchanges by session. Sessions of two files are two, even if they have one name.
fn sessions(exchanges: Vec<Placed>) -> Vec<Vec<Placed>> {
    let mut sessions: Vec<Vec<Placed>> = Vec::new();
    let name = |(place, exchange): &Placed| {
        let file = place.rsplit_once(':').map(|(file, _)| file.to_owned());
        Some((file, exchange.session.clone()?))
    };
    for exchange in exchanges {
        let own = name(&exchange).filter(|_| exchange.1.session.is_some());
        let same = sessions
            .iter_mut()
            .find(|session| own.is_some() && name(&session[0]) == own);
        match same {
            Some(session) => session.push(exchange),
            None => sessions.push(vec![exchange]),
        }
    }
    for session in &mut sessions {
        // Steps that have no number stay in the order of the file.
        session.sort_by_key(|(_, exchange)| exchange.step);
    }
    sessions
}

/// The bytes of a blob of a fixture image.
fn in_fixture_images(digest: &Digest) -> Option<Bytes> {
    let images = std::fs::read_dir(fixtures().join("images")).ok()?;
    images.flatten().find_map(|image| {
        let blob = image.path().join("blobs/sha256").join(digest.hex());
        std::fs::read(blob).ok().map(Bytes::from)
    })
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_played_in_the_order_of_its_steps_and_lines_without_one_alone() {
        let line = |place: &str, session: &str| {
            let line = format!(
                r#"{{{session}"request":{{"method":"GET","path":"/v2/"}},"response":{{"status":200}}}}"#
            );
            (place.to_owned(), serde_json::from_str(&line).unwrap())
        };
        let exchanges = vec![
            line("f:1", r#""session":"s","step":2,"#),
            line("f:2", ""),
            line("f:3", r#""session":"s","step":1,"#),
            line("f:4", ""),
            line("g:1", r#""session":"s","step":3,"#),
        ];
        let sessions = sessions(exchanges);
        let places: Vec<Vec<&str>> = sessions
            .iter()
            .map(|session| session.iter().map(|(place, _)| place.as_str()).collect())
            .collect();
        assert_eq!(
            places,
            [vec!["f:3", "f:1"], vec!["f:2"], vec!["f:4"], vec!["g:1"]]
        );
    }

    #[test]
    fn the_bytes_of_a_fixture_image_are_found_by_their_digest() {
        let hex = "8d0c7d38e243de8aff3ccb019fa8293882fb28eea0f9b1870f9b83de2dee5798";
        let digest = Digest::new(format!("sha256:{hex}")).unwrap();
        let bytes = in_fixture_images(&digest).expect("a blob of the image v1");
        assert_eq!(Digest::sha256(bytes), digest);
    }
}
