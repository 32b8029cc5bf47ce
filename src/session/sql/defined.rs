//! Calls of what statements defined, put in other words: macros, `getvariable('name')`, and `current_setting('name')`.
//!
//! Invariant: as for the [macros](super::macros) that are built in, an argument is put in as a whole and never read again for names of
//! parameters. The body of a macro has the place of its call, so that errors point at the call.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion_common::ScalarValue;
use datafusion_sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Select, SelectItem, Spanned, Statement,
    TableAlias, TableFactor, Value, ValueWithSpan, Visit, VisitMut, Visitor, VisitorMut,
};
use datafusion_sql::sqlparser::parser::Parser;
use datafusion_sql::sqlparser::tokenizer::{Span as Place, Token, TokenWithSpan};

use super::dialect::FloeDialect;
use super::macros::{Filler, plain_name};
use super::naming::free_name;
use super::parse::{DEPTH, span_of};
use super::relations::Tables;
use super::spelling::Spelling;
use super::words::{Tokens, made, quoted, text_literal};
use crate::error::{Code, Error, Result};
use crate::session::definitions::{Defined, MacroDefinition, MacroForm};

/// How many calls one statement may stand for: more only where a macro calls itself.
const MOST_CALLS: usize = 500;

/// The relation that holds the value of a variable.
pub(crate) const VARIABLE: &str = "#variable ";

/// The calls of a statement that stand for other words.
pub(super) struct DefinedCalls<'a> {
    defined: Arc<Defined>,
    tables: &'a dyn Tables,
}

/// Functions that tell what was set.
fn tells_what_was_set(name: &str) -> bool {
    matches!(name, "getvariable" | "current_setting")
}

impl<'a> DefinedCalls<'a> {
    /// The calls of a statement; `None` where it has none.
    pub(super) fn of(tokens: &[TokenWithSpan], tables: &'a dyn Tables) -> Option<Self> {
        let defined = tables.defined();
        let is_call = |pair: &[TokenWithSpan]| match pair {
            [TokenWithSpan { token: Token::Word(word), .. }, TokenWithSpan { token: Token::LParen, .. }] => {
                let name = word.value.to_lowercase();
                tells_what_was_set(&name) || defined.macros.contains_key(&name)
            }
            _ => false,
        };
        let has_any = super::words::solid(tokens.to_vec()).windows(2).any(is_call);
        has_any.then_some(DefinedCalls { defined, tables })
    }

    /// Teaches the names in the bodies of macros, behind those of the statement.
    pub(super) fn teach(&self, spelling: &mut Spelling) {
        for form in self.defined.macros.values().flat_map(|known| &known.forms) {
            spelling.learn_tokens(&form.body);
        }
    }

    /// Puts every call in other words. `spelling`: that of the statement's names, once it is known.
    pub(super) fn spell_out(&self, statement: &mut Statement, spelling: Option<&Spelling>) -> Result<()> {
        let mut expander = Expander { calls: self, spelling, count: 0 };
        match VisitMut::visit(statement, &mut expander) {
            ControlFlow::Break(error) => Err(*error),
            ControlFlow::Continue(()) => Ok(()),
        }
    }

    fn find(&self, name: &ObjectName, is_table: bool) -> Option<&Arc<MacroDefinition>> {
        let known = self.defined.macros.get(&plain_name(name)?)?;
        (known.is_table == is_table).then_some(known)
    }

    fn is_defined(&self, name: &ObjectName) -> bool {
        self.find(name, false).is_some() || plain_name(name).is_some_and(|name| tells_what_was_set(&name))
    }

    /// What was set under the name that is the only argument.
    fn what_was_set(&self, function: &str, arguments: &[FunctionArg], place: Place) -> Result<Expr> {
        let [
            FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(ValueWithSpan {
                value: Value::SingleQuotedString(name),
                ..
            }))),
        ] = arguments
        else {
            let error = Error::new(Code::InvalidQuery, format!("{function} takes a name in single quotes"));
            return Err(error.span(span_of(place)));
        };
        let text = if function == "current_setting" {
            let value = self.tables.setting(name).map_err(|error| error.span(span_of(place)))?;
            value.parse::<i64>().map_or_else(|_| text_literal(&value), |number| number.to_string())
        } else {
            let name = name.to_lowercase();
            match self.defined.variables.get(&name) {
                Some(value) => literal(value)
                    .unwrap_or_else(|| format!("(SELECT v FROM {})", quoted(&format!("{VARIABLE}{name}")))),
                None => "NULL".to_string(),
            }
        };
        expression(made(&text, place)?)
    }
}

