//! Parts of a select list that stand for columns which only the tables know, spelled out before the query is planned.
//!
//! * [`columns`]: `COLUMNS('regex')`, `COLUMNS(n -> …)`, `COLUMNS(['a', 'b'])`, `COLUMNS(* EXCLUDE (a))`, and `*` with RENAME,
//!   LIKE or a qualified EXCLUDE, and `column.*` of a struct;
//! * [`positions`]: columns by number, as in `#2`;
//! * [`pivot`]: PIVOT and UNPIVOT, whose columns are the values of a table;
//! * [`merged`]: what joins with USING make of two columns;
//! * [`twice`]: names that a select list has twice;
//! * [`unnests`]: `unnest` of several levels;
//! * [`rows`]: a table's name for its row;
//! * [`aliases`]: names of the select list that are used in WHERE or further behind in the list.
//!
//! What the tables of a FROM clause have is learned by planning `SELECT * FROM …` of it, with the CTEs around it; nothing is
//! learned where none of this is used.

mod aliases;
mod columns;
mod merged;
mod pivot;
mod pivot_tokens;
mod positions;
mod rows;
mod tokens;
mod twice;
mod unnests;
mod unpivot;

use std::cell::OnceCell;
use std::ops::ControlFlow;

use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use datafusion_common::DFSchema;
use datafusion_expr::LogicalPlan;
use datafusion_sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion_sql::sqlparser::ast::{
    Cte, Expr, Ident, OrderBy, OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, Statement, TableWithJoins,
    Value, VisitMut, VisitorMut, With,
};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::parser::Parser;

pub(super) use columns::{has_columns, is_columns};
pub(super) use tokens::take;
pub(super) use unnests::opened;

use super::{groups, orders};
use crate::error::{Error, Result};
use merged::Merged;

/// Plans a query for the sake of its columns.
pub(super) type Learn<'a> = dyn Fn(Query) -> Result<LogicalPlan> + 'a;

/// Runs a query for values that a statement needs to be planned.
pub(super) type Run<'a> = dyn Fn(&LogicalPlan) -> Result<Vec<RecordBatch>> + 'a;

/// Spells out every query within `statement`, innermost first.
///
/// # Errors
/// `INVALID_QUERY` and `UNKNOWN_COLUMN` for patterns that fit nothing; what planning the tables gives.
pub(super) fn spell_out(statement: &mut Statement, learn: &Learn<'_>, run: &Run<'_>) -> Result<()> {
    let mut nested = Nested { stars: &Stars { learn, run }, scope: &[], depth: 0 };
    match VisitMut::visit(statement, &mut nested) {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Stars<'a> {
    learn: &'a Learn<'a>,
    run: &'a Run<'a>,
}

/// A CTE that is in scope, and whether it may read itself.
type Scope = Vec<(Cte, bool)>;

impl Stars<'_> {
    fn query(&self, query: &mut Query, outer: &[(Cte, bool)]) -> Result<()> {
        let mut scope: Scope = outer.to_vec();
        if let Some(with) = &mut query.with {
            for cte in &mut with.cte_tables {
                let mut inside = scope.clone();
                if with.recursive {
                    inside.push((cte.clone(), true));
                }
                self.query(&mut cte.query, &inside)?;
                scope.push((cte.clone(), with.recursive));
            }
        }
        let Query { body, order_by, .. } = query;
        order_by.iter_mut().for_each(positions::order_by_positions);
        match body.as_mut() {
            SetExpr::Select(select) => {
                if let Some(outputs) = self.select(select, &scope, order_by.as_mut())? {
                    orders::put_around(body, outputs)?;
                }
            }
            body => self.set(body, &scope)?,
        }
        self.order_by_all(query, outer)
    }

    /// `ORDER BY ALL` by position, where the select list does not say how many columns there are.
    fn order_by_all(&self, query: &mut Query, outer: &[(Cte, bool)]) -> Result<()> {
        let Some(OrderBy { kind: OrderByKind::All(options), .. }) = &query.order_by else { return Ok(()) };
        let options = *options;
        let mut unordered = query.clone();
        (unordered.order_by, unordered.limit_clause, unordered.fetch) = (None, None, None);
        let own = unordered.with.take();
        let recursive = own.as_ref().is_some_and(|with| with.recursive);
        let own = own.into_iter().flat_map(|with| with.cte_tables).map(|cte| (cte, recursive));
        let scope: Scope = outer.iter().cloned().chain(own).collect();
        unordered.with = with(&scope);
        let count = (self.learn)(unordered)?.schema().fields().len();
        let by_position = |position: usize| OrderByExpr {
            expr: Expr::value(Value::Number(position.to_string(), false)),
            options,
            with_fill: None,
        };
        if let Some(order) = &mut query.order_by {
            order.kind = OrderByKind::Expressions((1..=count).map(by_position).collect());
        }
        Ok(())
    }

    fn set(&self, body: &mut SetExpr, scope: &[(Cte, bool)]) -> Result<()> {
        match body {
            SetExpr::Select(select) => self.select(select, scope, None).map(drop),
            SetExpr::Query(query) => self.query(query, scope),
            SetExpr::SetOperation { left, right, .. } => {
                self.set(left, scope)?;
                self.set(right, scope)
            }
            _ => Ok(()),
        }
    }

    /// Returns the names of the columns that are the query's own where keys of `order` have become columns, too.
    fn select(
        &self,
        select: &mut Select,
        scope: &[(Cte, bool)],
        mut order: Option<&mut OrderBy>,
    ) -> Result<Option<Vec<Ident>>> {
        let mut nested = Nested { stars: self, scope, depth: 0 };
        let mut visited = VisitMut::visit(select, &mut nested);
        if let (ControlFlow::Continue(()), Some(order)) = (&visited, order.as_deref_mut()) {
            visited = VisitMut::visit(order, &mut nested);
        }
        if let ControlFlow::Break(error) = visited {
            return Err(*error);
        }
        let scope = scope.to_vec();
        pivot::spell_out(select, self, &scope)?;
        let merged = merged::spell_out(select, self, &scope)?;
        let tables = Tables { merged, ..Tables::new(self, select.from.clone(), &scope) };
        columns::spell_out(select, &tables)?;
        unnests::spell_out(select, &tables)?;
        merged::put(select, order.as_deref_mut(), &tables.merged, self, &scope);
        if select.having.is_some() {
            // The planner would find no key in HAVING that is more than a column.
            groups::name_all_keys(select);
        }
        twice::spell_out(select, &tables)?;
        rows::spell_out(select, &tables)?;
        let outputs = order.and_then(|order| orders::name_keys(select, order, &|name| tables.has_column(name)));
        aliases::spell_out(select, &tables)?;
        Ok(outputs)
    }
}

