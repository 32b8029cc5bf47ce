//! SQL text to logical plans.
//!
//! `text → tokens → tree → names spelled alike → tree → relations put in → planner`. A statement is parsed twice: once
//! to learn which tables it reads, and once more when every name has the one spelling that these tables give it (see
//! [`spelling`]), because the planner compares names exactly.

mod arithmetic;
mod arrays;
mod asof;
mod calls;
mod caret;
mod casts;
pub(crate) mod changes;
mod collate;
mod conditions;
mod constants;
mod copy;
mod ctes;
pub(crate) mod defined;
mod dialect;
mod dots;
mod errors;
mod exclude;
pub(crate) mod facts;
mod fields;
mod firsts;
mod from_first;
mod functions;
mod groups;
mod hints;
pub(crate) mod inserts;
mod intervals;
mod joins;
mod limits;
mod macros;
mod marks;
pub(crate) mod merges;
mod methods;
mod mixed;
mod naming;
mod nulls;
mod numbers;
mod operands;
mod operators;
mod ordered;
mod orders;
mod outer_aggregates;
mod parse;
mod patterns;
mod places;
mod positional;
mod provider;
mod quantified;
mod ranked;
mod reject;
mod relation_planner;
pub(crate) mod relations;
mod rows;
mod sampled;
mod sampling;
mod scoped;
mod script;
mod semi;
mod sorting;
pub(crate) mod spelling;
mod stars;
mod suggest;
mod table_function;
mod types;
mod values;
pub(crate) mod visible;
mod windows;
pub(crate) mod words;
mod written;

use arrow::datatypes::Schema;
use datafusion_common::config::ConfigOptions;
use datafusion_expr::LogicalPlan;
use datafusion_sql::planner::{NullOrdering, ParserOptions, SqlToRel};
use datafusion_sql::sqlparser::ast::{ColumnDef, Query, Statement};
use datafusion_sql::sqlparser::tokenizer::{Location, TokenWithSpan};

pub use caret::excerpt;
pub(crate) use caret::with_excerpt;
pub(crate) use copy::CopyOption;
pub(crate) use errors::{planning_error, unknown_column};
pub(crate) use parse::{span_of, tokens};
pub(crate) use script::offset;
pub use script::{Script, StatementText, split};
pub(crate) use suggest::hint as suggestion;
pub(crate) use table_function::{About, FileCall};

use crate::error::{Code, Error, Result};
use defined::DefinedCalls;
use hints::Hints;
use naming::Labels;
use provider::Provider;
use relation_planner::with_struct_fields;
use relations::{Relations, Tables};
use spelling::Spelling;

/// A statement that is ready to be planned.
pub(crate) struct Prepared {
    /// The tree as it was written.
    pub written: Statement,
    /// The tree with its names spelled alike and its files under names that the planner looks up.
    pub statement: Statement,
    /// The options of a COPY.
    pub copy_options: Vec<CopyOption>,
    tokens: Vec<TokenWithSpan>,
    labels: Labels,
    hints: Hints,
    provider: Provider,
}

impl Prepared {
    /// Reads `sql`, which must be one statement, and resolves what it reads.
    pub(crate) fn new(sql: &str, tables: &dyn Tables) -> Result<Self> {
        Prepared::of_tokens(parse::tokens(sql)?, tables)
    }

    /// The same for a statement in tokens.
    pub(crate) fn of_tokens(tokens: Vec<TokenWithSpan>, tables: &dyn Tables) -> Result<Self> {
        let tokens = friendly(facts::put(tokens, tables)?)?;
        let (mut tokens, hints) = Hints::take(tokens)?;
        let copy_options = copy::take_options(&mut tokens)?;
        let mut written = parse::statement(&tokens)?;
        if let Some(calls) = DefinedCalls::of(&tokens, tables) {
            methods::spell_out(&mut written);
            calls.spell_out(&mut written, None)?;
        }
        macros::spell_out_tables(&mut written);
        Ok(Prepared { copy_options, ..Prepared::from_tokens(&mut tokens, written, hints, tables)? })
    }

    fn from_tokens(
        tokens: &mut [TokenWithSpan],
        written: Statement,
        hints: Hints,
        tables: &dyn Tables,
    ) -> Result<Self> {
        reject::check(&written)?;
        let relations = Relations::collect(&written, tokens, tables)?;
        let mut spelling = Spelling::default();
        relations.teach(&mut spelling);
        spelling.learn_tokens(tokens);
        let calls = DefinedCalls::of(tokens, tables);
        if let Some(calls) = &calls {
            calls.teach(&mut spelling);
        }
        spelling.apply(tokens);
        let mut statement = parse::statement(tokens)?;
        if let Some(calls) = &calls {
            methods::spell_out(&mut statement);
            calls.spell_out(&mut statement, Some(&spelling))?;
        }
        macros::spell_out_tables(&mut statement);
        relations.replace(&mut statement, &spelling)?;
        naming::name_columns(&mut statement);
        ctes::rename(&mut statement);
        sorting::spell_out(&mut statement, tables.ordering());
        windows::spell_out(&mut statement)?;
        collate::spell_out(&mut statement)?;
        firsts::spell_out(&mut statement);
        semi::spell_out(&mut statement);
        groups::spell_out(&mut statement);
        limits::spell_out(&mut statement)?;
        nulls::spell_out(&mut statement);
        methods::spell_out(&mut statement);
        dots::spell_out(&mut statement);
        arrays::spell_out(&mut statement)?;
        intervals::spell_out(&mut statement)?;
        numbers::spell_out(&mut statement);
        operators::spell_out(&mut statement);
        conditions::spell_out(&mut statement);
        calls::spell_out(&mut statement);
        macros::spell_out(&mut statement);
        ordered::spell_out(&mut statement);
        let provider = Provider::new(relations.sources(&spelling), tables.names(), tables.defined());
        let labels = Labels::of(&written);
        let (tokens, copy_options) = (tokens.to_vec(), Vec::new());
        let mut prepared = Prepared { written, statement, copy_options, tokens, labels, hints, provider };
        let mut statement = prepared.statement.clone();
        stars::spell_out(&mut statement, &|query| prepared.columns_of(query), &|plan| tables.rows(plan))?;
        prepared.statement = statement;
        Ok(prepared)
    }

