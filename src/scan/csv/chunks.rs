//! Where the records of an inflated stream end.

use memchr::{memchr, memrchr};

use crate::error::{Code, Error, Result};
use crate::scan::chunks::Cutter;
use crate::scan::csv::tokenize::{Bounds, MAX_WINDOW, Tile, Tokenizer};

/// Finds the last record's end as the reader of the records will: with the same tokenizer.
pub struct RecordCutter {
    tokenizer: Tokenizer,
    tile: Tile,
}

impl RecordCutter {
    /// Cuts records of `tokenizer`, which keeps no field.
    pub fn new(tokenizer: Tokenizer) -> Self {
        RecordCutter { tokenizer, tile: Tile::default() }
    }
}

impl Cutter for RecordCutter {
    fn whole(&mut self, bytes: &[u8], searched: usize) -> Result<usize> {
        let dialect = self.tokenizer.dialect();
        if dialect.quote.is_none_or(|quote| memchr(quote, bytes).is_none()) {
            let unseen = bytes.get(searched..).unwrap_or_default();
            return Ok(memrchr(dialect.newline, unseen).map_or(0, |end| searched + end + 1));
        }
        let mut at = 0;
        loop {
            let bounds = Bounds { from: at, stop: usize::MAX, max_rows: usize::MAX, at_end: false };
            self.tokenizer.read(bytes, bounds, &mut self.tile);
            let stands = self.tile.consumed == at;
            at = self.tile.consumed;
            if stands || self.tile.incomplete {
                return Ok(at);
            }
        }
    }

    fn longest(&self) -> usize {
        MAX_WINDOW / 2
    }

    fn too_long(&self) -> Error {
        let message = format!("a record is larger than {} bytes", self.longest());
        Error::new(Code::InvalidData, message).hint("is a quote never closed?")
    }
}