/// Spells out the queries within a select, but not those within these: they do it themselves.
struct Nested<'a> {
    stars: &'a Stars<'a>,
    scope: &'a [(Cte, bool)],
    depth: usize,
}

impl VisitorMut for Nested<'_> {
    type Break = Box<Error>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Box<Error>> {
        self.depth += 1;
        match self.depth {
            1 => match self.stars.query(query, self.scope) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(Box::new(error)),
            },
            _ => ControlFlow::Continue(()),
        }
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<Box<Error>> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

/// What a FROM clause has, learned when somebody asks.
struct Tables<'a> {
    stars: &'a Stars<'a>,
    from: Vec<TableWithJoins>,
    scope: &'a [(Cte, bool)],
    schema: OnceCell<DFSchema>,
    merged: Vec<Merged>,
}

impl<'a> Tables<'a> {
    fn new(stars: &'a Stars<'a>, from: Vec<TableWithJoins>, scope: &'a [(Cte, bool)]) -> Self {
        Tables { stars, from, scope, schema: OnceCell::new(), merged: Vec::new() }
    }

    /// The columns of `SELECT * FROM …`.
    fn schema(&self) -> Result<&DFSchema> {
        if let Some(schema) = self.schema.get() {
            return Ok(schema);
        }
        if self.from.is_empty() {
            return Ok(self.schema.get_or_init(DFSchema::empty));
        }
        let plan = (self.stars.learn)(self.everything()?)?;
        Ok(self.schema.get_or_init(|| plan.schema().as_ref().clone()))
    }

    /// Whether one is called so; `false` as long as they are not known.
    fn has_column(&self, name: &str) -> bool {
        self.schema().is_ok_and(|schema| schema.fields().iter().any(|field| field.name() == name))
    }

    /// The types of expressions over the tables.
    fn types_of(&self, exprs: &[Expr]) -> Result<Vec<DataType>> {
        let mut query = self.everything()?;
        if let SetExpr::Select(select) = query.body.as_mut() {
            let named = |(number, expr): (usize, &Expr)| SelectItem::ExprWithAlias {
                expr: expr.clone(),
                alias: Ident::with_quote('"', number.to_string()),
            };
            select.projection = exprs.iter().enumerate().map(named).collect();
        }
        let plan = (self.stars.learn)(query)?;
        Ok(plan.schema().fields().iter().map(|field| field.data_type().clone()).collect())
    }

    fn everything(&self) -> Result<Query> {
        let mut query = everything()?;
        if let SetExpr::Select(select) = query.body.as_mut() {
            select.from.clone_from(&self.from);
        }
        query.with = with(self.scope);
        Ok(query)
    }
}

/// `SELECT *`, to be given relations.
fn everything() -> Result<Query> {
    let parsed = Parser::new(&GenericDialect {}).try_with_sql("SELECT *").and_then(|mut parser| parser.parse_query());
    match parsed {
        Ok(query) => Ok(*query),
        Err(_) => Err(Error::internal("a query of all columns that the parser does not read")),
    }
}

/// The CTEs in scope.
fn with(scope: &[(Cte, bool)]) -> Option<With> {
    let cte_tables: Vec<Cte> = scope.iter().map(|(cte, _)| cte.clone()).collect();
    let recursive = scope.iter().any(|(_, recursive)| *recursive);
    (!cte_tables.is_empty()).then(|| With { with_token: AttachedToken::empty(), recursive, cte_tables })
}
