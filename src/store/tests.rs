//! The store under pressure, with disks that fail, and at the end of a process.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::Int64Type;
use parking_lot::Mutex;

use super::disk::{OsDisk, SpillDisk, SpillFile};
use super::{Handle, Store, StoredRows, StoredRowsBuilder, UseOrder, batch_bytes};
use crate::batch::Source;
use crate::config::SpillCap;
use crate::error::{Code, Error};
use crate::memory::Budget;

/// A disk that does as it is told: fills up, fails, flips bits. Clones share their orders.
#[derive(Debug, Clone, Default)]
struct LyingDisk(Arc<Orders>);

#[derive(Debug, Default)]
struct Orders {
    /// Bytes that can still be written; negative for no limit.
    room: AtomicI64,
    limited: AtomicBool,
    fail_writes: AtomicBool,
    fail_reads: AtomicBool,
    cut_reads: AtomicBool,
    /// The byte of each read to flip, counted from 1; 0 for none.
    flip: AtomicUsize,
    open_files: AtomicI64,
    delay: Mutex<Duration>,
}

#[derive(Debug)]
struct LyingFile(Box<dyn SpillFile>, Arc<Orders>);

impl SpillDisk for LyingDisk {
    fn create(&self, directory: &Path) -> io::Result<Box<dyn SpillFile>> {
        self.0.open_files.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(LyingFile(OsDisk.create(directory)?, Arc::clone(&self.0))))
    }

    fn free_space(&self, _: &Path) -> Option<u64> {
        None
    }
}

impl SpillFile for LyingFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::thread::sleep(*self.1.delay.lock());
        if self.1.fail_writes.load(Ordering::Relaxed) {
            return Err(io::Error::other("input/output error"));
        }
        let length = bytes.len() as i64;
        if self.1.limited.load(Ordering::Relaxed) && self.1.room.fetch_sub(length, Ordering::Relaxed) < length {
            self.0.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.write_all_at(bytes, offset)
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        if self.1.fail_reads.load(Ordering::Relaxed) {
            return Err(io::Error::other("input/output error"));
        }
        if self.1.cut_reads.load(Ordering::Relaxed) {
            let half = bytes.len() / 2;
            self.0.read_exact_at(&mut bytes[..half], offset)?;
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.0.read_exact_at(bytes, offset)?;
        let flip = self.1.flip.load(Ordering::Relaxed);
        if let Some(byte) = flip.checked_sub(1).map(|flip| flip % bytes.len()) {
            bytes[byte] ^= 4;
        }
        Ok(())
    }

    fn discard(&self, offset: u64, length: u64) {
        self.0.discard(offset, length);
    }
}

impl Drop for LyingFile {
    fn drop(&mut self) {
        self.1.open_files.fetch_sub(1, Ordering::Relaxed);
    }
}

/// 1000 rows that only `seed` has; about 45 KB.
fn batch(seed: i64) -> RecordBatch {
    let numbers = Int64Array::from_iter_values((0..1000).map(|row| seed.wrapping_mul(1_000_003) + row * row));
    let texts = StringViewArray::from_iter_values((0..1000).map(|row| format!("row {row} of batch {seed}")));
    RecordBatch::try_from_iter([("n", Arc::new(numbers) as ArrayRef), ("t", Arc::new(texts) as ArrayRef)]).unwrap()
}

/// Puts batches until that fails.
fn put_until_refused(store: &Store) -> Error {
    let mut handles = Vec::new();
    loop {
        match store.put(batch(0), UseOrder(0)) {
            Ok(handle) => handles.push(handle),
            Err(error) => return error,
        }
        assert!(handles.len() < 1000, "nothing is refused");
    }
}

fn on_disk(handle: &Handle) -> bool {
    handle.entry.state.lock().memory.is_none()
}

fn lying_store(limit: usize) -> (Budget, Store, Arc<Orders>) {
    let budget = Budget::new(limit);
    let disk = LyingDisk::default();
    let orders = Arc::clone(&disk.0);
    let directory = std::env::temp_dir();
    (budget.clone(), Store::with_disk(budget, Box::new(disk), directory, SpillCap::default()), orders)
}

