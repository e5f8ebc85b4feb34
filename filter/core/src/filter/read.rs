//! From the document to the configuration's types, more strictly than `serde_json` does it: a list never
//! stands for an object (its items would become the fields in their order), and nothing is `null`.

use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{Deserialize, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Value};

use crate::error::ConfigError;

/// Reads a configuration.
///
/// # Errors
/// The first field that is unknown or has the wrong type, with its path.
pub(super) fn read<'de, T: Deserialize<'de>>(document: &'de Value) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(Field(document)).map_err(|error| {
        let path = error.path().to_string();
        ConfigError::new(if path == "." { "" } else { &path }, error.inner())
    })
}

#[derive(Clone, Copy)]
struct Field<'de>(&'de Value);

impl<'de> Deserializer<'de> for Field<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            // It would read as a field that is absent, which may be the laxer one.
            Value::Null => Err(Error::custom("has no value; give it one or leave the field out")),
            Value::Array(items) => visitor.visit_seq(SeqDeserializer::new(items.iter().map(Field))),
            Value::Object(members) => {
                let members = members.iter().map(|(name, value)| (name.as_str(), Field(value)));
                visitor.visit_map(MapDeserializer::new(members))
            }
            scalar => scalar.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::Object(_) | Value::Null => self.deserialize_any(visitor),
            Value::Array(_) => Err(Error::custom("needs an object with named fields, not a list")),
            _ => Err(Error::custom("needs an object with named fields")),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::String(variant) => visitor.visit_enum(StrDeserializer::new(variant)),
            // Only to have the type refused.
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Error> for Field<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
