//! `a SEMI JOIN b` and `a ANTI JOIN b`, which the planner knows only with the word LEFT before them.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    Join, JoinConstraint, JoinOperator, Select, Statement, TableFactor, VisitMut, VisitorMut,
};

/// Puts the word where it is missing.
pub(crate) fn spell_out(statement: &mut Statement) {
    let _: ControlFlow<()> = statement.visit(&mut Joins);
}

struct Joins;

impl VisitorMut for Joins {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        select.from.iter_mut().flat_map(|from| &mut from.joins).for_each(spell_join);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::NestedJoin { table_with_joins, .. } = factor {
            table_with_joins.joins.iter_mut().for_each(spell_join);
        }
        ControlFlow::Continue(())
    }
}

fn spell_join(join: &mut Join) {
    let take = |constraint: &mut JoinConstraint| std::mem::replace(constraint, JoinConstraint::None);
    join.join_operator = match &mut join.join_operator {
        JoinOperator::Semi(constraint) => JoinOperator::LeftSemi(take(constraint)),
        JoinOperator::Anti(constraint) => JoinOperator::LeftAnti(take(constraint)),
        _ => return,
    };
}
