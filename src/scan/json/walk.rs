//! From token to token through JSON text: the grammar, and values that nobody wants.
//!
//! Invariant: what is walked over is JSON to the last byte, whether it is wanted or not. That strings are well-formed
//! was seen when the tokens were found.

use memchr::memchr;

use crate::scan::json::fault::Misfit;
use crate::scan::json::unescape::unescape;

/// Brackets within brackets, at most.
const GREATEST_DEPTH: u32 = 127;

/// Why a value could not be read.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The text ends within it.
    End,
    /// It is not JSON from this byte on.
    Syntax(usize),
    /// It is JSON, but not what its column takes.
    Misfit(Box<Misfit>, usize),
}

/// A place in the tokens of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    tokens: &'a [u32],
    /// Index of the next token.
    pub(super) next: usize,
}

impl<'a> Cursor<'a> {
    /// At token `next`.
    pub(super) fn new(text: &'a [u8], tokens: &'a [u32], next: usize) -> Self {
        Cursor { text, tokens, next }
    }

    /// Where token `index` stands.
    pub(super) fn place_of(&self, index: usize) -> usize {
        self.tokens.get(index).map_or(self.text.len(), |place| *place as usize)
    }

    /// The next token's place and first byte.
    #[inline(always)]
    pub(super) fn peek(&self) -> Option<(usize, u8)> {
        let at = *self.tokens.get(self.next)? as usize;
        Some((at, *self.text.get(at)?))
    }

    /// The same, and goes on behind it.
    #[inline(always)]
    pub(super) fn take(&mut self) -> Result<(usize, u8), Trouble> {
        let token = self.peek().ok_or(Trouble::End)?;
        self.next += 1;
        Ok(token)
    }

    /// The inside of the string whose opening quote, at `open`, was taken.
    #[inline(always)]
    pub(super) fn string(&mut self, open: usize) -> Result<&'a [u8], Trouble> {
        let (close, _) = self.take()?;
        self.text.get(open + 1..close).ok_or(Trouble::Syntax(open))
    }

    /// A key's inside, and goes on behind its colon.
    #[inline(always)]
    pub(super) fn key(&mut self, open: usize) -> Result<&'a [u8], Trouble> {
        let key = self.string(open)?;
        match self.take()? {
            (_, b':') => Ok(key),
            (at, _) => Err(Trouble::Syntax(at)),
        }
    }

    /// The word or number that starts at `at`, whose token was taken; not checked yet.
    #[inline(always)]
    pub(super) fn scalar(&self, at: usize) -> &'a [u8] {
        let end = self.tokens.get(self.next).map_or(self.text.len(), |end| *end as usize);
        self.text.get(at..end).unwrap_or_default().trim_ascii_end()
    }

    /// Where the text that was walked over ends.
    pub(super) fn end(&self) -> usize {
        let last = self.next.checked_sub(1).and_then(|last| self.tokens.get(last)).map_or(0, |last| *last as usize);
        match self.text.get(last) {
            Some(b'{' | b'}' | b'[' | b']' | b':' | b',' | b'"' | b'\n') => last + 1,
            Some(_) => last + self.scalar(last).len(),
            None => last,
        }
    }

    /// What was walked over, from `start` on.
    pub(super) fn text_from(&self, start: usize) -> &'a [u8] {
        self.text.get(start..self.end()).unwrap_or_default()
    }

    /// Passes over one value.
    pub(super) fn skip(&mut self) -> Result<(), Trouble> {
        let mut nesting = Nesting::default();
        loop {
            let (at, byte) = self.take()?;
            match byte {
                b'"' => drop(self.string(at)?),
                b'{' => {
                    nesting.open(true, at)?;
                    match self.take()? {
                        (_, b'}') => nesting.close(),
                        (at, b'"') => {
                            self.key(at)?;
                            continue;
                        }
                        (at, _) => return Err(Trouble::Syntax(at)),
                    }
                }
                b'[' => {
                    nesting.open(false, at)?;
                    match self.peek() {
                        Some((_, b']')) => {
                            self.next += 1;
                            nesting.close();
                        }
                        _ => continue,
                    }
                }
                _ if is_scalar(self.scalar(at)) => {}
                _ => return Err(self.not_scalar(at)),
            }
            // Behind a value.
            loop {
                if nesting.depth == 0 {
                    return Ok(());
                }
                match (self.take()?, nesting.in_object()) {
                    ((_, b','), false) => break,
                    ((_, b','), true) => match self.take()? {
                        (at, b'"') => {
                            self.key(at)?;
                            break;
                        }
                        (at, _) => return Err(Trouble::Syntax(at)),
                    },
                    ((_, b'}'), true) | ((_, b']'), false) => nesting.close(),
                    ((at, _), _) => return Err(Trouble::Syntax(at)),
                }
            }
        }
    }

    /// What is wrong with the word or number at `at`: perhaps only that the text ends.
    pub(super) fn not_scalar(&self, at: usize) -> Trouble {
        if self.next >= self.tokens.len() && at + self.scalar(at).len() >= self.text.len() {
            return Trouble::End;
        }
        Trouble::Syntax(at)
    }

    /// Passes over one value and appends it to `out` without white space between its tokens and without escapes that
    /// need not be.
    pub(super) fn copy(&mut self, out: &mut Vec<u8>) -> Result<(), Trouble> {
        let first = self.next;
        self.skip()?;
        let end = self.end();
        let mut in_string = false;
        let tokens = self.tokens.get(first..self.next).unwrap_or_default();
        for (index, token) in tokens.iter().enumerate() {
            let start = *token as usize;
            let end = tokens.get(index + 1).map_or(end, |next| *next as usize);
            let text = self.text.get(start..end).unwrap_or_default();
            in_string = !in_string && text.first() == Some(&b'"');
            match memchr(b'\\', text) {
                Some(_) => rewrite(text.get(1..).unwrap_or_default(), out).ok_or(Trouble::Syntax(start))?,
                None if in_string => out.extend_from_slice(text),
                None => out.extend_from_slice(text.trim_ascii_end()),
            }
        }
        Ok(())
    }
}

