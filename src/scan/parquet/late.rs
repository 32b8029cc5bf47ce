//! Late materialisation: the columns that simple conjuncts need first, the others only for the rows that pass.
//!
//! Invariant: a row is left out only when one of the conjuncts is false or NULL for it, by the same Arrow kernels that
//! the filter above uses. A predicate column is decoded once: its surviving values are kept for the output.
//!
//! Whether it pays is measured while the scan runs: it does when the columns that can wait are a good part of the
//! bytes, and few rows pass.

use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, ArrayRef, BooleanArray, BooleanBufferBuilder, Scalar};
use arrow::compute::kernels::cmp;
use arrow::compute::{FilterBuilder, and, concat, prep_null_mask_filter};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use datafusion_common::ScalarValue;
use datafusion_expr::utils::split_conjunction;
use datafusion_expr::{Between, BinaryExpr, Expr, Operator};
use parquet::arrow::arrow_reader::RowSelection;

use crate::error::Result;
use crate::memory::{Reservation, Tally};
use crate::scan::parquet::footer::Footer;
use crate::scan::parquet::plan::{Scan, file_column};
use crate::scan::parquet::prune::exact_literal;
use crate::scan::parquet::runtime;

/// Of the rows at most one in so many may pass for the detour to go on. With more the runs that are skipped are too
/// short: what skipping saves, its bookkeeping takes.
pub(super) const PASSING_SHARE: u64 = 16;
/// The columns that wait are at least one in so many of the bytes.
const WAITING_SHARE: i64 = 4;
/// When it did not pay, one split in so many tries again: data changes along a table.
const TRY_AGAIN: u64 = 16;

/// How many rows the conjuncts of one scan have let pass.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    splits: AtomicU64,
    seen: AtomicU64,
    passed: AtomicU64,
}

impl Gauge {
    fn pays(&self) -> bool {
        let split = self.splits.fetch_add(1, Ordering::Relaxed);
        let (seen, passed) = (self.seen.load(Ordering::Relaxed), self.passed.load(Ordering::Relaxed));
        split.is_multiple_of(TRY_AGAIN) || (seen > 0 && passed.saturating_mul(PASSING_SHARE) <= seen)
    }
}

/// A comparison of one column with a constant.
#[derive(Debug)]
struct Predicate {
    /// Where the column stands among the predicate columns.
    position: usize,
    operator: Operator,
    constant: Scalar<ArrayRef>,
}

/// What a split decodes first, and what it decodes of the rest.
#[derive(Debug)]
pub(super) struct Late {
    predicates: Vec<Predicate>,
    /// Runtime filters: where the column stands among the predicate columns, and which of the scan's filters it is.
    runtime: Vec<(usize, usize)>,
    /// Root columns that the predicates need, in file order.
    pub(super) first: Vec<usize>,
    /// The other root columns, in file order.
    pub(super) rest: Vec<usize>,
}

impl Late {
    /// The detour over root columns `roots` of a file; `None` when there is none or it does not pay.
    pub(super) fn plan(scan: &Scan, footer: &Footer, roots: &[usize]) -> Result<Option<Self>> {
        let mut comparisons = Vec::new();
        for conjunct in scan.request.filters.iter().flat_map(split_conjunction) {
            comparisons.extend(simple_comparisons(scan, footer, conjunct)?);
        }
        comparisons.retain(|(root, ..)| roots.contains(root));
        let runtime = runtime::filtered_columns(scan, footer, roots)?;
        let mut first: Vec<usize> = comparisons.iter().map(|(root, ..)| *root).collect();
        first.extend(runtime.iter().map(|(root, _)| *root));
        first.sort_unstable();
        first.dedup();
        let rest: Vec<usize> = roots.iter().copied().filter(|root| first.binary_search(root).is_err()).collect();
        let waiting = bytes(footer, &rest);
        if first.is_empty() || waiting.saturating_mul(WAITING_SHARE) < bytes(footer, roots) || waiting == 0 {
            return Ok(None);
        }
        if !scan.gauge.pays() {
            return Ok(None);
        }
        let predicate = |(root, operator, constant)| {
            let position = first.binary_search(&root).unwrap_or(usize::MAX);
            Predicate { position, operator, constant }
        };
        let predicates = comparisons.into_iter().map(predicate).collect();
        let place = |(root, filter)| Some((first.binary_search(&root).ok()?, filter));
        let runtime = runtime.into_iter().filter_map(place).collect();
        Ok(Some(Late { predicates, runtime, first, rest }))
    }

