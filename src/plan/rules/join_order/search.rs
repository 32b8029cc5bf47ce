//! The cheapest tree of joins.
//!
//! Up to [`EXHAUSTIVE`] relations every connected subset gets its best tree by dynamic programming over all ways to split
//! it (Vance and Maier, "Rapid bushy join-order optimization with Cartesian products", 1996); beyond, the pair whose join is
//! the cheapest is joined until one tree is left (Fegaras, "A new heuristic for optimizing large queries", 1998). A cross product
//! is made only of all that is connected with all else that is, or where one side is a single row.

use super::cardinality::Model;
use super::graph::{JoinGraph, Set, only};

/// Relations up to which all trees are considered: the ways to split grow with 3^n.
const EXHAUSTIVE: usize = 12;
/// A row that is built into a hash table costs so many that probe one.
const BUILD_COST: f64 = 2.0;
/// Probing tables beyond the caches costs more: rows from which it does, what each doubling adds, and the most.
const CACHED_ROWS: f64 = 30_000.0;
const DOUBLING_COST: f64 = 0.25;
const MOST_PROBE_COST: f64 = 3.0;
/// A pair of rows that is compared without a hash table.
const PAIR_COST: f64 = 0.2;
/// A tree must be better by this share to replace another: rounding decides nothing.
const BETTER: f64 = 1.0 - 1e-9;

/// A tree of joins over the relations of a graph.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tree {
    Relation(usize),
    /// The right side is the one with fewer rows, or the attached relation.
    Join(Box<Tree>, Box<Tree>),
}

impl Tree {
    /// The relations in it.
    pub(super) fn set(&self) -> Set {
        match self {
            Tree::Relation(index) => only(*index),
            Tree::Join(left, right) => left.set() | right.set(),
        }
    }
}

/// The cheapest tree of all relations.
pub(super) fn best(graph: &JoinGraph, model: &Model) -> Option<Tree> {
    let search = Search { graph, model, components: graph.components() };
    match graph.relations.len() {
        0 => None,
        count if count <= EXHAUSTIVE => CROSS_PRODUCTS.into_iter().find_map(|allowed| search.exhaustive(allowed)),
        _ => search.greedy(),
    }
}

/// Which cross products may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CrossProducts {
    None,
    /// Of whole components.
    Components,
    /// Any: a condition such as `a.x + b.y = c.z` is met only after one.
    Any,
}

/// In the order in which they are tried.
const CROSS_PRODUCTS: [CrossProducts; 3] = [CrossProducts::None, CrossProducts::Components, CrossProducts::Any];

struct Search<'a> {
    graph: &'a JoinGraph,
    model: &'a Model,
    /// The sets of relations that conditions connect.
    components: Vec<Set>,
}

/// The best known way to join a set.
#[derive(Debug, Clone, Copy)]
struct Best {
    cost: f64,
    rows: f64,
    /// Left and right side; none for a single relation.
    sides: Option<(Set, Set)>,
}

