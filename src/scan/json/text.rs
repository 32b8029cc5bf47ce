//! JSON values as text: what a VARCHAR column holds of a value that is not a string.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Appends one value to `out`: compact JSON, strings in quotes.
pub(super) struct JsonText<'a> {
    pub(super) out: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for JsonText<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl JsonText<'_> {
    fn write<E: serde::de::Error>(self, value: impl serde::Serialize) -> Result<(), E> {
        serde_json::to_writer(self.out, &value).map_err(E::custom)
    }
}

impl<'de> Visitor<'de> for JsonText<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.write(value)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.write(value)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.write(value)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.write(value)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.write(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let out = self.out;
        out.push(b'[');
        let start = out.len();
        loop {
            let end = out.len();
            if end > start {
                out.push(b',');
            }
            if items.next_element_seed(JsonText { out: &mut *out })?.is_none() {
                out.truncate(end);
                break;
            }
        }
        out.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let out = self.out;
        out.push(b'{');
        let start = out.len();
        loop {
            let end = out.len();
            if end > start {
                out.push(b',');
            }
            if map.next_key_seed(JsonText { out: &mut *out })?.is_none() {
                out.truncate(end);
                break;
            }
            out.push(b':');
            map.next_value_seed(JsonText { out: &mut *out })?;
        }
        out.push(b'}');
        Ok(())
    }
}
