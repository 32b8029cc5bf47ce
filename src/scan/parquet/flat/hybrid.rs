//! Runs of small numbers: Parquet's hybrid of run lengths and packed bits, for dictionary indexes and levels.
//!
//! Invariant: nothing is read beyond the bytes that were given; numbers that lie there are an error.
//! (The format: "Run Length Encoding / Bit-Packing Hybrid" in the Parquet specification.)

use bytes::Bytes;

use crate::error::{Code, Error, Result};

/// Numbers of a packed group.
const GROUP: usize = 8;
/// Wider numbers than this are unpacked one by one.
const WIDEST_GROUP: usize = 16;

/// Reads numbers of `width` bits one run after another.
#[derive(Debug)]
pub(super) struct Hybrid {
    data: Bytes,
    /// Where the next run's header stands.
    at: usize,
    width: usize,
    run: Run,
}

#[derive(Debug, Clone, Copy)]
enum Run {
    Repeated {
        value: u32,
        left: usize,
    },
    /// `count` numbers from byte `start` on, of which `done` have been read.
    Packed {
        start: usize,
        count: usize,
        done: usize,
    },
}

impl Hybrid {
    /// Numbers of `width` bits in `data`.
    ///
    /// # Errors
    /// `INVALID_DATA` for numbers of more than 32 bits.
    pub(super) fn new(data: Bytes, width: usize) -> Result<Self> {
        if width > 32 {
            return Err(damaged(format!("numbers of {width} bits")));
        }
        Ok(Hybrid { data, at: 0, width, run: Run::Repeated { value: 0, left: 0 } })
    }

    /// Appends the next `count` numbers to `out`.
    ///
    /// # Errors
    /// `INVALID_DATA` when there are fewer.
    pub(super) fn read(&mut self, count: usize, out: &mut Vec<u32>) -> Result<()> {
        out.reserve(count);
        let mut wanted = count;
        while wanted > 0 {
            let taken = match self.current(wanted)? {
                Run::Repeated { value, left } => {
                    let taken = left.min(wanted);
                    out.resize(out.len() + taken, value);
                    taken
                }
                Run::Packed { start, count, done } => {
                    let taken = (count - done).min(wanted);
                    self.unpack(start, done, taken, out)?;
                    taken
                }
            };
            self.advance(taken);
            wanted -= taken;
        }
        Ok(())
    }

    /// Passes over the next `count` numbers.
    ///
    /// # Errors
    /// `INVALID_DATA` when there are fewer.
    pub(super) fn skip(&mut self, count: usize) -> Result<()> {
        let mut wanted = count;
        while wanted > 0 {
            let left = match self.current(wanted)? {
                Run::Repeated { left, .. } => left,
                Run::Packed { count, done, .. } => count - done,
            };
            let taken = left.min(wanted);
            self.advance(taken);
            wanted -= taken;
        }
        Ok(())
    }

    /// How many of the next `most` numbers are certainly `value`, told without unpacking; passes over them.
    ///
    /// # Errors
    /// `INVALID_DATA` when there is no number left.
    pub(super) fn take_equal(&mut self, value: u32, most: usize) -> Result<usize> {
        let mut taken = 0;
        while taken < most {
            match self.current(most - taken)? {
                Run::Repeated { value: repeated, left } if repeated == value => {
                    let now = left.min(most - taken);
                    self.advance(now);
                    taken += now;
                }
                _ => break,
            }
        }
        Ok(taken)
    }

    /// The run in which the next number stands.
    fn current(&mut self, wanted: usize) -> Result<Run> {
        loop {
            match self.run {
                Run::Repeated { left: 0, .. } => self.next_run(wanted)?,
                Run::Packed { count, done, .. } if count == done => self.next_run(wanted)?,
                run => return Ok(run),
            }
        }
    }

    fn advance(&mut self, taken: usize) {
        match &mut self.run {
            Run::Repeated { left, .. } => *left -= taken,
            Run::Packed { done, .. } => *done += taken,
        }
    }

