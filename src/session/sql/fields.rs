//! `s.field` and `s['field']` find a struct's field without regard to case; `list[1]` and `list[1:2]` are floe's own functions,
//! which take texts too.

use std::collections::HashSet;

use arrow::datatypes::{DataType, Field};
use datafusion_common::{Column, DFSchema, Result, ScalarValue, TableReference, internal_err};
use datafusion_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr, RawDictionaryExpr, RawFieldAccessExpr};
use datafusion_expr::{Expr, ExprSchemable, GetFieldAccess, cast, lit};
use datafusion_functions::expr_fn::get_field;
use datafusion_sql::sqlparser::ast::BinaryOperator;

use crate::batch::logical::{JSON, is_enum};
use crate::error::{Code, Error};
use crate::expr::{bit_operator, coercion, functions};

/// The function over BITs that the operation stands for.
fn of_bits(operation: &RawBinaryExpr, schema: &DFSchema) -> Result<Option<Expr>> {
    let sign = match &operation.op {
        BinaryOperator::BitwiseAnd => "&",
        BinaryOperator::BitwiseOr => "|",
        BinaryOperator::PGBitwiseShiftLeft => "<<",
        BinaryOperator::PGBitwiseShiftRight => ">>",
        BinaryOperator::StringConcat => "||",
        _ => return Ok(None),
    };
    let (Ok(left), Ok(right)) = (operation.left.get_type(schema), operation.right.get_type(schema)) else {
        return Ok(None);
    };
    let function = bit_operator(sign, &left, &right)?.and_then(|name| functions().scalar.get(name));
    Ok(function.map(|function| function.call(vec![operation.left.clone(), operation.right.clone()])))
}

/// Plans field access by the type that is accessed; everything else it leaves to the planners behind it.
#[derive(Debug)]
pub(crate) struct FieldPlanner;

impl ExprPlanner for FieldPlanner {
    fn plan_field_access(
        &self,
        access: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let access = match access.expr.get_type(schema)? {
            json if json == JSON => match part_of_json(&access.expr, &access.field_access)? {
                Some(part) => return Ok(PlannerResult::Planned(part)),
                None => access,
            },
            label if is_enum(&label) => {
                RawFieldAccessExpr { expr: cast(access.expr, DataType::Utf8View), field_access: access.field_access }
            }
            _ => access,
        };
        let name = match &access.field_access {
            GetFieldAccess::NamedStructField { name } => name,
            GetFieldAccess::ListIndex { key } if access.expr.get_type(schema)?.is_string() => {
                return called("list_extract", vec![access.expr, key.as_ref().clone()]);
            }
            GetFieldAccess::ListRange { start, stop, stride } => {
                let mut arguments = vec![access.expr.clone(), start.as_ref().clone(), stop.as_ref().clone()];
                if **stride != lit(1_i64) {
                    arguments.push(stride.as_ref().clone());
                }
                return called("list_slice", arguments);
            }
            _ => return Ok(PlannerResult::Original(access)),
        };
        let (ScalarValue::Utf8(Some(wanted)) | ScalarValue::Utf8View(Some(wanted))) = name else {
            return Ok(PlannerResult::Original(access));
        };
        match spelled(&access.expr.get_type(schema)?, wanted) {
            Some(field) => Ok(PlannerResult::Planned(get_field(access.expr, field.name().as_str()))),
            None => Ok(PlannerResult::Original(access)),
        }
    }

    fn plan_binary_op(&self, operation: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        if let Some(planned) = of_bits(&operation, schema)? {
            return Ok(PlannerResult::Planned(planned));
        }
        super::arithmetic::plan(super::operands::agreed(operation, schema)?, schema)
    }

    fn plan_dictionary_literal(
        &self,
        fields: RawDictionaryExpr,
        _schema: &DFSchema,
    ) -> Result<PlannerResult<RawDictionaryExpr>> {
        if let Some(integer) = super::written::literal(&fields) {
            return Ok(PlannerResult::Planned(integer));
        }
        let mut seen = HashSet::new();
        for key in &fields.keys {
            if let Expr::Literal(ScalarValue::Utf8(Some(name)) | ScalarValue::Utf8View(Some(name)), _) = key
                && !seen.insert(name.to_lowercase())
            {
                let message = format!("the field \"{name}\" comes twice in a STRUCT");
                return Err(Error::new(Code::InvalidQuery, message).into());
            }
        }
        Ok(PlannerResult::Original(fields))
    }

    fn plan_array_literal(&self, values: Vec<Expr>, schema: &DFSchema) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(PlannerResult::Original(coercion::agree(values, schema)?))
    }

    fn plan_compound_identifier(
        &self,
        field: &Field,
        qualifier: Option<&TableReference>,
        nested_names: &[String],
    ) -> Result<PlannerResult<Vec<Expr>>> {
        let mut expr = Expr::Column(Column::from((qualifier, field)));
        let mut data_type = field.data_type().clone();
        for name in nested_names {
            if data_type == JSON {
                expr = extracted(expr, lit(key_path(name)))?;
                continue;
            }
            let inner = spelled(&data_type, name).cloned();
            let spelling = inner.as_ref().map_or(name.as_str(), |inner| inner.name());
            expr = get_field(expr, spelling);
            data_type = inner.map_or(DataType::Null, |inner| inner.data_type().clone());
        }
        Ok(PlannerResult::Planned(expr))
    }
}

/// A call of floe's own function.
fn called<T>(name: &str, arguments: Vec<Expr>) -> Result<PlannerResult<T>> {
    own_call(name, arguments).map(PlannerResult::Planned)
}

fn own_call(name: &str, arguments: Vec<Expr>) -> Result<Expr> {
    match functions().scalar.get(name) {
        Some(function) => Ok(function.call(arguments)),
        None => internal_err!("there is no function {name}"),
    }
}

/// What `json.key`, `json['key']` and `json[0]` are of JSON.
fn part_of_json(json: &Expr, access: &GetFieldAccess) -> Result<Option<Expr>> {
    let step = match access {
        GetFieldAccess::NamedStructField { name: ScalarValue::Utf8(Some(key)) | ScalarValue::Utf8View(Some(key)) } => {
            lit(key_path(key))
        }
        GetFieldAccess::ListIndex { key } => key.as_ref().clone(),
        _ => return Ok(None),
    };
    extracted(json.clone(), step).map(Some)
}

fn extracted(json: Expr, step: Expr) -> Result<Expr> {
    own_call("json_extract", vec![json, step])
}

/// The path of one key, whatever it is made of.
fn key_path(key: &str) -> String {
    match key.contains('"') {
        true => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        false => format!("$.\"{key}\""),
    }
}

/// The struct's field of that name: exactly, or else the only one regardless of case.
fn spelled<'a>(data_type: &'a DataType, name: &str) -> Option<&'a Field> {
    let DataType::Struct(fields) = data_type else {
        return None;
    };
    if let Some(field) = fields.iter().find(|field| field.name() == name) {
        return Some(field);
    }
    let lower = name.to_lowercase();
    let mut matches = fields.iter().filter(|field| field.name().to_lowercase() == lower);
    match (matches.next(), matches.next()) {
        (Some(field), None) => Some(field),
        _ => None,
    }
}
