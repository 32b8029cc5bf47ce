//! The order in which people count: `part-2` before `part-10`.

use std::cmp::Ordering;

/// Compares two paths component by component, runs of digits by their value. Total: equal only for equal texts.
pub fn natural_order(left: &str, right: &str) -> Ordering {
    let mut left_parts = left.split('/');
    let mut right_parts = right.split('/');
    loop {
        let order = match (left_parts.next(), right_parts.next()) {
            (None, None) => return left.cmp(right),
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => component_order(a.as_bytes(), b.as_bytes()),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn component_order(mut left: &[u8], mut right: &[u8]) -> Ordering {
    loop {
        match (left.first(), right.first()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) if a.is_ascii_digit() && b.is_ascii_digit() => {
                let (a, left_rest) = digits(left);
                let (b, right_rest) = digits(right);
                let order = a.len().cmp(&b.len()).then_with(|| a.cmp(b));
                if order != Ordering::Equal {
                    return order;
                }
                (left, right) = (left_rest, right_rest);
            }
            (Some(a), Some(b)) if a != b => return a.cmp(b),
            _ => (left, right) = (&left[1..], &right[1..]),
        }
    }
}

/// The leading digits without leading zeros, and what follows them.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let zeros = number.iter().position(|&byte| byte != b'0').unwrap_or(number.len());
    (&number[zeros..], rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_order_by_value_and_folders_before_longer_names() {
        let mut names = ["p-10.csv", "p-2.csv", "p-02.csv", "a/z.csv", "a-b/a.csv", "p-2-x.csv"];
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(names, ["a/z.csv", "a-b/a.csv", "p-2-x.csv", "p-02.csv", "p-2.csv", "p-10.csv"]);
    }
}
