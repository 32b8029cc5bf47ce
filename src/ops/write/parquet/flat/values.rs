//! What numbers and texts have in common while a page of them is made.

use arrow::array::ArrayRef;
use parquet::basic::BoundaryOrder;
use parquet::file::statistics::Statistics;

use crate::error::Result;

/// The values of one column chunk: those of the page that is being made, and the dictionary.
pub(super) trait PageValues: Send {
    /// Adds the values that are not null of the first rows of `column` to the page: as many as there are, at most `rows`
    /// rows and about `bytes` bytes, and at least one row. How many rows.
    fn append(&mut self, column: &ArrayRef, rows: usize, bytes: usize) -> Result<usize>;

    /// How many values the page has.
    fn count(&self) -> usize;

    /// Bytes of the page's values as they are.
    fn plain_bytes(&self) -> usize;

    /// Writes the page's values as they are.
    fn append_plain(&self, out: &mut Vec<u8>);

    /// Finds the place of each of the page's values in the dictionary, to which new ones are added.
    fn look_up(&mut self, indexes: &mut Vec<u32>);

    /// How many values the dictionary has.
    fn dictionary_len(&self) -> usize;

    /// Whether it should not grow further.
    fn dictionary_is_full(&self) -> bool;

    /// Keeps the first `count` values of the dictionary.
    fn truncate_dictionary(&mut self, count: usize);

    /// Writes the dictionary's values as they are.
    fn append_dictionary(&self, out: &mut Vec<u8>);

    /// Ends the page, and gives the least and greatest of its values as a page index has them; `None` where it has none
    /// that can be compared.
    fn end_page(&mut self) -> Option<(Vec<u8>, Vec<u8>)>;

    /// How the bounds of the pages follow one another.
    fn order(&self) -> BoundaryOrder;

    /// Of all pages, of which `nulls` rows were null.
    fn statistics(&self, nulls: u64) -> Statistics;

    /// Bytes held.
    fn bytes(&self) -> usize;
}
