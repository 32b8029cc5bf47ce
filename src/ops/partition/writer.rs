//! One lane's partition writer.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::column::{ColumnBuffers, Spread};
use super::radix::Radix;
use crate::error::{Error, Result};
use crate::memory::Reservation;
use crate::store::{Handle, QueryContext, UseOrder};

/// A buffer's rows are counted in `u32`, so that a batch of one partition never exceeds Arrow's 32-bit offsets.
const MOST_ROWS: usize = 1 << 14;
const FEWEST_ROWS: usize = 64;

/// The type in which a column waits in the store.
pub fn stored_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        other => other.clone(),
    }
}

/// The schema in which rows of `schema` wait in the store.
pub fn stored_schema(schema: &Schema) -> SchemaRef {
    let stored = |field: &Arc<Field>| Field::new(field.name(), stored_type(field.data_type()), true);
    Arc::new(Schema::new(schema.fields().iter().map(stored).collect::<Vec<_>>()))
}

/// Rows by partition, in the store.
#[derive(Debug, Default)]
pub struct Partitions {
    /// Batches of each partition.
    pub handles: Vec<Vec<Handle>>,
}

impl Partitions {
    /// Rows in all partitions.
    pub fn rows(&self) -> usize {
        self.handles.iter().flatten().map(Handle::rows).sum()
    }

    /// Adds the batches of `other`, partition by partition.
    pub fn append(&mut self, other: Partitions) {
        if self.handles.len() < other.handles.len() {
            self.handles.resize_with(other.handles.len(), Vec::new);
        }
        for (mine, theirs) in self.handles.iter_mut().zip(other.handles) {
            mine.extend(theirs);
        }
    }
}

/// Copies rows into partitions; one per lane.
pub struct PartitionWriter {
    context: Arc<QueryContext>,
    schema: SchemaRef,
    columns: Vec<ColumnBuffers>,
    /// Rows in each partition's buffer.
    buffered: Vec<u32>,
    radix: Radix,
    /// Rows at which a buffer goes to the store.
    full_rows: usize,
    /// Variable-width bytes at which a buffer goes to the store before it has that many rows.
    full_bytes: usize,
    has_variable: bool,
    order: u32,
    rows_in: usize,
    done: Partitions,
    reservation: Reservation,
    partition: Vec<u16>,
    counts: Vec<u32>,
}

impl PartitionWriter {
    /// A writer of the partitions of `radix`, which each row's hash chooses. `order` is the use order of partition 0; the
    /// following ones count up from it.
    pub fn new(context: &Arc<QueryContext>, schema: &Schema, radix: Radix, order: u32) -> Result<Self> {
        let partitions = radix.count();
        let schema = stored_schema(schema);
        let has_variable = schema.fields().iter().any(|field| field.data_type().primitive_width().is_none());
        let row_bytes = schema.fields().iter().map(|field| field_bytes(field)).sum::<usize>().max(1);
        let mut reservation = context.budget.reservation("partition buffers");
        let (full_rows, full_bytes) = reserve_buffers(context, &mut reservation, partitions, row_bytes)?;
        let columns = schema.fields().iter().map(|field| ColumnBuffers::new(field.data_type().clone(), partitions));
        Ok(PartitionWriter {
            context: context.clone(),
            columns: columns.collect(),
            schema,
            buffered: vec![0; partitions],
            radix,
            full_rows,
            full_bytes,
            has_variable,
            order,
            rows_in: 0,
            done: Partitions { handles: (0..partitions).map(|_| Vec::new()).collect() },
            reservation,
            partition: Vec::new(),
            counts: vec![0; partitions],
        })
    }

    /// The least that a writer reserves for the buffers of `partitions`: whoever fills the memory leaves so much.
    pub fn least_bytes(schema: &Schema, partitions: usize) -> usize {
        let row_bytes = schema.fields().iter().map(|field| field_bytes(field)).sum::<usize>().max(1);
        FEWEST_ROWS * row_bytes * partitions
    }

    /// Copies every row of `columns` to the partition of its hash.
    pub fn push(&mut self, columns: &[ArrayRef], hashes: &[u64]) -> Result<()> {
        self.context.cancel.check()?;
        self.partition.clear();
        self.counts.fill(0);
        let radix = self.radix;
        self.partition.extend(hashes.iter().map(|&hash| radix.of(hash) as u16));
        for &partition in &self.partition {
            self.counts[usize::from(partition)] += 1;
        }
        let spread = Spread { partition: &self.partition, counts: &self.counts, before: &self.buffered };
        for (buffers, column) in self.columns.iter_mut().zip(columns) {
            buffers.append(column, &spread)?;
        }
        self.rows_in += hashes.len();
        for partition in 0..self.buffered.len() {
            let rows = self.buffered[partition] + self.counts[partition];
            self.buffered[partition] = rows;
            if self.is_full(partition, rows) {
                self.flush(partition)?;
            }
        }
        Ok(())
    }

    fn is_full(&self, partition: usize, rows: u32) -> bool {
        rows as usize >= self.full_rows
            || self.has_variable
                && rows > 0
                && self.columns.iter().map(|column| column.variable_bytes(partition)).sum::<usize>() >= self.full_bytes
    }

