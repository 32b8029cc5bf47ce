//! Names in expressions: found without regard to case, and the names that expressions get.

use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Column, DFSchema, SchemaError, TableReference};
use datafusion_expr::Expr;

use crate::error::{Code, Error, Result};
use crate::session::sql::unknown_column;

/// The expression with every column as `schema` spells it.
pub(super) fn resolve(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let resolved = expr.transform(|expr| match expr {
        Expr::Column(column) => Ok(Transformed::yes(Expr::Column(find(&column, schema)?))),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(resolved.data)
}

/// The expression resolved, and called as it is written unless it is a column or has an alias.
pub(super) fn resolve_named(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let written = written_name(&expr);
    let resolved = resolve(expr, schema)?;
    Ok(match (&resolved, written) {
        (Expr::Column(_) | Expr::Alias(_), _) | (_, None) => resolved,
        (_, Some(name)) => resolved.alias(name),
    })
}

/// The name of an expression that is neither a column nor has an alias.
pub(super) fn written_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Column(_) | Expr::Alias(_) => None,
        other => Some(other.schema_name().to_string()),
    }
}

fn find(column: &Column, schema: &DFSchema) -> Result<Column> {
    let found = match &column.relation {
        Some(relation) => matching(Some(relation), &column.name, schema),
        None => matching(None, &column.name, schema),
    };
    let found = match (found.is_empty(), column.relation.is_none(), column.name.split_once('.')) {
        (true, true, Some((table, name))) => matching(Some(&TableReference::bare(table)), name, schema),
        _ => found,
    };
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(unknown_column(column, &schema.columns())),
        [first, ..] => {
            let error = SchemaError::AmbiguousReference { field: Box::new(first.clone()) };
            Err(Error::new(Code::UnknownColumn, error.to_string())
                .hint("qualify it: col(\"table.column\"), with frame.alias(\"table\")"))
        }
    }
}

/// Columns of exactly that name, or else of that name regardless of case.
fn matching(relation: Option<&TableReference>, name: &str, schema: &DFSchema) -> Vec<Column> {
    let all = || {
        schema.columns().into_iter().filter(move |column| {
            relation.is_none_or(|wanted| {
                column
                    .relation
                    .as_ref()
                    .is_some_and(|has| has.to_string().to_lowercase() == wanted.to_string().to_lowercase())
            })
        })
    };
    let exact: Vec<Column> = all().filter(|column| column.name == name).collect();
    if !exact.is_empty() {
        return exact;
    }
    let lower = name.to_lowercase();
    all().filter(|column| column.name.to_lowercase() == lower).collect()
}
