//! VALUES with values of several kinds in a column: they meet in the type in which items of a list would.
//!
//! The planner knows less of types than the lists of floe do: `VALUES (1::TINYINT), (2)` would be INTEGERs, and a text beside a
//! DATE an error.
//!
//! # Known limitation
//! Columns whose values are all written as calls, lists or structs are left to the planner.

use std::mem::replace;
use std::ops::ControlFlow;

use arrow::datatypes::DataType;
use datafusion_sql::sqlparser::ast::{
    CastKind, Expr, Query, Select, SelectItem, SetExpr, TypedString, UnaryOperator, Value, ValueWithSpan, Values,
    VisitMut, VisitorMut,
};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::parser::Parser;

use super::calls::call_of;
use super::dialect::FloeDialect;
use crate::expr::types::sql_type_name;

/// Casts the values of such columns; `type_of` gives the type of the only column of a query.
pub(super) fn meet(query: &mut Query, type_of: &dyn Fn(Query) -> Option<DataType>) {
    let _: ControlFlow<()> = VisitMut::visit(query, &mut Meeting { type_of });
}

struct Meeting<'a> {
    type_of: &'a dyn Fn(Query) -> Option<DataType>,
}

impl VisitorMut for Meeting<'_> {
    type Break = ();

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let SetExpr::Values(values) = query.body.as_mut() {
            self.values(values);
        }
        ControlFlow::Continue(())
    }
}

impl Meeting<'_> {
    fn values(&self, values: &mut Values) {
        let columns = values.rows.first().map_or(0, |row| row.content.len());
        for column in 0..columns {
            let mut cells: Vec<&mut Expr> =
                values.rows.iter_mut().filter_map(|row| row.content.get_mut(column)).collect();
            let Some(items) = items(&cells) else { continue };
            let found = list_query(items).and_then(|query| (self.type_of)(query));
            let Some(DataType::List(item)) = found else { continue };
            let Some(sql_type) = sql_type(item.data_type()) else { continue };
            for cell in cells.iter_mut().filter(|cell| Kind::of(cell) != Kind::Null) {
                let expr = Box::new(replace(*cell, Expr::value(Value::Null)));
                let data_type = sql_type.clone();
                **cell = Expr::Cast { kind: CastKind::Cast, expr, data_type, array: false, format: None };
            }
        }
    }
}

/// How a value is written, as far as its type depends on it.
#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Null,
    Text,
    Number,
    Truth,
    /// Of the type that stands beside it.
    Typed(String),
    Other,
}

impl Kind {
    fn of(cell: &Expr) -> Self {
        match cell {
            Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => Kind::of(inner),
            Expr::Value(ValueWithSpan { value, .. }) => match value {
                Value::Null => Kind::Null,
                Value::Number(..) => Kind::Number,
                Value::Boolean(_) => Kind::Truth,
                Value::SingleQuotedString(_) | Value::EscapedStringLiteral(_) => Kind::Text,
                _ => Kind::Other,
            },
            Expr::Cast { data_type, .. } | Expr::TypedString(TypedString { data_type, .. }) => {
                Kind::Typed(data_type.to_string())
            }
            _ => Kind::Other,
        }
    }
}

/// Values that show the type of the column, where they are of several kinds, more than texts and numbers.
fn items(cells: &[&mut Expr]) -> Option<Vec<Expr>> {
    let mut kinds: Vec<Kind> = Vec::new();
    let mut items = Vec::new();
    for cell in cells {
        let kind = Kind::of(cell);
        let is_new = !kinds.contains(&kind);
        // One value tells the type of all that are written so, but the digits of numbers count.
        if is_new || matches!(kind, Kind::Number | Kind::Other) {
            items.push((**cell).clone());
        }
        if is_new && kind != Kind::Null {
            kinds.push(kind);
        }
    }
    let are_plain = kinds.iter().all(|kind| matches!(kind, Kind::Text | Kind::Number));
    (kinds.len() > 1 && !are_plain).then_some(items)
}

/// `SELECT [items]`
fn list_query(items: Vec<Expr>) -> Option<Query> {
    let mut query = Parser::new(&GenericDialect {}).try_with_sql("SELECT 1").ok()?.parse_query().ok()?;
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let Select { projection, .. } = select.as_mut();
    *projection = vec![SelectItem::UnnamedExpr(call_of("make_array", items))];
    Some(*query)
}

/// The type as the planner reads it.
fn sql_type(data_type: &DataType) -> Option<datafusion_sql::sqlparser::ast::DataType> {
    Parser::new(&FloeDialect).try_with_sql(&sql_type_name(data_type)).ok()?.parse_data_type().ok()
}
