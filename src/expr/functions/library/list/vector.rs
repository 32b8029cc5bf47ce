//! Lists of numbers as vectors.

use arrow::array::{Array, ArrayRef, AsArray, ListArray};
use arrow::datatypes::{DataType, Float64Type};

use crate::error::{Code, Error, Result};
use crate::expr::functions::library::function::{Function, Overload, function};
use crate::expr::functions::library::typed::{Input, list_type, row2};

/// DOUBLE[]
#[derive(Debug)]
struct Vector;

impl Input for Vector {
    type Array = ListArray;
    type Item<'a> = ArrayRef;

    fn data_type() -> DataType {
        list_type(DataType::Float64)
    }

    fn item(array: &ListArray, row: usize) -> ArrayRef {
        array.value(row)
    }
}

/// The functions of this file.
pub(super) fn functions() -> Vec<Function> {
    vec![
        function(
            "list_distance array_distance",
            "list, other",
            "The Euclidean distance of two vectors",
            of_pairs(|pairs| pairs.iter().map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()),
        ),
        function(
            "list_inner_product list_dot_product array_inner_product array_dot_product",
            "list, other",
            "The inner product of two vectors",
            of_pairs(inner),
        ),
        function(
            "list_negative_inner_product list_negative_dot_product array_negative_inner_product array_negative_dot_product",
            "list, other",
            "The inner product of two vectors with the other sign",
            of_pairs(|pairs| -inner(pairs)),
        ),
        function(
            "list_cosine_similarity array_cosine_similarity",
            "list, other",
            "The cosine of the angle between two vectors",
            of_pairs(cosine),
        ),
        function(
            "list_cosine_distance array_cosine_distance",
            "list, other",
            "One without the cosine of the angle between two vectors",
            of_pairs(|pairs| 1.0 - cosine(pairs)),
        ),
        function(
            "array_cross_product",
            "list, other",
            "The cross product of two vectors of three numbers",
            [row2::<Vector, Vector, _>(|a, b| cross(&a, &b))],
        ),
    ]
}

fn of_pairs(value: fn(&[(f64, f64)]) -> f64) -> Vec<Overload> {
    vec![row2::<Vector, Vector, _>(move |a: ArrayRef, b: ArrayRef| pairs(&a, &b).map(|pairs| value(&pairs)))]
}

fn pairs(a: &ArrayRef, b: &ArrayRef) -> Result<Vec<(f64, f64)>> {
    if a.len() != b.len() {
        let message = format!("vectors of {} and {} numbers", a.len(), b.len());
        return Err(Error::new(Code::InvalidQuery, message).hint("both must be of the same length"));
    }
    if a.null_count() > 0 || b.null_count() > 0 {
        return Err(Error::new(Code::InvalidQuery, "a vector has no NULL"));
    }
    let (a, b) = (a.as_primitive::<Float64Type>(), b.as_primitive::<Float64Type>());
    Ok(a.values().iter().copied().zip(b.values().iter().copied()).collect())
}

fn inner(pairs: &[(f64, f64)]) -> f64 {
    pairs.iter().map(|(a, b)| a * b).sum()
}

fn cosine(pairs: &[(f64, f64)]) -> f64 {
    let (a, b): (f64, f64) = (pairs.iter().map(|(a, _)| a * a).sum(), pairs.iter().map(|(_, b)| b * b).sum());
    (inner(pairs) / (a * b).sqrt()).clamp(-1.0, 1.0)
}

fn cross(a: &ArrayRef, b: &ArrayRef) -> Result<Vec<f64>> {
    match pairs(a, b)?.as_slice() {
        [(a1, b1), (a2, b2), (a3, b3)] => Ok(vec![a2 * b3 - a3 * b2, a3 * b1 - a1 * b3, a1 * b2 - a2 * b1]),
        _ => Err(Error::new(Code::InvalidQuery, "a cross product takes vectors of three numbers")),
    }
}