    fn flush(&mut self, partition: usize) -> Result<()> {
        let rows = std::mem::take(&mut self.buffered[partition]) as usize;
        let capacity = self.full_rows.min(rows + rows / 8);
        let columns: Result<Vec<ArrayRef>> =
            self.columns.iter_mut().map(|column| column.freeze(partition, capacity)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns?, &options)?;
        let order = UseOrder(self.order.saturating_add(partition as u32));
        let handle = self.context.store.put(batch, order)?;
        self.done.handles[partition].push(handle);
        Ok(())
    }

    /// Sends what is left to the store.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` when rows were lost or doubled on the way.
    pub fn finish(mut self) -> Result<Partitions> {
        for partition in 0..self.buffered.len() {
            if self.buffered[partition] > 0 {
                self.flush(partition)?;
            }
        }
        let rows_out = self.done.rows();
        if rows_out != self.rows_in {
            return Err(Error::internal(format!("{} rows went into an exchange, {rows_out} came out", self.rows_in)));
        }
        self.reservation.try_resize(0);
        Ok(self.done)
    }
}

/// Bytes that a row of `field` takes in a buffer; a guess for variable width.
fn field_bytes(field: &Field) -> usize {
    match field.data_type().primitive_width() {
        Some(width) => width,
        None if field.data_type() == &DataType::Boolean => 1,
        None => 32,
    }
}

/// Reserves the buffers' memory: at most a sixteenth of the budget over all lanes, less when there is no room.
/// Gives the rows and variable bytes at which a buffer is full.
fn reserve_buffers(
    context: &QueryContext,
    reservation: &mut Reservation,
    partitions: usize,
    row_bytes: usize,
) -> Result<(usize, usize)> {
    let share = context.budget.limit() / 16 / context.threads.max(1);
    let mut rows = (share / partitions / row_bytes).clamp(FEWEST_ROWS, MOST_ROWS);
    loop {
        let bytes = rows * row_bytes * partitions;
        if reservation.try_grow(bytes) || (rows == FEWEST_ROWS && reservation.grow(bytes).map(|()| true)?) {
            return Ok((rows, (rows * row_bytes).max(4096)));
        }
        rows = (rows / 2).max(FEWEST_ROWS);
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray, BooleanArray, Int32Array, Int64Array, ListArray, StringViewArray};
    use arrow::datatypes::{Int32Type, Int64Type};

    use super::*;
    use crate::batch::hash::hash_rows;
    use crate::ops::testing;

    fn columns(rows: i64) -> Vec<ArrayRef> {
        let text = |row: i64| (row % 5 != 0).then(|| "x".repeat(row as usize % 30));
        vec![
            Arc::new(Int64Array::from_iter_values(0..rows)),
            Arc::new(Int32Array::from_iter((0..rows).map(|row| (row % 3 != 0).then_some(row as i32)))),
            Arc::new(StringViewArray::from_iter((0..rows).map(text))),
            Arc::new(BooleanArray::from_iter((0..rows).map(|row| Some(row % 2 == 0)))),
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(
                (0..rows).map(|row| Some(vec![Some(row), None])),
            )),
        ]
    }

    #[test]
    fn every_row_comes_back_whole_in_its_partition() {
        for count in [1, 2, 3, 16, 17, 127, 128, 129, 255, 256, 257, 1000] {
            let context = testing::context(64 << 20, 100, 2);
            let whole = columns(5000);
            let fields: Vec<Field> =
                whole.iter().map(|column| Field::new("c", column.data_type().clone(), true)).collect();
            let mut writer = PartitionWriter::new(&context, &Schema::new(fields), Radix::first(count), 0).unwrap();
            for start in (0..5000).step_by(100) {
                let batch: Vec<ArrayRef> = whole.iter().map(|column| column.slice(start, 100)).collect();
                let mut hashes = Vec::new();
                hash_rows(&batch[..1], 100, &mut hashes).unwrap();
                writer.push(&batch, &hashes).unwrap();
            }
            let partitions = writer.finish().unwrap();
            assert_eq!(partitions.handles.len(), count);
            let mut seen = vec![false; 5000];
            for (partition, handles) in partitions.handles.into_iter().enumerate() {
                for handle in handles {
                    check_batch(&context.store.take(handle).unwrap(), &whole, partition, count, &mut seen);
                }
            }
            assert!(seen.into_iter().all(|seen| seen));
        }
    }

    fn check_batch(batch: &RecordBatch, whole: &[ArrayRef], partition: usize, count: usize, seen: &mut [bool]) {
        let mut hashes = Vec::new();
        hash_rows(&batch.columns()[..1], batch.num_rows(), &mut hashes).unwrap();
        for (row, &hash) in hashes.iter().enumerate() {
            assert_eq!(Radix::first(count).of(hash), partition);
            let key = batch.column(0).as_primitive::<Int64Type>().value(row) as usize;
            assert!(!std::mem::replace(&mut seen[key], true));
            let number = batch.column(1).as_primitive::<Int32Type>();
            assert_eq!(
                number.is_valid(row).then(|| number.value(row) as usize),
                (!key.is_multiple_of(3)).then_some(key)
            );
            let text = batch.column(2).as_string::<i32>();
            assert_eq!(text.is_valid(row).then(|| text.value(row).len()), (!key.is_multiple_of(5)).then_some(key % 30));
            assert_eq!(batch.column(3).as_boolean().value(row), key.is_multiple_of(2));
            assert_eq!(&batch.column(4).as_list::<i32>().value(row), &whole[4].as_list::<i32>().value(key));
        }
    }
}
