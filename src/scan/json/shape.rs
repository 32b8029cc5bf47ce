//! The type of JSON values, widened value by value.
//!
//! Invariant: widening is a least upper bound, so that the type does not depend on the order of the samples; only the
//! order of keys does (first appearance).

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields};
use foldhash::{HashMap, HashMapExt};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::scan::infer::Kind;
use crate::scan::json::forms::Forms;

/// A nested object with more keys is taken for a dictionary, whose keys are data: it stays JSON text.
const GREATEST_STRUCT: usize = 512;
/// Columns of a file.
const GREATEST_ROW: usize = 16_384;

/// What values look like.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Scalar(Kind),
    List(Box<Shape>),
    Struct(Keys),
}

/// The keys of objects in the order of their first appearance.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Keys {
    shapes: Vec<(String, Shape)>,
    index: HashMap<String, usize>,
}

impl Keys {
    fn get_or_add(&mut self, key: &str) -> Option<&mut Shape> {
        let position = match self.index.get(key) {
            Some(position) => *position,
            None => {
                self.index.insert(key.to_owned(), self.shapes.len());
                self.shapes.push((key.to_owned(), Shape::Scalar(Kind::Null)));
                self.shapes.len() - 1
            }
        };
        self.shapes.get_mut(position).map(|(_, shape)| shape)
    }

    fn len(&self) -> usize {
        self.shapes.len()
    }

    /// The shape of values that have no key, as that of the only one.
    pub(super) fn only(&mut self, key: &str) -> Option<&mut Shape> {
        self.get_or_add(key)
    }

    /// Widens by the keys of other objects.
    pub(super) fn join(&mut self, other: Keys) {
        for (key, shape) in other.shapes {
            if let Some(known) = self.get_or_add(&key) {
                known.join(shape);
            }
        }
    }

    /// The keys as columns, all of which may be NULL.
    pub(super) fn fields(&self) -> Fields {
        self.shapes.iter().map(|(name, shape)| Arc::new(Field::new(name, shape.data_type(), true))).collect()
    }
}

impl Shape {
    fn data_type(&self) -> DataType {
        match self {
            Shape::Scalar(kind) => kind.data_type(),
            Shape::List(item) => DataType::List(Arc::new(Field::new_list_field(item.data_type(), true))),
            // A struct without fields cannot be a column.
            Shape::Struct(keys) if keys.len() == 0 => DataType::Utf8View,
            Shape::Struct(keys) => DataType::Struct(keys.fields()),
        }
    }

    fn widen(&mut self, other: Kind) {
        *self = match std::mem::replace(self, Shape::Scalar(Kind::Text)) {
            Shape::Scalar(kind) => Shape::Scalar(kind.join(other)),
            nested if other == Kind::Null => nested,
            _ => Shape::Scalar(Kind::Text),
        };
    }

    fn join(&mut self, other: Shape) {
        match (&mut *self, other) {
            (_, Shape::Scalar(kind)) => self.widen(kind),
            (Shape::Scalar(Kind::Null), other) => *self = other,
            (Shape::List(item), Shape::List(other)) => item.join(*other),
            (Shape::Struct(keys), Shape::Struct(other)) => {
                keys.join(other);
                self.limit();
            }
            _ => *self = Shape::Scalar(Kind::Text),
        }
    }

    fn limit(&mut self) {
        if matches!(self, Shape::Struct(keys) if keys.len() > GREATEST_STRUCT) {
            *self = Shape::Scalar(Kind::Text);
        }
    }
}

/// Widens the columns by one object; anything else at the top is an error.
pub(super) struct RowShape<'a> {
    pub(super) keys: &'a mut Keys,
    pub(super) limits: Limits<'a>,
}

/// What is told from a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits<'a> {
    /// Brackets that may still be opened; what is deeper is text.
    pub(super) depth: usize,
    pub(super) forms: &'a Forms,
}

impl Limits<'_> {
    fn within(self) -> Self {
        Limits { depth: self.depth.saturating_sub(1), ..self }
    }
}

impl<'de> DeserializeSeed<'de> for RowShape<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RowShape<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        visit_keys(self.keys, self.limits, map)?;
        if self.keys.len() > GREATEST_ROW {
            return Err(A::Error::custom(format!("more than {GREATEST_ROW} different keys")));
        }
        Ok(())
    }
}

fn visit_keys<'de, A: MapAccess<'de>>(keys: &mut Keys, limits: Limits, mut map: A) -> Result<(), A::Error> {
    while let Some(position) = map.next_key_seed(KeyPosition(keys))? {
        match keys.shapes.get_mut(position) {
            Some((_, shape)) => map.next_value_seed(ValueShape { shape, limits })?,
            None => drop(map.next_value::<IgnoredAny>()?),
        }
    }
    Ok(())
}

/// Finds a key among known ones, or adds it.
struct KeyPosition<'a>(&'a mut Keys);

impl<'de> DeserializeSeed<'de> for KeyPosition<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyPosition<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<usize, E> {
        if let Some(position) = self.0.index.get(key) {
            return Ok(*position);
        }
        self.0.get_or_add(key);
        Ok(self.0.len() - 1)
    }
}

/// Widens one shape by one value.
pub(super) struct ValueShape<'a> {
    pub(super) shape: &'a mut Shape,
    pub(super) limits: Limits<'a>,
}

impl<'de> DeserializeSeed<'de> for ValueShape<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueShape<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.shape.widen(Kind::Boolean);
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.shape.widen(Kind::BigInt);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.shape.widen(if i64::try_from(value).is_ok() { Kind::BigInt } else { Kind::Huge });
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.shape.widen(Kind::Double);
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if *self.shape != Shape::Scalar(Kind::Text) {
            self.shape.widen(self.limits.forms.classify(text.as_bytes()));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        if self.limits.depth == 0 {
            *self.shape = Shape::Scalar(Kind::Text);
        }
        if *self.shape == Shape::Scalar(Kind::Null) {
            *self.shape = Shape::List(Box::new(Shape::Scalar(Kind::Null)));
        }
        let limits = self.limits.within();
        match self.shape {
            Shape::List(item) => while items.next_element_seed(ValueShape { shape: item, limits })?.is_some() {},
            other => {
                *other = Shape::Scalar(Kind::Text);
                while items.next_element::<IgnoredAny>()?.is_some() {}
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if self.limits.depth == 0 {
            *self.shape = Shape::Scalar(Kind::Text);
        }
        if *self.shape == Shape::Scalar(Kind::Null) {
            *self.shape = Shape::Struct(Keys { shapes: Vec::new(), index: HashMap::new() });
        }
        match &mut *self.shape {
            Shape::Struct(keys) => visit_keys(keys, self.limits.within(), map)?,
            other => {
                *other = Shape::Scalar(Kind::Text);
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            }
        }
        self.shape.limit();
        Ok(())
    }
}
