//! One column without nesting: pages to pieces, pieces to the rows that are wanted.
//!
//! Invariant: rows are loaded or passed over in order, each once; every page says how many it has, and all pages
//! together have exactly the row group's.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBufferBuilder};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use bytes::Bytes;
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::serialized_reader::SerializedPageReader;

use super::finding::{Finding, PASSES};
use super::hybrid::{Hybrid, Numbers, damaged};
use super::physical::{Chosen, Physical};
use super::snappy::inflated;
use crate::error::{Error, Result};
use crate::expr::Selection;
use crate::scan::early::Condition;
use crate::scan::parquet::chunk::ChunkSource;

/// A dictionary of up to so many values for each row that is asked about is asked about instead.
const MOST_FOR_ROW: usize = 16;

/// The pages of one column in one row group.
pub(super) struct Pages {
    reader: SerializedPageReader<ChunkSource>,
    /// Whether what they hold is compressed by Snappy, and still is when the reader gives it.
    is_snappy: bool,
}

impl Pages {
    /// The pages of `chunk`, whose row group has `rows`; some of them are at `locations`, if given.
    ///
    /// # Errors
    /// What the parquet crate finds wrong with the chunk.
    pub(super) fn new(
        source: Arc<ChunkSource>,
        chunk: &ColumnChunkMetaData,
        rows: usize,
        locations: Option<Vec<PageLocation>>,
    ) -> Result<Self> {
        let is_snappy = chunk.compression() == Compression::SNAPPY;
        let reader = match is_snappy {
            false => SerializedPageReader::new(source, chunk, rows, locations)?,
            true => {
                let plain = chunk.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build()?;
                SerializedPageReader::new(source, &plain, rows, locations)?
            }
        };
        Ok(Pages { reader, is_snappy })
    }
}

/// A column being read. Rows are loaded some at a time; of those that are loaded, the wanted ones are appended to what
/// comes out.
pub(super) trait Column: Send {
    /// Goes on with the pages of the next row group.
    fn start(&mut self, pages: Pages);

    /// Loads the next rows instead of those that are.
    fn load(&mut self, rows: usize) -> Result<()>;

    /// Passes over the next rows; pages that hold no others are not inflated.
    fn skip(&mut self, rows: usize) -> Result<()>;

    /// Leaves of `rows` those that pass a condition over this column; `number` tells the scan's conditions apart.
    fn test(&mut self, condition: &Condition, number: usize, rows: &mut Rows) -> Result<()>;

    /// The wanted of the loaded rows.
    fn array(&mut self, rows: &Rows) -> Result<ArrayRef>;

    /// Appends the wanted of the loaded rows.
    fn append(&mut self, rows: &Rows) -> Result<()>;

    /// What was appended.
    fn finish(&mut self) -> Result<ArrayRef>;
}

/// Which of the loaded rows are wanted.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// How many are loaded.
    pub(super) count: usize,
    /// The wanted ones in ascending order; `None` for all.
    pub(super) chosen: Option<Vec<u32>>,
}

impl Rows {
    /// All of `count`.
    pub(super) fn all(count: usize) -> Self {
        Rows { count, chosen: None }
    }

    /// How many are wanted.
    pub(super) fn wanted(&self) -> usize {
        self.chosen.as_ref().map_or(self.count, Vec::len)
    }

    /// Keeps those of the wanted that are selected.
    pub(super) fn narrow(&mut self, selection: &Selection) {
        let wanted = self.wanted();
        if matches!(selection, Selection::All) {
            return;
        }
        let mask = selection.mask(wanted);
        let places = mask.set_indices_u32();
        self.chosen = Some(match self.chosen.take() {
            None => places.collect(),
            Some(chosen) => places.filter_map(|place| chosen.get(place as usize).copied()).collect(),
        });
    }

