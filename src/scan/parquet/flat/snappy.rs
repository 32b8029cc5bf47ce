//! Pages compressed by Snappy, inflated.
//!
//! Invariant: what comes out has exactly the length that the page names, or the page is an error; nothing is read or
//! written beyond either buffer, whatever the page says.
//!
//! Half of the time that reading a Parquet file takes is mostly spent here, and most of that on waiting for one element to tell where
//! the next one begins. So the place of the next element is computed from its first byte alone, without a table, and a short
//! literal and the copy behind it, which is what columns of numbers are made of, come out of one load.
//! (The format: "Snappy compressed format description", 2011.)

use bytes::Bytes;

use super::hybrid::damaged;
use crate::error::Result;

/// Elements are decoded without asking for each byte while so many are left on both sides.
const MARGIN: usize = 80;
/// A copy is at most so long, and a byte of it takes at least one in so many bytes.
const LONGEST_COPY: usize = 64;
/// A literal up to this long stands in one word with its tag and those of the copy behind it.
const SHORT_LITERAL: usize = 4;
/// Literals from this length on have it in the bytes behind the tag.
const LONG_LITERAL: usize = 61;

/// By tag of a copy: its length, and above that the upper bits of the distance where the lower ones are one byte.
const COPIES: [u16; 256] = {
    let (mut copies, mut tag) = ([0; 256], 0);
    while tag < 256 {
        copies[tag as usize] = match tag & 3 {
            1 => ((tag >> 2 & 7) + 4) | (tag >> 5 << 8),
            _ => (tag >> 2) + 1,
        };
        tag += 1;
    }
    copies
};
const LENGTH: usize = 0xff;
const FAR: usize = 0x700;

/// What a page of Snappy holds. One that could not be compressed is a part of `page` itself where `may_point` allows that.
///
/// # Errors
/// `INVALID_DATA` when the page is not what Snappy makes.
pub(super) fn inflated(page: &Bytes, may_point: bool) -> Result<Bytes> {
    // Values that are all NULL take no bytes at all.
    if page.is_empty() {
        return Ok(page.clone());
    }
    let broken = || damaged("it is not what Snappy makes");
    let (length, start) = length(page).ok_or_else(broken)?;
    if length > page.len().saturating_mul(LONGEST_COPY) {
        return Err(damaged(format!("{} bytes of Snappy cannot be {length}", page.len())));
    }
    if may_point && literal(page, start).is_some_and(|(from, size)| size == length && page.len() - from == size) {
        return Ok(page.slice(page.len() - length..));
    }
    let mut output = vec![0; length];
    let elements = page.get(start..).unwrap_or_default();
    inflate(elements, &mut output).ok_or_else(broken)?;
    Ok(output.into())
}

/// The length of what is compressed, and where the elements begin.
fn length(page: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (at, byte) in page.iter().take(5).enumerate() {
        length |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(length).ok()?, at + 1));
        }
    }
    None
}

/// The literal at `at`: where its bytes begin, and how many they are; `None` where there is none.
fn literal(input: &[u8], at: usize) -> Option<(usize, usize)> {
    let tag = usize::from(*input.get(at)?);
    let (size, from) = ((tag >> 2) + 1, at + 1);
    if tag & 3 != 0 {
        return None;
    }
    let bytes = (size + 1).saturating_sub(LONG_LITERAL);
    if bytes == 0 {
        return Some((from, size));
    }
    let size = input.get(from..from + bytes)?.iter().rev().fold(0, |size, byte| size << 8 | usize::from(*byte));
    Some((from + bytes, size.checked_add(1)?))
}

/// Fills `output` with what the elements of `input` say; `None` when they say anything else.
fn inflate(input: &[u8], output: &mut [u8]) -> Option<()> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("bmi2") && is_x86_feature_detected!("avx2") {
        // SAFETY: the machine was asked whether it has these instructions.
        return unsafe { inflate_wide(input, output) };
    }
    inflate_any(input, output)
}

/// The same with shifts by any register, and wide copies.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "bmi1,bmi2,avx2")]
fn inflate_wide(input: &[u8], output: &mut [u8]) -> Option<()> {
    inflate_any(input, output)
}

