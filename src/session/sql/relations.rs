//! The tables and files that a statement reads: found in its syntax tree, resolved, and put back under names that the
//! planner can look up.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::FieldRef;
use arrow::record_batch::RecordBatch;
use datafusion_expr::{LogicalPlan, TableSource};
use datafusion_sql::sqlparser::ast::{
    Ident, ObjectName, ObjectNamePart, Spanned, Statement, TableAlias, TableFactor, TableFunctionArgs, Visit, VisitMut,
    Visitor, VisitorMut,
};

use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::constants::constant;
use super::parse::span_of;
use super::spelling::Spelling;
use super::suggest;
use super::table_function::{self, About, Compute, FileCall};
use crate::batch::MemorySource;
use crate::config::Ordering;
use crate::error::{Code, Error, Result, Span};
use crate::expr::types::sql_type_name;
use crate::io::shown;
use crate::plan::{FileTable, StoredTable};
use crate::scan::{OptionValue, Options, ScanSpec};
use crate::session::definitions::Defined;
use crate::session::names::Name;
use crate::session::relation::Relation;

/// What a statement may read.
pub(crate) trait Tables {
    /// The table, view or frame of that name regardless of case.
    fn table(&self, name: &Name) -> Option<Result<Relation>>;

    /// The names of all tables, views and frames.
    fn names(&self) -> Vec<String>;

    /// The files of a call.
    fn files(&self, call: &FileCall) -> Result<ScanSpec>;

    /// Runs a query whose answer a statement needs to be planned.
    fn rows(&self, plan: &LogicalPlan) -> Result<Vec<RecordBatch>>;

    /// What is found out about the files of a call that does not ask for their rows.
    fn facts(&self, call: &FileCall) -> Result<RecordBatch>;

    /// Macros, types and variables.
    fn defined(&self) -> Arc<Defined> {
        Arc::default()
    }

    /// The columns of a table with their defaults; `None` for what is no table.
    fn columns(&self, _name: &Name) -> Option<Vec<(FieldRef, Option<String>)>> {
        None
    }

    /// How rows are sorted where a statement does not say it.
    fn ordering(&self) -> Ordering {
        Ordering::default()
    }

    /// The text form of a setting.
    fn setting(&self, name: &str) -> Result<String> {
        Err(Error::new(Code::UnknownSetting, format!("there is no setting \"{name}\"")))
    }
}

/// The relations of one statement.
#[derive(Default)]
pub(crate) struct Relations {
    /// File relations in the order in which the tree is walked: the name for the planner and the alias.
    files: Vec<(String, String)>,
    /// Planner name in lower case → what it is. An error is kept until the planner asks: a CTE may shadow the name.
    found: BTreeMap<String, Result<Relation>>,
    /// The order in which relations were met, for spelling.
    order: Vec<String>,
}

impl Relations {
    /// Finds and resolves the relations of `statement`.
    pub(crate) fn collect(statement: &Statement, tokens: &[TokenWithSpan], tables: &dyn Tables) -> Result<Self> {
        let mut collector = Collector { tables, tokens, relations: Relations::default(), calls: Vec::new() };
        match statement.visit(&mut collector) {
            ControlFlow::Break(error) => Err(*error),
            ControlFlow::Continue(()) => Ok(collector.relations),
        }
    }

    /// Teaches `spelling` the columns of every relation, in order, and then the aliases of the files.
    pub(crate) fn teach(&self, spelling: &mut Spelling) {
        for relation in self.order.iter().filter_map(|name| self.found.get(name)?.as_ref().ok()) {
            spelling.learn_schema(&relation.schema());
        }
        self.files.iter().for_each(|(_, alias)| spelling.learn(alias));
    }

    /// Puts the planner's names into `statement`, the same tree as `collect` saw but for spelling.
    pub(crate) fn replace(&self, statement: &mut Statement, spelling: &Spelling) -> Result<()> {
        let mut replacer = Replacer { files: self.files.iter(), spelling };
        match statement.visit(&mut replacer) {
            ControlFlow::Break(error) => Err(*error),
            ControlFlow::Continue(()) => Ok(()),
        }
    }

