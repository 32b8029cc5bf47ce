//! Conditions as filters: conjunct by conjunct, cheap ones first, NULL is not selected.
//!
//! Conjuncts that can raise an error keep their written order, stand behind those that cannot, and see only rows that
//! all before them selected. So whether an error is raised does not depend on how rows were cut into batches.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, BooleanBufferBuilder};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{FilterBuilder, prep_null_mask_filter};
use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{Result as DataFusionResult, ScalarValue};
use datafusion_expr::{ColumnarValue, Operator};
use datafusion_physical_expr::expressions::{BinaryExpr, CaseExpr, Column, InListExpr, LikeExpr, Literal};
use datafusion_physical_expr::{PhysicalExpr, ScalarFunctionExpr};

use crate::error::{Error, Result};
use crate::expr::logic::GuardedLogic;
use crate::expr::rewrite::{can_fail, is_regex};
use crate::expr::{describe_physical, from_library};

/// Which rows of a batch a condition selects.
#[derive(Debug, Clone, PartialEq)]
pub enum Selection {
    /// Every row (of a batch that may be empty).
    All,
    /// No row.
    None,
    /// The rows that are true; at least one is and at least one is not. Has no NULLs.
    Some(BooleanArray),
}

impl Selection {
    fn from_bits(bits: BooleanBuffer) -> Self {
        match bits.count_set_bits() {
            0 => Selection::None,
            count if count == bits.len() => Selection::All,
            _ => Selection::Some(BooleanArray::new(bits, None)),
        }
    }

    /// The rows for which `mask` is true.
    pub fn of_mask(mask: &BooleanArray) -> Self {
        match mask.nulls() {
            Some(nulls) => Selection::from_bits(mask.values() & nulls.inner()),
            None => Selection::from_bits(mask.values().clone()),
        }
    }

    /// How many of `rows` rows are selected.
    pub fn count(&self, rows: usize) -> usize {
        match self {
            Selection::All => rows,
            Selection::None => 0,
            Selection::Some(mask) => mask.true_count(),
        }
    }

    /// The selection of `rows` rows as bits.
    pub fn mask(&self, rows: usize) -> BooleanBuffer {
        match self {
            Selection::All => BooleanBuffer::new_set(rows),
            Selection::None => BooleanBuffer::new_unset(rows),
            Selection::Some(mask) => mask.values().clone(),
        }
    }

    /// The selected rows of `batch`.
    pub fn apply(&self, batch: RecordBatch) -> Result<RecordBatch> {
        match self {
            Selection::All => Ok(batch),
            Selection::None => Ok(batch.slice(0, 0)),
            Selection::Some(mask) => {
                let mut filter = FilterBuilder::new(mask);
                if batch.num_columns() > 1 {
                    filter = filter.optimize();
                }
                Ok(filter.build().filter_record_batch(&batch)?)
            }
        }
    }
}

/// A boolean expression, taken apart at its top-level ANDs.
#[derive(Debug)]
pub(super) struct Predicate {
    conjuncts: Vec<Conjunct>,
}

#[derive(Debug)]
struct Conjunct {
    /// Over the whole batch.
    tree: Arc<dyn PhysicalExpr>,
    /// The columns it reads, and itself over a batch of just those.
    columns: Vec<usize>,
    narrow: Arc<dyn PhysicalExpr>,
    /// Must see only rows that all conjuncts before it selected.
    can_fail: bool,
    /// How dear one row is, in rough units of comparing two numbers.
    cost: u32,
}

/// A later conjunct is evaluated on the rows that are left when they are less than one in so many.
const NARROWING: usize = 5;

