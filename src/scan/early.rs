//! Conditions that a text format tests as soon as it has the columns they need, before it reads the others.
//!
//! Invariant: which columns are read of a row depends on the row alone, never on threads, batches or what was seen
//! before, so that a value that cannot be read is an error for all of them or for none. Hence conditions are tested
//! always and in an order that is fixed when the scan is planned; a condition that evaluating could make fail is left
//! to the filter above.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion_common::DFSchema;
use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_expr::utils::{conjunction, split_conjunction};
use datafusion_expr::{BinaryExpr, Expr, Operator, Volatility};

use crate::error::Result;
use crate::expr::{Evaluator, Selection};
use crate::scan::ScanRequest;

/// The conditions of a scan, in the order in which they are tested.
#[derive(Debug, Default)]
pub struct EarlyConditions {
    conditions: Vec<Condition>,
}

/// Conjuncts over the same columns.
#[derive(Debug)]
pub struct Condition {
    /// Where the columns stand in the request's projection.
    columns: Vec<usize>,
    evaluator: Evaluator,
    /// Of the batches that it is tested on: the columns alone.
    schema: SchemaRef,
}

impl EarlyConditions {
    /// The conditions of `request` that cannot fail and have a column.
    ///
    /// # Errors
    /// What compiling the expressions finds wrong.
    pub fn new(request: &ScanRequest) -> Result<Self> {
        let schema = request.spec.schema.project(&request.projection)?;
        let mut groups: Vec<(Vec<usize>, Vec<Expr>)> = Vec::new();
        for conjunct in request.filters.iter().flat_map(split_conjunction) {
            let names = conjunct.column_refs();
            let mut columns = Vec::with_capacity(names.len());
            columns.extend(names.iter().filter_map(|column| schema.index_of(&column.name).ok()));
            columns.sort_unstable();
            let is_ready = !columns.is_empty() && columns.len() == names.len();
            if !is_ready || !always_gives_the_same(conjunct)? || compiled(conjunct, &schema)?.can_fail() {
                continue;
            }
            match groups.iter_mut().find(|(known, _)| *known == columns) {
                Some((_, conjuncts)) => conjuncts.push(conjunct.clone()),
                None => groups.push((columns, vec![conjunct.clone()])),
            }
        }
        let promise = |columns: &[usize], conjuncts: &[Expr]| {
            let passing = conjuncts.iter().map(expected_passing).product::<f64>();
            let cost: f64 = columns.iter().map(|&column| reading_cost(schema.field(column).data_type())).sum();
            // Rows ruled out for the work done, as one orders independent filters.
            (1.0 - passing) / cost
        };
        groups.sort_by(|a, b| promise(&b.0, &b.1).total_cmp(&promise(&a.0, &a.1)));
        let mut conditions = Vec::new();
        for (columns, conjuncts) in groups {
            let schema = Arc::new(schema.project(&columns)?);
            if let Some(condition) = conjunction(conjuncts) {
                let evaluator = compiled(&condition, &schema)?;
                let condition = Condition { columns, evaluator, schema };
                // Operands whose types nobody has brought together are the filter's to refuse.
                let is_typed = condition.evaluator.predicate(&RecordBatch::new_empty(condition.schema.clone())).is_ok();
                conditions.extend(is_typed.then_some(condition));
            }
        }
        Ok(EarlyConditions { conditions })
    }

    /// In the order of testing.
    pub fn iter(&self) -> impl Iterator<Item = &Condition> {
        self.conditions.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }
}

impl Condition {
    /// Where the columns that it needs stand in the request's projection.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Which of `rows` rows pass; `arrays` are its columns.
    ///
    /// # Errors
    /// A defect.
    pub fn select(&self, arrays: Vec<ArrayRef>, rows: usize) -> Result<Selection> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        self.evaluator.predicate(&RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)?)
    }
}

fn compiled(condition: &Expr, schema: &Schema) -> Result<Evaluator> {
    Evaluator::compile(condition, &DFSchema::try_from(schema.clone())?)
}