    fn next_run(&mut self, wanted: usize) -> Result<()> {
        let header = self.header(wanted)?;
        let length = header >> 1;
        self.run = if header & 1 == 1 {
            let start = self.at;
            let bytes = length.checked_mul(self.width);
            let end = bytes.and_then(|bytes| start.checked_add(bytes)).unwrap_or(usize::MAX);
            // The last run may be cut where its numbers that count end.
            self.at = end.min(self.data.len());
            let bits = (self.at - start).saturating_mul(8);
            let there = bits.checked_div(self.width).unwrap_or(usize::MAX);
            let count = length.saturating_mul(GROUP).min(there);
            if count == 0 {
                return Err(damaged(format!("{wanted} more values are expected")));
            }
            Run::Packed { start, count, done: 0 }
        } else {
            let bytes = self.width.div_ceil(8);
            let value = self.data.get(self.at..self.at + bytes);
            let value = value.ok_or_else(|| damaged(format!("{wanted} more values are expected")))?;
            let value = value.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
            self.at += bytes;
            if length == 0 {
                return Err(damaged("a run of no values"));
            }
            Run::Repeated { value, left: length }
        };
        Ok(())
    }

    /// A number of seven bits a byte.
    fn header(&mut self, wanted: usize) -> Result<usize> {
        let mut number = 0;
        for shift in (0..usize::BITS - 7).step_by(7) {
            let byte = self.data.get(self.at).copied();
            let byte = byte.ok_or_else(|| damaged(format!("{wanted} more values are expected")))?;
            self.at += 1;
            number |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(damaged("a run is too long"))
    }

    fn unpack(&self, start: usize, done: usize, count: usize, out: &mut Vec<u32>) -> Result<()> {
        if self.width == 0 {
            out.resize(out.len() + count, 0);
            return Ok(());
        }
        let run = self.data.get(start..).unwrap_or_default();
        let (mut done, end) = (done, done + count);
        let to_group = done.next_multiple_of(GROUP).min(end);
        (done..to_group).for_each(|index| out.push(one(run, self.width, index)));
        done = to_group;
        if self.width <= WIDEST_GROUP {
            let groups = (end - done) / GROUP;
            let from = done / GROUP * self.width;
            let packed = run.get(from..from + groups * self.width);
            let packed = packed.ok_or_else(|| damaged(format!("{count} more values are expected")))?;
            unpack_groups(packed, self.width, out);
            done += groups * GROUP;
        }
        (done..end).for_each(|index| out.push(one(run, self.width, index)));
        Ok(())
    }
}

/// The number at `index` of packed ones.
fn one(run: &[u8], width: usize, index: usize) -> u32 {
    let bit = index * width;
    let bytes = run.get(bit / 8..).unwrap_or_default();
    let mut word = [0; 8];
    let length = bytes.len().min(8);
    word[..length].copy_from_slice(&bytes[..length]);
    let mask = (1 << width) - 1;
    // Masked to at most 32 bits.
    (u64::from_le_bytes(word) >> (bit % 8) & mask) as u32
}

/// Numbers of whole groups; the width as a constant makes every shift one.
fn unpack_groups(packed: &[u8], width: usize, out: &mut Vec<u32>) {
    match width {
        1 => unpack_all::<1>(packed, out),
        2 => unpack_all::<2>(packed, out),
        3 => unpack_all::<3>(packed, out),
        4 => unpack_all::<4>(packed, out),
        5 => unpack_all::<5>(packed, out),
        6 => unpack_all::<6>(packed, out),
        7 => unpack_all::<7>(packed, out),
        8 => unpack_all::<8>(packed, out),
        9 => unpack_all::<9>(packed, out),
        10 => unpack_all::<10>(packed, out),
        11 => unpack_all::<11>(packed, out),
        12 => unpack_all::<12>(packed, out),
        13 => unpack_all::<13>(packed, out),
        14 => unpack_all::<14>(packed, out),
        15 => unpack_all::<15>(packed, out),
        _ => unpack_all::<16>(packed, out),
    }
}

fn unpack_all<const WIDTH: usize>(packed: &[u8], out: &mut Vec<u32>) {
    let mask = (1u64 << WIDTH) - 1;
    for group in packed.as_chunks::<WIDTH>().0 {
        // Four numbers of at most sixteen bits are one word each.
        let mut words = [0; 16];
        words[..WIDTH].copy_from_slice(group);
        let bits = u128::from_le_bytes(words);
        let (low, high) = (bits as u64, (bits >> (4 * WIDTH)) as u64);
        let number = |word: u64, place: usize| (word >> (place * WIDTH) & mask) as u32;
        out.extend_from_slice(&[
            number(low, 0),
            number(low, 1),
            number(low, 2),
            number(low, 3),
            number(high, 0),
            number(high, 1),
            number(high, 2),
            number(high, 3),
        ]);
    }
}

pub(super) fn damaged(what: impl std::fmt::Display) -> Error {
    Error::new(Code::InvalidData, format!("the page is damaged: {what}"))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Runs as a writer would put them: `true` packs.
    fn written(runs: &[(bool, Vec<u32>)], width: usize) -> (Vec<u8>, Vec<u32>) {
        let (mut bytes, mut numbers) = (Vec::new(), Vec::new());
        let header = |mut number: usize, bytes: &mut Vec<u8>| {
            while number >= 0x80 {
                bytes.push((number & 0x7f | 0x80) as u8);
                number >>= 7;
            }
            bytes.push(number as u8);
        };
        for (packs, values) in runs {
            if *packs {
                let values: Vec<u32> = values.iter().copied().cycle().take(values.len().div_ceil(8) * 8).collect();
                header((values.len() / 8) << 1 | 1, &mut bytes);
                let mut bits = vec![false; values.len() * width];
                for (index, value) in values.iter().enumerate() {
                    (0..width).for_each(|bit| bits[index * width + bit] = value >> bit & 1 == 1);
                }
                bytes.extend(
                    bits.chunks(8)
                        .map(|bits| bits.iter().enumerate().map(|(bit, set)| u8::from(*set) << bit).sum::<u8>()),
                );
                numbers.extend(values);
            } else {
                header(values.len() << 1, &mut bytes);
                bytes.extend(&values[0].to_le_bytes()[..width.div_ceil(8)]);
                numbers.extend(values.iter().map(|_| values[0]));
            }
        }
        (bytes, numbers)
    }

    fn runs() -> impl Strategy<Value = (usize, Vec<(bool, Vec<u32>)>)> {
        (0..=32usize).prop_flat_map(|width| {
            let largest = if width == 32 { u32::MAX } else { (1 << width) - 1 };
            (Just(width), vec((any::<bool>(), vec(0..=largest, 1..60)), 1..6))
        })
    }

    proptest! {
        #[test]
        fn numbers_come_back_however_they_are_asked_for((width, runs) in runs(), steps in vec(0..40usize, 1..40)) {
            let (bytes, numbers) = written(&runs, width);
            let mut hybrid = Hybrid::new(Bytes::from(bytes), width).unwrap();
            let mut at = 0;
            for (turn, step) in steps.into_iter().enumerate() {
                let step = step.min(numbers.len() - at);
                if turn % 3 == 1 {
                    hybrid.skip(step).unwrap();
                } else if turn % 5 == 4 {
                    let wanted = numbers.get(at).copied().unwrap_or(0);
                    let taken = hybrid.take_equal(wanted, step).unwrap();
                    prop_assert!(numbers[at..at + taken].iter().all(|number| *number == wanted));
                    at += taken;
                    continue;
                } else {
                    let mut out = Vec::new();
                    hybrid.read(step, &mut out).unwrap();
                    prop_assert_eq!(&out, &numbers[at..at + step]);
                }
                at += step;
            }
            let rest = numbers.len() - at;
            hybrid.skip(rest).unwrap();
            prop_assert!(hybrid.read(1, &mut Vec::new()).is_err());
        }

        #[test]
        fn any_bytes_give_numbers_or_an_error(bytes in vec(any::<u8>(), 0..40), width in 0..33usize) {
            let mut hybrid = Hybrid::new(Bytes::from(bytes), width).unwrap();
            let mut out = Vec::new();
            while out.len() < 10_000 && hybrid.read(7, &mut out).is_ok() {}
        }
    }
}
