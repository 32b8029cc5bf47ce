//! How a file is compressed as a whole, by name; and what inflates it.
//!
//! Every form may be several members (streams, frames) one after the other, which inflate to one text.
//!
//! # Known limitation
//! Skippable frames and dictionaries of LZ4 are refused, and xz files that need more than 256 MB to inflate.

use std::io::{BufRead, Read};

use crate::io::lz4::Lz4Frames;

/// Kilobytes that inflating xz may take; `xz -9` needs 65 MB.
const XZ_KILOBYTES: u32 = 256 << 10;

/// How a file is compressed as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
    Bzip2,
    Xz,
    Lz4,
}

impl Compression {
    /// Every form but none.
    pub const ALL: [Compression; 5] =
        [Compression::Gzip, Compression::Zstd, Compression::Bzip2, Compression::Xz, Compression::Lz4];

    /// What the option `compression` takes, for errors.
    pub const NAMES: &'static str = "'auto', 'none', 'gzip', 'zstd', 'bzip2', 'xz' or 'lz4'";

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
            Compression::Bzip2 => "bzip2",
            Compression::Xz => "xz",
            Compression::Lz4 => "lz4",
        }
    }

    /// The endings of the names of such files.
    fn endings(self) -> &'static [&'static str] {
        match self {
            Compression::None => &[],
            Compression::Gzip => &["gz", "gzip"],
            Compression::Zstd => &["zst", "zstd"],
            Compression::Bzip2 => &["bz2", "bzip2"],
            Compression::Xz => &["xz"],
            Compression::Lz4 => &["lz4"],
        }
    }

    /// What the value of an option `compression` means: `Some(None)` leaves it to the name of the file; `None` is no
    /// compression at all that is known.
    pub fn parse(name: &str) -> Option<Option<Self>> {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "auto" | "auto_detect" | "infer" => Some(None),
            "none" | "uncompressed" => Some(Some(Compression::None)),
            _ => {
                let named = |form: &&Compression| form.name() == name || form.endings().contains(&name.as_str());
                Compression::ALL.iter().find(named).map(|form| Some(*form))
            }
        }
    }

    /// The compression that the end of the name promises, and the name without that end.
    pub fn split_name(name: &str) -> (Self, &str) {
        let Some((stem, ending)) = name.rsplit_once('.') else { return (Compression::None, name) };
        let promised = |form: &&Compression| form.endings().iter().any(|known| ending.eq_ignore_ascii_case(known));
        match Compression::ALL.iter().find(promised) {
            Some(form) => (*form, stem),
            None => (Compression::None, name),
        }
    }

    /// The compression that the end of the name promises.
    pub fn of(name: &str) -> Self {
        Self::split_name(name).0
    }

    /// The compression that a file's first bytes show.
    pub fn of_bytes(first: &[u8]) -> Self {
        match first {
            [0x1f, 0x8b, 8, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, ..] => Compression::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
            [0x04, 0x22, 0x4d, 0x18, ..] => Compression::Lz4,
            _ => Compression::None,
        }
    }

    /// About how many bytes of text one compressed byte stands for, for estimates.
    pub fn expansion(self) -> u64 {
        match self {
            Compression::None => 1,
            Compression::Lz4 => 3,
            Compression::Gzip => 5,
            Compression::Zstd => 6,
            Compression::Bzip2 | Compression::Xz => 8,
        }
    }

    /// The text of `input`.
    pub(super) fn inflated<R: BufRead + Send + 'static>(self, input: R) -> std::io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Compression::None => Box::new(input),
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(input)?),
            Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
            Compression::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(input, true, XZ_KILOBYTES)),
            Compression::Lz4 => Box::new(Lz4Frames::new(input)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_the_compression() {
        assert_eq!(Compression::split_name("a/b.CSV.GZ"), (Compression::Gzip, "a/b.CSV"));
        assert_eq!(Compression::split_name("b.json.zst"), (Compression::Zstd, "b.json"));
        assert_eq!(Compression::split_name("b.json.bz2"), (Compression::Bzip2, "b.json"));
        assert_eq!(Compression::of("b.csv.xz"), Compression::Xz);
        assert_eq!(Compression::of("é"), Compression::None);
        assert_eq!(Compression::of("a.gz/b.csv"), Compression::None);
    }

    #[test]
    fn an_option_names_a_compression_or_leaves_it_to_the_name() {
        assert_eq!(Compression::parse("GZ"), Some(Some(Compression::Gzip)));
        assert_eq!(Compression::parse("lz4"), Some(Some(Compression::Lz4)));
        assert_eq!(Compression::parse("auto"), Some(None));
        assert_eq!(Compression::parse("none"), Some(Some(Compression::None)));
        assert_eq!(Compression::parse("rar"), None);
    }
}
