//! ALTER TABLE and ALTER VIEW.
//!
//! Invariant: a table whose columns change becomes a new table, which takes the place of the old one when it is whole. Names, defaults
//! and constraints change without a look at the rows, but for SET NOT NULL.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion_sql::sqlparser::tokenizer::Span as Place;

use super::change::{cast_to, column_of, numbered, table_of};
use super::own::{Nothing, nothing};
use super::rules::{names, refuse_generated, renamed};
use super::tables::declared;
use crate::error::{Code, Error, Result, Span};
use crate::session::catalog::{Rules, Table};
use crate::session::names::Name;
use crate::session::rows::store_rows;
use crate::session::scope::Scope;
use crate::session::sql::changes::TARGET;
use crate::session::sql::words::{Tokens, Words, made, quoted};
use crate::session::sql::{Prepared, planning_error};
use crate::session::{DataFrame, Session};
use crate::store::StoredRows;

/// `ALTER VIEW [IF EXISTS] name RENAME TO name`, from behind VIEW.
pub(super) fn view(session: &Session, mut words: Words) -> Nothing {
    let if_exists = words.accept("IF EXISTS");
    let span = words.span();
    let name = words.name("the name of a view")?;
    if !words.accept("RENAME TO") {
        return Err(refused("this form of ALTER VIEW", &words, "write ALTER VIEW name RENAME TO name"));
    }
    rename(session, words, &name, "view", if_exists, span)
}

/// `ALTER TABLE [IF EXISTS] name …`, from behind TABLE.
pub(super) fn table(session: &Session, mut words: Words) -> Nothing {
    let if_exists = words.accept("IF EXISTS");
    let span = words.span();
    let name = words.name("the name of a table")?;
    if words.accept("RENAME TO") {
        return rename(session, words, &name, "table", if_exists, span);
    }
    if if_exists && session.engine().catalog.get(&name).is_none() {
        return nothing(session);
    }
    let old = table_of(session, &name, span, "ALTER TABLE of")?;
    let mut replaced = old.changing()?;
    let alter = Alter { session, table: &old, place: words.place() };
    if let Some(new) = alter.altered(words)? {
        session.engine().catalog.swap(&name, &old, new)?;
        *replaced = true;
    }
    nothing(session)
}

fn rename(session: &Session, mut words: Words, name: &Name, kind: &str, if_exists: bool, span: Span) -> Nothing {
    let new = words.word("a name")?;
    words.end()?;
    let catalog = &session.engine().catalog;
    if !(if_exists && catalog.get(name).is_none()) {
        catalog.rename(name, kind, &new).map_err(|error| error.span(span))?;
    }
    nothing(session)
}

fn refused(what: &str, words: &Words, hint: &str) -> Error {
    Error::not_supported(what).span(words.span()).hint(hint)
}

/// A column of the new table: its field, its default, and what stands in it.
struct Column {
    field: FieldRef,
    default: Option<String>,
    /// What it is computed as, if it is.
    generated: Option<String>,
    value: Tokens,
}

struct Alter<'a> {
    session: &'a Session,
    table: &'a Arc<Table>,
    place: Place,
}

