//! What a session owns: settings, budget, store, workers, tables.
//!
//! Invariant: a query keeps the workers and the batch size that it began with; the memory limit is shared and may change
//! under it.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion_expr::LogicalPlan;
use parking_lot::{Mutex, RwLock};

use super::catalog::Catalog;
use super::definitions::Definitions;
use super::learned::Learned;
use super::relation::arrow_schema;
use super::sql::FileCall;
use super::stream::ResultStream;
use crate::cancel::CancelToken;
use crate::config::{Ordering, Settings};
use crate::error::{Code, Error, Result};
use crate::expr::Compiler;
use crate::io::{Location, Storage};
use crate::job::{BatchStream, Progress, QueryMetrics, Runner, Waited};
use crate::memory::Budget;
use crate::ops::DynSink;
use crate::ops::write::{
    EncodeText, ParquetFile, TextFile, WriteFiles, WriteFolder, WriteFormat, WriteGroups, WriteOptions, WrittenFolder,
};
use crate::plan::{self, PhysicalPlan, UncertainScan};
use crate::scan::{KnownFiles, ScanSpec, resolve_known};
use crate::store::{QueryContext, SideTables, Store};

/// The inside of a session.
pub(crate) struct Engine {
    settings: RwLock<Settings>,
    budget: Budget,
    store: Store,
    storage: Storage,
    runner: RwLock<Arc<Runner>>,
    pub(crate) catalog: Catalog,
    /// Macros, types, variables and prepared statements.
    pub(crate) definitions: Definitions,
    /// What scans write down beside their rows.
    pub(crate) side: Arc<SideTables>,
    /// What was found out about files while planning.
    pub(crate) known: KnownFiles,
    /// Types of files' columns that took more than a sample to find out.
    pub(crate) learned: Learned,
    /// The tokens of the queries that may still run.
    running: Mutex<Vec<CancelToken>>,
    /// What the query does that was started last.
    started: Mutex<Weak<QueryMetrics>>,
}

impl Engine {
    pub(crate) fn new(settings: Settings) -> Result<Self> {
        let budget = Budget::new(usize::try_from(settings.memory_limit).unwrap_or(usize::MAX));
        let store = Store::with_spill(budget.clone(), &settings.spill_dir, settings.max_spill_size);
        let runner = RwLock::new(Arc::new(Runner::new(settings.threads)?));
        let side = Arc::new(SideTables::new(store.clone()));
        let storage = Storage::default();
        storage.configure(&settings.stores);
        Ok(Engine {
            settings: RwLock::new(settings),
            side,
            known: KnownFiles::default(),
            learned: Learned::default(),
            budget,
            store,
            storage,
            runner,
            catalog: Catalog::default(),
            definitions: Definitions::default(),
            running: Mutex::default(),
            started: Mutex::default(),
        })
    }

    /// A setting's text form.
    pub(crate) fn setting(&self, name: &str) -> Result<String> {
        self.settings.read().get(name)
    }

    /// How rows are sorted where a statement does not say it.
    pub(crate) fn ordering(&self) -> Ordering {
        self.settings.read().ordering
    }

