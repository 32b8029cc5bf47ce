//! MERGE INTO: rows of a table change or go, and others come, by whether they match rows of a source.
//!
//! Invariant: all parts see the table as it was, and it changes when all of them, and the answer, are there.

use arrow::array::StringViewArray;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion_expr::{LogicalPlan, LogicalPlanBuilder};
use std::sync::Arc;

use super::change::{cast_to, column_of, in_order, numbered, refuse_others, table_of};
use super::returning::{changed_rows, returned};
use super::rewritten::{Fate, Rewriter, Rewritten};
use super::rules::{refuse_generated, ruled};
use crate::error::{Code, Error, Result};
use crate::expr::types::sql_type_name;
use crate::session::catalog::Table;
use crate::session::rows::store_rows;
use crate::session::scope::Scope;
use crate::session::sql::changes::TARGET;
use crate::session::sql::merges::{ACTION, Action, Merge, Rows};
use crate::session::sql::words::Tokens;
use crate::session::sql::{Prepared, planning_error};
use crate::session::{DataFrame, Session};
use crate::store::{StoredRows, StoredRowsBuilder};

/// Runs a MERGE: the answer is the number of rows that changed, went or came, or what RETURNING says.
pub(super) fn merge(session: &Session, mut merge: Merge) -> Result<DataFrame> {
    let table = table_of(session, &merge.table, merge.span, "MERGE INTO")?;
    let _changing = table.changing()?;
    name_columns(session, &mut merge, &table)?;
    check_columns(&merge, &table)?;
    let old = table.rows();
    let merging = Merging { session, table: &table, old: &old, columns: described(&table) };
    let new = merging.inserted(&merge)?;
    let changed = merging.changed(&merge)?;
    let answer = match &merge.returning {
        Some(returning) => {
            let came = merging.with_action(&new)?;
            returned(session, &returning.without(ACTION)?, changed.met.followed_by(&came))?
        }
        None => changed_rows(session, changed.count + new.rows())?,
    };
    table.replace(changed.rows.followed_by(&new));
    Ok(answer)
}

/// Names the columns that UPDATE and INSERT leave unnamed: those of the source, or all that are not computed.
fn name_columns(session: &Session, merge: &mut Merge, table: &Table) -> Result<()> {
    let names = table.schema.fields().iter().enumerate();
    let plain = names.filter(|(index, _)| table.rules.generated_as(*index).is_none());
    let plain: Vec<String> = plain.map(|(_, field)| field.name().clone()).collect();
    let source = match merge.clauses.iter().any(|clause| matches!(clause.action, Action::All(_))) {
        true => source_columns(session, merge)?,
        false => Vec::new(),
    };
    for index in 0..merge.clauses.len() {
        let named = match merge.clauses.get(index).map(|clause| &clause.action) {
            Some(Action::All(all)) => merge.all(*all, &plain, &source)?,
            Some(Action::Insert { columns, values: Some(values) }) if columns.is_empty() => Action::Insert {
                columns: plain.iter().map(|name| (name.clone(), merge.span)).collect(),
                values: Some(values.clone()),
            },
            _ => continue,
        };
        if let Some(clause) = merge.clauses.get_mut(index) {
            clause.action = named;
        }
    }
    Ok(())
}

fn source_columns(session: &Session, merge: &Merge) -> Result<Vec<String>> {
    let source = Prepared::of_tokens(merge.source()?, &Scope::new(session.engine()))?.query_plan()?;
    Ok(source.schema().fields().iter().map(|field| field.name().clone()).collect())
}