#[inline(always)]
fn inflate_any(input: &[u8], output: &mut [u8]) -> Option<()> {
    let (mut at, mut done) = (0, 0);
    while at + MARGIN <= input.len() && done + MARGIN <= output.len() {
        let mut word = u64::from_le_bytes(block(input, at)?);
        let mut tag = (word & 0xff) as usize;
        if tag & 3 == 0 {
            if tag >> 2 >= SHORT_LITERAL {
                (at, done) = copy_literal(input, at, output, done)?;
                continue;
            }
            put(output, done, (word >> 8).to_le_bytes())?;
            at += (tag >> 2) + 2;
            done += (tag >> 2) + 1;
            // Eight bits for the tag and each byte of the literal.
            word >>= 2 * tag + 16;
            tag = (word & 0xff) as usize;
        }
        let kind = tag & 3;
        if kind == 0 || kind == 3 {
            // A second literal, which no writer makes behind so short a one, and a copy from very far.
            (at, done) = one(input, at, output, done)?;
            continue;
        }
        at += kind + 1;
        let copy = usize::from(COPIES[tag]);
        let near = (word >> 8) as usize & if kind == 1 { 0xff } else { 0xffff };
        let (distance, size) = (copy & FAR | near, copy & LENGTH);
        copy_back(output, done, distance, size)?;
        done += size;
    }
    while at < input.len() {
        (at, done) = one(input, at, output, done)?;
    }
    (done == output.len()).then_some(())
}

/// A literal that is not short; there is a margin behind `at` and `done`.
#[inline(always)]
fn copy_literal(input: &[u8], at: usize, output: &mut [u8], done: usize) -> Option<(usize, usize)> {
    let (from, size) = literal(input, at)?;
    if size <= 16 {
        put(output, done, block::<16>(input, from)?)?;
    } else {
        output.get_mut(done..done.checked_add(size)?)?.copy_from_slice(input.get(from..from.checked_add(size)?)?);
    }
    Some((from + size, done + size))
}

/// Copies `size` bytes, at most [`LONGEST_COPY`], from `distance` bytes before; there is a margin behind `done`.
#[inline(always)]
fn copy_back(output: &mut [u8], done: usize, distance: usize, size: usize) -> Option<()> {
    let from = done.checked_sub(distance)?;
    if distance >= 16 && size <= 16 {
        put(output, done, block::<16>(output, from)?)
    } else if distance >= 8 && size <= 16 {
        put(output, done, block::<8>(output, from)?)?;
        put(output, done + 8, block::<8>(output, from + 8)?)
    } else if distance >= 16 {
        for step in (0..LONGEST_COPY).step_by(16) {
            put(output, done + step, block::<16>(output, from + step)?)?;
        }
        Some(())
    } else {
        repeat(output, done, distance, size)
    }
}

/// Copies byte by byte: what is copied may be what was copied just before.
fn repeat(output: &mut [u8], done: usize, distance: usize, size: usize) -> Option<()> {
    let from = done.checked_sub(distance).filter(|from| *from < done)?;
    let bytes = output.get_mut(from..done.checked_add(size)?)?;
    for place in 0..size {
        bytes[distance + place] = bytes[place];
    }
    Some(())
}

/// One element of any kind; gives where the next one and its output begin.
#[inline(never)]
fn one(input: &[u8], at: usize, output: &mut [u8], done: usize) -> Option<(usize, usize)> {
    let tag = usize::from(*input.get(at)?);
    if let Some((from, size)) = literal(input, at) {
        let end = from.checked_add(size)?;
        output.get_mut(done..done.checked_add(size)?)?.copy_from_slice(input.get(from..end)?);
        return Some((end, done + size));
    }
    let bytes = [0, 1, 2, 4][tag & 3];
    let near = input.get(at + 1..at + 1 + bytes)?.iter().rev().fold(0, |near, byte| near << 8 | usize::from(*byte));
    let copy = usize::from(COPIES[tag]);
    let far = if bytes == 1 { copy & FAR } else { 0 };
    repeat(output, done, far | near, copy & LENGTH)?;
    Some((at + 1 + bytes, done + (copy & LENGTH)))
}

