//! Settings with human units, the same for the library's builder, the program's flags and `SET`.
//!
//! Invariant: `set(name, &get(name)?)` changes nothing. Settings are values only: whoever changes one tells the
//! budget, the storage and the store (`Budget::set_limit`, `Store::set_spill_dir`, `Store::set_max_spill_size`).

pub mod bytes;
mod ordering;
mod stores;

pub use ordering::{NullOrder, Ordering};
pub use stores::StoreSettings;

use std::path::PathBuf;

use crate::error::{Code, Error, Result};

/// The share of the memory of the cgroup or machine that is used when nothing is said.
const DEFAULT_MEMORY_PERCENT: f64 = 60.0;
/// What is assumed when the system does not say how much memory it has.
const UNKNOWN_MACHINE_MEMORY: u64 = 4 << 30;
/// The least memory with which the engine can do anything useful.
const LEAST_MEMORY: u64 = 1 << 20;
/// The least similarity of two names for one to be offered instead of the other.
const LEAST_SIMILARITY: f64 = 0.7;

/// A cap on bytes on disk.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SpillCap {
    /// So many bytes.
    Bytes(u64),
    /// This percentage of what is free on the disk of the spill directory when the first byte is written.
    PercentOfFree(f64),
}

impl Default for SpillCap {
    fn default() -> Self {
        SpillCap::PercentOfFree(90.0)
    }
}

/// What can be set for a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Bytes that the process may use.
    pub memory_limit: u64,
    /// Workers, at least 1.
    pub threads: usize,
    /// Where batches go that do not fit in memory.
    pub spill_dir: PathBuf,
    /// The most that may lie there at any one time.
    pub max_spill_size: SpillCap,
    /// Rows per batch that operators aim at, at least 1.
    pub batch_size: usize,
    /// Whether the program shows how far a query is.
    pub progress_bar: bool,
    /// How rows are sorted where a statement does not say it.
    pub ordering: Ordering,
    /// How object stores are spoken to.
    pub stores: StoreSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            memory_limit: (machine_memory() as f64 * DEFAULT_MEMORY_PERCENT / 100.0) as u64,
            threads: std::thread::available_parallelism().map_or(1, |threads| threads.get()),
            spill_dir: std::env::temp_dir(),
            max_spill_size: SpillCap::default(),
            batch_size: 8192,
            progress_bar: true,
            ordering: Ordering::default(),
            stores: StoreSettings::default(),
        }
    }
}

/// More workers than any machine has processors only cost memory.
const MOST_THREADS: usize = 1024;

/// Name and description of every setting but those of stores, in the order in which they are listed.
const DESCRIPTIONS: [(&str, &str); 8] = [
    ("memory_limit", "memory the process may use: a size or a percentage of what the machine has"),
    ("threads", "number of workers"),
    ("spill_dir", "folder for what does not fit in memory"),
    ("max_spill_size", "most bytes in the spill folder at any one time: a size or a percentage of what is free there"),
    ("batch_size", "rows per batch"),
    ("enable_progress_bar", "whether the program shows on a terminal how far a query is"),
    ("default_order", "the direction of ORDER BY where none is written: ascending or descending"),
    ("default_null_order", "where ORDER BY puts NULLs where nothing is written: nulls_last or nulls_first"),
];

impl Settings {
    /// Sets `name` (in any case) from its text form.
    ///
    /// # Errors
    /// `UNKNOWN_SETTING`, with the nearest name; `INVALID_SETTING`, with the forms that are allowed.
    ///
    /// ```
    /// let mut settings = floe::config::Settings::default();
    /// settings.set("memory_limit", "512MB").unwrap();
    /// assert_eq!(settings.memory_limit, 512_000_000);
    /// ```
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "memory_limit" => self.memory_limit = parse_memory_limit(value)?,
            "threads" => self.threads = parse_threads(value)?,
            "spill_dir" => self.spill_dir = parse_spill_dir(value)?,
            "max_spill_size" => self.max_spill_size = parse_spill_cap(value)?,
            "batch_size" => self.batch_size = parse_count("batch_size", value)?,
            "enable_progress_bar" => self.progress_bar = parse_flag("enable_progress_bar", value)?,
            "default_order" => self.ordering.descending = ordering::parse_direction(value)?,
            "default_null_order" | "null_order" => self.ordering.nulls = value.parse()?,
            _ => return self.stores.set(&name, value).unwrap_or_else(|| Err(unknown_setting(&name))),
        }
        Ok(())
    }

    /// The text form of setting `name` (in any case), as `set` takes it.
    ///
    /// # Errors
    /// `UNKNOWN_SETTING`, with the nearest name.
    pub fn get(&self, name: &str) -> Result<String> {
        let name = name.to_ascii_lowercase();
        Ok(match name.as_str() {
            "memory_limit" => bytes::format_exact(self.memory_limit),
            "threads" => self.threads.to_string(),
            "spill_dir" => self.spill_dir.display().to_string(),
            "max_spill_size" => match self.max_spill_size {
                SpillCap::Bytes(size) => bytes::format_exact(size),
                SpillCap::PercentOfFree(percent) => format!("{percent}%"),
            },
            "batch_size" => self.batch_size.to_string(),
            "enable_progress_bar" => self.progress_bar.to_string(),
            "default_order" => ordering::direction(self.ordering.descending).to_string(),
            "default_null_order" | "null_order" => self.ordering.nulls.to_string(),
            _ => return self.stores.get(&name).ok_or_else(|| unknown_setting(&name)),
        })
    }

    /// Every setting: name, value, description.
    pub fn all(&self) -> Vec<(&'static str, String, &'static str)> {
        let value = |name| self.get(name).unwrap_or_default();
        descriptions().map(|(name, description)| (name, value(name), description)).collect()
    }
}

