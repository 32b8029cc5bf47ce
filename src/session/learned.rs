//! What a session has learned of the types of files' columns.
//!
//! Inference looks at samples of large files. Where a query met a value that the sample did not promise, all values of
//! the columns were looked at; what they are is kept here, for the same statement planned anew and for all later ones
//! over the same files.
//!
//! Invariant: a type is used only for the same files, of the same sizes, read with the same options.

use arrow::datatypes::DataType;
use parking_lot::Mutex;

use crate::scan::{FileEntry, MORE_COLUMNS, Options, ScanSpec, UNPROVEN};

/// File sets that are remembered; the oldest is forgotten first.
const REMEMBERED: usize = 64;

/// See the module.
#[derive(Default)]
pub(crate) struct Learned(Mutex<Vec<Lesson>>);

struct Lesson {
    patterns: Vec<String>,
    options: Options,
    files: Vec<FileEntry>,
    types: Vec<(String, DataType)>,
}

impl Lesson {
    fn is_about(&self, spec: &ScanSpec) -> bool {
        let same = |(name, value): (&String, _)| {
            [UNPROVEN, MORE_COLUMNS].contains(&name.as_str()) || self.options.get(name) == Some(value)
        };
        self.patterns == spec.patterns && self.files == spec.files && spec.options.iter().all(same)
    }
}

impl Learned {
    /// Notes the types of columns of `spec`; true when they are those that the spec has.
    pub(crate) fn learn(&self, spec: &ScanSpec, types: &[(String, DataType)]) -> bool {
        let held = |(name, data_type): &(String, DataType)| {
            spec.schema.field_with_name(name).is_ok_and(|field| field.data_type() == data_type)
        };
        let mut lessons = self.0.lock();
        match lessons.iter_mut().find(|lesson| lesson.is_about(spec)) {
            Some(lesson) => {
                lesson.types.retain(|(name, _)| !types.iter().any(|(other, _)| other == name));
                lesson.types.extend_from_slice(types);
            }
            None => {
                if lessons.len() >= REMEMBERED {
                    lessons.remove(0);
                }
                let (patterns, options) = (spec.patterns.clone(), spec.options.clone());
                lessons.push(Lesson { patterns, options, files: spec.files.clone(), types: types.to_vec() });
            }
        }
        types.iter().all(held)
    }

    /// The scan with what is known of its types.
    pub(crate) fn apply(&self, spec: ScanSpec) -> ScanSpec {
        let lessons = self.0.lock();
        match lessons.iter().find(|lesson| lesson.is_about(&spec)) {
            Some(lesson) => spec.proven(&lesson.types),
            None => spec,
        }
    }
}
