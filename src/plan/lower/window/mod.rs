//! Window functions: windows that follow one another are taken together and spread over as few sorts as serve them.

mod order;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Column, DFSchema, TableReference};
use datafusion_expr::expr::WindowFunction;
use datafusion_expr::logical_plan::{Projection, Window};
use datafusion_expr::{Expr, LogicalPlan, WindowFrameBound, WindowFrameUnits};

use self::order::{SharedOrder, Wanted, share};
use super::{Branches, Lowering};
use crate::error::{Error, Result};
use crate::expr::WindowCall;
use crate::ops::window::{Window as WindowSink, WindowColumn, WindowOrder, WindowSlot};

/// Windows over one input.
struct Windows<'a> {
    input: &'a LogicalPlan,
    /// Over the columns of the input.
    calls: Vec<(WindowFunction, FieldRef)>,
    /// The columns of the output.
    outputs: Vec<Origin>,
}

/// Where a column comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    /// A column of the input.
    Input(usize),
    /// The value of a call.
    Call(usize),
}

impl<'a> Windows<'a> {
    /// The windows of `window` and those right below it.
    fn of(window: &'a Window) -> Result<Self> {
        let mut windows = Windows::below(&window.input)?;
        let own = window.window_expr.iter().map(|expr| windows.over_input(expr, window.input.schema()));
        let Some(own) = own.collect::<Result<Option<Vec<_>>>>()? else {
            // A window over the values of another one.
            let outputs = (0..window.input.schema().fields().len()).map(Origin::Input).collect();
            let mut windows = Windows { input: &window.input, calls: Vec::new(), outputs };
            let own = window.window_expr.iter().map(|expr| call(expr.clone())).collect::<Result<Vec<_>>>()?;
            windows.add(window, own);
            return Ok(windows);
        };
        windows.add(window, own);
        Ok(windows)
    }

    fn below(plan: &'a LogicalPlan) -> Result<Self> {
        match plan {
            LogicalPlan::Window(window) => Windows::of(window),
            LogicalPlan::Projection(projection) => match columns(projection)? {
                Some(columns) if matches!(projection.input.as_ref(), LogicalPlan::Window(_)) => {
                    let below = Windows::below(&projection.input)?;
                    let outputs = columns.into_iter().filter_map(|column| below.outputs.get(column).copied()).collect();
                    Ok(Windows { outputs, ..below })
                }
                _ => Ok(Windows::none(plan)),
            },
            _ => Ok(Windows::none(plan)),
        }
    }

    fn none(input: &'a LogicalPlan) -> Self {
        let outputs = (0..input.schema().fields().len()).map(Origin::Input).collect();
        Windows { input, calls: Vec::new(), outputs }
    }

    fn add(&mut self, window: &Window, calls: Vec<WindowFunction>) {
        let first = window.input.schema().fields().len();
        for (call, field) in calls.into_iter().zip(window.schema.fields().iter().skip(first)) {
            self.outputs.push(Origin::Call(self.calls.len()));
            self.calls.push((call, field.clone()));
        }
    }

    /// `expr`, which is over the output's columns, over those of the input; `None` if it reads the value of a call.
    fn over_input(&self, expr: &Expr, schema: &DFSchema) -> Result<Option<WindowFunction>> {
        let mut reads_call = false;
        let rewritten = expr.clone().transform(|expr| {
            let Expr::Column(column) = &expr else { return Ok(Transformed::no(expr)) };
            match self.outputs.get(schema.index_of_column(column)?) {
                Some(&Origin::Input(index)) => {
                    let column = Column::from(self.input.schema().qualified_field(index));
                    Ok(Transformed::yes(Expr::Column(column)))
                }
                _ => {
                    reads_call = true;
                    Ok(Transformed::no(expr))
                }
            }
        })?;
        if reads_call { Ok(None) } else { call(rewritten.data).map(Some) }
    }
}

/// The positions of a projection's columns in its input, if it is nothing but columns.
fn columns(projection: &Projection) -> Result<Option<Vec<usize>>> {
    let mut columns = Vec::with_capacity(projection.expr.len());
    for expr in &projection.expr {
        let mut expr = expr;
        while let Expr::Alias(alias) = expr {
            expr = &alias.expr;
        }
        let Expr::Column(column) = expr else { return Ok(None) };
        columns.push(projection.input.schema().index_of_column(column)?);
    }
    Ok(Some(columns))
}

fn call(expr: Expr) -> Result<WindowFunction> {
    match expr {
        Expr::Alias(alias) => call(*alias.expr),
        Expr::WindowFunction(window) => Ok(*window),
        other => Err(Error::internal(format!("{other} is no window function"))),
    }
}

fn wanted(call: &WindowFunction) -> Wanted {
    let params = &call.params;
    let is_offset = |bound: &WindowFrameBound| *bound != WindowFrameBound::CurrentRow && !bound.is_unbounded();
    let frame = &params.window_frame;
    let has_offset =
        frame.units == WindowFrameUnits::Range && (is_offset(&frame.start_bound) || is_offset(&frame.end_bound));
    Wanted::new(&params.partition_by, &params.order_by, has_offset)
}

/// The columns that one sort gets or gives, and where each comes from.
struct Columns {
    origins: Vec<Origin>,
    fields: Vec<(Option<TableReference>, FieldRef)>,
}

