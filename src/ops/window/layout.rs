//! What a window operator computes, and in what columns its rows travel.
//!
//! *Stored* rows: the carried columns in their stored types, the keys that are not among them, the sequence. Rows of a
//! *page*: the carried columns and the keys in their own types, the functions' inputs, and for each level one boolean that
//! says where a group begins.

use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, BooleanArray, UInt64Array};
use arrow::compute::{SortOptions, cast};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::groups::Boundaries;
use crate::error::{Error, Result};
use crate::expr::{Evaluator, SlidingInputs, WindowCall};
use crate::ops::partition::{Radix, stored_type};
use crate::ops::sort::{SortKey, SortKeys};
use crate::store::QueryContext;

/// The order of the rows.
#[derive(Debug)]
pub struct WindowOrder {
    /// The rows' schema as they arrive.
    pub input: SchemaRef,
    /// The columns of the input that functions or output need.
    pub carried: Vec<usize>,
    /// Over the input: what functions partition by, then what they order by.
    pub keys: Vec<SortKey>,
    /// How many keys at the beginning every function partitions by.
    pub shared: usize,
}

/// A function, compiled over the carried columns.
#[derive(Debug)]
pub struct WindowSlot {
    pub call: WindowCall,
    /// How many keys at the beginning it partitions by.
    pub partition: usize,
    /// How many more it orders by.
    pub order: usize,
}

/// A column of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowColumn {
    /// A carried column, by its place among them.
    Carried(usize),
    /// The value of a function.
    Function(usize),
}

/// A function and where its columns are in a page.
pub(super) struct Slot {
    pub(super) call: WindowCall,
    /// The level of its partitions and that of its peers.
    pub(super) partition: usize,
    pub(super) peers: usize,
    pub(super) arguments: Vec<usize>,
    pub(super) filter: Option<usize>,
    /// The column of its first ORDER BY key, and its direction.
    pub(super) order: Option<(usize, SortOptions)>,
}

impl Slot {
    /// What a page gives to the function.
    pub(super) fn inputs(&self, page: &RecordBatch) -> Result<SlidingInputs> {
        let column = |&index: &usize| {
            page.columns().get(index).cloned().ok_or_else(|| Error::internal("a page without a function's column"))
        };
        let arguments = self.arguments.iter().map(column).collect::<Result<_>>()?;
        let filter = self.filter.as_ref().map(column).transpose()?;
        let filter = filter.map(|filter| match filter.as_any().downcast_ref::<BooleanArray>() {
            Some(filter) => Ok(filter.clone()),
            None => Err(Error::internal("a FILTER that is not boolean")),
        });
        Ok(SlidingInputs { arguments, filter: filter.transpose()? })
    }
}

/// A window operator as data.
pub(super) struct Layout {
    order: WindowOrder,
    pub(super) slots: Vec<Slot>,
    columns: Vec<WindowColumn>,
    output: SchemaRef,
    /// Lengths of the beginnings of the keys that make groups, ascending.
    levels: Vec<usize>,
    /// Keys that are no carried column, evaluated when rows arrive.
    extra: Vec<usize>,
    /// Where each key is in stored rows and in pages.
    key_columns: Vec<usize>,
    /// Inputs of functions that are no carried column, evaluated over the sorted rows.
    inputs: Vec<Evaluator>,
    stored: SchemaRef,
    /// The carried columns in their own types.
    carried: SchemaRef,
    page: SchemaRef,
    /// The order of stored rows; none without keys.
    sort: Option<Arc<SortKeys>>,
    /// How rows are spread, the same for every lane: the memory limit may change under a query.
    radix: OnceLock<Radix>,
    /// Up to so many rows a lane does not spread them.
    pub(super) few_rows: usize,
}

/// Up to so many rows a lane does not spread them over partitions.
const FEW_ROWS: usize = 16 * 1024;

