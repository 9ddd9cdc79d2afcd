//! The modules of a crate, read as tokens: which file declares them, what they define, what they import.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A path as it is written, such as `super::tag::Tag`.
type Segments = Vec<String>;

type Load<'a> = &'a dyn Fn(&str) -> Option<String>;
type Declare<'a> = &'a mut dyn FnMut(String, Option<TokenStream>);

/// A path into the own crate: an import, or one in the midst of code.
#[derive(Debug)]
struct Import {
    path: Segments,
    line: usize,
    is_public: bool,
}

/// What one module says. Test code is left out.
#[derive(Debug, Default)]
struct Module {
    /// The path of the module that the file is. It differs from this module's, if that stands in braces.
    home: Segments,
    file: String,
    defines: BTreeSet<String>,
    /// Name in this module to the path that it stands for.
    imports: BTreeMap<String, Segments>,
    globs: Vec<Segments>,
    paths: Vec<Import>,
}

/// The modules of a crate by their paths. The root's is empty.
#[derive(Debug, Default)]
pub(super) struct Modules(BTreeMap<Segments, Module>);

impl Modules {
    /// Reads the crate's root and every file that it declares, at any depth. `load` takes a file's path below the root's
    /// folder.
    pub(super) fn read(root: &str, load: Load<'_>) -> Result<Self, String> {
        let mut modules = Self::default();
        let text = load(root).ok_or_else(|| format!("cannot read {root}"))?;
        modules.read_file(root.to_owned(), &text, Vec::new(), load)?;
        Ok(modules)
    }

    fn read_file(
        &mut self,
        file: String,
        text: &str,
        path: Segments,
        load: Load<'_>,
    ) -> Result<(), String> {
        let tokens: TokenStream = text.parse().map_err(|error| format!("{file}: {error}"))?;
        let module = Module {
            home: path.clone(),
            file,
            ..Module::default()
        };
        for path in self.read_module(module, path, tokens) {
            let below = path.join("/");
            let mut files = [format!("{below}.rs"), format!("{below}/mod.rs")].into_iter();
            let found = files.find_map(|file| load(&file).map(|text| (file, text)));
            let (file, text) =
                found.ok_or_else(|| format!("no file for mod {}", path.join("::")))?;
            self.read_file(file, &text, path, load)?;
        }
        Ok(())
    }

    /// Reads a module's tokens, and gives the modules that it declares in files of their own.
    fn read_module(
        &mut self,
        mut module: Module,
        path: Segments,
        tokens: TokenStream,
    ) -> Vec<Segments> {
        let (mut declared, mut inline) = (Vec::new(), Vec::new());
        let (home, file) = (module.home.clone(), module.file.clone());
        module.read(tokens, true, &mut |name, body| {
            let below = [path.as_slice(), &[name]].concat();
            match body {
                Some(body) => inline.push((below, body)),
                None => declared.push(below),
            }
        });
        self.0.insert(path, module);
        for (path, body) in inline {
            let module = Module {
                home: home.clone(),
                file: file.clone(),
                ..Module::default()
            };
            declared.extend(self.read_module(module, path, body));
        }
        declared
    }

    /// Every import from one file in another, with the line of the first. None in a module that the file lies in, and
    /// none where a module gives what its children define as its own.
    pub(super) fn arrows(&self) -> BTreeMap<(String, String), usize> {
        let mut arrows = BTreeMap::new();
        for (module, from) in &self.0 {
            for import in &from.paths {
                let Some((to, _)) = self.resolve(module, &import.path, &mut BTreeSet::new()) else {
                    continue;
                };
                let to = &self.0[&to];
                let is_up = from.home.starts_with(&to.home);
                let is_facade = import.is_public && to.home.starts_with(&from.home);
                if !is_up && !is_facade {
                    let arrow = (from.file.clone(), to.file.clone());
                    let first = arrows.entry(arrow).or_insert(import.line);
                    *first = import.line.min(*first);
                }
            }
        }
        arrows
    }

    /// The module that defines what a path names, followed through imports, and whether the path names the module
    /// itself. `None`: it is of another crate.
    fn resolve(
        &self,
        from: &[String],
        path: &[String],
        seen: &mut BTreeSet<Segments>,
    ) -> Option<(Segments, bool)> {
        let mut place = from.to_vec();
        for (index, segment) in path.iter().enumerate() {
            match segment.as_str() {
                "crate" => place.clear(),
                "self" => {}
                "super" => {
                    place.pop();
                }
                name => {
                    let below = [place.as_slice(), std::slice::from_ref(segment)].concat();
                    if self.0.contains_key(&below) {
                        place = below;
                        continue;
                    }
                    match self.import(&place, name, seen) {
                        Some((module, true)) => place = module,
                        Some(item) => return Some(item),
                        None if index == 0 => return None,
                        None => return Some((place, false)),
                    }
                }
            }
        }
        Some((place, true))
    }

    /// Where a module has a name from, if it does not define it itself.
    fn import(
        &self,
        module: &[String],
        name: &str,
        seen: &mut BTreeSet<Segments>,
    ) -> Option<(Segments, bool)> {
        let own = self.0.get(module)?;
        let visit = [module, &[name.to_owned()]].concat();
        if own.defines.contains(name) || !seen.insert(visit) {
            return None;
        }
        if let Some(path) = own.imports.get(name) {
            return self.resolve(module, path, seen);
        }
        own.globs.iter().find_map(|path| {
            let (target, _) = self.resolve(module, path, seen)?;
            if self.0[&target].defines.contains(name) {
                return Some((target, false));
            }
            self.import(&target, name, seen)
        })
    }
}

