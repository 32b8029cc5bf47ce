//! SQL types as Arrow types.
//!
//! Invariant: a name that is not known is an error; a type whose values floe could not tell from those of another is none
//! (BIT).

use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef, IntervalUnit, TimeUnit};
use datafusion_common::{DataFusionError, Result as PlanResult};
use datafusion_expr::planner::TypePlanner;
use datafusion_sql::sqlparser::ast::{
    ArrayElemTypeDef, DataType as SqlType, EnumMember, ExactNumberInfo, StructField, TimezoneInfo,
};
use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::suggest;
use crate::batch::logical::{BIT, JSON, UUID};
use crate::error::{Code, Error};
use crate::expr::types::{HUGEINT, UHUGEINT, enumeration, sql_type_from_name};
use crate::session::definitions::Defined;

/// What the planner asks about types. TIMESTAMP counts microseconds, so that it reaches from year 1 to 9999 and beyond.
#[derive(Debug)]
pub(super) struct Types {
    /// Those that CREATE TYPE made.
    pub defined: Arc<Defined>,
}

impl TypePlanner for Types {
    fn plan_type_field(&self, sql_type: &SqlType) -> PlanResult<Option<FieldRef>> {
        Ok(self.data_type(sql_type)?.map(|data_type| Arc::new(Field::new("", data_type, true))))
    }
}

impl Types {
    /// The type; `None` for those that the planner knows itself.
    fn data_type(&self, sql_type: &SqlType) -> PlanResult<Option<DataType>> {
        Ok(Some(match sql_type {
            SqlType::Array(ArrayElemTypeDef::SquareBracket(item, length)) => {
                let item = Arc::new(Field::new_list_field(self.inner(item)?, true));
                match length.map(i32::try_from) {
                    None => DataType::List(item),
                    Some(Ok(length)) if length > 0 => DataType::FixedSizeList(item, length),
                    Some(_) => return Err(invalid("an ARRAY has 1 to 2147483647 values")),
                }
            }
            SqlType::Struct(fields, _) => {
                DataType::Struct(fields.iter().map(|inner| self.field(inner)).collect::<PlanResult<Vec<_>>>()?.into())
            }
            SqlType::Map(key, value) => {
                let fields =
                    vec![Field::new("key", self.inner(key)?, false), Field::new("value", self.inner(value)?, true)];
                DataType::Map(Arc::new(Field::new("entries", DataType::Struct(fields.into()), false)), false)
            }
            SqlType::Decimal(number) | SqlType::Numeric(number) | SqlType::Dec(number) => decimal(*number)?,
            other => return self.simple(other),
        }))
    }

    /// Types without others in them.
    fn simple(&self, sql_type: &SqlType) -> PlanResult<Option<DataType>> {
        use SqlType as S;
        Ok(Some(match sql_type {
            S::Timestamp(_, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => {
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
            }
            S::Timestamp(digits, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
                let unit = match digits {
                    Some(0) => TimeUnit::Second,
                    Some(1..=3) => TimeUnit::Millisecond,
                    None | Some(4..=6) => TimeUnit::Microsecond,
                    Some(7..=9) => TimeUnit::Nanosecond,
                    Some(_) => return Err(invalid("a TIMESTAMP has at most 9 digits behind the second")),
                };
                DataType::Timestamp(unit, None)
            }
            S::Datetime(None) => DataType::Timestamp(TimeUnit::Microsecond, None),
            S::HugeInt | S::Int128 => HUGEINT,
            S::UTinyInt | S::UInt8 => DataType::UInt8,
            S::USmallInt | S::UInt16 => DataType::UInt16,
            S::UInt32 => DataType::UInt32,
            S::UBigInt | S::UInt64 => DataType::UInt64,
            S::Int16 => DataType::Int16,
            S::Int32 | S::Signed => DataType::Int32,
            S::Int64 => DataType::Int64,
            S::Float32 => DataType::Float32,
            S::Float64 => DataType::Float64,
            S::Blob(_) | S::Binary(_) | S::Varbinary(_) | S::Bytea => DataType::BinaryView,
            S::Character(_) | S::CharacterVarying(_) | S::CharVarying(_) | S::Nvarchar(_) => DataType::Utf8View,
            S::Uuid => UUID,
            S::JSON => JSON,
            S::Bit(None) | S::BitVarying(None) => BIT,
            S::Enum(members, None) => enumerated(members)?,
            S::UHugeInt | S::UInt128 => UHUGEINT,
            S::Custom(name, arguments) if arguments.is_empty() => self.named(&name.to_string())?,
            _ => return Ok(None),
        }))
    }

    /// The type of values within others; the planner cannot be asked for it.
    fn inner(&self, sql_type: &SqlType) -> PlanResult<DataType> {
        match sql_type {
            SqlType::Time(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
                Ok(DataType::Time64(TimeUnit::Nanosecond))
            }
            SqlType::Interval { fields: None, precision: None } => Ok(DataType::Interval(IntervalUnit::MonthDayNano)),
            other => match self.data_type(other)? {
                Some(data_type) => Ok(data_type),
                None => self.named(&other.to_string()),
            },
        }
    }

    fn field(&self, field: &StructField) -> PlanResult<Field> {
        match &field.field_name {
            Some(name) => Ok(Field::new(&name.value, self.inner(&field.field_type)?, true)),
            None => Err(invalid("every field of a STRUCT type has a name and a type")),
        }
    }

    fn named(&self, name: &str) -> PlanResult<DataType> {
        if let Some((_, known)) = self.defined.types.get(&name.replace('"', "").to_lowercase()) {
            return Ok(known.clone());
        }
        sql_type_from_name(name).map_err(|_| unknown(name))
    }
}

fn enumerated(members: &[EnumMember]) -> PlanResult<DataType> {
    let label = |member: &EnumMember| match member {
        EnumMember::Name(label) => Ok(label.clone()),
        EnumMember::NamedValue(..) => Err(invalid("an ENUM has labels in quotes, and nothing else")),
    };
    Ok(enumeration(members.iter().map(label).collect::<PlanResult<Vec<_>>>()?)?)
}

fn decimal(number: ExactNumberInfo) -> PlanResult<DataType> {
    let (precision, scale) = match number {
        ExactNumberInfo::None => (18, 3),
        ExactNumberInfo::Precision(precision) => (precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (precision, scale),
    };
    let fits = precision > 0 && (0..=i64::try_from(precision).unwrap_or(i64::MAX)).contains(&scale);
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(precision), Ok(scale)) if fits && precision <= DECIMAL128_MAX_PRECISION => {
            Ok(DataType::Decimal128(precision, scale))
        }
        _ => Err(invalid("DECIMAL(p, s) has 1 to 38 digits, of which s, at most p, stand behind the point")),
    }
}

