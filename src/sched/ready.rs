//! The ready tasks and the order in which they start.
//!
//! Invariant: a consumer goes before every producer; of two consumers the one that became ready later; of two producers
//! the one with the lower order, then the one that became ready earlier.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// A ready producer: order, then arrival (which may wrap: it only breaks ties), then slot.
type Entry = (u64, u32, u32);

/// The ready slots of a graph.
#[derive(Debug, Default)]
pub(super) struct Ready {
    consumers: Vec<u32>,
    /// Producers that came in ascending order, as splits do: no heap needed.
    ascending: VecDeque<Entry>,
    /// All other producers.
    stragglers: BinaryHeap<Reverse<Entry>>,
    arrivals: u32,
}

impl Ready {
    /// How many consumers are ready.
    pub(super) fn consumers(&self) -> usize {
        self.consumers.len()
    }

    /// How many producers are ready.
    pub(super) fn producers(&self) -> usize {
        self.ascending.len() + self.stragglers.len()
    }

    pub(super) fn push_consumer(&mut self, slot: u32) {
        self.consumers.push(slot);
    }

    pub(super) fn push_producer(&mut self, order: u64, slot: u32) {
        let entry = (order, self.arrivals, slot);
        self.arrivals = self.arrivals.wrapping_add(1);
        match self.ascending.back() {
            Some(last) if *last > entry => self.stragglers.push(Reverse(entry)),
            _ => self.ascending.push_back(entry),
        }
    }

    /// The next slot to start. `admits` is asked about the order of the first producer, and only when no consumer is
    /// ready; when it refuses, nothing starts.
    pub(super) fn pop(&mut self, admits: impl FnOnce(u64) -> bool) -> Option<u32> {
        if let Some(slot) = self.consumers.pop() {
            return Some(slot);
        }
        let ascending = self.ascending.front().copied();
        let straggler = self.stragglers.peek().map(|entry| entry.0);
        let straggles = match (ascending, straggler) {
            (None, None) => return None,
            (Some(one), Some(other)) => other < one,
            (None, _) => true,
            (_, None) => false,
        };
        let (order, _, slot) = if straggles { straggler? } else { ascending? };
        if !admits(order) {
            return None;
        }
        if straggles {
            self.stragglers.pop();
        } else {
            self.ascending.pop_front();
        }
        Some(slot)
    }
}
