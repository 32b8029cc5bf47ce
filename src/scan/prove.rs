//! Types that were inferred from samples, and what all values together say.
//!
//! A sample may miss a value that does not fit the type it suggests. So a scan's options name the columns whose types
//! are not certain; whoever runs a query over them keeps its rows back until every value has been read or looked at,
//! and plans anew with the types that hold ([`ScanSpec::proven`]) where one did not fit. In the same way files whose rows
//! name their columns (JSON) may have some that no sample shows.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};

use crate::cancel::CancelToken;
use crate::error::Result;
use crate::scan::options::texts;
use crate::scan::{OptionValue, ScanSpec, reader};

/// Where inference leaves the names of the columns whose types rest on a sample: it is no option of the user's.
pub const UNPROVEN: &str = "unproven";

/// Where inference says that the files may have more columns than the samples show.
pub const MORE_COLUMNS: &str = "more_columns";

impl ScanSpec {
    /// Whether some of the files can be read only once, so that their types cannot be looked at again.
    pub fn comes_once(&self) -> bool {
        self.files.iter().any(|file| file.path.comes_once())
    }

    /// Of the columns `columns` (indexes into the schema) those whose types rest on a sample.
    pub fn unproven(&self, columns: &[usize]) -> Vec<usize> {
        let names = texts(&self.options, UNPROVEN).ok().flatten().unwrap_or_default();
        let fields = self.schema.fields();
        let rests = |column: &&usize| fields.get(**column).is_some_and(|field| names.contains(field.name()));
        columns.iter().filter(rests).copied().collect()
    }

    /// What whoever is surprised by the type of `column`, which rests on a sample, should know.
    pub fn sample_hint(&self, column: &str) -> String {
        let (quoted, file) = (column.replace('\'', "''"), self.files.first().map_or("", |file| file.path.as_str()));
        format!(
            "the type of \"{column}\" was inferred from a sample of '{file}'; types => {{'{quoted}': 'VARCHAR'}} states another"
        )
    }

    /// Whether rows may have columns that no sample shows, and a scan of `columns` would leave them out: it asks for all.
    pub fn may_have_more(&self, columns: &[usize]) -> bool {
        let in_files = self.schema.fields().len().saturating_sub(self.hive_columns);
        self.options.contains_key(MORE_COLUMNS) && (0..in_files).all(|column| columns.contains(&column))
    }

    /// The types of columns after looking at all of their values, by name, and those of columns that no sample showed.
    ///
    /// # Errors
    /// What reading finds.
    pub fn prove(&self, columns: &[usize], cancel: &CancelToken) -> Result<Vec<(String, DataType)>> {
        reader(self.format)?.prove(self, columns, cancel)
    }

    /// The same scan with types that are certain, and the columns that it did not know.
    #[must_use]
    pub fn proven(mut self, types: &[(String, DataType)]) -> Self {
        let known = |name: &str| types.iter().find(|(other, _)| other == name).map(|(_, data_type)| data_type);
        let field = |field: &Arc<Field>| match known(field.name()) {
            Some(data_type) => Arc::new(field.as_ref().clone().with_data_type(data_type.clone())),
            None => field.clone(),
        };
        let mut fields: Vec<_> = self.schema.fields().iter().map(field).collect();
        let added = types.iter().filter(|(name, _)| self.schema.field_with_name(name).is_err());
        // What the path tells stands behind what the files have.
        let behind = fields.len().saturating_sub(self.hive_columns);
        let added = added.map(|(name, data_type)| Arc::new(Field::new(name, data_type.clone(), true)));
        fields.splice(behind..behind, added.collect::<Vec<_>>());
        self.options.remove(MORE_COLUMNS);
        self.schema = Arc::new(Schema::new_with_metadata(fields, self.schema.metadata().clone()));
        if let Some(OptionValue::List(names)) = self.options.get_mut(UNPROVEN) {
            names.retain(|name| !matches!(name, OptionValue::Text(name) if known(name).is_some()));
        }
        self
    }
}