    /// The wanted ones among `range`.
    fn within(&self, range: &Range<usize>) -> Chosen<'_> {
        match &self.chosen {
            None => Chosen::All,
            Some(chosen) => {
                let place = |row: usize| chosen.partition_point(|&chosen| (chosen as usize) < row);
                let of_range = chosen.get(place(range.start)..place(range.end)).unwrap_or_default();
                Chosen::Some(of_range, u32::try_from(range.start).unwrap_or(u32::MAX))
            }
        }
    }
}

/// A column of one physical type.
pub(super) struct Leaf<P: Physical> {
    physical: P,
    /// Whether values may be NULL.
    nullable: bool,
    pages: Option<Pages>,
    dictionary: Option<Arc<Dictionary<P>>>,
    page: Option<OpenPage>,
    /// The loaded rows in pieces, and where each piece begins and ends.
    pieces: Vec<(Range<usize>, Piece<P>)>,
    output: P::Output,
    validity: Option<BooleanBufferBuilder>,
    /// Rows that have been appended.
    appended: usize,
    levels: Vec<u32>,
    /// Its memory is used again.
    finding: Finding,
}

struct Dictionary<P: Physical> {
    values: P::Dictionary,
    length: usize,
    /// By condition: which of the values pass.
    passing: parking_lot::Mutex<Vec<(usize, Arc<[u8]>)>>,
}

/// A page of which rows are left.
struct OpenPage {
    left: usize,
    /// `None` where no value may be NULL.
    levels: Option<Hybrid>,
    values: Values,
}

enum Values {
    Indexed(Hybrid),
    Plain { page: Bytes, at: usize },
}

/// Rows of one page.
struct Piece<P: Physical> {
    validity: Option<BooleanBuffer>,
    values: PieceValues<P>,
}

enum PieceValues<P: Physical> {
    /// An index for every row, none of which is NULL; not looked at yet.
    Indexed(Arc<Dictionary<P>>, Numbers),
    /// An index for every row that is not NULL, known to be within the dictionary, and any number for the others.
    Spread(Arc<Dictionary<P>>, Vec<u32>),
    Plain(P::Plain),
}

impl<P: Physical> Leaf<P> {
    /// A column of which nothing is read yet.
    pub(super) fn new(physical: P, nullable: bool) -> Self {
        let (pages, dictionary, page, validity) = (None, None, None, None);
        let (pieces, levels, output, appended) = (Vec::new(), Vec::new(), P::Output::default(), 0);
        let finding = Finding::default();
        Leaf { physical, nullable, pages, dictionary, page, pieces, output, validity, appended, levels, finding }
    }

    /// Opens the next page that has rows.
    fn next_page(&mut self) -> Result<()> {
        loop {
            let pages = self.pages.as_mut().ok_or_else(|| Error::internal("no row group was started"))?;
            let page = pages.reader.get_next_page()?.ok_or_else(|| damaged("rows are missing"))?;
            let is_snappy = pages.is_snappy;
            if let Page::DictionaryPage { buf, num_values, .. } = page {
                let buf = if is_snappy { inflated(&buf, !P::POINTS_INTO_PAGES)? } else { buf };
                let values = self.physical.dictionary(buf, num_values as usize)?;
                let (length, passing) = (P::dictionary_length(&values), parking_lot::Mutex::default());
                self.dictionary = Some(Arc::new(Dictionary { values, length, passing }));
                continue;
            }
            let opened = self.open(page, is_snappy)?;
            if opened.left > 0 {
                self.page = Some(opened);
                return Ok(());
            }
        }
    }

