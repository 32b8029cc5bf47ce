//! `COLUMNS(…)` and stars with patterns, as the columns that they stand for.
//!
//! An expression with COLUMNS is repeated for every column, and in WHERE all of these must hold. Several COLUMNS of one
//! expression go through the same columns side by side. `f(*COLUMNS(…))` takes them all as arguments.

use std::collections::HashSet;
use std::ops::ControlFlow;

use arrow::datatypes::DataType;
use datafusion_common::DFSchema;
use datafusion_common::ScalarValue;
use datafusion_expr::{Expr as LogicalExpr, LogicalPlan};
use datafusion_sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, ExceptSelectItem, ExcludeSelectItem, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Ident, LambdaFunction, ObjectName, OneOrManyWithParens, RenameSelectItem, Select, SelectItem,
    SelectItemQualifiedWildcardKind, Spanned, Subscript, Value, ValueWithSpan, Visit, VisitMut, Visitor, VisitorMut,
    WildcardAdditionalOptions,
};
use regex::Regex;

use super::super::macros::plain_name;
use super::super::naming::{free_name, relation_names};
use super::super::parse::span_of;
use super::super::suggest;
use super::Tables;
use super::merged::Merged;
use super::positions::{at_position, put_positions};
use super::tokens::{POSITION, UNPACKED};
use crate::error::{Code, Error, Result};
use crate::plan::folded;

/// Whether `expr` stands for several columns.
pub(in crate::session::sql) fn has_columns(expr: &Expr) -> bool {
    struct Finder;
    impl Visitor for Finder {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Function(call) if is_columns(call) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    Visit::visit(expr, &mut Finder).is_break()
}

/// Whether the call is COLUMNS, or `*` as an expression.
pub(in crate::session::sql) fn is_columns(call: &Function) -> bool {
    call.over.is_none()
        && plain_name(&call.name).is_some_and(|name| name == "columns" || name == UNPACKED || name == POSITION)
}

/// A column, and what its place in the list is called: the parts of its name that a pattern found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chosen {
    table: Option<String>,
    name: String,
    /// In place of the column: REPLACE.
    value: Option<Expr>,
    /// RENAME.
    alias: Option<String>,
    groups: Vec<String>,
}

impl Chosen {
    pub(super) fn expr(&self) -> Expr {
        if let Some(value) = &self.value {
            return value.clone();
        }
        let quoted = |name: &str| Ident::with_quote('"', name);
        match &self.table {
            Some(table) => Expr::CompoundIdentifier(vec![quoted(table), quoted(&self.name)]),
            None => Expr::Identifier(quoted(&self.name)),
        }
    }

    pub(super) fn shown(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }
}

/// Spells out the select list and WHERE.
pub(super) fn spell_out(select: &mut Select, tables: &Tables<'_>) -> Result<()> {
    let relations = relation_names(select);
    let mut items = Vec::with_capacity(select.projection.len());
    for item in std::mem::take(&mut select.projection) {
        spell_item(item, &relations, tables, &mut items)?;
    }
    select.projection = items;
    put_positions(select, tables)?;
    if let Some(condition) = select.selection.take_if(|condition| has_columns(condition)) {
        let both =
            |left, right| Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::And, right: Box::new(right) };
        let each = repeated(&condition, tables)?;
        select.selection = each.into_iter().map(|(expr, _)| Expr::Nested(Box::new(expr))).reduce(both);
    }
    Ok(())
}

