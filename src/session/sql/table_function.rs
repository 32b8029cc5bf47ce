//! The arguments of `read_csv`, `read_parquet`, `read_json` and `read_arrow` as data.

use datafusion_sql::sqlparser::ast::{
    Array, BinaryOperator, Expr, FunctionArg, FunctionArgExpr, Spanned, UnaryOperator, Value, ValueWithSpan,
};

use super::macros;
use super::parse::span_of;
use crate::error::{Code, Error, Result};
use crate::io::shown;
use crate::scan::{Format, OptionValue, Options};
use crate::session::facts::FUNCTIONS;

/// What is read: globs, the format where it is said, options.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FileCall {
    pub patterns: Vec<String>,
    /// `None`: from the files' names.
    pub format: Option<Format>,
    pub options: Options,
    /// What is asked of the files.
    pub about: About,
}

/// What a table function asks of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// Their rows.
    Rows,
    /// How a CSV file is written.
    Dialect,
    /// The column chunks of Parquet files.
    Chunks,
    /// The schemas of Parquet files.
    Nodes,
    /// Which there are.
    Paths,
    /// All that is in them, as one text each.
    Texts,
    /// All that is in them, as bytes.
    Blobs,
}

impl FileCall {
    /// The name by which the files' columns can be qualified: the stem of the first glob, `flights` for
    /// `data/flights.csv.gz`.
    pub(crate) fn alias(&self) -> String {
        let pattern = self.patterns.first().map_or("", |pattern| shown(pattern));
        let file = pattern.rsplit(['/', '\\']).next().unwrap_or(pattern);
        let stem = file.split('.').next().unwrap_or(file);
        if stem.is_empty() { "files".to_string() } else { stem.to_string() }
    }
}

/// Names of all table functions, for did-you-mean.
const NAMES: [&str; 24] = [
    "glob",
    "read_text",
    "read_blob",
    "floe_functions",
    "range",
    "generate_series",
    "unnest",
    "read_csv",
    "read_csv_auto",
    "read_parquet",
    "parquet_scan",
    "parquet_metadata",
    "parquet_schema",
    "read_json",
    "read_json_auto",
    "read_ndjson",
    "read_ndjson_auto",
    "read_json_objects",
    "read_json_objects_auto",
    "read_ndjson_objects",
    "sniff_csv",
    "read_arrow",
    "read_ipc",
    "read_feather",
];

/// These, and those that are short for queries.
pub(crate) fn names() -> impl Iterator<Item = &'static str> + Clone {
    NAMES.into_iter().chain(FUNCTIONS).chain(macros::table_names())
}

/// Whether a table function of that name makes rows of its arguments, without any file.
pub(crate) fn makes_rows(name: &str) -> bool {
    matches!(name.to_lowercase().as_str(), "range" | "generate_series" | "unnest")
}