impl Layout {
    pub(super) fn new(
        order: WindowOrder,
        calls: Vec<WindowSlot>,
        columns: Vec<WindowColumn>,
        output: SchemaRef,
    ) -> Result<Self> {
        let carried = Arc::new(order.input.project(&order.carried)?);
        let mut extra = Vec::new();
        let mut key_columns = Vec::with_capacity(order.keys.len());
        for (index, key) in order.keys.iter().enumerate() {
            let position =
                key.evaluator.column().and_then(|column| order.carried.iter().position(|&own| own == column));
            key_columns.push(position.unwrap_or(carried.fields().len() + extra.len()));
            if position.is_none() {
                extra.push(index);
            }
        }
        let stored = stored_rows(&carried, extra.iter().map(|&index| &order.keys[index]));
        let mut levels: Vec<usize> =
            calls.iter().flat_map(|slot| [slot.partition, slot.partition + slot.order]).collect();
        levels.sort_unstable();
        levels.dedup();
        let (slots, inputs) = place(&order, calls, &levels, &key_columns, carried.fields().len() + extra.len())?;
        let page = page_rows(&carried, extra.iter().map(|&index| &order.keys[index]), &inputs, levels.len());
        let options = |key: &SortKey| SortOptions { descending: key.descending, nulls_first: key.nulls_first };
        let sorted: Vec<_> = key_columns.iter().copied().zip(order.keys.iter().map(options)).collect();
        let sort = match sorted.is_empty() {
            true => None,
            false => Some(Arc::new(SortKeys::over_columns(&sorted, stored.clone())?)),
        };
        let (radix, few_rows) = (OnceLock::new(), FEW_ROWS);
        Ok(Layout {
            order,
            slots,
            columns,
            output,
            levels,
            extra,
            key_columns,
            inputs,
            stored,
            carried,
            page,
            sort,
            radix,
            few_rows,
        })
    }

    /// So many radix partitions that most are sorted in memory.
    pub(super) fn radix(&self, context: &QueryContext) -> Radix {
        *self.radix.get_or_init(|| match context.budget.limit() >> 20 {
            0..=31 => Radix::first(32),
            32..=127 => Radix::first(128),
            _ => Radix::first(256),
        })
    }

    /// The schema of stored rows.
    pub(super) fn stored(&self) -> &SchemaRef {
        &self.stored
    }

    /// The order of stored rows; none where there is no key.
    pub(super) fn sort(&self) -> Option<&Arc<SortKeys>> {
        self.sort.as_ref()
    }

    pub(super) fn output(&self) -> &SchemaRef {
        &self.output
    }

    /// Number of levels.
    pub(super) fn levels(&self) -> usize {
        self.levels.len()
    }

    /// Whether rows go to radix partitions.
    pub(super) fn is_partitioned(&self) -> bool {
        self.order.shared > 0
    }

    /// The type of a page's column.
    pub(super) fn column_type(&self, column: usize) -> Result<DataType> {
        let field = self.page.fields().get(column);
        field
            .map(|field| field.data_type().clone())
            .ok_or_else(|| Error::internal("a page without a function's column"))
    }

    /// The page's column that says where groups of `level` begin.
    pub(super) fn level_column(&self, level: usize) -> usize {
        self.page.fields().len() - self.levels.len() + level
    }

    /// The columns that stored rows of `batch` have, its first row at sequence `first`.
    pub(super) fn widen(&self, batch: &RecordBatch, first: u64) -> Result<Vec<ArrayRef>> {
        let carried = self.order.carried.iter().map(|&index| Ok(batch.column(index).clone()));
        let extra = self.extra.iter().map(|&index| self.order.keys[index].evaluator.evaluate(batch));
        let mut columns = carried.chain(extra).collect::<Result<Vec<_>>>()?;
        let rows = batch.num_rows() as u64;
        columns.push(Arc::new(UInt64Array::from_iter_values(first..first + rows)));
        Ok(columns)
    }

    /// The columns of `widen` that choose the radix partition.
    pub(super) fn shared_keys(&self, widened: &[ArrayRef]) -> Vec<ArrayRef> {
        self.key_columns.iter().take(self.order.shared).map(|&column| widened[column].clone()).collect()
    }