#[inline(always)]
fn block<const SIZE: usize>(bytes: &[u8], at: usize) -> Option<[u8; SIZE]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[inline(always)]
fn put<const SIZE: usize>(bytes: &mut [u8], at: usize, block: [u8; SIZE]) -> Option<()> {
    *bytes.get_mut(at..)?.first_chunk_mut()? = block;
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Numbers, words, noise and repetitions, each for a while.
    fn contents() -> impl Strategy<Value = Vec<u8>> {
        let part = (0..6u8, 1..4_000usize, any::<u64>()).prop_map(|(kind, size, seed)| {
            let mut state = seed | 1;
            let mut random = move || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state >> 33
            };
            let mut bytes: Vec<u8> = Vec::new();
            while bytes.len() < size {
                match kind {
                    0 => bytes.extend((random() % 100_000).to_le_bytes()),
                    1 => bytes.extend((seed % 1_000 + bytes.len() as u64).to_le_bytes()),
                    2 => bytes.extend(["special ", "requests ", "sleep ", "above the "][random() as usize % 4].bytes()),
                    3 => bytes.push(random() as u8),
                    4 => bytes.extend((0..random() % 70).map(|_| seed as u8)),
                    _ => bytes.extend((0..random() % 90 + 1).map(|byte| (byte % (seed % 20 + 1)) as u8)),
                }
            }
            bytes
        });
        vec(part, 0..12).prop_map(|parts| parts.concat())
    }

    /// What any kind of elements mean, told byte by byte.
    fn elements() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
        let element = (any::<bool>(), vec(any::<u8>(), 1..200), 1..64usize, any::<usize>(), 0..3u8);
        vec(element, 1..200).prop_map(|elements| {
            let (mut input, mut output) = (Vec::new(), Vec::new());
            for (is_literal, bytes, size, distance, kind) in elements {
                if is_literal || output.is_empty() {
                    match bytes.len() - 1 {
                        size @ 0..60 if kind == 0 => input.push((size << 2) as u8),
                        size if kind == 1 => input.extend([60 << 2, size as u8]),
                        size => input.extend([63 << 2, size as u8, 0, 0, 0]),
                    }
                    input.extend(&bytes);
                    output.extend(&bytes);
                    continue;
                }
                let distance = distance % output.len() + 1;
                let size = match kind {
                    0 if distance < 2_048 => {
                        let size = size % 8 + 4;
                        input.extend([
                            1 | (((size - 4) as u8 % 8) << 2) | (((distance >> 8) as u8 % 8) << 5),
                            distance as u8,
                        ]);
                        size
                    }
                    1 => {
                        input.extend([3 | ((size - 1) << 2) as u8]);
                        input.extend((distance as u32).to_le_bytes());
                        size
                    }
                    _ => {
                        input.extend([2 | ((size - 1) << 2) as u8]);
                        input.extend((distance as u16).to_le_bytes());
                        size
                    }
                };
                (0..size).for_each(|_| output.push(output[output.len() - distance]));
            }
            (input, output)
        })
    }

    fn named(length: usize) -> Vec<u8> {
        let mut bytes = vec![0x80; 4];
        bytes.iter_mut().enumerate().for_each(|(at, byte)| *byte |= (length >> (7 * at)) as u8 & 0x7f);
        bytes.push((length >> 28) as u8);
        bytes
    }

    proptest! {
        #[test]
        fn what_was_compressed_comes_back(bytes in contents(), may_point in any::<bool>()) {
            let page = Bytes::from(snap::raw::Encoder::new().compress_vec(&bytes).unwrap());
            prop_assert_eq!(&inflated(&page, may_point).unwrap()[..], &bytes[..]);
            for cut in [1, page.len() / 2, page.len().saturating_sub(1)] {
                prop_assert!(bytes.is_empty() || inflated(&page.slice(..cut), may_point).is_err());
            }
        }

        #[test]
        fn every_kind_of_element_is_known((input, output) in elements()) {
            let page = [named(output.len()), input.clone()].concat();
            prop_assert_eq!(&inflated(&page.into(), false).unwrap()[..], &output[..]);
            let mut again = vec![0; output.len()];
            prop_assert_eq!(inflate_any(&input, &mut again), Some(()));
            prop_assert_eq!(again, output);
        }

        #[test]
        fn any_bytes_give_bytes_or_an_error(length in 0..6_000usize, input in vec(any::<u8>(), 0..400)) {
            let page = Bytes::from([named(length), input].concat());
            if let Ok(bytes) = inflated(&page, true) {
                prop_assert_eq!(bytes.len(), length);
                let known = snap::raw::Decoder::new().decompress_vec(&page).unwrap();
                prop_assert_eq!(&known[..], &bytes[..]);
            }
        }
    }

    #[test]
    fn what_could_not_be_compressed_is_not_copied() {
        let noise: Vec<u8> =
            (0..5_000u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
        let page = Bytes::from(snap::raw::Encoder::new().compress_vec(&noise).unwrap());
        let pointed = inflated(&page, true).unwrap();
        assert_eq!(pointed, noise);
        let within = page.as_ptr_range();
        assert_eq!(within.contains(&pointed.as_ptr()), page.len() < noise.len() + 16);
        assert!(!within.contains(&inflated(&page, false).unwrap().as_ptr()));
    }
}
