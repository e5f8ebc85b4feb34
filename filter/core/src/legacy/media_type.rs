//! The types of bodies and of their parts.

use crate::request::http_token;

/// A media type with the parameters that bodies may have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MediaType {
    /// In lower case.
    pub(super) name: String,
    pub(super) charset: Option<String>,
    pub(super) boundary: Option<String>,
}

impl MediaType {
    /// Reads it (RFC 9110 section 8.3.1); `None` for anything out of the ordinary.
    pub(super) fn parse(field: &[u8]) -> Option<Self> {
        let field = std::str::from_utf8(field).ok()?;
        let mut parts = field.split(';');
        let name = parts.next()?.trim_matches([' ', '\t']).to_ascii_lowercase();
        let (kind, subkind) = name.split_once('/')?;
        http_token(kind.as_bytes()).and(http_token(subkind.as_bytes()))?;
        let mut media_type = Self { name, charset: None, boundary: None };
        for part in parts {
            let (name, value) = part.trim_matches([' ', '\t']).split_once('=')?;
            let value = value.strip_prefix('"').map_or(Some(value), |rest| rest.strip_suffix('"'))?;
            // What needs no quotes is read alike with and without them, but for a boundary of other characters.
            let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_-./:=?".contains(&byte);
            if value.is_empty() || value.len() > 70 || !value.bytes().all(sound) {
                return None;
            }
            let slot = match name.to_ascii_lowercase().as_str() {
                "charset" => &mut media_type.charset,
                "boundary" => &mut media_type.boundary,
                _ => return None,
            };
            if slot.replace(value.to_owned()).is_some() {
                return None;
            }
        }
        Some(media_type)
    }
}
