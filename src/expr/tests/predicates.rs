//! Conditions select the same rows however batches are cut.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use datafusion_common::DFSchema;
use datafusion_expr::{Expr, col, lit};

use crate::error::Code;
use crate::expr::{Evaluator, Selection};

fn numbers(rows: i64) -> RecordBatch {
    let a = Int64Array::from_iter((0..rows).map(|row| (row % 11 != 0).then_some(row % 7)));
    let b = Int64Array::from_iter_values((0..rows).map(|row| row % 5));
    let s = StringArray::from_iter_values((0..rows).map(|row| format!("name {}", row % 13)));
    RecordBatch::try_from_iter_with_nullable([
        ("a", Arc::new(a) as ArrayRef, true),
        ("b", Arc::new(b) as ArrayRef, false),
        ("s", Arc::new(s) as ArrayRef, false),
    ])
    .unwrap()
}

fn compiled(expr: &Expr, batch: &RecordBatch) -> Evaluator {
    Evaluator::compile(expr, &DFSchema::try_from(batch.schema()).unwrap()).unwrap()
}

#[test]
fn all_and_none_are_told_apart_from_some() {
    let batch = numbers(100);
    let select = |expr: Expr| compiled(&expr, &batch).predicate(&batch).unwrap();
    assert_eq!(select(lit(true)), Selection::All);
    assert_eq!(select(lit(false)), Selection::None);
    assert_eq!(select(col("b").gt_eq(lit(0_i64))), Selection::All);
    assert_eq!(select(col("b").gt(lit(9_i64))), Selection::None);
    assert_eq!(select(col("b").gt(lit(9_i64)).and(col("a").gt(lit(0_i64)))), Selection::None);
    let some = select(col("a").eq(lit(0_i64)));
    assert!(matches!(some, Selection::Some(_)));
    assert_eq!(some.count(100), some.apply(batch.clone()).unwrap().num_rows());
    assert_eq!(Selection::None.apply(batch).unwrap().num_rows(), 0);
}

#[test]
fn conjuncts_select_what_the_whole_selects() {
    let batch = numbers(1000);
    let conditions = [
        col("s").like(lit("%1%")),
        col("a").eq(lit(3_i64)),
        (col("b") + lit(1_i64)).gt(lit(2_i64)),
        (lit(100_i64) / (col("b") + lit(1_i64))).gt(lit(25_i64)),
        col("a").is_not_null(),
        col("a").lt(col("b")).or(col("s").eq(lit("name 7"))),
    ];
    for bits in 1_u32..(1 << conditions.len()) {
        let chosen: Vec<_> = conditions.iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0).collect();
        let whole = chosen.iter().map(|(_, condition)| (*condition).clone()).reduce(Expr::and).unwrap();
        let selection = compiled(&whole, &batch).predicate(&batch).unwrap();
        let mut expected = vec![true; 1000];
        for (_, condition) in chosen {
            let values = compiled(condition, &batch).evaluate(&batch).unwrap();
            let values = arrow::array::AsArray::as_boolean(values.as_ref()).clone();
            expected.iter_mut().zip(values.iter()).for_each(|(all, one)| *all &= one == Some(true));
        }
        let expected = BooleanArray::from(expected);
        match selection {
            Selection::Some(mask) => assert_eq!(mask, expected),
            Selection::All => assert_eq!(expected.true_count(), 1000),
            Selection::None => assert_eq!(expected.true_count(), 0),
        }
    }
}

#[test]
fn a_guard_guards_in_batches_of_any_size() {
    let batch = numbers(700);
    let guarded = col("b").not_eq(lit(0_i64)).and((lit(4_i64) / col("b")).gt_eq(lit(2_i64)));
    let evaluator = compiled(&guarded, &batch);
    let expected = 700 * 2 / 5;
    for size in [1, 3, 7, 64, 700] {
        let count: usize = (0..700)
            .step_by(size)
            .map(|start| {
                let slice = batch.slice(start, size.min(700 - start));
                evaluator.predicate(&slice).unwrap().count(slice.num_rows())
            })
            .sum();
        assert_eq!(count, expected);
    }
    let unguarded = (lit(4_i64) / col("b")).gt_eq(lit(2_i64)).and(col("b").not_eq(lit(0_i64)));
    // The cheap condition that cannot fail comes first wherever it is written.
    assert_eq!(compiled(&unguarded, &batch).predicate(&batch).unwrap().count(700), expected);
    let bare = (lit(4_i64) / col("b")).gt_eq(lit(2_i64));
    assert_eq!(compiled(&bare, &batch).predicate(&batch).unwrap_err().code(), Code::DivisionByZero);
}

#[test]
fn evaluators_tell_columns_and_types() {
    let batch = numbers(10);
    let evaluator = compiled(&col("b").alias("c"), &batch);
    assert_eq!(evaluator.column(), Some(1));
    assert_eq!(&evaluator.evaluate(&batch).unwrap(), batch.column(1));
    let constant = compiled(&lit(5_i64), &batch);
    assert_eq!(constant.evaluate(&batch).unwrap().len(), 10);
    assert!(constant.is_constant_not_null());
    assert_eq!(compiled(&col("a").gt(lit(1_i64)), &batch).describe(), "a > 1");
    assert_eq!(compiled(&col("a"), &batch).predicate(&batch).unwrap_err().code(), Code::Internal);
}