    /// All settings: name, value, description.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String, &'static str)> {
        self.settings.read().all()
    }

    /// Changes one setting and tells those whom it concerns.
    pub(crate) fn set(&self, name: &str, value: &str) -> Result<()> {
        let mut settings = self.settings.write();
        let mut changed = settings.clone();
        changed.set(name, value)?;
        self.apply(&settings, &changed)?;
        *settings = changed;
        Ok(())
    }

    /// Sets one setting, or all, back to the default.
    pub(crate) fn reset(&self, name: Option<&str>) -> Result<()> {
        let defaults = Settings::default();
        match name {
            Some(name) => self.set(name, &defaults.get(name)?),
            None => defaults.all().iter().try_for_each(|(name, value, _)| self.set(name, value)),
        }
    }

    fn apply(&self, before: &Settings, after: &Settings) -> Result<()> {
        if before.threads != after.threads {
            *self.runner.write() = Arc::new(Runner::new(after.threads)?);
        }
        if before.memory_limit != after.memory_limit {
            self.budget.set_limit(usize::try_from(after.memory_limit).unwrap_or(usize::MAX));
        }
        if before.spill_dir != after.spill_dir {
            self.store.set_spill_dir(&after.spill_dir);
        }
        if before.max_spill_size != after.max_spill_size {
            self.store.set_max_spill_size(after.max_spill_size);
        }
        self.storage.configure(&after.stores);
        Ok(())
    }

    /// The surroundings of a query that begins now.
    pub(crate) fn context(&self) -> Arc<QueryContext> {
        let settings = self.settings.read();
        let cancel = CancelToken::new();
        let mut running = self.running.lock();
        running.retain(CancelToken::is_shared);
        running.push(cancel.clone());
        Arc::new(QueryContext {
            cancel,
            budget: self.budget.clone(),
            store: self.store.clone(),
            batch_size: settings.batch_size,
            threads: settings.threads,
            side: Some(self.side.clone()),
        })
    }

    /// Cancels every query that runs.
    pub(crate) fn interrupt(&self) {
        self.running.lock().iter().for_each(CancelToken::cancel);
        self.storage.interrupt();
    }

    /// The memory of all queries.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Files and stores.
    pub(crate) fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The files of a call, with all that the session knows of them.
    ///
    /// # Errors
    /// As [`crate::scan::resolve`].
    pub(crate) fn resolve(&self, call: &FileCall) -> Result<ScanSpec> {
        let spec = resolve_known(&call.patterns, call.format, &call.options, &self.storage, &self.known)?;
        Ok(self.learned.apply(spec))
    }

    /// Where rows of tables wait.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Begins to run a plan. Where types of its columns rest on samples, this returns when they are certain: when every
    /// value was read, or, once more rows wait than should, looked at.
    ///
    /// # Errors
    /// Those of planning; and where a type did not hold an error that [says so](Error::is_of_inferred_type): the
    /// statement has to be planned anew, with the types that were [learned].
    ///
    /// [learned]: super::learned
    pub(crate) fn run(&self, logical: &LogicalPlan) -> Result<ResultStream> {
        let context = self.context();
        let (_, physical) = self.lower(logical, &context)?;
        let (schema, uncertain) = (promised(logical, &physical), physical.uncertain.clone());
        let stream = self.start(physical, &context)?;
        if !uncertain.is_empty() {
            self.settle(&stream, &uncertain, &context)?;
        }
        Ok(ResultStream::new(stream, schema))
    }

    /// Runs a plan whose rows all workers write as Parquet to `location`; gives their number.
    ///
    /// # Errors
    /// As [`run`](Engine::run), and those of writing. What was begun is taken away again.
    pub(crate) fn write_parquet(
        &self,
        logical: &LogicalPlan,
        location: &Location,
        options: &WriteOptions,
    ) -> Result<u64> {
        let context = self.context();
        let (_, physical) = self.lower(logical, &context)?;
        let file = ParquetFile::create(location, options, promised(logical, &physical), &self.budget)?;
        let file = Arc::new(file);
        let sinks = WriteGroups::both(&file).map(|sink| Arc::new(sink) as Arc<dyn DynSink>);
        match self.drain(physical, sinks, &context) {
            Ok(()) => file.finish(),
            Err(error) => {
                // Workers may hold it a little longer.
                file.abandon();
                Err(error)
            }
        }
    }

    /// Runs a plan whose rows all workers write as text, CSV or JSON, to `location`; gives their number.
    ///
    /// # Errors
    /// As [`run`](Engine::run), and those of writing. What was begun is taken away again.
    pub(crate) fn write_text(
        &self,
        logical: &LogicalPlan,
        location: &Location,
        format: WriteFormat,
        options: &WriteOptions,
    ) -> Result<u64> {
        let context = self.context();
        let (_, physical) = self.lower(logical, &context)?;
        let encode = EncodeText::new(location, format, options, promised(logical, &physical))?;
        let mut file = TextFile::create(location, &encode, &self.budget)?;
        let uncertain = physical.uncertain.clone();
        let stream = self.start(physical.through(Arc::new(encode)), &context)?;
        if !uncertain.is_empty() {
            self.settle(&stream, &uncertain, &context)?;
        }
        for pieces in stream {
            file.append(&pieces?)?;
        }
        file.finish()
    }

    /// Runs a plan whose rows all workers write into the folder that `begin` begins for rows of its schema.
    ///
    /// # Errors
    /// As [`run`](Engine::run), and those of writing. What was begun is taken away again.
    pub(crate) fn write_folder(
        &self,
        logical: &LogicalPlan,
        begin: impl FnOnce(SchemaRef, &Budget) -> Result<WriteFolder>,
    ) -> Result<WrittenFolder> {
        let context = self.context();
        let (_, physical) = self.lower(logical, &context)?;
        let folder = Arc::new(begin(promised(logical, &physical), &self.budget)?);
        match self.drain(physical, [Arc::new(WriteFiles::new(&folder)) as Arc<dyn DynSink>], &context) {
            Ok(()) => folder.finish(),
            Err(error) => Err(match folder.abandon() {
                Ok(()) => error,
                Err(left) => {
                    error.context(format!("taking back what was written, which failed, too: {}", left.full_message()))
                }
            }),
        }
    }

    fn start(&self, physical: PhysicalPlan, context: &Arc<QueryContext>) -> Result<BatchStream> {
        let runner = self.runner.read().clone();
        let stream = runner.run(physical, context.clone())?;
        *self.started.lock() = Arc::downgrade(&stream.metrics());
        Ok(stream)
    }

    /// How far the query is that was started last; `None` when it has ended.
    pub(crate) fn progress(&self) -> Option<Progress> {
        let metrics = self.started.lock().upgrade()?;
        (!metrics.is_finished()).then(|| metrics.progress())
    }

    /// Runs a plan whose rows go to `sinks` and nowhere else.
    fn drain(
        &self,
        physical: PhysicalPlan,
        sinks: impl IntoIterator<Item = Arc<dyn DynSink>>,
        context: &Arc<QueryContext>,
    ) -> Result<()> {
        let uncertain = physical.uncertain.clone();
        let mut stream = self.start(physical.ending_in(sinks), context)?;
        let settled = if uncertain.is_empty() { Ok(()) } else { self.settle(&stream, &uncertain, context) };
        let drained = settled.and_then(|()| stream.try_for_each(|batch| batch.map(drop)));
        if drained.is_err() {
            // Whoever takes away what was written must be the last to have written.
            stream.wait_idle();
        }
        drained
    }

    /// Makes sure of the types that rest on samples, before any row is given out.
    fn settle(&self, stream: &BatchStream, scans: &[UncertainScan], context: &QueryContext) -> Result<()> {
        let misfit = match stream.wait() {
            Waited::Ended => return Ok(()),
            Waited::Failed(error) if error.code() == Code::InvalidCast => return Err(about_types(error, scans)),
            Waited::Failed(error) if !error.is_of_inferred_type() => return Ok(()),
            Waited::Failed(error) => Some(error),
            Waited::Full => None,
        };
        // A query that failed has cancelled its token.
        let cancel = if misfit.is_some() { self.context().cancel.clone() } else { context.cancel.clone() };
        let mut held = true;
        for (spec, columns) in scans {
            let types = spec.prove(columns, &cancel)?;
            held = self.learned.learn(spec, &types) && held;
        }
        match misfit {
            // None of them holds the value that did not fit: the file changed meanwhile, and the stream says it.
            Some(_) if held => Ok(()),
            Some(error) => Err(error),
            None if held => Ok(()),
            None => Err(Error::new(Code::InvalidData, "the types of some columns did not hold all of their values")
                .of_inferred_type()),
        }
    }

    /// The plan as text, before and after lowering.
    pub(crate) fn explain(&self, logical: &LogicalPlan) -> Result<String> {
        let context = self.context();
        let (optimised, physical) = self.lower(logical, &context)?;
        Ok(plan::explain(&optimised, &physical, &context))
    }

    /// Runs the plan, leaves its rows out, and tells what every operator did.
    pub(crate) fn explain_analyze(&self, logical: &LogicalPlan) -> Result<String> {
        let context = self.context();
        let begin = Instant::now();
        let (_, physical) = self.lower(logical, &context)?;
        let lines = plan::pipeline_lines(&physical);
        let planned = begin.elapsed();
        let uncertain = physical.uncertain.clone();
        let mut stream = self.start(physical, &context)?;
        let metrics = stream.metrics();
        if !uncertain.is_empty() {
            self.settle(&stream, &uncertain, &context)?;
        }
        stream.try_for_each(|batch| batch.map(drop))?;
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        let total = begin.elapsed();
        let mut text = format!("total {:.1} ms, of it planning {:.1} ms", milliseconds(total), milliseconds(planned));
        for line in lines {
            text.push('\n');
            text.push_str(&line.text);
            if let Some(usage) = line.node.and_then(|node| metrics.usage(node)) {
                text.push_str(&format!("  [{usage}]"));
            }
        }
        Ok(text)
    }

    fn lower(&self, logical: &LogicalPlan, context: &Arc<QueryContext>) -> Result<(LogicalPlan, PhysicalPlan)> {
        guarded(|| {
            let compiler = Compiler::starting_now();
            let optimised = plan::optimize(logical.clone(), compiler.start(), context)?;
            let physical = plan::lower(&optimised, context, &compiler)?;
            Ok((optimised, physical))
        })
    }
}

