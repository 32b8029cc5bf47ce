//! Unnest against a reference that goes row by row.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, Int64Builder, ListBuilder, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;

use super::{ListColumn, NoItems, OutputColumn, Unnest};
use crate::ops::testing::{context, run, splits};

type Flat = Option<Vec<Option<i64>>>;
type Nested = Option<Vec<Flat>>;

fn flat() -> impl Strategy<Value = Flat> {
    weighted(0.8, vec(weighted(0.9, 0..9i64), 0..5))
}

/// What one row becomes: the nested list opened twice, then the flat one beside it.
fn reference(number: i64, nested: &Nested, flat: &Flat, no_items: NoItems) -> Vec<(i64, Option<i64>, Option<i64>)> {
    let length = |length: Option<usize>| match length {
        None => usize::from(no_items.keep_nulls),
        Some(0) => usize::from(no_items.keep_empty),
        Some(length) => length,
    };
    let mut rows = Vec::new();
    for outer in 0..length(nested.as_ref().map(Vec::len)) {
        let inner: Flat = nested.as_ref().and_then(|nested| nested.get(outer).cloned()).flatten();
        let count = length(inner.as_ref().map(Vec::len)).max(length(flat.as_ref().map(Vec::len)));
        for item in 0..count {
            let of = |list: &Flat| list.as_ref().and_then(|list| list.get(item).copied()).flatten();
            rows.push((number, of(&inner), of(flat)));
        }
    }
    rows
}

fn flat_array(lists: &[Flat]) -> ArrayRef {
    Arc::new(arrow::array::ListArray::from_iter_primitive::<Int64Type, _, _>(lists.to_vec()))
}

fn nested_array(lists: &[Nested]) -> ArrayRef {
    let mut builder = ListBuilder::new(ListBuilder::new(Int64Builder::new()));
    for list in lists {
        for inner in list.iter().flatten() {
            inner.iter().flatten().for_each(|item| builder.values().values().append_option(*item));
            builder.values().append(inner.is_some());
        }
        builder.append(list.is_some());
    }
    Arc::new(builder.finish())
}

fn output_schema(names: &[&str]) -> SchemaRef {
    Arc::new(Schema::new(names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect::<Vec<_>>()))
}

fn numbers(batches: &[RecordBatch], column: usize) -> Vec<Option<i64>> {
    batches
        .iter()
        .flat_map(|batch| batch.column(column).as_primitive::<Int64Type>().iter().collect::<Vec<_>>())
        .collect()
}

proptest! {
    #[test]
    fn lists_of_two_depths_agree_with_the_reference(
        rows in vec((weighted(0.8, vec(flat(), 0..4)), flat()), 0..30),
        cuts in vec(vec(0..12usize, 0..4), 0..3),
        batch_size in 1..10usize,
        keep_nulls: bool,
        keep_empty: bool,
        large: bool,
    ) {
        let no_items = NoItems { keep_nulls, keep_empty };
        let (nested, flat): (Vec<Nested>, Vec<Flat>) = rows.iter().cloned().unzip();
        let mut flat_column = flat_array(&flat);
        if large {
            let item = Arc::new(Field::new_list_field(DataType::Int64, true));
            flat_column = cast(&flat_column, &DataType::LargeList(item)).expect("a cast");
        }
        let number: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows.len() as i64));
        let columns = [("number", number, true), ("nested", nested_array(&nested), true), ("flat", flat_column, true)];
        let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("a batch");
        let lists = vec![ListColumn { column: 1, depth: 2 }, ListColumn { column: 2, depth: 1 }];
        let outputs = vec![OutputColumn::Input(0), OutputColumn::List(0), OutputColumn::List(1)];
        let unnest = Unnest::new(lists, outputs, no_items, output_schema(&["number", "nested", "flat"]));
        let batches = splits(&batch, &cuts).into_iter().flatten().collect();
        let output = run(&unnest, &context(1 << 20, batch_size, 1), batches).expect("unnests");
        prop_assert!(output.iter().all(|batch| batch.num_rows() <= batch_size));
        let expected: Vec<_> =
            (0..).zip(&rows).flat_map(|(number, (nested, flat))| reference(number, nested, flat, no_items)).collect();
        prop_assert_eq!(numbers(&output, 0), expected.iter().map(|row| Some(row.0)).collect::<Vec<_>>());
        prop_assert_eq!(numbers(&output, 1), expected.iter().map(|row| row.1).collect::<Vec<_>>());
        prop_assert_eq!(numbers(&output, 2), expected.iter().map(|row| row.2).collect::<Vec<_>>());
    }
}

#[test]
fn a_null_struct_has_null_fields() {
    let values: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let fields = vec![Field::new("a", DataType::Int64, true)].into();
    let structs = StructArray::new(fields, vec![values], Some(vec![true, false, true].into()));
    let batch =
        RecordBatch::try_from_iter_with_nullable([("s", Arc::new(structs) as ArrayRef, true)]).expect("a batch");
    let outputs = vec![OutputColumn::Field { column: 0, field: 0 }];
    let unnest = Unnest::new(Vec::new(), outputs, NoItems::default(), output_schema(&["a"]));
    let output = run(&unnest, &context(1 << 20, 10, 1), vec![batch]).expect("unnests");
    assert_eq!(numbers(&output, 0), [Some(1), None, Some(3)]);
}

#[test]
fn one_list_of_fixed_size_is_not_copied() {
    let item = Arc::new(Field::new_list_field(DataType::Int64, true));
    let items: ArrayRef = Arc::new(Int64Array::from_iter_values(0..6));
    let lists = arrow::array::FixedSizeListArray::new(item, 2, items.clone(), None);
    let batch = RecordBatch::try_from_iter([("l", Arc::new(lists) as ArrayRef)]).expect("a batch");
    let lists = vec![ListColumn { column: 0, depth: 1 }];
    let unnest = Unnest::new(lists, vec![OutputColumn::List(0)], NoItems::default(), output_schema(&["l"]));
    let output = run(&unnest, &context(1 << 20, 4, 1), vec![batch]).expect("unnests");
    assert_eq!(numbers(&output, 0), (0..6).map(Some).collect::<Vec<_>>());
    let first = output[0].column(0).to_data().buffers()[0].as_ptr();
    assert_eq!(first, items.to_data().buffers()[0].as_ptr());
}
