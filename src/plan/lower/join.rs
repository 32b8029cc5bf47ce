//! Joins: the build side ends a pipeline, the probe side streams through an operator.

use datafusion_expr::logical_plan::Join;

use super::{Branches, Lowering};
use crate::error::{Error, Result};

impl Lowering<'_> {
    pub(super) fn join(&mut self, _join: &Join) -> Result<Branches> {
        Err(Error::not_supported("JOIN"))
    }
}
