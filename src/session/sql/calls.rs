//! Calls whose arguments say more than values, in words that the planner knows.
//!
//! * `struct_pack(a := 1)` is `{'a': 1}`; `struct_insert(s, a := 1)` and `struct_update(s, a := 1)` take it as one argument.
//! * `regexp_extract(text, pattern, ['year', 'month'])` is a struct of groups, `date_part(['year', 'month'], time)` one of parts.
//! * `EXTRACT(part FROM time)` and `date_part('part', time)` are BIGINTs; of parts that the library does not know they are functions of floe.
//! * `strptime(text, '… %z')` is a moment, with its time zone.
//! * `list_aggregate(list, 'sum')` is `list_sum(list)`; `struct_extract(s, 'a')` is `s['a']`.
//! * `json -> 'key'` and `json ->> 'key'` are functions, also where the parser took `json -> …` for a lambda.
//! * `alias(column)` is the column's name.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    AccessExpr, Array, BinaryOperator, CastKind, DataType, DictionaryField, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, LambdaFunction, LambdaSyntax, ObjectName,
    OneOrManyWithParens, Statement, Subscript, TimezoneInfo, Value, ValueWithSpan, VisitMut, VisitorMut,
};

use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::macros::plain_name;
use crate::expr::functions;

/// Functions whose arguments may have names.
pub(super) fn takes_names(function: &str) -> bool {
    matches!(function.to_lowercase().as_str(), "struct_pack" | "struct_insert" | "struct_update")
}

/// Words that the parser takes for values, and for functions only where nothing stands behind them.
const RESERVED: [&str; 4] = ["current_catalog", "current_user", "session_user", "user"];

/// Makes calls of `current_user()` and the like.
pub(super) fn take(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    for index in 0..tokens.len() {
        let is_call = matches!(tokens.get(index + 1..index + 3), Some([open, close]) if open.token == Token::LParen && close.token == Token::RParen);
        if let Some(TokenWithSpan { token: Token::Word(word), .. }) = tokens.get_mut(index)
            && is_call
            && RESERVED.contains(&word.value.to_lowercase().as_str())
        {
            (word.quote_style, word.keyword) = (Some('"'), Keyword::NoKeyword);
        }
    }
    tokens
}

/// Rewrites every such call.
pub(super) fn spell_out(statement: &mut Statement) {
    let _: ControlFlow<()> = VisitMut::visit(statement, &mut Calls);
}

struct Calls;

