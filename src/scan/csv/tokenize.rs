//! Bytes to fields: where each wanted field of each record begins and ends.
//!
//! Invariant: tokenizing from a record's start gives the same records however the bytes are cut into windows: a record
//! that may go on behind the window is left for the next one.

use memchr::{memchr, memchr2};

use crate::scan::csv::dialect::Dialect;
use crate::scan::csv::seeker::Seeker;
use crate::scan::csv::structure::{STRETCH, Scratch, Structure};

/// A field's bytes within the window (without its quotes) and how it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    start: u32,
    /// Length, with the flags in the two highest bits.
    length: u32,
}

const QUOTED: u32 = 1 << 31;
const ESCAPED: u32 = 1 << 30;

/// Windows never get larger, so that a field's length leaves room for its flags.
pub const MAX_WINDOW: usize = 1 << 30;

impl Field {
    #[inline(always)]
    pub(super) fn new(start: usize, end: usize, quoted: bool, escaped: bool) -> Self {
        let flags = if quoted { QUOTED } else { 0 } | if escaped { ESCAPED } else { 0 };
        // Both fit: a window has at most MAX_WINDOW bytes.
        Field { start: start as u32, length: (end - start) as u32 | flags }
    }

    /// The field of a column that its record lacks.
    fn absent() -> Self {
        Field { start: 0, length: ESCAPED }
    }

    /// Whether its record lacks it: only quoted fields have escapes.
    pub fn is_absent(self) -> bool {
        self.length & (QUOTED | ESCAPED) == ESCAPED
    }

    /// Whether it stood in quotes.
    pub fn quoted(self) -> bool {
        self.length & QUOTED != 0
    }

    /// Whether it holds escapes that must be taken out.
    pub fn escaped(self) -> bool {
        self.length & ESCAPED != 0
    }

    /// Where it begins in the window.
    pub fn start(self) -> usize {
        self.start as usize
    }

    /// Where it ends in the window.
    pub fn end(self) -> usize {
        self.start() + (self.length & !(QUOTED | ESCAPED)) as usize
    }
}

/// Why a record cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It has so many fields; another number was expected.
    Columns(usize),
    /// Something other than a delimiter or line end follows a closing quote.
    AfterQuote,
    /// A quote is still open at the end of the file.
    OpenQuote,
    /// It has more bytes than a record may have.
    Size(usize),
}

/// Which records are read although they are not as they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Those with too few fields: the others are NULL.
    pub pads: bool,
    /// Those with too many fields, of which the last are left out, and fields whose quotes do not match, which are read
    /// as they are written.
    pub lenient: bool,
    /// Bytes that a record may have.
    pub longest: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Rules { pads: false, lenient: false, longest: usize::MAX }
    }
}

/// A record that cannot be read: where it lies in the window and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadRecord {
    pub start: usize,
    pub end: usize,
    /// Where the flaw was noticed.
    pub at: usize,
    pub flaw: Flaw,
}

/// What one call has read from a window.
#[derive(Debug, Default)]
pub struct Tile {
    pub rows: usize,
    /// Row after row, the wanted columns in their order.
    pub fields: Vec<Field>,
    /// Where the first record starts, or what is passed over before it.
    pub started: usize,
    /// Where the next record starts.
    pub consumed: usize,
    /// The flaw that ended the tile, if one did; `consumed` stands behind the bad record.
    pub bad: Option<BadRecord>,
    /// The last record goes on behind the window.
    pub incomplete: bool,
    scratch: Scratch,
}

/// Records for which it is worth to look at a stretch of many.
const MANY_RECORDS: usize = 16;

/// Records that are read one by one where a stretch gave little.
const PATIENCE: usize = 64;

/// Splits records into fields and keeps the wanted ones.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    dialect: Dialect,
    /// Fields that every record must have; `None` takes any number.
    columns: Option<usize>,
    /// For each column of the file, its place among the wanted ones.
    places: Vec<Option<usize>>,
    wanted: usize,
    /// Reads many records at once, where that is possible.
    structure: Option<Structure>,
    /// Whether a quote in the middle of an unquoted field is a flaw, as in RFC 4180.
    strict: bool,
    rules: Rules,
}

