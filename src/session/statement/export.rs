//! EXPORT DATABASE and IMPORT DATABASE: a folder of `schema.sql`, `load.sql` and a file for each table.
//!
//! Invariant: the files are named relative to the folder, so that it may be moved; an export that fails leaves nothing behind.
//!
//! # Known limitation
//! The folder is a local one, new or empty. Frames, variables and prepared statements are the session's own and stay. An import is
//! many statements: one that fails leaves what those before it made. Views come last, so that one that cannot be made any more keeps
//! no table from being filled.

use std::fs;
use std::path::{Path, PathBuf};

use arrow::datatypes::FieldRef;
use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::own::{Nothing, nothing};
use crate::error::{Code, Error, Result, Span};
use crate::expr::types::sql_type_name;
use crate::session::Session;
use crate::session::catalog::{Entry, Named, Table, View};
use crate::session::definitions::MacroDefinition;
use crate::session::names::MAIN;
use crate::session::sql::words::{Words, parts, quoted, solid, text_literal, written};
use crate::session::sql::{split, tokens};

const SCHEMA: &str = "schema.sql";
const LOAD: &str = "load.sql";

/// Bytes of a table's name that its file's name has: file systems take 255.
const LONGEST_NAME: usize = 200;

/// Options of writing that reading has to know, too.
const OF_BOTH: [&str; 12] = [
    "header",
    "delimiter",
    "delim",
    "sep",
    "quote",
    "escape",
    "null",
    "nullstr",
    "dateformat",
    "date_format",
    "timestampformat",
    "timestamp_format",
];

/// `EXPORT DATABASE 'folder' [(options of COPY)]`.
pub(super) fn export(session: &Session, mut words: Words) -> Nothing {
    words.expect("EXPORT DATABASE")?;
    let (folder, span) = folder(&mut words)?;
    let options = if words.is_empty() { &[] } else { words.parenthesised()? };
    words.end()?;
    let options = Options::read(options)?;
    let is_new = made(&folder).map_err(|error| error.span(span))?;
    let mut files = Vec::new();
    let exported = write(session, &folder, &options, &mut files);
    if exported.is_err() {
        // What cannot be taken away again is not worth another error.
        files.iter().for_each(|file| drop(fs::remove_file(folder.join(file))));
        if is_new {
            let _ = fs::remove_dir(&folder);
        }
    }
    exported.and_then(|()| nothing(session))
}

/// `IMPORT DATABASE 'folder'`.
pub(super) fn import(session: &Session, mut words: Words) -> Nothing {
    words.expect("IMPORT DATABASE")?;
    let (folder, span) = folder(&mut words)?;
    words.end()?;
    let mut views = Vec::new();
    for (file, is_load) in [(SCHEMA, false), (LOAD, true)] {
        let path = folder.join(file);
        let text = fs::read_to_string(&path).map_err(|error| {
            let error = Error::from(error).span(span).hint("EXPORT DATABASE makes such a folder");
            error.context(format!("reading '{}'", path.display()))
        })?;
        for statement in split(&text).statements {
            let place = format!("'{}', line {}", path.display(), statement.line);
            let sql = if is_load { within(&folder, &statement.text)? } else { statement.text };
            if !is_load && is_of_view(&sql)? {
                views.push((sql, place));
            } else {
                session.sql(&sql).map_err(|error| error.context(place))?;
            }
        }
    }
    make_views(session, views)?;
    nothing(session)
}

/// Whether the statement makes a view or comments on one.
fn is_of_view(sql: &str) -> Result<bool> {
    let tokens = solid(tokens(sql)?);
    let mut words = Words::new(&tokens);
    Ok(words.accept("CREATE VIEW") || words.accept("COMMENT ON VIEW"))
}

/// Runs the statements, each with its place, in an order in which every view is behind those that it reads.
///
/// # Errors
/// That of the first view that cannot be made at all.
fn make_views(session: &Session, mut views: Vec<(String, String)>) -> Result<()> {
    while !views.is_empty() {
        let (count, mut first_error) = (views.len(), None);
        views.retain(|(sql, place)| match session.sql(sql) {
            Ok(_) => false,
            Err(error) => {
                first_error.get_or_insert_with(|| error.context(place.clone()));
                true
            }
        });
        if let Some(error) = first_error.filter(|_| views.len() == count) {
            return Err(error);
        }
    }
    Ok(())
}

