//! How rows are sorted where a statement does not say it.

use std::fmt;
use std::str::FromStr;

use crate::error::{Code, Error, Result};

/// The direction of a sort and the place of NULLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ordering {
    /// Whether the greatest value comes first.
    pub descending: bool,
    /// Where NULLs stand.
    pub nulls: NullOrder,
}

/// Where NULLs stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NullOrder {
    /// Behind all values, whatever the direction.
    #[default]
    Last,
    /// Before all values, whatever the direction.
    First,
    /// As if they were less than all values.
    Least,
    /// As if they were greater than all values.
    Greatest,
}

impl NullOrder {
    /// Whether NULLs come first in this direction.
    pub fn is_first(self, ascending: bool) -> bool {
        match self {
            NullOrder::Last => false,
            NullOrder::First => true,
            NullOrder::Least => ascending,
            NullOrder::Greatest => !ascending,
        }
    }
}

impl fmt::Display for NullOrder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            NullOrder::Last => "nulls_last",
            NullOrder::First => "nulls_first",
            NullOrder::Least => "nulls_first_on_asc_last_on_desc",
            NullOrder::Greatest => "nulls_last_on_asc_first_on_desc",
        })
    }
}

impl FromStr for NullOrder {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text.trim().to_ascii_lowercase().replace(' ', "_").as_str() {
            "nulls_last" | "null_last" | "last" => NullOrder::Last,
            "nulls_first" | "null_first" | "first" => NullOrder::First,
            "nulls_first_on_asc_last_on_desc" | "sqlite" | "mysql" => NullOrder::Least,
            "nulls_last_on_asc_first_on_desc" | "postgres" => NullOrder::Greatest,
            _ => {
                let message = format!("default_null_order cannot be '{text}'");
                return Err(Error::new(Code::InvalidSetting, message).hint(
                    "it is nulls_last, nulls_first, nulls_first_on_asc_last_on_desc or nulls_last_on_asc_first_on_desc",
                ));
            }
        })
    }
}

/// Whether the direction that `text` names goes down.
///
/// # Errors
/// `INVALID_SETTING` for what names none.
pub(super) fn parse_direction(text: &str) -> Result<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "asc" | "ascending" => Ok(false),
        "desc" | "descending" => Ok(true),
        _ => Err(Error::new(Code::InvalidSetting, format!("default_order cannot be '{text}'"))
            .hint("it is ascending or descending")),
    }
}

/// The name of a direction.
pub(super) fn direction(descending: bool) -> &'static str {
    if descending { "descending" } else { "ascending" }
}
