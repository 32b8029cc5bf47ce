//! The encoding of text files, and files in another one than UTF-8 as streams of UTF-8.
//!
//! Invariant: bytes that are no text in their encoding are an error with file, line and byte, never replaced.
//!
//! # Known limitation
//! UTF-16 is told from its byte order mark or from its zero bytes. Of the encodings in which each byte is a character
//! nothing in the bytes proves which it is: what begins with anything but UTF-8 is taken for the commonest, and the
//! others have to be named.

use std::io::Read;

use encoding_rs::{Decoder, DecoderResult, UTF_16BE, UTF_16LE};
use memchr::memchr_iter;

use crate::error::{Code, Error};
use crate::io::Compression;

/// Bytes that are decoded at a time.
const INPUT_BYTES: usize = 64 << 10;
/// A byte becomes at most three.
const OUTPUT_BYTES: usize = 3 * INPUT_BYTES + 16;

/// How text is stored as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    /// ISO 8859-1: each byte is the character of that number.
    Latin1,
    /// UTF-16 of which the bytes tell which byte of a pair comes first.
    Utf16,
    Other(&'static encoding_rs::Encoding),
}

impl Encoding {
    /// The encoding of that name (those of the WHATWG's Encoding Standard, too).
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_lowercase().replace('_', "-");
        match name.as_str() {
            "utf-8" | "utf8" => Some(Encoding::Utf8),
            "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" => Some(Encoding::Latin1),
            "utf-16" | "utf16" => Some(Encoding::Utf16),
            "utf-16-le" | "utf-16le" | "utf16le" | "utf16-le" => Some(Encoding::Other(UTF_16LE)),
            "utf-16-be" | "utf-16be" | "utf16be" | "utf16-be" => Some(Encoding::Other(UTF_16BE)),
            name => {
                let known = encoding_rs::Encoding::for_label_no_replacement(name.as_bytes()).or_else(|| {
                    encoding_rs::Encoding::for_label_no_replacement(name.replacen("cp", "windows-", 1).as_bytes())
                })?;
                Some(if known == encoding_rs::UTF_8 { Encoding::Utf8 } else { Encoding::Other(known) })
            }
        }
    }

    /// Its name, as the option takes it.
    pub fn name(self) -> String {
        match self {
            Encoding::Utf8 => "utf-8".to_string(),
            Encoding::Latin1 => "latin-1".to_string(),
            Encoding::Utf16 => "utf-16".to_string(),
            Encoding::Other(encoding) => encoding.name().to_ascii_lowercase(),
        }
    }

    /// What a file's first bytes say: a mark, or zero bytes where UTF-16 has them. UTF-8 otherwise.
    pub fn of_bytes(first: &[u8]) -> Self {
        match first {
            [0xff, 0xfe, ..] => return Encoding::Other(UTF_16LE),
            [0xfe, 0xff, ..] => return Encoding::Other(UTF_16BE),
            _ => {}
        }
        // Text of delimiters, digits and line ends has a zero in nearly every pair.
        let pairs = first.chunks_exact(2);
        let count = pairs.len();
        let (high, low) = pairs.fold((0, 0), |(high, low), pair| {
            (high + usize::from(pair[0] == 0 && pair[1] != 0), low + usize::from(pair[1] == 0 && pair[0] != 0))
        });
        if count >= 2 && low > count / 3 && high * 4 < low {
            Encoding::Other(UTF_16LE)
        } else if count >= 2 && high > count / 3 && low * 4 < high {
            Encoding::Other(UTF_16BE)
        } else {
            Encoding::Utf8
        }
    }

    /// The same, and what bytes that are not UTF-8 may be: windows-1252 has characters where latin-1 has none.
    pub fn of_text(first: &[u8]) -> Self {
        match (Encoding::of_bytes(first), std::str::from_utf8(first)) {
            (Encoding::Utf8, Err(error)) if error.error_len().is_some() && !is_binary(first) => {
                let extended = first.iter().any(|byte| (0x80..0xa0).contains(byte));
                if extended { Encoding::Other(encoding_rs::WINDOWS_1252) } else { Encoding::Latin1 }
            }
            (found, _) => found,
        }
    }

    /// Whether each byte is a character.
    pub fn is_single_byte(self) -> bool {
        match self {
            Encoding::Latin1 => true,
            Encoding::Other(encoding) => encoding == encoding_rs::WINDOWS_1252,
            Encoding::Utf8 | Encoding::Utf16 => false,
        }
    }

    /// Whether the bytes begin with the mark of another form of UTF-16.
    pub fn is_contradicted(self, first: &[u8]) -> bool {
        match self {
            Encoding::Other(given) if given == UTF_16LE => first.starts_with(&[0xfe, 0xff]),
            Encoding::Other(given) if given == UTF_16BE => first.starts_with(&[0xff, 0xfe]),
            _ => false,
        }
    }

    /// The encoding itself where this one leaves open which it is.
    #[must_use]
    pub fn settled(self, first: &[u8]) -> Self {
        match (self, Encoding::of_bytes(first)) {
            (Encoding::Utf16, Encoding::Utf8) => Encoding::Other(UTF_16LE),
            (Encoding::Utf16, found) => found,
            (given, _) => given,
        }
    }
}