/// Whether the expression is the same for the same row, whenever it is asked.
fn always_gives_the_same(expr: &Expr) -> Result<bool> {
    let mut same = true;
    expr.apply(|node| {
        if let Expr::ScalarFunction(call) = node {
            same &= call.func.signature().volatility == Volatility::Immutable;
        }
        Ok(if same { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(same)
}

/// The share of rows that such a conjunct mostly lets pass, where nothing is known of the values.
fn expected_passing(conjunct: &Expr) -> f64 {
    match conjunct {
        Expr::BinaryExpr(BinaryExpr { op: Operator::Eq, .. }) | Expr::IsNull(_) => 0.1,
        Expr::InList(list) if !list.negated => 0.2,
        Expr::Between(between) if !between.negated => 0.25,
        Expr::Like(like) if !like.negated => 0.3,
        Expr::BinaryExpr(BinaryExpr { op: Operator::And, left, right }) => {
            expected_passing(left) * expected_passing(right)
        }
        Expr::BinaryExpr(BinaryExpr { op: Operator::NotEq, .. }) | Expr::IsNotNull(_) => 0.9,
        _ => 0.5,
    }
}

/// What reading a value takes, in rough units of an integer.
fn reading_cost(data_type: &DataType) -> f64 {
    match data_type {
        DataType::Utf8View | DataType::Utf8 => 2.0,
        DataType::Timestamp(..) | DataType::Decimal128(..) => 1.5,
        data_type if data_type.is_nested() => 8.0,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringViewArray};
    use arrow::datatypes::Field;
    use datafusion_expr::{col, lit};

    use super::*;
    use crate::scan::{Format, Options, ScanSpec};

    fn request(filters: Vec<Expr>, projection: Vec<usize>) -> ScanRequest {
        let field = |name: &str, data_type| Field::new(name, data_type, true);
        let schema =
            Schema::new(vec![field("a", DataType::Int64), field("b", DataType::Utf8View), field("c", DataType::Int64)]);
        let spec = ScanSpec {
            patterns: Vec::new(),
            format: Format::Csv,
            options: Options::new(),
            files: Vec::new(),
            schema: Arc::new(schema),
            hive_columns: 0,
            rows: None,
        };
        ScanRequest {
            spec: Arc::new(spec),
            projection,
            filters,
            limit: None,
            runtime_filters: Vec::new(),
            parts: Default::default(),
        }
    }

    #[test]
    fn the_condition_that_promises_most_comes_first() {
        let filters = vec![
            col("b").eq(lit(datafusion_common::ScalarValue::Utf8View(Some("x".into())))),
            col("c").gt(lit(1_i64)),
            col("a").gt(lit(1_i64)),
            col("a").lt(lit(9_i64)),
        ];
        let early = EarlyConditions::new(&request(filters, vec![2, 0, 1])).unwrap();
        let columns: Vec<_> = early.iter().map(Condition::columns).collect();
        assert_eq!(columns, [&[1], &[0], &[2]]);
        let first = early.iter().next().unwrap();
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(5), None, Some(9)]));
        assert_eq!(
            first.select(vec![numbers], 4).unwrap().mask(4).iter().collect::<Vec<_>>(),
            [false, true, false, false]
        );
        let texts: ArrayRef = Arc::new(StringViewArray::from(vec!["x"]));
        assert_eq!(early.iter().nth(2).unwrap().select(vec![texts], 1).unwrap(), Selection::All);
    }

    #[test]
    fn what_can_fail_is_left_to_the_filter_above() {
        let filters = vec![(lit(1_i64) / col("a")).gt(lit(0_i64)), col("a").is_not_null(), col("c").gt(lit(0_i64))];
        // The third is over a column that is not read.
        let early = EarlyConditions::new(&request(filters, vec![0])).unwrap();
        assert_eq!(early.iter().map(Condition::columns).collect::<Vec<_>>(), [&[0]]);
    }
}
