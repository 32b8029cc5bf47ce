//! What the libraries say, as sentences of floe's: the class, what is wrong with what, and what to try.
//!
//! Known limitation: sentences that are not listed here come through in the libraries' words.

use super::names::in_types_of_sql;
use super::{Code, Error};

/// The error that a library's sentence, in any words for types, becomes; `None` where it is not known.
pub(crate) fn known(text: &str) -> Option<Error> {
    let text = in_types_of_sql(text);
    value(&text).or_else(|| types(&text)).or_else(|| shape(&text))
}

/// The sentence, known or in the library's words.
pub(super) fn told(code: Code, text: &str) -> Error {
    known(text).unwrap_or_else(|| Error::new(code, in_types_of_sql(text)))
}

/// What stands between two phrases.
fn between<'a>(text: &'a str, before: &str, behind: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    if behind.is_empty() { Some(rest) } else { rest.split_once(behind).map(|(inner, _)| inner) }
}

/// Values that a type does not have.
fn value(text: &str) -> Option<Error> {
    if let Some((value, to)) = between(text, "Can't cast value ", "").and_then(|rest| rest.split_once(" to type ")) {
        return Some(Error::new(Code::InvalidCast, format!("{value} does not fit {to}")));
    }
    if let Some(rest) = between(text, "Cannot cast value '", " type").or(between(text, "Cannot cast string '", " type"))
    {
        let (value, to) = rest.rsplit_once("' to value of ")?;
        return Some(Error::new(Code::InvalidCast, format!("'{value}' cannot be read as {to}")));
    }
    for (phrase, bound, name) in [("large", "Max", "greatest"), ("small", "Min", "least")] {
        if let Some((value, rest)) = text.split_once(&format!(" is too {phrase} to store in a Decimal")) {
            let precision = between(rest, "precision ", ".")?;
            let extreme = between(rest, &format!("{bound} is "), "")?;
            let message =
                format!("{value} does not fit a DECIMAL of {precision} digits, of which the {name} is {extreme}");
            return Some(Error::new(Code::InvalidCast, message));
        }
    }
    if let Some(wanted) = between(text, "Cannot cast to FixedSizeList(", ")") {
        let length = between(text, "has length ", "")?;
        return Some(Error::new(Code::InvalidCast, format!("a list of {length} values is no array of {wanted}")));
    }
    if let Some(part) = between(text, "Date part '", "' not supported") {
        let error = Error::new(Code::InvalidQuery, format!("a time has no part named '{part}'"));
        return Some(error.hint("parts are year, quarter, month, week, day, dow, doy, hour, minute, second, epoch …"));
    }
    if text.contains("cannot take square root of a negative number") {
        return Some(Error::new(Code::InvalidData, "a negative number has no square root").of_function("sqrt"));
    }
    if let Some(number) = between(text, "LIMIT must be >= 0, '", "'") {
        return Some(Error::new(Code::InvalidQuery, format!("{number} is no number of rows: LIMIT takes 0 or more")));
    }
    // `Int8Array overflow on abs(-128)`
    if let Some((array, call)) = text.split_once("Array overflow on ") {
        let message = format!("integer overflow in {call} ({})", in_types_of_sql(array));
        return Some(Error::new(Code::Overflow, message));
    }
    if let Some(arguments) = between(text, "integer overflow in LCM", "") {
        return Some(Error::new(Code::Overflow, format!("integer overflow in lcm{arguments}")));
    }
    if let Some(rounded) = between(text, "Overflow while rounding ", "") {
        return Some(Error::new(Code::Overflow, format!("the rounded number does not fit {rounded}")));
    }
    let parameter = between(text, "Placeholder '", "' was not provided a value")?;
    let error = Error::new(Code::InvalidQuery, format!("parameter {parameter} has no value"));
    Some(error.hint("PREPARE name AS … takes parameters, and EXECUTE name(…) gives them values"))
}

