//! A partition that is mostly one group and does not fit: sorted by the keys and the order of a call, and read group by
//! group. Calls of different orders are different passes over the partition.
//!
//! Invariant: every pass gives the groups in the order of the keys, the same number in each batch, so that the passes'
//! batches stand side by side.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{ArrayRef, new_empty_array};
use arrow::compute::{SortOptions, concat};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use arrow::row::OwnedRow;

use super::chunk::encoded;
use super::fold::{CallFold, Segments};
use super::layout::{Layout, Order};
use crate::batch::{SourceRef, Split};
use crate::error::{Error, Result};
use crate::expr::Evaluator;
use crate::memory::Reservation;
use crate::ops::sort::{Sort, SortKey};
use crate::ops::{Sink, SinkWork};
use crate::store::{Handle, QueryContext, StoredRows, StoredRowsBuilder};

/// Groups in a batch of a pass.
const GROUPS_IN_BATCH: usize = 256;

/// The groups of a sorted partition.
pub(super) struct StreamedGroups {
    layout: Arc<Layout>,
    first: Pass,
    /// What the other passes found, and which calls it is for.
    others: Vec<(VecDeque<Arc<Handle>>, Vec<usize>)>,
    context: Arc<QueryContext>,
}

impl StreamedGroups {
    pub(super) fn new(layout: &Arc<Layout>, context: &Arc<QueryContext>, handles: Vec<Handle>) -> Result<Self> {
        let mut passes: Vec<(Option<usize>, Vec<usize>)> = Vec::new();
        for (call, slot) in layout.calls.iter().enumerate() {
            match passes.iter_mut().find(|(order, _)| *order == slot.stream_order) {
                Some((_, calls)) => calls.push(call),
                None => passes.push((slot.stream_order, vec![call])),
            }
        }
        // Calls that take any order go with the others.
        if passes.len() > 1
            && let Some(any) = passes.iter().position(|(order, _)| order.is_none())
        {
            let (_, calls) = passes.remove(any);
            passes[0].1.extend(calls);
        }
        let last = passes.pop().unwrap_or((None, Vec::new()));
        let handles: Vec<Arc<Handle>> = handles.into_iter().map(Arc::new).collect();
        let mut others = Vec::new();
        for (order, calls) in passes {
            let mut pass = Pass::new(layout, context, handles.clone(), order, calls.clone())?;
            let found = pass.store_all()?;
            others.push((found.handles().iter().cloned().collect(), calls));
        }
        let first = Pass::new(layout, context, handles, last.0, last.1)?;
        Ok(StreamedGroups { layout: layout.clone(), first, others, context: context.clone() })
    }

    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some((keys, values)) = self.first.next()? else { return Ok(None) };
        let groups = keys.first().or(values.first()).map_or(0, |column| column.len());
        let mut columns: Vec<Option<ArrayRef>> = vec![None; self.layout.calls.len()];
        self.first.calls.iter().zip(values).for_each(|(&call, values)| columns[call] = Some(values));
        for (handles, calls) in &mut self.others {
            let apart = || Error::internal("passes over one partition found different groups");
            let handle = handles.pop_front().ok_or_else(apart)?;
            let found = self.context.store.get(&handle)?;
            if found.num_rows() != groups {
                return Err(apart());
            }
            calls.iter().zip(found.columns()).for_each(|(&call, values)| columns[call] = Some(values.clone()));
        }
        let columns = columns.into_iter().collect::<Option<Vec<_>>>();
        let columns = columns.ok_or_else(|| Error::internal("a call that no pass has computed"))?;
        Ok(Some(self.layout.output_batch(keys.into_iter().chain(columns).collect(), groups)?))
    }
}

/// One reading of the partition in one order.
struct Pass {
    layout: Arc<Layout>,
    context: Arc<QueryContext>,
    calls: Vec<usize>,
    order: Order,
    sorted: Box<dyn Split>,
    folds: Vec<CallFold>,
    /// The group that is being read: its key in bytes (nothing without keys) and as columns of one row.
    current: Option<(Option<OwnedRow>, Vec<ArrayRef>)>,
    /// Groups that are ready: keys, and a value for each call.
    ready: Vec<(Vec<ArrayRef>, Vec<ArrayRef>)>,
    reservation: Reservation,
    finished: bool,
}

const ASCENDING: SortOptions = SortOptions { descending: false, nulls_first: false };