/// Name and description of every setting.
fn descriptions() -> impl Iterator<Item = (&'static str, &'static str)> {
    DESCRIPTIONS.into_iter().chain(stores::DESCRIPTIONS)
}

/// The memory of the cgroup or the machine, whichever is smaller.
fn machine_memory() -> u64 {
    effective_limits::memory_limit().unwrap_or(UNKNOWN_MACHINE_MEMORY)
}

fn parse_memory_limit(value: &str) -> Result<u64> {
    let limit = match bytes::parse_percent(value).map_err(|error| error.context("memory_limit"))? {
        Some(percent) => (machine_memory() as f64 * percent / 100.0) as u64,
        None => bytes::parse(value).map_err(|_| {
            Error::new(Code::InvalidSetting, format!("memory_limit cannot be '{value}'"))
                .hint("it is a size ('512MB', '1.5GB', '2GiB', plain bytes) or a percentage of the memory ('60%')")
        })?,
    };
    if limit < LEAST_MEMORY {
        let least = bytes::format_exact(LEAST_MEMORY);
        return Err(Error::new(
            Code::InvalidSetting,
            format!("memory_limit cannot be '{value}'; the least is {least}"),
        ));
    }
    Ok(limit)
}

fn parse_spill_cap(value: &str) -> Result<SpillCap> {
    if let Some(percent) = bytes::parse_percent(value).map_err(|error| error.context("max_spill_size"))? {
        return Ok(SpillCap::PercentOfFree(percent));
    }
    bytes::parse(value).map(SpillCap::Bytes).map_err(|_| {
        Error::new(Code::InvalidSetting, format!("max_spill_size cannot be '{value}'"))
            .hint("it is a size ('10GB', '512MiB', plain bytes, 0 for none) or a percentage of what is free ('90%')")
    })
}

fn parse_spill_dir(value: &str) -> Result<PathBuf> {
    if value.is_empty() {
        return Err(Error::new(Code::InvalidSetting, "spill_dir cannot be empty").hint("it is the path of a folder"));
    }
    Ok(PathBuf::from(value))
}

fn parse_threads(value: &str) -> Result<usize> {
    let threads = parse_count("threads", value)?;
    if threads > MOST_THREADS {
        return Err(Error::new(Code::InvalidSetting, format!("threads cannot be {threads}"))
            .hint(format!("{MOST_THREADS} is the most; more than the machine has processors seldom helps")));
    }
    Ok(threads)
}

fn parse_count(name: &str, value: &str) -> Result<usize> {
    match value.trim().parse::<usize>() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(Error::new(Code::InvalidSetting, format!("{name} cannot be '{value}'"))
            .hint("it is a whole number of at least 1")),
    }
}

fn parse_flag(name: &str, value: &str) -> Result<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "true" | "on" | "1" => Ok(true),
        "false" | "off" | "0" => Ok(false),
        _ => Err(Error::new(Code::InvalidSetting, format!("{name} cannot be '{value}'")).hint("it is true or false")),
    }
}

fn unknown_setting(name: &str) -> Error {
    let error = Error::new(Code::UnknownSetting, format!("there is no setting '{name}'"));
    let similarity = |known: &str| strsim::jaro_winkler(&name.to_ascii_lowercase(), known);
    let nearest = descriptions().map(|(known, _)| (similarity(known), known)).max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((score, known)) if score >= LEAST_SIMILARITY => error.hint(format!("did you mean '{known}'?")),
        _ => {
            let names: Vec<_> = descriptions().map(|(known, _)| known).collect();
            error.hint(format!("the settings are {}", names.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_reads_back_what_it_says() {
        let mut settings = Settings::default();
        for (name, value, description) in settings.clone().all() {
            assert!(!description.is_empty());
            settings.set(name, &value).unwrap();
            assert_eq!(settings.get(name).unwrap(), value, "{name}");
        }
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn names_match_without_regard_to_case() {
        let mut settings = Settings::default();
        settings.set("Memory_Limit", "1GB").unwrap();
        assert_eq!(settings.get("MEMORY_LIMIT").unwrap(), "1GB");
    }

    #[test]
    fn an_unknown_setting_offers_the_nearest_name() {
        let error = Settings::default().set("memorylimit", "1GB").unwrap_err();
        assert_eq!(error.code(), Code::UnknownSetting);
        assert_eq!(error.hint_text(), Some("did you mean 'memory_limit'?"));
        let error = Settings::default().get("zzz").unwrap_err();
        assert!(error.hint_text().unwrap().contains("spill_dir"));
    }

    #[test]
    fn invalid_values_say_which_forms_are_allowed_and_change_nothing() {
        let mut settings = Settings::default();
        for (name, value) in [
            ("memory_limit", "lots"),
            ("memory_limit", "0"),
            ("memory_limit", "120%"),
            ("threads", "0"),
            ("threads", "-3"),
            ("batch_size", "1.5"),
            ("max_spill_size", "half"),
            ("spill_dir", ""),
        ] {
            let error = settings.set(name, value).unwrap_err();
            assert_eq!(error.code(), Code::InvalidSetting, "{name} = {value}");
        }
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn memory_may_be_a_share_of_the_machine() {
        let mut settings = Settings::default();
        settings.set("memory_limit", "50%").unwrap();
        assert!(settings.memory_limit < machine_memory() && settings.memory_limit > machine_memory() / 3);
    }
}
