//! Patterns of LIKE as the library reads them: there `\` always takes the meaning of `%` and `_` away, in SQL only what ESCAPE
//! names does.

use datafusion_sql::sqlparser::ast::{Expr, Value, ValueWithSpan};

use super::calls::call_of;

/// The pattern with the escapes of the library.
pub(super) fn escaped(pattern: Expr, escape: Option<ValueWithSpan>) -> Expr {
    if let Some(escape) = escape {
        return call_of("#like_pattern", vec![pattern, Expr::Value(escape)]);
    }
    match pattern {
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), span }) => {
            let value = Value::SingleQuotedString(text.replace('\\', "\\\\"));
            Expr::Value(ValueWithSpan { value, span })
        }
        pattern => call_of("#like_pattern", vec![pattern]),
    }
}
