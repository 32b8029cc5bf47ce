//! The stages of a pipeline: first all splits of its branches, then, one operator after the other, what each held back.
//!
//! Invariant: a stage stands behind every stage whose rows can still reach its operator.

use std::sync::Arc;

use crate::ops::Operator;

/// Where a batch enters a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) branch: usize,
    /// The position of the first operator that the batch passes.
    pub(super) position: usize,
}

/// One operator that holds rows back.
pub(super) struct Stage {
    pub(super) operator: Arc<dyn Operator>,
    /// Where it stands: behind a UNION ALL, at the same distance from the end of several branches.
    pub(super) places: Vec<Place>,
}

impl Stage {
    /// Where the rows that it held back go on.
    pub(super) fn behind(&self) -> Place {
        let first = self.places.first().copied().unwrap_or(Place { branch: 0, position: 0 });
        Place { position: first.position + 1, ..first }
    }
}

/// The stages of a pipeline of these branches.
pub(super) fn stages(branches: &[Vec<Arc<dyn Operator>>]) -> Vec<Stage> {
    let longest = branches.iter().map(Vec::len).max().unwrap_or(0);
    let mut stages: Vec<Stage> = Vec::new();
    // What branches share is at their ends, so counting from there every operator comes after those before it.
    for distance in (1..=longest).rev() {
        for (branch, operators) in branches.iter().enumerate() {
            let Some(position) = operators.len().checked_sub(distance) else { continue };
            let operator = &operators[position];
            if !operator.holds_back() {
                continue;
            }
            let place = Place { branch, position };
            match stages.iter_mut().find(|stage| Arc::ptr_eq(&stage.operator, operator)) {
                Some(stage) => stage.places.push(place),
                None => stages.push(Stage { operator: operator.clone(), places: vec![place] }),
            }
        }
    }
    stages
}
