//! WITH RECURSIVE.

use datafusion_expr::logical_plan::RecursiveQuery;

use super::{Branches, Lowering};
use crate::error::{Error, Result};

impl Lowering<'_> {
    pub(super) fn recursive(&mut self, _recursive: &RecursiveQuery) -> Result<Branches> {
        Err(Error::not_supported("WITH RECURSIVE"))
    }
}
