//! Places in spill files: sequential, append-only segments, each closed (and so freed) when nothing lives in it.
//!
//! Invariant: `live` is the sum of the extents that exist and never exceeds the cap; with no extent alive no file is
//! open.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::block::Compression;
use super::disk::{SpillDisk, SpillFile};
use crate::config::SpillCap;
use crate::config::bytes::format as human;
use crate::error::{Code, Error, Result};

/// A segment takes no further block once it is this long.
const SEGMENT_BYTES: u64 = 128 << 20;
/// The space of a segment is given back in parts of this length, when nothing lives in them any more. Ranges as they
/// were written would leave a file of thousands of fragments, which some file systems need minutes to take away.
const ZONE_BYTES: u64 = 8 << 20;
const ZONES: usize = (SEGMENT_BYTES / ZONE_BYTES) as usize;

/// A disk that needs longer for a MiB is slower than compressing it: about 400 MB per second.
const SLOW_PACE: u64 = 2_600_000;
/// Over how many bytes the speed of the disk is averaged.
const PACE_MEMORY: u64 = 8 << 20;

/// Where spilled blocks go.
pub(super) struct SpillSpace {
    disk: Box<dyn SpillDisk>,
    current: Mutex<Current>,
    live: AtomicU64,
    written: AtomicU64,
    /// Nanoseconds that the disk lately took for a MiB.
    pace: AtomicU64,
    me: Weak<SpillSpace>,
}

struct Current {
    directory: PathBuf,
    cap: SpillCap,
    /// The cap in bytes, known from the first block on.
    cap_bytes: Option<u64>,
    /// Whether `directory` was made by us.
    made_directory: bool,
    segment: Option<Arc<Segment>>,
    tail: u64,
    segments_made: u64,
}

/// One spill file.
struct Segment {
    file: Box<dyn SpillFile>,
    /// How errors name it.
    name: String,
    live: AtomicU64,
    /// Bytes of each zone that are to be written or live.
    zones: [AtomicU64; ZONES],
    space: Weak<SpillSpace>,
}

/// A range of a segment. Dropping it gives the range back.
pub(super) struct Extent {
    segment: Arc<Segment>,
    offset: u64,
    length: u64,
}

impl SpillSpace {
    pub(super) fn new(disk: Box<dyn SpillDisk>, directory: PathBuf, cap: SpillCap) -> Arc<Self> {
        Arc::new_cyclic(|me| SpillSpace {
            disk,
            current: Mutex::new(Current {
                directory,
                cap,
                cap_bytes: None,
                made_directory: false,
                segment: None,
                tail: 0,
                segments_made: 0,
            }),
            live: AtomicU64::new(0),
            written: AtomicU64::new(0),
            pace: AtomicU64::new(0),
            me: me.clone(),
        })
    }

    /// Bytes on disk now.
    pub(super) fn live(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }

    /// Bytes ever written.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// New segments go to `directory`; what is written stays where it is.
    pub(super) fn set_directory(&self, directory: PathBuf) {
        let mut current = self.current.lock();
        remove_made_directory(&mut current);
        current.directory = directory;
        current.cap_bytes = None;
        let retired = current.segment.take();
        drop(current);
        drop(retired);
    }

    /// Changes the cap for what is written from now on.
    pub(super) fn set_cap(&self, cap: SpillCap) {
        let mut current = self.current.lock();
        current.cap = cap;
        current.cap_bytes = None;
    }