    /// The analysed plan of a query of this statement, its columns called as written.
    pub(crate) fn plan(&self, query: &Query) -> Result<LogicalPlan> {
        let mut query = query.clone();
        rows::make_values(&mut query);
        marks::put(&mut query, &self.hints)?;
        let plan = match self.planned(&query) {
            Ok(plan) if !casts::hide_names(&plan) => plan,
            planned => self.planned_otherwise(query).map_or(planned, Ok).map_err(|error| self.explained(error))?,
        };
        self.labels.apply(plan)
    }

    fn explained(&self, error: Error) -> Error {
        sampled::explained(error, &self.tokens, self.provider.sources())
    }

    /// The plan of a query that is asked for its columns only.
    fn columns_of(&self, mut query: Query) -> Result<LogicalPlan> {
        rows::make_values(&mut query);
        marks::put(&mut query, &self.hints)?;
        self.planned(&query).or_else(|error| self.planned_otherwise(query).ok_or(error))
    }

    /// The plan of a query that was or will be refused: with subqueries in FROM that may be lateral, with casts in the names of columns, or both.
    fn planned_otherwise(&self, query: Query) -> Option<LogicalPlan> {
        let (mut lateral, mut named) = (query.clone(), query);
        let lateral = rows::make_lateral(&mut lateral).then_some(lateral);
        let named = casts::name(&mut named).then_some(named);
        let both = lateral.clone().filter(|_| named.is_some()).map(|mut query| {
            casts::name(&mut query);
            query
        });
        [lateral, named, both]
            .iter()
            .flatten()
            .find_map(|query| self.planned(query).ok().filter(|plan| !casts::hide_names(plan)))
    }

    fn planned(&self, query: &Query) -> Result<LogicalPlan> {
        let mut query = Box::new(query.clone());
        mixed::meet(&mut query, &|list| {
            let plan = self.planned(&list).ok()?;
            plan.schema().fields().first().map(|field| field.data_type().clone())
        });
        functions::call_by_own_names(&mut query);
        written::mark(&mut query);
        let statement = Statement::Query(query);
        let failed = |error| errors::placed(planning_error(error), &self.tokens);
        let plan = self.planner().sql_statement_to_plan(statement).map_err(failed)?;
        outer_aggregates::refuse(&plan)?;
        let plan = with_struct_fields(plan)?;
        let plan = crate::plan::asof::asof_joins(plan).map_err(failed)?;
        crate::plan::analyze(plan).map_err(failed)
    }

    /// The plan of the query that this statement is.
    pub(crate) fn query_plan(&self) -> Result<LogicalPlan> {
        match &self.statement {
            Statement::Query(query) => self.plan(query),
            other => Err(Error::new(Code::Syntax, format!("expected a query, found {other}"))),
        }
    }

    /// The columns of a CREATE TABLE.
    pub(crate) fn columns(&self, columns: &[ColumnDef]) -> Result<Schema> {
        self.planner().build_schema(columns.to_vec()).map_err(planning_error)
    }

    /// Where the query of a CREATE VIEW begins: behind the first AS outside of parentheses.
    pub(crate) fn view_body(&self) -> Option<Location> {
        script::behind_as(&self.tokens)
    }

    fn planner(&self) -> SqlToRel<'_, Provider> {
        SqlToRel::new_with_options(&self.provider, parser_options())
    }
}

/// Tokens that the parser reads, for those that people write.
pub(crate) fn friendly(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>> {
    let tokens = types::take(limits::take(operators::take(from_first::spell_tables(tokens))));
    let tokens = asof::take(from_first::complete(stars::take(calls::take(tokens))))?;
    ranked::take(exclude::take(positional::take(tokens)?))
}

/// How the planner reads what the parser gives it.
fn parser_options() -> ParserOptions {
    ParserOptions::new()
        .with_enable_ident_normalization(false)
        .with_map_string_types_to_utf8view(true)
        .with_collect_spans(true)
        .with_parse_float_as_decimal(true)
        .with_default_null_ordering(NullOrdering::NullsLast)
}

/// What the planner asks of the options of an engine.
fn planner_options() -> ConfigOptions {
    let mut options = ConfigOptions::default();
    // An aggregate whose result depends on the order of its rows may stand above a sorted subquery.
    options.sql_parser.enable_subquery_sort_elimination = false;
    options
}

#[cfg(test)]
mod tests;