    /// Widened columns as stored rows.
    pub(super) fn stored_batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let columns = columns.into_iter().zip(self.stored.fields());
        let columns = columns.map(|(column, field)| with_type(column, field.data_type())).collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.stored.clone(), columns, &options)?)
    }

    /// A page of sorted stored rows, which follow those that `boundaries` saw last. Also gives, for each level, where
    /// the page's first group begins.
    pub(super) fn page(
        &self,
        stored: &RecordBatch,
        boundaries: &mut Boundaries,
    ) -> Result<(RecordBatch, Vec<Option<u32>>)> {
        let keys = self.key_columns.iter().map(|&column| stored.column(column).clone()).collect::<Vec<_>>();
        let rows = stored.num_rows();
        let kept = self.carried.fields().len() + self.extra.len();
        let own = stored.columns().iter().take(kept).zip(self.page.fields());
        let mut columns =
            own.map(|(column, field)| with_type(column.clone(), field.data_type())).collect::<Result<Vec<_>>>()?;
        let carried = columns.iter().take(self.carried.fields().len()).cloned().collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let carried = RecordBatch::try_new_with_options(self.carried.clone(), carried, &options)?;
        for input in &self.inputs {
            columns.push(input.evaluate(&carried)?);
        }
        let mut firsts = Vec::with_capacity(self.levels.len());
        for bits in boundaries.mark(&keys, rows, &self.levels)? {
            firsts.push(bits.set_indices().next().and_then(|first| u32::try_from(first).ok()));
            columns.push(Arc::new(BooleanArray::new(bits, None)));
        }
        Ok((RecordBatch::try_new_with_options(self.page.clone(), columns, &options)?, firsts))
    }

    /// The output for the rows of a page, given the functions' values.
    pub(super) fn output_batch(&self, page: &RecordBatch, values: &[ArrayRef]) -> Result<RecordBatch> {
        let columns = self.columns.iter().zip(self.output.fields()).map(|(column, field)| {
            let column = match *column {
                WindowColumn::Carried(index) => page.columns().get(index),
                WindowColumn::Function(index) => values.get(index),
            };
            let column = column.ok_or_else(|| Error::internal("a window's output column that does not exist"))?;
            with_type(column.clone(), field.data_type())
        });
        let options = RecordBatchOptions::new().with_row_count(Some(page.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.output.clone(), columns.collect::<Result<_>>()?, &options)?)
    }

    pub(super) fn describe(&self) -> String {
        let calls: Vec<&str> = self.slots.iter().map(|slot| slot.call.describe()).collect();
        calls.join(", ")
    }
}

fn with_type(column: ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    Ok(if column.data_type() == data_type { column } else { cast(&column, data_type)? })
}

fn stored_rows<'a>(carried: &Schema, extra: impl Iterator<Item = &'a SortKey>) -> SchemaRef {
    let carried = carried.fields().iter().map(|field| stored_type(field.data_type()));
    let extra = extra.map(|key| stored_type(key.evaluator.data_type()));
    let mut fields: Vec<Field> = carried.chain(extra).map(|data_type| Field::new("column", data_type, true)).collect();
    fields.push(Field::new("sequence", DataType::UInt64, true));
    Arc::new(Schema::new(fields))
}

fn page_rows<'a>(
    carried: &Schema,
    extra: impl Iterator<Item = &'a SortKey>,
    inputs: &[Evaluator],
    levels: usize,
) -> SchemaRef {
    let carried = carried.fields().iter().map(|field| field.data_type().clone());
    let extra = extra.map(|key| stored_type(key.evaluator.data_type()));
    let inputs = inputs.iter().map(|input| input.data_type().clone());
    let types = carried.chain(extra).chain(inputs).chain(std::iter::repeat_n(DataType::Boolean, levels));
    Arc::new(Schema::new(types.map(|data_type| Field::new("column", data_type, true)).collect::<Vec<_>>()))
}

/// The functions with their columns in a page, whose inputs begin at `first_input`, and these inputs, each once.
fn place(
    order: &WindowOrder,
    calls: Vec<WindowSlot>,
    levels: &[usize],
    key_columns: &[usize],
    first_input: usize,
) -> Result<(Vec<Slot>, Vec<Evaluator>)> {
    let mut inputs: Vec<Evaluator> = Vec::new();
    let mut position = |evaluator: &Evaluator| {
        if let Some(column) = evaluator.column() {
            return column;
        }
        let known = inputs.iter().position(|input| input == evaluator && !evaluator.is_volatile());
        first_input
            + known.unwrap_or_else(|| {
                inputs.push(evaluator.clone());
                inputs.len() - 1
            })
    };
    let level = |length: usize| levels.iter().position(|&level| level == length).unwrap_or(0);
    let mut slots = Vec::with_capacity(calls.len());
    for WindowSlot { call, partition, order: length } in calls {
        let arguments = call.arguments().iter().map(&mut position).collect();
        let filter = call.filter().map(&mut position);
        let key = order.keys.get(partition).filter(|_| length > 0);
        let key = key.map(|key| SortOptions { descending: key.descending, nulls_first: key.nulls_first });
        let order = key.and_then(|options| Some((*key_columns.get(partition)?, options)));
        if partition + length > key_columns.len() {
            return Err(Error::internal("a window function of more keys than its operator has"));
        }
        let (partition, peers) = (level(partition), level(partition + length));
        slots.push(Slot { call, partition, peers, arguments, filter, order });
    }
    Ok((slots, inputs))
}