impl Pass {
    fn new(
        layout: &Arc<Layout>,
        context: &Arc<QueryContext>,
        handles: Vec<Arc<Handle>>,
        order: Option<usize>,
        calls: Vec<usize>,
    ) -> Result<Self> {
        let order = order.and_then(|order| layout.orders.get(order).cloned()).unwrap_or(Order { columns: Vec::new() });
        let slots = || calls.iter().filter_map(|&call| layout.calls.get(call));
        let mut columns: Vec<usize> = (0..layout.keys.len()).collect();
        let inputs = slots().flat_map(|slot| slot.arguments.iter().chain(&slot.filter));
        let mut inputs: Vec<usize> = inputs.copied().chain(order.columns.iter().map(|&(column, _)| column)).collect();
        if layout.sequenced {
            inputs.push(layout.sequence_column()?);
        }
        inputs.sort_unstable();
        inputs.dedup();
        // The sequence is the last column of all.
        columns.extend(inputs);
        let sorted = sorted(layout, context, handles, &order, &columns)?;
        let place = |column: usize| columns.iter().position(|&known| known == column).unwrap_or(usize::MAX);
        let folds = slots().map(|slot| CallFold::new(layout, slot, context, place)).collect::<Result<_>>()?;
        let order =
            Order { columns: order.columns.iter().map(|&(column, options)| (place(column), options)).collect() };
        Ok(Pass {
            layout: layout.clone(),
            context: context.clone(),
            calls,
            order,
            sorted,
            folds,
            current: None,
            ready: Vec::new(),
            reservation: context.budget.reservation("HolisticAggregate"),
            finished: false,
        })
    }

    /// The values of all groups, in the store.
    fn store_all(&mut self) -> Result<StoredRows> {
        let mut builder: Option<StoredRowsBuilder> = None;
        let mut schema: SchemaRef = Arc::new(Schema::empty());
        while let Some((_, values)) = self.next()? {
            let rows = values.first().map_or(0, |column| column.len());
            let builder = builder.get_or_insert_with(|| {
                schema = schema_of(&values);
                StoredRowsBuilder::new(schema.clone(), self.context.store.clone())
            });
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            builder.push(RecordBatch::try_new_with_options(schema.clone(), values, &options)?)?;
        }
        Ok(builder.map_or_else(|| StoredRows::empty(schema), StoredRowsBuilder::finish))
    }

    /// The next batch of groups: their keys, and the values of the pass's calls.
    fn next(&mut self) -> Result<Option<(Vec<ArrayRef>, Vec<ArrayRef>)>> {
        while self.ready.len() < GROUPS_IN_BATCH && !self.finished {
            self.context.cancel.check()?;
            match self.sorted.next()? {
                Some(batch) => self.read(&batch)?,
                None => {
                    self.finish_group()?;
                    self.finished = true;
                }
            }
        }
        let count = self.ready.len().min(GROUPS_IN_BATCH);
        if count == 0 {
            return Ok(None);
        }
        let groups: Vec<_> = self.ready.drain(..count).collect();
        let keys = columns_of(groups.iter().map(|(keys, _)| keys))?;
        let values = columns_of(groups.iter().map(|(_, values)| values))?;
        if self.ready.is_empty() {
            self.reservation.try_resize(0);
        }
        Ok(Some((keys, values)))
    }

    fn read(&mut self, batch: &RecordBatch) -> Result<()> {
        let keys = self.layout.keys.len();
        let key_columns = batch.columns().get(..keys).unwrap_or_default();
        let rows = batch.num_rows();
        let key_order = Order { columns: (0..keys).map(|column| (column, ASCENDING)).collect() };
        // Without keys there is one group.
        let bytes = if keys == 0 { None } else { Some(encoded(key_columns, &key_order)?) };
        let mut bounds = vec![0];
        if let Some(bytes) = &bytes {
            bounds.extend((1..rows).filter(|&row| bytes.row(row) != bytes.row(row - 1)));
        }
        bounds.push(rows);
        let continues = match (&self.current, &bytes) {
            (Some((Some(current), _)), Some(bytes)) => current.row() == bytes.row(0),
            (current, _) => current.is_some(),
        };
        let order_columns = self.order.columns.iter().map(|&(column, _)| column_at(batch, column));
        let order_columns = order_columns.collect::<Result<Vec<_>>>()?;
        let order_rows = if self.order.columns.is_empty() { None } else { Some(encoded(&order_columns, &self.order)?) };
        let sequence = if self.layout.sequenced { batch.columns().last() } else { None };
        let segments = Segments::new(batch, bounds, order_rows, continues, sequence);
        for fold in &mut self.folds {
            fold.begin_batch(&segments)?;
        }
        for segment in 0..segments.count() {
            if segment > 0 || !continues {
                self.finish_group()?;
                let row = segments.start(segment);
                let key = bytes.as_ref().map(|bytes| bytes.row(row).owned());
                self.current = Some((key, key_columns.iter().map(|column| column.slice(row, 1)).collect()));
            }
            for fold in &mut self.folds {
                fold.add(&segments, segment)?;
            }
        }
        for fold in &mut self.folds {
            fold.end_batch()?;
        }
        if let Some((_, keys)) = &mut self.current {
            // A slice would keep the batch.
            *keys = keys.iter().map(|key| owned(key)).collect::<Result<_>>()?;
        }
        Ok(())
    }