    /// The relations as the planner sees them, by lower-case name.
    pub(crate) fn sources(self, spelling: &Spelling) -> BTreeMap<String, Result<Arc<dyn TableSource>>> {
        self.found
            .into_iter()
            .map(|(name, found)| {
                let source = found.and_then(|relation| {
                    let schema = spelling.rename(&relation.schema());
                    relation.source(&schema)
                });
                (name, source)
            })
            .collect()
    }

    fn add(&mut self, name: String, relation: Result<Relation>) {
        self.order.push(name.clone());
        self.found.insert(name, relation);
    }
}

struct Collector<'a> {
    tables: &'a dyn Tables,
    tokens: &'a [TokenWithSpan],
    relations: Relations,
    /// Calls that were resolved, so that the same files are looked at once.
    calls: Vec<(FileCall, String)>,
}

impl Visitor for Collector<'_> {
    type Break = Box<Error>;

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Box<Error>> {
        match file_call_of(factor, &|expr| constant(expr, self.tables)) {
            Ok(Some(call)) => {
                let call = with_defined_types(call, &self.tables.defined());
                let place = self.place(factor, &call);
                match self.files(call) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => ControlFlow::Break(Box::new(error.span(place))),
                }
            }
            Ok(None) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<Box<Error>> {
        if let Some(name) = Name::of(name) {
            let key = name.key();
            if !self.relations.found.contains_key(&key)
                && let Some(found) = self.tables.table(&name)
            {
                self.relations.add(key, found);
            }
        }
        ControlFlow::Continue(())
    }
}

impl Collector<'_> {
    /// The place of a call; the parser forgets that of a glob that is a table's name.
    fn place(&self, factor: &TableFactor, call: &FileCall) -> Span {
        let glob = self.tokens.iter().find(
            |token| matches!(&token.token, Token::SingleQuotedString(text) if call.patterns.first() == Some(text)),
        );
        glob.map_or_else(|| span_of(factor.span()), |token| span_of(token.span))
    }

    /// Resolves the files of a call, unless they are known from another mention.
    fn files(&mut self, call: FileCall) -> Result<()> {
        let alias = call.alias();
        let known = self.calls.iter().find(|(other, _)| *other == call).map(|(_, name)| name.clone());
        let name = match known {
            Some(name) => name,
            None => {
                let relation = match call.about {
                    About::Rows => Relation::Files(FileTable::new(Arc::new(self.tables.files(&call)?))),
                    _ => answer(self.tables.facts(&call)?),
                };
                let name = self.planner_name(&call);
                self.relations.add(name.to_lowercase(), Ok(relation));
                self.calls.push((call, name.clone()));
                name
            }
        };
        self.relations.files.push((name, alias));
        Ok(())
    }

    /// The globs, and a number where the same globs are read with other options.
    fn planner_name(&self, call: &FileCall) -> String {
        let globs = call.patterns.iter().map(|pattern| shown(pattern)).collect::<Vec<_>>().join(", ");
        let taken: HashSet<String> = self.calls.iter().map(|(_, name)| name.to_lowercase()).collect();
        let mut name = format!("files {globs}");
        let mut number = 2_usize;
        while taken.contains(&name.to_lowercase()) {
            name = format!("files {globs} #{number}");
            number += 1;
        }
        name
    }
}

/// Rows that are known already.
fn answer(rows: RecordBatch) -> Relation {
    Relation::Stored(StoredTable::new(Arc::new(MemorySource::new(rows.schema(), vec![rows]))))
}

