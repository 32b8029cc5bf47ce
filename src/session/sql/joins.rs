//! What joins the two sides of a join, and whose columns it gives.

use datafusion_sql::sqlparser::ast::{JoinConstraint, JoinOperator};

/// Whose columns a join gives, and whose value one has that both sides have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Left,
    Right,
    Full,
    LeftOnly,
    RightOnly,
}

/// What joins the two sides, where the join says it.
pub(super) fn constraint(join: &JoinOperator) -> Option<(&JoinConstraint, Kind)> {
    use JoinOperator as J;
    Some(match join {
        J::Join(constraint) | J::Inner(constraint) | J::Left(constraint) | J::LeftOuter(constraint) => {
            (constraint, Kind::Left)
        }
        J::Right(constraint) | J::RightOuter(constraint) => (constraint, Kind::Right),
        J::FullOuter(constraint) => (constraint, Kind::Full),
        J::Semi(constraint) | J::Anti(constraint) | J::LeftSemi(constraint) | J::LeftAnti(constraint) => {
            (constraint, Kind::LeftOnly)
        }
        J::RightSemi(constraint) | J::RightAnti(constraint) => (constraint, Kind::RightOnly),
        _ => return None,
    })
}

/// The same, to be changed.
pub(super) fn constraint_of(join: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    use JoinOperator as J;
    match join {
        J::Join(constraint)
        | J::Inner(constraint)
        | J::Left(constraint)
        | J::LeftOuter(constraint)
        | J::Right(constraint)
        | J::RightOuter(constraint)
        | J::FullOuter(constraint)
        | J::Semi(constraint)
        | J::LeftSemi(constraint)
        | J::RightSemi(constraint)
        | J::Anti(constraint)
        | J::LeftAnti(constraint)
        | J::RightAnti(constraint) => Some(constraint),
        _ => None,
    }
}
