//! Kernels of one row: closures over Rust values, made into kernels over Arrow arrays.
//!
//! `row2::<Text, Int, _>(|text, count| …)` is an overload that takes a text and an integer. What the closure returns says
//! the result's type: `i64`, `String`, … ; `Option` for results that may be NULL, `Result` for those that may fail.
//!
//! Invariant: a row with a NULL argument is NULL without a call, unless the argument is [`Maybe`].

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array,
    FixedSizeBinaryArray, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array,
    IntervalMonthDayNanoArray, LargeBinaryArray, LargeStringArray, ListArray, StringViewArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, TimestampNanosecondArray, UInt64Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, IntervalMonthDayNano, IntervalUnit, TimeUnit, i256};
use datafusion_common::{DataFusionError, Result as DataFusionResult, internal_err};

use super::function::{Arguments, Overload};
use crate::batch::logical::{BIT, JSON, UUID, bit_array, uuids};
use crate::error::Error;

/// A type of argument.
pub(super) trait Input: 'static {
    /// The array that its columns are.
    type Array: Array + 'static;
    /// One value of it.
    type Item<'a>;
    /// Whether NULL is a value like others.
    const TAKES_NULL: bool = false;
    fn data_type() -> DataType;
    fn item(array: &Self::Array, row: usize) -> Self::Item<'_>;
}

macro_rules! inputs {
    ($($(#[$doc:meta])* $name:ident: $array:ty => $item:ty, $data_type:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(super) struct $name;

        impl Input for $name {
            type Array = $array;
            type Item<'a> = $item;

            fn data_type() -> DataType {
                $data_type
            }

            fn item(array: &$array, row: usize) -> $item {
                array.value(row)
            }
        }
    )*};
}

inputs! {
    /// BOOLEAN
    Bool: BooleanArray => bool, DataType::Boolean;
    /// TINYINT
    Int8: Int8Array => i8, DataType::Int8;
    /// SMALLINT
    Int16: Int16Array => i16, DataType::Int16;
    /// INTEGER
    Int32: Int32Array => i32, DataType::Int32;
    /// BIGINT
    Int: Int64Array => i64, DataType::Int64;
    /// UBIGINT
    UInt: UInt64Array => u64, DataType::UInt64;
    /// HUGEINT
    Huge: Decimal128Array => i128, DataType::Decimal128(38, 0);
    /// FLOAT
    Single: Float32Array => f32, DataType::Float32;
    /// DOUBLE
    Double: Float64Array => f64, DataType::Float64;
    /// DATE, in days since 1970
    Date: Date32Array => i32, DataType::Date32;
    /// TIME, in microseconds
    Time: Time64MicrosecondArray => i64, DataType::Time64(TimeUnit::Microsecond);
    /// TIMESTAMP, in microseconds since 1970
    Timestamp: TimestampMicrosecondArray => i64, DataType::Timestamp(TimeUnit::Microsecond, None);
    /// TIMESTAMP_NS, in nanoseconds since 1970
    TimestampNs: TimestampNanosecondArray => i64, DataType::Timestamp(TimeUnit::Nanosecond, None);
    /// TIMESTAMP WITH TIME ZONE, in microseconds since 1970
    Instant: TimestampMicrosecondArray => i64, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    /// INTERVAL
    Interval: IntervalMonthDayNanoArray => IntervalMonthDayNano, DataType::Interval(IntervalUnit::MonthDayNano);
}

/// VARCHAR
#[derive(Debug)]
pub(super) struct Text;

impl Input for Text {
    type Array = StringViewArray;
    type Item<'a> = &'a str;

    fn data_type() -> DataType {
        DataType::Utf8View
    }

    fn item(array: &StringViewArray, row: usize) -> &str {
        array.value(row)
    }
}

/// BLOB
#[derive(Debug)]
pub(super) struct Blob;

impl Input for Blob {
    type Array = BinaryViewArray;
    type Item<'a> = &'a [u8];

    fn data_type() -> DataType {
        DataType::BinaryView
    }

    fn item(array: &BinaryViewArray, row: usize) -> &[u8] {
        array.value(row)
    }
}

/// BIT, as the signs 0 and 1
#[derive(Debug)]
pub(super) struct Bits;

impl Input for Bits {
    type Array = LargeBinaryArray;
    type Item<'a> = &'a [u8];

    fn data_type() -> DataType {
        BIT
    }

    fn item(array: &LargeBinaryArray, row: usize) -> &[u8] {
        array.value(row)
    }
}

/// UUID, as a number
#[derive(Debug)]
pub(super) struct Uuid;

impl Input for Uuid {
    type Array = FixedSizeBinaryArray;
    type Item<'a> = u128;

    fn data_type() -> DataType {
        UUID
    }

    fn item(array: &FixedSizeBinaryArray, row: usize) -> u128 {
        array.value(row).iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
    }
}

/// VARCHAR[]
#[derive(Debug)]
pub(super) struct Texts;

impl Input for Texts {
    type Array = ListArray;
    type Item<'a> = ArrayRef;

    fn data_type() -> DataType {
        list_type(DataType::Utf8View)
    }

    fn item(array: &ListArray, row: usize) -> ArrayRef {
        array.value(row)
    }
}

/// An argument that may be NULL.
#[derive(Debug)]
pub(super) struct Maybe<I>(std::marker::PhantomData<I>);

impl<I: Input> Input for Maybe<I> {
    type Array = I::Array;
    type Item<'a> = Option<I::Item<'a>>;
    const TAKES_NULL: bool = true;

    fn data_type() -> DataType {
        I::data_type()
    }

    fn item(array: &I::Array, row: usize) -> Option<I::Item<'_>> {
        array.is_valid(row).then(|| I::item(array, row))
    }
}

