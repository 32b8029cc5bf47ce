//! ALTER TABLE and ALTER VIEW.
//!
//! Invariant: a table whose columns change becomes a new table, which takes the place of the old one when it is whole. Names, defaults
//! and constraints change without a look at the rows, but for SET NOT NULL.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion_sql::sqlparser::tokenizer::Span as Place;

use super::change::{cast_to, column_of, numbered, table_of};
use super::own::{Nothing, nothing};
use super::tables::declared;
use crate::error::{Code, Error, Result, Span};
use crate::session::catalog::Table;
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
    let _changing = old.changing();
    let alter = Alter { session, table: &old, place: words.place() };
    if let Some(new) = alter.altered(words)? {
        session.engine().catalog.swap(&name, &old, new)?;
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
        if !self.table.rules.is_empty() {
            let hint = "make another table and INSERT INTO it";
            return Err(refused("ALTER TABLE of a table with CHECK or computed columns", &words, hint));
        }
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
        if let Some(field) = fields.get_mut(column) {
            *field = Arc::new(field.as_ref().clone().with_name(new));
        }
        Ok(self.with_fields(fields, self.table.defaults.clone()))
    }

    /// The same rows under other names and constraints.
    fn with_fields(&self, fields: Vec<FieldRef>, defaults: Vec<Option<String>>) -> Table {
        Table::with_defaults(Arc::new(Schema::new(fields)), defaults, self.table.rows())
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
        columns.push(Column { field: field.clone(), default: default.clone(), value });
        self.rewritten(columns).map(Some)
    }

    fn drop_column(&self, mut words: Words) -> Result<Option<Table>> {
        let if_exists = words.accept("IF EXISTS");
        let span = words.span();
        let name = words.word("the name of a column")?;
        if !words.accept("CASCADE") {
            words.accept("RESTRICT");
        }
        words.end()?;
        let column = match column_of(self.table, &name, span) {
            Err(_) if if_exists => return Ok(None),
            column => column?,
        };
        let mut columns = self.columns()?;
        if columns.len() == 1 {
            return Err(Error::new(Code::InvalidQuery, "a table has at least one column").span(span));
        }
        columns.remove(column);
        self.rewritten(columns).map(Some)
    }

    fn alter_column(&self, mut words: Words, column: usize) -> Result<Table> {
        if words.accept("SET DATA TYPE") || words.accept("TYPE") {
            return self.alter_type(words, column);
        }
        let (mut fields, mut defaults) = (self.fields(), self.table.defaults.clone());
        if words.accept("SET DEFAULT") {
            let mut create = made("CREATE TABLE \"#t\" (\"#c\" INTEGER DEFAULT", self.place)?;
            create.extend(words.take_rest().iter().cloned());
            create.extend(made(")", self.place)?);
            set(&mut defaults, column, declared(self.session, create)?.defaults.into_iter().next().flatten());
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
        self.rewritten(columns)
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
        let column = |(field, default): (&FieldRef, &Option<String>)| {
            let value = made(&quoted(field.name()), self.place)?;
            Ok(Column { field: field.clone(), default: default.clone(), value })
        };
        self.table.schema.fields().iter().zip(&self.table.defaults).map(column).collect()
    }

    /// The table with these columns, made of its rows.
    fn rewritten(&self, columns: Vec<Column>) -> Result<Table> {
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
        let defaults = columns.into_iter().map(|column| column.default).collect();
        Ok(Table::with_defaults(schema, defaults, rows))
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