/// Whether a table function of that name, without arguments, tells what the engine has.
pub(crate) fn is_of_engine(name: &str) -> bool {
    name.eq_ignore_ascii_case("floe_functions") || FUNCTIONS.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// The format that a table function of that name reads.
pub(crate) fn format_of(name: &str) -> Option<Format> {
    match name.to_lowercase().as_str() {
        "read_csv" | "read_csv_auto" | "sniff_csv" => Some(Format::Csv),
        "read_parquet" | "parquet_scan" | "parquet_metadata" | "parquet_schema" => Some(Format::Parquet),
        "read_json" | "read_json_auto" | "read_ndjson" | "read_ndjson_auto" => Some(Format::Json),
        name if reads_whole_values(name) => Some(Format::Json),
        "read_arrow" | "read_ipc" | "read_feather" => Some(Format::Arrow),
        _ => None,
    }
}

/// Whether a table function of that name gives every value of a JSON file as it is, in one column.
fn reads_whole_values(name: &str) -> bool {
    matches!(name, "read_json_objects" | "read_json_objects_auto" | "read_ndjson_objects")
}

/// What a table function asks of files that are of no format.
pub(crate) fn asks_of_any_file(name: &str) -> bool {
    matches!(name.to_lowercase().as_str(), "glob" | "read_text" | "read_blob")
}

/// Computes an expression that is no literal.
pub(crate) type Compute<'a> = &'a dyn Fn(&Expr) -> Result<OptionValue>;

/// Reads the arguments: first the glob or the list of globs, then `name => value`, `name = value` or `name := value`.
pub(crate) fn file_call(
    name: &str,
    format: Option<Format>,
    arguments: &[FunctionArg],
    compute: Compute,
) -> Result<FileCall> {
    let mut patterns = None;
    let lower = name.to_lowercase();
    let mut options = Options::new();
    if reads_whole_values(&lower) {
        let column = ("json".to_string(), OptionValue::Text("JSON".to_string()));
        options.insert("columns".to_string(), OptionValue::Struct(vec![column]));
        options.insert("records".to_string(), OptionValue::Bool(false));
    }
    for argument in arguments {
        match named(argument) {
            Some((option, value)) => {
                let option = option.to_lowercase();
                let value = literal(value).or_else(|_| compute(value))?;
                if options.insert(option.clone(), value).is_some() {
                    return Err(invalid(argument, format!("{name}: option {option} is given twice")));
                }
            }
            None if patterns.is_none() => patterns = Some(globs(name, argument, compute)?),
            None => {
                let message = format!("{name} takes one glob or one list of globs, and then options by name");
                return Err(invalid(argument, message).hint("write name => value, e.g. header => true"));
            }
        }
    }
    match patterns {
        Some(patterns) if !patterns.is_empty() => {
            let about = match lower.as_str() {
                "sniff_csv" => About::Dialect,
                "parquet_metadata" => About::Chunks,
                "parquet_schema" => About::Nodes,
                "glob" => About::Paths,
                "read_text" => About::Texts,
                "read_blob" => About::Blobs,
                _ => About::Rows,
            };
            Ok(FileCall { patterns, format, options, about })
        }
        _ => Err(Error::new(Code::InvalidQuery, format!("{name} needs a glob or a list of globs"))
            .hint(format!("write {name}('folder/*.csv')"))),
    }
}

/// The name and value of an argument in any of the ways to name one.
fn named(argument: &FunctionArg) -> Option<(&str, &Expr)> {
    match argument {
        FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => Some((&name.value, value)),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::BinaryOp { left, op: BinaryOperator::Eq, right })) => {
            match left.as_ref() {
                Expr::Identifier(name) => Some((&name.value, right)),
                _ => None,
            }
        }
        _ => None,
    }
}

fn globs(name: &str, argument: &FunctionArg, compute: Compute) -> Result<Vec<String>> {
    let value = match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => literal(value).or_else(|_| compute(value))?,
        _ => return Err(invalid(argument, format!("{name}: {argument} is not a glob"))),
    };
    let texts = match value {
        OptionValue::List(values) => values,
        value => vec![value],
    };
    texts
        .into_iter()
        .map(|text| match text {
            OptionValue::Text(text) => Ok(text),
            _ => Err(invalid(argument, format!("{name}: a glob is a text in single quotes"))),
        })
        .collect()
}