impl Alter<'_> {
    /// The new table; `None` where there is nothing to do.
    fn altered(&self, mut words: Words) -> Result<Option<Table>> {
        if words.accept("RENAME") {
            words.accept("COLUMN");
            return self.rename_column(words).map(Some);
        }
        if words.accept("ADD") {
            if ["CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN", "CHECK"].contains(&words.peek().as_str()) {
                let hint =
                    "CREATE TABLE takes CHECK; there are no keys: look for rows that break the rule with a query";
                return Err(refused("a constraint", &words, hint));
            }
            words.accept("COLUMN");
            return self.add_column(words);
        }
        if words.accept("DROP") {
            if words.peek() == "CONSTRAINT" {
                return Err(refused("a constraint", &words, "tables have no constraints but NOT NULL"));
            }
            words.accept("COLUMN");
            return self.drop_column(words);
        }
        if words.accept("ALTER") {
            words.accept("COLUMN");
            let span = words.span();
            let column = column_of(self.table, &words.word("the name of a column")?, span)?;
            return self.alter_column(words, column).map(Some);
        }
        let hint = "ALTER TABLE does ADD COLUMN, DROP COLUMN, RENAME, and ALTER COLUMN … TYPE, SET or DROP DEFAULT or NOT NULL";
        Err(refused("this form of ALTER TABLE", &words, hint))
    }

    fn fields(&self) -> Vec<FieldRef> {
        self.table.schema.fields().iter().cloned().collect()
    }

    fn rename_column(&self, mut words: Words) -> Result<Table> {
        let span = words.span();
        let column = column_of(self.table, &words.word("the name of a column")?, span)?;
        words.expect("TO")?;
        let span = words.span();
        let new = words.word("a name")?;
        words.end()?;
        let mut fields = self.fields();
        let taken =
            |(index, field): (usize, &FieldRef)| index != column && field.name().to_lowercase() == new.to_lowercase();
        if fields.iter().enumerate().any(taken) {
            return Err(Error::new(Code::AlreadyExists, format!("there is a column \"{new}\" already")).span(span));
        }
        let mut rules = self.table.rules.clone();
        if let Some(field) = fields.get_mut(column) {
            for rule in rules.checks.iter_mut().chain(rules.generated.iter_mut().flatten()) {
                *rule = renamed(rule, field.name(), &new);
            }
            *field = Arc::new(field.as_ref().clone().with_name(new));
        }
        Ok(self.with_fields(fields, self.table.defaults.clone()).with_rules(rules))
    }

    /// The same rows under other names and constraints.
    fn with_fields(&self, fields: Vec<FieldRef>, defaults: Vec<Option<String>>) -> Table {
        let table = Table::with_defaults(Arc::new(Schema::new(fields)), defaults, self.table.rows());
        table.with_rules(self.table.rules.clone())
    }

    fn add_column(&self, mut words: Words) -> Result<Option<Table>> {
        let if_not_exists = words.accept("IF NOT EXISTS");
        let span = words.span();
        let mut create = made("CREATE TABLE \"#t\" (", self.place)?;
        create.extend(words.take_rest().iter().cloned());
        create.extend(made(")", self.place)?);
        let declared = declared(self.session, create)?;
        let ([field], [default], []) =
            (declared.schema.fields().as_ref(), declared.defaults.as_slice(), declared.checks.as_slice())
        else {
            return Err(Error::new(Code::Syntax, "ADD COLUMN takes one column").span(span));
        };
        if column_of(self.table, field.name(), span).is_ok() {
            if if_not_exists {
                return Ok(None);
            }
            let message = format!("there is a column \"{}\" already", field.name());
            return Err(Error::new(Code::AlreadyExists, message).span(span).hint("IF NOT EXISTS keeps it"));
        }
        let mut columns = self.columns()?;
        let value = made(&format!("({})", default.as_deref().unwrap_or("NULL")), self.place)?;
        columns.push(Column { field: field.clone(), default: default.clone(), generated: None, value });
        self.rewritten(columns, self.table.rules.checks.clone()).map(Some)
    }

    fn drop_column(&self, mut words: Words) -> Result<Option<Table>> {
        let if_exists = words.accept("IF EXISTS");
        let span = words.span();
        let name = words.word("the name of a column")?;
        let cascade = words.accept("CASCADE");
        if !cascade {
            words.accept("RESTRICT");
        }
        words.end()?;
        let column = match column_of(self.table, &name, span) {
            Err(_) if if_exists => return Ok(None),
            column => column?,
        };
        let dropped = self.dropped(column, cascade, span)?;
        let checks = self.checks_without(&dropped, span)?;
        let is_kept = |(index, column)| (!dropped.contains(&index)).then_some(column);
        let columns: Vec<Column> = self.columns()?.into_iter().enumerate().filter_map(is_kept).collect();
        if columns.is_empty() {
            return Err(Error::new(Code::InvalidQuery, "a table has at least one column").span(span));
        }
        self.rewritten(columns, checks).map(Some)
    }

    /// The column, and with `cascade` those that are computed of it.
    fn dropped(&self, column: usize, cascade: bool, span: Span) -> Result<Vec<usize>> {
        let mut dropped = vec![column];
        let mut at = 0;
        while let Some(gone) = dropped.get(at).copied() {
            let more = self.computed_of(gone).filter(|column| !dropped.contains(column));
            let more: Vec<usize> = more.collect();
            if let (Some(first), false) = (more.first(), cascade) {
                let error = self.involved(gone, &format!("the column \"{}\" is computed of it", self.name(*first)));
                return Err(error.span(span).hint("DROP COLUMN … CASCADE drops both"));
            }
            dropped.extend(more);
            at += 1;
        }
        Ok(dropped)
    }

    /// The checks of the columns that stay. A check that only names a dropped column goes with it.
    fn checks_without(&self, dropped: &[usize], span: Span) -> Result<Vec<String>> {
        let all: Vec<usize> = (0..self.table.schema.fields().len()).collect();
        let mut checks = Vec::new();
        for check in &self.table.rules.checks {
            let (gone, stays): (Vec<usize>, Vec<usize>) = all
                .iter()
                .filter(|column| names(check, self.name(**column)))
                .partition(|column| dropped.contains(*column));
            match (gone.first(), stays.is_empty()) {
                (None, _) => checks.push(check.clone()),
                (Some(_), true) => {}
                (Some(column), false) => {
                    return Err(self.involved(*column, &format!("CHECK ({check}) names it and others")).span(span));
                }
            }
        }
        Ok(checks)
    }

    /// The columns that are computed of a column.
    fn computed_of(&self, column: usize) -> impl Iterator<Item = usize> + '_ {
        let name = self.name(column);
        let is_of = move |text: &str| names(text, name);
        (0..self.table.schema.fields().len())
            .filter(move |other| self.table.rules.generated_as(*other).is_some_and(is_of))
    }

    fn name(&self, column: usize) -> &str {
        self.table.schema.fields().get(column).map_or("", |field| field.name())
    }

    /// The error for a column that a rule of the table needs as it is.
    fn involved(&self, column: usize, rule: &str) -> Error {
        Error::new(Code::InvalidQuery, format!("the column \"{}\" cannot change: {rule}", self.name(column)))
    }

    fn alter_column(&self, mut words: Words, column: usize) -> Result<Table> {
        if words.accept("SET DATA TYPE") || words.accept("TYPE") {
            return self.alter_type(words, column);
        }
        if words.peek() == "SET" {
            refuse_generated(self.table, column, words.span())?;
        }
        let (mut fields, mut defaults) = (self.fields(), self.table.defaults.clone());
        if words.accept("SET DEFAULT") {
            let span = words.span();
            let mut create = made("CREATE TABLE \"#t\" (\"#c\" INTEGER DEFAULT", self.place)?;
            create.extend(words.take_rest().iter().cloned());
            create.extend(made(")", self.place)?);
            let declared = declared(self.session, create)?;
            match (declared.schema.fields().as_ref(), declared.defaults.as_slice(), declared.checks.as_slice()) {
                ([field], [default], []) if field.is_nullable() => set(&mut defaults, column, default.clone()),
                _ => return Err(Error::new(Code::Syntax, "SET DEFAULT takes one expression").span(span)),
            }
        } else if words.accept("DROP DEFAULT") {
            set(&mut defaults, column, None);
        } else if words.accept("SET NOT NULL") {
            self.check_not_null(column)?;
            nullable(&mut fields, column, false);
        } else if words.accept("DROP NOT NULL") {
            nullable(&mut fields, column, true);
        } else {
            return Err(refused(
                "this form of ALTER COLUMN",
                &words,
                "it takes TYPE, SET or DROP DEFAULT, SET or DROP NOT NULL",
            ));
        }
        words.end()?;
        Ok(self.with_fields(fields, defaults))
    }

    /// `type [USING expression]`.
    fn alter_type(&self, mut words: Words, column: usize) -> Result<Table> {
        self.refuse_involved(column, words.span())?;
        let data_type = type_of(self.session, words.until(&["USING"]).to_vec(), self.place)?;
        let mut columns = self.columns()?;
        let Some(altered) = columns.get_mut(column) else { return Err(Error::internal("a column has gone")) };
        if words.accept("USING") {
            altered.value = made("(", self.place)?;
            altered.value.extend(words.take_rest().iter().cloned());
            altered.value.extend(made(")", self.place)?);
        }
        words.end()?;
        altered.field = Arc::new(altered.field.as_ref().clone().with_data_type(data_type));
        self.rewritten(columns, self.table.rules.checks.clone())
    }

    /// An error for a column whose type a rule of the table rests on.
    fn refuse_involved(&self, column: usize, span: Span) -> Result<()> {
        refuse_generated(self.table, column, span)?;
        if let Some(other) = self.computed_of(column).next() {
            return Err(self.involved(column, &format!("\"{}\" is computed of it", self.name(other))).span(span));
        }
        match self.table.rules.checks.iter().find(|check| names(check, self.name(column))) {
            Some(check) => Err(self.involved(column, &format!("CHECK ({check}) names it")).span(span)),
            None => Ok(()),
        }
    }

    fn check_not_null(&self, column: usize) -> Result<()> {
        let name = self.table.schema.field(column).name();
        let query = format!("SELECT 1 FROM {} WHERE {} IS NULL LIMIT 1", quoted(TARGET), quoted(name));
        let frame = self.frame(made(&query, self.place)?, &[DataType::Int64])?;
        for batch in frame.stream()? {
            if batch?.num_rows() > 0 {
                return Err(Error::new(Code::InvalidData, format!("column \"{name}\" holds a NULL"))
                    .hint("DELETE or UPDATE the rows where it is NULL first"));
            }
        }
        Ok(())
    }

    /// The columns as they are.
    fn columns(&self) -> Result<Vec<Column>> {
        let column = |(index, (field, default)): (usize, (&FieldRef, &Option<String>))| {
            let value = made(&quoted(field.name()), self.place)?;
            let generated = self.table.rules.generated_as(index).map(str::to_string);
            Ok(Column { field: field.clone(), default: default.clone(), generated, value })
        };
        self.table.schema.fields().iter().zip(&self.table.defaults).enumerate().map(column).collect()
    }

    /// The table with these columns and checks, made of its rows.
    fn rewritten(&self, columns: Vec<Column>, checks: Vec<String>) -> Result<Table> {
        let mut query = made("SELECT", self.place)?;
        for (index, column) in columns.iter().enumerate() {
            query.extend(made(if index > 0 { ", (" } else { "(" }, self.place)?);
            query.extend(column.value.iter().cloned());
            query.extend(made(&format!(") AS {}", quoted(&format!("#{}", index + 1))), self.place)?);
        }
        query.extend(made(&format!("FROM {}", quoted(TARGET)), self.place)?);
        let types: Vec<DataType> = columns.iter().map(|column| column.field.data_type().clone()).collect();
        let schema: SchemaRef =
            Arc::new(Schema::new(columns.iter().map(|column| column.field.clone()).collect::<Vec<_>>()));
        let rows = store_rows(self.frame(query, &types)?.stream()?, &schema, self.session.engine().store())?;
        let (defaults, generated) = columns.into_iter().map(|column| (column.default, column.generated)).unzip();
        Ok(Table::with_defaults(schema, defaults, rows).with_rules(Rules { checks, generated }))
    }

    /// The frame of a query over the table.
    fn frame(&self, query: Tokens, types: &[DataType]) -> Result<DataFrame> {
        let rows: StoredRows = self.table.rows();
        let scope = Scope::new(self.session.engine()).with(TARGET, numbered(self.table, &rows));
        let plan = cast_to(Prepared::of_tokens(query, &scope)?.query_plan()?, types)?;
        let plan = crate::plan::analyze(plan).map_err(planning_error)?;
        Ok(DataFrame::new(self.session.clone(), plan))
    }
}

fn set(defaults: &mut [Option<String>], column: usize, default: Option<String>) {
    if let Some(place) = defaults.get_mut(column) {
        *place = default;
    }
}

fn nullable(fields: &mut [FieldRef], column: usize, nullable: bool) {
    if let Some(field) = fields.get_mut(column) {
        *field = Arc::new(Field::clone(field).with_nullable(nullable));
    }
}

/// The type that words of a statement name.
///
/// # Errors
/// `SYNTAX_ERROR`, and `INVALID_QUERY` for a type that is not known.
pub(super) fn type_of(session: &Session, words: Tokens, place: Place) -> Result<DataType> {
    let mut create = made("CREATE TABLE \"#t\" (\"#c\"", place)?;
    create.extend(words);
    create.extend(made(")", place)?);
    match declared(session, create)?.schema.fields().as_ref() {
        [field] if field.is_nullable() => Ok(field.data_type().clone()),
        _ => Err(Error::new(Code::Syntax, "expected a type")),
    }
}
