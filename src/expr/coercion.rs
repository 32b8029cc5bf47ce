//! What values become where those of several types meet, and one of the types is floe's own.
//!
//! * An ENUM becomes a text beside texts and other ENUMs.
//! * A UHUGEINT and integers with a sign become DECIMAL(40,0).
//! * A UUID makes UUIDs of the texts and BLOBs beside it.
//! * JSON makes JSON of everything beside it: texts are read, all else is written. Compared with a number, a truth value or a time,
//!   it is read as one.
//!
//! So do two kinds of types that the libraries would make others of than SQL:
//! * A DATE or a TIMESTAMP becomes a moment beside moments, and else a TIMESTAMP of the finest unit among them.
//! * A UBIGINT and integers with a sign become HUGEINTs, as values.
//! * Integers that are written take the types that they meet ([`settle`]).
//!
//! The libraries know only Arrow's types. So this comes before their analysis, and puts casts wherever they would find types
//! that do not fit: in comparisons, lists of IN, CASE, subqueries that are compared with, and UNION.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion_common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion_common::{Column, DFSchema, Result as PlanResult, internal_err};
use datafusion_expr::expr::{InList, InSubquery, SetComparison, WindowFunction};
use datafusion_expr::expr_rewriter::NamePreserver;
use datafusion_expr::logical_plan::{Join, Subquery, Union};
use datafusion_expr::{
    Between, BinaryExpr, Case, Expr, ExprSchemable, Like, LogicalPlan, LogicalPlanBuilder, Operator, WindowFrame,
    WindowFrameBound, WindowFrameUnits, cast,
};

use crate::batch::logical::{BIT, JSON, UUID, is_blob, is_enum, is_logical, reads_as_text};
use crate::expr::fold::input_schema;
use crate::expr::functions::{CONDITION, functions, plain_call};
use crate::expr::numbers::settle;
use crate::expr::rewrite::is_comparison;
use crate::expr::types::{HUGEINT, UHUGEINT};

/// Functions whose arguments are of one type.
const ALIKE: [&str; 7] = ["coalesce", "divide", "greatest", "least", "make_array", "nullif", "xor"];

/// What holds every UHUGEINT and every integer with a sign.
const SIGNED: DataType = DataType::Decimal256(40, 0);

/// The type that values of these types become; `None` where none of them is floe's own, or nothing brings them together.
pub fn agreed(types: &[&DataType]) -> Option<DataType> {
    if types.contains(&&JSON) {
        return Some(JSON);
    }
    if types.iter().any(|data_type| **data_type == UHUGEINT) {
        let is_whole = |data_type: &DataType| data_type.is_integer() || matches!(data_type, DataType::Decimal128(_, 0));
        let differs = |data_type: &&DataType| **data_type != UHUGEINT && !data_type.is_null();
        let mut others = types.iter().filter(|data_type| differs(data_type)).peekable();
        others.peek()?;
        return others.all(|data_type| is_whole(data_type)).then_some(SIGNED);
    }
    if !types.iter().any(|data_type| is_logical(data_type)) {
        return agreed_time(types);
    }
    let mut known = types.iter().filter(|data_type| !data_type.is_null());
    let first = *known.next()?;
    if known.clone().all(|other| *other == first) {
        return Some(first.clone());
    }
    if types.iter().any(|data_type| **data_type == BIT) {
        let is_bits = |data_type: &&DataType| **data_type == BIT || data_type.is_string() || data_type.is_null();
        return types.iter().all(is_bits).then_some(BIT);
    }
    if known.any(|data_type| is_enum(data_type)) || is_enum(first) {
        let is_text = |data_type: &&DataType| data_type.is_string() || data_type.is_null() || is_enum(data_type);
        return types.iter().all(is_text).then_some(DataType::Utf8View);
    }
    let fits = |data_type: &&&DataType| {
        data_type.is_string() || data_type.is_null() || is_blob(data_type) || ***data_type == UUID
    };
    (types.iter().filter(fits).count() == types.len()).then_some(UUID)
}