    /// Writes `bytes` into one new extent.
    ///
    /// # Errors
    /// `SPILL_FAILED` naming directory, used, cap and the setting to change.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<Extent> {
        let extent = self.allocate(bytes.len() as u64)?;
        let start = Instant::now();
        match extent.segment.file.write_all_at(bytes, extent.offset) {
            Ok(()) => {
                self.note_pace(start.elapsed(), extent.length);
                self.written.fetch_add(extent.length, Ordering::Relaxed);
                Ok(extent)
            }
            Err(error) => {
                self.retire(&extent.segment);
                drop(extent);
                let directory = self.current.lock().directory.clone();
                Err(self.failure(&directory, &error))
            }
        }
    }

    /// Whether it pays to make blocks smaller before they are written. As long as the system takes them faster than
    /// they can be compressed it does not: processors, not disks, are then what a query waits for.
    pub(super) fn compression(&self) -> Compression {
        let cap = self.current.lock().cap_bytes.unwrap_or(u64::MAX);
        let is_slow = self.pace.load(Ordering::Relaxed) > SLOW_PACE;
        if is_slow || self.live() > cap / 2 { Compression::WhereItPays } else { Compression::Never }
    }

    /// Follows the speed of the disk, with a memory of about eight MiB.
    fn note_pace(&self, elapsed: Duration, length: u64) {
        let nanoseconds = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let weight = length.clamp(1, PACE_MEMORY);
        let pace = nanoseconds.saturating_mul(1 << 20) / length.max(1);
        let old = self.pace.load(Ordering::Relaxed);
        // A lost update between two writers does no harm.
        let new = (old.saturating_mul(PACE_MEMORY - weight) / PACE_MEMORY)
            .saturating_add(pace.saturating_mul(weight) / PACE_MEMORY);
        self.pace.store(new, Ordering::Relaxed);
    }

    fn allocate(&self, length: u64) -> Result<Extent> {
        let mut current = self.current.lock();
        let segment = match &current.segment {
            Some(segment) if current.tail < SEGMENT_BYTES => Arc::clone(segment),
            _ => {
                let directory = current.directory.clone();
                self.open_segment(&mut current).map_err(|error| self.failure(&directory, &error))?
            }
        };
        let cap = self.cap_bytes(&mut current);
        if self.live().saturating_add(length) > cap {
            if segment.live.load(Ordering::Relaxed) == 0 {
                current.segment = None;
            }
            return Err(self.over_cap(&current.directory, length, cap));
        }
        self.live.fetch_add(length, Ordering::Relaxed);
        segment.live.fetch_add(length, Ordering::Relaxed);
        let offset = current.tail;
        current.tail += length;
        Ok(Extent { segment, offset, length })
    }

    /// Opens the next segment, making the directory where there is none.
    fn open_segment(&self, current: &mut Current) -> io::Result<Arc<Segment>> {
        if !current.directory.is_dir() {
            std::fs::create_dir_all(&current.directory)?;
            current.made_directory = true;
        }
        let file = self.disk.create(&current.directory)?;
        current.segments_made += 1;
        let name = format!("spill file {} in '{}'", current.segments_made, current.directory.display());
        let zones = std::array::from_fn(|_| AtomicU64::new(ZONE_BYTES));
        let segment = Arc::new(Segment { file, name, live: AtomicU64::new(0), zones, space: self.me.clone() });
        current.segment = Some(Arc::clone(&segment));
        current.tail = 0;
        Ok(segment)
    }

    /// The cap in bytes. What is free is only asked for once, because what we write is taken from it.
    fn cap_bytes(&self, current: &mut Current) -> u64 {
        let cap = current.cap_bytes.unwrap_or_else(|| match current.cap {
            SpillCap::Bytes(bytes) => bytes,
            SpillCap::PercentOfFree(percent) => {
                let free = self.disk.free_space(&current.directory);
                let share = |free: u64| (free as f64 * percent / 100.0) as u64;
                free.map_or(u64::MAX, |free| share(free).saturating_add(self.live()))
            }
        });
        current.cap_bytes = Some(cap);
        cap
    }

    /// Nothing more goes into `segment`.
    fn retire(&self, segment: &Arc<Segment>) {
        let mut current = self.current.lock();
        if current.segment.as_ref().is_some_and(|known| Arc::ptr_eq(known, segment)) {
            current.segment = None;
        }
    }

    /// Closes `segment` when it is the current one and nothing lives in it.
    fn close_if_empty(&self, segment: &Arc<Segment>) {
        let mut current = self.current.lock();
        let is_current = current.segment.as_ref().is_some_and(|known| Arc::ptr_eq(known, segment));
        // Extents are only made under the lock, so an empty segment stays empty here.
        if is_current && segment.live.load(Ordering::Relaxed) == 0 {
            current.segment = None;
        }
    }

    fn failure(&self, directory: &Path, error: &io::Error) -> Error {
        let directory = directory.display();
        let used = human(self.live());
        if error.kind() == io::ErrorKind::StorageFull {
            let message = format!("the disk of spill directory '{directory}' is full ({used} of it are spilled data)");
            return Error::new(Code::SpillFailed, message).hint(
                "use another disk: SET spill_dir = '/a/folder/with/room'; or more memory: SET memory_limit = '…'",
            );
        }
        let message = format!("spill directory '{directory}' cannot be written: {error} ({used} are spilled there)");
        Error::new(Code::SpillFailed, message).hint("use another folder: SET spill_dir = '/a/writable/folder'")
    }

    fn over_cap(&self, directory: &Path, length: u64, cap: u64) -> Error {
        Error::new(
            Code::SpillFailed,
            format!(
                "spill directory '{}' holds {} of at most {}, no room for {} more",
                directory.display(),
                human(self.live()),
                human(cap),
                human(length)
            ),
        )
        .hint("raise the cap: SET max_spill_size = '…'; or use another folder: SET spill_dir = '/a/folder/with/room'")
    }
}