/// Waits until the background threads are done with what was dropped.
fn assert_nothing_left(budget: &Budget, store: &Store) {
    let start = Instant::now();
    while budget.used() > 0 || store.metrics().live_spilled_bytes > 0 {
        assert!(start.elapsed() < Duration::from_secs(5), "left: {:?} {:?}", budget.holders(), store.metrics());
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_fits_stays_in_memory_and_what_is_dropped_is_freed() {
    let (budget, store, orders) = lying_store(10 << 20);
    let handles: Vec<_> = (0..10).map(|seed| store.put(batch(seed), UseOrder(0)).unwrap()).collect();
    assert_eq!(budget.used(), handles.iter().map(Handle::bytes).sum::<usize>());
    assert!(handles.iter().all(|handle| handle.rows() == 1000 && !on_disk(handle)));
    drop(handles);
    assert_eq!((budget.used(), store.metrics().spilled_bytes), (0, 0));
    assert_eq!(orders.open_files.load(Ordering::Relaxed), 0, "no file before the first spill");
}

#[test]
fn ten_times_the_budget_comes_back_as_it_was_put() {
    let (budget, store, orders) = lying_store(1 << 20);
    let handles: Vec<_> = (0..250).map(|seed| store.put(batch(seed), UseOrder(0)).unwrap()).collect();
    assert!(budget.used() <= budget.limit());
    assert!(handles.iter().filter(|handle| on_disk(handle)).count() > 150);
    for (seed, handle) in (0..).zip(&handles) {
        assert_eq!(*store.get(handle).unwrap(), batch(seed));
    }
    for (seed, handle) in (0..).zip(handles) {
        assert_eq!(*store.take(handle).unwrap(), batch(seed));
    }
    assert_nothing_left(&budget, &store);
    assert_eq!(orders.open_files.load(Ordering::Relaxed), 0, "an empty segment is closed");
}

#[test]
fn the_latest_use_goes_first_and_within_it_the_oldest() {
    let size = batch_bytes(&batch(0));
    let (_, store, _) = lying_store(size * 40);
    let soon: Vec<_> = (0..4).map(|seed| store.put(batch(seed), UseOrder(1)).unwrap()).collect();
    let late: Vec<_> = (4..150).map(|seed| store.put(batch(seed), UseOrder(9)).unwrap()).collect();
    assert!(soon.iter().all(|handle| !on_disk(handle)));
    // The background writer may have some in hand at this moment.
    assert!(late.iter().take(90).filter(|handle| on_disk(handle)).count() >= 86);
}

#[test]
fn a_working_set_makes_the_store_give_up_memory() {
    let (budget, store, _) = lying_store(2 << 20);
    let handles: Vec<_> = (0..30).map(|seed| store.put(batch(seed), UseOrder(0)).unwrap()).collect();
    let mut table = budget.reservation("table");
    assert!(table.try_grow((2 << 20) - 100_000));
    assert!(budget.used() <= budget.limit());
    assert!(!table.try_grow(200_000));
    for (seed, handle) in (0..).zip(&handles) {
        assert_eq!(*store.get(handle).unwrap(), batch(seed), "loading works beside a full working set");
    }
}

#[test]
fn what_is_in_use_counts_until_it_is_given_back() {
    let (budget, store, _) = lying_store(1 << 20);
    let handle = store.put(batch(1), UseOrder(0)).unwrap();
    let loaded = store.get(&handle).unwrap();
    let mut table = budget.reservation("table");
    assert!(!table.try_grow(1 << 20), "a batch in use cannot be evicted");
    drop(handle);
    assert!(budget.used() > 0);
    drop(loaded);
    assert_eq!(budget.used(), 0);
    assert!(table.try_grow(1 << 20));
}

#[test]
fn a_batch_given_back_can_be_evicted_again() {
    let (budget, store, _) = lying_store(1 << 20);
    let handles: Vec<_> = (0..20).map(|seed| store.put(batch(seed), UseOrder(0)).unwrap()).collect();
    let pinned: Vec<_> = handles.iter().map(|handle| store.get(handle).unwrap()).collect();
    let mut table = budget.reservation("table");
    assert!(!table.try_grow(900_000));
    drop(pinned);
    assert!(table.try_grow(900_000));
}

#[test]
fn slices_of_large_buffers_are_copied_and_shared_ones_counted_once() {
    let (budget, store, _) = lying_store(10 << 20);
    let large = batch(1);
    let handles: Vec<_> = (0..10).map(|part| store.put(large.slice(part * 10, 10), UseOrder(0)).unwrap()).collect();
    assert!(budget.used() < 10 * 1500, "{}", budget.used());
    for (part, handle) in handles.iter().enumerate() {
        assert_eq!(*store.get(handle).unwrap(), large.slice(part * 10, 10));
    }
    let column = large.column(0).clone();
    let twice = RecordBatch::try_from_iter([("a", column.clone()), ("b", column.clone())]).unwrap();
    let once = RecordBatch::try_from_iter([("a", column)]).unwrap();
    assert!(batch_bytes(&twice) < batch_bytes(&once) + 200);
}

#[test]
fn a_full_disk_is_an_error_and_everything_else_stays_whole() {
    let (budget, store, orders) = lying_store(1 << 20);
    orders.limited.store(true, Ordering::Relaxed);
    orders.room.store(1 << 20, Ordering::Relaxed);
    let mut handles = Vec::new();
    let error = loop {
        match store.put(batch(handles.len() as i64), UseOrder(0)) {
            Ok(handle) => handles.push(handle),
            Err(error) => break error,
        }
        assert!(handles.len() < 1000);
    };
    assert_eq!(error.code(), Code::SpillFailed);
    assert!(error.message().contains("is full") && error.message().contains(std::env::temp_dir().to_str().unwrap()));
    assert!(error.hint_text().unwrap().contains("SET spill_dir"));
    for (seed, handle) in (0..).zip(&handles) {
        assert_eq!(*store.get(handle).unwrap(), batch(seed));
    }
    handles.truncate(5);
    orders.limited.store(false, Ordering::Relaxed);
    let more: Vec<_> = (0..100).map(|seed| store.put(batch(seed), UseOrder(0)).unwrap()).collect();
    assert_eq!(*store.get(&more[50]).unwrap(), batch(50), "the store is usable once there is room again");
    drop((handles, more));
    assert_nothing_left(&budget, &store);
}

#[test]
fn the_cap_is_kept_and_can_be_raised() {
    let budget = Budget::new(1 << 20);
    let cap = 300_000;
    let store = Store::with_spill(budget.clone(), std::env::temp_dir(), SpillCap::Bytes(cap));
    let mut handles = Vec::new();
    let error = loop {
        match store.put(batch(handles.len() as i64), UseOrder(0)) {
            Ok(handle) => handles.push(handle),
            Err(error) => break error,
        }
        assert!(store.metrics().live_spilled_bytes <= cap && handles.len() < 1000);
    };
    assert_eq!(error.code(), Code::SpillFailed);
    assert!(error.message().contains("300KB"), "{error}");
    assert!(error.hint_text().unwrap().contains("SET max_spill_size"));
    store.set_max_spill_size(SpillCap::PercentOfFree(90.0));
    handles.extend((0..100).map(|seed| store.put(batch(seed), UseOrder(0)).unwrap()));
    store.set_max_spill_size(SpillCap::Bytes(cap));
    assert!(put_until_refused(&store).message().contains("300KB"), "a lower cap holds at once");
    assert_eq!(*store.get(&handles[0]).unwrap(), batch(0), "what is there already stays");
    drop(handles);
    assert_nothing_left(&budget, &store);
}

#[test]
fn a_lower_limit_makes_the_store_give_up_memory_at_once() {
    let (budget, store, _) = lying_store(4 << 20);
    let handles: Vec<_> = (0..50).map(|seed| store.put(batch(seed), UseOrder(0)).unwrap()).collect();
    budget.set_limit(1 << 20);
    let resident = handles.iter().filter(|handle| !on_disk(handle)).map(Handle::bytes).sum::<usize>();
    assert!(resident <= 1 << 20, "{resident}");
    for (seed, handle) in (0..).zip(&handles) {
        assert_eq!(*store.get(handle).unwrap(), batch(seed));
    }
}

#[test]
fn readers_of_one_batch_share_it() {
    let (budget, store, _) = lying_store(1 << 20);
    let handles: Vec<_> = (0..60).map(|seed| store.put(batch(seed), UseOrder(0)).unwrap()).collect();
    let spilled = handles.iter().position(on_disk).unwrap();
    let before = store.metrics().loaded_batches;
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..8).map(|_| scope.spawn(|| store.get(&handles[spilled]).unwrap())).collect();
        let loaded: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        assert!(loaded.iter().all(|loaded| **loaded == batch(spilled as i64)));
    });
    assert_eq!(store.metrics().loaded_batches, before + 1);
    drop(handles);
    assert_nothing_left(&budget, &store);
}

