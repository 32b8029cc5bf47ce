//! Many records at once: where fields end, from bit masks of the separators and quotes.
//!
//! A stretch of the data that begins with a record is turned into masks. Separators between quotes are taken out by the
//! parity of the quotes before them, which is right as long as every quote opens or closes a field or is one of a
//! doubled pair; that is checked for all quotes at once. (Langdale and Lemire, "Parsing gigabytes of JSON per second",
//! 2019; Mühlbauer et al., "Instant loading for main memory databases", 2013.)
//!
//! Invariant: what is taken here is what [`Tokenizer`](super::tokenize::Tokenizer) would find record by record; from
//! the first record on that is not plainly well-formed it is left to that.

use memchr::{memchr, memmem};

use crate::scan::csv::count::{Count, Faultless};
use crate::scan::csv::dialect::Dialect;
use crate::scan::csv::quotes::{Before, Passed};
use crate::scan::csv::tokenize::{Bounds, Field};
#[cfg(target_arch = "x86_64")]
use crate::scan::masks::running_parity_multiplied;
use crate::scan::masks::{BLOCK, Finder, running_parity};
use crate::scan::positions::Positions;

/// Bytes that are looked at at once; what is noted of them stays in the cache of the first level.
pub const STRETCH: usize = 16 * 1024;

/// The three bytes that are looked for.
const DELIMITER: usize = 0;
const NEWLINE: usize = 1;
const QUOTE: usize = 2;

/// Finds records of a known number of fields, and remembers nothing between calls but its memory.
#[derive(Debug, Clone)]
pub struct Structure {
    dialect: Dialect,
    columns: usize,
    /// For each field that is kept, its place in the record.
    wanted: Vec<usize>,
    finder: Finder<3>,
    /// None where an escape is more than a second quote.
    faultless: Option<Faultless>,
    #[cfg(target_arch = "x86_64")]
    counts_bits: bool,
}

/// Memory for one stretch.
#[derive(Debug, Default)]
pub struct Scratch {
    blocks: Vec<[u64; 3]>,
    /// Ends of fields, counted from the beginning of the stretch.
    field_ends: Positions,
    /// Those of them that end records too.
    record_ends: Positions,
}

impl Scratch {
    /// Bytes that it takes at most.
    pub const BYTES: usize = STRETCH / BLOCK * size_of::<[u64; 3]>() + 2 * Positions::bytes(STRETCH / BLOCK);
}

impl Structure {
    /// Finds records of `columns` fields and keeps those at `wanted`, in that order. `None` where the dialect has
    /// something that masks do not tell.
    pub fn new(dialect: Dialect, columns: usize, wanted: &[usize]) -> Option<Self> {
        let blank_lines_are_told_apart = columns > 1 || dialect.blank_is_record;
        let are_in_records = wanted.iter().all(|&column| column < columns);
        if dialect.spaced || !dialect.tail.is_empty() || columns == 0 || !blank_lines_are_told_apart || !are_in_records
        {
            return None;
        }
        // Without quotes the third byte is one that is found anyway, and not looked at.
        let finder = Finder::new([dialect.delimiter, dialect.newline, dialect.quote.unwrap_or(dialect.newline)]);
        #[cfg(target_arch = "x86_64")]
        let counts_bits = is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("pclmulqdq");
        Some(Structure {
            dialect,
            columns,
            wanted: wanted.to_vec(),
            finder,
            faultless: Faultless::new(&dialect, columns),
            #[cfg(target_arch = "x86_64")]
            counts_bits,
        })
    }

    /// Appends the fields of records of `data` from `bounds.from` on, at most `bounds.max_rows`; gives their number and
    /// where the next one starts.
    pub fn read(&self, data: &[u8], bounds: Bounds, scratch: &mut Scratch, fields: &mut Vec<Field>) -> (usize, usize) {
        let from = bounds.from;
        let stretch = data.get(from..).unwrap_or_default();
        let stretch = self.before_comment(stretch.get(..STRETCH).unwrap_or(stretch));
        self.finder.find(stretch, &mut scratch.blocks);
        #[cfg(target_arch = "x86_64")]
        if self.counts_bits {
            // SAFETY: the machine was asked whether it has these instructions.
            return unsafe { self.records_counting_bits(data, stretch, bounds, scratch, fields) };
        }
        self.records(data, stretch, bounds, scratch, fields, running_parity)
    }