fn spell_item(
    item: SelectItem,
    relations: &HashSet<String>,
    tables: &Tables<'_>,
    items: &mut Vec<SelectItem>,
) -> Result<()> {
    match item {
        SelectItem::UnnamedExpr(expr) if has_columns(&expr) => {
            let is_bare = matches!(&expr, Expr::Function(call) if is_columns(call));
            let mut taken = HashSet::new();
            for (expr_of, column) in repeated(&expr, tables)? {
                let name = match (is_bare, &column.table) {
                    (true, _) => column.shown().to_string(),
                    // The columns have become arguments.
                    (false, None) if column.groups.is_empty() && is_unpacked(&expr) => column.name.clone(),
                    _ => named(&expr, &column),
                };
                let plain = is_bare && column.alias.is_none() && column.value.is_none();
                let free = free_name(&name, &mut taken);
                items.push(match plain {
                    true => SelectItem::UnnamedExpr(expr_of),
                    false => SelectItem::ExprWithAlias { expr: expr_of, alias: Ident::with_quote('"', free) },
                });
            }
        }
        SelectItem::ExprWithAlias { expr, alias } if has_columns(&expr) => {
            let mut taken = HashSet::new();
            for (expr, column) in repeated(&expr, tables)? {
                let alias = Ident::with_quote('"', free_name(&with_groups(&alias.value, &column), &mut taken));
                items.push(SelectItem::ExprWithAlias { expr, alias });
            }
        }
        SelectItem::Wildcard(options) if needs_names(&options, tables) => {
            items.extend(chosen_by_star(None, &options, tables)?.iter().map(star_item));
        }
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
            let last = name.0.last().and_then(|part| part.as_ident()).map(|part| part.value.clone());
            let Some(table) = last else { return Ok(()) };
            if !relations.contains(&table.to_lowercase())
                && let Some(fields) = fields_of(&table, tables)
            {
                items.extend(kept(fields, &options)?.iter().map(star_item));
            } else if needs_names(&options, tables) {
                items.extend(chosen_by_star(Some(&table), &options, tables)?.iter().map(star_item));
            } else {
                let kind = SelectItemQualifiedWildcardKind::ObjectName(name);
                items.push(SelectItem::QualifiedWildcard(kind, options));
            }
        }
        other => items.push(other),
    }
    Ok(())
}

pub(super) fn star_item(column: &Chosen) -> SelectItem {
    match column.value.is_some() || column.alias.is_some() {
        false => SelectItem::UnnamedExpr(column.expr()),
        true => SelectItem::ExprWithAlias { expr: column.expr(), alias: Ident::with_quote('"', column.shown()) },
    }
}

/// The fields of a struct column, as columns.
fn fields_of(column: &str, tables: &Tables<'_>) -> Option<Vec<Chosen>> {
    let schema = tables.schema().ok()?;
    let (_, field) = schema.iter().find(|(_, field)| field.name() == column)?;
    let DataType::Struct(fields) = field.data_type() else { return None };
    let item = |name: &String| {
        let index = Expr::value(Value::SingleQuotedString(name.clone()));
        let access = AccessExpr::Subscript(Subscript::Index { index });
        let root = Box::new(Expr::Identifier(Ident::with_quote('"', column)));
        Chosen {
            table: Some(column.to_string()),
            name: name.clone(),
            value: Some(Expr::CompoundFieldAccess { root, access_chain: vec![access] }),
            alias: Some(name.clone()),
            groups: Vec::new(),
        }
    };
    Some(fields.iter().map(|field| item(field.name())).collect())
}

/// `alias` with `\1` as the pattern's first group.
fn with_groups(alias: &str, column: &Chosen) -> String {
    let mut text = alias.to_string();
    for (number, group) in column.groups.iter().enumerate() {
        text = text.replace(&format!("\\{number}"), group);
    }
    text
}

/// The text of an expression with the column's plain name in it.
fn named(expr: &Expr, column: &Chosen) -> String {
    let mut expr = expr.clone();
    let plain = Expr::Identifier(Ident::new(column.shown()));
    let _: ControlFlow<()> = VisitMut::visit(&mut expr, &mut Replacer { replacements: &[plain.clone(), plain], at: 0 });
    expr.to_string()
}

