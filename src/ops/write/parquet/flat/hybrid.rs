//! Runs of small numbers: Parquet's hybrid of run lengths and packed bits, for dictionary indexes and levels.
//! (The format: "Run Length Encoding / Bit-Packing Hybrid" in the Parquet specification.)

/// Numbers of a packed group.
const GROUP: usize = 8;
/// Equal numbers that are worth a run of their own.
const LEAST_RUN: usize = 24;

/// Bits for numbers up to `greatest`.
pub(super) fn width_of(greatest: usize) -> u32 {
    usize::BITS - greatest.leading_zeros()
}

/// Appends `numbers`, of `width` bits each.
pub(super) fn append_numbers(numbers: &[u32], width: u32, out: &mut Vec<u8>) {
    // Packed numbers that wait to be written begin here; all runs but the last end at a multiple of a group.
    let (mut packed, mut at) = (0, 0);
    while let Some(rest) = numbers.get(at..)
        && let Some(&first) = rest.first()
    {
        // Mostly the second number differs already.
        if rest.get(1) == Some(&first) {
            let equal = rest.iter().take_while(|&&number| number == first).count();
            if equal >= LEAST_RUN {
                append_packed(&numbers[packed..at], width, out);
                append_run(first, equal, width, out);
                at += equal;
                packed = at;
                continue;
            }
        }
        at = (at + GROUP).min(numbers.len());
    }
    append_packed(&numbers[packed..], width, out);
}

/// Appends `count` times `number`.
pub(super) fn append_run(number: u32, count: usize, width: u32, out: &mut Vec<u8>) {
    append_varint(count << 1, out);
    out.extend_from_slice(&number.to_le_bytes()[..width.div_ceil(8) as usize]);
}

/// Appends `count` bits of `bits`, the lowest of each byte first.
pub(super) fn append_bits(bits: &[u8], count: usize, out: &mut Vec<u8>) {
    append_varint(count.div_ceil(GROUP) << 1 | 1, out);
    out.extend_from_slice(&bits[..count.div_ceil(8)]);
}

fn append_packed(numbers: &[u32], width: u32, out: &mut Vec<u8>) {
    if numbers.is_empty() {
        return;
    }
    let groups = numbers.len().div_ceil(GROUP);
    append_varint(groups << 1 | 1, out);
    out.reserve(groups * width as usize + 8);
    let (whole, rest) = numbers.as_chunks::<GROUP>();
    for group in whole {
        append_group(group, width, out);
    }
    if !rest.is_empty() {
        let mut group = [0; GROUP];
        group[..rest.len()].copy_from_slice(rest);
        append_group(&group, width, out);
    }
}

/// Eight numbers of `width` bits are `width` bytes.
fn append_group(group: &[u32; GROUP], width: u32, out: &mut Vec<u8>) {
    if width <= 16 {
        let packed = group.iter().rev().fold(0_u128, |packed, &number| packed << width | u128::from(number));
        out.extend_from_slice(&packed.to_le_bytes()[..width as usize]);
        return;
    }
    let (mut bits, mut filled) = (0_u64, 0);
    for &number in group {
        bits |= u64::from(number) << filled;
        filled += width;
        while filled >= 8 {
            out.push(bits as u8);
            bits >>= 8;
            filled -= 8;
        }
    }
}

fn append_varint(mut number: usize, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
