//! ASOF joins: the right side waits, the left side streams.

use std::sync::Arc;

use datafusion_common::{Column, DFSchema};
use datafusion_expr::{Expr, LogicalPlan};

use super::{Branches, Lowering, with_operator};
use crate::error::{Error, Result};
use crate::ops::join::asof::{AsofBuild, AsofJoin, AsofProbe, AsofSide, Direction};
use crate::ops::join::range::is_ordered;
use crate::plan::asof::{self, Nearest};

impl Lowering<'_> {
    pub(super) fn asof_join(&mut self, node: &asof::AsofJoin) -> Result<Branches> {
        let (mut left, right) = (self.node(&node.left)?, self.node(&node.right)?);
        let left_side = self.asof_side(&node.left, node.keys.iter().map(|keys| &keys.0), &node.values.0)?;
        let right_side = self.asof_side(&node.right, node.keys.iter().map(|keys| &keys.1), &node.values.1)?;
        let residual = node.residual.as_ref().map(|residual| self.condition(residual, &node.left, &node.right));
        let direction = match node.nearest {
            Nearest::AtOrBefore => Direction::Backward { strict: false },
            Nearest::Before => Direction::Backward { strict: true },
            Nearest::AtOrBehind => Direction::Forward { strict: false },
            Nearest::Behind => Direction::Forward { strict: true },
            Nearest::Either => Direction::Nearest,
        };
        let column = |side: &AsofSide, index: usize| {
            let schema = DFSchema::try_from(side.wide().as_ref().clone())?;
            self.compile(&Expr::Column(Column::from_name(format!("c{index}"))), &schema)
        };
        let schema = asof_schema(node);
        let join =
            AsofJoin::new((left_side, right_side), schema, node.outer, direction, residual.transpose()?, column)?;
        let join = Arc::new(join);
        let right = self.add_pipeline(right, Some(Arc::new(AsofBuild::new(join.clone()))));
        left.after.push(right);
        Ok(with_operator(left, Arc::new(AsofProbe::new(join))))
    }

    fn asof_side<'a>(
        &self,
        plan: &LogicalPlan,
        keys: impl Iterator<Item = &'a Expr>,
        value: &Expr,
    ) -> Result<AsofSide> {
        let keys = keys.map(|key| self.compile(key, plan.schema())).collect::<Result<Vec<_>>>()?;
        let value = self.compile(value, plan.schema())?;
        if !is_ordered(value.data_type()) {
            return Err(Error::not_supported(format!("an ASOF JOIN by values of type {}", value.data_type())));
        }
        Ok(AsofSide::new(plan.schema().inner().clone(), keys, value))
    }
}

fn asof_schema(node: &asof::AsofJoin) -> arrow::datatypes::SchemaRef {
    use datafusion_expr::UserDefinedLogicalNodeCore;
    node.schema().inner().clone()
}
