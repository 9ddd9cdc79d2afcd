//! Runs every function over its files in `fixtures/fuzz`, over mutations of them and over random bytes: the same in
//! every run. `cargo xtask fuzz` looks further.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use crate::{TARGETS, Target};

const MUTATIONS_OF_A_FILE: u64 = 40;
const RANDOM_INPUTS: u64 = 400;

#[test]
fn every_function_has_files_and_a_program_and_every_file_a_function() {
    let functions: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&fixtures()), functions, "folders of fixtures/fuzz");
    let programs: BTreeSet<String> = functions.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names(&package().join("src/bin")), programs);
    let manifest = fs::read_to_string(package().join("Cargo.toml")).unwrap();
    for name in &functions {
        let files = names(&fixtures().join(name)).len();
        assert!(files >= 10, "{name} has {files} files");
        let program = package().join(format!("src/bin/{name}.rs"));
        let program = fs::read_to_string(program).unwrap();
        assert!(program.contains(&format!("program!({name});")), "{program}");
        // A program that the manifest does not name has tests, and so is one more executable of them.
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name}");
    }
}

#[test]
fn every_file_is_small_named_by_what_it_is_and_different_from_the_others() {
    for (name, _) in TARGETS {
        let mut seen = BTreeSet::new();
        for (file, data) in corpus(name) {
            // libFuzzer names what it finds by a digest, which tells nobody anything.
            let is_word = |word: &str| {
                let mut bytes = word.bytes();
                !word.is_empty() && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            };
            assert!(
                file.len() <= 60 && file.split('-').all(is_word),
                "{name}/{file}"
            );
            assert!(data.len() <= 4096, "{name}/{file} has {} bytes", data.len());
            assert!(seen.insert(data), "{name}/{file} is another one, too");
        }
    }
}

#[test]
fn every_property_holds_of_the_files() {
    for (name, target) in TARGETS {
        for (file, data) in corpus(name) {
            holds(name, *target, &file, &data);
        }
    }
}

#[test]
fn every_property_holds_of_mutations_of_the_files() {
    for (name, target) in TARGETS {
        let corpus = corpus(name);
        let files: Vec<&Vec<u8>> = corpus.values().collect();
        let mut random = fastrand::Rng::with_seed(20_210_701);
        for (file, data) in &corpus {
            for _ in 0..MUTATIONS_OF_A_FILE {
                let data = mutated(data, &files, &mut random);
                holds(name, *target, &format!("a mutation of {file}"), &data);
            }
        }
    }
}

#[test]
fn every_property_holds_of_random_bytes() {
    for (name, target) in TARGETS {
        let mut random = fastrand::Rng::with_seed(1994);
        for _ in 0..RANDOM_INPUTS {
            let length = random.usize(0..120);
            let any = random.bool();
            let data: Vec<u8> = std::iter::repeat_with(|| {
                if any {
                    random.u8(..)
                } else {
                    random.u8(b' '..=b'~')
                }
            })
            .take(length)
            .collect();
            holds(name, *target, "random bytes", &data);
        }
    }
}

#[track_caller]
fn holds(name: &str, target: Target, what: &str, data: &[u8]) {
    if catch_unwind(|| target(data)).is_err() {
        panic!("{name} fails on {what}: {}", data.escape_ascii());
    }
}

/// A few changes of the kinds that lead parsers astray, among them pieces that mean something to one of them.
fn mutated(data: &[u8], others: &[&Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut data = data.to_vec();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(..=data.len());
        let end = data.len().min(at + random.usize(..12));
        match random.u8(..6) {
            0 => {
                let piece = random.choice(PIECES).copied().unwrap_or_default();
                data.splice(at..at, piece.bytes());
            }
            1 => {
                let piece = random.choice(PIECES).copied().unwrap_or_default();
                data.splice(at..end, piece.bytes());
            }
            2 => drop(data.drain(at..end)),
            3 => {
                let again = data[at..end].to_vec();
                data.splice(at..at, again);
            }
            4 => {
                let byte = random.u8(..);
                data.splice(at..end.min(at + 1), [byte]);
            }
            _ => {
                let other = random
                    .choice(others)
                    .map_or(&[][..], |other| other.as_slice());
                let from = random.usize(..=other.len());
                data.truncate(at);
                data.extend_from_slice(&other[from..]);
            }
        }
        data.truncate(MAX_BYTES);
    }
    data
}

const PIECES: &[&str] = &[
    "//",
    "/\\",
    "\\",
    "\"",
    "\\\"",
    ",",
    ";",
    "=",
    "<",
    ">",
    "@",
    ":",
    "#",
    "?",
    "&",
    "%",
    "%2F",
    "%2e",
    "%00",
    "..",
    "*",
    "-",
    "+",
    ".",
    " ",
    "\t",
    "\r\n",
    "\0",
    "\u{e4}",
    "\u{ff0f}",
    "[",
    "]",
    "{",
    "}",
    "null",
    "-1",
    "0",
    "1e400",
    "18446744073709551616",
    "https://",
    "http:",
    "evil.example",
    "rel=next",
    "Basic",
    "Bearer ",
    "realm=",
    "scope=\"",
    "GMT",
];

const MAX_BYTES: usize = 4096;

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn fixtures() -> PathBuf {
    package().join("../../fixtures/fuzz")
}

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("readable").file_name())
        .map(|name| name.into_string().expect("UTF-8"))
        .collect()
}

fn corpus(name: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = fixtures().join(name);
    names(&folder)
        .into_iter()
        .map(|file| {
            let data = fs::read(folder.join(&file)).expect("readable");
            (file, data)
        })
        .collect()
}