/// The type in which values of these types are compared; `None` as in [`agreed`].
pub fn compared(types: &[&DataType]) -> Option<DataType> {
    let mut others = types.iter().filter(|data_type| ***data_type != JSON && !data_type.is_null());
    let is_read = |data_type: &DataType| {
        data_type.is_numeric()
            || data_type.is_temporal()
            || matches!(data_type, DataType::Boolean | DataType::Interval(_))
    };
    match others.next() {
        Some(first) if types.contains(&&JSON) && is_read(first) => {
            if others.clone().all(|other| other == first) {
                return Some((*first).clone());
            }
            // The library brings numbers of several types together.
            others.chain([first]).all(|other| other.is_numeric()).then_some(DataType::Float64).or(Some(JSON))
        }
        _ => agreed(types),
    }
}

/// Whether it is a DATE or a time of a day.
pub fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Date32 | DataType::Timestamp(..))
}

/// The time that times of several types become; `None` where they are of one, or something else is among them.
fn agreed_time(types: &[&DataType]) -> Option<DataType> {
    let known: Vec<&DataType> = types.iter().copied().filter(|data_type| !data_type.is_null()).collect();
    let first = *known.first()?;
    if !known.iter().all(|data_type| is_time(data_type)) || known.iter().all(|data_type| *data_type == first) {
        return None;
    }
    let stamps = known.iter().filter_map(|data_type| match data_type {
        DataType::Timestamp(unit, zone) => Some((*unit, zone.clone())),
        _ => None,
    });
    let finest = stamps.clone().map(|(unit, _)| unit).max()?;
    // Moments have microseconds; those of files in one unit alone keep theirs.
    let (moments, all) = (stamps.clone().filter(|(_, zone)| zone.is_some()).collect::<Vec<_>>(), known.len());
    let is_alike = moments.len() == all && moments.iter().all(|(unit, _)| *unit == finest);
    Some(match moments.iter().find(|(unit, _)| *unit == TimeUnit::Microsecond).or(moments.first()) {
        Some((unit, zone)) if is_alike => DataType::Timestamp(*unit, zone.clone()),
        Some((TimeUnit::Microsecond, zone)) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        Some(_) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        None => DataType::Timestamp(finest, None),
    })
}

/// Whether integers of these types, beside each other as values, are HUGEINTs.
pub fn meet_as_hugeints(types: &[&DataType]) -> bool {
    let unsigned = types.contains(&&DataType::UInt64);
    let signed = types.iter().any(|data_type| data_type.is_signed_integer());
    unsigned && signed && types.iter().all(|data_type| data_type.is_integer() || data_type.is_null())
}

/// The type that values of these types become where they are one column.
pub(super) fn agreed_values(types: &[&DataType]) -> Option<DataType> {
    if meet_as_hugeints(types) { Some(HUGEINT) } else { agreed(types) }
}

/// The values, cast to the type on which they agree.
///
/// # Errors
/// Those of expressions without a type.
pub fn agree(values: Vec<Expr>, schema: &DFSchema) -> PlanResult<Vec<Expr>> {
    let mut values = values;
    agree_on(&mut values.iter_mut().collect::<Vec<_>>(), schema, agreed_values)?;
    Ok(values)
}

/// Casts the values to the type that `agreed` gives for theirs; whether something was cast.
fn agree_on(
    values: &mut [&mut Expr],
    schema: &DFSchema,
    agreed: fn(&[&DataType]) -> Option<DataType>,
) -> PlanResult<bool> {
    let mut changed = settle(values, schema);
    // What has no type yet is told so by those who come after.
    let Ok(types) = values.iter().map(|value| value.get_type(schema)).collect::<PlanResult<Vec<_>>>() else {
        return Ok(changed);
    };
    let Some(common) = agreed(&types.iter().collect::<Vec<_>>()) else { return Ok(changed) };
    for (value, data_type) in values.iter_mut().zip(&types).filter(|(_, data_type)| **data_type != common) {
        changed |= !data_type.is_null();
        **value = cast(std::mem::take(*value), common.clone());
    }
    Ok(changed)
}

/// `plan`, not analysed yet, with casts where types of floe's own meet others.
///
/// # Errors
/// None but those of expressions without a type.
pub fn coerce(plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    // Once a type has changed, all above have to learn of it.
    let mut has_changed = false;
    plan.transform_up_with_subqueries(|plan| {
        let plan = match plan {
            LogicalPlan::Union(union) => united(union)?,
            LogicalPlan::Join(join) => keys(join)?,
            other => Transformed::no(other),
        };
        has_changed |= plan.transformed;
        let schema = input_schema(&plan.data)?;
        let names = NamePreserver::new(&plan.data);
        let plan = plan.transform_data(|plan| {
            plan.map_expressions(|expr| {
                let name = names.save(&expr);
                let rewritten = expr.transform_up(|expr| coerced(expr, &schema))?;
                Ok(if rewritten.transformed { rewritten.update_data(|expr| name.restore(expr)) } else { rewritten })
            })
        })?;
        has_changed |= plan.transformed;
        if has_changed { plan.map_data(LogicalPlan::recompute_schema) } else { Ok(plan) }
    })
    .data()
}

