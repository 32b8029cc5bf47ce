//! Functions of the libraries that take floe's own types where those become other ones.
//!
//! The planner asks a function at once whether it takes the types of its arguments. Such a function answers for the types that
//! they will become; when the plan is known, [`coerce`](crate::expr::coercion::coerce) casts the arguments and puts the
//! library's function in its place.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{DFSchema, Result as PlanResult};
use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion_expr::type_coercion::functions::fields_with_udf;
use datafusion_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, cast,
};

use super::contains::Searching;
use super::library::Function;
use super::wrapped::as_wrapped;
use crate::batch::logical::{is_blob, is_logical, reads_as_text};
use crate::expr::coercion::agreed_values;
use crate::expr::numbers::settled_types;

/// Functions that give one of their arguments: these become one type.
const CHOOSING: [&str; 5] = ["coalesce", "greatest", "least", "nullif", "make_array"];

/// Functions of texts: labels and JSON become texts.
const READING: [&str; 22] = [
    "bit_length",
    "btrim",
    "character_length",
    "contains",
    "ends_with",
    "initcap",
    "left",
    "lower",
    "ltrim",
    "regexp_match",
    "repeat",
    "replace",
    "reverse",
    "right",
    "rtrim",
    "starts_with",
    "string_to_array",
    "strpos",
    "substr",
    "to_hex",
    "translate",
    "upper",
];

/// Functions that make a text of any value.
const JOINING: [&str; 2] = ["concat", "concat_ws"];

/// The function, in a form that takes floe's own types if it may meet them.
pub(super) fn coercing(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    let name = function.name();
    if ![&CHOOSING[..], &READING, &JOINING].iter().any(|names| names.contains(&name)) {
        return function;
    }
    let signature = Signature::user_defined(function.signature().volatility);
    Arc::new(ScalarUDF::new_from_impl(Coercing { function, signature }))
}

/// The call as it is meant: its arguments, where one is of a type of floe's own, cast to what the function takes, and the
/// library's function in place of its stand-in. `None` where it is that already.
pub(in crate::expr) fn plain_call(call: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
    let coercing = call.func.inner().downcast_ref::<Coercing>();
    let own = call.func.inner().downcast_ref::<Function>();
    let searching = call.func.inner().downcast_ref::<Searching>();
    if coercing.is_none() && own.is_none() && searching.is_none() {
        return None;
    }
    let types: Vec<DataType> = call.args.iter().map(|value| value.get_type(schema).ok()).collect::<Option<_>>()?;
    let wanted = match (coercing, own) {
        _ if searching.is_some() => searching.and_then(|searching| searching.own_types(&types)),
        (Some(coercing), _) => Some(coercing.known_types(&types)),
        _ if !types.iter().any(is_logical) => None,
        (None, own) => own.and_then(|own| own.wanted(&types)),
    };
    let mut arguments = call.args.clone();
    let mut changed = false;
    for ((argument, from), to) in arguments.iter_mut().zip(&types).zip(wanted.into_iter().flatten()) {
        if *from != to && (coercing.is_some() || searching.is_some() || is_logical(from)) {
            *argument = cast(std::mem::take(argument), to);
            changed = true;
        }
    }
    let function = coercing.map_or(&call.func, |coercing| &coercing.function).clone();
    (changed || coercing.is_some()).then(|| Expr::ScalarFunction(ScalarFunction::new_udf(function, arguments)))
}

/// The type of a list's items where the library finds none: texts become the times, intervals or BLOBs beside them, and truth
/// values the numbers.
fn agreed_items(types: &[DataType]) -> Option<DataType> {
    let mut known: Vec<&DataType> = types.iter().filter(|data_type| !data_type.is_null()).collect();
    let is_text = |data_type: &&DataType| data_type.is_string();
    let is_truth = |data_type: &&DataType| **data_type == DataType::Boolean;
    if known.iter().any(is_text) {
        known.retain(|data_type| !is_text(data_type));
        let becomes = |data_type: &&DataType| {
            data_type.is_temporal() || is_blob(data_type) || matches!(data_type, DataType::Interval(_))
        };
        known.first().filter(|first| becomes(first))?;
    } else if known.iter().any(is_truth) {
        known.retain(|data_type| !is_truth(data_type));
        known.first().filter(|first| first.is_numeric())?;
    }
    let (first, others) = known.split_first()?;
    others.iter().all(|other| other == first).then(|| (*first).clone())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Coercing {
    function: Arc<ScalarUDF>,
    signature: Signature,
}

impl Coercing {
    /// The types that arguments become before the library sees them.
    fn known_types(&self, types: &[DataType]) -> Vec<DataType> {
        if CHOOSING.contains(&self.function.name()) {
            let are_items = self.function.name() == "make_array";
            let common = agreed_values(&types.iter().collect::<Vec<_>>());
            let common = common.or_else(|| if are_items { agreed_items(types) } else { None });
            return types.iter().map(|data_type| common.as_ref().unwrap_or(data_type).clone()).collect();
        }
        let joins = JOINING.contains(&self.function.name());
        let is_text = |data_type: &DataType| reads_as_text(data_type) || joins && is_logical(data_type);
        let known = |data_type: &DataType| if is_text(data_type) { DataType::Utf8View } else { data_type.clone() };
        types.iter().map(known).collect()
    }

    /// The arguments as the library takes them.
    fn fields(&self, types: &[DataType]) -> PlanResult<Vec<FieldRef>> {
        let field = |data_type| Arc::new(Field::new("argument", data_type, true));
        let fields: Vec<FieldRef> = self.known_types(types).into_iter().map(field).collect();
        fields_with_udf(&fields, self.function.as_ref())
    }
}

impl ScalarUDFImpl for Coercing {
    as_wrapped!(function);

    fn schema_name(&self, arguments: &[Expr]) -> PlanResult<String> {
        self.function.schema_name(arguments)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> PlanResult<DataType> {
        let fields = self.fields(types)?;
        self.function.inner().return_type(&fields.iter().map(|field| field.data_type().clone()).collect::<Vec<_>>())
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> PlanResult<FieldRef> {
        let mut types: Vec<DataType> = arguments.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        if CHOOSING.contains(&self.function.name()) {
            types = settled_types(&types, arguments.scalar_arguments);
        }
        let fields = self.fields(&types)?.into_iter().zip(arguments.arg_fields);
        let fields: Vec<FieldRef> =
            fields.map(|(field, given)| Arc::new(field.as_ref().clone().with_nullable(given.is_nullable()))).collect();
        self.function.return_field_from_args(ReturnFieldArgs { arg_fields: &fields, ..arguments })
    }

    fn coerce_types(&self, types: &[DataType]) -> PlanResult<Vec<DataType>> {
        // The libraries have no casts of floe's types; they come later. Which integers are written is not known here.
        let are_integers = CHOOSING.contains(&self.function.name()) && types.iter().all(DataType::is_integer);
        if are_integers || types.iter().any(is_logical) {
            return self.fields(types).map(|_| types.to_vec());
        }
        Ok(self.fields(types)?.iter().map(|field| field.data_type().clone()).collect())
    }

    fn simplify(&self, arguments: Vec<Expr>, context: &SimplifyContext) -> PlanResult<ExprSimplifyResult> {
        self.function.simplify(arguments, context)
    }

    fn short_circuits(&self) -> bool {
        self.function.short_circuits()
    }

    fn conditional_arguments<'a>(&self, arguments: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.function.conditional_arguments(arguments)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        self.function.invoke_with_args(arguments)
    }
}
