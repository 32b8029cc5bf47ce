//! Files as one-way streams, inflated on the way.
//!
//! Invariant: the stream ends only where the compressed data says that it ends. A cut or damaged file gives an
//! error with its path and the byte of the compressed file at which it was noticed. The error travels through
//! [`std::io::Error`] and comes out whole by `Error::from`.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Code, Error, Result};
use crate::io::input::{InputFile, Sequential};
use crate::io::{Compression, Location, refused};

/// Bytes of the compressed file that are read at a time.
const READ_BYTES: usize = 256 * 1024;

/// Opens `path` and inflates it while it is read. Compressed files may have several members.
///
/// # Errors
/// When the file cannot be opened. Later errors come out of `read`; turn them back with `Error::from`.
pub fn open_stream(path: &Location, compression: Compression) -> Result<Box<dyn Read + Send>> {
    Ok(Box::new(open_counted_stream(path, compression)?))
}

/// As [`open_stream`], and tells how many bytes of the file are used up.
///
/// # Errors
/// As `open_stream`.
pub fn open_counted_stream(path: &Location, compression: Compression) -> Result<CountedStream> {
    let file = Sequential::new(InputFile::open(path)?);
    let consumed = Arc::new(AtomicU64::new(0));
    let input = Counted { inner: BufReader::with_capacity(READ_BYTES, file), consumed: consumed.clone() };
    let inner = compression.inflated(input).map_err(|error| refused(path, "inflate", &error))?;
    let named = Named { inner, path: path.to_string(), compression, consumed: consumed.clone(), given: false };
    Ok(CountedStream { inner: Box::new(named), consumed })
}

/// A stream that knows how many bytes of the file the decoder has used up.
pub struct CountedStream {
    inner: Box<dyn Read + Send>,
    consumed: Arc<AtomicU64>,
}

impl CountedStream {
    /// Bytes of the (compressed) file that are used up.
    pub fn consumed(&self) -> u64 {
        self.consumed.load(Ordering::Relaxed)
    }

    /// The same file, read through something else.
    #[must_use]
    pub fn through(self, reader: impl FnOnce(Box<dyn Read + Send>) -> Box<dyn Read + Send>) -> Self {
        CountedStream { inner: reader(self.inner), consumed: self.consumed }
    }
}

impl Read for CountedStream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.inner.read(buffer)
    }
}

/// Counts the bytes that the decoder has used up.
struct Counted {
    inner: BufReader<Sequential>,
    consumed: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.consumed.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl BufRead for Counted {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.consumed.fetch_add(count as u64, Ordering::Relaxed);
        self.inner.consume(count);
    }
}

/// Gives every error its path and place.
struct Named {
    inner: Box<dyn Read + Send>,
    path: String,
    compression: Compression,
    consumed: Arc<AtomicU64>,
    /// Whether any byte has come out.
    given: bool,
}

impl Named {
    /// The error with its path and place; what is ours already (the file could not be read) stays as it is.
    fn placed(&self, error: std::io::Error) -> Error {
        match error.get_ref() {
            Some(inner) if inner.is::<Error>() => Error::from(error),
            _ => self.damaged(&error),
        }
    }

    fn damaged(&self, error: &std::io::Error) -> Error {
        let (path, at) = (&self.path, self.consumed.load(Ordering::Relaxed));
        if self.compression == Compression::None {
            return refused(path, &format!("read at byte {at} of"), error);
        }
        let kind = self.compression.name();
        let what = match error.kind() {
            std::io::ErrorKind::UnexpectedEof => format!("is cut off: the {kind} data ends early"),
            _ => format!("holds damaged {kind} data ({error})"),
        };
        Error::new(Code::InvalidData, format!("'{path}' {what}, noticed at byte {at} of the compressed file"))
            .hint("copy or download the file again")
    }
}

impl Read for Named {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.inner.read(buffer) {
                Ok(0) if !self.given && !buffer.is_empty() && self.compression != Compression::None => {
                    self.given = true;
                    if self.consumed.load(Ordering::Relaxed) == 0 {
                        let error = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                        return Err(std::io::Error::other(self.damaged(&error)));
                    }
                    return Ok(0);
                }
                Ok(count) => {
                    self.given |= count > 0;
                    return Ok(count);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(std::io::Error::other(self.placed(error))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    /// `data` compressed in every way there is.
    fn compressed(data: &[u8]) -> Vec<(Vec<u8>, Compression)> {
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(data).unwrap();
        let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
        xz.write_all(data).unwrap();
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(data).unwrap();
        vec![
            (gzip(data), Compression::Gzip),
            (zstd::encode_all(data, 1).unwrap(), Compression::Zstd),
            (bzip2.finish().unwrap(), Compression::Bzip2),
            (xz.finish().unwrap(), Compression::Xz),
            (lz4.finish().unwrap(), Compression::Lz4),
        ]
    }

    fn read_all(bytes: &[u8], compression: Compression) -> Result<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.bin");
        std::fs::write(&path, bytes).unwrap();
        let mut all = Vec::new();
        open_stream(&path.to_str().unwrap().into(), compression)?.read_to_end(&mut all)?;
        Ok(all)
    }

    fn noise() -> Vec<u8> {
        (0..50_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
    }

    #[test]
    fn several_members_are_one_stream() {
        for ((one, compression), (two, _)) in compressed(b"one,").into_iter().zip(compressed(b"two")) {
            assert_eq!(Compression::of_bytes(&one), compression);
            let bytes = [one, two.clone(), two].concat();
            assert_eq!(read_all(&bytes, compression).unwrap(), b"one,twotwo", "{compression:?}");
        }
        for (nothing, compression) in compressed(b"") {
            assert_eq!(read_all(&nothing, compression).unwrap(), b"", "{compression:?}");
        }
    }

    #[test]
    fn every_cut_of_a_compressed_file_is_an_error() {
        let data = noise();
        for (whole, compression) in compressed(&data) {
            assert_eq!(read_all(&whole, compression).unwrap(), data);
            // LZ4 blocks of 64 kB that do not shrink: cuts between two blocks as well.
            let block = 7 + 4 + (64 << 10);
            let cuts =
                [0, 1, 4, 5, 7, 9, 12, block, whole.len() / 2, whole.len() - 9, whole.len() - 4, whole.len() - 1];
            for cut in cuts {
                let error = read_all(&whole[..cut], compression).unwrap_err();
                assert_eq!(error.code(), Code::InvalidData, "{compression:?} {cut} {error}");
                assert!(error.message().contains("data.bin"), "{error}");
                assert!(error.message().contains(&format!("byte {cut} ")), "{compression:?} cut at {cut}: {error}");
            }
            // Within a second member.
            for cut in [1, 5, 20] {
                let twice = [&whole[..], &whole[..cut]].concat();
                assert!(read_all(&twice, compression).is_err(), "{compression:?} {cut}");
            }
        }
    }

    #[test]
    fn a_changed_byte_is_an_error() {
        for (whole, compression) in compressed(&noise()) {
            let mut bytes = whole.clone();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x55;
            // Blocks and frames of LZ4 carry sums only when asked.
            if compression != Compression::Lz4 && compression != Compression::Zstd {
                assert_eq!(read_all(&bytes, compression).unwrap_err().code(), Code::InvalidData, "{compression:?}");
            }
            assert!(read_all(b"plain text", compression).is_err(), "{compression:?}");
        }
    }
}
