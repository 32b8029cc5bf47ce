//! Our own logical nodes.

use std::sync::Arc;

use datafusion_expr::logical_plan::Extension;

use super::{Branches, Lowering, with_operator};
use crate::error::{Error, Result};
use crate::ops;
use crate::plan::asof::AsofJoin;
use crate::plan::sample::Sample;
use crate::plan::set_operation::Repeat;

impl Lowering<'_> {
    pub(super) fn extension(&mut self, extension: &Extension) -> Result<Branches> {
        let node = extension.node.as_any();
        if let Some(asof) = node.downcast_ref::<AsofJoin>() {
            return self.asof_join(asof);
        }
        if let Some(repeat) = node.downcast_ref::<Repeat>() {
            return self.repeat(repeat);
        }
        if let Some(sample) = node.downcast_ref::<Sample>() {
            return self.sample(sample);
        }
        Err(Error::not_supported(format!("the plan node {}", extension.node.name())))
    }

    fn repeat(&mut self, repeat: &Repeat) -> Result<Branches> {
        let branches = self.node(&repeat.input)?;
        let schema = repeat.input.schema();
        let times = self.compile(&repeat.times, schema)?;
        Ok(with_operator(branches, Arc::new(ops::set::Repeat::new(times, schema.inner().clone()))))
    }
}