/// Appends the opening quote and the inside of a string with only the escapes that it needs.
fn rewrite(raw: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut plain = Vec::new();
    if !unescape(raw, &mut plain) {
        return None;
    }
    let text = String::from_utf8(plain).ok()?;
    serde_json::to_writer(&mut *out, &text).ok()?;
    // The closing quote is a token of its own.
    out.pop();
    Some(())
}

/// Appends a string by its inside, in quotes and with only the escapes that it needs; `None` where it is no text.
pub(super) fn copy_string(raw: &[u8], out: &mut Vec<u8>) -> Option<()> {
    match memchr(b'\\', raw) {
        Some(_) => rewrite(raw, out)?,
        None => {
            out.push(b'"');
            out.extend_from_slice(raw);
        }
    }
    out.push(b'"');
    Some(())
}

/// Which brackets are open.
#[derive(Debug, Default)]
struct Nesting {
    depth: u32,
    /// A bit for each: set where it is an object. The innermost is the lowest.
    objects: u128,
}

impl Nesting {
    #[inline(always)]
    fn open(&mut self, is_object: bool, at: usize) -> Result<(), Trouble> {
        if self.depth >= GREATEST_DEPTH {
            return Err(Trouble::Syntax(at));
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(is_object);
        Ok(())
    }

    #[inline(always)]
    fn close(&mut self) {
        self.depth -= 1;
        self.objects >>= 1;
    }

    #[inline(always)]
    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }
}

/// Whether the text is a JSON number, `true`, `false` or `null`.
#[inline]
pub(super) fn is_scalar(text: &[u8]) -> bool {
    match text.first() {
        Some(b'0'..=b'9' | b'-') => is_number(text),
        _ => matches!(text, b"null" | b"true" | b"false"),
    }
}

/// Whether the text is a number by JSON's grammar.
pub(super) fn is_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let (whole, rest) = digits_of(digits);
    if whole == 0 || whole > 1 && digits.first() == Some(&b'0') {
        return false;
    }
    let rest = match rest {
        [b'.', fraction @ ..] => match digits_of(fraction) {
            (0, _) => return false,
            (_, rest) => rest,
        },
        rest => rest,
    };
    match rest {
        [] => true,
        [b'e' | b'E', b'+' | b'-', exponent @ ..] | [b'e' | b'E', exponent @ ..] => {
            matches!(digits_of(exponent), (1.., []))
        }
        _ => false,
    }
}

/// How many digits there are, and what follows.
#[inline(always)]
fn digits_of(text: &[u8]) -> (usize, &[u8]) {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (count, text.get(count..).unwrap_or_default())
}
