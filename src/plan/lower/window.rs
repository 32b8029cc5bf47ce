//! Window functions.

use datafusion_expr::logical_plan::Window;

use super::{Branches, Lowering};
use crate::error::{Error, Result};

impl Lowering<'_> {
    pub(super) fn window(&mut self, _window: &Window) -> Result<Branches> {
        Err(Error::not_supported("a window function (OVER)"))
    }
}
