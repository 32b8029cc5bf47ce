//! Cuts SQL text into statements at the `;` that stand outside of quotes and comments, while the text still arrives.
//!
//! Invariant: bytes are looked at once, and a statement is given as soon as its `;` has arrived. Statements of nothing
//! but blanks and comments are skipped. What a statement means is the session's business, not this module's.

use floe::error::{Code, Error};

/// One statement without its `;`, and where it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub text: String,
    /// Line of the input on which the statement starts, from 1.
    pub line: u64,
}

/// Takes text piece by piece and gives statements.
#[derive(Debug)]
pub struct Splitter {
    /// Text from the start of the statement that is not complete yet.
    text: Vec<u8>,
    /// How much of it has been looked at.
    position: usize,
    /// Where the statement starts in the text: its first byte that is not blank.
    start: Option<usize>,
    /// Whether anything but blanks and comments was seen since the last `;`.
    has_words: bool,
    /// Lines before the text, and lines within it that were looked at.
    line: u64,
    start_line: u64,
    place: Place,
    /// No more text follows, so that nothing is worth waiting for.
    ended: bool,
}

/// What the byte to look at next stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Plain,
    /// Quotes that end with this byte.
    Quotes(u8),
    /// `E'…'`, where a backslash takes the next byte with it.
    Escaped,
    LineComment,
    /// Nested this deep.
    BlockComment(u32),
    /// `$tag$ … $tag$`; the tag with both its dollars.
    Dollars(Vec<u8>),
}

impl Default for Splitter {
    fn default() -> Self {
        Splitter {
            text: Vec::new(),
            position: 0,
            start: None,
            has_words: false,
            line: 1,
            start_line: 1,
            place: Place::Plain,
            ended: false,
        }
    }
}

impl Splitter {
    /// Adds the next piece of text, which may end anywhere, even within a character.
    pub fn push(&mut self, piece: &[u8]) {
        self.text.extend_from_slice(piece);
    }

    /// Whether no statement has been begun.
    pub fn is_between_statements(&self) -> bool {
        self.start.is_none() && self.place == Place::Plain
    }

    /// The next whole statement, or `None` until more text arrives.
    ///
    /// # Errors
    /// `SYNTAX_ERROR` when the statement is not UTF-8.
    pub fn next(&mut self) -> Option<Result<Statement, Error>> {
        while let Some(&byte) = self.text.get(self.position) {
            if byte == b';' && self.place == Place::Plain {
                let statement = self.take_statement();
                if statement.is_some() {
                    return statement;
                }
                continue;
            }
            let taken = self.look(byte)?;
            let seen = self.text.get(self.position..self.position + taken).unwrap_or_default();
            self.line += seen.iter().map(|&byte| u64::from(byte == b'\n')).sum::<u64>();
            self.position += taken;
        }
        None
    }

    /// What is left after the last `;`, at the end of the text.
    ///
    /// # Errors
    /// `SYNTAX_ERROR` when the statement is not UTF-8.
    pub fn finish(mut self) -> Option<Result<Statement, Error>> {
        self.ended = true;
        // A whole statement can only still be there if the last bytes were waiting for more.
        self.next().or_else(|| self.take_statement())
    }

    /// Takes the text up to the position, and the `;` there, out of the buffer.
    fn take_statement(&mut self) -> Option<Result<Statement, Error>> {
        let rest = self.text.split_off((self.position + 1).min(self.text.len()));
        let mut taken = std::mem::replace(&mut self.text, rest);
        taken.truncate(self.position);
        self.position = 0;
        self.place = Place::Plain;
        let start = self.start.take().unwrap_or(0);
        if !std::mem::take(&mut self.has_words) {
            return None;
        }
        let text = taken.get(start..).unwrap_or_default().trim_ascii_end().to_vec();
        let line = self.start_line;
        Some(match String::from_utf8(text) {
            Ok(text) => Ok(Statement { text, line }),
            Err(_) => Err(Error::new(Code::Syntax, format!("the statement at line {line} is not UTF-8"))),
        })
    }

    /// How many bytes the next step takes, after noting what it means; `None` where more text must arrive first.
    fn look(&mut self, byte: u8) -> Option<usize> {
        match &mut self.place {
            Place::Plain => self.look_plain(byte),
            Place::Quotes(end) => {
                if byte == *end {
                    self.place = Place::Plain;
                }
                Some(1)
            }
            Place::Escaped => {
                match byte {
                    b'\\' => return self.following().map(|_| 2).or(self.ended.then_some(1)),
                    b'\'' => self.place = Place::Plain,
                    _ => {}
                }
                Some(1)
            }
            Place::LineComment => {
                if byte == b'\n' {
                    self.place = Place::Plain;
                }
                Some(1)
            }
            Place::BlockComment(_) => self.look_comment(byte),
            Place::Dollars(tag) => {
                let tag = tag.clone();
                self.look_dollars(byte, &tag)
            }
        }
    }

    fn look_plain(&mut self, byte: u8) -> Option<usize> {
        if byte.is_ascii_whitespace() {
            return Some(1);
        }
        let following = self.following();
        if following.is_none() && !self.ended && matches!(byte, b'-' | b'/' | b'$') {
            return None;
        }
        if self.start.is_none() {
            self.start = Some(self.position);
            self.start_line = self.line;
        }
        match (byte, following) {
            (b'-', Some(b'-')) => {
                self.place = Place::LineComment;
                return Some(2);
            }
            (b'/', Some(b'*')) => {
                self.place = Place::BlockComment(1);
                return Some(2);
            }
            (b'$', _) if !self.is_after_word() => match self.dollar_tag() {
                Tag::Whole(tag) => {
                    let length = tag.len();
                    self.place = Place::Dollars(tag);
                    self.has_words = true;
                    return Some(length);
                }
                Tag::Unfinished if !self.ended => return None,
                _ => {}
            },
            (b'\'', _) if self.is_after_escape_mark() => self.place = Place::Escaped,
            (b'\'' | b'"' | b'`', _) => self.place = Place::Quotes(byte),
            _ => {}
        }
        self.has_words = true;
        Some(1)
    }