/// How far a tile may go.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Where the first record starts.
    pub from: usize,
    /// Records that start here or later are not read.
    pub stop: usize,
    pub max_rows: usize,
    /// Whether the file ends with the window.
    pub at_end: bool,
}

/// What `first_record` finds.
#[derive(Debug)]
pub enum FirstRecord {
    Found {
        fields: Vec<Field>,
        next: usize,
    },
    /// The file ends without a record.
    None,
    /// It goes on behind the window.
    Incomplete,
    Bad(BadRecord),
}

/// One record, or why there is none.
enum Step {
    /// A record that ends before this position.
    Record(usize),
    /// A blank line or a comment up to this position.
    Nothing(usize),
    Incomplete,
    Bad(BadRecord),
}

impl Tokenizer {
    /// Reads records of exactly `columns` fields and keeps those whose index is in `wanted`, in that order.
    pub fn new(dialect: Dialect, rules: Rules, columns: usize, wanted: &[usize]) -> Self {
        let mut places = vec![None; columns];
        for (place, &column) in wanted.iter().enumerate() {
            if let Some(slot) = places.get_mut(column) {
                *slot = Some(place);
            }
        }
        // What many records are read at once from is short enough.
        let structure = Structure::new(dialect, columns, wanted).filter(|_| rules.longest >= STRETCH);
        Tokenizer { dialect, columns: Some(columns), places, wanted: wanted.len(), structure, strict: false, rules }
    }

    /// The same without looking at many records at once.
    #[cfg(test)]
    pub fn one_by_one(self) -> Self {
        Tokenizer { structure: None, ..self }
    }

    /// Whether it looks at many records at once.
    #[cfg(test)]
    pub fn finds_many(&self) -> bool {
        self.structure.is_some()
    }

    /// Reads records of any number of fields; none is kept by `read`.
    pub fn of_any_width(dialect: Dialect, rules: Rules) -> Self {
        Tokenizer { dialect, columns: None, places: Vec::new(), wanted: 0, structure: None, strict: false, rules }
    }

    /// The same records, of which no field is kept, and quotes only where RFC 4180 has them.
    pub fn strict(&self) -> Self {
        let (dialect, columns, rules) = (self.dialect, self.columns, self.rules);
        Tokenizer { dialect, columns, places: Vec::new(), wanted: 0, structure: None, strict: true, rules }
    }

    /// The same records, of which no field is kept.
    pub fn keeping_none(&self) -> Self {
        match self.columns {
            Some(columns) => {
                Tokenizer { strict: self.strict, ..Tokenizer::new(self.dialect, self.rules, columns, &[]) }
            }
            None => self.clone(),
        }
    }

    /// The fields of the first record at or behind `from`, and where the next one starts.
    pub fn first_record(&self, data: &[u8], from: usize, at_end: bool) -> FirstRecord {
        let mut seeker = Seeker::new(data, self.dialect.delimiter, self.dialect.newline);
        let mut at = from;
        let mut fields = Vec::new();
        while at < data.len() {
            match self.record(data, at, at_end, &mut seeker, |_, field| fields.push(field)) {
                Step::Record(next) => return FirstRecord::Found { fields, next },
                Step::Nothing(next) => at = next,
                Step::Incomplete => return FirstRecord::Incomplete,
                Step::Bad(bad) => return FirstRecord::Bad(bad),
            }
        }
        if at_end { FirstRecord::None } else { FirstRecord::Incomplete }
    }

    /// Bytes that a record may have.
    pub fn longest(&self) -> usize {
        self.rules.longest
    }

