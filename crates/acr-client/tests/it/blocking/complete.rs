//! No operation is forgotten in the blocking client.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The public methods of a type, by the sources of a folder: those in its `impl` blocks, and those in a block of the
/// macro `blocking!`. Folders within are read too, but for `blocking`.
fn methods(of: &str, folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("blocking") {
                found.extend(methods(of, &path));
            }
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        let blocks = source
            .split("\nimpl ")
            .chain(source.split("\nblocking! {\n    "));
        for block in blocks.filter_map(|block| block.strip_prefix(of)?.strip_prefix(" {\n")) {
            let block = block.split("\n}").next().unwrap_or_default();
            found.extend(block.lines().filter_map(|line| {
                let (before, rest) = line.trim_start().split_once("fn ")?;
                // The macro has a word for how it waits.
                let is_public = before.starts_with("pub ")
                    || ["run ", "run &mut ", "list ", "read ", "upload ", "mount "]
                        .contains(&before);
                is_public.then(|| rest.split(['(', '<']).next().unwrap_or_default().to_owned())
            }));
        }
    }
    found
}

#[test]
fn every_method_of_the_async_client_has_a_blocking_twin() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (of, twin, known) in [
        ("ContainerRegistryClient", "ContainerRegistryClient", "ping"),
        ("RepositoryClient", "RepositoryClient", "delete_tag"),
        ("BlobUpload", "BlobUpload", "append"),
        ("BlobStream", "BlobReader", "save"),
    ] {
        let here = methods(of, &sources);
        let mut there = methods(twin, &sources.join("blocking"));
        assert!(here.contains(known), "{here:?}");
        // What puts a blocking face on an async client has no twin.
        there.remove("over");
        assert_eq!(here, there, "{of}");
    }
}

/// The public functions of a file's source that belong to no type.
fn functions(source: &Path) -> BTreeSet<String> {
    let source = fs::read_to_string(source).unwrap();
    let names = source.lines().filter_map(|line| {
        let rest = line.strip_prefix("pub ")?;
        let rest = rest.strip_prefix("async ").unwrap_or(rest);
        rest.strip_prefix("fn ")?.split('(').next()
    });
    names.map(str::to_owned).collect()
}

#[test]
fn every_function_of_images_has_a_blocking_twin() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut here = functions(&sources.join("image/mod.rs"));
    here.extend(functions(&sources.join("image/attach.rs")));
    assert!(here.contains("copy") && here.contains("attach"), "{here:?}");
    assert_eq!(here, functions(&sources.join("blocking/image.rs")));
}
