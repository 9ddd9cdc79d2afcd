//! Holds the blocking client to completeness, by the sources of both.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The async types, and what each one is here.
const TWINS: &[(&str, &str)] = &[
    ("ContainerRegistryClient", "ContainerRegistryClient"),
    ("RepositoryClient", "RepositoryClient"),
    ("BlobStream", "BlobReader"),
    ("Pager<T>", "Pager<T>"),
    ("Pages<T>", "Pages<T>"),
];

/// Methods that have another form here, and which.
const OTHERWISE: &[(&str, &str, &str)] = &[
    (
        "BlobStream",
        "read",
        "`read_to_bytes`; `read` is that of `io::Read`",
    ),
    (
        "ContainerRegistryClient",
        "authorized_request",
        "gives the body as bytes, up to a limit",
    ),
    ("Pager<T>", "try_next", "`next` of the iterator"),
    ("Pages<T>", "try_next", "`next` of the iterator"),
];

/// The types whose methods are operations.
const CLIENTS: &[&str] = &["ContainerRegistryClient", "RepositoryClient"];

#[test]
fn every_method_has_a_twin_with_the_same_arguments_and_result() {
    let sources = Sources::read();
    let mut problems = Vec::new();
    for (theirs, ours) in TWINS {
        problems.extend(sources.compare(theirs, ours, OTHERWISE));
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn every_operation_names_its_route_and_leads_to_its_twin() {
    let sources = Sources::read();
    for client in CLIENTS {
        let ours = methods(&sources.blocking, client);
        for (name, method) in methods(&sources.asynchronous, client) {
            let docs = &ours[&name].docs;
            let link = format!("(crate::blocking::{client}::{name})");
            assert!(docs.contains(&link), "{client}::{name} has no link {link}");
            for route in routes(&method.docs) {
                assert!(docs.contains(route), "{client}::{name} lacks {route}");
            }
        }
    }
}

#[test]
fn the_sources_are_read_as_they_are() {
    let sources = Sources::read();
    for source in [&sources.asynchronous, &sources.blocking] {
        let client = methods(source, "ContainerRegistryClient");
        assert!(client.contains_key("ping") && client.contains_key("new"));
        let repository = methods(source, "RepositoryClient");
        for name in [
            "name",
            "list_tags",
            "get_manifest",
            "upload_blob_with",
            "list_referrers",
        ] {
            assert!(repository.contains_key(name), "{name}");
        }
        assert_eq!(
            repository["get_blob"].signature,
            "fnget_blob(&self,digest:implTryInto<Digest,Error:Into<Error>>,\
             range:implInto<Option<ByteRange>>)->Result<BlobReader,Error>"
        );
        assert_eq!(
            routes(&repository["head_blob"].docs).collect::<Vec<_>>(),
            ["HEAD /v2/{name}/blobs/{digest}"]
        );
    }
}

#[test]
fn what_is_forgotten_or_differs_is_found() {
    let theirs = "
impl RepositoryClient {
    pub async fn kept(
        &self,
        a: u32,
    ) -> Result<(), Error> {
    }
    pub async fn forgotten(&self) -> Result<(), Error> {
    }
    pub fn differs(&self, a: u64) -> bool {
    }
    pub(crate) fn internal(&self) {
    }
}
";
    let ours = "
impl RepositoryClient {
    pub fn kept(&self, a: u32) -> Result<(), Error> {
    }
    pub fn differs(&self, a: u32) -> bool {
    }
    pub fn more(&self) {
    }
}
";
    let sources = Sources {
        asynchronous: theirs.to_owned(),
        blocking: ours.to_owned(),
    };
    let client = "RepositoryClient";
    let problems = sources.compare(client, client, &[]);
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(problems[0].starts_with("RepositoryClient::differs is"));
    assert_eq!(problems[1], "RepositoryClient::forgotten has no twin");
    let stated = [
        (client, "forgotten", "a reason"),
        (client, "gone", "a reason"),
    ];
    let problems = sources.compare(client, client, &stated);
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert_eq!(
        problems[1],
        "RepositoryClient::gone is stated, but there is none"
    );
}

/// The text of all sources of the client, and of those of its blocking face.
struct Sources {
    asynchronous: String,
    blocking: String,
}

impl Sources {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let blocking = root.join("blocking");
        Self {
            asynchronous: text_below(&root, &blocking),
            blocking: text_below(&blocking, Path::new("")),
        }
    }

    /// What is missing of `theirs` in `ours`, in the order of the names.
    fn compare(&self, theirs: &str, ours: &str, otherwise: &[(&str, &str, &str)]) -> Vec<String> {
        let twins = methods(&self.blocking, ours);
        let theirs_methods = methods(&self.asynchronous, theirs);
        let stated = |name: &str| otherwise.iter().any(|row| (row.0, row.1) == (theirs, name));
        let mut problems = Vec::new();
        for (name, method) in &theirs_methods {
            match twins.get(name) {
                _ if stated(name) => {}
                None => problems.push(format!("{ours}::{name} has no twin")),
                Some(twin) if twin.signature != method.signature => problems.push(format!(
                    "{ours}::{name} is {} instead of {}",
                    twin.signature, method.signature
                )),
                Some(_) => {}
            }
        }
        for (of, name, _) in otherwise {
            if *of == theirs && !theirs_methods.contains_key(*name) {
                problems.push(format!("{of}::{name} is stated, but there is none"));
            }
        }
        problems
    }
}

struct Method {
    /// Without spaces and what an async function has in addition.
    signature: String,
    docs: String,
}

/// The public methods in the `impl` blocks of a type, in sources that rustfmt has formatted.
fn methods(source: &str, of: &str) -> BTreeMap<String, Method> {
    let (plain, generic) = (format!("impl {of} {{"), format!("impl<T> {of} {{"));
    let mut found = BTreeMap::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if line == plain || line == generic {
            let block = lines.by_ref().take_while(|line| *line != "}");
            found.extend(methods_of_block(block));
        }
    }
    found
}