    fn open(&self, page: Page, is_snappy: bool) -> Result<OpenPage> {
        let (left, encoding) = (page.num_values() as usize, page.encoding());
        let may_point = !P::POINTS_INTO_PAGES || encoding != Encoding::PLAIN;
        let (levels, values) = match page {
            Page::DataPage { buf, .. } => {
                let buf = if is_snappy { inflated(&buf, may_point)? } else { buf };
                match self.nullable {
                    true => {
                        let length = buf.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes) as usize);
                        let levels = length.filter(|length| *length <= buf.len() - 4);
                        let levels = levels.ok_or_else(|| damaged("its levels do not fit"))?;
                        (Some(Hybrid::new(buf.slice(4..4 + levels), 1)?), buf.slice(4 + levels..))
                    }
                    false => (None, buf),
                }
            }
            Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, is_compressed, .. } => {
                let (from, length) = (rep_levels_byte_len as usize, def_levels_byte_len as usize);
                if from.checked_add(length).is_none_or(|end| end > buf.len()) {
                    return Err(damaged("its levels do not fit"));
                }
                let levels = Hybrid::new(buf.slice(from..from + length), 1)?;
                let values = buf.slice(from + length..);
                let values = if is_snappy && is_compressed { inflated(&values, may_point)? } else { values };
                (self.nullable.then_some(levels), values)
            }
            Page::DictionaryPage { .. } => return Err(Error::internal("a dictionary is no data")),
        };
        let values = match encoding {
            Encoding::PLAIN => Values::Plain { page: values, at: 0 },
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY => {
                // A page of nothing but NULLs may be empty.
                let width = values.first().copied().unwrap_or(0);
                Values::Indexed(Hybrid::new(values.slice(1.min(values.len())..), usize::from(width))?)
            }
            other => return Err(damaged(format!("the encoding {other}, which the footer does not name"))),
        };
        Ok(OpenPage { left, levels, values })
    }

    /// Which of the next `rows` rows of the page have values; `None` when all have.
    fn validity(levels: &mut Vec<u32>, page: &mut OpenPage, rows: usize) -> Result<Option<BooleanBuffer>> {
        let Some(hybrid) = &mut page.levels else { return Ok(None) };
        let valid = hybrid.take_equal(1, rows)?;
        if valid == rows {
            return Ok(None);
        }
        levels.clear();
        levels.resize(valid, 1);
        hybrid.read(rows - valid, levels)?;
        Ok(Some(BooleanBuffer::collect_bool(rows, |row| levels.get(row) == Some(&1)))
            .filter(|bits| bits.count_set_bits() < rows))
    }

    /// The next `rows` rows of the page, which has so many.
    fn piece(&mut self, rows: usize) -> Result<Piece<P>> {
        let page = self.page.as_mut().ok_or_else(|| Error::internal("no page is open"))?;
        let validity = Self::validity(&mut self.levels, page, rows)?;
        page.left -= rows;
        let values = match &mut page.values {
            Values::Plain { page, at } => PieceValues::Plain(self.physical.plain(page, at, rows, validity.as_ref())?),
            Values::Indexed(hybrid) => {
                let dictionary = self.dictionary.clone().ok_or_else(|| damaged("it has no dictionary"))?;
                match &validity {
                    None => PieceValues::Indexed(dictionary, hybrid.take(rows)?),
                    Some(validity) => {
                        let indexes = dictionary.spread(hybrid, validity)?;
                        PieceValues::Spread(dictionary, indexes)
                    }
                }
            }
        };
        Ok(Piece { validity, values })
    }

    /// Passes over `rows` rows of the open page.
    fn skip_in_page(&mut self, rows: usize) -> Result<()> {
        let Some(page) = self.page.as_mut() else { return Ok(()) };
        page.left -= rows;
        if page.left == 0 {
            self.page = None;
            return Ok(());
        }
        let validity = Self::validity(&mut self.levels, page, rows)?;
        let values = validity.map_or(rows, |validity| validity.count_set_bits());
        match &mut page.values {
            Values::Plain { page, at } => self.physical.skip_plain(page, at, values),
            Values::Indexed(hybrid) => hybrid.skip(values),
        }
    }

    /// Passes over the next page unread when it has at most `most` rows; gives how many.
    fn skip_page(&mut self, most: usize) -> Result<usize> {
        let pages = self.pages.as_mut().ok_or_else(|| Error::internal("no row group was started"))?;
        let pages = &mut pages.reader;
        let next = pages.peek_next_page()?.ok_or_else(|| damaged("rows are missing"))?;
        let rows = next.num_rows.or(next.num_levels).filter(|rows| !next.is_dict && *rows <= most);
        match rows {
            Some(rows) => {
                pages.skip_next_page()?;
                Ok(rows)
            }
            None => {
                self.next_page()?;
                Ok(0)
            }
        }
    }
}