/// The words of a value that may stand where constants must.
fn literal(value: &ScalarValue) -> Option<String> {
    Some(match value {
        value if value.is_null() => match value {
            ScalarValue::Null => "NULL".to_string(),
            _ => return None,
        },
        ScalarValue::Boolean(Some(value)) => value.to_string(),
        ScalarValue::Int32(Some(value)) => format!("({value})"),
        ScalarValue::Int64(Some(value)) => format!("(({value})::BIGINT)"),
        ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) | ScalarValue::LargeUtf8(Some(text)) => {
            text_literal(text)
        }
        ScalarValue::List(list) => {
            let elements = (0..list.value(0).len()).map(|index| {
                let element = ScalarValue::try_from_array(&list.value(0), index).ok()?;
                if element.is_null() { None } else { literal(&element) }
            });
            let elements: Vec<String> = elements.collect::<Option<_>>()?;
            if elements.is_empty() {
                return None;
            }
            format!("[{}]", elements.join(", "))
        }
        _ => return None,
    })
}

/// The expression that the tokens are.
pub(crate) fn expression(tokens: Tokens) -> Result<Expr> {
    let dialect = FloeDialect;
    let place = super::words::place_of(&tokens);
    let mut parser = Parser::new(&dialect).with_recursion_limit(DEPTH).with_tokens_with_locations(tokens);
    let parsed = parser.parse_expr().and_then(|expr| parser.expect_token(&Token::EOF).map(|_| expr));
    parsed.map_err(|error| not_read(&error, place))
}

/// The query that the tokens are, in the place of a table.
pub(crate) fn query_of(tokens: Tokens) -> Result<Box<datafusion_sql::sqlparser::ast::Query>> {
    let dialect = FloeDialect;
    let place = super::words::place_of(&tokens);
    let mut parser = Parser::new(&dialect).with_recursion_limit(DEPTH).with_tokens_with_locations(tokens);
    let parsed = parser.parse_query().and_then(|query| parser.expect_token(&Token::EOF).map(|_| query));
    parsed.map_err(|error| not_read(&error, place))
}

fn not_read(error: &datafusion_sql::sqlparser::parser::ParserError, place: Place) -> Error {
    Error::new(Code::Syntax, error.to_string().trim_start_matches("sql parser error: ").to_string())
        .span(span_of(place))
}

struct Expander<'a> {
    calls: &'a DefinedCalls<'a>,
    spelling: Option<&'a Spelling>,
    /// Calls that were put in other words so far.
    count: usize,
}

type Verdict = ControlFlow<Box<Error>>;

fn verdict(result: Result<()>) -> Verdict {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(Box::new(error)),
    }
}

