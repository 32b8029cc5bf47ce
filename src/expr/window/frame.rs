//! Window frames as data.

use std::fmt;

use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, WindowFrame, WindowFrameBound, WindowFrameUnits};

use crate::error::{Error, Result};

/// What a frame's offsets count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameUnits {
    /// Rows.
    Rows,
    /// The distance of the one ORDER BY value.
    Range,
    /// Groups of rows that are equal in the ORDER BY.
    Groups,
}

/// How far a bound is from the current row.
#[derive(Debug, Clone, PartialEq)]
pub enum Offset {
    /// Rows or groups.
    Count(u64),
    /// For RANGE: a number of the key's type or an interval; never NULL.
    Value(ScalarValue),
}

/// One end of a frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    /// The partition's first row, or for the end its last.
    Unbounded,
    Preceding(Offset),
    /// With RANGE and GROUPS: the current row and its peers.
    CurrentRow,
    Following(Offset),
}

/// Rows that are left out of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exclusion {
    NoOthers,
    CurrentRow,
    /// The current row and its peers.
    Group,
    /// The current row's peers, not itself.
    Ties,
}

/// Begins the text of a mark. Private to us, so that no query has it by chance.
const MARK: &str = "\u{F0E1}EXCLUDE ";

impl Exclusion {
    const ALL: [Exclusion; 4] = [Exclusion::NoOthers, Exclusion::CurrentRow, Exclusion::Group, Exclusion::Ties];

    fn words(self) -> &'static str {
        match self {
            Exclusion::NoOthers => "NO OTHERS",
            Exclusion::CurrentRow => "CURRENT ROW",
            Exclusion::Group => "GROUP",
            Exclusion::Ties => "TIES",
        }
    }

    /// The logical frame has no place for EXCLUDE: it travels as a constant in PARTITION BY, where constants mean
    /// nothing. This is its text.
    pub fn mark(self) -> String {
        format!("{MARK}{}", self.words())
    }

    /// The exclusion that stands among the keys of PARTITION BY.
    pub fn among(partition_by: &[Expr]) -> Self {
        let mark = |key: &Expr| match key {
            Expr::Literal(value, _) => value.try_as_str().flatten().map(str::to_owned),
            _ => None,
        };
        let found = partition_by.iter().filter_map(mark).find_map(|text| {
            let words = text.strip_prefix(MARK)?;
            Exclusion::ALL.into_iter().find(|exclusion| exclusion.words() == words)
        });
        found.unwrap_or(Exclusion::NoOthers)
    }
}

/// The rows that a function sees from its current row.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    pub units: FrameUnits,
    pub start: Bound,
    pub end: Bound,
    pub exclusion: Exclusion,
}

impl Frame {
    /// The frame of a logical window expression.
    ///
    /// # Errors
    /// `INVALID_QUERY` for bounds that can never hold a row whatever the data is: PostgreSQL and DuckDB refuse them, too.
    pub(super) fn new(frame: &WindowFrame, exclusion: Exclusion) -> Result<Self> {
        let units = match frame.units {
            WindowFrameUnits::Rows => FrameUnits::Rows,
            WindowFrameUnits::Range => FrameUnits::Range,
            WindowFrameUnits::Groups => FrameUnits::Groups,
        };
        let (start, end) = (bound(units, &frame.start_bound)?, bound(units, &frame.end_bound)?);
        let backwards = matches!(
            (&start, &end),
            (Bound::CurrentRow | Bound::Following(_), Bound::Preceding(_)) | (Bound::Following(_), Bound::CurrentRow)
        );
        if backwards {
            return Err(Error::new(
                crate::error::Code::InvalidQuery,
                format!("the frame {frame} ends before it starts"),
            ));
        }
        Ok(Frame { units, start, end, exclusion })
    }

    /// Whether rows leave the frame while the current row moves on within a partition.
    pub fn start_moves(&self) -> bool {
        self.start != Bound::Unbounded
    }

    /// Whether a bound is a distance of the ORDER BY value.
    pub fn has_range_offset(&self) -> bool {
        [&self.start, &self.end]
            .into_iter()
            .any(|bound| matches!(bound, Bound::Preceding(Offset::Value(_)) | Bound::Following(Offset::Value(_))))
    }
}

fn bound(units: FrameUnits, bound: &WindowFrameBound) -> Result<Bound> {
    let offset = |value: &ScalarValue| match (units, value) {
        (FrameUnits::Range, value) => {
            refuse_negative(value)?;
            Ok(Offset::Value(value.clone()))
        }
        (_, ScalarValue::UInt64(Some(count))) => Ok(Offset::Count(*count)),
        (_, other) => Err(Error::internal(format!("a frame of {other} rows"))),
    };
    Ok(match bound {
        WindowFrameBound::CurrentRow => Bound::CurrentRow,
        bound if bound.is_unbounded() => Bound::Unbounded,
        WindowFrameBound::Preceding(value) => Bound::Preceding(offset(value)?),
        WindowFrameBound::Following(value) => Bound::Following(offset(value)?),
    })
}

fn refuse_negative(value: &ScalarValue) -> Result<()> {
    let zero = ScalarValue::new_zero(&value.data_type())?;
    match value.partial_cmp(&zero) {
        Some(std::cmp::Ordering::Less) => {
            Err(Error::new(crate::error::Code::InvalidQuery, format!("a frame's offset may not be negative: {value}")))
        }
        _ => Ok(()),
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Offset::Count(count) => write!(f, "{count}"),
            Offset::Value(value) => write!(f, "{value}"),
        }
    }
}
