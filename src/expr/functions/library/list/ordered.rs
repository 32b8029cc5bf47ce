//! The values of a list of values with keys, in the order of the keys.

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::SortOptions;
use arrow::datatypes::DataType;
use datafusion_common::{Result as DataFusionResult, internal_err};

use super::{Lists, Picker};
use crate::batch::order::OrderConverter;
use crate::expr::functions::library::function::{Arguments, Bound, Function, Overload, function, item_type};
use crate::expr::functions::library::typed::list_type;

/// The functions of this file.
pub(super) fn functions() -> Vec<Function> {
    let bind = |types: &[DataType]| match types {
        [list, order] => match item_type(list)? {
            DataType::Struct(fields) => {
                let result = list_type(fields.first()?.data_type().clone());
                let list = list_type(DataType::Struct(fields.clone()));
                order.is_string().then(|| Bound { arguments: vec![list, DataType::Utf8View], result })
            }
            _ => None,
        },
        _ => None,
    };
    vec![function(
        "#ordered_values",
        "list, order",
        "The first fields of a list's structs, by the others",
        [Overload::generic(bind, ordered)],
    )]
}

/// The order has two letters for each key: `a` or `d`, and whether NULLs come `f`irst or `l`ast. Equal ones stay as they are.
fn ordered(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let lists = Lists::of(arguments, 0)?;
    let Some(Some(order)) = arguments.constant_text(1) else { return internal_err!("a list without an order") };
    let Some([values, keys @ ..]) = lists.values().as_struct_opt().map(|fields| fields.columns()) else {
        return internal_err!("a list without keys");
    };
    let field = |(key, letters): (&ArrayRef, &[u8])| {
        let (descending, nulls_first) = (letters.first() == Some(&b'd'), letters.get(1) == Some(&b'f'));
        (key.data_type().clone(), SortOptions { descending, nulls_first })
    };
    let rows = OrderConverter::try_new(keys.iter().zip(order.as_bytes().chunks(2)).map(field))?.keys(keys)?;
    let mut picker = Picker::new(arguments.rows);
    for row in 0..arguments.rows {
        let sorted = lists.range(row).map(|range| {
            let mut places: Vec<usize> = range.collect();
            places.sort_by(|a, b| rows.row(*a).cmp(&rows.row(*b)));
            places.into_iter().map(Some)
        });
        picker.push(sorted)?;
    }
    picker.finish(values)
}
