//! Which windows share a sort.
//!
//! PARTITION BY is a set of keys in any order, ORDER BY a list; an order of the rows serves every window whose sets and
//! lists are its beginning. So an order is kept as loose as its windows leave it: a chain of sets (any order within) and
//! fixed keys.

use datafusion_expr::{Expr, SortExpr};

/// What one window asks of the order of the rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    /// Without doubles.
    pub(super) partition: Vec<Expr>,
    /// Without what cannot matter.
    pub(super) order: Vec<SortExpr>,
}

impl Wanted {
    /// `keeps_order` where the first ORDER BY key is needed as it stands, as by RANGE with an offset.
    pub(super) fn new(partition: &[Expr], order: &[SortExpr], keeps_order: bool) -> Self {
        let mut wanted = Wanted { partition: Vec::new(), order: Vec::new() };
        for key in partition {
            if !wanted.partition.contains(key) && !is_constant(key) {
                wanted.partition.push(key.clone());
            }
        }
        for key in order {
            let known = wanted.partition.contains(&key.expr) || wanted.order.iter().any(|own| own.expr == key.expr);
            if keeps_order || !known && !is_constant(&key.expr) {
                wanted.order.push(key.clone());
            }
        }
        wanted
    }
}

fn is_constant(key: &Expr) -> bool {
    matches!(key, Expr::Literal(..))
}

/// Part of an order.
#[derive(Debug, Clone, PartialEq)]
enum Segment {
    /// In any order and direction.
    Any(Vec<Expr>),
    Fixed(SortExpr),
}

/// An order and the windows that it serves, by number.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SharedOrder {
    segments: Vec<Segment>,
    pub(super) windows: Vec<usize>,
    /// How many keys at the beginning all windows partition by.
    pub(super) shared: usize,
}

impl SharedOrder {
    /// All keys.
    pub(super) fn keys(&self) -> Vec<SortExpr> {
        let mut keys = Vec::new();
        for segment in &self.segments {
            match segment {
                Segment::Any(set) => keys.extend(set.iter().map(|key| key.clone().sort(true, false))),
                Segment::Fixed(key) => keys.push(key.clone()),
            }
        }
        keys
    }

    /// Whether serving `wanted`, too, costs no more than sorting by longer keys.
    fn welcomes(&self, wanted: &Wanted) -> bool {
        match (self.shared, self.segments.len()) {
            // Rows in no order at all; and a sort of everything, which serves whatever it can.
            (0, 0) => wanted.partition.is_empty() && wanted.order.is_empty(),
            (0, _) => true,
            // What is partitioned is the work of many: do not give that up.
            _ => !wanted.partition.is_empty(),
        }
    }
}

/// Orders for all windows.
pub(super) fn share(windows: &[Wanted]) -> Vec<SharedOrder> {
    let mut numbers: Vec<usize> = (0..windows.len()).collect();
    // Sorts of everything first, since others can join them; and the longest first, since they leave the least freedom.
    numbers.sort_by_key(|&number| {
        let Wanted { partition, order } = &windows[number];
        let length = partition.len() + order.len();
        (!partition.is_empty() || order.is_empty(), length == 0, std::cmp::Reverse(length))
    });
    let mut orders: Vec<SharedOrder> = Vec::new();
    for number in numbers {
        let wanted = &windows[number];
        let found = orders.iter_mut().filter(|order| order.welcomes(wanted));
        let found = found.filter_map(|order| fit(&order.segments, wanted).map(|segments| (order, segments))).next();
        match found {
            Some((order, segments)) => {
                order.segments = segments;
                order.windows.push(number);
                order.shared = order.shared.min(wanted.partition.len());
            }
            None => orders.push(SharedOrder {
                segments: fit(&[], wanted).unwrap_or_default(),
                windows: vec![number],
                shared: wanted.partition.len(),
            }),
        }
    }
    orders
}