impl VisitorMut for Calls {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(call) = expr
            && plain_name(&call.name)
                .is_some_and(|name| name == "columns" || functions().higher_order.contains_key(&name))
        {
            mark_lambdas(call);
        }
        if let Some(operands) = arrow_operands(expr) {
            *expr = operands;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let spelled = match expr {
            Expr::BinaryOp { left, op: BinaryOperator::Arrow, right } => {
                Some(call_of("json_extract", vec![left.as_ref().clone(), right.as_ref().clone()]))
            }
            Expr::BinaryOp { left, op: BinaryOperator::LongArrow, right } => {
                Some(call_of("json_extract_string", vec![left.as_ref().clone(), right.as_ref().clone()]))
            }
            Expr::Substring { expr: text, substring_from: Some(from), substring_for, .. } => {
                let parts = [Some(&*text), Some(&*from), substring_for.as_ref()];
                Some(call_of("substr", parts.into_iter().flatten().map(|part| part.as_ref().clone()).collect()))
            }
            Expr::Function(call) => spelled(call),
            Expr::Extract { field, expr, .. } => Some(part_of(field.to_string().trim_matches('\''), expr)),
            Expr::Position { expr: text, r#in } => {
                Some(call_of("strpos", vec![r#in.as_ref().clone(), text.as_ref().clone()]))
            }
            _ => None,
        };
        if let Some(spelled) = spelled {
            *expr = spelled;
        }
        ControlFlow::Continue(())
    }
}

/// The parser takes every `name -> …` for a lambda. Those that stand where a lambda is expected get the other syntax, which
/// means the same.
fn mark_lambdas(call: &mut Function) {
    let FunctionArguments::List(list) = &mut call.args else { return };
    for argument in &mut list.args {
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Lambda(lambda))) = argument {
            lambda.syntax = LambdaSyntax::LambdaKeyword;
        }
    }
}

/// `column -> 'key'` that was taken for a lambda.
fn arrow_operands(expr: &Expr) -> Option<Expr> {
    let Expr::Lambda(lambda) = expr else { return None };
    let OneOrManyWithParens::One(parameter) = &lambda.params else { return None };
    let column = lambda.syntax == LambdaSyntax::Arrow && parameter.data_type.is_none();
    column.then(|| arrow_from(Expr::Identifier(parameter.name.clone()), lambda.body.as_ref().clone()))
}

/// `column -> body`, from left to right: the parser took all that follows for the lambda's body.
fn arrow_from(column: Expr, body: Expr) -> Expr {
    use BinaryOperator as B;
    match arrow_operands(&body).unwrap_or(body) {
        Expr::BinaryOp { left, op: op @ (B::Arrow | B::LongArrow | B::And | B::Or), right } => {
            Expr::BinaryOp { left: Box::new(arrow_from(column, *left)), op, right }
        }
        other => Expr::BinaryOp { left: Box::new(column), op: B::Arrow, right: Box::new(other) },
    }
}

/// The function of a part of time that the library's `date_part` does not have, or has otherwise.
fn own_part(part: &str) -> Option<&'static str> {
    Some(match part.to_lowercase().as_str() {
        "millennium" | "millennia" | "millenniums" | "mil" | "mils" => "millennium",
        "century" | "centuries" | "cent" | "c" => "century",
        "decade" | "decades" | "dec" | "decs" => "decade",
        "isoyear" => "isoyear",
        "yearweek" => "yearweek",
        "dayofweek" | "weekday" => "dayofweek",
        "dayofyear" => "dayofyear",
        "dayofmonth" => "dayofmonth",
        "weekofyear" => "week",
        "era" => "era",
        "epoch" => "epoch",
        "julian" => "julian",
        "timezone" | "timezone_hour" => "timezone_hour",
        "timezone_minute" => "timezone_minute",
        _ => return None,
    })
}

fn spelled(call: &Function) -> Option<Expr> {
    let name = plain_name(&call.name)?;
    let FunctionArguments::List(list) = &call.args else { return None };
    let values: Vec<&Expr> = list.args.iter().filter_map(unnamed).collect();
    if let Some(aggregate) = aggregate(call, list, &name, &values) {
        return Some(aggregate);
    }
    if call.over.is_some() || call.filter.is_some() {
        return None;
    }
    match (name.as_str(), values.as_slice()) {
        ("struct_pack", []) => Some(Expr::Dictionary(named_fields(&list.args)?)),
        ("struct_insert" | "struct_update", [structure]) if list.args.len() > 1 => {
            let fields = Expr::Dictionary(named_fields(list.args.get(1..)?)?);
            let function = if name == "struct_insert" { "struct_concat" } else { "struct_update" };
            Some(call_of(function, vec![(*structure).clone(), fields]))
        }
        ("regexp_extract", [text, pattern, Expr::Array(names)]) => groups(text, pattern, names),
        ("date_part" | "datepart", [Expr::Array(parts), time]) => {
            let part = |part: &Expr| {
                let name = text_of(part)?;
                Some((name.to_string(), part_of(name, time)))
            };
            let parts = Expr::Dictionary(fields(parts.elem.iter().map(part).collect::<Option<Vec<_>>>()?));
            Some(call_of("#if_known", vec![parts, (*time).clone()]))
        }
        ("date_part" | "datepart", [part, time]) => Some(part_of(text_of(part)?, time)),
        ("strptime" | "try_strptime", [_, format]) => {
            let format = text_of(format)?;
            (format.contains("%z") || format.contains("%Z")).then(|| Expr::Cast {
                kind: CastKind::Cast,
                expr: Box::new(Expr::Function(call.clone())),
                data_type: DataType::Timestamp(None, TimezoneInfo::WithTimeZone),
                array: false,
                format: None,
            })
        }
        ("json_extract" | "json_extract_path", [json, path]) if has_wildcard(path) => {
            Some(call_of("#json_extract_all", vec![(*json).clone(), (*path).clone()]))
        }
        ("json_extract_string" | "json_extract_path_text", [json, path]) if has_wildcard(path) => {
            Some(call_of("#json_extract_string_all", vec![(*json).clone(), (*path).clone()]))
        }
        ("grouping_id", _) => {
            Some(Expr::Function(Function { name: ObjectName::from(vec![Ident::new("grouping")]), ..call.clone() }))
        }
        ("struct_extract", [structure, field]) => Some(match text_of(field) {
            Some(_) => field_of(structure, field),
            None => call_of("struct_extract_at", vec![(*structure).clone(), (*field).clone()]),
        }),
        (
            "list_aggregate" | "list_aggr" | "array_aggregate" | "array_aggr" | "aggregate",
            [list, aggregate, more @ ..],
        ) => aggregated(list, text_of(aggregate)?, more),
        (
            "list_zip" | "array_zip",
            [lists @ .., Expr::Value(ValueWithSpan { value: Value::Boolean(truncates), .. })],
        ) if !lists.is_empty() => Some(zipped(lists, *truncates)),
        ("map", []) if list.args.is_empty() => Some(call_of("map", vec![empty_list(), empty_list()])),
        ("map", [keys, values]) if is_null(keys) || is_null(values) => Some(Expr::value(Value::Null)),
        ("age", [time]) => Some(call_of("age", vec![call_of("today", Vec::new()), (*time).clone()])),
        ("make_date", [Expr::Dictionary(parts)]) => date_of(parts),
        ("alias", [Expr::Identifier(name)]) => Some(text(&name.value)),
        ("alias", [Expr::CompoundIdentifier(names)]) => Some(text(&names.last()?.value)),
        _ => None,
    }
}