/// The list type of a type, as floe's functions make it.
pub(super) fn list_type(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

/// The texts of a list that are not NULL.
pub(super) fn texts_of(list: &ArrayRef) -> impl Iterator<Item = &str> {
    list.as_string_view().iter().flatten()
}

/// A type of result.
pub(super) trait Output: Sized {
    fn data_type() -> DataType;
    /// The values as an array; `None` is NULL.
    fn array(values: Vec<Option<Self>>) -> DataFusionResult<ArrayRef>;
}

macro_rules! outputs {
    ($($name:ty => $array:ty, $data_type:expr;)*) => {$(
        impl Output for $name {
            fn data_type() -> DataType {
                $data_type
            }

            fn array(values: Vec<Option<Self>>) -> DataFusionResult<ArrayRef> {
                Ok(Arc::new(<$array>::from_iter(values)))
            }
        }
    )*};
}

outputs! {
    bool => BooleanArray, DataType::Boolean;
    i8 => Int8Array, DataType::Int8;
    i32 => Int32Array, DataType::Int32;
    i64 => Int64Array, DataType::Int64;
    u64 => UInt64Array, DataType::UInt64;
    f32 => Float32Array, DataType::Float32;
    f64 => Float64Array, DataType::Float64;
    String => StringViewArray, DataType::Utf8View;
    Vec<u8> => BinaryViewArray, DataType::BinaryView;
    IntervalMonthDayNano => IntervalMonthDayNanoArray, DataType::Interval(IntervalUnit::MonthDayNano);
}

macro_rules! wrapped {
    ($($(#[$doc:meta])* $name:ident($inner:ty) => $input:ty, $array:ty;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub(super) struct $name(pub $inner);

        impl Output for $name {
            fn data_type() -> DataType {
                <$input>::data_type()
            }

            fn array(values: Vec<Option<Self>>) -> DataFusionResult<ArrayRef> {
                let array = <$array>::from_iter(values.into_iter().map(|value| value.map(|value| value.0)));
                Ok(Arc::new(array.with_data_type(<$input>::data_type())))
            }
        }
    )*};
}

wrapped! {
    /// A DATE.
    Days(i32) => Date, Date32Array;
    /// A TIME.
    Clock(i64) => Time, Time64MicrosecondArray;
    /// A TIMESTAMP.
    Micros(i64) => Timestamp, TimestampMicrosecondArray;
    /// A TIMESTAMP_NS.
    Nanos(i64) => TimestampNs, TimestampNanosecondArray;
    /// A TIMESTAMP WITH TIME ZONE.
    Moment(i64) => Instant, TimestampMicrosecondArray;
    /// A HUGEINT.
    Wide(i128) => Huge, Decimal128Array;
}

/// A whole number of 128 bits without sign.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Unsigned(pub u128);

impl Output for Unsigned {
    fn data_type() -> DataType {
        DataType::Decimal256(39, 0)
    }

    fn array(values: Vec<Option<Self>>) -> DataFusionResult<ArrayRef> {
        let wide = |value: Unsigned| i256::from_parts(value.0, 0);
        let array = Decimal256Array::from_iter(values.into_iter().map(|value| value.map(wide)));
        Ok(Arc::new(array.with_data_type(Self::data_type())))
    }
}

/// A UUID, as a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Identifier(pub u128);

impl Output for Identifier {
    fn data_type() -> DataType {
        UUID
    }

    fn array(values: Vec<Option<Self>>) -> DataFusionResult<ArrayRef> {
        Ok(uuids(values.into_iter().map(|value| value.map(|value| value.0)))?)
    }
}

/// A BIT, as the signs 0 and 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Signs(pub Vec<u8>);

impl Output for Signs {
    fn data_type() -> DataType {
        BIT
    }

    fn array(values: Vec<Option<Self>>) -> DataFusionResult<ArrayRef> {
        Ok(bit_array(values.into_iter().map(|value| value.map(|value| value.0))))
    }
}

/// A text that is JSON.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Json(pub String);

impl Output for Json {
    fn data_type() -> DataType {
        JSON
    }

    fn array(values: Vec<Option<Self>>) -> DataFusionResult<ArrayRef> {
        Ok(Arc::new(LargeStringArray::from_iter(values.into_iter().map(|value| value.map(|value| value.0)))))
    }
}

/// A list; one of bytes is a BLOB, since a byte alone is no result.
impl<T: Output> Output for Vec<T> {
    fn data_type() -> DataType {
        list_type(T::data_type())
    }

    fn array(values: Vec<Option<Self>>) -> DataFusionResult<ArrayRef> {
        let lengths = values.iter().map(|list| list.as_ref().map_or(0, Vec::len));
        let offsets = OffsetBuffer::from_lengths(lengths);
        let nulls: NullBuffer = values.iter().map(Option::is_some).collect();
        let items = T::array(values.into_iter().flatten().flatten().map(Some).collect())?;
        let field = Arc::new(Field::new_list_field(T::data_type(), true));
        Ok(Arc::new(ListArray::try_new(field, offsets, items, Some(nulls))?))
    }
}

/// A list whose values may be NULL.
impl<T: Output> Output for Vec<Option<T>> {
    fn data_type() -> DataType {
        list_type(T::data_type())
    }

    fn array(values: Vec<Option<Self>>) -> DataFusionResult<ArrayRef> {
        let lengths = values.iter().map(|list| list.as_ref().map_or(0, Vec::len));
        let offsets = OffsetBuffer::from_lengths(lengths);
        let nulls: NullBuffer = values.iter().map(Option::is_some).collect();
        let items = T::array(values.into_iter().flatten().flatten().collect())?;
        let field = Arc::new(Field::new_list_field(T::data_type(), true));
        Ok(Arc::new(ListArray::try_new(field, offsets, items, Some(nulls))?))
    }
}

/// What a closure may return.
pub(super) trait Returned {
    type Value: Output;
    fn value(self) -> Result<Option<Self::Value>, Error>;
}

impl<T: Output> Returned for T {
    type Value = T;

    fn value(self) -> Result<Option<T>, Error> {
        Ok(Some(self))
    }
}

impl<T: Output> Returned for Option<T> {
    type Value = T;

    fn value(self) -> Result<Option<T>, Error> {
        Ok(self)
    }
}

impl<R: Returned> Returned for Result<R, Error> {
    type Value = R::Value;

    fn value(self) -> Result<Option<R::Value>, Error> {
        self.and_then(Returned::value)
    }
}

/// One argument's column; a constant has one row for all.
struct Column<'a, I: Input> {
    array: &'a I::Array,
    constant: bool,
}

impl<'a, I: Input> Column<'a, I> {
    fn of(arguments: &'a Arguments, index: usize) -> DataFusionResult<Self> {
        let Some(column) = arguments.columns.get(index) else { return internal_err!("argument {index} is missing") };
        match column.array.as_any().downcast_ref::<I::Array>() {
            Some(array) => Ok(Column { array, constant: column.constant }),
            None => internal_err!("argument {index} is {} and not {}", column.array.data_type(), I::data_type()),
        }
    }

    fn get(&self, row: usize) -> Option<I::Item<'a>> {
        let row = if self.constant { 0 } else { row };
        (I::TAKES_NULL || self.array.is_valid(row)).then(|| I::item(self.array, row))
    }
}