/// `expr` for each column, and the column.
pub(super) fn repeated(expr: &Expr, tables: &Tables<'_>) -> Result<Vec<(Expr, Chosen)>> {
    let mut expr = expr.clone();
    let mut unpacker = Unpacker { tables };
    if let ControlFlow::Break(error) = VisitMut::visit(&mut expr, &mut unpacker) {
        return Err(*error);
    }
    let mut calls = Calls::default();
    let _: ControlFlow<()> = Visit::visit(&expr, &mut calls);
    let sets = calls.found.iter().map(|call| chosen(call, tables)).collect::<Result<Vec<_>>>()?;
    let Some(first) = sets.first() else {
        let nothing = Chosen { table: None, name: String::new(), value: None, alias: None, groups: Vec::new() };
        let mut shown = expr.clone();
        let _: ControlFlow<()> = VisitMut::visit(&mut shown, &mut Unquoted);
        return Ok(vec![(expr, Chosen { name: shown.to_string(), ..nothing })]);
    };
    if sets.iter().any(|set| set.len() != first.len()) {
        return Err(Error::new(
            Code::InvalidQuery,
            "the COLUMNS of one expression stand for different numbers of columns",
        ));
    }
    let one = |index: usize| {
        let replacements: Vec<Expr> = sets.iter().filter_map(|set| set.get(index)).map(Chosen::expr).collect();
        let mut expr = expr.clone();
        let _: ControlFlow<()> = VisitMut::visit(&mut expr, &mut Replacer { replacements: &replacements, at: 0 });
        (expr, first.get(index).cloned())
    };
    Ok((0..first.len()).map(one).filter_map(|(expr, column)| Some((expr, column?))).collect())
}

/// The calls of COLUMNS in an expression, in order.
#[derive(Default)]
struct Calls {
    found: Vec<Function>,
}

impl Visitor for Calls {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(call) = expr
            && is_columns(call)
        {
            self.found.push(call.clone());
        }
        ControlFlow::Continue(())
    }
}

/// Puts one column for each call, in the order of [`Calls`].
struct Replacer<'a> {
    replacements: &'a [Expr],
    at: usize,
}

impl VisitorMut for Replacer<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if matches!(expr, Expr::Function(call) if is_columns(call)) {
            if let Some(replacement) = self.replacements.get(self.at).or(self.replacements.last()) {
                *expr = replacement.clone();
            }
            self.at += 1;
        }
        ControlFlow::Continue(())
    }
}

/// Puts all columns for `*COLUMNS(…)` among the arguments of a call.
struct Unpacker<'a> {
    tables: &'a Tables<'a>,
}

impl VisitorMut for Unpacker<'_> {
    type Break = Box<Error>;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Box<Error>> {
        if let Expr::Array(list) = expr {
            return self.unpack_items(&mut list.elem);
        }
        let Expr::Function(call) = expr else { return ControlFlow::Continue(()) };
        let FunctionArguments::List(list) = &mut call.args else { return ControlFlow::Continue(()) };
        let mut arguments = Vec::with_capacity(list.args.len());
        for argument in std::mem::take(&mut list.args) {
            match &argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Function(inner)))
                    if plain_name(&inner.name).is_some_and(|name| name == UNPACKED) =>
                {
                    match chosen(inner, self.tables) {
                        Ok(columns) => arguments.extend(
                            columns.iter().map(|column| FunctionArg::Unnamed(FunctionArgExpr::Expr(column.expr()))),
                        ),
                        Err(error) => return ControlFlow::Break(Box::new(error)),
                    }
                }
                _ => arguments.push(argument),
            }
        }
        list.args = arguments;
        ControlFlow::Continue(())
    }
}

impl Unpacker<'_> {
    /// The same among the items of a list.
    fn unpack_items(&self, items: &mut Vec<Expr>) -> ControlFlow<Box<Error>> {
        for item in std::mem::take(items) {
            match &item {
                Expr::Function(call) if plain_name(&call.name).is_some_and(|name| name == UNPACKED) => {
                    match chosen(call, self.tables) {
                        Ok(columns) => items.extend(columns.iter().map(Chosen::expr)),
                        Err(error) => return ControlFlow::Break(Box::new(error)),
                    }
                }
                _ => items.push(item),
            }
        }
        ControlFlow::Continue(())
    }
}

/// Whether all COLUMNS of an expression are arguments of calls or items of lists.
fn is_unpacked(expr: &Expr) -> bool {
    let mut calls = Calls::default();
    let _: ControlFlow<()> = Visit::visit(expr, &mut calls);
    calls.found.iter().all(|call| plain_name(&call.name).is_some_and(|name| name == UNPACKED))
}

