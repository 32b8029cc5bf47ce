//! Lists in order, and without duplicates. Values are compared as rows of the row format, so that any type has an order.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, UInt64Array};
use arrow::compute::SortOptions;
use arrow::datatypes::DataType;
use arrow::row::Rows;
use datafusion_common::Result as DataFusionResult;

use super::{Lists, Picker, lists_of, of_list};
use crate::batch::order::OrderConverter;
use crate::error::{Code, Error, Result};
use crate::expr::functions::library::function::{Arguments, Function, Overload, function};
use crate::expr::functions::library::typed::list_type;

/// The functions of this file.
pub(super) fn functions() -> Vec<Function> {
    let text = || DataType::Utf8View;
    let same = |item: &DataType| list_type(item.clone());
    let sorts = |run: fn(&Arguments) -> DataFusionResult<ArrayRef>| -> Vec<Overload> {
        vec![of_list(vec![], same, run), of_list(vec![text()], same, run), of_list(vec![text(), text()], same, run)]
    };
    let grades = |_: &DataType| list_type(DataType::Int64);
    vec![
        function(
            "list_sort array_sort",
            "list[, 'ASC' or 'DESC'[, 'NULLS FIRST' or 'NULLS LAST']]",
            "The values in order",
            sorts(|arguments| sorted(arguments, false)),
        ),
        function(
            "list_reverse_sort array_reverse_sort",
            "list[, 'NULLS FIRST' or 'NULLS LAST']",
            "The values in descending order",
            [
                of_list(vec![], same, |arguments| sorted(arguments, true)),
                of_list(vec![text()], same, |arguments| sorted(arguments, true)),
            ],
        ),
        function(
            "list_grade_up array_grade_up grade_up",
            "list[, 'ASC' or 'DESC'[, 'NULLS FIRST' or 'NULLS LAST']]",
            "The places of the values in their order",
            [
                of_list(vec![], grades, graded),
                of_list(vec![text()], grades, graded),
                of_list(vec![text(), text()], grades, graded),
            ],
        ),
        function(
            "list_distinct array_distinct",
            "list",
            "Every value once, without NULL",
            [of_list(vec![], same, distinct)],
        ),
        function(
            "list_unique array_unique",
            "list",
            "How many values there are, each counted once, without NULL",
            [of_list(vec![], |_| DataType::UInt64, unique)],
        ),
    ]
}

/// How a list is sorted.
#[derive(Clone, Copy)]
struct Order {
    descending: bool,
    nulls_first: bool,
}

impl Order {
    /// That of a row of the arguments behind the list; `None` where one of them is NULL.
    fn of(arguments: &Arguments, texts: &[ArrayRef], row: usize, reverse: bool) -> Result<Option<Self>> {
        let mut order = Order { descending: reverse, nulls_first: false };
        let names_order = !reverse && arguments.columns.len() > 1;
        for (index, column) in texts.iter().enumerate() {
            let column = column.as_string_view();
            if column.is_null(row) {
                return Ok(None);
            }
            let word = column.value(row).trim().to_uppercase();
            match (word.as_str(), index == 0 && names_order) {
                ("ASC" | "ASCENDING" | "DEFAULT", true) => order.descending = false,
                ("DESC" | "DESCENDING", true) => order.descending = true,
                ("NULLS FIRST", false) => order.nulls_first = true,
                ("NULLS LAST", false) => order.nulls_first = false,
                _ => {
                    let message = format!("'{}' is no order of a list", column.value(row));
                    return Err(Error::new(Code::InvalidQuery, message)
                        .hint("orders are 'ASC' and 'DESC', and behind them 'NULLS FIRST' and 'NULLS LAST'"));
                }
            }
        }
        Ok(Some(order))
    }
}

fn rows_of(values: &ArrayRef) -> DataFusionResult<Rows> {
    let ascending = SortOptions { descending: false, nulls_first: false };
    Ok(OrderConverter::try_new([(values.data_type().clone(), ascending)])?.keys(std::slice::from_ref(values))?)
}

/// The indexes of a list's values in order.
fn ordered(range: std::ops::Range<usize>, values: &ArrayRef, rows: &Rows, order: Order) -> Vec<usize> {
    let (mut valid, nulls): (Vec<usize>, Vec<usize>) = range.partition(|index| !values.is_null(*index));
    if order.descending {
        valid.sort_by(|a, b| rows.row(*b).cmp(&rows.row(*a)));
    } else {
        valid.sort_by(|a, b| rows.row(*a).cmp(&rows.row(*b)));
    }
    if order.nulls_first { [nulls, valid].concat() } else { [valid, nulls].concat() }
}

/// Calls `give` with every list's indexes in order.
fn each_ordered(
    arguments: &Arguments,
    lists: &Lists,
    reverse: bool,
    mut give: impl FnMut(usize, Option<Vec<usize>>) -> DataFusionResult<()>,
) -> DataFusionResult<()> {
    let rows = rows_of(lists.values())?;
    let texts =
        (1..arguments.columns.len()).map(|index| arguments.array(index)).collect::<DataFusionResult<Vec<_>>>()?;
    for row in 0..arguments.rows {
        let order = Order::of(arguments, &texts, row, reverse)?;
        let found = lists.range(row).zip(order);
        give(row, found.map(|(range, order)| ordered(range, lists.values(), &rows, order)))?;
    }
    Ok(())
}

fn sorted(arguments: &Arguments, reverse: bool) -> DataFusionResult<ArrayRef> {
    let lists = Lists::of(arguments, 0)?;
    let mut picker = Picker::new(arguments.rows);
    each_ordered(arguments, &lists, reverse, |_, indexes| {
        picker.push(indexes.map(|indexes| indexes.into_iter().map(Some)))
    })?;
    picker.finish(lists.values())
}

fn graded(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let lists = Lists::of(arguments, 0)?;
    let (mut places, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    each_ordered(arguments, &lists, false, |row, indexes| {
        let start = lists.range(row).map_or(0, |range| range.start);
        lengths.push(indexes.as_ref().map_or(0, Vec::len));
        valid.push(indexes.is_some());
        places.extend(indexes.into_iter().flatten().map(|index| (index - start + 1) as i64));
        Ok(())
    })?;
    lists_of(Arc::new(Int64Array::from(places)), lengths, &valid)
}

/// The indexes of a list's first occurrences, without NULL.
fn first_occurrences(range: std::ops::Range<usize>, values: &ArrayRef, rows: &Rows) -> Vec<usize> {
    let mut seen = HashSet::new();
    range.filter(|index| !values.is_null(*index) && seen.insert(rows.row(*index).data().to_vec())).collect()
}

fn distinct(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let lists = Lists::of(arguments, 0)?;
    let rows = rows_of(lists.values())?;
    let mut picker = Picker::new(arguments.rows);
    for row in 0..arguments.rows {
        let found = lists.range(row).map(|range| first_occurrences(range, lists.values(), &rows));
        picker.push(found.map(|indexes| indexes.into_iter().map(Some)))?;
    }
    picker.finish(lists.values())
}

fn unique(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let lists = Lists::of(arguments, 0)?;
    let rows = rows_of(lists.values())?;
    let count = |row| lists.range(row).map(|range| first_occurrences(range, lists.values(), &rows).len() as u64);
    Ok(Arc::new(UInt64Array::from_iter((0..arguments.rows).map(count))))
}
