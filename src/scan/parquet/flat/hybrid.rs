//! Runs of small numbers: Parquet's hybrid of run lengths and packed bits, for dictionary indexes and levels.
//!
//! Invariant: nothing is read beyond the bytes that were given; numbers that lie there are an error.
//! (The format: "Run Length Encoding / Bit-Packing Hybrid" in the Parquet specification.)

use std::ops::Range;

use bytes::Bytes;

use crate::error::{Code, Error, Result};

/// Numbers of a packed group.
const GROUP: usize = 8;
/// Four numbers of up to so many bits are one word.
const WIDEST_OF_WORD: usize = 16;
/// Bytes of a word, of which a number is a part.
const WORD: usize = 8;
/// Numbers that are unpacked at a time, so that they are still near when they are used.
const BLOCK: usize = 1024;

/// Reads numbers of `width` bits one run after another.
#[derive(Debug)]
pub(in crate::scan::parquet) struct Hybrid {
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
    pub(in crate::scan::parquet) fn new(data: Bytes, width: usize) -> Result<Self> {
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
        self.pass(count, |data, width, run, taken| append(data, width, run, taken, out))
    }

    /// The next `count` numbers as they lie there.
    ///
    /// # Errors
    /// `INVALID_DATA` when there are fewer.
    pub(super) fn take(&mut self, count: usize) -> Result<Numbers> {
        let (mut runs, mut first) = (Vec::new(), 0);
        self.pass(count, |_, _, run, taken| {
            runs.push((first..first + taken, run));
            first += taken;
        })?;
        Ok(Numbers { data: self.data.clone(), width: self.width, runs })
    }

    /// Passes over the next `count` numbers.
    ///
    /// # Errors
    /// `INVALID_DATA` when there are fewer.
    pub(in crate::scan::parquet) fn skip(&mut self, count: usize) -> Result<()> {
        self.pass(count, |_, _, _, _| ())
    }

