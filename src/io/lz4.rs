//! LZ4 frames, one after the other.
//!
//! The decoder ends a frame with zero bytes, and gives zero bytes also where the data ends between two blocks of a
//! frame. Invariant: the second is an error here, never an end.

use std::io::{Error, ErrorKind, Read, Result};

use lz4_flex::frame::FrameDecoder;

/// See the module.
pub(super) struct Lz4Frames<R: Read> {
    decoder: FrameDecoder<Noted<R>>,
    /// The last frame has ended, as it should, and no other has begun.
    between: bool,
}

/// Notes what the decoder was given.
struct Noted<R> {
    inner: R,
    /// Bytes since it was last asked.
    given: usize,
    /// Whether it met the end of the input.
    ended: bool,
}

impl<R: Read> Read for Noted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.inner.read(buffer)?;
        self.given += count;
        self.ended = self.ended || (count == 0 && !buffer.is_empty());
        Ok(count)
    }
}

impl<R: Read> Lz4Frames<R> {
    /// The text of the frames in `input`.
    pub(super) fn new(input: R) -> Self {
        Lz4Frames { decoder: FrameDecoder::new(Noted { inner: input, given: 0, ended: false }), between: true }
    }
}

impl<R: Read> Read for Lz4Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            self.decoder.get_mut().given = 0;
            let count = self.decoder.read(buffer)?;
            if count > 0 {
                self.between = false;
                return Ok(count);
            }
            let noted = self.decoder.get_ref();
            match (noted.ended, self.between && noted.given == 0) {
                (true, true) => return Ok(0),
                (true, false) => return Err(Error::from(ErrorKind::UnexpectedEof)),
                (false, _) => self.between = true,
            }
        }
    }
}