impl<P: Physical> Dictionary<P> {
    /// Which of the values pass, as [`Finding`] wants it; asked once for each condition, and only where that is not much more
    /// than asking about `wanted` rows.
    fn passing(&self, physical: &P, condition: &Condition, number: usize, wanted: usize) -> Result<Option<Arc<[u8]>>> {
        let mut known = self.passing.lock();
        if let Some((_, passing)) = known.iter().find(|(known, _)| *known == number) {
            return Ok(Some(passing.clone()));
        }
        if self.length > wanted.saturating_mul(MOST_FOR_ROW) {
            return Ok(None);
        }
        let mut output = P::Output::default();
        let indexes: Vec<u32> = (0..u32::try_from(self.length).unwrap_or(u32::MAX)).collect();
        P::gather(&self.values, &indexes, &mut output);
        let selection = condition.select(vec![physical.finish(output, None)?], self.length)?;
        let mask = selection.mask(self.length);
        let passing: Arc<[u8]> = mask.iter().map(|passes| if passes { PASSES } else { 0 }).collect();
        known.push((number, passing.clone()));
        Ok(Some(passing))
    }

    /// The next indexes, one for each row that is valid, each at its row.
    fn spread(&self, hybrid: &mut Hybrid, validity: &BooleanBuffer) -> Result<Vec<u32>> {
        let mut indexes = Vec::new();
        hybrid.read(validity.count_set_bits(), &mut indexes)?;
        if indexes.iter().any(|index| *index as usize >= self.length) {
            return Err(self.beyond());
        }
        let mut spread = vec![0; validity.len()];
        for (row, index) in validity.set_indices().zip(&indexes) {
            spread[row] = *index;
        }
        Ok(spread)
    }

    /// Appends the values of the chosen of `numbers`.
    fn append(&self, numbers: &Numbers, chosen: Chosen, finding: &mut Finding, output: &mut P::Output) -> Result<()> {
        let mut known = true;
        match chosen {
            Chosen::All => {
                P::reserve(output, numbers.count());
                numbers.each(&mut finding.space, |indexes| known &= P::gather(&self.values, indexes, output));
            }
            Chosen::Some(rows, base) => {
                finding.choose(numbers, rows, base);
                known = P::gather(&self.values, &finding.chosen, output);
            }
        }
        if known { Ok(()) } else { Err(self.beyond()) }
    }

    fn beyond(&self) -> Error {
        damaged(format!("a value beyond the {} of its dictionary", self.length))
    }
}

impl<P: Physical> Piece<P> {
    fn is_valid(&self, row: usize) -> bool {
        self.validity.as_ref().is_none_or(|validity| row < validity.len() && validity.value(row))
    }
}

impl<P: Physical> Column for Leaf<P> {
    fn start(&mut self, pages: Pages) {
        (self.pages, self.dictionary, self.page) = (Some(pages), None, None);
    }

    fn load(&mut self, rows: usize) -> Result<()> {
        self.pieces.clear();
        let mut loaded = 0;
        while loaded < rows {
            let Some(page) = &self.page else {
                self.next_page()?;
                continue;
            };
            let count = page.left.min(rows - loaded);
            let piece = self.piece(count)?;
            self.page.take_if(|page| page.left == 0);
            self.pieces.push((loaded..loaded + count, piece));
            loaded += count;
        }
        Ok(())
    }

    fn skip(&mut self, rows: usize) -> Result<()> {
        self.pieces.clear();
        let mut left = rows;
        while left > 0 {
            left -= match &self.page {
                Some(page) => {
                    let count = page.left.min(left);
                    self.skip_in_page(count)?;
                    count
                }
                None => self.skip_page(left)?,
            };
        }
        Ok(())
    }

