//! What a session has found out about files while planning, so that a view and the queries over it look at the same
//! files once.
//!
//! Invariant: something is known of files only as long as their paths, sizes and times of change are those at which they
//! were looked at, and with the same options. Files that had just been changed are looked at again: another change might
//! not have moved their times.

use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use crate::error::Result;
use crate::scan::{FileEntry, Format, Inferred, Options};

/// Files that are remembered in all; the sets that were met first are forgotten first.
const REMEMBERED_FILES: usize = 16 << 10;
/// The coarsest clock of a file system in use.
const CLOCK_STEP: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Default)]
pub struct KnownFiles(Mutex<Vec<Known>>);

struct Known {
    format: Format,
    options: Options,
    files: Vec<FileEntry>,
    inferred: Inferred,
}

impl KnownFiles {
    /// What `infer` finds out about `files`, or found out before.
    ///
    /// # Errors
    /// Those of `infer`.
    pub(super) fn inferred(
        &self,
        format: Format,
        files: &[FileEntry],
        options: &Options,
        infer: impl FnOnce() -> Result<Inferred>,
    ) -> Result<Inferred> {
        let is_it = |known: &Known| known.format == format && known.options == *options && known.files == files;
        if let Some(known) = self.0.lock().iter().find(|known| is_it(known)) {
            return Ok(known.inferred.clone());
        }
        let began = SystemTime::now();
        let inferred = infer()?;
        let is_settled = |file: &FileEntry| {
            file.modified.is_some_and(|time| began.duration_since(time).is_ok_and(|age| age > CLOCK_STEP))
        };
        if files.len() <= REMEMBERED_FILES && files.iter().all(is_settled) {
            let mut known = self.0.lock();
            known.retain(|known| !is_it(known));
            let (options, files, inferred) = (options.clone(), files.to_vec(), inferred.clone());
            known.push(Known { format, options, files, inferred });
            let count = |known: &[Known]| known.iter().map(|known| known.files.len().max(1)).sum::<usize>();
            while count(&known) > REMEMBERED_FILES {
                known.remove(0);
            }
        }
        Ok(inferred)
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;
    use std::sync::Arc;

    use arrow::datatypes::Schema;

    use super::*;

    fn entry(path: &str, size: u64, age: u64) -> FileEntry {
        let modified = Some(SystemTime::now() - Duration::from_secs(age));
        FileEntry { path: path.into(), size, modified, hive_values: Vec::new() }
    }

    /// How often the files are looked at when they are asked about one after the other.
    fn looks(known: &KnownFiles, asked: &[&[FileEntry]]) -> usize {
        let mut looks = 0;
        for files in asked {
            let infer = || {
                looks += 1;
                Ok(Inferred { schema: Arc::new(Schema::empty()), rows: None, options: Options::new() })
            };
            known.inferred(Format::Csv, files, &Options::new(), infer).unwrap();
        }
        looks
    }

    #[test]
    fn the_same_files_are_looked_at_once() {
        let (a, b) = (entry("a", 1, 60), entry("b", 1, 60));
        let (longer, later) = (FileEntry { size: 2, ..a.clone() }, entry("a", 1, 30));
        let known = KnownFiles::default();
        assert_eq!(looks(&known, &[from_ref(&a), from_ref(&a)]), 1);
        assert_eq!(looks(&known, &[from_ref(&longer), from_ref(&later), &[a.clone(), b.clone()], &[b, a]]), 4);
    }

    #[test]
    fn what_was_just_changed_is_looked_at_again() {
        let (fresh, timeless) = (entry("a", 1, 0), FileEntry { modified: None, ..entry("a", 1, 60) });
        let known = KnownFiles::default();
        assert_eq!(looks(&known, &[from_ref(&fresh), from_ref(&fresh)]), 2);
        assert_eq!(looks(&known, &[from_ref(&timeless), from_ref(&timeless)]), 2);
    }

    #[test]
    fn no_more_than_so_many_files_are_remembered() {
        let known = KnownFiles::default();
        let many: Vec<Vec<FileEntry>> = (0..3).map(|index| vec![entry("a", index, 60); REMEMBERED_FILES / 2]).collect();
        assert_eq!(looks(&known, &[&many[0], &many[1], &many[2], &many[1], &many[2]]), 3);
        assert_eq!(looks(&known, &[&many[0]]), 1);
        let too_many = vec![entry("a", 1, 60); REMEMBERED_FILES + 1];
        assert_eq!(looks(&known, &[&too_many, &too_many]), 2);
    }
}