/// The error of a cast, with what is to be known of types that rest on samples: a text beside a column may be compared as
/// the type that its sample suggests.
fn about_types(error: Error, scans: &[UncertainScan]) -> Error {
    let known = |(spec, columns): &UncertainScan| {
        let field = columns.first().and_then(|&column| spec.schema.fields().get(column))?;
        Some(spec.sample_hint(field.name()))
    };
    match scans.iter().find_map(known) {
        Some(hint) => error.further_hint(hint),
        None => error,
    }
}

/// Names and types as they were promised; NULL where the plan that runs may give one (a scalar subquery without a row).
fn promised(logical: &LogicalPlan, physical: &PhysicalPlan) -> SchemaRef {
    let schema = arrow_schema(logical.schema());
    let fields = schema.fields().iter().zip(physical.schema.fields());
    let fields: Vec<Field> = fields
        .map(|(promised, run)| promised.as_ref().clone().with_nullable(promised.is_nullable() || run.is_nullable()))
        .collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// Stack for planning: parsers and planners recurse into expressions, and a generated condition may have ten thousand
/// terms. Pages that are not touched cost nothing.
const PLANNING_STACK: usize = 512 << 20;

/// Runs `plan`, which calls into foreign planners, with a large stack; their panics become errors, as those of tasks do.
pub(crate) fn guarded<T>(plan: impl FnOnce() -> Result<T>) -> Result<T> {
    // What the closures share is read-only or replaced whole, so nothing half-changed is seen afterwards.
    let caught = || std::panic::catch_unwind(std::panic::AssertUnwindSafe(plan));
    stacker::maybe_grow(PLANNING_STACK / 2, PLANNING_STACK, caught).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(Error::internal(format!("a panic while planning: {}", text.unwrap_or("without a text"))))
    })
}
