//! Blocks give back the batches that went in; broken ones are errors.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::*;
use proptest::prelude::*;

use super::{BlockId, Compression, decode_block};
use crate::error::Code;

fn encode_block(batch: &RecordBatch, id: BlockId, buffer: &mut Vec<u8>, start: usize) -> crate::error::Result<usize> {
    super::encode_block(batch, id, Compression::WhereItPays, buffer, start)
}

fn round_trip(batch: &RecordBatch) -> RecordBatch {
    // Garbage before and behind must not matter.
    let mut buffer = vec![0xa5; 13];
    let end = encode_block(batch, BlockId(7), &mut buffer, 13).unwrap();
    decode_block(&buffer[13..end], BlockId(7), &batch.schema(), batch.num_rows()).unwrap()
}

fn assert_same(batch: &RecordBatch) {
    let back = round_trip(batch);
    assert_eq!(back.schema(), batch.schema());
    assert_eq!(back.num_rows(), batch.num_rows());
    for (new, old) in back.columns().iter().zip(batch.columns()) {
        new.to_data().validate_full().unwrap();
        assert_eq!(new, old);
    }
}

fn one_column(array: ArrayRef) -> RecordBatch {
    let field = Field::new("c", array.data_type().clone(), true);
    RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![array]).unwrap()
}

#[test]
fn no_columns_keep_their_rows() {
    let options = RecordBatchOptions::new().with_row_count(Some(5));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
    assert_eq!(round_trip(&batch).num_rows(), 5);
}

#[test]
fn extremes_of_every_integer_come_back() {
    let wide = [i128::MIN, i128::MAX, 0, -1, i64::MIN as i128 - 1, u64::MAX as i128];
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(Int8Array::from(vec![i8::MIN, i8::MAX, 0])),
        Arc::new(Int64Array::from(vec![i64::MIN, i64::MAX, 0])),
        Arc::new(Int64Array::from(vec![i64::MAX, i64::MAX - 255])),
        Arc::new(Int64Array::from(vec![i64::MIN, i64::MIN + 256])),
        Arc::new(UInt64Array::from(vec![u64::MAX, 0])),
        Arc::new(UInt64Array::from(vec![u64::MAX, u64::MAX - 65535])),
        Arc::new(Decimal128Array::from(wide.to_vec())),
        Arc::new(Decimal128Array::from(vec![i128::MIN, i128::MIN + u64::MAX as i128])),
        Arc::new(Int32Array::from(vec![None, None, Some(i32::MIN)])),
        Arc::new(Int32Array::from(vec![None::<i32>; 9])),
        Arc::new(Float64Array::from(vec![f64::NAN, -0.0, f64::INFINITY])),
    ];
    for array in arrays {
        let batch = one_column(array.clone());
        let back = round_trip(&batch);
        if array.null_count() == 0 {
            // By bits, so that NaN and negative zero count.
            assert_eq!(back.column(0).to_data().buffers()[0], batch.column(0).to_data().buffers()[0]);
        } else {
            assert_eq!(back.column(0), batch.column(0));
        }
        assert_eq!(back.column(0).nulls(), batch.column(0).nulls());
    }
}

#[test]
fn values_under_a_null_do_not_widen_a_column() {
    let nulls = NullBuffer::from(vec![true, false, true]);
    let array = Int64Array::new(ScalarBuffer::from(vec![1, i64::MAX, 200]), Some(nulls));
    let batch = one_column(Arc::new(array));
    assert_same(&batch);
    let mut buffer = Vec::new();
    let narrow = encode_block(&batch, BlockId(0), &mut buffer, 0).unwrap();
    let other = one_column(Arc::new(Int64Array::from(vec![Some(1), Some(i64::MAX), None])));
    assert!(narrow < encode_block(&other, BlockId(0), &mut buffer, 0).unwrap());
}

