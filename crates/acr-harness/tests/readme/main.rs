//! The documents at the root of the repository hold what they say.
//!
//! The Rust in the README has no hidden lines, because code hosts would show them. Each of its blocks stands in
//! `snippets.rs` instead, word for word and only laid out differently, where it is compiled and run against the mock.

mod snippets;

use std::fs;
use std::path::{Path, PathBuf};

use acr_client::protocol::Route;

#[test]
fn every_rust_block_of_the_readme_is_compiled_and_run() {
    let compiled = without_layout(include_str!("snippets.rs"));
    let mut count = 0;
    for (line, block) in rust_blocks(&read("README.md")) {
        count += 1;
        assert!(
            compiled.contains(&without_layout(&block)),
            "README.md, line {line}: this block is not in tests/readme/snippets.rs, so nothing compiles it:\n{block}"
        );
    }
    assert!(count > 9, "only {count} blocks were found");
}

#[test]
fn the_table_of_the_other_sdks_has_every_operation_of_the_wire() {
    let readme = read("README.md");
    let (_, section) = readme.split_once("\n## Coming from another SDK").unwrap();
    let missing: Vec<_> = Route::NAMES
        .iter()
        .filter(|name| !section.contains(&format!("| `{name}` ")))
        .collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
}

#[test]
fn the_contract_of_the_program_is_in_the_readme() {
    let readme = read("README.md");
    let cli = read("crates/acr-mock/src/cli.rs");
    let options: Vec<_> = cli
        .split("env = \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(options.len() > 8, "only {options:?} were found");
    for variable in options {
        let row = format!("| `{variable}` |");
        assert!(readme.contains(&row), "no row for {variable}");
    }
    let (_, ready) = readme.split_once("```json\n").unwrap();
    let (ready, _) = ready.split_once('\n').unwrap();
    let ready: serde_json::Value = serde_json::from_str(ready).unwrap();
    let main = read("crates/acr-mock/src/main.rs");
    let (_, members) = main.split_once("struct Ready<'a> {\n").unwrap();
    let (members, _) = members.split_once('}').unwrap();
    for member in members.lines().filter_map(|line| line.split_once(':')) {
        let name = member.0.trim();
        assert!(ready.get(name).is_some(), "the ready line lacks {name}");
    }
}

#[test]
fn every_setting_of_the_mock_is_in_its_readme() {
    let readme = read("crates/acr-mock/README.md");
    let settings = ["mod", "switches", "limits"]
        .map(|file| read(&format!("crates/acr-mock/src/settings/{file}.rs")))
        .concat();
    let names: Vec<_> = settings
        .split("pub fn ")
        .skip(1)
        .filter_map(|rest| rest.split_once('('))
        .filter(|(_, rest)| rest.trim_start().starts_with("mut self"))
        .map(|(name, _)| name)
        .collect();
    assert!(names.len() > 10, "only {names:?} were found");
    for name in names {
        assert!(readme.contains(&format!("`{name}`")), "no row for {name}");
    }
}

#[test]
fn links_and_files_that_the_documents_name_exist() {
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
    ] {
        let text = read(document);
        for target in links(&text) {
            assert!(root().join(target).exists(), "{document} links to {target}");
        }
    }
    // The code map: a line of a table names a file from the folder in the heading above it.
    let mut folder = String::new();
    let mut count = 0;
    for line in read("ARCHITECTURE.md").lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            folder = heading.trim_matches('`').to_owned();
        } else if let Some(row) = line.strip_prefix("| `") {
            let (name, _) = row.split_once('`').unwrap();
            let place = root().join(&folder).join(name);
            assert!(place.exists(), "ARCHITECTURE.md names {}", place.display());
            count += 1;
        }
    }
    assert!(count > 60, "only {count} files were found in the code map");
}

/// The line and the text of each block that is marked as Rust.
fn rust_blocks(text: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, bool, String)> = None;
    for (index, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some((index + 1, language.starts_with("rust"), String::new()))
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, _, block)), None) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks.retain(|(_, is_rust, _)| *is_rust);
    blocks
        .into_iter()
        .map(|(line, _, block)| (line, block))
        .collect()
}

/// The targets of links to files of the repository.
fn links(text: &str) -> Vec<&str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.split('#').next().unwrap_or_default())
        .filter(|target| !target.is_empty() && !target.contains("://"))
        .collect()
}

/// A block on a page is laid out for its readers, the same code in a file by rustfmt: other blanks, and a comma more
/// where a list takes several lines.
fn without_layout(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    [",)", ",]", ",}"]
        .into_iter()
        .fold(text, |text, end| text.replace(end, &end[1..]))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).expect("a document of the repository")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
