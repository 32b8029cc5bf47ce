//! What the build side tells the scan of the probe side.

use std::sync::Arc;

use arrow::array::ArrayRef;

use super::keys::WordBounds;
use super::spec::Spec;
use crate::batch::runtime_filter::{KeyBits, KeyBloom, Members};
use crate::batch::{KeyFilter, RuntimeFilter};
use crate::error::Result;
use crate::memory::Reservation;
use crate::store::QueryContext;

/// A bit for each integer of the bounds pays where there are at most so many for each row, or few at all.
const BITS_PER_ROW: usize = 64;
const FEW_BITS: usize = 1 << 20;

/// The filters of a build side while its table is filled.
pub(super) struct FilterBuilder {
    filters: Vec<Option<(Arc<RuntimeFilter>, Arc<KeyFilter>)>>,
}

impl FilterBuilder {
    /// For `rows` build rows whose keys lie within `bounds`. Which keys there are is only found out where all of them
    /// pass through the table (`is_whole`).
    pub(super) fn new(
        spec: &Spec,
        context: &QueryContext,
        is_whole: bool,
        rows: usize,
        bounds: &[Option<WordBounds>],
    ) -> Result<Self> {
        let filters = spec.filters.iter().zip(spec.build.key_types()).enumerate().map(|(key, (filter, data_type))| {
            let Some(slot) = filter.as_ref().filter(|_| !spec.shape.keeps_unmatched_probe()) else { return Ok(None) };
            let bounds = bounds.get(key).copied().flatten();
            let scalars = bounds.map(|bounds| bounds.scalars(&data_type)).transpose()?;
            let mut filter = KeyFilter::new(data_type, rows, scalars);
            if spec.null_equal {
                filter = filter.with_nulls();
            }
            if is_whole
                && rows > 0
                && let Some((members, reservation)) = members(context, rows, bounds)
            {
                filter = filter.with_members(members, reservation);
            }
            Ok(Some((slot.clone(), Arc::new(filter))))
        });
        Ok(FilterBuilder { filters: filters.collect::<Result<_>>()? })
    }

    /// Adds the keys of some build rows.
    pub(super) fn add(&self, keys: &[ArrayRef]) -> Result<()> {
        let filters = self.filters.iter().zip(keys);
        filters
            .filter_map(|(filter, key)| Some((filter.as_ref()?, key)))
            .try_for_each(|((_, filter), key)| filter.insert(key))
    }

    /// Tells the scans.
    pub(super) fn publish(&self) {
        for (slot, filter) in self.filters.iter().flatten() {
            slot.publish(filter.clone());
        }
    }
}

/// An empty set for `rows` keys; `None` where there is no room for one.
fn members(context: &QueryContext, rows: usize, bounds: Option<WordBounds>) -> Option<(Members, Reservation)> {
    let mut reservation = context.budget.reservation("runtime filter");
    let most = context.budget.effective_limit() / 16;
    let mut reserve = |bytes: usize| bytes <= most && reservation.try_grow(bytes);
    let range = bounds.map(|bounds| (bounds.least, bounds.greatest.wrapping_sub(bounds.least)));
    if let Some((first, range)) = range
        && let Ok(range) = usize::try_from(range)
        && range < rows.saturating_mul(BITS_PER_ROW).max(FEW_BITS)
        && reserve(KeyBits::bytes(range + 1))
    {
        return Some((Members::Bits(KeyBits::new(first, range + 1)), reservation));
    }
    reserve(KeyBloom::bytes(rows)).then(|| (Members::Bloom(KeyBloom::new(rows)), reservation))
}