#[test]
fn garbage_views_under_nulls_are_not_followed() {
    let views = ScalarBuffer::from(vec![u128::MAX, u128::from(3_u32) | 0x636261_u128 << 32]);
    let nulls = NullBuffer::from(vec![false, true]);
    // SAFETY: the view that points nowhere is under a null, where nobody may look: that is what is tested.
    let array = unsafe { StringViewArray::new_unchecked(views, Vec::<Buffer>::new(), Some(nulls)) };
    let back = round_trip(&one_column(Arc::new(array)));
    assert_eq!(back.column(0).as_string_view().iter().collect::<Vec<_>>(), vec![None, Some("abc")]);
}

#[test]
fn repetitive_text_is_compressed_and_noise_is_not() {
    let text = StringArray::from_iter_values((0..2000).map(|row| format!("quickly final deposits {}", row % 7)));
    let noise: Vec<u64> = (0..2000_u64).map(|row| xxhash_rust::xxh3::xxh3_64(&row.to_le_bytes())).collect();
    let noise = BinaryArray::from_iter_values(noise.iter().map(|value| value.to_le_bytes()));
    let size = |array: ArrayRef| {
        let batch = one_column(array);
        assert_same(&batch);
        encode_block(&batch, BlockId(0), &mut Vec::new(), 0).unwrap()
    };
    assert!(size(Arc::new(text)) < 20_000);
    assert!(size(Arc::new(noise)) < 16_000 + 200);
    let batch = one_column(Arc::new(StringArray::from(vec!["the same again"; 2000])));
    let plain = super::encode_block(&batch, BlockId(7), Compression::Never, &mut Vec::new(), 0).unwrap();
    assert!(plain > 2000 * 14);
}

