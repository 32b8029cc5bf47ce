//! Compression of pages.

use std::io::Write;

use flate2::write::GzEncoder;
use parquet::basic::Compression;

use crate::error::{Error, Result};

/// Compresses one page after another.
pub(super) enum Codec {
    None,
    Snappy(Box<snap::raw::Encoder>),
    Gzip,
    Zstd(zstd::bulk::Compressor<'static>),
    Lz4,
}

impl Codec {
    /// # Errors
    /// An internal error for a compression that is not offered.
    pub(super) fn new(compression: Compression) -> Result<Self> {
        Ok(match compression {
            Compression::UNCOMPRESSED => Codec::None,
            Compression::SNAPPY => Codec::Snappy(Box::new(snap::raw::Encoder::new())),
            Compression::GZIP(_) => Codec::Gzip,
            Compression::ZSTD(level) => Codec::Zstd(zstd::bulk::Compressor::new(level.compression_level())?),
            Compression::LZ4_RAW => Codec::Lz4,
            other => return Err(Error::internal(format!("no compression of Parquet pages by {other}"))),
        })
    }

    /// Writes the compressed form of `page` into `out`, which is emptied before.
    pub(super) fn compress(&mut self, page: &[u8], out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        match self {
            Codec::None => out.extend_from_slice(page),
            Codec::Snappy(encoder) => {
                out.resize(snap::raw::max_compress_len(page.len()), 0);
                let length = encoder.compress(page, out).map_err(|error| Error::internal(error.to_string()))?;
                out.truncate(length);
            }
            Codec::Gzip => {
                let mut encoder = GzEncoder::new(&mut *out, flate2::Compression::default());
                encoder.write_all(page)?;
                encoder.finish()?;
            }
            Codec::Zstd(compressor) => {
                out.reserve(zstd::zstd_safe::compress_bound(page.len()));
                compressor.compress_to_buffer(page, out)?;
            }
            Codec::Lz4 => {
                out.resize(lz4_flex::block::get_maximum_output_size(page.len()), 0);
                let length =
                    lz4_flex::block::compress_into(page, out).map_err(|error| Error::internal(error.to_string()))?;
                out.truncate(length);
            }
        }
        Ok(())
    }
}