    fn test(&mut self, condition: &Condition, number: usize, rows: &mut Rows) -> Result<()> {
        let wanted = rows.wanted();
        // NULL passes some conditions, and has no place in a dictionary.
        let passing = self.pieces.iter().map(|(_, piece)| match &piece.values {
            PieceValues::Indexed(dictionary, _) => dictionary.passing(&self.physical, condition, number, wanted),
            _ => Ok(None),
        });
        let passing: Option<Vec<_>> = passing.collect::<Result<_>>()?;
        let Some(passing) = passing else {
            let array = self.array(rows)?;
            rows.narrow(&condition.select(vec![array], wanted)?);
            return Ok(());
        };
        let mut chosen = Vec::with_capacity(wanted);
        for ((range, piece), passing) in self.pieces.iter().zip(passing) {
            let PieceValues::Indexed(dictionary, numbers) = &piece.values else { continue };
            let base = u32::try_from(range.start).unwrap_or(u32::MAX);
            if !self.finding.find(numbers, &passing, rows.within(range), base, &mut chosen) {
                return Err(dictionary.beyond());
            }
        }
        if chosen.len() < wanted {
            rows.chosen = Some(chosen);
        }
        Ok(())
    }

    fn array(&mut self, rows: &Rows) -> Result<ArrayRef> {
        let mut output = P::Output::default();
        let mut validity = None;
        self.append_to(rows, &mut output, &mut validity, 0)?;
        let nulls = validity.map(|mut bits| NullBuffer::new(bits.finish()));
        self.physical.finish(output, nulls)
    }

    fn append(&mut self, rows: &Rows) -> Result<()> {
        let (mut output, mut validity) = (std::mem::take(&mut self.output), self.validity.take());
        self.append_to(rows, &mut output, &mut validity, self.appended)?;
        self.appended += rows.wanted();
        (self.output, self.validity) = (output, validity);
        Ok(())
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        self.appended = 0;
        let nulls = self.validity.take().map(|mut bits| NullBuffer::new(bits.finish()));
        self.physical.finish(std::mem::take(&mut self.output), nulls)
    }
}

impl<P: Physical> Leaf<P> {
    /// Appends the wanted of the loaded rows; `before` were appended already.
    fn append_to(
        &mut self,
        rows: &Rows,
        output: &mut P::Output,
        validity: &mut Option<BooleanBufferBuilder>,
        before: usize,
    ) -> Result<()> {
        let mut done = before;
        for (range, piece) in &self.pieces {
            let chosen = rows.within(range);
            let count = match chosen {
                Chosen::All => range.len(),
                Chosen::Some(rows, _) => rows.len(),
            };
            if count == 0 {
                continue;
            }
            match &piece.values {
                PieceValues::Indexed(dictionary, numbers) => {
                    dictionary.append(numbers, chosen, &mut self.finding, output)?;
                }
                PieceValues::Spread(dictionary, indexes) => {
                    let indexes = self.finding.chosen_of(indexes, chosen);
                    P::gather(&dictionary.values, indexes, output);
                }
                PieceValues::Plain(plain) => self.physical.append_plain(plain, chosen, output),
            }
            if validity.is_none() && piece.validity.is_some() {
                let mut bits = BooleanBufferBuilder::new(done + count);
                bits.append_n(done, true);
                *validity = Some(bits);
            }
            if let Some(bits) = validity {
                match (&piece.validity, chosen) {
                    (None, _) => bits.append_n(count, true),
                    (Some(valid), Chosen::All) => bits.append_buffer(valid),
                    (Some(_), Chosen::Some(rows, base)) => {
                        rows.iter().for_each(|row| bits.append(piece.is_valid((row - base) as usize)));
                    }
                }
            }
            done += count;
        }
        Ok(())
    }
}