fn invalid(message: &str) -> DataFusionError {
    Error::new(Code::InvalidQuery, message).into()
}

fn unknown(name: &str) -> DataFusionError {
    const KNOWN: [&str; 17] = [
        "boolean",
        "tinyint",
        "smallint",
        "integer",
        "bigint",
        "hugeint",
        "real",
        "double",
        "decimal",
        "varchar",
        "date",
        "time",
        "timestamp",
        "interval",
        "uuid",
        "json",
        "enum",
    ];
    let error = Error::new(Code::InvalidQuery, format!("there is no type named \"{}\"", name.to_lowercase()));
    match suggest::nearest(name, KNOWN) {
        Some(near) => error.hint(format!("did you mean {}?", near.to_uppercase())).into(),
        None => error.into(),
    }
}

/// Types that take arguments or that are no types of floe: words that begin a type nevertheless.
const TYPES: [&str; 12] =
    ["struct", "row", "map", "decimal", "numeric", "dec", "enum", "union", "uuid", "json", "bit", "uhugeint"];

/// Gives the fields of `STRUCT(name TYPE, …)` the brackets that the parser knows.
pub(super) fn take(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let places: Vec<usize> = (0..tokens.len())
        .filter(|&at| !matches!(tokens.get(at).map(|token| &token.token), Some(Token::Whitespace(_))))
        .collect();
    for start in 0..places.len() {
        let token = |offset: usize| places.get(start + offset).and_then(|&at| tokens.get(at)).map(|token| &token.token);
        let [Some(Token::Word(word)), Some(Token::LParen), Some(Token::Word(_)), Some(Token::Word(second))] =
            [token(0), token(1), token(2), token(3)]
        else {
            continue;
        };
        let is_struct = word.quote_style.is_none() && ["struct", "row"].contains(&word.value.to_lowercase().as_str());
        let name = second.value.to_lowercase();
        let is_type = TYPES.contains(&name.as_str()) || sql_type_from_name(&name).is_ok();
        // Behind `::` there is nothing else; a type may have any name there.
        let before = start.checked_sub(1).and_then(|at| places.get(at)).and_then(|&at| tokens.get(at));
        let is_type = is_type || before.is_some_and(|token| token.token == Token::DoubleColon);
        if !is_struct || !is_type || second.quote_style.is_some() {
            continue;
        }
        let Some(close) = closing(&tokens, places.get(start + 1..).unwrap_or_default()) else { continue };
        let brackets = [
            (places.get(start).copied(), Token::make_keyword("STRUCT")),
            (places.get(start + 1).copied(), Token::Lt),
            (Some(close), Token::Gt),
        ];
        for (place, bracket) in brackets {
            if let Some(token) = place.and_then(|place| tokens.get_mut(place)) {
                token.token = bracket;
            }
        }
    }
    tokens
}

/// Where the parenthesis is closed that opens at the first of `places`.
fn closing(tokens: &[TokenWithSpan], places: &[usize]) -> Option<usize> {
    let mut depth = 0_usize;
    places.iter().copied().find(|&place| {
        match tokens.get(place).map(|token| &token.token) {
            Some(Token::LParen) => depth += 1,
            Some(Token::RParen) => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::sql::parse;

    #[test]
    fn structs_get_brackets_where_they_are_types() {
        let taken = |sql: &str| parse::statement(&take(parse::tokens(sql).unwrap())).unwrap().to_string();
        assert_eq!(taken("select a::struct(b int, c row(d int[]))"), "SELECT a::STRUCT<b INT, c STRUCT<d INT[]>>");
        assert_eq!(taken("select row(a, b), struct(a)"), "SELECT row(a, b), STRUCT(a)");
    }
}