/// Whether the bytes are those of a known form of compression, or have characters that no text has.
fn is_binary(first: &[u8]) -> bool {
    let is_text = |byte: &u8| !byte.is_ascii_control() || matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1a..=0x1f);
    Compression::of_bytes(first) != Compression::None || !first.iter().all(is_text)
}

/// What decodes.
enum Coder {
    Latin1,
    Other(Box<Decoder>),
}

/// The text of a stream as UTF-8.
pub struct DecodedStream {
    inner: Box<dyn Read + Send>,
    path: String,
    coder: Coder,
    encoding: Encoding,
    input: Box<[u8]>,
    begin: usize,
    filled: usize,
    output: Box<[u8]>,
    given: usize,
    decoded: usize,
    /// Bytes of the input that are decoded, and line ends among them.
    place: u64,
    lines: u64,
    at_end: bool,
    finished: bool,
}

impl DecodedStream {
    /// Decodes `inner`, the bytes of `path`.
    pub fn new(inner: Box<dyn Read + Send>, path: &str, encoding: Encoding) -> Self {
        let coder = match encoding {
            Encoding::Latin1 | Encoding::Utf8 => Coder::Latin1,
            Encoding::Utf16 => Coder::Other(Box::new(UTF_16LE.new_decoder_with_bom_removal())),
            Encoding::Other(encoding) => Coder::Other(Box::new(encoding.new_decoder_with_bom_removal())),
        };
        let buffer = |bytes: usize| vec![0; bytes].into_boxed_slice();
        DecodedStream {
            inner,
            path: path.to_string(),
            coder,
            encoding,
            input: buffer(INPUT_BYTES),
            begin: 0,
            filled: 0,
            output: buffer(OUTPUT_BYTES),
            given: 0,
            decoded: 0,
            place: 0,
            lines: 0,
            at_end: false,
            finished: false,
        }
    }

    /// Decodes what comes next into the output, which is used up.
    fn decode(&mut self) -> std::io::Result<()> {
        if self.begin == self.filled && !self.at_end {
            (self.begin, self.filled) = (0, self.inner.read(&mut self.input)?);
            self.at_end = self.filled == 0;
        }
        let input = self.input.get(self.begin..self.filled).unwrap_or_default();
        let (used, written) = match &mut self.coder {
            Coder::Latin1 => {
                // The output has room for twice as much.
                let written = encoding_rs::mem::convert_latin1_to_utf8_partial(input, &mut self.output);
                self.finished = self.at_end && input.is_empty();
                written
            }
            Coder::Other(decoder) => {
                let (result, used, written) =
                    decoder.decode_to_utf8_without_replacement(input, &mut self.output, self.at_end);
                match result {
                    DecoderResult::InputEmpty => self.finished = self.at_end,
                    DecoderResult::OutputFull => {}
                    DecoderResult::Malformed(bad, behind) => {
                        let text = self.output.get(..written).unwrap_or_default();
                        let line = self.lines + memchr_iter(b'\n', text).count() as u64 + 1;
                        let place = (self.place + used as u64).saturating_sub(u64::from(bad) + u64::from(behind));
                        return Err(std::io::Error::other(self.no_text(line, place)));
                    }
                }
                (used, written)
            }
        };
        self.begin += used;
        self.place += used as u64;
        (self.given, self.decoded) = (0, written);
        self.lines += memchr_iter(b'\n', self.output.get(..written).unwrap_or_default()).count() as u64;
        Ok(())
    }