/// The order of `segments`, made longer or more definite so that it serves `wanted`; `None` if it cannot.
fn fit(segments: &[Segment], wanted: &Wanted) -> Option<Vec<Segment>> {
    let mut rest: std::collections::VecDeque<Segment> = segments.iter().cloned().collect();
    let mut fitted = Vec::new();
    let mut partition = wanted.partition.clone();
    while !partition.is_empty() {
        match rest.pop_front() {
            None => fitted.push(Segment::Any(std::mem::take(&mut partition))),
            Some(Segment::Fixed(key)) => {
                let position = partition.iter().position(|own| *own == key.expr)?;
                partition.remove(position);
                fitted.push(Segment::Fixed(key));
            }
            Some(Segment::Any(set)) => {
                let (common, others): (Vec<_>, Vec<_>) = set.into_iter().partition(|key| partition.contains(key));
                partition.retain(|key| !common.contains(key));
                if common.is_empty() || !others.is_empty() && !partition.is_empty() {
                    return None;
                }
                fitted.push(Segment::Any(common));
                if !others.is_empty() {
                    rest.push_front(Segment::Any(others));
                }
            }
        }
    }
    for key in &wanted.order {
        match rest.pop_front() {
            None => {}
            Some(Segment::Fixed(own)) if own == *key => {}
            Some(Segment::Any(mut set)) => {
                let position = set.iter().position(|own| *own == key.expr)?;
                set.remove(position);
                if !set.is_empty() {
                    rest.push_front(Segment::Any(set));
                }
            }
            Some(Segment::Fixed(_)) => return None,
        }
        fitted.push(Segment::Fixed(key.clone()));
    }
    fitted.extend(rest);
    Some(fitted)
}

#[cfg(test)]
mod tests {
    use datafusion_expr::{col, lit};

    use super::*;

    fn wanted(partition: &[&str], order: &[&str]) -> Wanted {
        let partition: Vec<Expr> = partition.iter().map(|name| col(*name)).collect();
        let order: Vec<SortExpr> = order.iter().map(|name| col(*name).sort(true, false)).collect();
        Wanted::new(&partition, &order, false)
    }

    fn shared(windows: &[(&[&str], &[&str])]) -> Vec<(Vec<String>, Vec<usize>, usize)> {
        let windows: Vec<Wanted> = windows.iter().map(|(partition, order)| wanted(partition, order)).collect();
        let orders = share(&windows).into_iter();
        let orders = orders.map(|order| {
            let keys = order.keys().iter().map(|key| key.expr.to_string()).collect();
            (keys, order.windows, order.shared)
        });
        orders.collect()
    }

    fn keys(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_longer_key_serves_its_beginnings() {
        let orders = shared(&[(&["a"], &[]), (&["a"], &["b"]), (&["b", "a"], &["c"])]);
        assert_eq!(orders, [(keys(&["a", "b", "c"]), vec![2, 1, 0], 1)]);
    }

    #[test]
    fn different_partitions_are_different_orders() {
        let orders = shared(&[(&["a"], &["b"]), (&["b"], &["a"])]);
        assert_eq!(orders.len(), 2);
        let orders = shared(&[(&["a"], &["b"]), (&["a"], &["c"])]);
        assert_eq!(orders.len(), 2);
    }

    #[test]
    fn what_is_partitioned_joins_a_sort_of_everything_but_not_the_other_way_round() {
        let orders = shared(&[(&["a"], &["b"]), (&[], &["a"])]);
        assert_eq!(orders, [(keys(&["a", "b"]), vec![1, 0], 0)]);
        let orders = shared(&[(&["a"], &["b"]), (&[], &["c"]), (&[], &[])]);
        assert_eq!(orders, [(keys(&["c"]), vec![1, 2], 0), (keys(&["a", "b"]), vec![0], 1)]);
        let orders = shared(&[(&["a"], &["b"]), (&[], &[])]);
        assert_eq!(orders.len(), 2);
    }

    #[test]
    fn constants_and_repeated_keys_do_not_matter() {
        let order = [lit(1).sort(true, false), col("a").sort(false, true), col("b").sort(true, false)];
        let own = Wanted::new(&[col("a"), col("a")], &order, false);
        assert_eq!(own, wanted(&["a"], &["b"]));
    }
}
