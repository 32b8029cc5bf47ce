//! ENUMs: the labels of a type, which the values of the argument do not matter to, and the position of a label.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListBuilder, StringViewArray, StringViewBuilder, UInt32Array};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion_common::{Result as DataFusionResult, internal_err};

use super::function::{Arguments, Bound, Function, Overload, function};
use super::typed::list_type;
use crate::batch::logical::{Labels, code_type, enum_codes, enum_labels, is_enum};

/// The functions of this family.
pub(super) fn functions() -> Vec<Function> {
    vec![
        function(
            "enum_code",
            "label",
            "The position of a label in its ENUM, from 0 on",
            [Overload::generic(
                |types| match types {
                    [label] => Some(Bound { arguments: types.to_vec(), result: code_type(label)?.clone() }),
                    _ => None,
                },
                |arguments| match enum_codes(arguments.array(0)?.as_ref()) {
                    Some(codes) => Ok(codes),
                    None => internal_err!("enum_code of no ENUM"),
                },
            )],
        ),
        function("enum_first", "enum", "The first label of an ENUM", [label(|labels| labels.get(0))]),
        function("enum_last", "enum", "The last label of an ENUM", [label(|labels| labels.iter().last())]),
        function(
            "enum_range",
            "enum",
            "All labels of an ENUM",
            [Overload::generic(
                |types| bound(types, list_type(DataType::Utf8View)),
                |arguments| {
                    let all = (0, u32::MAX);
                    lists(arguments, std::iter::repeat_n(all, arguments.rows))
                },
            )],
        ),
        function(
            "enum_range_boundary",
            "first, last",
            "The labels from one to another; NULL stands for the first and the last of the ENUM",
            [Overload::generic(
                |types| match types {
                    [first, last] if is_enum(first) && (first == last || last.is_null()) => Some(between(first)),
                    [DataType::Null, last] if is_enum(last) => Some(between(last)),
                    _ => None,
                },
                range,
            )],
        ),
    ]
}

/// What a function of one ENUM takes and gives.
fn bound(types: &[DataType], result: DataType) -> Option<Bound> {
    let takes = matches!(types, [label] if is_enum(label));
    takes.then(|| Bound { arguments: types.to_vec(), result })
}

fn between(label: &DataType) -> Bound {
    Bound { arguments: vec![label.clone(), label.clone()], result: list_type(DataType::Utf8View) }
}

/// One of the labels of the argument's type.
fn label(choose: fn(Labels<'_>) -> Option<&str>) -> Overload {
    Overload::generic(
        |types| bound(types, DataType::Utf8View),
        move |arguments| {
            let labels = arguments.array(0)?;
            let label = enum_labels(labels.data_type()).and_then(choose);
            Ok(Arc::new(StringViewArray::from_iter(std::iter::repeat_n(label, arguments.rows))))
        },
    )
}

fn range(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let ends = (enum_codes(arguments.array(0)?.as_ref()), enum_codes(arguments.array(1)?.as_ref()));
    let (Some(first), Some(last)) = ends else { return internal_err!("enum_range_boundary of no ENUM") };
    let (first, last) = (cast(&first, &DataType::UInt32)?, cast(&last, &DataType::UInt32)?);
    let position = |codes: &ArrayRef, row: usize, otherwise: u32| {
        let codes = codes.as_any().downcast_ref::<UInt32Array>().filter(|codes| codes.is_valid(row));
        codes.map_or(otherwise, |codes| codes.value(row))
    };
    lists(arguments, (0..arguments.rows).map(|row| (position(&first, row, 0), position(&last, row, u32::MAX))))
}

/// For every row the labels between two positions, these included.
fn lists(arguments: &Arguments, ends: impl Iterator<Item = (u32, u32)>) -> DataFusionResult<ArrayRef> {
    let labels = arguments.array(0)?;
    let Some(labels) = enum_labels(labels.data_type()) else { return internal_err!("labels of no ENUM") };
    let labels: Vec<&str> = labels.iter().collect();
    let mut lists = ListBuilder::new(StringViewBuilder::new());
    for (first, last) in ends {
        let last = usize::try_from(last).unwrap_or(usize::MAX).saturating_add(1).min(labels.len());
        for label in labels.get(usize::try_from(first).unwrap_or(usize::MAX)..last).unwrap_or_default() {
            lists.values().append_value(label);
        }
        lists.append(true);
    }
    Ok(Arc::new(lists.finish()))
}