/// Operands whose types do not meet.
fn types(text: &str) -> Option<Error> {
    let of_operands = |rest: &str| {
        const SIGNS: [&str; 5] = ["+", "-", "*", "/", "%"];
        let sign = SIGNS.into_iter().find(|sign| rest.contains(&format!(" {sign} ")))?;
        let (left, right) = rest.split_once(&format!(" {sign} "))?;
        let error = Error::new(Code::InvalidQuery, format!("there is no operator {sign} for {left} and {right}"));
        let has_text = left == "VARCHAR" || right == "VARCHAR";
        Some(if has_text { error.hint("cast the text: text::INTEGER, or text::DATE") } else { error })
    };
    if let Some(rest) = between(text, "Cannot coerce arithmetic expression ", " to valid types") {
        return of_operands(rest);
    }
    if let Some(rest) = between(text, "Cannot infer common argument type for ", "") {
        let (_, operands) = rest.split_once("operation ")?;
        let error = Error::new(Code::InvalidQuery, format!("the types of {operands} do not meet"));
        return Some(error.hint("cast one of them to the type of the other"));
    }
    if text.contains("Unary operator '-' only supports signed") {
        let error = Error::new(Code::InvalidQuery, "the sign - is for signed numbers and intervals");
        return Some(error.hint("cast to a signed type first: -(x::BIGINT)"));
    }
    if let Some(field) = between(text, "Field ", " not found in struct") {
        return Some(Error::new(Code::UnknownColumn, format!("the STRUCT has no field named \"{field}\"")));
    }
    if let Some(owner) = between(text, "Cannot access field at argument ", " is not Struct") {
        let (_, owner) = owner.split_once(": type ")?;
        return Some(Error::new(Code::InvalidQuery, format!("a value of type {owner} has no fields")));
    }
    let unnested = text.contains("unnest() can only be applied to array");
    unnested.then(|| Error::new(Code::InvalidQuery, "unnest takes a list or a struct"))
}

/// Parts of a query that do not fit each other.
fn shape(text: &str) -> Option<Error> {
    let error = |message: String, hint: &str| Some(Error::new(Code::InvalidQuery, message).hint(hint));
    if text.contains("Aggregate functions are not allowed in the WHERE clause") {
        return error(
            "an aggregate cannot stand in WHERE, which chooses rows before they are grouped".to_string(),
            "put the condition into HAVING, behind GROUP BY",
        );
    }
    if let Some((inner, outer)) =
        between(text, "calls cannot be nested: '", "").and_then(|rest| rest.split_once("' is nested inside '"))
    {
        let outer = outer.trim_end_matches('\'');
        return error(format!("{inner} cannot stand within {outer}"), "calculate the inner one in a subquery of FROM");
    }
    if let Some((position, columns)) =
        between(text, "Order by column out of bounds, specified: ", "").and_then(|rest| rest.split_once(", max: "))
    {
        return error(format!("ORDER BY {position} is out of range: there are {columns} columns"), "count from 1");
    }
    if text.contains("Too many columns! The subquery should only return one column") {
        return error(
            "a subquery that is a value must have one column".to_string(),
            "a row of several is (SELECT {'a': a, 'b': b} FROM …)",
        );
    }
    if let Some((operation, _)) = text.split_once(" queries have different number of columns") {
        let operation = operation.rsplit(' ').next().unwrap_or(operation);
        return error(
            format!("the queries of {operation} have different numbers of columns"),
            "UNION BY NAME has NULLs for columns that one of them lacks",
        );
    }
    if let Some((count, rest)) =
        between(text, "across values list: got ", "").and_then(|rest| rest.split_once(" values in row "))
    {
        let (row, expected) = rest.split_once(" but expected ")?;
        let row: usize = row.parse().ok()?;
        return error(
            format!("row {} of VALUES has {count} values, the first one {expected}", row + 1),
            "every row has as many",
        );
    }
    let name = between(text, "WITH query name \"", "\" specified more than once")?;
    error(format!("two common table expressions are called \"{name}\""), "give one of them another name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_of_libraries_are_told_in_the_words_of_sql() {
        for (said, told) in [
            ("Can't cast value 300 to type Int8", "300 does not fit TINYINT"),
            ("Cannot cast value 'x' to value of Boolean type", "'x' cannot be read as BOOLEAN"),
            (
                "Cannot coerce arithmetic expression Utf8View + Int64 to valid types",
                "there is no operator + for VARCHAR and BIGINT",
            ),
            (
                "12.5 is too large to store in a Decimal128 of precision 2. Max is 9.9",
                "12.5 does not fit a DECIMAL of 2 digits, of which the greatest is 9.9",
            ),
            ("Int8Array overflow on abs(-128)", "integer overflow in abs(-128) (TINYINT)"),
            (
                "Inconsistent data length across values list: got 2 values in row 1 but expected 1",
                "row 2 of VALUES has 2 values, the first one 1",
            ),
            (
                "UNION queries have different number of columns",
                "the queries of UNION have different numbers of columns",
            ),
        ] {
            assert_eq!(known(said).map(|error| error.message().to_string()).as_deref(), Some(told));
        }
        assert!(known("something else").is_none());
    }
}
