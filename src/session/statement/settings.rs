//! SET, RESET and SHOW of settings.

use datafusion_sql::sqlparser::ast::{
    Expr, Ident, ObjectName, Reset, ResetStatement, Set, Spanned, Statement, UnaryOperator, Value, ValueWithSpan,
};

use super::{Running, not_supported};
use crate::error::{Code, Error, Result};
use crate::session::DataFrame;
use crate::session::sql::span_of;

impl Running<'_> {
    pub(super) fn set(&self) -> Result<DataFrame> {
        let Statement::Set(Set::SingleAssignment { scope: None, hivevar: false, variable, values }) =
            &self.prepared.written
        else {
            return Err(not_supported(&self.prepared.written));
        };
        let name = setting_name(variable);
        let place = |error: Error| error.span(span_of(variable.span()));
        match values.as_slice() {
            [value] => match text(value)? {
                Some(value) => self.session.set(&name, &value).map_err(place)?,
                None => self.session.engine().reset(Some(&name)).map_err(place)?,
            },
            _ => {
                let message = format!("setting {name} takes one value");
                return Err(place(Error::new(Code::InvalidSetting, message)));
            }
        }
        self.nothing()
    }

    pub(super) fn reset(&self) -> Result<DataFrame> {
        let Statement::Reset(ResetStatement { reset }) = &self.prepared.written else {
            return Err(not_supported(&self.prepared.written));
        };
        match reset {
            Reset::ALL => self.session.engine().reset(None)?,
            Reset::ConfigurationParameter(name) => {
                let place = span_of(name.span());
                self.session.engine().reset(Some(&setting_name(name))).map_err(|error| error.span(place))?;
            }
        }
        self.nothing()
    }

    pub(super) fn show_setting(&self) -> Result<DataFrame> {
        let Statement::ShowVariable { variable } = &self.prepared.written else {
            return Err(not_supported(&self.prepared.written));
        };
        match variable.as_slice() {
            [all] if all.value.eq_ignore_ascii_case("all") => {
                let settings = self.session.engine().settings();
                self.answer(vec![
                    ("name", settings.iter().map(|(name, _, _)| (*name).to_string()).collect()),
                    ("value", settings.iter().map(|(_, value, _)| value.clone()).collect()),
                    ("description", settings.iter().map(|(_, _, text)| (*text).to_string()).collect()),
                ])
            }
            [name] => self.show_one(name),
            _ => Err(not_supported(&self.prepared.written)),
        }
    }

    fn show_one(&self, name: &Ident) -> Result<DataFrame> {
        let value = self.session.setting(&name.value).map_err(|error| error.span(span_of(name.span)))?;
        self.answer(vec![("name", vec![name.value.to_lowercase()]), ("value", vec![value])])
    }
}

fn setting_name(name: &ObjectName) -> String {
    name.to_string().replace('"', "")
}

/// A value as text; `None` for DEFAULT.
fn text(value: &Expr) -> Result<Option<String>> {
    Ok(Some(match value {
        Expr::Value(ValueWithSpan { value, .. }) => match value {
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => text.clone(),
            Value::Number(text, _) => text.clone(),
            Value::Boolean(value) => value.to_string(),
            _ => return Err(not_a_value(value)),
        },
        Expr::Identifier(name) if name.value.eq_ignore_ascii_case("default") => return Ok(None),
        Expr::Identifier(name) => name.value.clone(),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match text(expr)? {
            Some(text) => format!("-{text}"),
            None => return Err(not_a_value(value)),
        },
        other => return Err(not_a_value(other)),
    }))
}

fn not_a_value(value: &impl std::fmt::Display) -> Error {
    Error::new(Code::InvalidSetting, format!("{value} is not a value for a setting"))
        .hint("write a number or a text in single quotes, e.g. SET memory_limit = '1GB'")
}
