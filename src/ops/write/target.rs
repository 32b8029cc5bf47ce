//! Where the bytes of a file go: a temporary file that takes the file's name at the end, or an object of a store; perhaps
//! through a compressor.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::NamedTempFile;

use crate::error::{Code, Error, Result};
use crate::io::{Location, Upload};
use crate::memory::Budget;
use crate::ops::write::{WriteCompression, WriteOptions};

/// Bytes that are gathered before they go to the operating system.
const BUFFER: usize = 256 * 1024;

/// Level of zstd for text: about as fast as the text is written.
const ZSTD_LEVEL: i32 = 3;

/// A file that appears whole.
pub(super) struct Target {
    file: BufWriter<Place>,
    written: Arc<AtomicU64>,
}

enum Place {
    Temporary { file: NamedTempFile, path: PathBuf },
    Direct(File),
    Object(Box<Upload>),
}

impl Target {
    pub(super) fn create(location: &Location, budget: &Budget) -> Result<Self> {
        if location.is_remote() {
            let place = Place::Object(Box::new(Upload::create(location, budget)?));
            return Ok(Target { file: BufWriter::with_capacity(BUFFER, place), written: Arc::default() });
        }
        let path = Path::new(location.path()?);
        let place = match std::fs::metadata(path) {
            Ok(old) if old.is_dir() => {
                return Err(Error::new(Code::Io, "it is a folder").hint("name a file in it"));
            }
            Ok(old) if !old.is_file() => Place::Direct(OpenOptions::new().write(true).open(path)?),
            _ => temporary(path)?,
        };
        Ok(Target { file: BufWriter::with_capacity(BUFFER, place), written: Arc::default() })
    }

    /// Whether nothing was written yet.
    pub(super) fn is_empty(&self) -> bool {
        self.written.load(Ordering::Relaxed) == 0
    }

    /// Counts the bytes that were written.
    pub(super) fn counter(&self) -> Arc<AtomicU64> {
        self.written.clone()
    }

    /// Writes what is buffered and gives the file its name.
    pub(super) fn finish(self) -> Result<()> {
        let place = self.file.into_inner().map_err(|error| Error::from(error.into_error()))?;
        match place {
            Place::Temporary { file, path } => file.persist(path).map(drop).map_err(|error| error.error.into()),
            Place::Direct(mut file) => Ok(file.flush()?),
            Place::Object(upload) => (*upload).finish(),
        }
    }
}

fn temporary(path: &Path) -> Result<Place> {
    // A link keeps pointing where it did: what is replaced is the file behind it.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        let message = format!("there is no folder {:?}", folder.display().to_string());
        return Err(Error::new(Code::FileNotFound, message).hint("make it first"));
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".floe-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any new file; the process's mask takes away what it does not want.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    Ok(Place::Temporary { file: builder.tempfile_in(folder)?, path })
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.written.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl Write for Place {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Place::Temporary { file, .. } => file.write(bytes),
            Place::Direct(file) => file.write(bytes),
            Place::Object(upload) => upload.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Place::Temporary { file, .. } => file.flush(),
            Place::Direct(file) => file.flush(),
            Place::Object(upload) => upload.flush(),
        }
    }
}

/// Bytes on their way through a compressor, or as they are.
pub(super) enum Stream<W: Write> {
    Plain(W),
    Gzip(GzEncoder<W>),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Stream<W> {
    pub(super) fn new(out: W, compression: WriteCompression) -> Result<Self> {
        Ok(match compression {
            WriteCompression::Gzip => Stream::Gzip(GzEncoder::new(out, Compression::default())),
            WriteCompression::Zstd => Stream::Zstd(zstd::Encoder::new(out, ZSTD_LEVEL)?),
            _ => Stream::Plain(out),
        })
    }

    /// Ends the compressed stream; what it went to.
    pub(super) fn finish(self) -> Result<W> {
        Ok(match self {
            Stream::Plain(out) => out,
            Stream::Gzip(encoder) => encoder.finish()?,
            Stream::Zstd(encoder) => encoder.finish()?,
        })
    }
}

/// The compression of the text file at `location`: the options', or what the last part of its name says.
///
/// # Errors
/// `INVALID_SETTING` for one that text files do not have.
pub(super) fn compression_of(location: &Location, options: &WriteOptions) -> Result<WriteCompression> {
    let compression = options.compression.unwrap_or_else(|| named(Path::new(location.as_str())));
    if matches!(compression, WriteCompression::Snappy | WriteCompression::Lz4) {
        return Err(Error::new(Code::InvalidSetting, "text files are compressed by gzip or zstd only"));
    }
    Ok(compression)
}

/// What the last part of the name says.
fn named(path: &Path) -> WriteCompression {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some(extension) if extension.eq_ignore_ascii_case("gz") => WriteCompression::Gzip,
        Some(extension) if extension.eq_ignore_ascii_case("zst") => WriteCompression::Zstd,
        _ => WriteCompression::None,
    }
}

impl<W: Write> Write for Stream<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Stream::Plain(out) => out.write(bytes),
            Stream::Gzip(encoder) => encoder.write(bytes),
            Stream::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Stream::Plain(out) => out.flush(),
            Stream::Gzip(encoder) => encoder.flush(),
            Stream::Zstd(encoder) => encoder.flush(),
        }
    }
}