    /// The dialect it reads.
    pub fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    /// Reads records of `data` within `bounds` into `tile`.
    pub fn read(&self, data: &[u8], bounds: Bounds, tile: &mut Tile) {
        (tile.rows, tile.started) = (0, bounds.from);
        tile.fields.clear();
        (tile.bad, tile.incomplete) = (None, false);
        let mut seeker = Seeker::new(data, self.dialect.delimiter, self.dialect.newline);
        let mut at = bounds.from;
        let absent = Field::absent();
        // Records to read one by one before many at once are tried again.
        let mut one_by_one = 0usize;
        while tile.rows < bounds.max_rows && at < bounds.stop && at < data.len() {
            let max_rows = bounds.max_rows - tile.rows;
            if let Some(structure) = self.structure.as_ref().filter(|_| one_by_one == 0 && max_rows >= MANY_RECORDS) {
                let bounds = Bounds { from: at, max_rows, ..bounds };
                let (rows, next) = structure.read(data, bounds, &mut tile.scratch, &mut tile.fields);
                if next - at < STRETCH / 4 {
                    one_by_one = PATIENCE;
                }
                (tile.rows, at) = (tile.rows + rows, next);
                continue;
            }
            one_by_one = one_by_one.saturating_sub(1);
            let base = tile.fields.len();
            tile.fields.resize(base + self.wanted, absent);
            let slots = &mut tile.fields[base..];
            let keep = |column: usize, field: Field| {
                if let Some(slot) = self.places.get(column).copied().flatten().and_then(|place| slots.get_mut(place)) {
                    *slot = field;
                }
            };
            match self.record(data, at, bounds.at_end, &mut seeker, keep) {
                Step::Record(end) => {
                    tile.rows += 1;
                    at = end;
                    continue;
                }
                Step::Nothing(end) => at = end,
                Step::Incomplete => tile.incomplete = true,
                Step::Bad(bad) => {
                    at = bad.end;
                    tile.bad = Some(bad);
                }
            }
            tile.fields.truncate(base);
            if tile.incomplete || tile.bad.is_some() {
                break;
            }
        }
        tile.consumed = at;
    }

    fn record(
        &self,
        data: &[u8],
        from: usize,
        at_end: bool,
        seeker: &mut Seeker,
        mut keep: impl FnMut(usize, Field),
    ) -> Step {
        if let Some(step) = self.not_a_record(data, from, at_end) {
            return step;
        }
        let dialect = &self.dialect;
        let mut column = 0;
        let mut at = from;
        let end = loop {
            // From where the end of an unquoted field is looked for.
            let mut within = at;
            let open = if dialect.spaced { behind_spaces(data, at) } else { at };
            if dialect.quote.is_some() && data.get(open).copied() == dialect.quote {
                match self.quoted(data, open, at_end) {
                    Quoted::Field(field, next) => {
                        keep(column, field);
                        column += 1;
                        match next {
                            After::Delimiter(next) => at = next,
                            After::End(next) => break next,
                        }
                        continue;
                    }
                    Quoted::Incomplete => return Step::Incomplete,
                    Quoted::Flaw(behind, flaw) if self.rules.lenient && !self.strict => {
                        within = if flaw == Flaw::OpenQuote { at } else { behind };
                    }
                    Quoted::Flaw(at, flaw) => return self.bad(data, from, at, flaw, at_end),
                }
            }
            let Some(end) = self.field_end(data, within, at_end, seeker) else { return Step::Incomplete };
            let is_newline = data.get(end).is_none_or(|byte| *byte == dialect.newline);
            if self.strict && self.has_quote(data, at, end) {
                return self.bad(data, from, at, Flaw::AfterQuote, at_end);
            }
            let shown = if is_newline { without_return(data, at, end, dialect.newline) } else { end };
            keep(column, Field::new(at, shown, false, false));
            column += 1;
            if is_newline {
                break (end + 1).min(data.len());
            }
            at = end + 1 + dialect.tail.as_slice().len();
        };
        let Rules { pads, lenient, longest } = self.rules;
        match self.columns {
            Some(expected) if column < expected && !pads || column > expected && !lenient => {
                Step::Bad(BadRecord { start: from, end, at: from, flaw: Flaw::Columns(column) })
            }
            _ if end - from > longest => {
                Step::Bad(BadRecord { start: from, end, at: from, flaw: Flaw::Size(end - from) })
            }
            _ => Step::Record(end),
        }
    }

    /// Where an unquoted field ends that goes on at `from`: at a delimiter, a line end, or the end of the file. `None`
    /// where that lies behind the window.
    fn field_end(&self, data: &[u8], from: usize, at_end: bool, seeker: &mut Seeker) -> Option<usize> {
        let mut end = seeker.next(from);
        while let Some(place) = end
            && data.get(place) == Some(&self.dialect.delimiter)
            && !self.has_tail(data, place + 1, at_end)?
        {
            end = seeker.next(place + 1);
        }
        end.or_else(|| at_end.then_some(data.len()))
    }

