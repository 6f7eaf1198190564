//! The module structure, read from the source text: no circles between modules, and crates that depend
//! only on crates below them.
//!
//! With `ARCHITECTURE_SRC` set to a source folder, that folder is checked as the only crate.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

// ---- Tokens ----

/// A word, a punctuation mark (`::` and `..` are one), or `"` for any literal text.
struct Token {
    text: String,
    line: usize,
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The code in `source`, without comments, the content of literals, and lifetimes.
fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let literal = || "\"".to_owned();
    let (mut tokens, mut i, mut line) = (Vec::new(), 0, 1);
    while i < chars.len() {
        let (start, mut text) = (i, String::new());
        match at(i) {
            c if c.is_whitespace() => i += 1,
            '/' if at(i + 1) == '/' => i += chars[i..].iter().take_while(|c| **c != '\n').count(),
            '/' if at(i + 1) == '*' => i = comment_end(&chars, i),
            '"' => (i, text) = (quoted_end(&chars, i), literal()),
            '\'' if at(i + 1) == '\\' || at(i + 2) == '\'' => (i, text) = (quoted_end(&chars, i), literal()),
            '\'' => i += 1 + chars[i + 1..].iter().take_while(|c| is_word(**c)).count(),
            c if c.is_ascii_digit() => {
                while is_word(at(i)) || (at(i) == '.' && at(i + 1).is_ascii_digit()) {
                    i += 1;
                }
                text = literal();
            }
            c if is_word(c) => {
                i += chars[i..].iter().take_while(|c| is_word(**c)).count();
                text = chars[start..i].iter().collect();
                let hashes = chars[i..].iter().take_while(|c| **c == '#').count();
                match (text.as_str(), at(i), at(i + hashes)) {
                    ("r" | "br" | "cr", _, '"') => (i, text) = (raw_end(&chars, i, hashes), literal()),
                    ("b" | "c", '"' | '\'', _) => (i, text) = (quoted_end(&chars, i), literal()),
                    ("r", '#', _) => (i, text) = (i + 1, String::new()), // r#word
                    _ => {}
                }
            }
            c => {
                let double = matches!(c, ':' | '.') && at(i + 1) == c;
                i += if double { 2 } else { 1 };
                text = chars[start..i].iter().collect();
            }
        }
        if !text.is_empty() {
            tokens.push(Token { text, line });
        }
        line += chars[start..i.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

fn comment_end(chars: &[char], mut i: usize) -> usize {
    let mut depth = 0;
    while i < chars.len() {
        match chars.get(i..i + 2) {
            Some(['/', '*']) => (depth, i) = (depth + 1, i + 2),
            Some(['*', '/']) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i
}

fn quoted_end(chars: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while i < chars.len() && chars[i] != chars[start] {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

fn raw_end(chars: &[char], start: usize, hashes: usize) -> usize {
    let is_end = |i: &usize| chars[*i] == '"' && chars[i + 1..].iter().take(hashes).all(|c| *c == '#');
    (start + hashes + 1..chars.len()).find(is_end).map_or(chars.len(), |i| i + 1 + hashes)
}

// ---- Modules ----

/// One name that a `use` brings in; `*` for all.
struct Import {
    path: Vec<String>,
    name: String,
    exported: bool,
    line: usize,
}

/// A file's module, or one written inside a file.
#[derive(Default)]
struct Module {
    file: usize,
    folder: PathBuf,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    items: BTreeSet<String>,
    imports: Vec<Import>,
    /// Paths of two and more segments; in facades also single names.
    paths: Vec<(Vec<String>, usize)>,
}

/// Where a path leads: a module and, unless the path ends there, the name in it.
type Target = (usize, Option<String>);
/// The imports being followed, so that none is followed twice.
type Seen = Vec<(usize, String)>;

#[derive(Default)]
struct Crate {
    source: PathBuf,
    files: Vec<String>,
    /// What could not be read, one sentence each.
    missing: Vec<String>,
    modules: Vec<Module>,
}

impl Crate {
    fn read(source: &Path) -> Self {
        let mut this = Self { source: source.into(), ..Self::default() };
        let roots = ["lib.rs", "main.rs"].map(Path::new);
        assert!(roots.iter().any(|root| source.join(root).is_file()), "no crate in {}", source.display());
        for root in roots.into_iter().filter(|root| source.join(root).is_file()) {
            this.read_file(root, PathBuf::new(), None);
        }
        this
    }

    /// Whether re-exports in the file are no dependencies of its own.
    fn is_facade(&self, file: usize) -> bool {
        ["mod.rs", "lib.rs", "main.rs"].iter().any(|name| Path::new(&self.files[file]).ends_with(name))
    }

    fn add(&mut self, file: usize, folder: PathBuf, parent: Option<usize>) -> usize {
        self.modules.push(Module { file, folder, parent, ..Module::default() });
        self.modules.len() - 1
    }

    fn read_file(&mut self, name: &Path, folder: PathBuf, parent: Option<usize>) -> usize {
        let code = Code(tokens(&fs::read_to_string(self.source.join(name)).unwrap()));
        self.files.push(name.to_str().unwrap().into());
        let module = self.add(self.files.len() - 1, folder, parent);
        self.scan(&code, module);
        module
    }

    fn read_child(&mut self, module: usize, name: &str) {
        let folder = self.modules[module].folder.join(name);
        let [file, inside] = [folder.with_extension("rs"), folder.join("mod.rs")];
        let path = if self.source.join(&file).is_file() { file } else { inside };
        if !self.source.join(&path).is_file() {
            let declared_in = &self.files[self.modules[module].file];
            return self.missing.push(format!("{declared_in} declares mod {name}, which has no file"));
        }
        let child = self.read_file(&path, folder, Some(module));
        self.modules[module].children.insert(name.into(), child);
    }

    fn scan(&mut self, code: &Code, file_module: usize) {
        let facade = self.is_facade(self.modules[file_module].file);
        let (mut scopes, mut depth, mut i) = (vec![(file_module, 0)], 0, 0);
        let mut variants = BTreeSet::new();
        while i < code.0.len() {
            let (module, base) = scopes[scopes.len() - 1];
            let (before, word, next) = (code.before(i), code.at(i), code.at(i + 1));
            match word {
                "#" if code.test_module_end(i).is_some() => i = code.test_module_end(i).unwrap(),
                "{" => (depth, i) = (depth + 1, i + 1),
                "}" => {
                    (depth, i) = (depth - 1, i + 1);
                    scopes.retain(|(module, base)| *module == file_module || *base <= depth);
                }
                "pub" => {
                    let after = if next == "(" { code.closed(i + 1) } else { i + 1 };
                    let exports = code.at(after) == "use";
                    let imports = &mut self.modules[module].imports;
                    i = if exports { code.use_tree(after + 1, &[], true, imports) } else { after };
                }
                "use" if next != "<" => {
                    i = code.use_tree(i + 1, &[], false, &mut self.modules[module].imports);
                }
                "mod" if code.at(i + 2) == ";" && code.is_name(i + 1) => {
                    self.read_child(module, next);
                    i += 3;
                }
                "mod" if code.at(i + 2) == "{" && code.is_name(i + 1) => {
                    let Module { file, folder, .. } = &self.modules[module];
                    let child = self.add(*file, folder.join(next), Some(module));
                    self.modules[module].children.insert(next.into(), child);
                    scopes.push((child, depth + 1));
                    (depth, i) = (depth + 1, i + 3);
                }
                "fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "union"
                    if code.is_name(i + 1) =>
                {
                    if depth == base {
                        self.modules[module].items.insert(next.into());
                    }
                    if word == "enum" {
                        variants.extend(code.variants(i));
                    }
                    i += if matches!(word, "const" | "static") { 1 } else { 2 };
                }
                "macro_rules" if next == "!" => {
                    self.modules[module].items.insert(code.at(i + 2).into());
                    i += 3;
                }
                _ if code.is_name(i) => {
                    let path = code.path(i);
                    let starts = !matches!(before, "::" | ".") && (before != "$" || word == "crate");
                    let type_name = word.starts_with(char::is_uppercase);
                    let alone = facade && !variants.contains(&i) && (type_name || matches!(next, "(" | "!"));
                    let length = path.len();
                    if starts && (length > 1 || alone) {
                        self.modules[module].paths.push((path, code.0[i].line));
                    }
                    i += 2 * length - 1;
                }
                _ => i += 1,
            }
        }
    }

    fn root(&self, module: usize) -> usize {
        self.modules[module].parent.map_or(module, |parent| self.root(parent))
    }

    /// Where `path`, written in `scope`, leads within the crate.
    fn resolve(&self, scope: usize, path: &[String], seen: &mut Seen) -> Option<Target> {
        let (first, rest) = path.split_first()?;
        let base = match first.as_str() {
            "crate" => self.root(scope),
            "self" => scope,
            "super" => self.modules[scope].parent?,
            _ if self.has(scope, first) => return self.land(scope, path, seen),
            _ => return self.imported(scope, path, false, seen),
        };
        if rest.first().is_some_and(|next| next == "super") {
            return self.resolve(base, rest, seen);
        }
        self.land(base, rest, seen)
    }

    fn has(&self, scope: usize, name: &str) -> bool {
        self.modules[scope].items.contains(name) || self.modules[scope].children.contains_key(name)
    }

    /// Follows `path` down from `scope`: to an item, through a re-export, or into a child module.
    fn land(&self, scope: usize, path: &[String], seen: &mut Seen) -> Option<Target> {
        let Some((first, rest)) = path.split_first() else { return Some((scope, None)) };
        let module = &self.modules[scope];
        let child = module.children.get(first);
        if child.is_none() || rest.is_empty() {
            if module.items.contains(first) {
                return Some((scope, Some(first.clone())));
            }
            if let Some(target) = self.imported(scope, path, true, seen) {
                return Some(target);
            }
        }
        child.map_or(Some((scope, Some(first.clone()))), |child| self.land(*child, rest, seen))
    }

    /// Follows the import of the first name in `path`, by name or by `*`.
    fn imported(&self, scope: usize, path: &[String], exported: bool, seen: &mut Seen) -> Option<Target> {
        let (first, rest) = path.split_first()?;
        let key = (scope, first.clone());
        if seen.contains(&key) {
            return None;
        }
        seen.push(key);
        let imports = || self.modules[scope].imports.iter().filter(|import| import.exported || !exported);
        let named = imports()
            .find(|import| import.name == *first)
            .and_then(|import| self.resolve(scope, &[import.path.as_slice(), rest].concat(), seen));
        let target = named.or_else(|| {
            imports().filter(|import| import.name == "*").find_map(|import| {
                let (module, None) = self.resolve(scope, &import.path, seen)? else { return None };
                let known = self.has(module, first);
                if known { self.land(module, path, seen) } else { self.imported(module, path, true, seen) }
            })
        });
        seen.pop();
        target
    }

    /// The names by which each file depends on each other one, with their lines.
    fn edges(&self) -> Edges {
        let mut edges = Edges::new();
        for (scope, module) in self.modules.iter().enumerate() {
            let mut add = |(target, name): Target, line| {
                let to = self.modules[target].file;
                if to != module.file {
                    let names = edges.entry((module.file, to)).or_default();
                    let first = names.entry(name.unwrap_or_else(|| "the module".into())).or_insert(line);
                    *first = line.min(*first);
                }
            };
            for Import { path, name, exported, line } in &module.imports {
                let Some(target) = self.resolve(scope, path, &mut Seen::new()) else { continue };
                match target {
                    _ if *exported && self.is_facade(module.file) => {}
                    (module, None) if name == "*" => add((module, Some("*".into())), *line),
                    (_, None) => {} // A module: the paths that begin with it count instead.
                    item => add(item, *line),
                }
            }
            for (path, line) in &module.paths {
                self.resolve(scope, path, &mut Seen::new()).into_iter().for_each(|target| add(target, *line));
            }
        }
        edges
    }
}

/// The tokens of a file.
struct Code(Vec<Token>);

impl Code {
    fn at(&self, i: usize) -> &str {
        self.0.get(i).map_or("", |token| &token.text)
    }

    fn before(&self, i: usize) -> &str {
        i.checked_sub(1).map_or("", |i| self.at(i))
    }

    fn is_name(&self, i: usize) -> bool {
        self.at(i).starts_with(is_word)
    }

    /// The position after the bracket that closes the one at `i`.
    fn closed(&self, mut i: usize) -> usize {
        let mut depth = 0;
        while i < self.0.len() {
            depth += match self.at(i) {
                "(" | "[" | "{" => 1,
                ")" | "]" | "}" => -1,
                _ => 0,
            };
            i += 1;
            if depth == 0 {
                break;
            }
        }
        i
    }

    /// The position after the module at `i`, if it begins with `#[cfg(test)]` or `#[cfg(all(test, ..))]`.
    fn test_module_end(&self, mut i: usize) -> Option<usize> {
        let words: Vec<_> = (i + 1..i + 7).map(|i| self.at(i)).collect();
        if !matches!(words[..], ["[", "cfg", "(", "test", ..] | ["[", "cfg", "(", "all", "(", "test"]) {
            return None;
        }
        while self.at(i) != "mod" {
            i = match (self.at(i), self.at(i + 1)) {
                ("#", "[") | ("pub", "(") => self.closed(i + 1),
                ("pub", _) => i + 1,
                _ => return None,
            };
        }
        Some(if self.at(i + 2) == "{" { self.closed(i + 2) } else { i + 3 })
    }

    /// The positions of the variant names of the `enum` at `i`.
    fn variants(&self, mut i: usize) -> Vec<usize> {
        while !matches!(self.at(i), "{" | ";" | "") {
            i += 1;
        }
        let (end, mut found) = (self.closed(i), Vec::new());
        i += 1;
        while i < end {
            if self.is_name(i) && matches!(self.before(i), "{" | "," | "]") {
                found.push(i);
            }
            i = if matches!(self.at(i), "(" | "[" | "{") { self.closed(i) } else { i + 1 };
        }
        found
    }

    /// The path that begins at `i`.
    fn path(&self, mut i: usize) -> Vec<String> {
        let mut path = vec![self.at(i).to_owned()];
        while self.at(i + 1) == "::" && self.is_name(i + 2) {
            i += 2;
            path.push(self.at(i).into());
        }
        path
    }

    /// Reads the use tree at `i` into `imports`; returns the position after it.
    fn use_tree(&self, mut i: usize, prefix: &[String], exported: bool, imports: &mut Vec<Import>) -> usize {
        let mut path = prefix.to_vec();
        if self.at(i) == "::" {
            path.push(String::new()); // Another crate.
            i += 1;
        }
        while self.is_name(i) && self.at(i + 1) == "::" {
            path.push(self.at(i).into());
            i += 2;
        }
        if self.at(i) == "{" {
            let end = self.closed(i);
            i += 1;
            while i + 1 < end {
                i = self.use_tree(i, &path, exported, imports);
                i += usize::from(self.at(i) == ",");
            }
            return end;
        }
        let (mut name, line) = (self.at(i), self.0.get(i).map_or(0, |token| token.line));
        match name {
            "self" if !path.is_empty() => name = path.last().map_or("", String::as_str),
            "*" => {}
            _ => path.push(name.into()),
        }
        let mut end = i + 1;
        if self.at(end) == "as" {
            (name, end) = (self.at(end + 1), end + 2);
        }
        imports.push(Import { name: name.into(), path: path.clone(), exported, line });
        end
    }
}

// ---- Circles ----

type Edges = BTreeMap<(usize, usize), BTreeMap<String, usize>>;

/// The shortest way along `edges`, with both its ends.
fn way(edges: &Edges, from: usize, to: usize) -> Option<Vec<usize>> {
    let (mut ways, mut reached) = (VecDeque::from([vec![from]]), BTreeSet::from([from]));
    while let Some(way) = ways.pop_front() {
        let here = way[way.len() - 1];
        if here == to {
            return Some(way);
        }
        for (_, next) in edges.keys().filter(|edge| edge.0 == here && reached.insert(edge.1)) {
            ways.push_back([&way[..], &[*next]].concat());
        }
    }
    None
}

/// The shortest circle through each edge that is in one, from its smallest file on. Together they have all
/// edges of the strongly connected components.
fn circles(edges: &Edges) -> BTreeSet<(usize, Vec<usize>)> {
    let circle = |(from, to): &(usize, usize)| {
        let mut circle = way(edges, *to, *from)?;
        let smallest = circle.iter().enumerate().min_by_key(|(_, file)| **file)?.0;
        circle.rotate_left(smallest);
        Some((circle.len(), circle))
    };
    edges.keys().filter_map(circle).collect()
}

fn describe(files: &[String], edges: &Edges, circle: &[usize]) -> String {
    let mut text = format!("  {}", files[circle[0]]);
    for (from, to) in circle.iter().zip(circle.iter().cycle().skip(1)) {
        let mut names: Vec<_> = edges[&(*from, *to)].iter().map(|(name, line)| (line, name)).collect();
        names.sort();
        let listed: Vec<_> = names.iter().map(|(line, name)| format!("{name} at line {line}")).collect();
        write!(text, "\n    -> {} (names {})", files[*to], listed.join(", ")).unwrap();
    }
    text
}

/// The circles among the modules in `source`, grouped by top-level folder, and what could not be checked;
/// empty if all is well.
fn report(source: &Path) -> String {
    let read = Crate::read(source);
    let edges = read.edges();
    let top = |file: &usize| read.files[*file].split(['/', '.']).next().unwrap().to_owned();
    let mut groups = BTreeMap::<(usize, String), Vec<Vec<usize>>>::new();
    for (_, circle) in circles(&edges) {
        let tops: Vec<_> = circle.iter().map(top).collect::<BTreeSet<_>>().into_iter().collect();
        groups.entry((tops.len(), tops.join(" + "))).or_default().push(circle);
    }
    let mut text: String = read.missing.iter().map(|missing| format!("\nNOT CHECKED: {missing}\n")).collect();
    for ((_, name), circles) in groups {
        let files: BTreeSet<_> = circles.iter().flatten().collect();
        let counts = format!("{} circles among {} files", circles.len(), files.len());
        writeln!(text, "\n[{name}] {counts} of {}", source.display()).unwrap();
        for circle in circles {
            writeln!(text, "{}", describe(&read.files, &edges, &circle)).unwrap();
        }
    }
    text
}

fn root() -> PathBuf {
    option_env!("CARGO_MANIFEST_DIR").unwrap_or(".").into()
}

/// The folders of the other crates, in order; none if this package is not a workspace.
fn crate_folders() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("crates")).into_iter().flatten().flatten();
    let folders = entries.map(|entry| entry.path()).chain([root().join("python")]);
    let mut folders: Vec<_> = folders.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

#[test]
fn no_module_circles() {
    let sources = match env::var_os("ARCHITECTURE_SRC") {
        Some(folder) => vec![folder.into()],
        None => [root()].into_iter().chain(crate_folders()).map(|folder| folder.join("src")).collect(),
    };
    let mut text = String::new();
    for source in sources.iter().filter(|source| source.is_dir() || sources.len() == 1) {
        text += &report(source);
    }
    assert!(text.is_empty(), "modules depend on each other in circles:\n{text}");
}

// ---- Crates ----

/// Each crate's folder and level: it may depend only on crates of lower levels.
const LEVELS: [(&str, usize); 8] = [
    ("warpframe-ir", 0),
    ("warpframe-cpu", 1),
    ("warpframe-cuda", 1),
    ("warpframe-datafusion", 2),
    ("warpframe-io", 3),
    ("warpframe-cluster", 4),
    ("warpframe", 5),
    ("python", 6),
];

/// The crates in all dependency tables of a manifest, by the names of their packages.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let (mut found, mut in_table, mut own_table) = (BTreeSet::new(), false, None);
    let unquoted = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
    let package = |text: &str| Some(text.split_once("package")?.1.split('"').nth(1)?.to_owned());
    for line in manifest.lines().map(|line| line.split('#').next().unwrap_or("").trim()) {
        if let Some(header) = line.strip_prefix('[') {
            found.extend(own_table.take());
            let header = header.trim_end_matches(']').trim();
            in_table = header.ends_with("dependencies") && !header.starts_with("workspace");
            own_table = header.rsplit_once("dependencies.").map(|(_, name)| unquoted(name));
        } else if own_table.is_some() && line.starts_with("package") {
            own_table = package(line);
        } else if let (true, Some((key, value))) = (in_table, line.split_once('=')) {
            found.insert(package(value).unwrap_or_else(|| unquoted(key.split('.').next().unwrap())));
        }
    }
    found.extend(own_table);
    found
}

/// Why the crate `name` may not depend on `dependency`, if it may not.
fn forbidden(name: &str, dependency: &str) -> Option<&'static str> {
    let level = |name: &str| LEVELS.iter().find(|known| known.0 == name).map(|known| known.1);
    let engine_free = matches!(name, "warpframe-ir" | "warpframe-cpu" | "warpframe-cuda");
    let small_arrow = ["arrow-array", "arrow-buffer", "arrow-schema", "arrow-data"].contains(&dependency);
    let below = level(dependency).is_some_and(|below| Some(below) < level(name));
    if dependency.starts_with("warpframe") && !below {
        return Some("which is not below it");
    }
    if engine_free && (dependency.starts_with("datafusion") || dependency.starts_with("ballista")) {
        return Some("but must do without a query engine");
    }
    let plain = engine_free && name != "warpframe-cuda";
    (plain && dependency.starts_with("arrow") && !small_arrow)
        .then_some("but may use only Arrow's arrays and types")
}

#[test]
fn crates_point_down() {
    let folders = crate_folders();
    let is_tool = env::var_os("ARCHITECTURE_SRC").is_some();
    assert!(is_tool || !folders.is_empty(), "there is no crates/ folder: this package must be a workspace");
    let mut wrong = String::new();
    for folder in folders {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        if LEVELS.iter().all(|known| known.0 != name) {
            writeln!(wrong, "{}: the crate has no level in this test", folder.display()).unwrap();
        }
        let file = folder.join("Cargo.toml");
        for dependency in dependencies(&fs::read_to_string(&file).unwrap()) {
            if let Some(why) = forbidden(&name, &dependency) {
                writeln!(wrong, "{}: {name} depends on {dependency}, {why}", file.display()).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "crates depend on what they must not:\n{wrong}");
}

// ---- Tests of the above ----

/// The edges among `files`, as `from -> to`, and the number of circles.
fn examine(test: &str, files: &[(&str, &str)]) -> (Vec<String>, usize) {
    let folder = env::temp_dir().join(format!("architecture-{test}-{}", std::process::id()));
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let read = Crate::read(&folder);
    fs::remove_dir_all(&folder).unwrap();
    let edges = read.edges();
    let mut shown: Vec<_> =
        edges.keys().map(|(from, to)| format!("{} -> {}", read.files[*from], read.files[*to])).collect();
    shown.sort();
    (shown, circles(&edges).len())
}

#[test]
fn re_exports_lead_to_the_definition() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; pub use a::{Deep as Top};"),
        ("a/mod.rs", "mod x; mod y; pub(crate) use x::{self, Item as Renamed}; pub use {y::*, x::Deep};"),
        ("a/x.rs", "pub struct Item; pub struct Deep; fn f() { crate::b::g() }"),
        ("a/y.rs", "pub struct Starred;"),
        ("b.rs", "use crate::a::Renamed; use crate::a::Starred; pub fn g() {}"),
        ("c.rs", "use crate::Top;"),
    ];
    let (edges, circles) = examine("exports", &files);
    assert_eq!(edges, ["a/x.rs -> b.rs", "b.rs -> a/x.rs", "b.rs -> a/y.rs", "c.rs -> a/x.rs"]);
    assert_eq!(circles, 1);
}

#[test]
fn what_is_no_code_is_no_edge() {
    let a = r###"
        //! use crate::b::B;
        /* /* crate::b::B */ crate::b::B */
        const TEXT: &str = "crate::b::B \" crate::b::B";
        const RAW: &str = r#"" crate::b::B "#;
        fn f<'a>(x: &'a str) -> impl Sized + use<'a> { ('"', '\'', b'"', x, 1..2) }
        #[cfg(test)]
        #[allow(dead_code)]
        mod tests { use crate::b::B; fn g() { crate::b::B; } }
        #[cfg(all(test, unix))] mod more;
        pub(in crate::b::B) struct A;
        fn g() -> ::b::B { self::f(); other::crate_::B.b::<A>() }
    "###;
    let files = [("lib.rs", "mod a; mod b;"), ("a.rs", a), ("b.rs", "use super::a::A;")];
    let (edges, circles) = examine("no-code", &files);
    assert_eq!((edges, circles), (vec!["b.rs -> a.rs".into()], 0));
}

#[test]
fn all_ways_to_write_a_path_count() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; mod d; mod e; use a::A; fn f() { e::E }"),
        ("a.rs", "use crate::{b::{self as other, c::{C, D as E}}, c as renamed}; fn f() { renamed::x() }"),
        ("b/mod.rs", "pub mod c; mod inner { pub fn f() { super::super::d::y() } } use c::C;"),
        (
            "b/c.rs",
            "use super::super::d::Y; use self::C as Me; pub struct C; fn f() { super::g(m!(crate::e::E)) }",
        ),
        ("c.rs", "use super::d; fn f() { 0..d::y() }"),
        ("d.rs", "pub fn y() {}"),
        ("e.rs", "pub use crate::d::y;"),
    ];
    let (edges, circles) = examine("paths", &files);
    let expected = "a.rs -> b/c.rs, a.rs -> c.rs, b/c.rs -> b/mod.rs, b/c.rs -> d.rs, b/c.rs -> e.rs, \
        b/mod.rs -> b/c.rs, b/mod.rs -> d.rs, c.rs -> d.rs, e.rs -> d.rs, lib.rs -> a.rs, lib.rs -> e.rs";
    assert_eq!((edges.join(", ").as_str(), circles), (expected, 1));
}

#[test]
fn a_facade_depends_on_the_re_exports_its_code_names() {
    let files = [
        ("lib.rs", "mod a; pub use a::{A, B, make}; enum Kind { A, Other(B) } fn f(make: u8) { x.make() }"),
        ("a.rs", "mod b; mod c; pub struct A; pub use b::B; pub use c::make;"),
        ("a/b.rs", "pub struct B;"),
        ("a/c.rs", "pub fn make() {}"),
    ];
    assert_eq!(examine("facade", &files).0, ["a.rs -> a/b.rs", "a.rs -> a/c.rs", "lib.rs -> a/b.rs"]);
}

#[test]
fn manifests_are_read() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\nlog = \"1\" # x = 1\nserde.workspace = true\n\
        ir = { package = \"warpframe-ir\", path = \"../ir\" }\n[dev-dependencies.tempfile]\nversion = \"3\"\n\
        [target.'cfg(unix)'.build-dependencies]\ncc = \"1\"\n[features]\nfast = []\n";
    let found: Vec<_> = dependencies(manifest).into_iter().collect();
    assert_eq!(found, ["cc", "log", "serde", "tempfile", "warpframe-ir"]);
    for (name, dependency, allowed) in [
        ("warpframe-cpu", "warpframe-ir", true),
        ("warpframe-cpu", "warpframe-cuda", false),
        ("warpframe-io", "warpframe-cluster", false),
        ("warpframe-cuda", "datafusion-common", false),
        ("warpframe-cuda", "arrow", true),
        ("warpframe-cpu", "arrow-array", true),
        ("warpframe-ir", "arrow", false),
        ("warpframe-cluster", "ballista-core", true),
    ] {
        assert_eq!(forbidden(name, dependency).is_none(), allowed, "{name} on {dependency}");
    }
}
