//! What errors of planning should say of columns whose types rest on a sample: that they do, and how to state them.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_expr::{LogicalPlan, TableSource};
use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{Code, Error};
use crate::plan::FileTable;
use crate::scan::ScanSpec;

/// The error of planning a statement of these words over `sources`, with what is to be known of columns that it names.
pub(super) fn explained<'a>(
    error: Error,
    tokens: &[TokenWithSpan],
    sources: impl Iterator<Item = &'a Arc<dyn TableSource>>,
) -> Error {
    if !matches!(error.code(), Code::UnknownFunction | Code::InvalidQuery | Code::InvalidCast) {
        return error;
    }
    let mut columns = BTreeMap::new();
    sources.for_each(|source| uncertain(source.as_ref(), &mut columns));
    let is_named = |column: &str| {
        let is_it = |token: &TokenWithSpan| matches!(&token.token, Token::Word(word) if word.value.eq_ignore_ascii_case(column));
        tokens.iter().any(is_it)
    };
    match columns.into_iter().find(|(column, _)| is_named(column)) {
        Some((_, hint)) => error.further_hint(hint),
        None => error,
    }
}

/// Adds the columns whose types rest on samples, each with what is to be known of it.
fn uncertain(source: &dyn TableSource, columns: &mut BTreeMap<String, String>) {
    if let Some(table) = source.downcast_ref::<FileTable>() {
        of_files(&table.spec, columns);
    }
    if let Some(plan) = source.get_logical_plan() {
        // Nothing in it fails.
        let _ = plan.apply(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                uncertain(scan.source.as_ref(), columns);
            }
            Ok(TreeNodeRecursion::Continue)
        });
    }
}

fn of_files(spec: &ScanSpec, columns: &mut BTreeMap<String, String>) {
    let all: Vec<usize> = (0..spec.schema.fields().len()).collect();
    let fields = spec.unproven(&all).into_iter().filter_map(|column| spec.schema.fields().get(column));
    columns.extend(fields.map(|field| (field.name().clone(), spec.sample_hint(field.name()))));
}
