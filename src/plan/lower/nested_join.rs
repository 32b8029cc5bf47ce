//! Joins without equal keys.

use datafusion_expr::logical_plan::Join;

use super::{Branches, Lowering};
use crate::error::{Error, Result};

impl Lowering<'_> {
    pub(super) fn nested_join(&mut self, _join: &Join) -> Result<Branches> {
        Err(Error::not_supported("a JOIN without an equality between its sides"))
    }
}