/// Aggregates in other words.
fn aggregate(call: &Function, list: &FunctionArgumentList, name: &str, values: &[&Expr]) -> Option<Expr> {
    if let ("string_agg" | "listagg" | "group_concat", [_, separator]) = (name, values)
        && is_null(separator)
    {
        return Some(unknown_text(call.clone()));
    }
    if name == "mode"
        && list.args.is_empty()
        && let [key] = call.within_group.as_slice()
    {
        let argument = FunctionArg::Unnamed(FunctionArgExpr::Expr(key.expr.clone()));
        let args = FunctionArgumentList { args: vec![argument], ..list.clone() };
        let args = FunctionArguments::List(args);
        return Some(Expr::Function(Function { args, within_group: Vec::new(), ..call.clone() }));
    }
    None
}

/// `list_aggregate(list, 'name', more…)`.
fn aggregated(list: &Expr, aggregate: &str, more: &[&Expr]) -> Option<Expr> {
    let arguments: Vec<Expr> = std::iter::once(list).chain(more.iter().copied()).cloned().collect();
    Some(match (aggregate.to_lowercase().as_str(), more) {
        ("list" | "array_agg", []) => list.clone(),
        ("fsum" | "sumkahan" | "kahan_sum", []) => call_of("list_sum", arguments),
        (extreme @ ("min" | "max"), [count]) => {
            let sorts = if extreme == "min" { "list_sort" } else { "list_reverse_sort" };
            let sorted = call_of(sorts, vec![call_of("array_compact", vec![list.clone()])]);
            call_of("list_slice", vec![sorted, one(), (*count).clone()])
        }
        (name, _) => call_of(&format!("list_{name}"), arguments),
    })
}

fn one() -> Expr {
    Expr::value(Value::Number("1".to_string(), false))
}

fn empty_list() -> Expr {
    Expr::Array(Array { elem: Vec::new(), named: false })
}

/// Lists side by side, as long as the longest, or else as the shortest.
fn zipped(lists: &[&Expr], truncates: bool) -> Expr {
    let zipped = call_of("list_zip", lists.iter().copied().cloned().collect());
    let length = |list: &&Expr| call_of("len", vec![(*list).clone()]);
    let shortest = call_of("least", lists.iter().map(length).collect());
    if truncates { call_of("list_slice", vec![zipped, one(), shortest]) } else { zipped }
}