    /// Passes over the next `count` numbers; `each` sees every run and how many numbers of it are taken.
    fn pass(&mut self, count: usize, mut each: impl FnMut(&[u8], usize, Run, usize)) -> Result<()> {
        let mut wanted = count;
        while wanted > 0 {
            let run = self.current(wanted)?;
            let taken = run.left().min(wanted);
            each(&self.data, self.width, run, taken);
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
        self.run.advance(taken);
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
}

impl Run {
    /// How many of its numbers have not been read.
    fn left(&self) -> usize {
        match self {
            Run::Repeated { left, .. } => *left,
            Run::Packed { count, done, .. } => count - done,
        }
    }

    fn advance(&mut self, taken: usize) {
        match self {
            Run::Repeated { left, .. } => *left -= taken,
            Run::Packed { done, .. } => *done += taken,
        }
    }
}

/// Numbers that have not been unpacked yet.
#[derive(Debug)]
pub(super) struct Numbers {
    data: Bytes,
    width: usize,
    /// Which of the numbers a run has, and the run, standing at the first of them.
    runs: Vec<(Range<usize>, Run)>,
}

impl Numbers {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.runs.last().map_or(0, |(range, _)| range.end)
    }

    /// Gives all numbers to `each`, some at a time; `space` is for these.
    pub(super) fn each(&self, space: &mut Vec<u32>, mut each: impl FnMut(&[u32])) {
        space.clear();
        for (range, run) in &self.runs {
            let (mut run, mut left) = (*run, range.len());
            while left > 0 {
                let taken = left.min(BLOCK - space.len());
                append(&self.data, self.width, run, taken, space);
                run.advance(taken);
                left -= taken;
                if space.len() == BLOCK {
                    each(space);
                    space.clear();
                }
            }
        }
        each(space);
    }

    /// Gives the numbers at `places`, which ascend and are counted from `base` on, to `each`, with their places.
    pub(super) fn at(&self, places: &[u32], base: u32, mut each: impl FnMut(u32, u32)) {
        let mut places = places;
        for (range, run) in &self.runs {
            let within = places.partition_point(|place| ((place - base) as usize) < range.end);
            let (these, others) = places.split_at(within);
            places = others;
            match *run {
                Run::Repeated { value, .. } => these.iter().for_each(|place| each(*place, value)),
                Run::Packed { start, done, .. } => {
                    let packed = self.data.get(start..).unwrap_or_default();
                    for place in these {
                        let index = (place - base) as usize - range.start + done;
                        each(*place, one(packed, self.width, index));
                    }
                }
            }
        }
    }
}

/// Appends the next `taken` numbers of a run to `out`.
fn append(data: &[u8], width: usize, run: Run, taken: usize, out: &mut Vec<u32>) {
    match run {
        Run::Repeated { value, .. } => out.resize(out.len() + taken, value),
        Run::Packed { start, done, .. } => unpack(data.get(start..).unwrap_or_default(), width, done, taken, out),
    }
}

/// Calls a function with the width as a constant, which makes every shift one.
macro_rules! by_width {
    ($width:expr, $function:ident $arguments:tt, $($known:literal)*) => {
        match $width {
            $($known => $function::<$known> $arguments,)*
            _ => 0,
        }
    };
}

/// Appends the numbers from the one at `done` on, of which there are `taken`.
fn unpack(packed: &[u8], width: usize, done: usize, taken: usize, out: &mut Vec<u32>) {
    if width == 0 {
        out.resize(out.len() + taken, 0);
        return;
    }
    let end = done + taken;
    let to_group = done.next_multiple_of(GROUP).min(end);
    out.extend((done..to_group).map(|index| one(packed, width, index)));
    let groups = (end - to_group) / GROUP;
    let from = to_group / GROUP * width;
    let whole = packed.get(from..from + groups * width).unwrap_or_default();
    let unpacked = match width <= WIDEST_OF_WORD {
        true => by_width!(width, unpack_all(whole, out), 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16),
        // Words reach into the bytes behind their group.
        false => {
            let bytes = packed.get(from..).unwrap_or_default();
            by_width!(width, unpack_wide(bytes, groups, out), 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32)
        }
    };
    out.extend((to_group + unpacked * GROUP..end).map(|index| one(packed, width, index)));
}

/// The number at `index` of packed ones.
#[inline(always)]
fn one(packed: &[u8], width: usize, index: usize) -> u32 {
    let bit = index * width;
    let bytes = packed.get(bit / 8..).unwrap_or_default();
    let word = match bytes.first_chunk::<WORD>() {
        Some(word) => u64::from_le_bytes(*word),
        None => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    let mask = (1 << width) - 1;
    // Masked to at most 32 bits.
    (word >> (bit % 8) & mask) as u32
}

/// Appends the numbers of `groups` groups of numbers of up to 32 bits, as far as whole words are there; gives how many
/// groups those were.
fn unpack_wide<const WIDTH: usize>(packed: &[u8], groups: usize, out: &mut Vec<u32>) -> usize {
    let mask = (1u64 << WIDTH) - 1;
    // The last number of a group begins less than its width before the end.
    let groups = groups.min(packed.len().saturating_sub(WORD) / WIDTH);
    for group in 0..groups {
        let bytes = packed.get(group * WIDTH..group * WIDTH + WIDTH + WORD).unwrap_or_default();
        let numbers: [u32; GROUP] = std::array::from_fn(|place| {
            let bit = place * WIDTH;
            let word = bytes.get(bit / 8..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
            (u64::from_le_bytes(word) >> (bit % 8) & mask) as u32
        });
        out.extend_from_slice(&numbers);
    }
    groups
}

/// Appends numbers of whole groups, of up to sixteen bits, and gives how many groups there were.
fn unpack_all<const WIDTH: usize>(packed: &[u8], out: &mut Vec<u32>) -> usize {
    let mask = (1u64 << WIDTH) - 1;
    let groups = packed.as_chunks::<WIDTH>().0;
    let before = out.len();
    out.resize(before + groups.len() * GROUP, 0);
    let places = out.get_mut(before..).unwrap_or_default().as_chunks_mut::<GROUP>().0;
    for (group, numbers) in groups.iter().zip(places) {
        // Four numbers of at most sixteen bits are one word each.
        let mut words = [0; 16];
        words[..WIDTH].copy_from_slice(group);
        let bits = u128::from_le_bytes(words);
        let (low, high) = (bits as u64, (bits >> (4 * WIDTH)) as u64);
        let number = |word: u64, place: usize| (word >> (place * WIDTH) & mask) as u32;
        *numbers = [
            number(low, 0),
            number(low, 1),
            number(low, 2),
            number(low, 3),
            number(high, 0),
            number(high, 1),
            number(high, 2),
            number(high, 3),
        ];
    }
    groups.len()
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
            (Just(width), vec((any::<bool>(), vec(0..=largest, 1..60)), 1..9))
        })
    }

    proptest! {
        #[test]
        fn numbers_come_back_however_they_are_asked_for((width, runs) in runs(), steps in vec(prop_oneof![0..40usize, 100..300usize], 1..40)) {
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
                } else if turn % 3 == 2 {
                    let taken = hybrid.take(step).unwrap();
                    let (mut all, mut some) = (Vec::new(), Vec::new());
                    taken.each(&mut Vec::new(), |numbers| all.extend_from_slice(numbers));
                    prop_assert_eq!(&all, &numbers[at..at + step]);
                    let places: Vec<u32> = (0..step as u32).filter(|place| place % 7 != turn as u32 % 7).map(|place| place + 5).collect();
                    taken.at(&places, 5, |place, number| some.push((place, number)));
                    let expected: Vec<_> = places.iter().map(|place| (*place, numbers[at + *place as usize - 5])).collect();
                    prop_assert_eq!(some, expected);
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
