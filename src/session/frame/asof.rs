//! The verb for ASOF joins.

use datafusion_common::DFSchema;
use datafusion_expr::Expr;

use super::DataFrame;
use super::names::resolve;
use crate::error::{Error, Result};
use crate::expr::functions;
use crate::plan::asof::{AsofJoin, NEAREST};

impl DataFrame {
    /// Each row with the one nearest row of `other`. Of `conditions`, equalities between the two frames are keys, the
    /// first comparison says which row is nearest (`a >= b` the last one before, `a <= b` the first one behind,
    /// [`nearest`] either), and what follows decides whether that row is a partner. `outer` keeps the rows without one.
    ///
    /// ```
    /// use floe::prelude::*;
    ///
    /// let session = Session::new()?;
    /// let trades = session.sql("SELECT * FROM (VALUES (1, 10), (2, 20)) AS t(id, ts)")?.alias("trades")?;
    /// let quotes = session.sql("SELECT * FROM (VALUES (7, 12), (8, 19)) AS t(price, ts)")?.alias("quotes")?;
    /// let joined = trades.join_asof(&quotes, [col("trades.ts").gt_eq(col("quotes.ts"))], true)?;
    /// assert_eq!(joined.schema().fields().len(), 4);
    /// # Ok::<(), floe::Error>(())
    /// ```
    ///
    /// # Errors
    /// `UNKNOWN_COLUMN`; `INVALID_QUERY` without a comparison between the frames, or when both have columns of one name
    /// and no alias.
    pub fn join_asof(
        &self,
        other: &DataFrame,
        conditions: impl IntoIterator<Item = Expr>,
        outer: bool,
    ) -> Result<DataFrame> {
        let schema: DFSchema = self.plan.schema().join(other.plan.schema())?;
        let conditions = conditions.into_iter().map(|condition| resolve(condition, &schema));
        let conditions = conditions.collect::<Result<Vec<_>>>()?;
        let join = AsofJoin::new(self.plan.clone(), other.plan.clone(), conditions, outer)?;
        self.with(join.into_plan())
    }
}

/// The condition of [`DataFrame::join_asof`] that takes the nearest row on either side.
///
/// # Errors
/// None that a caller can cause.
pub fn nearest(left: Expr, right: Expr) -> Result<Expr> {
    match functions().scalar.get(NEAREST) {
        Some(function) => Ok(function.call(vec![left, right])),
        None => Err(Error::internal("there is no nearest")),
    }
}