    /// Whether the rest of a delimiter stands at `from`; `None` where that lies behind the window.
    fn has_tail(&self, data: &[u8], from: usize, at_end: bool) -> Option<bool> {
        let tail = self.dialect.tail.as_slice();
        let rest = data.get(from..).unwrap_or_default();
        if rest.len() < tail.len() && !at_end && tail.starts_with(rest) {
            return None;
        }
        Some(rest.starts_with(tail))
    }

    /// Blank lines and comments.
    fn not_a_record(&self, data: &[u8], from: usize, at_end: bool) -> Option<Step> {
        let dialect = &self.dialect;
        let first = *data.get(from)?;
        if dialect.comment == Some(first) {
            let end = match memchr(dialect.newline, data.get(from..)?) {
                Some(length) => from + length + 1,
                None if at_end => data.len(),
                None => return Some(Step::Incomplete),
            };
            return if self.is_uncommented(data.get(from..end)?) { None } else { Some(Step::Nothing(end)) };
        }
        if dialect.blank_is_record {
            return None;
        }
        if first == dialect.newline {
            return Some(Step::Nothing(from + 1));
        }
        match (first, data.get(from + 1)) {
            (b'\r', Some(&next)) if next == dialect.newline => Some(Step::Nothing(from + 2)),
            (b'\r', None) if at_end => Some(Step::Nothing(from + 1)),
            (b'\r', None) => Some(Step::Incomplete),
            _ => None,
        }
    }

    /// Whether a line that begins as a comment is a record: it has as many fields as one.
    fn is_uncommented(&self, line: &[u8]) -> bool {
        let Some(width) = self.dialect.uncommented else { return false };
        let tokenizer = Tokenizer::of_any_width(Dialect { comment: None, ..self.dialect }, Rules::default());
        matches!(tokenizer.first_record(line, 0, true), FirstRecord::Found { fields, .. } if fields.len() == width)
    }

    /// The field whose opening quote stands at `open`.
    fn quoted(&self, data: &[u8], open: usize, at_end: bool) -> Quoted {
        let dialect = &self.dialect;
        let unfinished = |at: usize| if at_end { Quoted::Flaw(at, Flaw::OpenQuote) } else { Quoted::Incomplete };
        let mut escaped = false;
        let mut at = open + 1;
        let close = loop {
            match self.next_quote(data, at) {
                None => return unfinished(open),
                Some((at_quote, true)) => match data.get(at_quote + 1) {
                    None => return unfinished(open),
                    Some(_) => (at, escaped) = (at_quote + 2, true),
                },
                Some((at_quote, false)) => match data.get(at_quote + 1) {
                    None if !at_end => return Quoted::Incomplete,
                    Some(&next) if dialect.escape == dialect.quote && Some(next) == dialect.quote => {
                        (at, escaped) = (at_quote + 2, true);
                    }
                    _ => break at_quote,
                },
            }
        };
        let field = Field::new(open + 1, close, true, escaped);
        let after = if dialect.spaced { behind_spaces(data, close + 1) } else { close + 1 };
        match (data.get(after).copied(), data.get(after + 1).copied()) {
            (None, _) if !at_end => Quoted::Incomplete,
            (None, _) => Quoted::Field(field, After::End(after)),
            (Some(byte), _) if byte == dialect.delimiter => match self.has_tail(data, after + 1, at_end) {
                Some(true) => Quoted::Field(field, After::Delimiter(after + 1 + dialect.tail.as_slice().len())),
                Some(false) => Quoted::Flaw(after, Flaw::AfterQuote),
                None => Quoted::Incomplete,
            },
            (Some(byte), _) if byte == dialect.newline => Quoted::Field(field, After::End(after + 1)),
            (Some(b'\r'), Some(next)) if next == dialect.newline => Quoted::Field(field, After::End(after + 2)),
            (Some(b'\r'), None) if at_end => Quoted::Field(field, After::End(after + 1)),
            (Some(b'\r'), None) => Quoted::Incomplete,
            _ => Quoted::Flaw(after, Flaw::AfterQuote),
        }
    }