    /// What lies before the first line that looks like a comment.
    fn before_comment<'a>(&self, stretch: &'a [u8]) -> &'a [u8] {
        let Some(comment) = self.dialect.comment else { return stretch };
        if stretch.first() == Some(&comment) {
            return &[];
        }
        let end = memmem::find(stretch, &[self.dialect.newline, comment]);
        end.and_then(|end| stretch.get(..=end)).unwrap_or(stretch)
    }

    /// The same code for machines with instructions that count bits, find the first of them and multiply without carries.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "popcnt,lzcnt,bmi1,bmi2,pclmulqdq")]
    fn records_counting_bits(
        &self,
        data: &[u8],
        stretch: &[u8],
        bounds: Bounds,
        scratch: &mut Scratch,
        fields: &mut Vec<Field>,
    ) -> (usize, usize) {
        self.records(data, stretch, bounds, scratch, fields, |bits| running_parity_multiplied(bits))
    }

    #[inline(always)]
    fn records(
        &self,
        data: &[u8],
        stretch: &[u8],
        bounds: Bounds,
        scratch: &mut Scratch,
        fields: &mut Vec<Field>,
        parity: impl Fn(u64) -> u64,
    ) -> (usize, usize) {
        let from = bounds.from;
        if self.wanted.is_empty() {
            return self.count(stretch, &scratch.blocks, bounds, parity);
        }
        let quotes = self.settle_quotes(stretch, &mut scratch.blocks, parity);
        let most = scratch.blocks.len();
        scratch.record_ends.set(scratch.blocks.iter().map(|block| block[NEWLINE]), most);
        scratch.field_ends.set(scratch.blocks.iter().map(|block| block[NEWLINE] | block[DELIMITER]), most);
        let records = self.well_formed(scratch, bounds);
        let ends = scratch.field_ends.get();
        let next = match records.checked_sub(1).and_then(|last| scratch.record_ends.get().get(last)) {
            Some(&end) => from + end as usize + 1,
            None => return (0, from),
        };
        fields.reserve(records * self.wanted.len());
        let ends = ends.chunks_exact(self.columns).take(records);
        if quotes == Quotes::None && !self.may_end_with_return() {
            self.plain_fields(from, ends, fields);
            return (records, next);
        }
        let mut start = from;
        for record in ends {
            fields.extend(self.wanted.iter().map(|&column| {
                let begin = match column.checked_sub(1) {
                    Some(before) => from + record[before] as usize + 1,
                    None => start,
                };
                let is_last = column + 1 == self.columns;
                self.field(data, begin, from + record[column] as usize, is_last, quotes)
            }));
            start = from + record[self.columns - 1] as usize + 1;
        }
        (records, next)
    }

    /// Whether the last field of a record is wanted, before whose end a carriage return may stand.
    fn may_end_with_return(&self) -> bool {
        self.dialect.newline == b'\n' && self.wanted.contains(&(self.columns - 1))
    }

    /// The wanted fields of records without quotes whose fields end at `ends`.
    #[inline(always)]
    fn plain_fields<'a>(&self, from: usize, ends: impl Iterator<Item = &'a [u32]>, fields: &mut Vec<Field>) {
        let mut start = from;
        for record in ends {
            fields.extend(self.wanted.iter().map(|&column| {
                let begin = if column == 0 { start } else { from + record[column - 1] as usize + 1 };
                Field::new(begin, from + record[column] as usize, false, false)
            }));
            start = from + record[self.columns - 1] as usize + 1;
        }
    }

    /// Where no field is wanted: how many records there are, and where the next one starts.
    #[inline(always)]
    fn count(
        &self,
        stretch: &[u8],
        blocks: &[[u64; 3]],
        bounds: Bounds,
        parity_of: impl Fn(u64) -> u64,
    ) -> (usize, usize) {
        let end = bounds.from.saturating_add(blocks.len() * BLOCK);
        // A record has a separator for each of its fields.
        let unbounded = end <= bounds.stop && bounds.max_rows >= (end - bounds.from) / self.columns;
        if unbounded && let Some((records, next)) = self.faultless.and_then(|counter| counter.count(blocks, &parity_of))
        {
            return (records, bounds.from + next);
        }
        let mut count = Count::from(bounds.from);
        // Without a quote nothing is between quotes.
        let quoted = self.dialect.quote.is_some()
            && (blocks.iter().fold(0, |all, block| all | block[QUOTE]) != 0
                || self.dialect.escape != self.dialect.quote);
        let (mut base, mut before) = (bounds.from, Before::default());
        for (index, &block) in blocks.iter().enumerate() {
            let [mut delimiters, mut newlines, _] = block;
            if quoted {
                let settled = self.settle(stretch, index, block, &mut before, &parity_of);
                if settled.refused {
                    break;
                }
                (delimiters, newlines) = (settled.delimiters, settled.newlines);
            }
            if !count.each(delimiters, newlines, base, self.columns, bounds) {
                break;
            }
            base += BLOCK;
        }
        (count.records, count.next)
    }

    /// How many records at the beginning have the right number of fields and may be read.
    #[inline(always)]
    fn well_formed(&self, scratch: &Scratch, bounds: Bounds) -> usize {
        let ends = scratch.record_ends.get();
        // The first starts before `stop`, and so does each whose predecessor ends before the byte before it.
        let before = bounds.stop.saturating_sub(bounds.from + 1);
        let starting = 1 + ends.partition_point(|&end| (end as usize) < before);
        let most = bounds.max_rows.min(starting).min(ends.len());
        let lasts = scratch.field_ends.get().chunks_exact(self.columns).map(|record| record[self.columns - 1]);
        lasts.zip(&ends[..most]).take_while(|(last, end)| last == *end).count()
    }

    #[inline(always)]
    fn field(&self, data: &[u8], begin: usize, end: usize, is_last: bool, quotes: Quotes) -> Field {
        let is = |at: usize, byte: u8| data.get(at) == Some(&byte);
        let returns = is_last && self.dialect.newline == b'\n' && end > begin && is(end - 1, b'\r');
        let end = if returns { end - 1 } else { end };
        match self.dialect.quote {
            Some(quote) if quotes != Quotes::None && end > begin + 1 && is(begin, quote) => {
                let within = data.get(begin + 1..end - 1).unwrap_or_default();
                let escaped = quotes == Quotes::Doubled && memchr(quote, within).is_some();
                Field::new(begin + 1, end - 1, true, escaped)
            }
            _ => Field::new(begin, end, false, false),
        }
    }

    /// Takes separators between quotes out, and everything from the first quote on that is not where one belongs.
    #[inline(always)]
    fn settle_quotes(&self, stretch: &[u8], blocks: &mut [[u64; 3]], parity_of: impl Fn(u64) -> u64) -> Quotes {
        if self.dialect.quote.is_none() {
            return Quotes::None;
        }
        let Some(first) = blocks.iter().position(|block| block[QUOTE] != 0) else { return Quotes::None };
        let mut found = Quotes::Single;
        let mut before = Before::default();
        if let Some(block) = first.checked_sub(1).and_then(|index| blocks.get(index)) {
            before.separator = (block[DELIMITER] | block[NEWLINE]) >> 63;
        }
        for index in first..blocks.len() {
            let settled = self.settle(stretch, index, blocks[index], &mut before, &parity_of);
            if settled.doubled {
                found = Quotes::Doubled;
            }
            if settled.refused {
                // The record that holds it, and what follows, is for others to read.
                for block in &mut blocks[index..] {
                    *block = [0; 3];
                }
                return found;
            }
            blocks[index] = [settled.delimiters, settled.newlines, blocks[index][QUOTE]];
        }
        found
    }

    /// Takes separators between quotes out of one block.
    #[inline(always)]
    fn settle(
        &self,
        stretch: &[u8],
        index: usize,
        [delimiters, newlines, quotes]: [u64; 3],
        before: &mut Before,
        parity_of: impl Fn(u64) -> u64,
    ) -> Settled {
        let Passed { delimiters, newlines, doubled, misplaced, text_behind } =
            before.pass([delimiters, newlines, quotes], parity_of);
        let refused = doubled && self.dialect.escape != self.dialect.quote
            || misplaced != 0
            || text_behind != 0 && self.refused(stretch, index, text_behind) != 0
            || self.has_other_escape(stretch, index);
        Settled { delimiters, newlines, doubled, refused }
    }

    /// Whether a block holds an escape that is not the quote.
    #[inline(always)]
    fn has_other_escape(&self, stretch: &[u8], index: usize) -> bool {
        self.dialect.escape.is_some_and(|escape| Some(escape) != self.dialect.quote && holds(stretch, index, escape))
    }

    /// Of the bytes behind closing quotes that are no separators, those that are not a carriage return before a newline
    /// either.
    fn refused(&self, stretch: &[u8], index: usize, mut text_behind: u64) -> u64 {
        let mut refused = 0;
        while text_behind != 0 {
            let lowest = text_behind & text_behind.wrapping_neg();
            let at = index * BLOCK + lowest.trailing_zeros() as usize;
            let returns = stretch.get(at..at + 2) == Some(&[b'\r', self.dialect.newline]);
            // What lies behind the stretch ends no record of it.
            if !returns && at + 1 < stretch.len() {
                refused |= lowest;
            }
            text_behind ^= lowest;
        }
        refused
    }
}

