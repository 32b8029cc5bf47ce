//! Which rows of a page have indexes that pass a condition, and the indexes of chosen rows.
//!
//! Where many rows are asked about, all indexes are unpacked, where few, only theirs.

use super::hybrid::Numbers;
use super::physical::Chosen;
use crate::scan::masks::Finder;
use crate::scan::positions::Positions;

/// What stands for a value that passes; anything else is for one that does not.
pub(super) const PASSES: u8 = 1;
/// Where at least one in so many rows is chosen, all indexes are unpacked.
const DENSE: usize = 4;

/// Space for looking, used again and again.
#[derive(Debug)]
pub(super) struct Finding {
    /// Indexes that have just been unpacked.
    pub(super) space: Vec<u32>,
    /// The indexes of chosen rows.
    pub(super) chosen: Vec<u32>,
    /// Of each row, whether it passes.
    passing: Vec<u8>,
    blocks: Vec<[u64; 1]>,
    positions: Positions,
    finder: Finder<1>,
}

impl Default for Finding {
    fn default() -> Self {
        Finding {
            space: Vec::new(),
            chosen: Vec::new(),
            passing: Vec::new(),
            blocks: Vec::new(),
            positions: Positions::default(),
            finder: Finder::new([PASSES]),
        }
    }
}

impl Finding {
    /// Appends the `rows` whose numbers pass to `found`; rows are counted from `base` on, and `passing` has what each number
    /// means. False when some number has no place there.
    pub(super) fn find(
        &mut self,
        numbers: &Numbers,
        passing: &[u8],
        rows: Chosen,
        base: u32,
        found: &mut Vec<u32>,
    ) -> bool {
        match rows {
            Chosen::Some(rows, _) if !is_dense(rows, numbers) => find_few(numbers, passing, rows, base, found),
            _ => self.find_many(numbers, passing, rows, base, found),
        }
    }

    fn find_many(&mut self, numbers: &Numbers, passing: &[u8], rows: Chosen, base: u32, found: &mut Vec<u32>) -> bool {
        let mut known = true;
        let passes = &mut self.passing;
        passes.clear();
        passes.reserve(numbers.count());
        numbers.each(&mut self.space, |indexes| {
            passes.extend(indexes.iter().map(|index| {
                let passes = passing.get(*index as usize);
                known &= passes.is_some();
                passes.copied().unwrap_or_default()
            }));
        });
        match rows {
            Chosen::All => {
                self.finder.find(passes, &mut self.blocks);
                self.positions.set(self.blocks.iter().map(|[block]| *block), self.blocks.len());
                found.extend(self.positions.get().iter().map(|row| row + base));
            }
            Chosen::Some(rows, _) => {
                let mut keeping = Keeping::new(found, rows.len());
                for row in rows {
                    keeping.offer(*row, passes.get((row - base) as usize) == Some(&PASSES));
                }
                keeping.end();
            }
        }
        known
    }

    /// Finds the numbers of `rows`, which are counted from `base` on.
    pub(super) fn choose(&mut self, numbers: &Numbers, rows: &[u32], base: u32) {
        let (space, chosen) = (&mut self.space, &mut self.chosen);
        chosen.clear();
        chosen.reserve(rows.len());
        if !is_dense(rows, numbers) {
            numbers.at(rows, base, |_, index| chosen.push(index));
            return;
        }
        let (mut rest, mut first) = (rows, 0);
        numbers.each(space, |indexes| {
            let these = rest.partition_point(|row| ((row - base) as usize) < first + indexes.len());
            let (now, later) = rest.split_at(these);
            rest = later;
            let index = |row: &u32| indexes.get((row - base) as usize - first).copied().unwrap_or_default();
            chosen.extend(now.iter().map(index));
            first += indexes.len();
        });
    }

    /// Those of `indexes` that are chosen.
    pub(super) fn chosen_of<'a>(&'a mut self, indexes: &'a [u32], rows: Chosen) -> &'a [u32] {
        let Chosen::Some(rows, base) = rows else { return indexes };
        self.chosen.clear();
        let index = |row: &u32| indexes.get((row - base) as usize).copied().unwrap_or_default();
        self.chosen.extend(rows.iter().map(index));
        &self.chosen
    }
}

fn is_dense(rows: &[u32], numbers: &Numbers) -> bool {
    rows.len().saturating_mul(DENSE) >= numbers.count()
}

fn find_few(numbers: &Numbers, passing: &[u8], rows: &[u32], base: u32, found: &mut Vec<u32>) -> bool {
    let mut known = true;
    let mut keeping = Keeping::new(found, rows.len());
    numbers.at(rows, base, |row, index| {
        let passes = passing.get(index as usize);
        known &= passes.is_some();
        keeping.offer(row, passes == Some(&PASSES));
    });
    keeping.end();
    known
}

/// Appends to a list what passes of what is offered. All is written and only that kept: there is no branch to guess wrong.
struct Keeping<'a> {
    list: &'a mut Vec<u32>,
    end: usize,
}

impl<'a> Keeping<'a> {
    /// At most `most` will be offered.
    fn new(list: &'a mut Vec<u32>, most: usize) -> Self {
        let end = list.len();
        list.resize(end + most, 0);
        Keeping { list, end }
    }

    #[inline(always)]
    fn offer(&mut self, row: u32, passes: bool) {
        if let Some(slot) = self.list.get_mut(self.end) {
            *slot = row;
        }
        self.end += usize::from(passes);
    }

    fn end(self) {
        self.list.truncate(self.end);
    }
}