/// A literal of the syntax tree as an option's value. Numbers with a fraction stay text.
fn literal(expr: &Expr) -> Result<OptionValue> {
    match expr {
        Expr::Value(ValueWithSpan { value, .. }) => match value {
            Value::SingleQuotedString(text)
            | Value::EscapedStringLiteral(text)
            | Value::UnicodeStringLiteral(text)
            | Value::DoubleQuotedString(text) => Ok(OptionValue::Text(text.clone())),
            Value::Boolean(value) => Ok(OptionValue::Bool(*value)),
            Value::Number(text, _) => Ok(number(text)),
            _ => Err(not_literal(expr)),
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => match literal(inner)? {
            OptionValue::Int(value) => value.checked_neg().map(OptionValue::Int).ok_or_else(|| not_literal(expr)),
            OptionValue::Text(text) if matches!(**inner, Expr::Value(_)) => Ok(OptionValue::Text(format!("-{text}"))),
            _ => Err(not_literal(expr)),
        },
        Expr::Array(Array { elem, .. }) => elem.iter().map(element).collect::<Result<_>>().map(OptionValue::List),
        Expr::Dictionary(fields) => fields
            .iter()
            .map(|field| Ok((field.key.value.clone(), element(&field.value)?)))
            .collect::<Result<_>>()
            .map(OptionValue::Struct),
        Expr::Nested(inner) => literal(inner),
        _ => Err(not_literal(expr)),
    }
}

/// A literal within another, where names of types need no quotes.
fn element(expr: &Expr) -> Result<OptionValue> {
    match expr {
        Expr::Identifier(name) if name.quote_style.is_none() => Ok(OptionValue::Text(name.value.clone())),
        expr => literal(expr),
    }
}

fn number(text: &str) -> OptionValue {
    let plain = text.replace('_', "");
    plain.parse().map_or(OptionValue::Text(plain), OptionValue::Int)
}

fn not_literal(expr: &Expr) -> Error {
    Error::new(Code::InvalidQuery, format!("{expr} is not a literal")).span(span_of(expr.span()))
}

fn invalid(argument: &FunctionArg, message: String) -> Error {
    Error::new(Code::InvalidQuery, message).span(span_of(argument.span()))
}

#[cfg(test)]
mod tests {
    use datafusion_sql::sqlparser::ast::{SetExpr, Statement, TableFactor};

    use super::*;
    use crate::session::sql::parse;

    fn call(text: &str) -> Result<FileCall> {
        let tokens = parse::tokens(&format!("select * from {text}"))?;
        let Statement::Query(query) = parse::statement(&tokens)? else { unreachable!() };
        let SetExpr::Select(select) = query.body.as_ref() else { unreachable!() };
        let TableFactor::Table { args: Some(args), name, .. } = &select.from[0].relation else { unreachable!() };
        let name = name.to_string();
        file_call(&name, format_of(&name), &args.args, &|expr| Err(not_literal(expr)))
    }

    #[test]
    fn a_file_is_known_by_its_stem() {
        let alias = |pattern: &str| {
            FileCall { patterns: vec![pattern.to_string()], format: None, options: Options::new(), about: About::Rows }
                .alias()
        };
        assert_eq!(alias("data/flights.csv.gz"), "flights");
        assert_eq!(alias("flights"), "flights");
        assert_eq!(alias("s3://bucket/2013-*.parquet"), "2013-*");
        assert_eq!(alias("data/"), "files");
    }

    fn text(value: &str) -> OptionValue {
        OptionValue::Text(value.to_string())
    }

    #[test]
    fn options_may_be_named_in_three_ways() {
        let call = call("read_csv('*.csv', Delim => ';', header = false, skip := 3)").unwrap();
        assert_eq!(call.patterns, ["*.csv"]);
        assert_eq!(call.format, Some(Format::Csv));
        assert_eq!(call.options["delim"], text(";"));
        assert_eq!(call.options["header"], OptionValue::Bool(false));
        assert_eq!(call.options["skip"], OptionValue::Int(3));
    }

    #[test]
    fn lists_and_structs_are_values() {
        let call = call("read_json_auto(['a', 'b'], columns => {'x': 'INT', y: 'TEXT'}, n => -2, f => 0.5)").unwrap();
        assert_eq!(call.patterns, ["a", "b"]);
        assert_eq!(call.format, Some(Format::Json));
        let columns = vec![("x".to_string(), text("INT")), ("y".to_string(), text("TEXT"))];
        assert_eq!(call.options["columns"], OptionValue::Struct(columns));
        assert_eq!(call.options["n"], OptionValue::Int(-2));
        assert_eq!(call.options["f"], text("0.5"));
    }

    #[test]
    fn what_is_not_a_glob_or_literal_is_an_error_with_a_place() {
        for sql in [
            "read_csv()",
            "read_csv([])",
            "read_csv(3)",
            "read_csv('a', 'b')",
            "read_csv('a', header => x + 1)",
            "read_csv('a', skip => 1, SKIP => 2)",
        ] {
            let error = call(sql).unwrap_err();
            assert_eq!(error.code(), Code::InvalidQuery, "{sql}");
        }
        assert!(call("read_csv('a', 'b')").unwrap_err().sql_span().is_some());
    }
}
