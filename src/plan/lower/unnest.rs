//! UNNEST: lists and structs to rows and columns.

use datafusion_expr::logical_plan::Unnest;

use super::{Branches, Lowering};
use crate::error::{Error, Result};

impl Lowering<'_> {
    pub(super) fn unnest(&mut self, _unnest: &Unnest) -> Result<Branches> {
        Err(Error::not_supported("UNNEST"))
    }
}