    /// Which rows of `batch`, made of the predicate columns, pass.
    fn mask(&self, scan: &Scan, batch: &RecordBatch) -> Result<BooleanArray> {
        let mut mask: Option<BooleanArray> = None;
        let mut narrow = |passing: BooleanArray| -> Result<()> {
            mask = Some(match mask.take() {
                Some(mask) => and(&mask, &passing)?,
                None => passing,
            });
            Ok(())
        };
        for predicate in &self.predicates {
            let Some(column) = batch.columns().get(predicate.position) else { continue };
            narrow(compare(column, predicate.operator, &predicate.constant)?)?;
        }
        for (position, filter) in &self.runtime {
            let (Some(column), Some(watched)) = (batch.columns().get(*position), scan.watched.get(*filter)) else {
                continue;
            };
            if let Some(passing) = watched.mask(column)? {
                narrow(passing)?;
            }
        }
        let mask = mask.unwrap_or_else(|| BooleanArray::from(vec![true; batch.num_rows()]));
        Ok(if mask.null_count() > 0 { prep_null_mask_filter(&mask) } else { mask })
    }
}

/// Compressed bytes of root columns in the file's first row group, which stands for all.
fn bytes(footer: &Footer, roots: &[usize]) -> i64 {
    let descriptor = footer.metadata().file_metadata().schema_descr();
    let columns = footer.metadata().row_groups().first().map(|group| group.columns()).unwrap_or_default();
    let wanted = columns.iter().enumerate().filter(|(leaf, _)| roots.contains(&descriptor.get_column_root_idx(*leaf)));
    wanted.map(|(_, column)| column.compressed_size()).sum()
}

type Comparison = (usize, Operator, Scalar<ArrayRef>);

/// A conjunct as comparisons of file columns with constants; empty when it is something else.
fn simple_comparisons(scan: &Scan, footer: &Footer, conjunct: &Expr) -> Result<Vec<Comparison>> {
    let pairs = match conjunct {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (left.as_ref(), right.as_ref()) {
            (Expr::Column(column), Expr::Literal(constant, _)) => vec![(column, *op, constant)],
            (Expr::Literal(constant, _), Expr::Column(column)) => match op.swap() {
                Some(op) => vec![(column, op, constant)],
                None => Vec::new(),
            },
            _ => Vec::new(),
        },
        Expr::Between(Between { expr, negated: false, low, high }) => {
            match (expr.as_ref(), low.as_ref(), high.as_ref()) {
                (Expr::Column(column), Expr::Literal(low, _), Expr::Literal(high, _)) => {
                    vec![(column, Operator::GtEq, low), (column, Operator::LtEq, high)]
                }
                _ => Vec::new(),
            }
        }
        _ => Vec::new(),
    };
    let mut comparisons = Vec::new();
    for (column, operator, constant) in pairs {
        match comparison(scan, footer, &column.name, operator, constant)? {
            Some(comparison) => comparisons.push(comparison),
            None => return Ok(Vec::new()),
        }
    }
    Ok(comparisons)
}

fn comparison(
    scan: &Scan,
    footer: &Footer,
    name: &str,
    operator: Operator,
    constant: &ScalarValue,
) -> Result<Option<Comparison>> {
    let is_comparison = matches!(
        operator,
        Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq | Operator::Eq | Operator::NotEq
    );
    let spec = &scan.request.spec;
    let in_files = spec.schema.fields().len().saturating_sub(spec.hive_columns);
    let Some((index, field)) = spec.schema.column_with_name(name).filter(|(index, _)| *index < in_files) else {
        return Ok(None);
    };
    let Some(root) = file_column(scan, footer, index)? else { return Ok(None) };
    let decoded = footer.reader.schema().fields().get(root).map(|field| field.data_type());
    // Only where decoding already gives the type in which the filter above compares.
    if !is_comparison || decoded != Some(field.data_type()) || footer.unchecked_text.get(root) != Some(&false) {
        return Ok(None);
    }
    let Some(constant) = typed_constant(constant, field.data_type()) else { return Ok(None) };
    Ok(Some((root, operator, Scalar::new(constant.to_array()?))))
}