    /// The next quote or escape from `at` on; true for an escape that is not the quote itself.
    fn next_quote(&self, data: &[u8], at: usize) -> Option<(usize, bool)> {
        let quote = self.dialect.quote?;
        let rest = data.get(at..)?;
        match self.dialect.escape {
            Some(escape) if escape != quote => {
                let found = memchr2(quote, escape, rest)?;
                Some((at + found, rest.get(found) == Some(&escape)))
            }
            _ => memchr(quote, rest).map(|found| (at + found, false)),
        }
    }

    /// A bad record ends with its line: quotes can no longer be trusted.
    fn bad(&self, data: &[u8], start: usize, at: usize, flaw: Flaw, at_end: bool) -> Step {
        let end = match memchr(self.dialect.newline, data.get(at..).unwrap_or_default()) {
            Some(length) => at + length + 1,
            None if !at_end => return Step::Incomplete,
            None => data.len(),
        };
        Step::Bad(BadRecord { start, end, at, flaw })
    }

    fn has_quote(&self, data: &[u8], start: usize, end: usize) -> bool {
        self.dialect.quote.is_some_and(|quote| memchr(quote, data.get(start..end).unwrap_or_default()).is_some())
    }

    /// The end of the record in whose middle `at` lies. `at` is not 0.
    pub fn end_of_broken(&self, data: &[u8], at: usize, place: Place, at_end: bool) -> Broken {
        let mut seeker = Seeker::new(data, self.dialect.delimiter, self.dialect.newline);
        let from = match place {
            Place::FieldStart => at,
            Place::InField => {
                let end = self.field_end(data, at, at_end, &mut seeker);
                if self.strict && self.has_quote(data, at, end.unwrap_or(data.len())) {
                    return Broken::Refuted;
                }
                match end {
                    Some(end) if data.get(end) == Some(&self.dialect.newline) => return Broken::End(end + 1),
                    Some(end) if end == data.len() => return Broken::End(end),
                    Some(end) => end + 1 + self.dialect.tail.as_slice().len(),
                    None => return Broken::Open,
                }
            }
            // As if the opening quote stood right before.
            Place::InQuotes => match self.quoted(data, at.saturating_sub(1), at_end) {
                Quoted::Field(_, After::End(end)) => return Broken::End(end),
                Quoted::Field(_, After::Delimiter(next)) => next,
                Quoted::Incomplete => return Broken::Open,
                Quoted::Flaw(..) => return Broken::Refuted,
            },
        };
        // The rest of the record is read as one; what looks like a comment or blank line here is a field.
        let dialect = Dialect { comment: None, blank_is_record: true, ..self.dialect };
        let rest = Tokenizer { dialect, columns: None, ..self.strict() };
        let mut seeker = Seeker::new(data, self.dialect.delimiter, self.dialect.newline);
        if from >= data.len() {
            return if at_end { Broken::End(data.len()) } else { Broken::Open };
        }
        match rest.record(data, from, at_end, &mut seeker, |_, _| {}) {
            Step::Record(end) => Broken::End(end),
            Step::Incomplete => Broken::Open,
            Step::Bad(_) | Step::Nothing(_) => Broken::Refuted,
        }
    }
}

/// What becomes of a record that is read from its middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// The next record starts there.
    End(usize),
    /// No well-formed record goes on like this.
    Refuted,
    /// It goes on behind the window.
    Open,
}

/// Where in a record a cut lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    FieldStart,
    InField,
    InQuotes,
}

enum After {
    Delimiter(usize),
    End(usize),
}

enum Quoted {
    Field(Field, After),
    Incomplete,
    Flaw(usize, Flaw),
}

/// Where the spaces from `at` on end.
fn behind_spaces(data: &[u8], at: usize) -> usize {
    at + data.get(at..).unwrap_or_default().iter().take_while(|byte| **byte == b' ').count()
}

fn without_return(data: &[u8], start: usize, end: usize, newline: u8) -> usize {
    if newline == b'\n' && end > start && data.get(end - 1) == Some(&b'\r') { end - 1 } else { end }
}

#[cfg(test)]
mod tests;