fn methods_of_block<'a>(mut lines: impl Iterator<Item = &'a str>) -> BTreeMap<String, Method> {
    let mut found = BTreeMap::new();
    let mut docs = String::new();
    while let Some(line) = lines.next() {
        // What is deeper is a body.
        let Some(line) = line
            .strip_prefix("    ")
            .filter(|line| !line.starts_with(' '))
        else {
            continue;
        };
        if let Some(text) = line.strip_prefix("///") {
            docs += text;
        } else if line.contains("fn ") && !line.starts_with("//") {
            let mut signature = line.to_owned();
            while !signature.ends_with('{') {
                signature += lines.next().unwrap();
            }
            let docs = std::mem::take(&mut docs);
            if signature.starts_with("pub ") {
                let (_, rest) = signature.split_once("fn ").unwrap();
                let (name, _) = rest.split_once('(').unwrap();
                let name = name.to_owned();
                let signature = normalised(&signature);
                found.insert(name, Method { signature, docs });
            }
        }
    }
    found
}

/// A signature such that those of twins are the same.
fn normalised(signature: &str) -> String {
    let mut text = signature.to_owned();
    for (there, here) in [
        ("pub ", ""),
        ("async ", ""),
        ("const ", ""),
        ("mut ", ""),
        (" {", ""),
        (" ", ""),
        (",)", ")"),
        ("BlobStream", "BlobReader"),
    ] {
        text = text.replace(there, here);
    }
    text
}

/// The routes in a text of docs, such as `GET /v2/`.
fn routes(docs: &str) -> impl Iterator<Item = &str> {
    const METHODS: [&str; 6] = ["GET ", "HEAD ", "PUT ", "POST ", "PATCH ", "DELETE "];
    let quoted = docs.split('`').skip(1).step_by(2);
    quoted.filter(|text| METHODS.iter().any(|method| text.starts_with(method)))
}

/// All Rust below a folder but for one folder.
fn text_below(folder: &Path, without: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path != without {
            text += &text_below(&path, without);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &fs::read_to_string(path).unwrap();
        }
    }
    text
}