/// Takes quotes off plain names, to show them.
struct Unquoted;

impl VisitorMut for Unquoted {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let names = match expr {
            Expr::Identifier(name) => std::slice::from_mut(name),
            Expr::CompoundIdentifier(names) => names.as_mut_slice(),
            _ => &mut [],
        };
        for name in names {
            let is_plain = name.value.chars().all(|character| character.is_alphanumeric() || character == '_');
            name.quote_style = name.quote_style.filter(|_| !is_plain);
        }
        ControlFlow::Continue(())
    }
}

/// The columns that a call of COLUMNS stands for.
pub(super) fn chosen(call: &Function, tables: &Tables<'_>) -> Result<Vec<Chosen>> {
    let bad = || {
        Error::new(Code::InvalidQuery, "COLUMNS takes a pattern, a list of names, a lambda or *")
            .span(span_of(call.name.span()))
            .hint("COLUMNS('^a'), COLUMNS(['a', 'b']), COLUMNS(lambda name: name LIKE 'a%'), COLUMNS(* EXCLUDE (a))")
    };
    let FunctionArguments::List(list) = &call.args else { return Err(bad()) };
    let found = match list.args.as_slice() {
        [] | [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] => all(tables)?,
        [FunctionArg::Unnamed(FunctionArgExpr::WildcardWithOptions(options))] => chosen_by_star(None, options, tables)?,
        [FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(name))] => {
            let table = name.0.last().and_then(|part| part.as_ident()).map(|part| part.value.clone());
            chosen_by_star(table.as_deref(), &WildcardAdditionalOptions::default(), tables)?
        }
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] => match argument {
            Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(pattern), .. }) => {
                chosen_by_pattern(pattern, all(tables)?).map_err(|error| error.span(span_of(argument.span())))?
            }
            Expr::Value(ValueWithSpan { value: Value::Number(number, _), .. })
                if plain_name(&call.name).is_some_and(|name| name == POSITION) =>
            {
                at_position(call, number, tables)?
            }
            Expr::Array(names) => chosen_by_names(&names.elem, all(tables)?)?.ok_or_else(bad)?,
            Expr::Lambda(lambda) => chosen_by_lambda(lambda, all(tables)?, tables)?.ok_or_else(bad)?,
            _ => return Err(bad()),
        },
        [
            FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Lambda(lambda))),
            FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(name)),
        ] => {
            let last = name.0.last().and_then(|part| part.as_ident()).map(|part| part.value.as_str());
            let columns = columns_of(last.unwrap_or_default(), tables)?;
            chosen_by_lambda(lambda, columns, tables)?.ok_or_else(bad)?
        }
        _ => return Err(bad()),
    };
    if found.is_empty() {
        let message = format!("no column fits {}", shown_call(call));
        return Err(Error::new(Code::UnknownColumn, message).span(span_of(call.name.span())));
    }
    Ok(found)
}

fn shown_call(call: &Function) -> String {
    call.to_string().replace(&format!("\"{UNPACKED}\""), "*COLUMNS")
}

/// The columns of all tables as a star shows them: what a join merged stands where its first column is.
pub(super) fn all(tables: &Tables<'_>) -> Result<Vec<Chosen>> {
    let mut shown = HashSet::new();
    let as_shown = |column: Chosen| {
        let holds = |merged: &Merged| merged.holds(column.table.as_deref(), &column.name);
        let Some(at) = tables.merged.iter().position(holds) else { return Some(column) };
        let merged = tables.merged.get(at).filter(|_| shown.insert(at))?;
        let (value, alias) = (Some(merged.value.clone()), Some(merged.name.clone()));
        Some(Chosen { value, alias, ..column })
    };
    Ok(every(tables.schema()?).into_iter().filter_map(as_shown).collect())
}

