//! Every function that DuckDB documents, called: which floe has, and whether it answers the same.
//!
//! `tests/functions/examples.tsv` holds a call or more for each and DuckDB's answers (`expect.py` beside it fetches them),
//! `tests/functions/notes.tsv` says why some differ or are missing. docs/functions.md is made of both:
//! `FLOE_WRITE_DOCS=1 cargo test --test functions` writes it, and without that the test fails where it is out of date.

mod shared;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use floe::session::Session;
use shared::answer_text;

const EXAMPLES: &str = "tests/functions/examples.tsv";
const NOTES: &str = "tests/functions/notes.tsv";
const DOCS: &str = "docs/functions.md";

/// One call with the answer that is expected.
struct Example {
    family: String,
    name: String,
    call: String,
    kind: String,
    answer: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Same,
    Differs,
    Missing,
}

fn examples() -> Vec<Example> {
    let text = fs::read_to_string(EXAMPLES).unwrap();
    let example = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        let cell = |index: usize| cells.get(index).copied().unwrap_or_default().to_string();
        Example { family: cell(0), name: cell(1), call: cell(2), kind: cell(3), answer: cell(4) }
    };
    text.lines().skip(1).map(example).collect()
}

fn answer(session: &Session, call: &str) -> Result<String, floe::Error> {
    let query = if call.starts_with("SELECT") { call.to_string() } else { format!("SELECT {call}") };
    answer_text(session.sql(&query)?.stream()?)
}

/// The same text, or numbers that differ by the last digits of a double.
fn is_same(example: &Example, found: &str) -> bool {
    if found == example.answer {
        return true;
    }
    let numbers =
        |text: &str| text.split([' ', ',', '[', ']']).filter_map(|part| part.parse::<f64>().ok()).collect::<Vec<_>>();
    let (expected, found_numbers) = (numbers(&example.answer), numbers(found));
    let is_number =
        example.kind.contains("DOUBLE") || example.kind.contains("FLOAT") || example.kind.contains("DECIMAL");
    is_number
        && !expected.is_empty()
        && expected.len() == found_numbers.len()
        && expected.iter().zip(&found_numbers).all(|(a, b)| a == b || (a - b).abs() <= 1e-12 * a.abs().max(b.abs()))
}

fn notes() -> BTreeMap<String, String> {
    let text = fs::read_to_string(NOTES).unwrap_or_default();
    let note = |line: &str| line.split_once('\t').map(|(name, note)| (name.to_string(), note.to_string()));
    text.lines().filter_map(note).collect()
}

fn words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Same => "yes",
        Verdict::Differs => "differs",
        Verdict::Missing => "no",
    }
}

/// The worst verdict of a name's examples, by family and name in the order of the file.
fn verdicts(session: &Session) -> Vec<(String, String, Verdict)> {
    let mut found: Vec<(String, String, Verdict)> = Vec::new();
    for example in examples() {
        let verdict = match answer(session, &example.call) {
            Ok(text) if is_same(&example, &text) => Verdict::Same,
            Ok(text) => {
                println!("differs\t{}\t{}\t{}\t{text}", example.name, example.call, example.answer);
                Verdict::Differs
            }
            Err(error) => {
                println!(
                    "no\t{}\t{}\t{}",
                    example.name,
                    example.call,
                    error.message().lines().next().unwrap_or_default()
                );
                Verdict::Missing
            }
        };
        match found.iter_mut().find(|(family, name, _)| *family == example.family && *name == example.name) {
            // A function that answers some of its calls is there, but differs.
            Some((.., known)) if *known != verdict => *known = Verdict::Differs,
            Some(_) => {}
            None => found.push((example.family, example.name, verdict)),
        }
    }
    found
}

fn document(found: &[(String, String, Verdict)]) -> String {
    let notes = notes();
    let count = |verdict: Verdict| found.iter().filter(|(.., known)| *known == verdict).count();
    let mut text = String::from(
        "# Functions\n\nEvery function that DuckDB 2.0 documents, and whether floe answers its examples (tests/functions/examples.tsv) the same.\n\
         This file is written by\n\
         `FLOE_WRITE_DOCS=1 cargo test --test functions`; `FROM floe_functions()` lists what there is with signatures.\n\n",
    );
    let same = count(Verdict::Same);
    let _ = writeln!(
        text,
        "Of {} names {same} answer the same ({} %), {} differ, {} are missing.",
        found.len(),
        same * 100 / found.len(),
        count(Verdict::Differs),
        count(Verdict::Missing)
    );
    let mut families: Vec<&str> = Vec::new();
    found.iter().for_each(|(family, ..)| {
        if !families.contains(&family.as_str()) {
            families.push(family);
        }
    });
    for family in families {
        let _ = writeln!(text, "\n## {family}\n\n| function | | |\n|---|---|---|");
        for (_, name, verdict) in found.iter().filter(|(known, ..)| known == family) {
            let note = notes.get(name).filter(|_| *verdict != Verdict::Same).map_or("", String::as_str);
            let _ = writeln!(text, "| `{name}` | {} | {note} |", words(*verdict));
        }
    }
    text
}

#[test]
fn documented_functions_answer_as_documented() {
    let session = Session::new().unwrap();
    let found = verdicts(&session);
    let text = document(&found);
    let missing = found.iter().filter(|(.., verdict)| *verdict == Verdict::Missing).count();
    println!("{missing} of {} documented names are missing", found.len());
    if std::env::var_os("FLOE_WRITE_DOCS").is_some() {
        fs::create_dir_all("docs").unwrap();
        fs::write(DOCS, &text).unwrap();
    }
    let written = fs::read_to_string(DOCS).unwrap_or_default();
    assert!(written == text, "{DOCS} is out of date: FLOE_WRITE_DOCS=1 cargo test --test functions writes it");
}

#[test]
fn every_function_is_listed_with_a_signature() {
    let session = Session::new().unwrap();
    let listed = answer(
        &session,
        "SELECT count(*) > 300, count(CASE WHEN signature LIKE name || '(%' THEN 1 END) = count(*) FROM floe_functions()",
    );
    assert_eq!(listed.unwrap(), "true, true");
}