#[test]
fn any_flipped_bit_cut_or_swap_is_an_error() {
    let strings = StringViewArray::from(vec![Some("short"), None, Some("a value that is longer than a view")]);
    let batch = RecordBatch::try_from_iter_with_nullable(vec![
        ("i", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef, true),
        ("s", Arc::new(strings) as ArrayRef, true),
    ])
    .unwrap();
    let mut block = Vec::new();
    let end = encode_block(&batch, BlockId(7), &mut block, 0).unwrap();
    block.truncate(end);
    let decode = |block: &[u8], id, rows| decode_block(block, BlockId(id), &batch.schema(), rows);
    assert!(decode(&block, 7, 3).is_ok());
    for bit in 0..block.len() * 8 {
        block[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(decode(&block, 7, 3).unwrap_err().code(), Code::SpillFailed, "bit {bit}");
        block[bit / 8] ^= 1 << (bit % 8);
    }
    for length in 0..block.len() {
        assert!(decode(&block[..length], 7, 3).is_err());
    }
    assert!(decode(&block, 8, 3).is_err(), "the block of another batch");
    assert!(decode(&block, 7, 4).is_err(), "another number of rows");
}

/// A value of every kind the encodings tell apart, made from one seed.
fn column(kind: u8, seeds: &[Option<u64>], small: bool) -> ArrayRef {
    let integers = || seeds.iter().map(|seed| seed.map(|seed| if small { seed as i64 % 300 } else { seed as i64 }));
    let text = |seed: u64| "déjà vu ".repeat((seed % 5) as usize) + &(seed % 1000).to_string();
    let texts = || seeds.iter().map(|seed| seed.map(text));
    let list = || {
        let rows = seeds
            .iter()
            .map(|seed| seed.map(|seed| (0..seed % 4).map(|i| (i != 1).then_some(i as i32)).collect::<Vec<_>>()));
        ListArray::from_iter_primitive::<Int32Type, _, _>(rows)
    };
    match kind {
        0 => Arc::new(integers().collect::<Int64Array>()),
        1 => Arc::new(integers().map(|v| v.map(|v| v as i8)).collect::<Int8Array>()),
        2 => Arc::new(integers().map(|v| v.map(|v| v as u16)).collect::<UInt16Array>()),
        3 => Arc::new(integers().map(|v| v.map(|v| v as i32)).collect::<Date32Array>()),
        4 => Arc::new(integers().collect::<TimestampMicrosecondArray>().with_timezone("Europe/Paris")),
        5 => {
            let scale = if small { 1 } else { i128::from(i64::MAX) };
            let array = integers().map(|v| v.map(|v| i128::from(v) * scale)).collect::<Decimal128Array>();
            Arc::new(array.with_precision_and_scale(38, 4).unwrap())
        }
        6 => Arc::new(integers().map(|v| v.map(|v| v as f64 / 3.0)).collect::<Float64Array>()),
        7 => Arc::new(integers().map(|v| v.map(|v| v & 1 == 0)).collect::<BooleanArray>()),
        8 => Arc::new(texts().collect::<StringArray>()),
        9 => Arc::new(texts().collect::<LargeStringArray>()),
        10 => Arc::new(texts().collect::<StringViewArray>()),
        11 => Arc::new(texts().map(|v| v.map(String::into_bytes)).collect::<BinaryArray>()),
        12 => Arc::new(texts().map(|v| v.map(String::into_bytes)).collect::<BinaryViewArray>()),
        13 => Arc::new(NullArray::new(seeds.len())),
        14 => Arc::new(list()),
        15 => {
            let nulls = NullBuffer::from(seeds.iter().map(Option::is_some).collect::<Vec<_>>());
            let fields: Fields = vec![
                Field::new("a", DataType::Int64, true),
                Field::new("b", DataType::Utf8View, true),
                Field::new("c", list().data_type().clone(), true),
            ]
            .into();
            let children = vec![column(0, seeds, small), column(10, seeds, small), Arc::new(list()) as ArrayRef];
            Arc::new(StructArray::new(fields, children, Some(nulls)))
        }
        16 => {
            let names: Vec<_> = texts().collect();
            Arc::new(names.iter().map(|name| name.as_deref()).collect::<DictionaryArray<Int32Type>>())
        }
        17 => {
            let keys = StringArray::from_iter_values((0..seeds.len()).map(|row| row.to_string()));
            let entries = StructArray::from(vec![
                (Arc::new(Field::new("keys", DataType::Utf8, false)), Arc::new(keys) as ArrayRef),
                (Arc::new(Field::new("values", DataType::Int64, true)), column(0, seeds, small)),
            ]);
            let field = Arc::new(Field::new("entries", entries.data_type().clone(), false));
            let offsets = OffsetBuffer::from_lengths(vec![1; seeds.len()]);
            Arc::new(MapArray::new(field, offsets, entries, None, false))
        }
        18 => {
            let mut builder = FixedSizeBinaryBuilder::new(5);
            for seed in seeds {
                match seed {
                    Some(seed) => builder.append_value(&seed.to_le_bytes()[..5]).unwrap(),
                    None => builder.append_null(),
                }
            }
            Arc::new(builder.finish())
        }
        19 => Arc::new(
            integers()
                .map(|v| v.map(|v| IntervalMonthDayNano::new(v as i32, 3, v)))
                .collect::<IntervalMonthDayNanoArray>(),
        ),
        _ => {
            let values = integers().map(|v| v.map(|v| i256::from_i128(i128::from(v)))).collect::<Decimal256Array>();
            Arc::new(values)
        }
    }
}

fn seeds() -> impl Strategy<Value = Vec<Option<u64>>> {
    prop_oneof![
        prop::collection::vec(any::<u64>().prop_map(Some), 0..200),
        prop::collection::vec(prop::option::of(any::<u64>()), 0..200),
        prop::collection::vec(Just(None), 0..20),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_type_comes_back(seeds in seeds(), small in any::<bool>(), from in 0_usize..100, length in 0_usize..200) {
        let columns: Vec<_> = (0..=20).map(|kind| (kind.to_string(), column(kind, &seeds, small), true)).collect();
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        assert_same(&batch);
        let from = from.min(batch.num_rows());
        assert_same(&batch.slice(from, length.min(batch.num_rows() - from)));
    }
}

#[test]
fn bits_that_start_within_a_byte_come_back() {
    let bits = BooleanBuffer::collect_bool(100, |bit| bit % 3 == 0);
    let nulls = NullBuffer::new(BooleanBuffer::collect_bool(100, |bit| bit % 5 != 0));
    let array = BooleanArray::new(bits, Some(nulls)).slice(3, 61);
    assert_same(&one_column(Arc::new(array)));
}