/// The folder that the statement names.
fn folder(words: &mut Words) -> Result<(PathBuf, Span)> {
    let span = words.span();
    let Some(Token::SingleQuotedString(path)) = words.rest().first().map(|token| token.token.clone()) else {
        return Err(words.unexpected("a folder in single quotes"));
    };
    if path.contains("://") {
        let error = Error::not_supported("EXPORT DATABASE and IMPORT DATABASE of an object store").span(span);
        return Err(error.hint("name a local folder, or COPY each table TO the store"));
    }
    words.accept_sign(&Token::SingleQuotedString(path.clone()));
    Ok((PathBuf::from(path), span))
}

/// Makes the folder, unless an empty one is there; whether it was made.
fn made(folder: &Path) -> Result<bool> {
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(false),
            Some(_) => {
                let message = format!("the folder '{}' is not empty", folder.display());
                Err(Error::new(Code::AlreadyExists, message).hint("name a new folder"))
            }
        },
        Err(_) => {
            fs::create_dir(folder)
                .map_err(|error| Error::from(error).context(format!("making the folder '{}'", folder.display())))?;
            Ok(true)
        }
    }
}

/// How the tables are written, and read again.
struct Options {
    ending: String,
    /// With the parentheses.
    writing: String,
    reading: String,
}

impl Options {
    fn read(tokens: &[TokenWithSpan]) -> Result<Self> {
        let mut format = "csv".to_string();
        let mut compressed = "";
        let (mut writing, mut reading) = (Vec::new(), Vec::new());
        for part in parts(tokens) {
            let mut words = Words::new(part);
            let name = words.word("an option")?.to_lowercase();
            words.accept_sign(&Token::Eq);
            let value = written(words.rest()).trim_matches('\'').to_lowercase();
            match name.as_str() {
                "format" => {
                    format = value;
                    continue;
                }
                "compression" | "codec" if value == "gzip" => compressed = ".gz",
                "compression" | "codec" if value == "zstd" => compressed = ".zst",
                name if OF_BOTH.contains(&name) => reading.push(written(part)),
                _ => {}
            }
            writing.push(written(part));
        }
        let of = |options: &[String]| {
            let all = std::iter::once(format!("FORMAT {format}")).chain(options.iter().cloned());
            format!("({})", all.collect::<Vec<_>>().join(", "))
        };
        if format == "csv" && !reading.iter().any(|option| option.to_lowercase().starts_with("header")) {
            reading.push("HEADER true".to_string());
        }
        let is_text = matches!(format.as_str(), "csv" | "json");
        let ending = format!(".{format}{}", if is_text { compressed } else { "" });
        Ok(Options { ending, writing: of(&writing), reading: of(&reading) })
    }
}

/// Writes everything; `files` are the names of those that may be there when this fails.
fn write(session: &Session, folder: &Path, options: &Options, files: &mut Vec<String>) -> Result<()> {
    let catalog = &session.engine().catalog;
    let mut schema = String::new();
    let mut load = String::new();
    for name in catalog.schemas().iter().filter(|name| *name != MAIN) {
        schema += &format!("CREATE SCHEMA {};\n", quoted(name));
    }
    let defined = session.engine().definitions.now();
    for (name, data_type) in defined.types.values() {
        schema += &format!("CREATE TYPE {} AS {};\n", quoted(name), sql_type_name(data_type));
    }
    for definition in defined.macros.values() {
        schema += &macro_text(definition);
    }
    let all = catalog.list();
    for named in &all {
        let Entry::Table(table) = &named.entry else { continue };
        schema += &table_text(named, table);
        let file = file_name(named, &options.ending, files);
        files.push(file.clone());
        let columns = stored_columns(table);
        let rows = match &columns {
            Some(columns) => format!("(SELECT {columns} FROM {})", full_name(named)),
            None => full_name(named),
        };
        let path = folder.join(&file);
        session.sql(&format!("COPY {rows} TO {} {}", text_literal(&path.to_string_lossy()), options.writing))?;
        let columns = columns.map(|columns| format!(" ({columns})")).unwrap_or_default();
        load += &format!("COPY {}{columns} FROM {} {};\n", full_name(named), text_literal(&file), options.reading);
    }
    for named in &all {
        let Entry::View(view) = &named.entry else { continue };
        schema += &view_text(named, view);
    }
    all.iter().for_each(|named| schema += &comments(named));
    for (name, text) in [(SCHEMA, schema), (LOAD, load)] {
        files.push(name.to_string());
        fs::write(folder.join(name), text).map_err(|error| Error::from(error).context(format!("writing '{name}'")))?;
    }
    Ok(())
}

