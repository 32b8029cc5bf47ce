//! What it costs to bring a batch into the form it has on disk and back, against Arrow IPC with and without lz4.
//!
//! `cargo bench --bench spill`; throughput is in bytes of the batch in memory.

use std::hint::black_box;
use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringViewArray};
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use floe::memory::Budget;
use floe::store::{BlockId, Compression, Store, UseOrder, batch_bytes, decode_block, encode_block};

const ROWS: i64 = 8192;

fn scatter(seed: i64) -> u64 {
    xxhash_rust::xxh3::xxh3_64(&seed.to_le_bytes())
}

fn table(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).expect("columns are equally long")
}

/// Partial aggregates of the sixty-million-group query: three keys, a sum and a count.
fn partials() -> RecordBatch {
    let key = |most: u64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values((0..ROWS).map(|row| (scatter(row + most as i64) % most) as i64)))
    };
    let sums = Decimal128Array::from_iter_values((0..ROWS).map(|row| i128::from(scatter(row) % 5000)));
    let counts = Int64Array::from_iter_values((0..ROWS).map(|row| 1 + i64::from(row % 50 == 0)));
    let (sums, counts): (ArrayRef, ArrayRef) = (Arc::new(sums), Arc::new(counts));
    table(vec![("o", key(60_000_000)), ("p", key(2_000_000)), ("s", key(100_000)), ("q", sums), ("c", counts)])
}

/// Comments of 10 to 43 characters out of a small vocabulary, as in TPC-H.
fn comments() -> RecordBatch {
    let words = ["carefully", "final", "deposits", "haggle", "quickly", "among", "the", "ironic", "packages", "sleep"];
    let comment = |row: i64| {
        let word = |place: i64| words[(scatter(row * 7 + place) % 10) as usize];
        let text = (0..6).map(word).collect::<Vec<_>>().join(" ");
        text.chars().take(10 + (scatter(row) % 33) as usize).collect::<String>()
    };
    table(vec![("c", Arc::new(StringViewArray::from_iter_values((0..ROWS).map(comment))) as ArrayRef)])
}

fn short_strings() -> RecordBatch {
    let text = |row: i64| format!("N{}", scatter(row) % 100_000);
    table(vec![("t", Arc::new(StringViewArray::from_iter_values((0..ROWS).map(text))) as ArrayRef)])
}

fn doubles() -> RecordBatch {
    let column = |salt: i64| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| scatter(row + salt) as f64)))
    };
    table(vec![("a", column(0)), ("b", column(1 << 40))])
}

fn ipc(batch: &RecordBatch, compression: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(compression).expect("built in");
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), batch.schema_ref(), options).expect("to memory");
    writer.write(batch).expect("to memory");
    writer.into_inner().expect("to memory")
}

fn spill(criterion: &mut Criterion) {
    let batches =
        [("partials", partials()), ("comments", comments()), ("short", short_strings()), ("doubles", doubles())];
    for (name, batch) in batches {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(batch_bytes(&batch) as u64)).sample_size(30);
        let mut buffer = Vec::new();
        let (schema, rows) = (batch.schema(), batch.num_rows());
        for (form, compression) in [("", Compression::Never), ("-lz4", Compression::WhereItPays)] {
            let encode =
                |buffer: &mut Vec<u8>| encode_block(black_box(&batch), BlockId(0), compression, buffer, 0).unwrap_or(0);
            let end = encode(&mut buffer);
            eprintln!("{name}: {} bytes in memory, {end} as a block{form}", batch_bytes(&batch));
            let block = buffer[..end].to_vec();
            group.bench_function(format!("encode{form}"), |b| b.iter(|| encode(&mut buffer)));
            let decode = || decode_block(black_box(&block), BlockId(0), &schema, rows);
            group.bench_function(format!("decode{form}"), |b| b.iter(decode));
        }
        for (form, compression) in [("ipc", None), ("ipc-lz4", Some(CompressionType::LZ4_FRAME))] {
            let written = ipc(&batch, compression);
            eprintln!("{name}: {} bytes as {form}", written.len());
            group.bench_function(format!("encode-{form}"), |b| b.iter(|| ipc(black_box(&batch), compression)));
            let read = |bytes: &[u8]| StreamReader::try_new(Cursor::new(bytes), None).expect("written").next();
            group.bench_function(format!("decode-{form}"), |b| b.iter(|| read(black_box(&written)).map(|r| r.is_ok())));
        }
        group.finish();
    }
}

/// Two hundred megabytes through a store of sixteen: put all, then take all.
fn through_the_store(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("store");
    for (name, batch) in [("partials", partials()), ("comments", comments())] {
        let count = (200 << 20) / batch_bytes(&batch);
        group.throughput(Throughput::Bytes((count * batch_bytes(&batch)) as u64)).sample_size(10);
        let run = || -> floe::Result<usize> {
            let store = Store::new(Budget::new(16 << 20));
            let put = (0..count).map(|_| store.put(batch.clone(), UseOrder(0)));
            let handles = put.collect::<floe::Result<Vec<_>>>()?;
            handles.into_iter().map(|handle| store.take(handle).map(|loaded| loaded.num_rows())).sum()
        };
        group.bench_function(name, |b| b.iter(|| run().expect("there is room on the disk")));
    }
    group.finish();
}

criterion_group!(benches, spill, through_the_store);
criterion_main!(benches);
