//! One compiled expression: batch in, column out.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::RecordBatch;
use datafusion_common::DFSchema;
use datafusion_expr::Expr;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::{CastExpr, Column, Literal};
use datafusion_physical_expr_common::physical_expr::is_volatile;

use crate::error::Result;
use crate::expr::compiler::Compiler;
use crate::expr::predicate::{Predicate, Selection};
use crate::expr::{describe_physical, from_library};

/// A compiled expression. Immutable, cheap to clone, shared by all lanes.
#[derive(Debug, Clone)]
pub struct Evaluator {
    tree: Arc<dyn PhysicalExpr>,
    data_type: DataType,
    column: Option<usize>,
    /// For boolean expressions: the conjuncts, ready to filter.
    predicate: Option<Arc<Predicate>>,
}

/// Evaluators are equal when they compute the same over the same columns.
impl PartialEq for Evaluator {
    fn eq(&self, other: &Self) -> bool {
        self.tree.as_ref() == other.tree.as_ref()
    }
}

impl Evaluator {
    /// Compiles with a compiler of its own: for expressions outside of a query. See [`Compiler::compile`].
    ///
    /// ```
    /// use arrow::datatypes::{DataType, Field, Schema};
    /// use datafusion_common::DFSchema;
    /// use datafusion_expr::{col, lit};
    /// use floe::expr::Evaluator;
    ///
    /// let schema = Schema::new(vec![Field::new("a", DataType::Int64, false)]);
    /// let schema = DFSchema::try_from(schema)?;
    /// let evaluator = Evaluator::compile(&(col("a") + lit(1_i64)), &schema)?;
    /// assert_eq!(evaluator.data_type(), &DataType::Int64);
    /// assert_eq!(evaluator.describe(), "a + 1");
    /// # Ok::<(), floe::Error>(())
    /// ```
    pub fn compile(expr: &Expr, schema: &DFSchema) -> Result<Self> {
        Compiler::starting_now().compile(expr, schema)
    }

    /// Column `index` of `schema` as it is.
    ///
    /// # Errors
    /// An internal error when there is no such column.
    pub fn of_column(schema: &Schema, index: usize) -> Result<Self> {
        let missing = || crate::Error::internal(format!("there is no column {index}"));
        let field = schema.fields().get(index).ok_or_else(missing)?;
        Evaluator::new(Arc::new(Column::new(field.name(), index)), schema)
    }

    pub(super) fn new(tree: Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Self> {
        let data_type = tree.data_type(schema)?;
        let column = tree.downcast_ref::<Column>().map(Column::index);
        let predicate = match data_type {
            DataType::Boolean => Some(Arc::new(Predicate::new(&tree, schema)?)),
            _ => None,
        };
        Ok(Evaluator { tree, data_type, column, predicate })
    }

    /// The same values as they lie in another type, whatever a cast of SQL would make of them: texts and bytes have several layouts.
    ///
    /// # Errors
    /// An internal error for types that have nothing in common.
    pub fn laid_out_as(self, data_type: &DataType, schema: &Schema) -> Result<Self> {
        match self.data_type == *data_type {
            true => Ok(self),
            false => Evaluator::new(Arc::new(CastExpr::new(self.tree, data_type.clone(), None)), schema),
        }
    }

    /// The value for every row of `batch`; a constant is repeated.
    ///
    /// # Errors
    /// `OVERFLOW`, `DIVISION_BY_ZERO`, `INVALID_CAST` and what else the functions raise.
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        if let Some(index) = self.column
            && let Some(column) = batch.columns().get(index)
        {
            return Ok(column.clone());
        }
        Ok(self.tree.evaluate(batch).map_err(from_library)?.into_array(batch.num_rows())?)
    }

    /// Which rows of `batch` satisfy the (boolean) expression; NULL does not.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate); an internal error when the expression is not boolean.
    pub fn predicate(&self, batch: &RecordBatch) -> Result<Selection> {
        match &self.predicate {
            Some(predicate) => predicate.select(batch),
            None => Err(crate::Error::internal(format!("{} is not a condition", self.describe()))),
        }
    }

    /// The type of the values.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// The column's index when the expression is nothing but a column.
    pub fn column(&self) -> Option<usize> {
        self.column
    }

    /// Whether the expression is the same non-null constant for every row, as in `count(*)`.
    pub fn is_constant_not_null(&self) -> bool {
        self.tree.downcast_ref::<Literal>().is_some_and(|literal| !literal.value().is_null())
    }

    /// Whether the expression is a constant, NULL or not.
    pub fn is_constant(&self) -> bool {
        self.tree.downcast_ref::<Literal>().is_some()
    }

    /// Whether evaluating twice may give two answers, as `random()` does.
    pub fn is_volatile(&self) -> bool {
        is_volatile(&self.tree)
    }

    /// Whether evaluating it can raise an error for some row. Only conditions are looked at; anything else may.
    pub fn can_fail(&self) -> bool {
        self.predicate.as_ref().is_none_or(|predicate| predicate.can_fail())
    }

    /// The expression as SQL-like text, for EXPLAIN and messages.
    pub fn describe(&self) -> String {
        describe_physical(self.tree.as_ref())
    }
}
