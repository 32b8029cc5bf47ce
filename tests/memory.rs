//! The promise about the process: far more data than the budget goes through the store, and the process stays small.
//!
//! A binary of its own, because the counting allocator is installed for the whole process and the peak is measured for
//! the whole process: the tests here run one after another.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::Int64Type;
use floe::memory::{Budget, CountingAllocator, allocated};
use floe::store::{Store, UseOrder, batch_bytes};

#[global_allocator]
static ALLOCATOR: CountingAllocator<tikv_jemallocator::Jemalloc> = CountingAllocator::new(tikv_jemallocator::Jemalloc);

static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());

const ROWS: i64 = 8192;

/// A number that looks random and is the same for the same `seed`.
fn scatter(seed: i64) -> i64 {
    (seed ^ 0x5bd1_e995).wrapping_mul(-0x61c8_8646_80b5_83eb).rotate_left(31).wrapping_mul(0x2545_f491_4f6c_dd1d)
}

fn batch(number: i64) -> RecordBatch {
    let rows = number * ROWS..(number + 1) * ROWS;
    let keys = Int64Array::from_iter_values(rows.clone().map(scatter));
    let sums = Float64Array::from_iter_values(rows.clone().map(|row| scatter(row) as f64));
    let names = StringViewArray::from_iter_values(rows.map(|row| format!("customer #{:020}", scatter(row))));
    RecordBatch::try_from_iter([
        ("k", Arc::new(keys) as ArrayRef),
        ("s", Arc::new(sums) as ArrayRef),
        ("n", Arc::new(names) as ArrayRef),
    ])
    .expect("columns are equally long")
}

/// A number in the process's status, in bytes.
#[cfg(target_os = "linux")]
fn status(name: &str) -> usize {
    let text = std::fs::read_to_string("/proc/self/status").expect("linux has it");
    let line = text.lines().find(|line| line.starts_with(name)).expect("linux counts it");
    line.split_whitespace().nth(1).and_then(|number| number.parse::<usize>().ok()).expect("a number of KB") * 1024
}

#[test]
#[cfg(target_os = "linux")]
fn a_gigabyte_goes_through_64_megabytes() {
    let _alone = ONE_AT_A_TIME.lock();
    // As the program does under a limit this small.
    let limit = 64 << 20;
    let budget = Budget::new(limit);
    let store = Store::new(budget.clone());
    let before = status("VmRSS");
    let mut handles = Vec::new();
    let mut bytes = 0;
    while bytes < 1 << 30 {
        let batch = batch(handles.len() as i64);
        bytes += batch_bytes(&batch);
        handles.push(store.put(batch, UseOrder(0)).expect("there is room on the disk"));
    }
    store.prefetch(handles.iter().take(4));
    for number in 0..handles.len() {
        let loaded = store.get(&handles[number]).expect("what was written can be read");
        assert_eq!(*loaded, batch(number as i64));
        store.prefetch(handles.iter().skip(number + 1).take(4));
    }
    let growth = status("VmHWM").saturating_sub(before);
    eprintln!("{bytes} bytes through {limit}: grew by {growth}; {:?}", store.metrics());
    assert!(growth <= limit / 4 * 5 + (8 << 20), "the process grew by {growth} bytes under a limit of {limit}");
    drop(handles);
    assert_eq!(store.metrics().live_spilled_bytes, 0);
}

#[test]
fn the_allocator_counts_what_lives() {
    let _alone = ONE_AT_A_TIME.lock();
    let before = allocated().unwrap_or(0);
    let mut large = vec![1_u8; 10 << 20];
    let with = allocated().expect("it is installed");
    large.resize(20 << 20, 2);
    let grown = allocated().expect("it is installed");
    drop(large);
    let after = allocated().expect("it is installed");
    let near = |a: usize, b: usize| a.abs_diff(b) < 1 << 20;
    assert!(near(with - before, 10 << 20), "{before} {with}");
    assert!(near(grown - before, 20 << 20), "{before} {grown}");
    assert!(near(after, before), "{before} {after}");
}

#[test]
fn memory_that_nobody_accounts_for_shrinks_the_budget_but_not_to_nothing() {
    let _alone = ONE_AT_A_TIME.lock();
    let budget = Budget::new(64 << 20);
    let unused = budget.effective_limit();
    let outside = vec![1_u8; 20 << 20];
    let shrunk = budget.effective_limit();
    assert!(unused.abs_diff(shrunk + outside.len()) < 2 << 20, "{unused} {shrunk}");
    let mut reservation = budget.reservation("test");
    assert!(!reservation.try_grow(50 << 20));
    let much = vec![1_u8; 100 << 20];
    assert_eq!(budget.effective_limit(), 16 << 20);
    assert!(reservation.try_grow(16 << 20), "a quarter is always left");
    drop((outside, much));
    assert!(reservation.try_grow(24 << 20));
}

#[test]
fn many_workers_stay_within_the_budget_together() {
    let _alone = ONE_AT_A_TIME.lock();
    let budget = Budget::new(64 << 20);
    let store = Store::new(budget.clone());
    let mut handles = std::thread::scope(|scope| {
        let worker = |first: i64| {
            let store = &store;
            scope.spawn(move || {
                let put = |number| (number, store.put(batch(number), UseOrder((number % 3) as u32)).expect("room"));
                (first..first + 100).map(put).collect::<Vec<_>>()
            })
        };
        let workers: Vec<_> = (0..4).map(|index| worker(index * 1000)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect::<Vec<_>>()
    });
    assert!(budget.used() <= budget.limit());
    for (number, handle) in handles.drain(..) {
        let loaded = store.take(handle).expect("what was written can be read");
        assert_eq!(loaded.column(0).as_primitive::<Int64Type>().value(0), scatter(number * ROWS));
    }
}
