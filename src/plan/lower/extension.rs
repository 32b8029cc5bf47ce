//! Our own logical nodes.

use datafusion_expr::logical_plan::Extension;

use super::{Branches, Lowering};
use crate::error::{Error, Result};

impl Lowering<'_> {
    pub(super) fn extension(&mut self, _extension: &Extension) -> Result<Branches> {
        Err(Error::not_supported("an extension node"))
    }
}
