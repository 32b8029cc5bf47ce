//! The house rules that a machine can check: who may use whom, how long files are, how they start.
//!
//! The table below is ARCHITECTURE.md's; when the two differ, one of them is wrong. The text is read line by line
//! without parsing Rust, which is enough for code that rustfmt has laid out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The modules from the lowest to the highest; a module may use its own row and the rows before it.
const LAYERS: [&[&str]; 12] = [
    &["error", "config", "cancel"],
    &["sched"],
    &["batch", "memory"],
    &["store"],
    &["io"],
    &["expr"],
    &["scan"],
    &["ops"],
    &["plan"],
    &["job"],
    &["session"],
    &["cli"],
];

/// What a module must never name although the order of the rows would allow it: modules and foreign crates.
const FORBIDDEN: [(&str, &[&str]); 3] = [
    ("sched", &["arrow", "parquet", "datafusion_common", "datafusion_expr", "datafusion_sql"]),
    ("store", &["sched"]),
    ("ops", &["scan", "sched"]),
];

/// Foreign crates that only one module may use.
const RESERVED: [(&str, &str); 1] = [("datafusion_physical_expr", "expr")];

/// Foreign crates that nobody may use: other engines' execution.
const BANNED: [&str; 2] = ["datafusion", "datafusion_physical_plan"];

/// What the program may name of the library.
const PROGRAM_MAY_NAME: [&str; 5] = ["Error", "Result", "error", "session", "cancel"];

const LONGEST_FILE: usize = 700;

/// One Rust file, and the top-level module that it belongs to.
struct SourceFile<'a> {
    path: &'a Path,
    text: &'a str,
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

impl SourceFile<'_> {
    /// The top-level module: the first folder or file name under `src`.
    fn module(&self) -> Option<&str> {
        let mut parts = self.path.components().map(|part| part.as_os_str().to_str().unwrap_or_default());
        parts.find(|part| *part == "src")?;
        parts.next().map(|part| part.trim_end_matches(".rs"))
    }

    /// Lines of code with their numbers; comments left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default()))
    }

    fn complaint(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path.display())
    }

    /// Everything wrong with the file.
    fn complaints(&self) -> Vec<String> {
        let mut complaints = self.form();
        complaints.extend(self.unsafety());
        match self.module() {
            None | Some("lib") => {}
            Some("main") => complaints.extend(self.program_uses(&["memory"])),
            Some("cli") => complaints.extend(self.program_uses(&[])),
            Some(module) => complaints.extend(self.uses(module)),
        }
        complaints
    }

    fn form(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        if !self.text.starts_with("//!") {
            complaints.push(self.complaint(1, "does not start with //!"));
        }
        let lines = self.text.lines().count();
        if lines > LONGEST_FILE {
            complaints.push(self.complaint(lines, &format!("is over {LONGEST_FILE} lines long")));
        }
        complaints
    }

    /// `unsafe` needs its reason in the ten lines before it.
    fn unsafety(&self) -> Vec<String> {
        let lines: Vec<&str> = self.text.lines().collect();
        let mut complaints = Vec::new();
        for (number, code) in self.code() {
            let is_unsafe = ["unsafe {", "unsafe impl", "unsafe fn"].iter().any(|form| code.contains(form));
            let before = &lines[number.saturating_sub(11)..number];
            let has_reason = before.iter().any(|line| line.contains("SAFETY") || line.contains("# Safety"));
            if is_unsafe && !has_reason && !code.contains('"') {
                complaints.push(self.complaint(number, "unsafe without a SAFETY comment"));
            }
        }
        complaints
    }

    fn uses(&self, module: &str) -> Vec<String> {
        let Some(own) = layer(module) else {
            return vec![self.complaint(1, &format!("module `{module}` is in no row of the layer table"))];
        };
        let forbidden = FORBIDDEN.iter().find(|(name, _)| *name == module).map_or(&[][..], |(_, names)| names);
        let mut complaints = Vec::new();
        for (line, name) in self.names("crate") {
            let above = layer(&name).is_some_and(|layer| layer > own);
            if name != module && (above || forbidden.contains(&name.as_str())) {
                complaints.push(self.complaint(line, &format!("`{module}` must not use `crate::{name}`")));
            }
        }
        // A test's oracle may be what the engine must not be made of.
        let is_test = self.path.iter().any(|part| part == "tests.rs" || part == "tests");
        for (number, code) in self.code().filter(|_| !is_test) {
            let reserved = RESERVED.iter().filter(|(_, owner)| *owner != module).map(|(name, _)| name);
            for name in forbidden.iter().chain(&BANNED).chain(reserved) {
                if layer(name).is_none() && names_crate(code, name) {
                    complaints.push(self.complaint(number, &format!("`{module}` must not use the crate `{name}`")));
                }
            }
        }
        complaints
    }

    fn program_uses(&self, also: &[&str]) -> Vec<String> {
        let allowed = |name: &str| PROGRAM_MAY_NAME.contains(&name) || also.contains(&name);
        let bad = self.names("floe").into_iter().filter(|(_, name)| !allowed(name));
        bad.map(|(line, name)| self.complaint(line, &format!("the program must not use `floe::{name}`"))).collect()
    }

    /// The names that follow `root::`, also within braces over several lines.
    fn names(&self, root: &str) -> Vec<(usize, String)> {
        let mut names = Vec::new();
        let code: Vec<(usize, &str)> = self.code().collect();
        for (index, (number, line)) in code.iter().enumerate() {
            for after in paths(line, root) {
                if let Some(group) = after.strip_prefix('{') {
                    let following = code[index + 1..].iter().map(|(_, line)| *line);
                    let text: String = std::iter::once(group).chain(following).collect::<Vec<_>>().join(" ");
                    names.extend(group_names(&text).into_iter().map(|name| (*number, name)));
                } else {
                    names.push((*number, identifier(after)));
                }
            }
        }
        names
    }
}