fn coerced(mut expr: Expr, schema: &DFSchema) -> PlanResult<Transformed<Expr>> {
    if let Expr::ScalarFunction(call) = &mut expr {
        let is_settled =
            ALIKE.contains(&call.func.name()) && settle(&mut call.args.iter_mut().collect::<Vec<_>>(), schema);
        let plain = match (call.func.name(), call.args.as_slice()) {
            (CONDITION, [value]) => match value.get_type(schema)? {
                DataType::Boolean => Some(value.clone()),
                _ => Some(cast(value.clone(), DataType::Boolean)),
            },
            _ => plain_call(call, schema),
        };
        return Ok(match plain {
            Some(plain) => Transformed::yes(plain),
            None => Transformed::new_transformed(expr, is_settled),
        });
    }
    let changed = match &mut expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
            agree_on(&mut [left, right], schema, compared)?
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if !matches!(op, Operator::And | Operator::Or) => {
            settle(&mut [left, right], schema)
        }
        Expr::Between(Between { expr, low, high, .. }) => agree_on(&mut [expr, low, high], schema, compared)?,
        Expr::InList(InList { expr, list, .. }) => {
            let mut values: Vec<&mut Expr> = vec![expr];
            values.extend(list.iter_mut());
            agree_on(&mut values, schema, compared)?
        }
        Expr::Negative(number) if number.get_type(schema).is_ok_and(|data_type| data_type == UHUGEINT) => {
            let Some(unsigned) = functions().scalar.get("#uhugeint") else { return internal_err!("no UHUGEINTs") };
            let negative = Expr::Negative(Box::new(cast(std::mem::take(number.as_mut()), SIGNED)));
            expr = unsigned.call(vec![negative]);
            true
        }
        Expr::Like(Like { expr, pattern, .. }) | Expr::SimilarTo(Like { expr, pattern, .. }) => {
            let text = |value: &mut Expr| as_text(value, schema, reads_as_text);
            text(expr) | text(pattern)
        }
        Expr::Case(case) => agree_on_case(case, schema)?,
        Expr::AggregateFunction(call) if call.func.name() == "string_agg" => texts(&mut call.params.args, schema),
        Expr::WindowFunction(window) => {
            let joins = window.fun.name() == "string_agg";
            let reads = joins && texts(&mut window.params.args, schema);
            groups_for_range(window, schema) || reads
        }
        Expr::InSubquery(InSubquery { expr, subquery, .. }) => agree_on_subquery(expr, subquery, schema)?,
        Expr::SetComparison(SetComparison { expr, subquery, .. }) => agree_on_subquery(expr, subquery, schema)?,
        _ => false,
    };
    Ok(if changed { Transformed::yes(expr) } else { Transformed::no(expr) })
}

/// Casts a value whose type is one of `these`.
fn as_text(value: &mut Expr, schema: &DFSchema, these: fn(&DataType) -> bool) -> bool {
    let is_one = value.get_type(schema).is_ok_and(|data_type| these(&data_type));
    if is_one {
        *value = cast(std::mem::take(value), DataType::Utf8View);
    }
    is_one
}

/// The first argument of a function that makes a text of any value.
fn texts(arguments: &mut [Expr], schema: &DFSchema) -> bool {
    arguments.first_mut().is_some_and(|value| as_text(value, schema, is_logical))
}

/// A frame of RANGE without distances is one of GROUPS. The library knows the former for some types only.
fn groups_for_range(window: &mut WindowFunction, schema: &DFSchema) -> bool {
    let params = &mut window.params;
    let frame = &params.window_frame;
    let has_distance = [&frame.start_bound, &frame.end_bound].into_iter().any(|bound| match bound {
        WindowFrameBound::Preceding(distance) | WindowFrameBound::Following(distance) => !distance.is_null(),
        WindowFrameBound::CurrentRow => false,
    });
    let Some(Ok(by)) = params.order_by.first().map(|sort| sort.expr.get_type(schema)) else { return false };
    let is_known = by.is_numeric() || by.is_string() || by.is_null() || by.is_temporal() || by == DataType::Boolean;
    if frame.units != WindowFrameUnits::Range || has_distance || is_known {
        return false;
    }
    let (start, end) = (frame.start_bound.clone(), frame.end_bound.clone());
    params.window_frame = WindowFrame::new_bounds(WindowFrameUnits::Groups, start, end);
    true
}