/// The columns of a table, or the fields of a struct of that name.
fn columns_of(table: &str, tables: &Tables<'_>) -> Result<Vec<Chosen>> {
    let own = every(tables.schema()?).into_iter().filter(|column| column.table.as_deref() == Some(table));
    let own: Vec<Chosen> = own.collect();
    Ok(if own.is_empty() { fields_of(table, tables).unwrap_or_default() } else { own })
}

fn every(schema: &DFSchema) -> Vec<Chosen> {
    let column = |(table, field): (Option<&datafusion_common::TableReference>, &arrow::datatypes::FieldRef)| Chosen {
        table: table.map(|table| table.table().to_string()),
        name: field.name().clone(),
        value: None,
        alias: None,
        groups: Vec::new(),
    };
    schema.iter().map(column).collect()
}

fn chosen_by_pattern(pattern: &str, columns: Vec<Chosen>) -> Result<Vec<Chosen>> {
    let regex = Regex::new(pattern)
        .map_err(|error| Error::new(Code::InvalidQuery, format!("'{pattern}' is no regular expression: {error}")))?;
    let fits = |column: Chosen| {
        let captures = regex.captures(&column.name)?;
        let group =
            |group: Option<regex::Match<'_>>| group.map_or_else(String::new, |group| group.as_str().to_string());
        let groups = captures.iter().map(group).collect();
        Some(Chosen { groups, ..column })
    };
    Ok(columns.into_iter().filter_map(fits).collect())
}

/// The columns of a list of texts, in the order of the table; `None` where it holds something else.
fn chosen_by_names(names: &[Expr], mut columns: Vec<Chosen>) -> Result<Option<Vec<Chosen>>> {
    let mut wanted = Vec::with_capacity(names.len());
    for name in names {
        let Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) = name else { return Ok(None) };
        if !columns.iter().any(|column| column.name.eq_ignore_ascii_case(text)) {
            return Err(unknown(text, &columns).span(span_of(name.span())));
        }
        wanted.push(text.as_str());
    }
    columns.retain(|column| wanted.iter().any(|name| column.name.eq_ignore_ascii_case(name)));
    Ok(Some(columns))
}

fn unknown(name: &str, columns: &[Chosen]) -> Error {
    let error = Error::new(Code::UnknownColumn, format!("there is no column named \"{name}\""));
    match suggest::hint(name, columns.iter().map(|column| column.name.as_str()), "columns") {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// The columns for whose names a lambda is true; `None` where it has not one parameter.
fn chosen_by_lambda(lambda: &LambdaFunction, columns: Vec<Chosen>, tables: &Tables<'_>) -> Result<Option<Vec<Chosen>>> {
    let parameter = match &lambda.params {
        OneOrManyWithParens::One(parameter) => parameter,
        OneOrManyWithParens::Many(parameters) => match parameters.as_slice() {
            [parameter] => parameter,
            _ => return Ok(None),
        },
    };
    let of_column = |column: &Chosen| {
        let mut body = lambda.body.as_ref().clone();
        let mut filler = NameFiller { parameter: &parameter.name.value, name: &column.name };
        let _: ControlFlow<()> = VisitMut::visit(&mut body, &mut filler);
        body
    };
    let verdicts = tables.constants(columns.iter().map(of_column).collect())?;
    let is_true = |verdict: &ScalarValue| matches!(verdict, ScalarValue::Boolean(Some(true)));
    let chosen = columns.into_iter().zip(&verdicts).filter(|(_, verdict)| is_true(verdict)).map(|(column, _)| column);
    Ok(Some(chosen.collect()))
}

struct NameFiller<'a> {
    parameter: &'a str,
    name: &'a str,
}

impl VisitorMut for NameFiller<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if matches!(expr, Expr::Identifier(name) if name.value == self.parameter) {
            *expr = Expr::value(Value::SingleQuotedString(self.name.to_string()));
        }
        ControlFlow::Continue(())
    }
}