/// `make_date({'year': …, 'month': …, 'day': …})`.
fn date_of(parts: &[DictionaryField]) -> Option<Expr> {
    let part = |name: &str| {
        let found = parts.iter().find(|part| part.key.value.eq_ignore_ascii_case(name))?;
        Some(found.value.as_ref().clone())
    };
    Some(call_of("make_date", ["year", "month", "day"].into_iter().map(part).collect::<Option<Vec<_>>>()?))
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(ValueWithSpan { value: Value::Null, .. }))
}

/// Texts with nobody knows what between them: NULL, however many there are.
fn unknown_text(mut call: Function) -> Expr {
    let null = Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(Expr::value(Value::Null)),
        data_type: DataType::Varchar(None),
        array: false,
        format: None,
    };
    let args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(null))];
    call.name = ObjectName::from(vec![Ident::new("max")]);
    call.args = FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() });
    Expr::Function(call)
}

fn unnamed(argument: &FunctionArg) -> Option<&Expr> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value),
        _ => None,
    }
}

/// A path into JSON that leads to several parts.
fn has_wildcard(path: &Expr) -> bool {
    text_of(path).is_some_and(|path| path.starts_with('$') && (path.contains('*') || path.contains("..")))
}

/// The text of a literal.
fn text_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => Some(text),
        _ => None,
    }
}

fn text(text: &str) -> Expr {
    Expr::value(Value::SingleQuotedString(text.to_string()))
}

fn fields(fields: Vec<(String, Expr)>) -> Vec<DictionaryField> {
    fields
        .into_iter()
        .map(|(name, value)| DictionaryField { key: Ident::with_quote('\'', name), value: Box::new(value) })
        .collect()
}

/// `a := 1, b := 2` as fields of a struct.
fn named_fields(arguments: &[FunctionArg]) -> Option<Vec<DictionaryField>> {
    let field = |argument: &FunctionArg| match argument {
        FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => Some((name.value.clone(), value.clone())),
        _ => None,
    };
    Some(fields(arguments.iter().map(field).collect::<Option<Vec<_>>>()?))
}

fn field_of(structure: &Expr, field: &Expr) -> Expr {
    let access = AccessExpr::Subscript(Subscript::Index { index: field.clone() });
    Expr::CompoundFieldAccess { root: Box::new(structure.clone()), access_chain: vec![access] }
}

fn groups(text: &Expr, pattern: &Expr, names: &Array) -> Option<Expr> {
    let group = |(index, name): (usize, &Expr)| {
        let number = Expr::value(Value::Number((index + 1).to_string(), false));
        Some((text_of(name)?.to_string(), call_of("regexp_extract", vec![text.clone(), pattern.clone(), number])))
    };
    Some(Expr::Dictionary(fields(names.elem.iter().enumerate().map(group).collect::<Option<Vec<_>>>()?)))
}

/// A part of a time: a BIGINT, where the library's is an INTEGER.
fn part_of(name: &str, time: &Expr) -> Expr {
    match own_part(name) {
        Some(function) => call_of(function, vec![time.clone()]),
        None => Expr::Cast {
            kind: CastKind::Cast,
            expr: Box::new(call_of("date_part", vec![text(name), time.clone()])),
            data_type: DataType::BigInt(None),
            array: false,
            format: None,
        },
    }
}

/// A plain call.
pub(super) fn call_of(function: &str, arguments: Vec<Expr>) -> Expr {
    let args = arguments.into_iter().map(|value| FunctionArg::Unnamed(FunctionArgExpr::Expr(value))).collect();
    let list = FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() };
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(function)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(list),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// The names of a lambda's parameters.
pub(super) fn parameters(lambda: &LambdaFunction) -> Vec<String> {
    match &lambda.params {
        OneOrManyWithParens::One(parameter) => vec![parameter.name.value.clone()],
        OneOrManyWithParens::Many(parameters) => {
            parameters.iter().map(|parameter| parameter.name.value.clone()).collect()
        }
    }
}
