//! What a join gives, seen from the side that waits (build) and the side that streams (probe).

use datafusion_common::JoinType;

use crate::error::{Error, Result};

/// Which rows of one side a join gives when it gives no pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Those with a partner.
    Semi,
    /// Those without.
    Anti,
    /// All, and a column that says whether there is a partner.
    Mark,
}

/// What a join gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    /// Pairs, and with NULLs the rows without a partner of the outer sides.
    Pairs { probe_outer: bool, build_outer: bool },
    /// Rows of the probe side. `null_aware`: a condition that is NULL for some partner and true for none leaves it
    /// unknown whether there is a partner, so the row is neither in (NOT IN), nor is its mark true or false.
    ProbeRows { kept: Kept, null_aware: bool },
    /// Rows of the build side.
    BuildRows { kept: Kept },
}

/// A join's kind and which of its sides streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub probe_is_left: bool,
    pub gives: Gives,
}

impl Shape {
    /// The shape of a join of that type whose left (or right) side streams.
    ///
    /// # Errors
    /// An internal error for a null-aware join whose preserved side does not stream.
    pub fn new(join_type: JoinType, probe_is_left: bool, null_aware: bool) -> Result<Self> {
        let pairs = |left_outer: bool, right_outer: bool| match probe_is_left {
            true => Gives::Pairs { probe_outer: left_outer, build_outer: right_outer },
            false => Gives::Pairs { probe_outer: right_outer, build_outer: left_outer },
        };
        let rows = |left: bool, kept: Kept| match left == probe_is_left {
            true => Gives::ProbeRows { kept, null_aware },
            false => Gives::BuildRows { kept },
        };
        let gives = match join_type {
            JoinType::Inner => pairs(false, false),
            JoinType::Left => pairs(true, false),
            JoinType::Right => pairs(false, true),
            JoinType::Full => pairs(true, true),
            JoinType::LeftSemi => rows(true, Kept::Semi),
            JoinType::LeftAnti => rows(true, Kept::Anti),
            JoinType::LeftMark => rows(true, Kept::Mark),
            JoinType::RightSemi => rows(false, Kept::Semi),
            JoinType::RightAnti => rows(false, Kept::Anti),
            JoinType::RightMark => rows(false, Kept::Mark),
        };
        if null_aware && !matches!(gives, Gives::ProbeRows { .. }) {
            return Err(Error::internal(format!("a null-aware {join_type} join has to keep the probe side")));
        }
        Ok(Shape { probe_is_left, gives })
    }

    /// Whether it matters for the rows of the build side which of them had a partner.
    pub fn marks_build(self) -> bool {
        matches!(self.gives, Gives::Pairs { build_outer: true, .. } | Gives::BuildRows { .. })
    }

    /// Whether it matters for the rows of the probe side which of them had a partner.
    pub(in crate::ops::join) fn marks_probe(self) -> bool {
        matches!(self.gives, Gives::Pairs { probe_outer: true, .. } | Gives::ProbeRows { .. })
    }

    /// Whether pairs come out.
    pub(in crate::ops::join) fn gives_pairs(self) -> bool {
        matches!(self.gives, Gives::Pairs { .. })
    }

    pub(in crate::ops::join) fn is_null_aware(self) -> bool {
        matches!(self.gives, Gives::ProbeRows { null_aware: true, .. })
    }

    /// Whether nothing comes out when the build side has no rows.
    pub(in crate::ops::join) fn needs_build_rows(self) -> bool {
        match self.gives {
            Gives::Pairs { probe_outer, .. } => !probe_outer,
            Gives::ProbeRows { kept, .. } => kept == Kept::Semi,
            Gives::BuildRows { .. } => true,
        }
    }
}