    fn finish_group(&mut self) -> Result<()> {
        let Some((_, keys)) = self.current.take() else { return Ok(()) };
        let mut values = Vec::with_capacity(self.folds.len());
        for fold in &mut self.folds {
            let value = fold.finish(&mut self.reservation)?;
            values.push(value);
        }
        let keys = keys.iter().map(|key| owned(key)).collect::<Result<_>>()?;
        self.ready.push((keys, values));
        Ok(())
    }
}

/// A copy that shares nothing.
fn owned(column: &ArrayRef) -> Result<ArrayRef> {
    Ok(concat(&[column.as_ref(), new_empty_array(column.data_type()).as_ref()])?)
}

fn column_at(batch: &RecordBatch, index: usize) -> Result<ArrayRef> {
    batch.columns().get(index).cloned().ok_or_else(|| Error::internal(format!("rows without column {index}")))
}

fn schema_of(columns: &[ArrayRef]) -> SchemaRef {
    let fields = columns.iter().enumerate();
    let fields = fields.map(|(index, column)| Field::new(format!("v{index}"), column.data_type().clone(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Rows of one-row columns as whole columns.
fn columns_of<'a>(rows: impl ExactSizeIterator<Item = &'a Vec<ArrayRef>> + Clone) -> Result<Vec<ArrayRef>> {
    let width = rows.clone().next().map_or(0, Vec::len);
    let column = |index: usize| {
        let parts: Vec<_> = rows.clone().filter_map(|row| row.get(index)).map(AsRef::as_ref).collect();
        if parts.len() == 1 {
            Ok(rows.clone().next().and_then(|row| row.get(index)).cloned())
        } else {
            Ok(Some(concat(&parts)?))
        }
    };
    let columns = (0..width).map(column).collect::<Result<Option<Vec<_>>>>()?;
    columns.ok_or_else(|| Error::internal("groups of different width"))
}

/// The rows of the partition, `columns` of them, by keys, order and sequence.
fn sorted(
    layout: &Layout,
    context: &Arc<QueryContext>,
    handles: Vec<Arc<Handle>>,
    order: &Order,
    columns: &[usize],
) -> Result<Box<dyn Split>> {
    let stored = crate::ops::partition::stored_schema(&layout.rows);
    let schema = Arc::new(stored.project(columns)?);
    let place = |column: usize| columns.iter().position(|&known| known == column).unwrap_or(usize::MAX);
    let mut by: Vec<(usize, SortOptions)> = (0..layout.keys.len()).map(|key| (key, ASCENDING)).collect();
    by.extend(order.columns.iter().map(|&(column, options)| (place(column), options)));
    if layout.sequenced {
        by.push((place(layout.sequence_column()?), ASCENDING));
    }
    if by.is_empty() {
        return Ok(Box::new(Unsorted { context: context.clone(), handles: handles.into(), columns: columns.to_vec() }));
    }
    let key = |(column, options): (usize, SortOptions)| {
        let evaluator = Evaluator::of_column(&schema, column)?;
        Ok(SortKey { evaluator, descending: options.descending, nulls_first: options.nulls_first })
    };
    let sort = Sort::new(by.into_iter().map(key).collect::<Result<_>>()?, schema.clone(), 0, None)?;
    let mut work = Sink::open(&sort, context)?;
    for handle in handles {
        context.cancel.check()?;
        let batch = read_handle(context, handle)?.project(columns)?;
        work.push(0, batch)?;
    }
    let runs = work.finish()?;
    let source = sort.combine(context, vec![runs])?;
    Ok(Box::new(InOrder { source, next_split: 0, split: None }))
}

/// All splits of a source, one after the other.
struct InOrder {
    source: SourceRef,
    next_split: usize,
    split: Option<Box<dyn Split>>,
}

impl Split for InOrder {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.split.as_mut().map_or(Ok(None), |split| split.next())? {
                return Ok(Some(batch));
            }
            self.split = None;
            if self.next_split == self.source.split_count() {
                return Ok(None);
            }
            self.split = Some(self.source.open(self.next_split)?);
            self.next_split += 1;
        }
    }
}

/// The batch of a handle, which is given up where this is the last pass.
fn read_handle(context: &QueryContext, handle: Arc<Handle>) -> Result<RecordBatch> {
    Ok(match Arc::try_unwrap(handle) {
        Ok(handle) => context.store.take(handle)?.into_batch(),
        Err(shared) => context.store.get(&shared)?.into_batch(),
    })
}

/// The rows as they lie there: one group, in any order.
struct Unsorted {
    context: Arc<QueryContext>,
    handles: VecDeque<Arc<Handle>>,
    columns: Vec<usize>,
}

impl Split for Unsorted {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some(handle) = self.handles.pop_front() else { return Ok(None) };
        Ok(Some(read_handle(&self.context, handle)?.project(&self.columns)?))
    }
}
