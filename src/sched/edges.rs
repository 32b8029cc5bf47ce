//! The edges of the graph, pooled: each is in its dependant's list of inputs and in its input's list of dependants.
//!
//! Invariant: an edge is freed exactly once, when its dependant starts; freed edges are reused before the pool grows.

/// "No slot" and "no edge".
pub(super) const NONE: u32 = u32::MAX;

/// One dependence: `dependant` takes the value of `input`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge {
    pub(super) input: u32,
    pub(super) dependant: u32,
    /// The next edge with the same `input`.
    pub(super) next_dependant: u32,
    /// The next edge with the same `dependant`; in the free list, the next free edge.
    pub(super) next_input: u32,
}

/// All edges of a graph.
#[derive(Debug)]
pub(super) struct Edges {
    pool: Vec<Edge>,
    first_free: u32,
}

impl Default for Edges {
    fn default() -> Self {
        Edges { pool: Vec::new(), first_free: NONE }
    }
}

impl Edges {
    /// The edge at `index`, which an earlier `insert` returned.
    pub(super) fn get(&self, index: u32) -> Edge {
        self.pool[index as usize]
    }

    /// Stores `edge` and returns its index.
    pub(super) fn insert(&mut self, edge: Edge) -> u32 {
        if self.first_free == NONE {
            let index = self.pool.len() as u32;
            debug_assert!(index < NONE);
            self.pool.push(edge);
            return index;
        }
        let index = self.first_free;
        let place = &mut self.pool[index as usize];
        self.first_free = place.next_input;
        *place = edge;
        index
    }

    /// Takes the edge at `index` out.
    pub(super) fn remove(&mut self, index: u32) -> Edge {
        let edge = self.pool[index as usize];
        self.pool[index as usize].next_input = self.first_free;
        self.first_free = index;
        edge
    }

    /// How many edges there is room for without growing (for tests of bounded memory).
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.pool.len()
    }
}