/// What stands after each `root::` of a line.
fn paths<'a>(line: &'a str, root: &str) -> Vec<&'a str> {
    let pattern = format!("{root}::");
    let found = line.match_indices(&pattern).filter(|(at, _)| !line[..*at].ends_with(is_word));
    found.map(|(at, _)| &line[at + pattern.len()..]).collect()
}

/// Whether the line names a path of that crate.
fn names_crate(line: &str, name: &str) -> bool {
    let starts = paths(line, name).into_iter().any(|after| after.starts_with(|next| is_word(next) || next == '{'));
    let inner = line.contains(&format!("::{name}::"));
    starts && !inner
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|character| is_word(*character)).collect()
}

/// The first name of each entry of a `{…}` group whose opening brace was taken.
fn group_names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut entry = String::new();
    for character in text.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(std::mem::take(&mut entry)),
            _ if depth == 0 => entry.push(character),
            _ => {}
        }
    }
    names.push(entry);
    let names = names.iter().map(|entry| identifier(entry.trim()));
    names.filter(|name| !name.is_empty()).collect()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_file_keeps_the_house_rules() {
    let mut paths = Vec::new();
    for folder in ["src", "tests", "benches", "examples"] {
        rust_files(Path::new(folder), &mut paths);
    }
    assert!(paths.len() > 10, "run from the package's folder");
    paths.sort();
    let mut complaints = Vec::new();
    for path in &paths {
        let text = fs::read_to_string(path).unwrap();
        complaints.extend(SourceFile { path, text: &text }.complaints());
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_module_is_in_the_layer_table() {
    let text = fs::read_to_string("src/lib.rs").unwrap();
    let modules = text.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "));
    let unknown: Vec<_> = modules.filter(|name| layer(name.trim_end_matches(';')).is_none()).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// The features of every crate that is built, by its name and version.
fn features_of_dependencies(edges: &str) -> BTreeMap<String, BTreeSet<String>> {
    let arguments = ["tree", "--offline", "--prefix", "none", "--format", "{p} {f}", "--edges", edges];
    let output = Command::new(env!("CARGO")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut features: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let line = line.trim_end_matches(" (*)");
        let end = line.match_indices(' ').nth(1).map_or(line.len(), |(at, _)| at);
        features.entry(line[..end].to_owned()).or_default().insert(line[end..].trim().to_owned());
    }
    features
}

/// Otherwise most dependencies are built twice, once for `cargo run` and once for `cargo test`.
#[test]
fn program_and_tests_share_one_build_of_the_dependencies() {
    let with_tests = features_of_dependencies("normal,build,dev");
    for (name, features) in features_of_dependencies("normal,build") {
        assert_eq!(Some(&features), with_tests.get(&name), "the tests' dependencies ask for other features of {name}");
    }
}

fn complaints(path: &str, text: &str) -> usize {
    SourceFile { path: Path::new(path), text: &format!("//! Made up.\n{text}") }.complaints().len()
}

#[test]
fn the_checker_sees_what_breaks_the_rules() {
    let bad = [
        ("src/store/mod.rs", "use crate::plan::Plan;"),
        ("src/store/mod.rs", "use crate::sched::Task;"),
        ("src/ops/sort.rs", "    let x = crate::job::run();"),
        ("src/ops/sort.rs", "use crate::{error::Error, scan::Spec};"),
        ("src/ops/sort.rs", "use crate::{\n    batch::{Source, Split},\n    plan::Plan,\n};"),
        ("src/sched/mod.rs", "use arrow::array::Array;"),
        ("src/scan/csv.rs", "use datafusion_physical_expr::PhysicalExpr;"),
        ("src/session/mod.rs", "use datafusion::prelude::SessionContext;"),
        ("src/cli/mod.rs", "use floe::plan::Plan;"),
        ("src/cli/mod.rs", "use floe::memory::CountingAllocator;"),
        ("src/unheard/mod.rs", ""),
        ("src/io/mod.rs", "fn f() { unsafe { g() } }"),
    ];
    for (path, text) in bad {
        assert_eq!(complaints(path, text), 1, "{path}: {text}");
    }
    let long = "\n".repeat(LONGEST_FILE + 1);
    assert_eq!(complaints("src/io/mod.rs", &long), 1);
    assert_eq!(SourceFile { path: Path::new("src/io/mod.rs"), text: "use std::io;" }.complaints().len(), 1);
}

#[test]
fn the_checker_lets_pass_what_keeps_them() {
    let good = [
        ("src/plan/mod.rs", "use crate::{ops::Operator, scan::{Spec, plan_b}};\nuse crate::plan::table::Table;"),
        ("src/store/mod.rs", "// use crate::plan::Plan;\nuse arrow::array::Array;"),
        ("src/expr/mod.rs", "use datafusion_physical_expr::PhysicalExpr;"),
        ("src/session/mod.rs", "use datafusion_sql::planner::SqlToRel;\nuse datafusion_expr::Expr;"),
        ("src/memory/mod.rs", "use crate::batch::RecordBatch;"),
        ("src/main.rs", "use floe::memory::CountingAllocator;"),
        ("src/cli/mod.rs", "use floe::{Error, Result};\nuse floe::session::format::Format;"),
        ("src/io/mod.rs", "// SAFETY: it is.\nfn f() { unsafe { g() } }"),
        ("src/scan/csv/tests.rs", "use datafusion_physical_expr::PhysicalExpr;"),
        ("tests/sql.rs", "use floe::plan::Plan;"),
    ];
    for (path, text) in good {
        assert_eq!(complaints(path, text), 0, "{path}: {text}");
    }
}
