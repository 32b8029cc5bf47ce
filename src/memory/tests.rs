//! Budget, reservations and the counting allocator.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::{Budget, Evict, Reservation};
use crate::error::{Code, Error, Result};

/// Holds memory that it gives up on demand, and counts how often it was asked.
struct Cache {
    held: Mutex<Reservation>,
    asked: AtomicUsize,
    broken: bool,
}

impl Evict for Cache {
    fn evict(&self, bytes: usize) -> Result<bool> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut held = self.held.lock();
        if held.bytes() < bytes {
            return Ok(false);
        }
        if self.broken {
            return Err(Error::new(Code::SpillFailed, "the disk is full"));
        }
        held.shrink(bytes);
        Ok(true)
    }

    fn granted(&self) {}

    fn limit_changed(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }
}

fn cache(budget: &Budget, bytes: usize, broken: bool) -> Arc<Cache> {
    let mut held = budget.reservation("cache");
    held.grow_anyway(bytes);
    let cache = Arc::new(Cache { held: Mutex::new(held), asked: AtomicUsize::new(0), broken });
    let evictor: Arc<dyn Evict> = cache.clone();
    budget.register(Arc::downgrade(&evictor));
    cache
}

#[test]
fn a_reservation_never_exceeds_the_limit_and_gives_back_what_it_held() {
    let budget = Budget::new(1000);
    let mut reservation = budget.reservation("test");
    assert!(reservation.try_grow(600));
    assert!(!reservation.try_grow(401));
    assert!(reservation.try_grow(400));
    assert!(!reservation.try_grow(usize::MAX));
    assert!(reservation.try_resize(10));
    assert_eq!(budget.used(), 10);
    drop(reservation);
    assert_eq!(budget.used(), 0);
}

#[test]
fn merging_moves_bytes_between_holders() {
    let budget = Budget::new(1000);
    let (mut table, mut other) = (budget.reservation("table"), budget.reservation("other"));
    table.grow(700).unwrap();
    other.grow(100).unwrap();
    other.merge(table);
    assert_eq!((other.bytes(), budget.used()), (800, 800));
    assert_eq!(budget.holders(), vec![("other", 800)]);
    other.shrink(usize::MAX);
    assert_eq!(budget.used(), 0);
}

#[test]
fn growing_evicts_what_is_missing_and_no_more() {
    let budget = Budget::new(1000);
    let cache = cache(&budget, 800, false);
    let mut reservation = budget.reservation("test");
    assert!(reservation.try_grow(500));
    assert_eq!(cache.held.lock().bytes(), 500);
    assert!(!reservation.try_grow(600), "more than could ever be freed");
    assert_eq!(cache.held.lock().bytes(), 500, "a refusal empties nothing");
}

#[test]
fn a_refusal_names_holder_asked_budget_largest_holders_and_remedies() {
    let budget = Budget::new(1_000_000);
    let mut table = budget.reservation("HashAggregate");
    table.grow(900_000).unwrap();
    let error = budget.reservation("Sort").grow(200_000).unwrap_err();
    assert_eq!(error.code(), Code::OutOfMemory);
    for part in ["Sort asked for 200KB", "900KB of 1MB", "HashAggregate 900KB"] {
        assert!(error.message().contains(part), "{error}");
    }
    for part in ["SET memory_limit = '2MB'", "SET threads", "SET spill_dir"] {
        assert!(error.hint_text().unwrap().contains(part), "{error}");
    }
}

#[test]
fn a_disk_that_refuses_is_the_error_of_whoever_must_grow() {
    let budget = Budget::new(1000);
    let _cache = cache(&budget, 1000, true);
    let mut reservation = budget.reservation("Sort");
    assert!(!reservation.try_grow(10));
    let error = reservation.grow(10).unwrap_err();
    assert_eq!(error.code(), Code::SpillFailed);
    assert!(error.full_message().contains("Sort"));
}

#[test]
fn the_limit_can_change_while_memory_is_held() {
    let budget = Budget::new(1000);
    let cache = cache(&budget, 900, false);
    budget.set_limit(500);
    assert_eq!(cache.asked.load(Ordering::Relaxed), 1);
    let mut reservation = budget.reservation("test");
    assert!(reservation.try_grow(100));
    assert_eq!(cache.held.lock().bytes(), 400);
    budget.set_limit(2000);
    assert!(reservation.try_grow(1400));
}

#[test]
fn an_evictor_that_is_gone_is_asked_no_more() {
    let budget = Budget::new(1000);
    drop(cache(&budget, 900, false));
    assert_eq!(budget.used(), 0);
    assert!(!budget.reservation("test").try_grow(1001));
}

#[test]
fn many_threads_never_exceed_the_limit() {
    let budget = Budget::new(10_000);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut reservation = budget.reservation("worker");
                for round in 0..2000 {
                    if !reservation.try_grow(round % 977) {
                        reservation.shrink(reservation.bytes() / 2);
                    }
                    assert!(budget.used() <= 10_000);
                }
            });
        }
    });
    assert_eq!(budget.used(), 0);
}
