//! Portions: a batch in pieces small enough that what is made of each fits into memory.
//!
//! Invariant: the rows come out as they went in. What the next operator makes of a piece is reserved before it gets it,
//! and given back when it has passed it on.

use std::sync::Arc;

use arrow::array::{AsArray, Float64Array};
use arrow::datatypes::{Float64Type, SchemaRef};
use arrow::record_batch::RecordBatch;

use crate::error::{Error, Result};
use crate::expr::Evaluator;
use crate::memory::Reservation;
use crate::ops::{Emit, Flow, Operator, Work};
use crate::store::QueryContext;

/// What is made of a piece is at most so much, unless it is one row: less under a small limit, shared by the workers.
const PIECE_BYTES: usize = 16 << 20;
const LIMIT_SHARE: usize = 16;

/// While a value is made, it is there twice: where it grows, and where it goes.
const COPIES: f64 = 2.0;

/// Cuts batches by what will be made of their rows.
#[derive(Debug)]
pub struct Portions {
    sizes: Arc<[Evaluator]>,
    schema: SchemaRef,
}

impl Portions {
    /// `sizes` are DOUBLEs: the bytes that are made of a row, in parts; less than zero and NULL are nothing.
    pub fn new(sizes: Vec<Evaluator>, schema: SchemaRef) -> Self {
        Portions { sizes: sizes.into(), schema }
    }
}

impl Operator for Portions {
    fn name(&self) -> &'static str {
        "Portions"
    }

    fn describe(&self) -> String {
        self.sizes.iter().map(Evaluator::describe).collect::<Vec<_>>().join(" + ")
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn open(&self, context: &Arc<QueryContext>) -> Result<Box<dyn Work>> {
        let most = PIECE_BYTES.min(context.budget.limit() / LIMIT_SHARE / context.threads.max(1));
        let reservation = context.budget.reservation("values made of few bytes");
        Ok(Box::new(PortionsWork { sizes: self.sizes.clone(), context: context.clone(), reservation, most }))
    }
}

struct PortionsWork {
    sizes: Arc<[Evaluator]>,
    context: Arc<QueryContext>,
    reservation: Reservation,
    most: usize,
}

impl Work for PortionsWork {
    fn push(&mut self, batch: RecordBatch, out: &mut Emit) -> Result<Flow> {
        let sizes = self.sizes.iter().map(|size| size.evaluate(&batch)).collect::<Result<Vec<_>>>()?;
        let sizes: Vec<&Float64Array> = sizes
            .iter()
            .map(|size| size.as_primitive_opt::<Float64Type>().ok_or_else(|| Error::internal("a size is no DOUBLE")))
            .collect::<Result<_>>()?;
        let (mut from, mut bytes) = (0, 0);
        for row in 0..batch.num_rows() {
            let parts = sizes.iter().filter(|size| !arrow::array::Array::is_null(*size, row));
            // Beyond what a number of bytes can be it is the greatest one, for which there is no room.
            let made = (parts.map(|size| size.value(row).max(0.0)).sum::<f64>() * COPIES) as usize;
            if row > from && made.saturating_add(bytes) > self.most {
                if self.pass(batch.slice(from, row - from), bytes, out)? == Flow::Done {
                    return Ok(Flow::Done);
                }
                (from, bytes) = (row, 0);
            }
            bytes = made.saturating_add(bytes);
        }
        if from == 0 && bytes <= self.most {
            return self.pass(batch, bytes, out);
        }
        self.pass(batch.slice(from, batch.num_rows() - from), bytes, out)
    }
}

impl PortionsWork {
    fn pass(&mut self, piece: RecordBatch, bytes: usize, out: &mut Emit) -> Result<Flow> {
        self.context.cancel.check()?;
        self.reservation.grow(bytes)?;
        let flow = out(piece);
        self.reservation.shrink(bytes);
        flow
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::ArrayRef;
    use datafusion_expr::col;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::error::Code;
    use crate::ops::testing::{context, evaluator, run};

    fn batch(sizes: Vec<Option<f64>>) -> RecordBatch {
        let sizes: ArrayRef = Arc::new(Float64Array::from(sizes));
        RecordBatch::try_from_iter_with_nullable([("bytes", sizes, true)]).expect("a batch")
    }

    fn portions(schema: &SchemaRef) -> Portions {
        Portions::new(vec![evaluator(&col("bytes"), schema)], schema.clone())
    }

    proptest! {
        #[test]
        fn rows_stay_and_pieces_are_small(sizes in vec(prop::option::of(-50.0..40_000.0f64), 1..200)) {
            let input = batch(sizes.clone());
            let output = run(&portions(&input.schema()), &context(4 << 20, 8, 1), vec![input.clone()]).expect("cuts");
            let values = |batch: &RecordBatch| batch.column(0).as_primitive::<Float64Type>().iter().collect::<Vec<_>>();
            prop_assert_eq!(output.iter().flat_map(values).collect::<Vec<_>>(), sizes);
            for piece in &output {
                let made = |bytes: f64| (bytes.max(0.0) * COPIES) as usize;
                let bytes: usize = values(piece).into_iter().flatten().map(made).sum();
                prop_assert!(piece.num_rows() == 1 || bytes <= (4 << 20) / LIMIT_SHARE);
            }
        }
    }

    #[test]
    fn a_row_for_which_there_is_no_room_is_an_error() {
        let input = batch(vec![Some(10.0), Some(f64::INFINITY)]);
        let error = run(&portions(&input.schema()), &context(4 << 20, 8, 1), vec![input]).expect_err("too large");
        assert_eq!(error.code(), Code::OutOfMemory);
    }
}