/// Whether the planner cannot do what stands behind a star.
fn needs_names(options: &WildcardAdditionalOptions, tables: &Tables<'_>) -> bool {
    let is_qualified = |name: &ObjectName| name.0.len() > 1;
    let excludes_qualified = match &options.opt_exclude {
        Some(ExcludeSelectItem::Single(name)) => is_qualified(name),
        Some(ExcludeSelectItem::Multiple(names)) => names.iter().any(is_qualified),
        None => false,
    };
    // The planner leaves out columns that it cannot replace.
    excludes_qualified || options.opt_rename.is_some() || options.opt_replace.is_some() || !tables.merged.is_empty()
}

/// The columns of a star with what stands behind it.
pub(super) fn chosen_by_star(
    table: Option<&str>,
    options: &WildcardAdditionalOptions,
    tables: &Tables<'_>,
) -> Result<Vec<Chosen>> {
    let columns = match table {
        Some(table) => columns_of(table, tables)?,
        None => all(tables)?,
    };
    kept(columns, options)
}

/// What EXCLUDE leaves of the columns, with what REPLACE and RENAME make of them.
fn kept(every: Vec<Chosen>, options: &WildcardAdditionalOptions) -> Result<Vec<Chosen>> {
    let mut columns = every.clone();
    for name in excluded(options) {
        let parts: Vec<&str> =
            name.0.iter().filter_map(|part| part.as_ident()).map(|part| part.value.as_str()).collect();
        let fits = |column: &Chosen| match parts.as_slice() {
            [name] => column.name == *name,
            [table, name] => column.name == *name && column.table.as_deref() == Some(*table),
            _ => false,
        };
        let before = columns.len();
        columns.retain(|column| !fits(column));
        if columns.len() == before {
            return Err(unknown(&name.to_string(), &every).span(span_of(name.span())));
        }
    }
    for element in options.opt_replace.iter().flat_map(|replace| &replace.items) {
        let name = &element.column_name;
        let column = columns.iter_mut().find(|column| column.name == name.value);
        let column = column.ok_or_else(|| unknown(&name.value, &every).span(span_of(name.span)))?;
        (column.value, column.alias) = (Some(element.expr.clone()), Some(name.value.clone()));
    }
    let renames = match &options.opt_rename {
        Some(RenameSelectItem::Single(rename)) => std::slice::from_ref(rename),
        Some(RenameSelectItem::Multiple(renames)) => renames.as_slice(),
        None => &[],
    };
    for rename in renames {
        let column = columns.iter_mut().find(|column| column.name == rename.ident.value);
        let column = column.ok_or_else(|| unknown(&rename.ident.value, &every).span(span_of(rename.ident.span)))?;
        column.alias = Some(rename.alias.value.clone());
    }
    Ok(columns)
}

fn excluded(options: &WildcardAdditionalOptions) -> Vec<ObjectName> {
    let mut names = match &options.opt_exclude {
        Some(ExcludeSelectItem::Single(name)) => vec![name.clone()],
        Some(ExcludeSelectItem::Multiple(names)) => names.clone(),
        None => Vec::new(),
    };
    if let Some(ExceptSelectItem { first_element, additional_elements }) = &options.opt_except {
        let more = std::iter::once(first_element).chain(additional_elements);
        names.extend(more.map(|name| ObjectName::from(vec![name.clone()])));
    }
    names
}

impl Tables<'_> {
    /// The values of expressions without columns.
    fn constants(&self, exprs: Vec<Expr>) -> Result<Vec<ScalarValue>> {
        let mut query = self.everything()?;
        let datafusion_sql::sqlparser::ast::SetExpr::Select(select) = query.body.as_mut() else {
            return Err(Error::internal("a query without a select list"));
        };
        (query.with, select.from) = (None, Vec::new());
        select.projection = exprs
            .into_iter()
            .enumerate()
            .map(|(number, expr)| SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', number.to_string()) })
            .collect();
        let LogicalPlan::Projection(projection) = (self.stars.learn)(query)? else {
            return Err(Error::internal("constants that are no projection"));
        };
        let value = |expr: LogicalExpr| match folded(expr.unalias_nested().data)? {
            LogicalExpr::Literal(value, _) => Ok(value),
            other => Err(Error::new(Code::InvalidQuery, format!("{other} has no value before the query runs"))),
        };
        projection.expr.into_iter().map(value).collect()
    }
}