/// Runs `value` for every row.
fn rows<R: Returned>(arguments: &Arguments, mut value: impl FnMut(usize) -> Option<R>) -> DataFusionResult<ArrayRef> {
    let mut values = Vec::with_capacity(arguments.rows);
    for row in 0..arguments.rows {
        let value = match value(row) {
            Some(returned) => returned.value().map_err(DataFusionError::from)?,
            None => None,
        };
        values.push(value);
    }
    R::Value::array(values)
}

/// An overload without arguments, whose value is one for every row.
pub(super) fn row0<R: Returned + 'static>(run: impl Fn() -> R + Send + Sync + 'static) -> Overload {
    Overload::exact(vec![], R::Value::data_type(), move |arguments| rows(arguments, |_| Some(run())))
}

macro_rules! rows_of {
    ($($(#[$doc:meta])* $name:ident: $($input:ident $column:ident $index:literal),*;)*) => {$(
        $(#[$doc])*
        pub(super) fn $name<$($input: Input,)* R: Returned + 'static>(
            run: impl for<'a> Fn($($input::Item<'a>),*) -> R + Send + Sync + 'static,
        ) -> Overload {
            Overload::exact(vec![$($input::data_type()),*], R::Value::data_type(), move |arguments| {
                $(let $column = Column::<$input>::of(arguments, $index)?;)*
                rows(arguments, |row| Some(run($($column.get(row)?),*)))
            })
        }
    )*};
}

rows_of! {
    /// An overload of one argument.
    row1: A a 0;
    /// An overload of two arguments.
    row2: A a 0, B b 1;
    /// An overload of three arguments.
    row3: A a 0, B b 1, C c 2;
    /// An overload of four arguments.
    row4: A a 0, B b 1, C c 2, D d 3;
    /// An overload of six arguments.
    row6: A a 0, B b 1, C c 2, D d 3, E e 4, F f 5;
    /// An overload of seven arguments.
    row7: A a 0, B b 1, C c 2, D d 3, E e 4, F f 5, G g 6;
}