impl Columns {
    fn of_input(schema: &DFSchema) -> Self {
        let fields = schema.iter().map(|(qualifier, field)| (qualifier.cloned(), field.clone())).collect::<Vec<_>>();
        Columns { origins: (0..fields.len()).map(Origin::Input).collect(), fields }
    }

    fn select(&self, wanted: impl Iterator<Item = usize>) -> Self {
        let (origins, fields) = wanted.map(|index| (self.origins[index], self.fields[index].clone())).unzip();
        Columns { origins, fields }
    }

    fn schema(&self) -> Result<DFSchema> {
        Ok(DFSchema::new_with_metadata(self.fields.clone(), HashMap::new())?)
    }

    fn arrow(&self) -> SchemaRef {
        Arc::new(Schema::new(self.fields.iter().map(|(_, field)| field.clone()).collect::<Vec<_>>()))
    }
}

impl Lowering<'_> {
    pub(super) fn window(&mut self, window: &Window) -> Result<Branches> {
        let windows = Windows::of(window)?;
        let mut branches = self.rows_for(windows.input, &window.window_expr)?;
        let orders = share(&windows.calls.iter().map(|(call, _)| wanted(call)).collect::<Vec<_>>());
        let mut columns = Columns::of_input(windows.input.schema());
        for (number, order) in orders.iter().enumerate() {
            let later = needed(&windows, orders.get(number + 1..).unwrap_or_default())?;
            let is_last = number + 1 == orders.len();
            let output = is_last.then(|| (windows.outputs.as_slice(), window.schema.inner().clone()));
            let (sink, given) = self.window_sink(&windows, order, &columns, &later, output)?;
            branches = self.end_pipeline(branches, Arc::new(sink));
            columns = given;
        }
        Ok(branches)
    }

    /// The operator of one order over rows of `columns`, and what it gives: the columns that are needed `later` and the
    /// calls' values, or exactly `output`.
    fn window_sink(
        &self,
        windows: &Windows,
        order: &SharedOrder,
        columns: &Columns,
        later: &BTreeSet<Origin>,
        output: Option<(&[Origin], SchemaRef)>,
    ) -> Result<(WindowSink, Columns)> {
        let arguments = origins_read(windows, order, false)?;
        let is_carried = |origin: &Origin| later.contains(origin) || arguments.contains(origin);
        let carried: Vec<usize> = columns
            .origins
            .iter()
            .enumerate()
            .filter(|(_, origin)| is_carried(origin))
            .map(|(index, _)| index)
            .collect();
        let travelling = columns.select(carried.iter().copied());
        let schema = columns.schema()?;
        let keys = order.keys().iter().map(|key| self.sort_key(key, &schema)).collect::<Result<Vec<_>>>()?;
        let travelling_schema = travelling.schema()?;
        let mut slots = Vec::with_capacity(order.windows.len());
        let mut given =
            travelling.select((0..travelling.origins.len()).filter(|&i| later.contains(&travelling.origins[i])));
        for &number in &order.windows {
            let (call, field) = &windows.calls[number];
            let wanted = wanted(call);
            let call = WindowCall::compile(call, &travelling_schema, self.compiler)?;
            slots.push(WindowSlot { call, partition: wanted.partition.len(), order: wanted.order.len() });
            given.origins.push(Origin::Call(number));
            given.fields.push((None, Arc::new(field.as_ref().clone().with_name(format!("window value {number}")))));
        }
        let place = |origin: &Origin| match origin {
            Origin::Call(number) if order.windows.contains(number) => {
                order.windows.iter().position(|own| own == number).map(WindowColumn::Function)
            }
            origin => travelling.origins.iter().position(|own| own == origin).map(WindowColumn::Carried),
        };
        let (wanted, schema) = match output {
            Some((origins, schema)) => (origins, schema),
            None => (given.origins.as_slice(), given.arrow()),
        };
        let places = wanted.iter().map(place).collect::<Option<Vec<_>>>();
        let places = places.ok_or_else(|| Error::internal("a window's column that nothing gives"))?;
        let order = WindowOrder { input: columns.arrow(), carried, keys, shared: order.shared };
        Ok((WindowSink::new(order, slots, places, schema)?, given))
    }
}

/// What is still needed behind a sort: the output's columns, and what the sorts of `orders` read.
fn needed(windows: &Windows, orders: &[SharedOrder]) -> Result<BTreeSet<Origin>> {
    let mut needed: BTreeSet<Origin> = windows.outputs.iter().copied().collect();
    for order in orders {
        needed.extend(origins_read(windows, order, true)?);
    }
    Ok(needed)
}

/// The columns that the calls of `order` read, in their arguments and filters, and, `with_keys`, in their keys.
fn origins_read(windows: &Windows, order: &SharedOrder, with_keys: bool) -> Result<BTreeSet<Origin>> {
    let mut origins = BTreeSet::new();
    for &number in &order.windows {
        let params = &windows.calls[number].0.params;
        let mut read: Vec<&Expr> = params.args.iter().chain(params.filter.as_deref()).collect();
        if with_keys {
            read.extend(params.partition_by.iter().chain(params.order_by.iter().map(|key| &key.expr)));
        }
        for expr in read {
            for column in expr.column_refs() {
                origins.insert(Origin::Input(windows.input.schema().index_of_column(column)?));
            }
        }
    }
    Ok(origins)
}
