//! What a hash join computes: its sides, its keys and its output, as data.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion_common::JoinType;

use super::keys::{KeyForm, canonical_key, key_type};
use crate::batch::RuntimeFilter;
use crate::batch::hash::hash_rows;
use crate::error::{Error, Result};
use crate::expr::Evaluator;
use crate::ops::partition::stored_schema;

/// A side of a join as the query wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
}

/// A condition beyond the equal keys.
#[derive(Debug)]
pub struct Residual {
    /// Over a batch of just `columns`.
    pub condition: Evaluator,
    /// The columns it reads, by side and index.
    pub columns: Vec<(Side, usize)>,
}

/// A join by equal keys.
#[derive(Debug)]
pub struct HashJoinPlan {
    pub join_type: JoinType,
    /// The side that is kept in a table.
    pub build: Side,
    /// Pairs of keys, the left side's first; both of one type.
    pub keys: Vec<(Evaluator, Evaluator)>,
    /// NULL keys equal NULL keys.
    pub null_equal: bool,
    /// An anti join that is NOT IN, or a mark join that is IN with NULL for unknown: one key, no residual.
    pub null_aware: bool,
    pub residual: Option<Residual>,
    pub left: SchemaRef,
    pub right: SchemaRef,
    /// Which of the join's columns come out, in this order: left then right ones, or those of the kept side and then
    /// the mark.
    pub output: Vec<usize>,
    /// The schema of `output`.
    pub schema: SchemaRef,
    /// For each key, the slot that its build keys are told to, or none.
    pub filters: Vec<Option<Arc<RuntimeFilter>>>,
}

/// Which rows of one side come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Matched,
    Unmatched,
    /// All, with a column that says whether they match.
    Marked,
}

/// What comes out of a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Pairs, and with NULLs the rows of an outer side that are in none.
    Pairs {
        probe_outer: bool,
        build_outer: bool,
    },
    Probe(Keep),
    Build(Keep),
}

impl Shape {
    fn new(join_type: JoinType, build: Side) -> Self {
        let kept = |side: Side, keep: Keep| if side == build { Shape::Build(keep) } else { Shape::Probe(keep) };
        let outer = |left: bool, right: bool| match build {
            Side::Left => Shape::Pairs { probe_outer: right, build_outer: left },
            Side::Right => Shape::Pairs { probe_outer: left, build_outer: right },
        };
        match join_type {
            JoinType::Inner => outer(false, false),
            JoinType::Left => outer(true, false),
            JoinType::Right => outer(false, true),
            JoinType::Full => outer(true, true),
            JoinType::LeftSemi => kept(Side::Left, Keep::Matched),
            JoinType::RightSemi => kept(Side::Right, Keep::Matched),
            JoinType::LeftAnti => kept(Side::Left, Keep::Unmatched),
            JoinType::RightAnti => kept(Side::Right, Keep::Unmatched),
            JoinType::LeftMark => kept(Side::Left, Keep::Marked),
            JoinType::RightMark => kept(Side::Right, Keep::Marked),
        }
    }

    /// Whether build rows must know if they were matched.
    pub(super) fn tracks_build(self) -> bool {
        matches!(self, Shape::Pairs { build_outer: true, .. } | Shape::Build(_))
    }

    /// Whether build rows that match nothing can come out.
    pub(super) fn keeps_unmatched_build(self) -> bool {
        self.tracks_build() && self != Shape::Build(Keep::Matched)
    }

    /// Whether probe rows that match nothing can come out.
    pub(super) fn keeps_unmatched_probe(self) -> bool {
        matches!(
            self,
            Shape::Pairs { probe_outer: true, .. } | Shape::Probe(Keep::Unmatched) | Shape::Probe(Keep::Marked)
        )
    }
}

/// Where an output column comes from; indexes are those of a side's layout.
#[derive(Debug, Clone)]
pub(super) enum OutputColumn {
    Probe(usize, DataType),
    Build(usize, DataType),
    Mark,
}

/// The columns of one side that the join needs, and its keys.
#[derive(Debug)]
pub(super) struct SideLayout {
    columns: Vec<ColumnSource>,
    types: Vec<DataType>,
    /// For each key, which of the columns it is.
    keys: Vec<usize>,
    /// The schema in which rows wait in the store.
    pub(super) stored: SchemaRef,
}

