//! The least and the greatest value of a column chunk, put together from those of its pages.

use parquet::basic::BoundaryOrder;

/// Bounds of pages and of all of them.
pub(super) struct Bounds<T> {
    all: Option<(T, T)>,
    last: Option<(T, T)>,
    ascending: bool,
    descending: bool,
}

impl<T: PartialOrd + Clone> Bounds<T> {
    pub(super) fn new() -> Self {
        Bounds { all: None, last: None, ascending: true, descending: true }
    }

    /// The next page's.
    pub(super) fn add(&mut self, least: T, greatest: T) {
        if let Some((before_least, before_greatest)) = &self.last {
            self.ascending &= *before_least <= least && *before_greatest <= greatest;
            self.descending &= *before_least >= least && *before_greatest >= greatest;
        }
        self.all = match self.all.take() {
            None => Some((least.clone(), greatest.clone())),
            Some((all_least, all_greatest)) => Some((
                if least < all_least { least.clone() } else { all_least },
                if greatest > all_greatest { greatest.clone() } else { all_greatest },
            )),
        };
        self.last = Some((least, greatest));
    }

    /// Of all pages.
    pub(super) fn all(&self) -> Option<&(T, T)> {
        self.all.as_ref()
    }

    pub(super) fn order(&self) -> BoundaryOrder {
        match (self.ascending, self.descending) {
            (true, _) => BoundaryOrder::ASCENDING,
            (false, true) => BoundaryOrder::DESCENDING,
            (false, false) => BoundaryOrder::UNORDERED,
        }
    }
}