/// Whether a block of `stretch` holds a byte.
fn holds(stretch: &[u8], index: usize, byte: u8) -> bool {
    let block = stretch.get(index * BLOCK..).unwrap_or_default();
    memchr(byte, block.get(..BLOCK).unwrap_or(block)).is_some()
}

/// A block whose quotes are understood.
struct Settled {
    /// Those that end fields.
    delimiters: u64,
    newlines: u64,
    /// Whether quotes stand for quotes in it.
    doubled: bool,
    /// Whether something is not where it belongs.
    refused: bool,
}

/// What quotes a stretch has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    None,
    /// Around fields.
    Single,
    /// Within them too.
    Doubled,
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::scan::csv::tokenize::{Rules, Tile, Tokenizer};

    /// All records as the windows and calls fall, with what ended each call.
    fn read(tokenizer: &Tokenizer, data: &[u8], bounds: Bounds) -> Vec<String> {
        let (mut tile, mut from, mut seen) = (Tile::default(), bounds.from, Vec::new());
        loop {
            tokenizer.read(data, Bounds { from, ..bounds }, &mut tile);
            let flaw = (tile.bad, tile.incomplete);
            seen.extend(tile.fields.iter().map(|field| format!("{field:?}")));
            if tile.consumed == from {
                seen.push(format!("{flaw:?}, next at {from}"));
                return seen;
            }
            if flaw.0.is_some() {
                seen.push(format!("{flaw:?}, {}", tile.consumed));
            }
            from = tile.consumed;
        }
    }

    fn dialects() -> impl Strategy<Value = Dialect> {
        let quote = prop_oneof![
            Just((Some(b'"'), Some(b'"'))),
            Just((Some(b'"'), Some(b'\\'))),
            Just((Some(b'"'), None)),
            Just((None, None))
        ];
        let newline = prop_oneof![4 => Just(b'\n'), 1 => Just(b'\r')];
        (quote, newline).prop_map(|((quote, escape), newline)| Dialect { quote, escape, newline, ..Dialect::default() })
    }

    /// Records of `columns` fields, all of them well-formed or most.
    fn files(columns: usize) -> impl Strategy<Value = Vec<u8>> {
        let field = prop_oneof![
            4 => "[a-c]{0,9}",
            2 => "\"[a-c,\n\r]{0,70}\"",
            1 => "\"(\"\"|[a-c,\n]|\\\\.){0,9}\"",
            1 => Just(String::new()),
        ];
        let end = prop_oneof![6 => Just("\n"), 3 => Just("\r\n"), 1 => Just("\n\n")];
        let flaw = prop_oneof![40 => Just(""), 1 => Just("\""), 1 => Just(","), 1 => Just("\n"), 1 => Just("\\"), 1 => Just("\r")];
        let record = (vec(field, columns), end, flaw);
        (vec(record, 0..120), any::<bool>()).prop_map(|(records, flawless)| {
            let text = |(fields, end, flaw): (Vec<String>, &str, &str)| match flawless {
                true => format!("{}\n", fields.join(",")),
                false => format!("{}{flaw}{end}", fields.join(",")),
            };
            records.into_iter().map(text).collect::<String>().into_bytes()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn many_records_at_once_are_those_one_by_one(
            (columns, data) in (1..5usize).prop_flat_map(|columns| (Just(columns), files(columns))),
            dialect in dialects(),
            wanted in vec(0..5usize, 0..4),
            stop in prop_oneof![2 => Just(usize::MAX), 1 => 0..3_000usize],
            max_rows in prop_oneof![Just(1usize << 20), Just(20), Just(33)],
            at_end in any::<bool>(),
        ) {
            let dialect = Dialect { blank_is_record: columns == 1, ..dialect };
            let mut wanted: Vec<usize> = wanted.into_iter().filter(|&column| column < columns).collect();
            wanted.sort_unstable();
            wanted.dedup();
            wanted.reverse();
            let tokenizer = Tokenizer::new(dialect, Rules::default(), columns, &wanted);
            let bounds = Bounds { from: 0, stop, max_rows, at_end };
            prop_assert_eq!(read(&tokenizer, &data, bounds), read(&tokenizer.clone().one_by_one(), &data, bounds));
        }
    }

    #[test]
    fn stretches_follow_one_another() {
        let data: String = (0..20_000).map(|row| format!("{row},\"text, {row}\",\"say \"\"{row}\"\"\"\r\n")).collect();
        let tokenizer = Tokenizer::new(Dialect::default(), Rules::default(), 3, &[0, 1, 2]);
        let bounds = Bounds { from: 0, stop: usize::MAX, max_rows: usize::MAX, at_end: true };
        let mut tile = Tile::default();
        tokenizer.read(data.as_bytes(), bounds, &mut tile);
        assert_eq!((tile.rows, tile.consumed), (20_000, data.len()));
        assert_eq!(
            read(&tokenizer, data.as_bytes(), bounds),
            read(&tokenizer.clone().one_by_one(), data.as_bytes(), bounds)
        );
    }
}