#[test]
fn a_batch_without_rows_takes_part() {
    let (budget, store, _) = lying_store(100_000);
    let empty = batch(0).slice(0, 0);
    let handles: Vec<_> = (0..2000).map(|_| store.put(empty.clone(), UseOrder(0)).unwrap()).collect();
    assert!(handles.iter().any(on_disk));
    assert!(handles.iter().all(|handle| *store.get(handle).unwrap() == empty));
    drop(handles);
    assert_nothing_left(&budget, &store);
}

#[test]
fn a_lying_disk_gives_errors_never_wrong_answers() {
    let (budget, store, orders) = lying_store(300_000);
    let handles: Vec<_> = (0..60).map(|seed| store.put(batch(seed), UseOrder(0)).unwrap()).collect();
    let spilled = handles.iter().position(on_disk).unwrap();
    let expect = |code: Code, error: Error, what: &str| {
        assert_eq!(error.code(), code, "{error}");
        assert!(error.full_message().contains(what) && error.full_message().contains("at offset"), "{error}");
    };
    for flip in [1, 9, 50, 100, 5000] {
        orders.flip.store(flip, Ordering::Relaxed);
        expect(Code::SpillFailed, store.get(&handles[spilled]).unwrap_err(), "checksum");
    }
    orders.flip.store(0, Ordering::Relaxed);
    orders.fail_reads.store(true, Ordering::Relaxed);
    expect(Code::SpillFailed, store.get(&handles[spilled]).unwrap_err(), "cannot be read back");
    orders.fail_reads.store(false, Ordering::Relaxed);
    orders.cut_reads.store(true, Ordering::Relaxed);
    expect(Code::SpillFailed, store.get(&handles[spilled]).unwrap_err(), "cannot be read back");
    orders.cut_reads.store(false, Ordering::Relaxed);
    assert_eq!(*store.get(&handles[spilled]).unwrap(), batch(spilled as i64), "and once it reads again all is well");
    orders.fail_writes.store(true, Ordering::Relaxed);
    let failed = put_until_refused(&store);
    assert!(failed.message().contains("cannot be written"), "{failed}");
    drop(handles);
    assert_nothing_left(&budget, &store);
}