impl Search<'_> {
    fn exhaustive(&self, cross_products: CrossProducts) -> Option<Tree> {
        let count = self.graph.relations.len();
        let full: Set = (1 << count) - 1;
        let mut table: Vec<Option<Best>> = vec![None; usize::try_from(full).ok()? + 1];
        let at = |set: Set| usize::try_from(set).unwrap_or(usize::MAX);
        for set in 1..=full {
            let mut best = None;
            if set.is_power_of_two() {
                best = Some(Best { cost: 0.0, rows: self.model.rows(set), sides: None });
            }
            let lowest = set & set.wrapping_neg();
            let mut rows = None;
            // All ways to split in two: the part with the lowest relation, and the rest.
            let mut part = (set - 1) & set;
            while part > 0 {
                if part & lowest != 0
                    && let Some(first) = table.get(at(part)).copied().flatten()
                    && let Some(second) = table.get(at(set ^ part)).copied().flatten()
                    && self.may_join(part, set ^ part, cross_products)
                {
                    let rows = *rows.get_or_insert_with(|| self.model.rows(set));
                    let joined = self.join((part, &first), (set ^ part, &second), rows);
                    if best.is_none_or(|best: Best| joined.cost < best.cost * BETTER) {
                        best = Some(joined);
                    }
                }
                part = (part - 1) & set;
            }
            if let Some(slot) = table.get_mut(at(set)) {
                *slot = best;
            }
        }
        tree(&|set| table.get(at(set)).copied().flatten(), full)
    }

    fn greedy(&self) -> Option<Tree> {
        let single = |index: usize| {
            let set = only(index);
            (set, Best { cost: 0.0, rows: self.model.rows(set), sides: None }, Tree::Relation(index))
        };
        let mut forest: Vec<(Set, Best, Tree)> = (0..self.graph.relations.len()).map(single).collect();
        while forest.len() > 1 {
            let cheapest = CROSS_PRODUCTS.into_iter().find_map(|allowed| self.cheapest(&forest, allowed));
            let (first, second, joined) = cheapest?;
            let (one, other) = (forest.get(first)?, forest.get(second)?);
            let (left, _) = joined.sides?;
            let (left, right) = if left == one.0 { (&one.2, &other.2) } else { (&other.2, &one.2) };
            let tree = Tree::Join(Box::new(left.clone()), Box::new(right.clone()));
            let set = one.0 | other.0;
            forest.remove(second);
            if let Some(slot) = forest.get_mut(first) {
                *slot = (set, joined, tree);
            }
        }
        forest.pop().map(|(_, _, tree)| tree)
    }

    /// The pair of trees whose join has the fewest rows, then the least cost.
    fn cheapest(&self, forest: &[(Set, Best, Tree)], cross_products: CrossProducts) -> Option<(usize, usize, Best)> {
        let mut cheapest: Option<(usize, usize, Best)> = None;
        for (first, one) in forest.iter().enumerate() {
            for (second, other) in forest.iter().enumerate().skip(first + 1) {
                if !self.may_join(one.0, other.0, cross_products) {
                    continue;
                }
                let rows = self.model.rows(one.0 | other.0);
                let joined = self.join((one.0, &one.1), (other.0, &other.1), rows);
                let is_better = cheapest.is_none_or(|(_, _, best)| {
                    joined.rows < best.rows * BETTER || (joined.rows <= best.rows && joined.cost < best.cost * BETTER)
                });
                if is_better {
                    cheapest = Some((first, second, joined));
                }
            }
        }
        cheapest
    }

    /// The relation's needs, when the set is one attached relation.
    fn needs(&self, set: Set) -> Option<Set> {
        let index = usize::try_from(set.trailing_zeros()).ok()?;
        let relation = self.graph.relations.get(index).filter(|_| set.is_power_of_two())?;
        relation.attached.as_ref().map(|attached| attached.needs)
    }

    fn may_join(&self, one: Set, other: Set, cross_products: CrossProducts) -> bool {
        match (self.needs(one), self.needs(other)) {
            (Some(_), Some(_)) => false,
            (Some(needs), None) => needs & !other == 0,
            (None, Some(needs)) => needs & !one == 0,
            (None, None) => {
                let is_row = self.model.is_row(one) || self.model.is_row(other);
                let may_cross = match cross_products {
                    CrossProducts::None => false,
                    CrossProducts::Components => self.is_whole(one) && self.is_whole(other),
                    CrossProducts::Any => true,
                };
                may_cross || is_row || self.has_keys(one, other) || self.meets(one, other)
            }
        }
    }

    /// Whether no condition connects the set with anything outside of it.
    fn is_whole(&self, set: Set) -> bool {
        self.components.iter().all(|component| component & set == 0 || component & !set == 0)
    }

    /// Whether some equality connects the sets.
    fn has_keys(&self, one: Set, other: Set) -> bool {
        let meets = |about: Set| about & one != 0 && about & other != 0;
        let crosses = |sides: &[(datafusion_expr::Expr, Set); 2]| {
            let [(_, left), (_, right)] = sides;
            (left & !one == 0 && right & !other == 0) || (left & !other == 0 && right & !one == 0)
        };
        self.graph.classes.iter().any(|class| meets(class.about()))
            || self.graph.predicates.iter().filter_map(|predicate| predicate.sides.as_ref()).any(crosses)
    }

    /// Whether some predicate connects the sets and no others.
    fn meets(&self, one: Set, other: Set) -> bool {
        let is_between = |about: Set| about & !(one | other) == 0 && about & one != 0 && about & other != 0;
        self.graph.predicates.iter().any(|predicate| is_between(predicate.about))
    }

    fn join(&self, (one, first): (Set, &Best), (other, second): (Set, &Best), rows: f64) -> Best {
        let attached = self.needs(one).is_some() || self.needs(other).is_some();
        let (probe, build) = (first.rows.max(second.rows), first.rows.min(second.rows));
        let cost = if attached || self.has_keys(one, other) {
            let probe_cost = 1.0 + DOUBLING_COST * (build / CACHED_ROWS).max(1.0).log2();
            probe * probe_cost.min(MOST_PROBE_COST) + build * BUILD_COST + rows
        } else {
            probe * build * PAIR_COST + probe + rows
        };
        let swapped = match (self.needs(one), self.needs(other)) {
            (Some(_), _) => true,
            (_, Some(_)) => false,
            _ => first.rows < second.rows,
        };
        let sides = if swapped { (other, one) } else { (one, other) };
        Best { cost: first.cost + second.cost + cost, rows, sides: Some(sides) }
    }
}

fn tree(best: &dyn Fn(Set) -> Option<Best>, set: Set) -> Option<Tree> {
    match best(set)?.sides {
        None => Some(Tree::Relation(usize::try_from(set.trailing_zeros()).ok()?)),
        Some((left, right)) => Some(Tree::Join(Box::new(tree(best, left)?), Box::new(tree(best, right)?))),
    }
}
