//! From the document to the configuration's types, more strictly than `serde_json` does it: a list never
//! stands for an object (its items would become the fields in their order), and nothing is `null`.

use std::convert::Infallible;
use std::fmt;
use std::iter::Enumerate;
use std::slice;

use serde::de::value::StrDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, Expected, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Value, map};

use crate::error::ConfigError;

/// Reads a configuration.
///
/// # Errors
/// The first field that is unknown or has the wrong type, with its path.
pub(super) fn read<'de, T: Deserialize<'de>>(document: &'de Value) -> Result<T, ConfigError> {
    T::deserialize(Field(document)).map_err(|Fault(error)| {
        let path = error.path.strip_prefix('.').unwrap_or(&error.path);
        ConfigError::new(path, &error.problem)
    })
}

/// A configuration error whose path is still made, from the inside out. Boxed: it is part of what each
/// function here returns.
#[derive(Debug)]
struct Fault(Box<ConfigError>);

impl Fault {
    /// Puts a step before the path: `.name` or `[index]`.
    #[cold]
    #[inline(never)]
    fn within(mut self, step: fmt::Arguments<'_>) -> Self {
        self.0.path.insert_str(0, &step.to_string());
        self
    }
}

impl Error for Fault {
    fn custom<P: fmt::Display>(problem: P) -> Self {
        Self(Box::new(ConfigError::new("", problem)))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Fault {}

#[derive(Clone, Copy)]
struct Field<'de>(&'de Value);

impl Field<'_> {
    /// The value is of another type than what is expected.
    #[cold]
    fn is_no(self, expected: &dyn Expected) -> Fault {
        let Err(fault) = self.deserialize_any(Nothing(expected));
        fault
    }
}

/// Takes no value, so that `serde` says which it was offered.
struct Nothing<'e>(&'e dyn Expected);

impl Visitor<'_> for Nothing<'_> {
    type Value = Infallible;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is left of an object, and the member whose name was read last.
struct Members<'de> {
    rest: map::Iter<'de>,
    member: Option<(&'de str, Field<'de>)>,
}

impl<'de> MapAccess<'de> for Members<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some((name, value)) = self.rest.next() else { return Ok(None) };
        self.member = Some((name, Field(value)));
        let known = seed.deserialize(StrDeserializer::new(name));
        known.map(Some).map_err(|fault: Fault| fault.within(format_args!(".{name}")))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some((name, value)) = self.member.take() else {
            return Err(Error::custom("a value is read before its name"));
        };
        seed.deserialize(value).map_err(|fault: Fault| fault.within(format_args!(".{name}")))
    }
}

/// What is left of a list.
struct Items<'de>(Enumerate<slice::Iter<'de, Value>>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some((at, item)) = self.0.next() else { return Ok(None) };
        seed.deserialize(Field(item)).map(Some).map_err(|fault: Fault| fault.within(format_args!("[{at}]")))
    }
}

impl<'de> Deserializer<'de> for Field<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            // It would read as a field that is absent, which may be the laxer one.
            Value::Null => Err(Error::custom("has no value; give it one or leave the field out")),
            Value::Bool(truth) => visitor.visit_bool(*truth),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(whole), ..) => visitor.visit_u64(whole),
                (None, Some(negative), _) => visitor.visit_i64(negative),
                (None, None, fraction) => visitor.visit_f64(fraction.unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(Items(items.iter().enumerate())),
            Value::Object(members) => visitor.visit_map(Members { rest: members.iter(), member: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Array(items) => visitor.visit_seq(Items(items.iter().enumerate())),
            _ => Err(self.is_no(&visitor)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Object(members) => visitor.visit_map(Members { rest: members.iter(), member: None }),
            _ => Err(self.is_no(&visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Object(members) => visitor.visit_map(Members { rest: members.iter(), member: None }),
            Value::Null => Err(self.is_no(&visitor)),
            Value::Array(_) => Err(Error::custom("needs an object with named fields, not a list")),
            _ => Err(Error::custom("needs an object with named fields")),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(variant) => visitor.visit_enum(StrDeserializer::new(variant)),
            _ => Err(self.is_no(&visitor)),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        tuple tuple_struct identifier ignored_any
    }
}