impl fmt::Debug for SpillSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpillSpace").field("live", &self.live()).finish_non_exhaustive()
    }
}

impl Drop for SpillSpace {
    fn drop(&mut self) {
        remove_made_directory(self.current.get_mut());
    }
}

/// Takes away the directory when we made it; one that has other people's files in it stays.
fn remove_made_directory(current: &mut Current) {
    if std::mem::take(&mut current.made_directory) {
        let _ = std::fs::remove_dir(&current.directory);
    }
}

impl Segment {
    /// Nothing lives in this range any more. Every byte is given back once, so that a zone whose count comes to nothing
    /// was written to its end.
    fn give_back(&self, offset: u64, length: u64) {
        let (mut from, end) = (offset, offset + length);
        while from < end {
            let zone = from / ZONE_BYTES;
            let next = end.min((zone + 1) * ZONE_BYTES);
            // What lies behind the last zone is given back with the file.
            let Some(left) = usize::try_from(zone).ok().and_then(|zone| self.zones.get(zone)) else { return };
            if left.fetch_sub(next - from, Ordering::Relaxed) == next - from {
                self.file.discard(zone * ZONE_BYTES, ZONE_BYTES);
            }
            from = next;
        }
    }
}

impl Extent {
    /// Bytes of the range.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// How errors name the place.
    pub(super) fn place(&self) -> String {
        format!("{} at offset {}", self.segment.name, self.offset)
    }

    /// Cuts the first `length` bytes off into an extent of their own.
    pub(super) fn split(&mut self, length: u64) -> Extent {
        let length = length.min(self.length);
        let first = Extent { segment: Arc::clone(&self.segment), offset: self.offset, length };
        self.offset += length;
        self.length -= length;
        first
    }

    /// Reads the whole range into `bytes`, which is as long.
    ///
    /// # Errors
    /// `SPILL_FAILED` naming file and offset.
    pub(super) fn read(&self, bytes: &mut [u8]) -> Result<()> {
        self.segment.file.read_exact_at(bytes, self.offset).map_err(|error| {
            Error::new(Code::SpillFailed, format!("{} cannot be read back: {error}", self.place()))
                .hint("the disk of the spill directory may be failing: SET spill_dir = '/another/disk'")
        })
    }
}

impl fmt::Debug for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extent({} bytes of {})", self.length, self.place())
    }
}

impl Drop for Extent {
    fn drop(&mut self) {
        if self.length == 0 {
            return;
        }
        let space = self.segment.space.upgrade();
        if let Some(space) = &space {
            space.live.fetch_sub(self.length, Ordering::Relaxed);
        }
        let left = self.segment.live.fetch_sub(self.length, Ordering::Relaxed) - self.length;
        match space {
            Some(space) if left == 0 => space.close_if_empty(&self.segment),
            _ => self.segment.give_back(self.offset, self.length),
        }
    }
}