fn full_name(named: &Named) -> String {
    format!("{}.{}", quoted(&named.schema), quoted(&named.name))
}

/// A name for the table's file that no other has, whatever the case of names.
fn file_name(named: &Named, ending: &str, taken: &[String]) -> String {
    let name = if named.schema == MAIN { named.name.clone() } else { format!("{}_{}", named.schema, named.name) };
    let plain = |character: char| if character.is_alphanumeric() { character } else { '_' };
    let mut stem: String = name.chars().map(plain).collect();
    stem.truncate(stem.floor_char_boundary(LONGEST_NAME));
    let is_free = |name: &String| !taken.iter().any(|other| other.eq_ignore_ascii_case(name));
    let numbered = (1..).map(|number| format!("{stem}_{number}{ending}"));
    let mut names = std::iter::once(format!("{stem}{ending}")).chain(numbered);
    names.find(is_free).unwrap_or_default()
}

/// The columns that have to be loaded, where others are computed of them.
pub(super) fn stored_columns(table: &Table) -> Option<String> {
    let is_computed = |index: usize| table.rules.generated_as(index).is_some();
    let fields = table.schema.fields().iter().enumerate();
    let stored: Vec<String> =
        fields.filter(|(index, _)| !is_computed(*index)).map(|(_, field)| quoted(field.name())).collect();
    (stored.len() < table.schema.fields().len()).then(|| stored.join(", "))
}

fn table_text(named: &Named, table: &Table) -> String {
    let column = |(index, field): (usize, &FieldRef)| {
        let mut text = format!("{} {}", quoted(field.name()), sql_type_name(field.data_type()));
        if let Some(expression) = table.rules.generated_as(index) {
            return text + &format!(" AS ({expression})");
        }
        if !field.is_nullable() {
            text += " NOT NULL";
        }
        if let Some(default) = table.defaults.get(index).and_then(Option::as_ref) {
            text += &format!(" DEFAULT {default}");
        }
        text
    };
    let columns = table.schema.fields().iter().enumerate().map(column);
    let checks = table.rules.checks.iter().map(|check| format!("CHECK ({check})"));
    format!("CREATE TABLE {} ({});\n", full_name(named), columns.chain(checks).collect::<Vec<_>>().join(", "))
}

fn view_text(named: &Named, view: &View) -> String {
    let columns: Vec<String> = view.columns.iter().map(|column| quoted(column)).collect();
    let columns = if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
    format!("CREATE VIEW {}{columns} AS {};\n", full_name(named), view.sql)
}

fn macro_text(definition: &MacroDefinition) -> String {
    let table = if definition.is_table { "TABLE " } else { "" };
    let forms = definition.forms.iter().map(|form| {
        let parameters = form.parameters.iter().map(|(name, default)| match default {
            Some(default) => format!("{} := {}", quoted(name), written(default)),
            None => quoted(name),
        });
        format!("({}) AS {table}{}", parameters.collect::<Vec<_>>().join(", "), written(&form.body))
    });
    format!("CREATE MACRO {}{};\n", quoted(&definition.name), forms.collect::<Vec<_>>().join(", "))
}

fn comments(named: &Named) -> String {
    let kind = if matches!(named.entry, Entry::View(_)) { "VIEW" } else { "TABLE" };
    let own = named.comments.own.as_ref();
    let own = own.map(|text| format!("COMMENT ON {kind} {} IS {};\n", full_name(named), text_literal(text)));
    let Entry::Table(table) = &named.entry else { return own.unwrap_or_default() };
    let of_column = |field: &FieldRef| {
        let text = named.comments.of_column(field.name())?;
        Some(format!("COMMENT ON COLUMN {}.{} IS {};\n", full_name(named), quoted(field.name()), text_literal(text)))
    };
    own.into_iter().chain(table.schema.fields().iter().filter_map(of_column)).collect()
}

/// The statement with the file that it reads in `folder`.
fn within(folder: &Path, sql: &str) -> Result<String> {
    let mut tokens = solid(tokens(sql)?);
    let file = tokens.iter().position(|token| matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("FROM")));
    if let Some(TokenWithSpan { token: Token::SingleQuotedString(path), .. }) =
        file.and_then(|at| tokens.get_mut(at + 1))
    {
        *path = folder.join(&*path).to_string_lossy().into_owned();
    }
    Ok(written(&tokens))
}
