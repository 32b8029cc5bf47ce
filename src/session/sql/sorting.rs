//! What ORDER BY means where it says nothing of the direction or of NULLs: written out as the settings `default_order` and
//! `default_null_order` say.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, NamedWindowExpr, OrderBy,
    OrderByExpr, OrderByKind, OrderByOptions, Query, Select, Statement, Value, VisitMut, VisitorMut, WindowSpec,
    WindowType,
};

use super::macros::plain_name;
use crate::config::Ordering;

/// Writes every ORDER BY of the statement out, unless the settings are what the planner does anyway.
pub(super) fn spell_out(statement: &mut Statement, ordering: Ordering) {
    if ordering != Ordering::default() {
        let _: ControlFlow<()> = VisitMut::visit(statement, &mut Orders(ordering));
    }
}

struct Orders(Ordering);

impl Orders {
    fn write(&self, options: &mut OrderByOptions) {
        let ascending = *options.asc.get_or_insert(!self.0.descending);
        options.nulls_first.get_or_insert(self.0.nulls.is_first(ascending));
    }

    fn write_all(&self, keys: &mut [OrderByExpr]) {
        keys.iter_mut().for_each(|key| self.write(&mut key.options));
    }

    /// The arguments that say how a list is sorted, behind those that do.
    fn list_arguments(&self, arguments: &[FunctionArg]) -> Vec<FunctionArg> {
        let argument = |text: &str| {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::value(Value::SingleQuotedString(text.to_string()))))
        };
        let direction = |descending: bool| if descending { "DESC" } else { "ASC" };
        let nulls = |descending: bool| if self.0.nulls.is_first(!descending) { "NULLS FIRST" } else { "NULLS LAST" };
        match arguments {
            [_] => vec![argument(direction(self.0.descending)), argument(nulls(self.0.descending))],
            [_, FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(order)))] => match &order.value {
                Value::SingleQuotedString(order) => {
                    vec![argument(nulls(order.trim().to_lowercase().starts_with("desc")))]
                }
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    fn window(&self, window: &mut WindowSpec) {
        self.write_all(&mut window.order_by);
    }
}

impl VisitorMut for Orders {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        match &mut query.order_by {
            Some(OrderBy { kind: OrderByKind::Expressions(keys), .. }) => self.write_all(keys),
            Some(OrderBy { kind: OrderByKind::All(options), .. }) => self.write(options),
            None => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for window in &mut select.named_window {
            if let NamedWindowExpr::WindowSpec(window) = &mut window.1 {
                self.window(window);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Function(call) = expr else { return ControlFlow::Continue(()) };
        if let Some(WindowType::WindowSpec(window)) = &mut call.over {
            self.window(window);
        }
        if let FunctionArguments::List(list) = &mut call.args {
            let sorts_list = plain_name(&call.name).is_some_and(|name| name == "list_sort" || name == "array_sort");
            if sorts_list {
                list.args.extend(self.list_arguments(&list.args));
            }
            for clause in &mut list.clauses {
                if let FunctionArgumentClause::OrderBy(keys) = clause {
                    self.write_all(keys);
                }
            }
        }
        ControlFlow::Continue(())
    }
}
