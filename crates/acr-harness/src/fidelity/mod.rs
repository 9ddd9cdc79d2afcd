//! How true acr-mock is, as a number: recorded exchanges with the real service are replayed on it, and the responses
//! compared, header by header and byte by byte. `cargo xtask fidelity [FILE...]`.
//!
//! Each exchange (or session of exchanges) gets a mock of its own, which [`state`] brings into the state that the
//! recording supposes, by general rules. [`mod@replay`] sends the request over TLS by [`raw_http`], and [`compare`] holds
//! the response against the recording; [`mask`] says what may differ. [`report`] prints the outcome.
//!
//! The paths and scopes of the recordings are read by [`target`], not by acr-protocol: the mock is made of that, and
//! would agree with its mistakes.

pub mod body;
pub mod clock;
pub mod compare;
pub mod exchange;
pub mod handed;
pub mod mask;
pub mod pattern;
pub mod raw_http;
pub mod replay;
pub mod report;
pub mod request;
pub mod settle;
pub mod state;
pub mod target;

use std::path::{Path, PathBuf};

use bytes::Bytes;

use self::exchange::Exchange;
use self::replay::play;
use self::report::Report;
use crate::Result;

/// The exchange files of this repository: `fixtures/<area>/<operation>.jsonl`.
///
/// # Errors
///
/// If the folder cannot be read.
pub fn own_files() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for area in std::fs::read_dir(fixtures())? {
        let area = area?.path();
        if !area.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(area)? {
            let file = file?.path();
            if file
                .extension()
                .is_some_and(|extension| extension == "jsonl")
            {
                files.push(file);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Reads exchange files.
///
/// # Errors
///
/// A file or a line cannot be read; the message begins with the place.
pub fn read(files: &[PathBuf]) -> Result<Vec<Exchange>, String> {
    let mut exchanges = Vec::new();
    for file in files {
        exchanges.extend(Exchange::read_file(file)?);
    }
    Ok(exchanges)
}

/// Replays exchanges: each alone, but for those of a session, which share a mock and are played in the order of their
/// steps.
///
/// # Errors
///
/// If a mock cannot be started.
pub fn replay(exchanges: Vec<Exchange>) -> Result<Report> {
    let mut outcomes = Vec::new();
    for play_of in plays(exchanges) {
        outcomes.extend(play(play_of, &in_fixture_images)?);
    }
    Ok(Report::new(outcomes))
}

/// The exchanges by play. Sessions of two files are two, even if they have one name.
fn plays(exchanges: Vec<Exchange>) -> Vec<Vec<Exchange>> {
    let mut plays: Vec<Vec<Exchange>> = Vec::new();
    let file = |exchange: &Exchange| {
        let place = exchange.place.rsplit_once(':');
        place.map(|(file, _)| file.to_owned())
    };
    for exchange in exchanges {
        let same = plays.iter_mut().find(|play| {
            exchange.session.is_some()
                && play[0].session == exchange.session
                && file(&play[0]) == file(&exchange)
        });
        match same {
            Some(play) => play.push(exchange),
            None => plays.push(vec![exchange]),
        }
    }
    for play in &mut plays {
        // Steps that have no number stay in the order of the file.
        play.sort_by_key(|exchange| exchange.step);
    }
    plays
}

/// The bytes of a blob of a fixture image.
fn in_fixture_images(digest: &str) -> Option<Bytes> {
    let hex = digest.strip_prefix("sha256:")?;
    if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let images = std::fs::read_dir(fixtures().join("images")).ok()?;
    images.flatten().find_map(|image| {
        let blob = image.path().join("blobs/sha256").join(hex);
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
            Exchange::read(place, &line).expect("a line")
        };
        let exchanges = vec![
            line("f:1", r#""session":"s","step":2,"#),
            line("f:2", ""),
            line("f:3", r#""session":"s","step":1,"#),
            line("f:4", ""),
            line("g:1", r#""session":"s","step":3,"#),
        ];
        let ids: Vec<Vec<String>> = plays(exchanges)
            .into_iter()
            .map(|play| play.into_iter().map(|exchange| exchange.id).collect())
            .collect();
        assert_eq!(
            ids,
            [vec!["f:3", "f:1"], vec!["f:2"], vec!["f:4"], vec!["g:1"]]
        );
    }

    #[test]
    fn the_bytes_of_a_fixture_image_are_found_by_their_digest() {
        let hex = "8d0c7d38e243de8aff3ccb019fa8293882fb28eea0f9b1870f9b83de2dee5798";
        let bytes = in_fixture_images(&format!("sha256:{hex}")).expect("a blob of the image v1");
        assert_eq!(body::sha256(&bytes), hex);
        assert_eq!(in_fixture_images("sha256:../../index"), None);
    }
}