/// Before its parts are visited, so that calls in arguments and in bodies are met in their turn.
impl VisitorMut for Expander<'_> {
    type Break = Box<Error>;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> Verdict {
        verdict(self.expr(expr))
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> Verdict {
        verdict(self.table(factor))
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> Verdict {
        self.name_items(select);
        ControlFlow::Continue(())
    }
}

impl Expander<'_> {
    fn expr(&mut self, expr: &mut Expr) -> Result<()> {
        let Expr::Function(call) = &*expr else { return Ok(()) };
        let FunctionArguments::List(list) = &call.args else { return Ok(()) };
        if !self.calls.is_defined(&call.name) {
            return Ok(());
        }
        let place = call.name.span();
        let has_more = call.filter.is_some()
            || call.over.is_some()
            || list.duplicate_treatment.is_some()
            || !list.clauses.is_empty()
            || !call.within_group.is_empty();
        if has_more {
            let error = Error::not_supported("DISTINCT, FILTER, OVER and the like for a macro");
            return Err(error.span(span_of(place)).hint("write it within the macro"));
        }
        let body = match self.calls.find(&call.name, false) {
            Some(known) => {
                let known = known.clone();
                let (form, arguments) = self.arguments(&known, &list.args, place)?;
                let mut body = expression(self.words(&form.body, place))?;
                fill(&mut body, form, arguments);
                body
            }
            None => self.calls.what_was_set(&plain_name(&call.name).unwrap_or_default(), &list.args, place)?,
        };
        *expr = Expr::Nested(Box::new(body));
        Ok(())
    }

    fn table(&mut self, factor: &mut TableFactor) -> Result<()> {
        let TableFactor::Table { name, args: Some(args), alias, with_ordinality: false, sample: None, .. } = &*factor
        else {
            return Ok(());
        };
        let Some(known) = self.calls.find(name, true).cloned() else { return Ok(()) };
        let place = name.span();
        let (form, arguments) = self.arguments(&known, &args.args, place)?;
        let mut subquery = query_of(self.words(&form.body, place))?;
        fill(subquery.as_mut(), form, arguments);
        let own =
            TableAlias { explicit: true, name: Ident::with_quote('"', &known.name), columns: Vec::new(), at: None };
        let alias = Some(alias.clone().unwrap_or(own));
        *factor = TableFactor::Derived { lateral: false, subquery, alias, sample: None };
        Ok(())
    }

    /// The tokens of a body, at the place of the call and in the statement's spelling.
    fn words(&self, body: &[TokenWithSpan], place: Place) -> Tokens {
        let mut words: Tokens = body.iter().map(|token| TokenWithSpan::new(token.token.clone(), place)).collect();
        if let Some(spelling) = self.spelling {
            spelling.apply(&mut words);
        }
        words
    }

    /// The form of the macro that takes these arguments, and what its parameters are.
    fn arguments<'m>(
        &mut self,
        known: &'m MacroDefinition,
        arguments: &[FunctionArg],
        place: Place,
    ) -> Result<(&'m MacroForm, Vec<Expr>)> {
        self.count += 1;
        if self.count > MOST_CALLS {
            let message = format!("the macro \"{}\" calls itself without an end", known.name);
            return Err(Error::new(Code::InvalidQuery, message).span(span_of(place)));
        }
        for form in &known.forms {
            if let Some(values) = self.values(form, arguments, place)? {
                return Ok((form, values));
            }
        }
        let error = Error::new(Code::UnknownFunction, format!("{} does not take these arguments", known.name));
        Err(error.span(span_of(place)).hint(format!("it is called as {}", signatures(known))))
    }

    /// A value for each parameter; `None` where they do not fit.
    fn values(&self, form: &MacroForm, arguments: &[FunctionArg], place: Place) -> Result<Option<Vec<Expr>>> {
        let mut values: Vec<Option<Expr>> = vec![None; form.parameters.len()];
        for (index, argument) in arguments.iter().enumerate() {
            let (index, value) = match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => (Some(index), value),
                FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => {
                    let name = name.value.to_lowercase();
                    (form.parameters.iter().position(|(parameter, _)| parameter.to_lowercase() == name), value)
                }
                _ => return Ok(None),
            };
            match index.and_then(|index| values.get_mut(index)) {
                Some(place) if place.is_none() => *place = Some(value.clone()),
                _ => return Ok(None),
            }
        }
        let mut filled = Vec::with_capacity(values.len());
        for (value, (_, default)) in values.into_iter().zip(&form.parameters) {
            match (value, default) {
                (Some(value), _) => filled.push(value),
                (None, Some(default)) => filled.push(expression(self.words(default, place))?),
                (None, None) => return Ok(None),
            }
        }
        Ok(Some(filled))
    }

    /// Calls columns by the call that was written, not by what it stands for.
    fn name_items(&self, select: &mut Select) {
        let mut taken: HashSet<String> = HashSet::new();
        for item in &mut select.projection {
            let SelectItem::UnnamedExpr(expr) = item else { continue };
            if Visit::visit(expr, &mut HasCall(self.calls)).is_break() {
                let alias = Ident::with_quote('"', free_name(&expr.to_string(), &mut taken));
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            }
        }
    }
}

struct HasCall<'a>(&'a DefinedCalls<'a>);

impl Visitor for HasCall<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(call) if self.0.is_defined(&call.name) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

fn fill(body: &mut impl VisitMut, form: &MacroForm, arguments: Vec<Expr>) {
    let parameters: Vec<&str> = form.parameters.iter().map(|(name, _)| name.as_str()).collect();
    let _: ControlFlow<()> = VisitMut::visit(body, &mut Filler::new(&parameters, arguments));
}

/// How a macro is called.
pub(crate) fn signatures(known: &MacroDefinition) -> String {
    let parameter = |(name, default): &(String, Option<Tokens>)| match default {
        Some(default) => {
            let default: Vec<String> = default.iter().map(|token| token.token.to_string()).collect();
            format!("{name} := {}", default.join(" "))
        }
        None => name.clone(),
    };
    let form = |form: &MacroForm| {
        format!("{}({})", known.name, form.parameters.iter().map(parameter).collect::<Vec<_>>().join(", "))
    };
    known.forms.iter().map(form).collect::<Vec<_>>().join(" or ")
}