impl Module {
    /// Reads tokens: those of the module, or of a group in it. `declare` takes the name of a module in it, and the body
    /// where it is in this file.
    fn read(&mut self, tokens: TokenStream, is_whole: bool, declare: Declare<'_>) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let word = ident(Some(token)).unwrap_or_default();
            let goes_on = at > 1 && is_separator(&tokens, at - 2);
            at += 1;
            match word.as_str() {
                "mod" => {
                    let name = ident(tokens.get(at)).unwrap_or_default();
                    match tokens.get(at + 1) {
                        Some(TokenTree::Group(body)) => declare(name, Some(body.stream())),
                        _ => declare(name, None),
                    }
                    at += 2;
                }
                "use" => {
                    let end = end_of_item(&tokens, at);
                    let line = token.span().start().line;
                    let is_public = is_public(&tokens[..at - 1]);
                    for (path, name) in flatten(&tokens[at..end], &[]) {
                        match name {
                            _ if !is_whole => {}
                            Some(name) => drop(self.imports.insert(name, path.clone())),
                            None => self.globs.push(path.clone()),
                        }
                        self.paths.push(Import {
                            path,
                            line,
                            is_public,
                        });
                    }
                    at = end;
                }
                "macro_rules" if is_whole => self.defines.extend(ident(tokens.get(at + 1))),
                "struct" | "enum" | "union" | "trait" | "type" | "fn" | "const" | "static"
                    if is_whole =>
                {
                    self.defines.extend(ident(tokens.get(at)));
                }
                "crate" | "self" | "super" if !goes_on && is_separator(&tokens, at) => {
                    let (path, end) = path(&tokens, at - 1);
                    self.paths.push(Import {
                        path,
                        line: token.span().start().line,
                        is_public: false,
                    });
                    at = end;
                }
                _ => match token {
                    TokenTree::Punct(punct)
                        if punct.as_char() == '#' && is_for_tests(tokens.get(at)) =>
                    {
                        at = end_of_item(&tokens, at + 1);
                    }
                    TokenTree::Group(group) => self.read(group.stream(), false, declare),
                    _ => {}
                },
            }
        }
    }
}

/// The paths of a `use`, each with the name that it gets in this module; without one it is a glob.
fn flatten(tokens: &[TokenTree], prefix: &[String]) -> Vec<(Segments, Option<String>)> {
    let mut paths = Vec::new();
    for part in tokens.split(|token| is_punct(Some(token), ',') || is_punct(Some(token), ';')) {
        let (path, end) = path(part, 0);
        let mut path = [prefix, &path].concat();
        match part.get(end) {
            Some(TokenTree::Group(group)) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                paths.extend(flatten(&inner, &path));
            }
            Some(TokenTree::Punct(_)) => paths.push((path, None)),
            renamed => {
                if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
                    path.pop();
                }
                let name = renamed.map_or(path.last().cloned(), |_| ident(part.get(end + 1)));
                paths.extend(name.map(|name| (path, Some(name))));
            }
        }
    }
    paths
}

/// Whether the tokens before an item end in its `pub`, or `pub(..)`.
fn is_public(before: &[TokenTree]) -> bool {
    let is_pub = |token: &TokenTree| ident(Some(token)).is_some_and(|word| word == "pub");
    match before {
        [.., word, TokenTree::Group(_)] | [.., word] => is_pub(word),
        [] => false,
    }
}

/// Reads `a::b::c` from a place on, and gives where it ends. A trailing `::` belongs to it.
fn path(tokens: &[TokenTree], mut at: usize) -> (Segments, usize) {
    let mut segments = Vec::new();
    while let Some(word) = ident(tokens.get(at)) {
        segments.push(word);
        at += 1;
        if !is_separator(tokens, at) {
            break;
        }
        at += 2;
    }
    (segments, at)
}

/// Whether an attribute leaves what follows to tests: `[cfg(test)]`, `[cfg(all(test, ..))]`.
fn is_for_tests(attribute: Option<&TokenTree>) -> bool {
    let text = attribute.map(|token| token.to_string().replace([' ', '\n'], ""));
    text.is_some_and(|text| text.starts_with("[cfg(test)") || text.starts_with("[cfg(all(test,"))
}

/// Where an item ends: after its braces and the semicolon behind them, or after its semicolon alone.
fn end_of_item(tokens: &[TokenTree], start: usize) -> usize {
    let is_semicolon = |at: usize| is_punct(tokens.get(at), ';');
    let is_body = |at: usize| matches!(&tokens[at], TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
    let end = (start..tokens.len()).find(|&at| is_semicolon(at) || is_body(at));
    match end {
        Some(at) if is_body(at) && is_semicolon(at + 1) => at + 2,
        Some(at) => at + 1,
        None => tokens.len(),
    }
}

fn ident(token: Option<&TokenTree>) -> Option<String> {
    match token {
        Some(TokenTree::Ident(ident)) => Some(ident.to_string()),
        _ => None,
    }
}

/// Whether `::` stands there.
fn is_separator(tokens: &[TokenTree], at: usize) -> bool {
    is_punct(tokens.get(at), ':') && is_punct(tokens.get(at + 1), ':')
}

fn is_punct(token: Option<&TokenTree>, wanted: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}
