//! Statements that a person types at a terminal: lines that are edited, and those of earlier sessions.
//!
//! Invariant: what may hold a secret is in no file. A history that cannot be read or written is no error.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use floe::{Error, Result};
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor};

/// Entries that are kept.
const MOST_ENTRIES: usize = 1000;

/// Words of statements that may hold a secret; the last is in URLs that are signed.
const SECRETS: [&str; 5] = ["secret", "password", "token", "key_id", "signature"];

/// What a person has done.
pub enum Typed {
    Line(String),
    /// Ctrl-C: what was begun does not count.
    Cleared,
    /// Ctrl-D.
    Ended,
}

/// A terminal that statements are typed at.
pub struct Shell {
    editor: Editor<(), MemHistory>,
    file: Option<PathBuf>,
    /// The lines of the statement that was begun.
    lines: Vec<String>,
}

impl Shell {
    /// The terminal, with the entries of earlier sessions.
    ///
    /// # Errors
    /// `IO_ERROR` where the terminal cannot be used.
    pub fn open() -> Result<Self> {
        let config = Config::builder().max_history_size(MOST_ENTRIES);
        let config = config.and_then(|config| config.history_ignore_dups(true)).map_err(of_terminal)?;
        let config = config.history_ignore_space(true).build();
        let mut editor = Editor::with_history(config.clone(), MemHistory::with_config(&config)).map_err(of_terminal)?;
        let file = history_file();
        for entry in file.as_deref().map(entries).unwrap_or_default() {
            editor.add_history_entry(entry).map_err(of_terminal)?;
        }
        Ok(Shell { editor, file, lines: Vec::new() })
    }

    /// Waits for the next line; `begins` where no statement has been begun.
    ///
    /// # Errors
    /// `IO_ERROR` where the terminal has gone.
    pub fn line(&mut self, begins: bool) -> Result<Typed> {
        if begins {
            self.keep();
        }
        match self.editor.readline(if begins { "floe> " } else { "  ... " }) {
            Ok(line) => {
                self.lines.push(line.clone());
                Ok(Typed::Line(line))
            }
            Err(ReadlineError::Interrupted) => {
                self.lines.clear();
                Ok(Typed::Cleared)
            }
            Err(ReadlineError::Eof) => {
                self.keep();
                Ok(Typed::Ended)
            }
            Err(error) => Err(of_terminal(error)),
        }
    }

    /// Remembers the lines that were typed since the last statement.
    fn keep(&mut self) {
        let entry = std::mem::take(&mut self.lines).join("\n");
        let entry = entry.trim_end();
        if !self.editor.add_history_entry(entry).unwrap_or(false) {
            return;
        }
        let is_secret = SECRETS.iter().any(|word| entry.to_lowercase().contains(word));
        if let (Some(file), false) = (&self.file, is_secret) {
            let _ = append(file, entry);
        }
    }
}

fn of_terminal(error: ReadlineError) -> Error {
    match error {
        ReadlineError::Io(error) => Error::from(error).context("the terminal"),
        other => Error::from(std::io::Error::other(other.to_string())).context("the terminal"),
    }
}

/// The file of the user's state that holds the entries; `None` where there is no home.
fn history_file() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local").join("state")))?;
    Some(state.join("floe").join("history"))
}

/// The last entries of the file; it is cut to them where it has become much longer.
fn entries(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.get(lines.len().saturating_sub(MOST_ENTRIES)..).unwrap_or_default();
    if lines.len() > 2 * MOST_ENTRIES {
        let _ = fs::write(file, last.join("\n") + "\n");
    }
    last.iter().map(|line| unescaped(line)).collect()
}

/// Adds an entry as a line of the file, which nobody else may read.
fn append(file: &Path, entry: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = fs::OpenOptions::new().append(true).create(true).mode(0o600).open(file)?;
    file.write_all(format!("{}\n", escaped(entry)).as_bytes())
}

fn escaped(entry: &str) -> String {
    entry.replace('\\', "\\\\").replace('\n', "\\n")
}

fn unescaped(line: &str) -> String {
    let mut entry = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.next() == Some('n') => entry.push('\n'),
            other => entry.push(other),
        }
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_several_lines_is_one_line_of_the_file() {
        let entry = "SELECT '\\n'\nFROM t\\\n;";
        assert!(!escaped(entry).contains('\n'));
        assert_eq!(unescaped(&escaped(entry)), entry);
    }

    #[test]
    fn the_file_has_the_last_entries() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state").join("history");
        for number in 0..(2 * MOST_ENTRIES + 1) {
            append(&file, &format!("SELECT {number};\nSELECT 2;")).unwrap();
        }
        let last = entries(&file);
        assert_eq!(last.len(), MOST_ENTRIES);
        assert_eq!(last.last().map(String::as_str), Some("SELECT 2000;\nSELECT 2;"));
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), MOST_ENTRIES);
    }
}
