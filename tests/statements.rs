//! Every form of statement that DuckDB documents, run: which floe has, and whether it answers the same.
//!
//! `tests/statements/forms.sql` holds the forms, `answers.tsv` beside it DuckDB's answers (`expect.py` fetches them) and
//! `notes.tsv` why some differ or are missing. docs/statements.md is made of them:
//! `FLOE_WRITE_DOCS=1 cargo test --test statements` writes it, and without that the test fails where it is out of date.
//! What a column without an alias is called is no difference: floe calls it as it was written.

mod shared;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use floe::session::{Session, split};
use shared::answer_text;

const FORMS: &str = "tests/statements/forms.sql";
const ANSWERS: &str = "tests/statements/answers.tsv";
const NOTES: &str = "tests/statements/notes.tsv";
const DOCS: &str = "docs/statements.md";

struct Form {
    family: String,
    name: String,
    text: String,
}

/// What comes before every form, and the forms.
fn forms() -> (String, Vec<Form>) {
    let (mut setup, mut forms) = (String::new(), Vec::<Form>::new());
    for line in fs::read_to_string(FORMS).unwrap().lines() {
        let head = line.strip_prefix("-- ").and_then(|head| head.split_once(": "));
        match (head, forms.last_mut()) {
            (Some((family, name)), _) => {
                forms.push(Form { family: family.to_string(), name: name.to_string(), text: String::new() });
            }
            (None, Some(form)) => form.text += &format!("{line}\n"),
            (None, None) => setup += &format!("{line}\n"),
        }
    }
    (setup, forms)
}

/// Lines of cells, by their first cells up to `keys`.
fn table(path: &str, keys: usize) -> BTreeMap<Vec<String>, Vec<String>> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let row = |line: &str| {
        let cells: Vec<String> = line.split('\t').map(str::to_string).collect();
        (cells.iter().take(keys).cloned().collect(), cells.into_iter().skip(keys).collect())
    };
    text.lines().map(row).collect()
}

/// The last statement's answer.
fn answer(setup: &str, text: &str) -> floe::Result<String> {
    let session = Session::builder().threads(2).build()?;
    let mut answer = String::new();
    for statement in split(setup).statements.into_iter().chain(split(text).statements) {
        answer = answer_text(session.sql(&statement.text)?.stream()?)?;
    }
    Ok(answer)
}

#[test]
fn documented_statements_answer_as_documented() {
    let folder = tempfile::tempdir().unwrap();
    let tmp = folder.path().to_str().unwrap();
    let ((setup, forms), answers, notes) = (forms(), table(ANSWERS, 2), table(NOTES, 2));
    let mut lines = String::new();
    let (mut same, mut differ, mut missing, mut family, mut unexplained) = (0, 0, 0, "", false);
    for form in &forms {
        let key = [form.family.clone(), form.name.clone()];
        let expected = answers.get(&key[..]).and_then(|cells| cells.get(1)).expect("expect.py was not run");
        let verdict = match answer(&setup, &form.text.replace("{tmp}", tmp)) {
            Ok(found) if found == *expected => "yes",
            Ok(found) => {
                println!("differs\t{}\t{}\t{found}\t{expected}", form.family, form.name);
                "differs"
            }
            Err(error) => {
                println!("no\t{}\t{}\t{}", form.family, form.name, error.message().lines().next().unwrap_or_default());
                "no"
            }
        };
        match verdict {
            "yes" => same += 1,
            "no" => missing += 1,
            _ => differ += 1,
        }
        if form.family != family {
            family = &form.family;
            let _ = writeln!(lines, "\n## {family}\n\n| form | example | | |\n|---|---|---|---|");
        }
        let note = notes.get(&key[..]).filter(|_| verdict != "yes").and_then(|cells| cells.first());
        unexplained |= verdict == "differs" && note.is_none();
        let example = form.text.trim().replace('\n', " ").replace('|', "\\|");
        let _ = writeln!(
            lines,
            "| {} | `{example}` | {verdict} | {} |",
            form.name.replace('|', "\\|").replace('*', "\\*"),
            note.map_or("", String::as_str)
        );
    }
    let text = format!(
        "# Statements\n\nForms of statements that DuckDB documents, and whether floe answers the examples as DuckDB 2.0 does. This file is written by\n\
         `FLOE_WRITE_DOCS=1 cargo test --test statements`. The examples start from `{}`.\n\n\
         Of {} forms {same} answer the same ({} %), {differ} differ, {missing} are missing.\n{lines}",
        setup.lines().last().unwrap_or_default(),
        forms.len(),
        same * 100 / forms.len(),
    );
    if std::env::var_os("FLOE_WRITE_DOCS").is_some() {
        fs::write(DOCS, &text).unwrap();
    }
    let written = fs::read_to_string(DOCS).unwrap_or_default();
    assert!(written == text, "{DOCS} is out of date: FLOE_WRITE_DOCS=1 cargo test --test statements writes it");
    assert!(!unexplained, "{NOTES} does not say why some forms differ");
}