impl Predicate {
    pub(super) fn new(tree: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Self> {
        let mut trees = Vec::new();
        split(tree, &mut trees);
        let mut conjuncts = trees.iter().map(|tree| Conjunct::new(tree, schema)).collect::<Result<Vec<_>>>()?;
        conjuncts.sort_by_key(|conjunct| (conjunct.can_fail, if conjunct.can_fail { 0 } else { conjunct.cost }));
        Ok(Predicate { conjuncts })
    }

    pub(super) fn can_fail(&self) -> bool {
        self.conjuncts.iter().any(|conjunct| conjunct.can_fail)
    }

    /// The rows of `batch` for which every conjunct is true.
    pub(super) fn select(&self, batch: &RecordBatch) -> Result<Selection> {
        let rows = batch.num_rows();
        let mut selected = Selection::All;
        for conjunct in &self.conjuncts {
            selected = match selected {
                Selection::None => return Ok(Selection::None),
                Selection::All => conjunct.select(batch)?,
                Selection::Some(mask) => {
                    if conjunct.can_fail || mask.true_count() * NARROWING < rows {
                        conjunct.select_among(batch, &mask)?
                    } else {
                        conjunct.select_and(batch, mask)?
                    }
                }
            };
        }
        Ok(selected)
    }
}

impl Conjunct {
    fn new(tree: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Self> {
        let mut columns = Vec::new();
        let mut total = 0;
        tree.apply(|node| {
            if let Some(column) = node.downcast_ref::<Column>()
                && !columns.contains(&column.index())
            {
                columns.push(column.index());
            }
            total += cost(node, schema)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        let narrow = tree.clone().transform_up(|node| match node.downcast_ref::<Column>() {
            Some(column) => {
                let index = columns.iter().position(|&index| index == column.index()).unwrap_or_default();
                Ok(Transformed::yes(Arc::new(Column::new(column.name(), index)) as Arc<dyn PhysicalExpr>))
            }
            None => Ok(Transformed::no(node)),
        })?;
        let can_fail = can_fail(tree, schema)?;
        Ok(Conjunct { tree: tree.clone(), columns, narrow: narrow.data, can_fail, cost: total })
    }

    /// The rows of `batch` that satisfy this conjunct.
    fn select(&self, batch: &RecordBatch) -> Result<Selection> {
        match self.tree.evaluate(batch).map_err(from_library)? {
            ColumnarValue::Scalar(scalar) => Ok(self.constant(&scalar)),
            ColumnarValue::Array(array) => Ok(Selection::from_bits(self.bits(array.as_ref())?)),
        }
    }

    /// The rows of `mask` that satisfy this conjunct, evaluated over the whole batch.
    fn select_and(&self, batch: &RecordBatch, mask: BooleanArray) -> Result<Selection> {
        Ok(match self.select(batch)? {
            Selection::All => Selection::Some(mask),
            Selection::None => Selection::None,
            Selection::Some(other) => Selection::from_bits(mask.values() & other.values()),
        })
    }

    /// The rows of `mask` that satisfy this conjunct, evaluated over those rows alone.
    fn select_among(&self, batch: &RecordBatch, mask: &BooleanArray) -> Result<Selection> {
        let narrow = batch.project(&self.columns)?;
        let narrow = FilterBuilder::new(mask).build().filter_record_batch(&narrow)?;
        let bits = match self.narrow.evaluate(&narrow).map_err(from_library)? {
            ColumnarValue::Array(array) => self.bits(array.as_ref())?,
            ColumnarValue::Scalar(scalar) => {
                return Ok(match self.constant(&scalar) {
                    Selection::All => Selection::Some(mask.clone()),
                    other => other,
                });
            }
        };
        if bits.count_set_bits() == 0 {
            return Ok(Selection::None);
        }
        let mut spread = BooleanBufferBuilder::new(mask.len());
        spread.append_n(mask.len(), false);
        for (row, selected) in mask.values().set_indices().zip(bits.iter()) {
            if selected {
                spread.set_bit(row, true);
            }
        }
        Ok(Selection::from_bits(spread.finish()))
    }

    fn constant(&self, scalar: &ScalarValue) -> Selection {
        if scalar == &ScalarValue::Boolean(Some(true)) { Selection::All } else { Selection::None }
    }

    /// The rows that are true; NULL is false.
    fn bits(&self, array: &dyn Array) -> Result<BooleanBuffer> {
        let Some(array) = array.as_boolean_opt() else {
            return Err(Error::internal(format!("{} is not a condition", describe_physical(self.tree.as_ref()))));
        };
        Ok(match array.null_count() {
            0 => array.values().clone(),
            _ => prep_null_mask_filter(array).values().clone(),
        })
    }
}

/// Takes `tree` apart at its top-level ANDs, in written order.
fn split(tree: &Arc<dyn PhysicalExpr>, conjuncts: &mut Vec<Arc<dyn PhysicalExpr>>) {
    if let Some(binary) = tree.downcast_ref::<BinaryExpr>()
        && *binary.op() == Operator::And
    {
        split(binary.left(), conjuncts);
        split(binary.right(), conjuncts);
    } else if let Some([left, right]) = tree.downcast_ref::<GuardedLogic>().and_then(GuardedLogic::conjuncts) {
        split(left, conjuncts);
        split(right, conjuncts);
    } else {
        conjuncts.push(tree.clone());
    }
}

/// How dear the node itself is, in rough units of comparing two numbers.
fn cost(node: &Arc<dyn PhysicalExpr>, schema: &Schema) -> DataFusionResult<u32> {
    if let Some(binary) = node.downcast_ref::<BinaryExpr>() {
        let fixed_width = binary.left().data_type(schema)?.is_primitive();
        return Ok(match binary.op() {
            operator if is_regex(*operator) => 100,
            _ if fixed_width => 1,
            _ => 4,
        });
    }
    Ok(match node {
        node if node.is::<Column>() || node.is::<Literal>() => 0,
        node if node.is::<InListExpr>() => 3,
        node if node.is::<CaseExpr>() => 10,
        node if node.is::<LikeExpr>() => 20,
        node if node.is::<ScalarFunctionExpr>() => 30,
        _ => 2,
    })
}