    fn no_text(&self, line: u64, place: u64) -> Error {
        let (path, name) = (&self.path, self.encoding.name());
        Error::new(Code::InvalidData, format!("'{path}' line {line}, byte {place}: no text in the encoding {name}"))
            .hint("check the option encoding, and whether the file is whole")
    }
}

impl Read for DecodedStream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.given == self.decoded && !self.finished {
            self.decode()?;
        }
        let text = self.output.get(self.given..self.decoded).unwrap_or_default();
        let count = text.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), text.get(..count)) {
            to.copy_from_slice(from);
        }
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result;

    /// Reads `bytes` a few at a time.
    fn decoded(bytes: &[u8], name: &str) -> Result<String> {
        struct Slowly(Vec<u8>);
        impl Read for Slowly {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let count = self.0.len().min(buffer.len()).min(3);
                buffer[..count].copy_from_slice(&self.0[..count]);
                self.0.drain(..count);
                Ok(count)
            }
        }
        let encoding = Encoding::parse(name).unwrap().settled(bytes);
        let mut stream = DecodedStream::new(Box::new(Slowly(bytes.to_vec())), "x.csv", encoding);
        let mut text = Vec::new();
        let mut few = [0; 5];
        loop {
            match stream.read(&mut few)? {
                0 => return Ok(String::from_utf8(text).unwrap()),
                count => text.extend_from_slice(&few[..count]),
            }
        }
    }

    fn utf16(text: &str, mark: bool, big: bool) -> Vec<u8> {
        let mark = if mark { "\u{feff}" } else { "" };
        let units = mark.encode_utf16().chain(text.encode_utf16()).collect::<Vec<_>>();
        units.iter().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }

    #[test]
    fn every_form_of_utf_16_is_told_and_read() {
        let text = "a,b\n1,é😀\n";
        for (mark, big) in [(true, true), (true, false), (false, true), (false, false)] {
            let bytes = utf16(text, mark, big);
            assert_eq!(decoded(&bytes, "UTF-16").unwrap(), text, "{mark} {big}");
            assert_ne!(Encoding::of_bytes(&bytes), Encoding::Utf8, "{mark} {big}");
        }
        assert_eq!(Encoding::of_bytes("a,b\n1,é\n".as_bytes()), Encoding::Utf8);
        assert_eq!(Encoding::of_bytes(b""), Encoding::Utf8);
        assert_eq!(decoded(b"", "utf-16").unwrap(), "");
    }

    #[test]
    fn single_bytes_are_characters() {
        assert_eq!(decoded(b"caf\xe9 \x80\n", "latin-1").unwrap(), "café \u{80}\n");
        assert_eq!(decoded(b"caf\xe9 \x80\n", "windows-1252").unwrap(), "café €\n");
        assert_eq!(decoded(b"\x83\x65", "Shift_JIS").unwrap(), "テ");
        assert_eq!(Encoding::parse("cp1252"), Encoding::parse("windows-1252"));
        assert_eq!(Encoding::parse("utf-7"), None);
    }

    #[test]
    fn what_is_no_text_is_an_error_with_its_place() {
        let mut bytes = utf16("a\nb", true, false);
        bytes.extend_from_slice(&[0x00, 0xdc, b'x', 0]);
        let error = decoded(&bytes, "utf-16").unwrap_err();
        assert!(error.message().contains("line 2, byte 8"), "{error}");
        bytes.truncate(7);
        assert!(decoded(&bytes, "utf-16").unwrap_err().message().contains("byte 6"));
    }

    #[test]
    fn long_texts_go_through_in_pieces() {
        let text = "é,1\n".repeat(100_000);
        assert_eq!(decoded(&utf16(&text, true, true), "utf-16").unwrap(), text);
        let bytes: Vec<u8> = text.chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect();
        assert_eq!(decoded(&bytes, "latin1").unwrap(), text);
    }
}
