//! The end of the pipeline that writes a query's rows into a folder.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::partition;
use arrow::datatypes::SchemaRef;

use super::WriteFolder;
use crate::batch::{SourceRef, conformed};
use crate::error::Result;
use crate::ops::write::FileWriter;
use crate::ops::{Flow, Sink, SinkWork};
use crate::store::{QueryContext, StoredRows};

/// Writes rows, sorted by the columns of the partitions where there are some, into files of a folder.
pub struct WriteFiles {
    folder: Arc<WriteFolder>,
}

impl WriteFiles {
    pub fn new(folder: &Arc<WriteFolder>) -> Self {
        WriteFiles { folder: folder.clone() }
    }
}

impl Sink for WriteFiles {
    type Work = FilesWork;
    type Part = ();

    fn name(&self) -> &'static str {
        "Write"
    }

    fn describe(&self) -> String {
        match self.folder.folder.partition_by.as_slice() {
            [] => "files".to_owned(),
            names => format!("files by {}", names.join(", ")),
        }
    }

    fn schema(&self) -> SchemaRef {
        self.folder.schema.clone()
    }

    fn open(&self, context: &Arc<QueryContext>) -> Result<FilesWork> {
        Ok(FilesWork { folder: self.folder.clone(), context: context.clone(), open: None })
    }

    fn combine(&self, _context: &Arc<QueryContext>, _parts: Vec<()>) -> Result<SourceRef> {
        if self.folder.keys.is_empty() && self.folder.state.lock().files.is_empty() {
            // A file without rows has the columns' names at least.
            self.folder.written(self.folder.file("")?.finish()?);
        }
        Ok(Arc::new(StoredRows::empty(self.schema())))
    }
}

/// One lane that writes: one file at a time.
pub struct FilesWork {
    folder: Arc<WriteFolder>,
    context: Arc<QueryContext>,
    open: Option<OpenFile>,
}

struct OpenFile {
    directory: String,
    writer: FileWriter,
}

impl FilesWork {
    fn close(&mut self) -> Result<()> {
        if let Some(open) = self.open.take() {
            self.folder.written(open.writer.finish()?);
        }
        Ok(())
    }

    /// Writes rows of one partition.
    fn write(&mut self, directory: &str, rows: &RecordBatch) -> Result<()> {
        if self.open.as_ref().is_some_and(|open| open.directory != directory) {
            self.close()?;
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                let writer = self.folder.file(directory)?;
                none.insert(OpenFile { directory: directory.to_string(), writer })
            }
        };
        open.writer.write(&rows.project(&self.folder.kept)?)?;
        let is_full = self.folder.folder.file_bytes.is_some_and(|most| open.writer.bytes() >= most);
        if is_full { self.close() } else { Ok(()) }
    }
}

impl SinkWork for FilesWork {
    type Part = ();

    fn push(&mut self, _split: usize, batch: RecordBatch) -> Result<Flow> {
        self.context.cancel.check()?;
        if batch.num_rows() == 0 {
            return Ok(Flow::More);
        }
        let batch = conformed(batch, &self.folder.schema)?;
        if self.folder.keys.is_empty() {
            self.write("", &batch)?;
            return Ok(Flow::More);
        }
        let keys: Vec<ArrayRef> = self.folder.keys.iter().map(|&key| batch.column(key).clone()).collect();
        for range in partition(&keys)?.ranges() {
            let directory = self.folder.directory(&batch, range.start)?;
            self.write(&directory, &batch.slice(range.start, range.len()))?;
        }
        Ok(Flow::More)
    }

    fn finish(mut self) -> Result<()> {
        self.close()
    }
}