#[derive(Debug)]
enum ColumnSource {
    Input(usize),
    Key(Evaluator),
}

impl SideLayout {
    fn new(input: &Schema, needed: Vec<usize>, keys: Vec<Evaluator>) -> Self {
        let mut types: Vec<DataType> = needed.iter().map(|&index| input.field(index).data_type().clone()).collect();
        let mut columns: Vec<ColumnSource> = needed.iter().map(|&index| ColumnSource::Input(index)).collect();
        let key_columns = keys.into_iter().map(|key| {
            let known = key.column().and_then(|index| needed.iter().position(|&needed| needed == index));
            known.unwrap_or_else(|| {
                types.push(key.data_type().clone());
                columns.push(ColumnSource::Key(key));
                columns.len() - 1
            })
        });
        let keys = key_columns.collect();
        let fields: Vec<_> =
            types.iter().map(|data_type| arrow::datatypes::Field::new("c", data_type.clone(), true)).collect();
        SideLayout { columns, keys, stored: stored_schema(&Schema::new(fields)), types }
    }

    /// The needed columns of a batch of the side's input.
    pub(super) fn arrange(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let columns = self.columns.iter().map(|column| match column {
            ColumnSource::Input(index) => Ok(batch.column(*index).clone()),
            ColumnSource::Key(key) => key.evaluate(batch),
        });
        columns.collect()
    }

    /// The keys among the needed columns, ready to be hashed and compared.
    pub(super) fn keys(&self, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        self.keys.iter().map(|&key| canonical_key(columns[key].clone())).collect()
    }

    /// The types of the keys that `keys` gives.
    pub(super) fn key_types(&self) -> impl Iterator<Item = DataType> {
        self.keys.iter().map(|&key| key_type(&self.types[key]))
    }

    /// The needed columns as they wait in the store.
    pub(super) fn to_stored(&self, columns: &[ArrayRef]) -> Result<RecordBatch> {
        let rows = columns.first().map_or(0, |column| column.len());
        let columns =
            columns.iter().zip(self.stored.fields()).map(|(column, field)| in_type(column, field.data_type()));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.stored.clone(), columns.collect::<Result<_>>()?, &options)?)
    }

    /// The needed columns of a batch out of the store.
    pub(super) fn restore(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        batch.columns().iter().zip(&self.types).map(|(column, data_type)| in_type(column, data_type)).collect()
    }
}

pub(super) fn in_type(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    Ok(if column.data_type() == data_type { column.clone() } else { cast(column, data_type)? })
}

/// How the rows of a table are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IndexKind {
    /// A slot for each integer.
    Direct,
    /// A bit for each integer.
    Sparse,
    Hash,
}

/// What tests turn to reach every path with little data.
#[derive(Debug, Clone, Default)]
pub(crate) struct Knobs {
    /// Partition from the first row on.
    pub(crate) partitioned: bool,
    /// How the rows of integer keys are found, where it is possible.
    pub(crate) index: Option<IndexKind>,
    /// Bytes that a table may take.
    pub(crate) allowance: Option<usize>,
}

/// A join as its tasks see it.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) shape: Shape,
    pub(super) form: KeyForm,
    pub(super) null_equal: bool,
    pub(super) null_aware: bool,
    pub(super) build: SideLayout,
    pub(super) probe: SideLayout,
    pub(super) residual: Option<(Evaluator, Vec<OutputColumn>, SchemaRef)>,
    pub(super) output: Vec<OutputColumn>,
    pub(super) schema: SchemaRef,
    pub(super) filters: Vec<Option<Arc<RuntimeFilter>>>,
    pub(super) description: String,
    pub(super) knobs: Knobs,
}