    fn look_comment(&mut self, byte: u8) -> Option<usize> {
        let following = self.following();
        if following.is_none() && !self.ended && matches!(byte, b'*' | b'/') {
            return None;
        }
        let Place::BlockComment(depth) = &mut self.place else { return Some(1) };
        match (byte, following) {
            (b'*', Some(b'/')) if *depth == 1 => self.place = Place::Plain,
            (b'*', Some(b'/')) => *depth -= 1,
            (b'/', Some(b'*')) => *depth += 1,
            _ => return Some(1),
        }
        Some(2)
    }

    fn look_dollars(&mut self, byte: u8, tag: &[u8]) -> Option<usize> {
        if byte != b'$' {
            return Some(1);
        }
        let rest = self.text.get(self.position..).unwrap_or_default();
        if rest.starts_with(tag) {
            self.place = Place::Plain;
            return Some(tag.len());
        }
        let may_become = rest.len() < tag.len() && tag.starts_with(rest);
        if may_become && !self.ended { None } else { Some(1) }
    }

    fn following(&self) -> Option<u8> {
        self.text.get(self.position + 1).copied()
    }

    fn byte_before(&self, distance: usize) -> Option<u8> {
        self.position.checked_sub(distance).and_then(|at| self.text.get(at)).copied()
    }

    fn is_after_word(&self) -> bool {
        self.byte_before(1).is_some_and(is_word)
    }

    /// Whether the byte before is an `E` that stands alone.
    fn is_after_escape_mark(&self) -> bool {
        matches!(self.byte_before(1), Some(b'E' | b'e')) && !self.byte_before(2).is_some_and(is_word)
    }

    /// The `$tag$` that starts here, if one does.
    fn dollar_tag(&self) -> Tag {
        let rest = self.text.get(self.position + 1..).unwrap_or_default();
        for (length, &byte) in rest.iter().enumerate() {
            match byte {
                b'$' => {
                    let end = self.position + length + 2;
                    return Tag::Whole(self.text.get(self.position..end).unwrap_or_default().to_vec());
                }
                b'0'..=b'9' if length == 0 => return Tag::None,
                _ if is_word(byte) => {}
                _ => return Tag::None,
            }
        }
        Tag::Unfinished
    }
}

/// What stands at a dollar.
enum Tag {
    Whole(Vec<u8>),
    Unfinished,
    None,
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str, piece: usize) -> Vec<String> {
        let mut splitter = Splitter::default();
        let mut statements = Vec::new();
        for part in text.as_bytes().chunks(piece) {
            splitter.push(part);
            while let Some(statement) = splitter.next() {
                statements.push(statement.unwrap().text);
            }
        }
        statements.extend(splitter.finish().map(|statement| statement.unwrap().text));
        statements
    }

    #[test]
    fn semicolons_in_quotes_and_comments_do_not_end_a_statement() {
        let cases: [(&str, &[&str]); 15] = [
            ("a; b ;c", &["a", "b", "c"]),
            (";; ;", &[]),
            ("-- only; a comment\n/* and; another */ ;", &[]),
            ("SELECT ';'';'; b", &["SELECT ';'';'", "b"]),
            ("\"a;b\" `c;d`; e", &["\"a;b\" `c;d`", "e"]),
            ("a -- b;\n c; d", &["a -- b;\n c", "d"]),
            ("a - -1; b/2; c", &["a - -1", "b/2", "c"]),
            ("a /* ; /* ; */ ; */ b; c", &["a /* ; /* ; */ ; */ b", "c"]),
            ("$$ ; $$; $x$ ; $$ ; $x$; b", &["$$ ; $$", "$x$ ; $$ ; $x$", "b"]),
            ("$1; a$b; c$", &["$1", "a$b", "c$"]),
            ("E'it\\'s;'; b", &["E'it\\'s;'", "b"]),
            ("name'\\'; b", &["name'\\'", "b"]),
            ("'é;ü'; 日本", &["'é;ü'", "日本"]),
            ("a; 'open ; to the end", &["a", "'open ; to the end"]),
            ("a; -", &["a", "-"]),
        ];
        for (text, expected) in cases {
            for piece in [1, 2, 3, 1000] {
                assert_eq!(split(text, piece), expected, "{text:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn a_statement_is_given_with_its_semicolon_and_not_later() {
        let mut splitter = Splitter::default();
        splitter.push(b"SELECT 1;");
        assert_eq!(splitter.next().unwrap().unwrap().text, "SELECT 1");
        assert!(splitter.is_between_statements());
        splitter.push(b"\nSELECT");
        assert!(splitter.next().is_none());
        assert!(!splitter.is_between_statements());
    }

    #[test]
    fn statements_know_their_line() {
        let mut splitter = Splitter::default();
        splitter.push(b"a;\n\n  b\n + '\n';c");
        let lines: Vec<u64> = std::iter::from_fn(|| splitter.next()).map(|next| next.unwrap().line).collect();
        assert_eq!(lines, [1, 3]);
        assert_eq!(splitter.finish().unwrap().unwrap().line, 5);
    }

    #[test]
    fn text_that_is_not_utf8_is_an_error_for_its_statement_only() {
        let mut splitter = Splitter::default();
        splitter.push(b"'\xff'; b;");
        assert_eq!(splitter.next().unwrap().unwrap_err().code(), Code::Syntax);
        assert_eq!(splitter.next().unwrap().unwrap().text, "b");
    }
}
