//! The configuration document as the host hands it over: JSON text, or a `google.protobuf.Struct`.
//!
//! Operators write plain YAML in both cases. Envoy unwraps a `StringValue` to its text, but hands over a
//! `Struct` as its protobuf encoding (seen on 1.40.0); Istio sends a `Struct` as well.

use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{Struct, Value as ProtoValue};
use serde_json::{Map, Number, Value};

use crate::error::ConfigError;
use crate::json;

/// Reads the document, whichever of the two it is. No protobuf encoding of a member is valid JSON, since it
/// holds control characters, so there is nothing to confuse.
///
/// # Errors
/// Neither of the two, or no object.
pub(crate) fn read(document: &[u8]) -> Result<Value, ConfigError> {
    if document.is_empty() {
        // Also what an empty Struct is, and a plugin without a configuration.
        return Err(ConfigError::new("", "the configuration is not JSON: it is empty"));
    }
    let value = match json::parse(document) {
        Ok(value) => value,
        Err(error) => match Struct::decode(document) {
            Ok(fields) if !fields.fields.is_empty() => object(fields),
            _ => return Err(ConfigError::new("", format_args!("the configuration is not JSON: {error}"))),
        },
    };
    if value.is_object() {
        Ok(value)
    } else {
        Err(ConfigError::new("", "the configuration must be a JSON object"))
    }
}

fn object(fields: Struct) -> Value {
    // Collecting would sort first, which is code for nothing: they come in order.
    let mut members = Map::new();
    members.extend(fields.fields.into_iter().map(|(name, value)| (name, plain(value))));
    Value::Object(members)
}

fn plain(value: ProtoValue) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(truth)) => Value::Bool(truth),
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::NumberValue(number)) => self::number(number),
        Some(Kind::ListValue(list)) => Value::Array(list.values.into_iter().map(plain).collect()),
        Some(Kind::StructValue(fields)) => object(fields),
    }
}

/// A Struct has doubles only; a whole one is written as the integer that the operator wrote.
fn number(number: f64) -> Value {
    // The text of a whole double has no fraction, up to where doubles stop holding each integer.
    let whole = format!("{number}").parse::<i64>().ok().filter(|whole| whole.unsigned_abs() < 1 << 53);
    whole.map(Number::from).or_else(|| Number::from_f64(number)).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::test;

    fn encoded(value: &Value) -> ProtoValue {
        let kind = match value {
            Value::Null => Kind::NullValue(0),
            Value::Bool(truth) => Kind::BoolValue(*truth),
            Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
            Value::String(text) => Kind::StringValue(text.clone()),
            Value::Array(items) => {
                Kind::ListValue(prost_types::ListValue { values: items.iter().map(encoded).collect() })
            }
            Value::Object(members) => Kind::StructValue(fields(members)),
        };
        ProtoValue { kind: Some(kind) }
    }

    fn fields(members: &Map<String, Value>) -> Struct {
        Struct { fields: members.iter().map(|(name, value)| (name.clone(), encoded(value))).collect() }
    }

    #[test]
    fn json_and_struct_say_the_same() {
        let document = serde_json::json!({
            "a": {"b": [1, -2, 2048, 0.5, true, null, "text", {}, []]}, "": "", "n": 9_007_199_254_740_991_i64
        });
        let bytes = fields(document.as_object().unwrap()).encode_to_vec();
        assert_eq!(read(&bytes).unwrap(), document);
        assert_eq!(read(document.to_string().as_bytes()).unwrap(), document);
    }

    #[test]
    fn what_envoy_sends_for_a_struct_is_read() {
        let bytes = b"\n\x10\n\x01a\x12\x0b\x1a\x09refuse-no";
        assert_eq!(read(bytes).unwrap(), serde_json::json!({"a": "refuse-no"}));
    }

    #[test]
    fn neither_of_the_two_is_refused() {
        for document in [
            &b" "[..],
            b"realms:",
            b"[]",
            b"\"x\"",
            b"1",
            b"\n\x10\n\x01a",
            b"\xff\xff",
            b"{\"a\":1,\"a\":1}",
        ] {
            assert!(read(document).is_err(), "{}", String::from_utf8_lossy(document));
        }
    }
}