impl Spec {
    pub(super) fn new(plan: HashJoinPlan) -> Result<Self> {
        let HashJoinPlan { join_type, build, keys, null_equal, null_aware, residual, left, right, .. } = plan;
        if null_aware && (keys.len() != 1 || residual.is_some()) {
            return Err(Error::internal("a null-aware join of several conditions"));
        }
        let shape = Shape::new(join_type, build);
        let description = describe(join_type, null_aware, &keys, residual.as_ref());
        let output: Vec<Option<(Side, usize)>> = plan
            .output
            .iter()
            .map(|&index| origin(join_type, left.fields().len(), right.fields().len(), index))
            .collect();
        let residual_columns = residual.iter().flat_map(|residual| &residual.columns);
        let needed = |side: Side| {
            let mut needed: Vec<usize> = output
                .iter()
                .flatten()
                .chain(residual_columns.clone())
                .filter(|(of, _)| *of == side)
                .map(|(_, index)| *index)
                .collect();
            needed.sort_unstable();
            needed.dedup();
            needed
        };
        let needed = (needed(Side::Left), needed(Side::Right));
        let place = |side: Side, index: usize| {
            let (needed, schema) = if side == Side::Left { (&needed.0, &left) } else { (&needed.1, &right) };
            let place =
                needed.binary_search(&index).map_err(|_| Error::internal("a join column that was not asked for"))?;
            let data_type = schema.field(index).data_type().clone();
            Ok(if side == build {
                OutputColumn::Build(place, data_type)
            } else {
                OutputColumn::Probe(place, data_type)
            })
        };
        let output = output.iter().map(|column| match column {
            Some((side, index)) => place(*side, *index),
            None => Ok(OutputColumn::Mark),
        });
        let output = output.collect::<Result<Vec<_>>>()?;
        let residual = match &residual {
            None => None,
            Some(residual) => {
                let columns: Result<Vec<_>> =
                    residual.columns.iter().map(|&(side, index)| place(side, index)).collect();
                let fields = residual.columns.iter().enumerate().map(|(number, &(side, index))| {
                    let schema = if side == Side::Left { &left } else { &right };
                    arrow::datatypes::Field::new(format!("c{number}"), schema.field(index).data_type().clone(), true)
                });
                let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
                Some((residual.condition.clone(), columns?, schema))
            }
        };
        let mut filters = plan.filters;
        filters.resize(keys.len(), None);
        let types: Vec<DataType> = keys.iter().map(|(key, _)| key.data_type().clone()).collect();
        let (left_keys, right_keys) = keys.into_iter().unzip();
        let left = SideLayout::new(&left, needed.0, left_keys);
        let right = SideLayout::new(&right, needed.1, right_keys);
        let (build, probe) = if build == Side::Left { (left, right) } else { (right, left) };
        Ok(Spec {
            shape,
            form: KeyForm::new(&types, null_equal)?,
            null_equal,
            null_aware,
            build,
            probe,
            residual,
            output,
            schema: plan.schema,
            filters,
            description,
            knobs: Knobs::default(),
        })
    }

    /// The hash of every row of canonical keys.
    pub(super) fn hash(&self, keys: &[ArrayRef], rows: usize, hashes: &mut Vec<u64>) -> Result<()> {
        hash_rows(keys, rows, hashes)
    }

    /// Whether further rows of a key change nothing.
    pub(super) fn drops_duplicates(&self) -> bool {
        matches!(self.shape, Shape::Probe(_)) && self.residual.is_none()
    }
}

/// The side and index of the join's column `index`; `None` for the mark.
fn origin(join_type: JoinType, left: usize, right: usize, index: usize) -> Option<(Side, usize)> {
    let kept = |side: Side, columns: usize| (index < columns).then_some((side, index));
    match join_type {
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => match index.checked_sub(left) {
            Some(index) => Some((Side::Right, index)),
            None => Some((Side::Left, index)),
        },
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => kept(Side::Left, left),
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => kept(Side::Right, right),
    }
}

fn describe(
    join_type: JoinType,
    null_aware: bool,
    keys: &[(Evaluator, Evaluator)],
    residual: Option<&Residual>,
) -> String {
    let keys: Vec<String> =
        keys.iter().map(|(left, right)| format!("{} = {}", left.describe(), right.describe())).collect();
    let mut text = format!("{join_type}: {}", keys.join(", "));
    if null_aware {
        text.push_str(" (NULL is unknown)");
    }
    if let Some(residual) = residual {
        text.push_str(&format!(" and {}", residual.condition.describe()));
    }
    text
}
