//! What runtime filters rule out in a file: row groups and pages by their bounds, and rows by the filtered columns alone.

use crate::batch::KeyFilter;
use crate::error::Result;
use crate::memory::Tally;
use crate::scan::parquet::bounds::ColumnBounds;
use crate::scan::parquet::footer::Footer;
use crate::scan::parquet::index::IndexReader;
use crate::scan::parquet::pages;
use crate::scan::parquet::plan::{Column, Part, Scan, column, file_column, some_rows};
use crate::scan::parquet::range::Range;
use crate::scan::runtime::Told;

/// Whether no row of the part can pass the filters that are known by now.
pub(super) fn rule_out(scan: &Scan, footer: &Footer, part: &Part) -> Result<bool> {
    for filter in &scan.request.runtime_filters {
        if !filter.filter.is_known() {
            continue;
        }
        if let Told::Keys(keys) = &filter.filter
            && keys.get().is_some_and(KeyFilter::is_empty)
        {
            return Ok(true);
        }
        let Some(field) = scan.request.spec.schema.fields().get(filter.column) else { continue };
        let groups: Vec<usize> = part.groups.clone().collect();
        match column(scan, footer, field.name(), &groups)? {
            Column::Bounded(bounds, data_type)
                if !data_type.is_floating()
                    && (0..groups.len()).all(|group| lies_outside(&bounds, group, &filter.filter)) =>
            {
                return Ok(true);
            }
            Column::Missing if !null_passes(&filter.filter) => return Ok(true),
            _ => {}
        }
    }
    Ok(false)
}

/// The part without the pages of which no row can pass the filters that are known by now; `None` when nothing is left.
pub(super) fn narrowed(scan: &Scan, footer: &Footer, part: &Part) -> Result<Option<Part>> {
    let rows = footer.metadata().row_groups().get(part.groups.start).map_or(0, |group| group.num_rows());
    let (group, rows) = (part.groups.start, u64::try_from(rows).unwrap_or(0));
    let known = scan.request.runtime_filters.iter().filter(|filter| filter.filter.is_known());
    let (mut index, mut runs, mut ruled_out) = (IndexReader::new(footer), None, 0);
    for filter in known.filter(|_| part.groups.len() == 1 && rows >= pages::LEAST_ROWS) {
        let Some(field) = scan.request.spec.schema.fields().get(filter.column) else { continue };
        if field.data_type().is_floating() || !scan.pages.1.is_worth_it() {
            continue;
        }
        let Some(paged) = pages::paged(scan, footer, &mut index, field.name(), group, rows)? else { continue };
        let all = paged.starts.len();
        let kept = paged.runs(rows, |page| !lies_outside(&paged.bounds, page, &filter.filter));
        let are_all = pages::are_all(&kept, rows);
        scan.pages.1.note(!are_all);
        if !are_all {
            ruled_out += (0..all).filter(|page| lies_outside(&paged.bounds, *page, &filter.filter)).count();
            let before = runs
                .take()
                .unwrap_or_else(|| part.rows.as_ref().map_or_else(|| pages::all(rows), |rows| rows.to_vec()));
            runs = Some(pages::common(&before, &kept));
        }
    }
    let Some(runs) = runs else { return Ok(Some(part.clone())) };
    Tally::count("pages ruled out while the query ran", ruled_out as u64);
    Ok((!runs.is_empty()).then(|| some_rows(group, runs)))
}

fn null_passes(told: &Told) -> bool {
    match told {
        Told::Keys(keys) => keys.get().is_none_or(KeyFilter::null_passes),
        Told::Threshold(threshold) => threshold.null_passes(),
    }
}

/// Whether no value of a row group can pass.
fn lies_outside(bounds: &ColumnBounds, group: usize, told: &Told) -> bool {
    let range = bounds.range(group);
    if range.may_be_null && null_passes(told) {
        return false;
    }
    if !range.may_be_value {
        return true;
    }
    match told {
        Told::Keys(keys) => keys.get().is_some_and(|keys| is_apart(&range, keys)),
        Told::Threshold(threshold) => threshold.rules_out(range.smallest.as_ref(), range.largest.as_ref()),
    }
}

/// Whether every value of a range lies outside of the keys' bounds.
fn is_apart(range: &Range, keys: &KeyFilter) -> bool {
    let Some((least, greatest)) = keys.bounds() else { return false };
    let end = range.smallest.as_ref().or(range.largest.as_ref()).map(datafusion_common::ScalarValue::data_type);
    let Some(data_type) = end else { return false };
    let (Ok(least), Ok(greatest)) = (least.cast_to(&data_type), greatest.cast_to(&data_type)) else { return false };
    if least.is_null() || greatest.is_null() {
        return false;
    }
    let keys = Range { smallest: Some(least), largest: Some(greatest), may_be_null: false, may_be_value: true };
    !range.compare(datafusion_expr::Operator::Eq, &keys).may_be_true
}

/// Root columns with a filter that is known and has paid so far, and which filter it is.
pub(super) fn filtered_columns(scan: &Scan, footer: &Footer, roots: &[usize]) -> Result<Vec<(usize, usize)>> {
    let mut found = Vec::new();
    for (index, (filter, watched)) in scan.request.runtime_filters.iter().zip(&scan.watched).enumerate() {
        if !filter.filter.is_known() || !watched.has_paid() {
            continue;
        }
        let Some(field) = scan.request.spec.schema.fields().get(filter.column) else { continue };
        let Some(root) = file_column(scan, footer, filter.column)? else { continue };
        // Only where decoding already gives the column's type.
        let decoded = footer.reader.schema().fields().get(root).map(|field| field.data_type());
        let is_ready = decoded == Some(field.data_type()) && footer.unchecked_text.get(root) == Some(&false);
        if is_ready && roots.contains(&root) {
            found.push((root, index));
        }
    }
    Ok(found)
}