/// The files that a table factor stands for, if it stands for files.
fn file_call_of(factor: &TableFactor, compute: Compute) -> Result<Option<FileCall>> {
    let TableFactor::Table { name, args, .. } = factor else {
        return Ok(None);
    };
    if !reads_files(factor) {
        return Ok(None);
    }
    match (name.0.as_slice(), args) {
        ([ObjectNamePart::Identifier(function)], Some(args)) => call_of(function, args, compute).map(Some),
        (_, Some(_)) => Err(unknown_function(name)),
        ([ObjectNamePart::Identifier(glob)], None) if glob.quote_style == Some('\'') => {
            let (patterns, options, about) = (vec![glob.value.clone()], Options::new(), About::Rows);
            Ok(Some(FileCall { patterns, format: None, options, about }))
        }
        _ => Ok(None),
    }
}

/// Whether a table factor stands for files, unless no table function has its name.
fn reads_files(factor: &TableFactor) -> bool {
    let TableFactor::Table { name, args, .. } = factor else { return false };
    match (name.0.as_slice(), args) {
        ([ObjectNamePart::Identifier(function)], Some(args)) => {
            let is_of_engine = args.args.is_empty() && table_function::is_of_engine(&function.value);
            !is_of_engine && !table_function::makes_rows(&function.value)
        }
        ([ObjectNamePart::Identifier(glob)], None) => glob.quote_style == Some('\''),
        (_, args) => args.is_some(),
    }
}

/// Options that name types of columns.
const TYPE_OPTIONS: [&str; 4] = ["columns", "column_types", "dtypes", "types"];

/// The call with what CREATE TYPE defined in place of the names of types.
fn with_defined_types(mut call: FileCall, defined: &Defined) -> FileCall {
    if defined.types.is_empty() {
        return call;
    }
    let known = |value: &mut OptionValue| {
        if let OptionValue::Text(name) = value
            && let Some((_, data_type)) = defined.types.get(&name.to_lowercase())
        {
            *name = sql_type_name(data_type);
        }
    };
    for (_, option) in call.options.iter_mut().filter(|(name, _)| TYPE_OPTIONS.contains(&name.as_str())) {
        match option {
            OptionValue::List(types) => types.iter_mut().for_each(known),
            OptionValue::Struct(columns) => columns.iter_mut().for_each(|(_, value)| known(value)),
            _ => {}
        }
    }
    call
}

fn call_of(function: &Ident, args: &TableFunctionArgs, compute: Compute) -> Result<FileCall> {
    match table_function::format_of(&function.value) {
        Some(format) => table_function::file_call(&function.value, Some(format), &args.args, compute),
        None if table_function::asks_of_any_file(&function.value) => {
            table_function::file_call(&function.value, None, &args.args, compute)
        }
        None => Err(unknown_function(&ObjectName::from(vec![function.clone()]))),
    }
}

fn unknown_function(name: &ObjectName) -> Error {
    let error = Error::new(Code::UnknownFunction, format!("there is no table function named \"{name}\""))
        .span(span_of(name.span()));
    match suggest::hint(&name.to_string(), table_function::names(), "table functions") {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

struct Replacer<'a> {
    files: std::slice::Iter<'a, (String, String)>,
    spelling: &'a Spelling,
}

impl VisitorMut for Replacer<'_> {
    type Break = Box<Error>;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Box<Error>> {
        if let TableFactor::Table { name, args, .. } = factor
            && table_function::is_of_engine(&name.to_string())
        {
            *args = None;
            return ControlFlow::Continue(());
        }
        if !reads_files(factor) {
            return ControlFlow::Continue(());
        }
        let (TableFactor::Table { name, args, alias, .. }, Some((planner_name, stem))) = (factor, self.files.next())
        else {
            return ControlFlow::Break(Box::new(Error::internal("the two passes over the statement disagree")));
        };
        let place = name.span();
        *name = ObjectName::from(vec![Ident::with_quote_and_span('"', place, planner_name)]);
        *args = None;
        alias.get_or_insert_with(|| TableAlias {
            explicit: true,
            name: Ident::with_quote('"', self.spelling.of(stem)),
            columns: Vec::new(),
            at: None,
        });
        ControlFlow::Continue(())
    }
}