/// An error for a column that is not there or not to be set, and for values without a column.
fn check_columns(merge: &Merge, table: &Table) -> Result<()> {
    for clause in &merge.clauses {
        match &clause.action {
            Action::Update(set) => {
                for one in set {
                    refuse_generated(table, column_of(table, &one.column, one.span)?, one.span)?;
                    refuse_others(&one.value, one.span)?;
                }
            }
            Action::Insert { columns, values } => {
                let mut named = Vec::new();
                for (column, span) in columns {
                    let index = column_of(table, column, *span)?;
                    refuse_generated(table, index, *span)?;
                    if named.contains(&index) {
                        let message = format!("column \"{column}\" is named twice");
                        return Err(Error::new(Code::InvalidQuery, message).span(*span));
                    }
                    named.push(index);
                }
                if let Some(values) = values.as_ref().filter(|values| values.len() != columns.len()) {
                    let message = format!("{} values for {} columns", values.len(), columns.len());
                    return Err(Error::new(Code::InvalidQuery, message).span(merge.span));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The name, the type and the default of every column.
fn described(table: &Table) -> Vec<[String; 3]> {
    let column = |(field, default): (&FieldRef, &Option<String>)| {
        let default = default.clone().unwrap_or_else(|| "NULL".to_string());
        [field.name().clone(), sql_type_name(field.data_type()), default]
    };
    table.schema.fields().iter().zip(&table.defaults).map(column).collect()
}

struct Merging<'a> {
    session: &'a Session,
    table: &'a Table,
    old: &'a StoredRows,
    columns: Vec<[String; 3]>,
}

impl Merging<'_> {
    /// The rows of the table with those that change or go.
    fn changed(&self, merge: &Merge) -> Result<Rewritten> {
        let types = self.table.schema.fields().iter().map(|field| field.data_type().clone());
        let types: Vec<DataType> = [DataType::Int64, DataType::Boolean].into_iter().chain(types).collect();
        let mut met: Option<LogicalPlan> = None;
        for rows in [Rows::Matched, Rows::NotInSource] {
            if let Some(query) = merge.changes(rows, &self.columns)? {
                met = together(met, ruled(self.session, self.table, self.plan(query, &types)?)?)?;
            }
        }
        let rewriter = Rewriter {
            schema: self.table.schema.clone(),
            store: self.session.engine().store(),
            fate: Fate::OwnColumn(self.with_action_schema()),
            keeps_met: merge.returning.is_some(),
            once: true,
        };
        match met {
            Some(met) => rewriter.run(self.old, DataFrame::new(self.session.clone(), in_order(met, false)?).stream()?),
            None => Ok(rewriter.untouched(self.old)),
        }
    }

    /// The rows that come.
    fn inserted(&self, merge: &Merge) -> Result<StoredRows> {
        let types: Vec<DataType> = self.table.schema.fields().iter().map(|field| field.data_type().clone()).collect();
        let mut new: Option<LogicalPlan> = None;
        for rows in [Rows::NotInTable, Rows::Matched, Rows::NotInSource] {
            if let Some(query) = merge.inserts(rows, &self.columns)? {
                new = together(new, ruled(self.session, self.table, self.plan(query, &types)?)?)?;
            }
        }
        let schema = &self.table.schema;
        match new {
            Some(plan) => {
                let plan = crate::plan::analyze(plan).map_err(planning_error)?;
                let frame = DataFrame::new(self.session.clone(), plan);
                store_rows(frame.stream()?, schema, self.session.engine().store())
            }
            None => Ok(StoredRows::empty(schema.clone())),
        }
    }

    fn plan(&self, query: Tokens, types: &[DataType]) -> Result<LogicalPlan> {
        let scope = Scope::new(self.session.engine()).with(TARGET, numbered(self.table, self.old));
        cast_to(Prepared::of_tokens(query, &scope)?.query_plan()?, types)
    }

    fn with_action_schema(&self) -> SchemaRef {
        let mut fields: Vec<FieldRef> = self.table.schema.fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(ACTION, DataType::Utf8View, true)));
        Arc::new(Schema::new(fields))
    }

    /// Rows that came, and that they did.
    fn with_action(&self, rows: &StoredRows) -> Result<StoredRows> {
        let (schema, store) = (self.with_action_schema(), self.session.engine().store());
        let mut with_action = StoredRowsBuilder::new(schema.clone(), store.clone());
        for handle in rows.handles() {
            let batch = store.get(handle)?;
            let mut columns = batch.columns().to_vec();
            columns.push(Arc::new(StringViewArray::from(vec!["INSERT"; batch.num_rows()])));
            with_action.push(RecordBatch::try_new(schema.clone(), columns)?)?;
        }
        Ok(with_action.finish())
    }
}

/// The rows of both.
fn together(first: Option<LogicalPlan>, second: LogicalPlan) -> Result<Option<LogicalPlan>> {
    Ok(Some(match first {
        Some(first) => LogicalPlanBuilder::from(first).union(second)?.build()?,
        None => second,
    }))
}