fn agree_on_case(case: &mut Case, schema: &DFSchema) -> PlanResult<bool> {
    let mut changed = false;
    if let Some(operand) = &mut case.expr {
        let mut values: Vec<&mut Expr> = vec![operand];
        values.extend(case.when_then_expr.iter_mut().map(|(when, _)| when.as_mut()));
        changed = agree_on(&mut values, schema, compared)?;
    }
    let results = case.when_then_expr.iter_mut().map(|(_, then)| then.as_mut());
    let mut results: Vec<&mut Expr> = results.chain(case.else_expr.as_deref_mut()).collect();
    Ok(agree_on(&mut results, schema, agreed_values)? || changed)
}

fn agree_on_subquery(expr: &mut Box<Expr>, subquery: &mut Subquery, schema: &DFSchema) -> PlanResult<bool> {
    let [field] = subquery.subquery.schema().fields().as_ref() else { return Ok(false) };
    let (from, asked) = (field.data_type().clone(), expr.get_type(schema)?);
    let Some(common) = compared(&[&asked, &from]).filter(|_| asked != from) else { return Ok(false) };
    if asked != common {
        **expr = cast(std::mem::take(expr.as_mut()), common.clone());
    }
    if from != common {
        let plan = with_types(subquery.subquery.as_ref().clone(), &[common])?;
        *subquery = subquery.with_plan(Arc::new(plan));
    }
    Ok(true)
}

/// A union whose sides have the same types where one of them is floe's own.
fn united(union: Union) -> PlanResult<Transformed<LogicalPlan>> {
    let columns = union.inputs.first().map_or(0, |input| input.schema().fields().len());
    let common = |column: usize| {
        let types: Vec<&DataType> = union
            .inputs
            .iter()
            .filter_map(|input| input.schema().fields().get(column))
            .map(|field| field.data_type())
            .collect();
        agreed_values(&types).filter(|common| types.iter().any(|other| *other != common))
    };
    let common: Vec<Option<DataType>> = (0..columns).map(common).collect();
    if common.iter().all(Option::is_none) {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    let side = |input: &Arc<LogicalPlan>| {
        let kept = input.schema().fields().iter().map(|field| field.data_type());
        let types: Vec<DataType> =
            kept.zip(&common).map(|(kept, common)| common.as_ref().unwrap_or(kept).clone()).collect();
        with_types(input.as_ref().clone(), &types).map(Arc::new)
    };
    let inputs = union.inputs.iter().map(side).collect::<PlanResult<Vec<_>>>()?;
    Ok(Transformed::yes(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?)))
}

/// The keys of a join, each pair of one type.
fn keys(mut join: Join) -> PlanResult<Transformed<LogicalPlan>> {
    let mut changed = false;
    for (left, right) in &mut join.on {
        let (a, b) = (left.get_type(join.left.schema())?, right.get_type(join.right.schema())?);
        let Some(common) = compared(&[&a, &b]) else { continue };
        for (side, found) in [(left, a), (right, b)] {
            if found != common {
                *side = cast(std::mem::take(side), common.clone());
                changed = true;
            }
        }
    }
    let join = LogicalPlan::Join(join);
    Ok(if changed { Transformed::yes(join) } else { Transformed::no(join) })
}

/// The plan with its columns cast to `types`.
fn with_types(plan: LogicalPlan, types: &[DataType]) -> PlanResult<LogicalPlan> {
    let column = |((qualifier, field), to): ((Option<&_>, &Arc<arrow::datatypes::Field>), &DataType)| {
        let expr = Expr::Column(Column::from((qualifier, field.as_ref())));
        if field.data_type() == to {
            expr
        } else {
            cast(expr, to.clone()).alias_qualified(qualifier.cloned(), field.name())
        }
    };
    let columns: Vec<Expr> = plan.schema().iter().zip(types).map(column).collect();
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}
