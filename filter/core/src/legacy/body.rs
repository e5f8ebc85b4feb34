//! The bodies that PortaBilling takes, read so strictly that whoever reads them after us finds the same in them.
//!
//! JSON, a form, or the same fields as multipart (`multipart`). What comes out is one object, in which `params` and
//! `auth_info` are objects themselves.

use serde_json::{Map, Value};

use crate::error::LegacyError;
use crate::json;
use crate::request::{Header, values};

use super::media_type::MediaType;
use super::multipart;

/// How a body is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// There is no content type, so there must be no body.
    None,
    /// `application/json`.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/form-data` with this boundary.
    Multipart(String),
}

impl Format {
    /// Reads the one `content-type` of a request, and that there is no `content-encoding`.
    ///
    /// # Errors
    /// Two of them, another type, a parameter that says what everybody need not read alike, a charset other than UTF-8;
    /// any content encoding.
    pub(crate) fn of(headers: &[Header]) -> Result<Self, LegacyError> {
        if values(headers, "content-encoding").next().is_some() {
            return Err(LegacyError::ContentEncoding);
        }
        let mut fields = values(headers, "content-type");
        match (fields.next(), fields.next()) {
            (None, _) => Ok(Self::None),
            (Some(field), None) => Self::parse(field).ok_or(LegacyError::ContentType),
            _ => Err(LegacyError::ContentType),
        }
    }

    fn parse(field: &[u8]) -> Option<Self> {
        let MediaType { name, charset, boundary } = MediaType::parse(field)?;
        if charset.is_some_and(|charset| !charset.eq_ignore_ascii_case("utf-8")) {
            return None;
        }
        match (name.as_str(), boundary) {
            ("application/json", None) => Some(Self::Json),
            ("application/x-www-form-urlencoded", None) => Some(Self::Form),
            ("multipart/form-data", Some(boundary)) => Some(Self::Multipart(boundary)),
            _ => None,
        }
    }

    /// Reads a body.
    ///
    /// # Errors
    /// It is not of this format, or not in a form that everybody reads alike.
    pub(crate) fn read(&self, body: &[u8]) -> Result<Map<String, Value>, LegacyError> {
        match self {
            _ if body.is_empty() => Ok(Map::new()),
            Self::None => Err(LegacyError::ContentType),
            Self::Json => read_json(body),
            Self::Form => read_fields(form(body)?),
            Self::Multipart(boundary) => read_fields(multipart::read(boundary, body)?),
        }
    }
}

fn read_json(body: &[u8]) -> Result<Map<String, Value>, LegacyError> {
    match json::parse(body) {
        Ok(Value::Object(members)) if !holds_nul(&members) => Ok(members),
        _ => Err(LegacyError::Malformed),
    }
}

/// A text ends at a NUL for some readers.
fn holds_nul(members: &Map<String, Value>) -> bool {
    fn in_value(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(items) => items.iter().any(in_value),
            Value::Object(members) => holds_nul(members),
            _ => false,
        }
    }
    members.iter().any(|(name, value)| name.contains('\0') || in_value(value))
}

/// What the fields of a form, of either kind, say.
fn read_fields(fields: Vec<(String, String)>) -> Result<Map<String, Value>, LegacyError> {
    let mut members = Map::new();
    for (name, value) in fields {
        let value = match name.as_str() {
            "params" | "auth_info" if value.is_empty() => Value::Null,
            "params" | "auth_info" => Value::Object(read_json(value.as_bytes())?),
            _ => Value::String(value),
        };
        // `_charset_` names another charset to some readers (RFC 7578 section 4.6).
        if name == "_charset_" || members.insert(name, value).is_some() {
            return Err(LegacyError::Malformed);
        }
    }
    Ok(members)
}

/// Reads a form (`application/x-www-form-urlencoded`).
fn form(body: &[u8]) -> Result<Vec<(String, String)>, LegacyError> {
    // `;` separates fields for some readers, and a line break ends a value for some.
    if body.iter().any(|byte| byte.is_ascii_control() || *byte == b';') || !has_sound_escapes(body) {
        return Err(LegacyError::Malformed);
    }
    let pair = |pair: &[u8]| {
        if !pair.contains(&b'=') {
            return Err(LegacyError::Malformed);
        }
        let (name, value) = form_urlencoded::parse(pair).next().ok_or(LegacyError::Malformed)?;
        // In place of bytes that are no UTF-8.
        let lossy = [&name, &value].iter().any(|text| text.contains(['\u{fffd}', '\0']));
        if lossy || name.is_empty() {
            Err(LegacyError::Malformed)
        } else {
            Ok((name.into_owned(), value.into_owned()))
        }
    };
    body.split(|byte| *byte == b'&').map(pair).collect()
}

fn has_sound_escapes(text: &[u8]) -> bool {
    let mut pieces = text.split(|byte| *byte == b'%');
    pieces.next();
    pieces
        .all(|piece| matches!(piece, [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit()))
}
