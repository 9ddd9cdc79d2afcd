//! Import circles between the modules of a published crate: `a` imports from `b`, which imports, at any distance, from
//! `a`. Neither can then be read, tested or moved without the other.
//!
//! A module is a file. A name that a module re-exports counts as imported from the file that defines it. What a child
//! imports from the modules that it lies in does not count, nor does a module's re-export of what its children define:
//! they are one concept in several files.

mod graph;
mod modules;

use std::fs;

use crate::report::Finding;
use crate::workspace::Member;

use self::modules::Modules;

/// Looks for circles in the library of every published member.
pub(super) fn check(members: &[Member]) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    for member in members.iter().filter(|member| member.is_published()) {
        let Some(root) = member.lib_root() else {
            continue;
        };
        let folder = root.parent().unwrap_or(root);
        let file = root.file_name().unwrap_or_default().to_string_lossy();
        let load = |file: &str| fs::read_to_string(folder.join(file)).ok();
        for circle in circles(&file, &load)? {
            let problem = format!("has a circle:\n{circle}");
            findings.push(Finding::new("import-circle", &member.name, problem));
        }
    }
    Ok(findings)
}

/// The circles below the root file of a crate, each told file by file.
fn circles(root: &str, load: &dyn Fn(&str) -> Option<String>) -> Result<Vec<String>, String> {
    let modules = Modules::read(root, load)?;
    let arrows = modules.arrows();
    let told = |from: &String, to: &String| {
        let line = arrows[&(from.clone(), to.clone())];
        format!("    {from}:{line} imports from {to}")
    };
    let knots = graph::knots(arrows.keys());
    Ok(knots
        .iter()
        .map(|knot| {
            let mut lines: Vec<String> = knot
                .circle
                .windows(2)
                .map(|pair| told(&pair[0], &pair[1]))
                .collect();
            if knot.files.len() >= knot.circle.len() {
                let files: Vec<&str> = knot.files.iter().map(String::as_str).collect();
                lines.push(format!("    and more between {}", files.join(", ")));
            }
            lines.join("\n")
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The circles of a crate of these files, each circle as its lines.
    #[track_caller]
    fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
        let load = |file: &str| {
            let found = files.iter().find(|(name, _)| *name == file);
            found.map(|(_, text)| (*text).to_owned())
        };
        circles("lib.rs", &load).expect("readable")
    }

    const LIB: (&str, &str) = ("lib.rs", "mod a; mod b; mod c; pub use a::A;");

    #[test]
    fn a_circle_is_told_file_by_file_with_lines() {
        let files = [
            LIB,
            ("a.rs", "\nuse crate::{b::B, c};\npub struct A;"),
            ("b.rs", "fn f() -> u8 { super::c::f() }"),
            ("c.rs", "pub use super::a::*;"),
        ];
        assert_eq!(
            circles_of(&files),
            [
                "    a.rs:2 imports from c.rs\n    c.rs:1 imports from a.rs\n    and more between a.rs, b.rs, c.rs"
            ]
        );
    }

    #[test]
    fn arrows_one_way_are_no_circle() {
        let files = [
            LIB,
            ("a.rs", "use crate::b::B; use crate::c::C; pub struct A;"),
            ("b.rs", "use crate::c::C; use http::a::A; pub struct B;"),
            ("c.rs", "pub struct C(::std::string::String);"),
        ];
        assert_eq!(circles_of(&files), Vec::<String>::new());
    }

    #[test]
    fn a_name_leads_to_the_file_that_defines_it() {
        // Through the root, a renaming, a glob, a module's name and a macro's path.
        for import in [
            "use crate::A;",
            "use crate::c::Other;",
            "use crate::c::A as Third;",
            "use crate::{a as first, c}; type T = first::A;",
            "macro_rules! m { () => { $crate::a::A } }",
            "pub(in crate::b) fn f() { let a: crate::a::A; }",
        ] {
            let files = [
                LIB,
                ("a.rs", "use crate::b; pub struct A;"),
                ("b.rs", import),
                ("c.rs", "pub use crate::a::A as Other; mod d; pub use d::*;"),
                ("c/d.rs", "pub use crate::a::*;"),
            ];
            let circles = circles_of(&files);
            assert_eq!(circles.len(), 1, "{import}");
            assert!(
                circles[0].starts_with("    a.rs:1 imports from b.rs\n    b.rs:1"),
                "{import}"
            );
        }
    }

    #[test]
    fn parents_and_children_may_name_each_other() {
        let files = [
            LIB,
            (
                "a.rs",
                "mod deep; pub use deep::Deep; use self::deep::f; pub struct A;",
            ),
            (
                "a/deep.rs",
                "use super::A; use crate::A as Again; pub struct Deep; pub fn f() {}",
            ),
            ("b.rs", ""),
            ("c.rs", ""),
        ];
        assert_eq!(circles_of(&files), Vec::<String>::new());
    }

    #[test]
    fn a_circle_through_a_child_counts_unless_the_parent_only_re_exports() {
        let tree = |own: &'static str| {
            [
                LIB,
                ("a.rs", own),
                ("a/deep.rs", "use crate::b::B; pub struct Deep;"),
                ("b.rs", "use crate::a::A; pub struct B;"),
                ("c.rs", ""),
            ]
        };
        let used = circles_of(&tree("mod deep; use self::deep::Deep; pub struct A(Deep);"));
        assert_eq!(used.len(), 1);
        assert!(
            used[0].contains("a.rs:1 imports from a/deep.rs"),
            "{used:?}"
        );
        let re_exported = circles_of(&tree(
            "mod deep; pub(crate) use self::deep::Deep; pub struct A;",
        ));
        assert_eq!(re_exported, Vec::<String>::new());
    }

    #[test]
    fn test_code_comments_and_strings_are_left_out() {
        let files = [
            LIB,
            (
                "a.rs",
                "//! [`crate::b`]\nconst S: &str = \"crate::b::B\"; // crate::b::B\n\
                 #[cfg(test)] use crate::b::{B, C};\n#[cfg(test)] #[path = \"x.rs\"] mod tests;\n\
                 #[cfg(all(test, unix))] mod more { use crate::b::B; }\npub struct A;",
            ),
            ("b.rs", "use crate::a::A;"),
            ("c.rs", ""),
        ];
        assert_eq!(circles_of(&files), Vec::<String>::new());
    }

    #[test]
    fn modules_in_braces_are_part_of_their_file() {
        let files = [
            LIB,
            ("a.rs", "mod inner { use super::super::b::B; }"),
            (
                "b.rs",
                "mod inner { pub(super) mod file; } use crate::a::A;",
            ),
            ("b/inner/file.rs", ""),
            ("c.rs", ""),
        ];
        assert_eq!(
            circles_of(&files),
            ["    a.rs:1 imports from b.rs\n    b.rs:1 imports from a.rs"]
        );
    }

    #[test]
    fn a_file_that_is_missing_is_an_error() {
        let load = |file: &str| (file == "lib.rs").then(|| "mod a;".to_owned());
        assert_eq!(
            circles("lib.rs", &load),
            Err("no file for mod a".to_owned())
        );
    }
}
