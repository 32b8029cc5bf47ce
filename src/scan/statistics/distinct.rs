//! From the distinct values in a few parts of a column to those in all of it.
//!
//! Two shapes of data are told apart by the ranges of the parts. Where every part has a range of its own (keys in
//! order, dates of arrival) each further part brings as many new values as the ones that were seen. Where the ranges
//! overlap, the rows of a part are taken for draws from all values: of `D` values `n` draws show about
//! `D · (1 - e^(-n/D))` (the occupancy problem), which is solved for `D`.

/// Consecutive rows of a column that were looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Piece {
    /// Rows that are not NULL.
    pub rows: f64,
    /// Distinct values among them.
    pub distinct: f64,
    /// Smallest and largest, where values are numbers.
    pub range: Option<(f64, f64)>,
}

/// Halvings when solving for the number of values; more are lost in rounding.
const STEPS: usize = 60;
/// Parts whose ranges together cover less than this share of the whole range have values of their own.
const CLUSTERED_COVER: f64 = 0.5;

/// About how many distinct values a column of `rows` values has whose range is `range`, with `step` between values.
pub fn distinct_values(pieces: &[Piece], rows: f64, range: Option<(f64, f64)>, step: f64) -> Option<f64> {
    let seen_rows: f64 = pieces.iter().map(|piece| piece.rows).sum();
    let seen: f64 = pieces.iter().map(|piece| piece.distinct).sum();
    let most = range.filter(|_| step > 0.0).map_or(rows, |(low, high)| rows.min((high - low) / step + 1.0)).max(1.0);
    if seen_rows <= 0.0 {
        return (step > 0.0 && range.is_some()).then_some(most);
    }
    let distinct = if is_clustered(pieces, rows, range) {
        seen / seen_rows * rows
    } else {
        let each = pieces.iter().filter(|piece| piece.rows > 0.0).map(|piece| drawn(piece, most));
        each.fold(0.0, f64::max)
    };
    let least = pieces.iter().map(|piece| piece.distinct).fold(1.0, f64::max);
    Some(distinct.min(most).max(least))
}

/// How many distinct values show up when `rows` are drawn from `distinct` values.
pub fn expected(distinct: f64, rows: f64) -> f64 {
    if distinct <= 0.0 { 0.0 } else { distinct * -(-rows / distinct).exp_m1() }
}

fn is_clustered(pieces: &[Piece], rows: f64, range: Option<(f64, f64)>) -> bool {
    let Some((low, high)) = range.filter(|(low, high)| high > low) else { return false };
    let widths = pieces.iter().map(|piece| piece.range.map(|(low, high)| high - low));
    let Some(width) = widths.sum::<Option<f64>>() else { return false };
    let seen: f64 = pieces.iter().map(|piece| piece.rows).sum();
    // Overlapping parts that are a good part of the table say nothing.
    seen < rows * CLUSTERED_COVER && width < (high - low) * CLUSTERED_COVER
}

/// The number of values from which the piece's rows would show as many as they do.
fn drawn(piece: &Piece, most: f64) -> f64 {
    if piece.distinct >= expected(most, piece.rows) {
        return most;
    }
    let (mut low, mut high) = (piece.distinct.max(1.0), most.max(1.0));
    for _ in 0..STEPS {
        let middle = f64::midpoint(low, high);
        if expected(middle, piece.rows) < piece.distinct {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(rows: f64, distinct: f64, range: Option<(f64, f64)>) -> Piece {
        Piece { rows, distinct, range }
    }

    fn near(found: Option<f64>, wanted: f64) {
        let found = found.unwrap();
        assert!((found / wanted - 1.0).abs() < 0.05, "{found} instead of {wanted}");
    }

    #[test]
    fn keys_in_order_scale_with_the_rows() {
        let pieces = [piece(8192.0, 2048.0, Some((1.0, 8192.0))), piece(8192.0, 2048.0, Some((3e7, 3e7 + 8192.0)))];
        near(distinct_values(&pieces, 6e7, Some((1.0, 6e7)), 1.0), 1.5e7);
    }

    #[test]
    fn few_values_stay_few() {
        let pieces = [piece(8192.0, 7.0, None), piece(8192.0, 7.0, None)];
        near(distinct_values(&pieces, 6e7, None, 0.0), 7.0);
    }

    #[test]
    fn draws_tell_how_many_there_are() {
        let range = Some((1.0, 1e6));
        let pieces = [piece(1e5, expected(1e6, 1e5), range)];
        near(distinct_values(&pieces, 1e9, range, 1.0), 1e6);
    }

    #[test]
    fn a_range_of_integers_bounds_them() {
        let pieces = [piece(1000.0, 1000.0, Some((1.0, 5000.0)))];
        near(distinct_values(&pieces, 1e9, Some((1.0, 5000.0)), 1.0), 5000.0);
        assert_eq!(distinct_values(&[], 10.0, Some((1.0, 4.0)), 1.0), Some(4.0));
        assert_eq!(distinct_values(&[], 10.0, None, 0.0), None);
    }
}