#[test]
fn a_directory_is_made_on_the_first_spill_and_gone_with_the_store() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("spill");
    let store = Store::with_spill(Budget::new(1 << 20), &directory, SpillCap::default());
    let first = store.put(batch(0), UseOrder(0)).unwrap();
    assert!(!directory.exists());
    let more: Vec<_> = (0..100).map(|seed| store.put(batch(seed), UseOrder(0)).unwrap()).collect();
    assert!(directory.exists());
    if cfg!(unix) {
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0, "files have no names");
    }
    let other = parent.path().join("other");
    store.set_spill_dir(&other);
    let moved: Vec<_> = (100..200).map(|seed| store.put(batch(seed), UseOrder(0)).unwrap()).collect();
    assert!(other.exists());
    assert_eq!(*store.get(&more[7]).unwrap(), batch(7));
    assert_eq!(*store.get(&moved[7]).unwrap(), batch(107));
    drop((first, more, moved, store));
    let start = Instant::now();
    while directory.exists() || other.exists() {
        assert!(start.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_directory_that_cannot_be_used_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let directory: PathBuf = file.path().join("below-a-file");
    let store = Store::with_spill(Budget::new(100_000), &directory, SpillCap::default());
    let error = put_until_refused(&store);
    assert_eq!(error.code(), Code::SpillFailed);
    assert!(error.message().contains("below-a-file"), "{error}");
}

#[test]
fn reading_ahead_brings_batches_back_before_they_are_asked_for() {
    let (budget, store, _) = lying_store(4 << 20);
    let handles: Vec<_> = (0..40).map(|seed| store.put(batch(seed), UseOrder(0)).unwrap()).collect();
    let mut table = budget.reservation("table");
    assert!(table.try_grow(4 << 20));
    assert!(handles.iter().all(on_disk));
    store.prefetch(&handles);
    assert!(handles.iter().all(on_disk), "no room, nothing read");
    std::thread::sleep(Duration::from_millis(20));
    table.shrink(usize::MAX);
    let start = Instant::now();
    while on_disk(&handles[0]) {
        store.prefetch(&handles);
        assert!(start.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(20));
    assert!(budget.used() <= budget.limit() / 16 + handles[0].bytes(), "bounded");
    let before = store.metrics().loaded_batches;
    assert_eq!(*store.get(&handles[0]).unwrap(), batch(0));
    assert_eq!(store.metrics().loaded_batches, before);
    assert!(table.try_grow(4 << 20), "what was read ahead gives way");
    drop((handles, table));
    assert_nothing_left(&budget, &store);
}

#[test]
fn the_background_writer_makes_room_before_it_is_needed() {
    let (budget, store, _) = lying_store(4 << 20);
    let mut handles = Vec::new();
    while budget.used() < budget.limit() / 100 * 80 {
        handles.push(store.put(batch(0), UseOrder(0)).unwrap());
    }
    let start = Instant::now();
    while store.metrics().spilled_bytes == 0 {
        assert!(start.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(!handles.iter().any(on_disk), "written, but still in memory");
}

#[test]
fn many_threads_find_what_they_put_under_a_tiny_budget() {
    let (budget, store, orders) = lying_store(600_000);
    *orders.delay.lock() = Duration::from_micros(50);
    std::thread::scope(|scope| {
        for thread in 0..8_i64 {
            let (store, budget) = (store.clone(), budget.clone());
            scope.spawn(move || {
                let mut random = xxhash_rust::xxh3::xxh3_64(&thread.to_le_bytes());
                let mut next = move |below: u64| {
                    random = xxhash_rust::xxh3::xxh3_64(&random.to_le_bytes());
                    random % below
                };
                let mut kept: Vec<(i64, Handle)> = Vec::new();
                let mut table = budget.reservation("table");
                for round in 0..400_i64 {
                    let seed = thread * 1_000_000 + round;
                    kept.push((seed, store.put(batch(seed), UseOrder(next(4) as u32)).unwrap()));
                    let at = next(kept.len() as u64) as usize;
                    match next(6) {
                        0 => drop(kept.swap_remove(at)),
                        1 => {
                            let (seed, handle) = kept.swap_remove(at);
                            check(store.take(handle), seed);
                        }
                        2 => store.prefetch(kept.iter().map(|(_, handle)| handle).take(5)),
                        3 => drop(table.try_resize(next(50_000) as usize)),
                        _ => check(store.get(&kept[at].1), kept[at].0),
                    }
                }
                for (seed, handle) in kept {
                    check(store.take(handle), seed);
                }
            });
        }
    });
    assert_nothing_left(&budget, &store);
    assert_eq!(orders.open_files.load(Ordering::Relaxed), 0);
}

/// The right rows, or (when all others hold what there is at this moment) no room.
fn check(loaded: crate::error::Result<super::Loaded>, seed: i64) {
    match loaded {
        Ok(loaded) => assert_eq!(*loaded, batch(seed)),
        Err(error) => assert_eq!(error.code(), Code::OutOfMemory, "{error}"),
    }
}

#[test]
fn a_hundred_thousand_tiny_batches_are_quick() {
    let (budget, store, _) = lying_store(4 << 20);
    let one =
        |seed: i64| RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![seed])) as ArrayRef)]).unwrap();
    let start = Instant::now();
    let handles: Vec<_> = (0..100_000).map(|seed| store.put(one(seed), UseOrder(0)).unwrap()).collect();
    for (seed, handle) in (0..).zip(&handles) {
        assert_eq!(store.get(handle).unwrap().column(0).as_primitive::<Int64Type>().value(0), seed);
    }
    drop(handles);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_nothing_left(&budget, &store);
}

#[test]
fn stored_rows_are_read_in_order_any_number_of_times() {
    let (budget, store, _) = lying_store(1 << 20);
    let mut builder = StoredRowsBuilder::new(batch(0).schema(), store.clone());
    for seed in 0..300 {
        builder.push(batch(seed)).unwrap();
    }
    builder.push(batch(0).slice(0, 0)).unwrap();
    let rows = builder.finish();
    assert_eq!((rows.rows(), rows.statistics().rows, rows.split_count()), (300_000, Some(300_000), 3));
    for _ in 0..2 {
        let mut seed = 0;
        for split in 0..rows.split_count() {
            let mut split = rows.open(split).unwrap();
            while let Some(read) = split.next().unwrap() {
                assert_eq!(read, batch(seed));
                seed += 1;
            }
        }
        assert_eq!(seed, 300);
    }
    assert_eq!(rows.followed_by(&rows).rows(), 600_000);
    assert!(rows.open(3).is_err());
    let empty = StoredRows::empty(rows.schema());
    assert_eq!((empty.split_count(), empty.rows()), (0, 0));
    drop(rows);
    assert_nothing_left(&budget, &store);
}
