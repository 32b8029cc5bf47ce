//! Joins: the build side ends a pipeline, the probe side streams through an operator.

use datafusion_expr::logical_plan::Join;

use super::{Branches, Lowering};
use crate::error::{Error, Result};

impl Lowering<'_> {
    pub(super) fn join(&mut self, join: &Join) -> Result<Branches> {
        if join.on.is_empty() {
            return self.nested_join(join);
        }
        Err(Error::not_supported("JOIN"))
    }
}