fn typed_constant(constant: &ScalarValue, target: &DataType) -> Option<ScalarValue> {
    // Floats are left to the filter above: there 0.0 equals -0.0, while these kernels order the one below the other.
    if constant.is_null() || target.is_nested() || target.is_floating() {
        return None;
    }
    if constant.data_type() == *target {
        return Some(constant.clone());
    }
    match (constant, target) {
        (ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text), DataType::Utf8View) => {
            Some(ScalarValue::Utf8View(text.clone()))
        }
        _ => exact_literal(constant, target),
    }
}

fn compare(column: &ArrayRef, operator: Operator, constant: &Scalar<ArrayRef>) -> Result<BooleanArray> {
    Ok(match operator {
        Operator::Lt => cmp::lt(column, constant)?,
        Operator::LtEq => cmp::lt_eq(column, constant)?,
        Operator::Gt => cmp::gt(column, constant)?,
        Operator::GtEq => cmp::gt_eq(column, constant)?,
        Operator::Eq => cmp::eq(column, constant)?,
        _ => cmp::neq(column, constant)?,
    })
}

/// The rows of a split that passed, while their predicate columns are gathered.
#[derive(Debug)]
pub(super) struct Gathering {
    mask: BooleanBufferBuilder,
    /// Filtered batches by predicate column.
    kept: Vec<Vec<ArrayRef>>,
    rows: usize,
    passed: usize,
}

impl Gathering {
    /// Nothing gathered yet.
    pub(super) fn new(late: &Late) -> Self {
        let mask = BooleanBufferBuilder::new(0);
        Gathering { mask, kept: vec![Vec::new(); late.first.len()], rows: 0, passed: 0 }
    }

    /// Takes a batch of the predicate columns. False when there is no room to keep what passes.
    pub(super) fn push(
        &mut self,
        scan: &Scan,
        late: &Late,
        batch: &RecordBatch,
        reservation: &mut Reservation,
    ) -> Result<bool> {
        let mask = late.mask(scan, batch)?;
        let passing = mask.true_count();
        self.mask.append_buffer(mask.values());
        self.rows += batch.num_rows();
        self.passed += passing;
        if passing == 0 {
            return Ok(true);
        }
        let filter = FilterBuilder::new(&mask).optimize().build();
        for (kept, column) in self.kept.iter_mut().zip(batch.columns()) {
            let array = filter.filter(column)?;
            if !reservation.try_grow(array.get_array_memory_size()) {
                return Ok(false);
            }
            kept.push(array);
        }
        Ok(true)
    }

    /// The surviving rows: which ones of those that were read, and their predicate columns.
    pub(super) fn finish(mut self, gauge: &Gauge) -> Result<(RowSelection, Survivors)> {
        gauge.seen.fetch_add(self.rows as u64, Ordering::Relaxed);
        gauge.passed.fetch_add(self.passed as u64, Ordering::Relaxed);
        Tally::count("rows ruled out before the other columns", (self.rows - self.passed) as u64);
        let join = |arrays: &Vec<ArrayRef>| {
            let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
            concat(&arrays)
        };
        let columns =
            if self.passed == 0 { Vec::new() } else { self.kept.iter().map(join).collect::<Result<_, _>>()? };
        let selection = RowSelection::from_boolean_buffer(self.mask.finish());
        Ok((selection, Survivors { columns, next: 0, rows: self.passed }))
    }
}

/// The predicate columns of the rows that passed, handed out in step with the other columns.
#[derive(Debug)]
pub(super) struct Survivors {
    columns: Vec<ArrayRef>,
    next: usize,
    /// All rows that passed.
    pub(super) rows: usize,
}

impl Survivors {
    /// The next `rows` rows of every predicate column.
    pub(super) fn take(&mut self, rows: usize) -> Vec<ArrayRef> {
        let rows = rows.min(self.rows - self.next);
        let taken = self.columns.iter().map(|column| column.slice(self.next, rows)).collect();
        self.next += rows;
        taken
    }
}
