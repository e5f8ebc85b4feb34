//! The identity headers, compiled.

use std::sync::Arc;

use super::Place;
use crate::config;
use crate::error::ConfigError;
use crate::identity::{HeaderRule, IdentityPolicy, OVERRIDES, Source, fold};
use crate::request::http_token;

/// Fields that HTTP, Envoy or this filter need for themselves: no identity header may bear their names, and
/// no strip prefix may take them away.
const RESERVED: [&str; 49] = [
    "accept",
    "accept-encoding",
    "age",
    "allow",
    "alt-svc",
    "authorization",
    "cache-control",
    "connection",
    "cookie",
    "date",
    "early-data",
    "etag",
    "expect",
    "expires",
    "forwarded",
    "from",
    "host",
    "http2-settings",
    "keep-alive",
    "last-modified",
    "link",
    "location",
    "max-forwards",
    "origin",
    "pragma",
    "priority",
    "range",
    "referer",
    "retry-after",
    "server",
    "set-cookie",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "www-authenticate",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];

/// Families of such fields.
const RESERVED_FAMILIES: [&str; 7] =
    ["access-control-", "content-", "grpc-", "if-", "proxy-", "sec-", "x-envoy-"];

const MOST_VALUE_BYTES: usize = 32 * 1024;

pub(super) fn compile(config: &config::Identity, place: &Place) -> Result<IdentityPolicy, ConfigError> {
    let max_value_bytes = config.max_value_bytes.unwrap_or(2048);
    if !(1..=MOST_VALUE_BYTES).contains(&max_value_bytes) {
        let problem = format!("{max_value_bytes} is not between 1 and {MOST_VALUE_BYTES}");
        return Err(place.field("max_value_bytes").error(problem));
    }
    let mut headers: Vec<(Arc<str>, HeaderRule)> = Vec::new();
    for (name, header) in &config.headers {
        let place = place.field("headers").field(name);
        let name = header_name(name, &place)?;
        if headers.iter().any(|(other, _)| fold(other).eq(fold(&name))) {
            return Err(
                place.error(format_args!("`{name}` is there twice, if case and underscores do not matter"))
            );
        }
        headers.push((name.into(), header_rule(header, &place)?));
    }
    Ok(IdentityPolicy {
        strip: strip(config.strip.as_deref(), &place.field("strip"))?,
        headers,
        forward_token: config.forward_token,
        max_value_bytes,
    })
}

fn strip(prefixes: Option<&[String]>, place: &Place) -> Result<Vec<String>, ConfigError> {
    let Some(prefixes) = prefixes else { return Ok(Vec::new()) };
    place.names(prefixes)?;
    let mut folded = Vec::new();
    for (at, prefix) in prefixes.iter().enumerate() {
        let place = place.item(at);
        // HTTP allows `*` in a name, but whoever writes one means any name that begins so.
        if prefix.contains('*') {
            return Err(place.error(format_args!("`{prefix}`: a prefix is written without *")));
        }
        if http_token(prefix.as_bytes()).is_none() {
            return Err(place.error(format_args!("`{prefix}` is not how a header name begins")));
        }
        let prefix: String = fold(prefix).map(char::from).collect();
        // `x-` is a legitimate wish; a prefix of `content-length` or `cookie` is none.
        let mut reserved = RESERVED.iter().chain(&RESERVED_FAMILIES).filter(|name| !name.starts_with("x-"));
        if let Some(taken) = reserved
            .find(|name| name.starts_with(&prefix) || prefix.starts_with(*name) && name.ends_with('-'))
        {
            return Err(place.error(format_args!("`{prefix}` would strip `{taken}`")));
        }
        folded.push(prefix);
    }
    Ok(folded)
}

fn header_name(name: &str, place: &Place) -> Result<String, ConfigError> {
    place.text(name)?;
    let lower = name.to_ascii_lowercase();
    if http_token(name.as_bytes()).is_none() {
        return Err(place.error(format_args!("`{name}` is no header name")));
    }
    let folded: String = fold(&lower).map(char::from).collect();
    let family = RESERVED_FAMILIES.iter().any(|family| folded.starts_with(family));
    if family || RESERVED.iter().chain(&OVERRIDES).any(|reserved| folded == *reserved) {
        return Err(place.error(format_args!("`{name}` is needed by HTTP, Envoy or Portcullis itself")));
    }
    Ok(lower)
}

fn header_rule(config: &config::Header, place: &Place) -> Result<HeaderRule, ConfigError> {
    let renames = config.rename.is_some();
    let source = match (config.realm, &config.claim, &config.roles, &config.has_role) {
        (Some(true), None, None, None) => Source::Realm,
        (Some(false), None, None, None) => {
            return Err(place.field("realm").error("false says nothing: leave the header out"));
        }
        (None, Some(path), None, None) => {
            let place = place.field("claim");
            place.not_empty(path, "is required and must not be empty")?;
            path.iter().enumerate().try_for_each(|(at, name)| place.item(at).text(name))?;
            Source::Claim(path.clone())
        }
        (None, None, Some(roles), None) => roles_source(roles, config, place)?,
        (None, None, None, Some(config::HasRole::Realm(role))) => {
            place.field("has_role").text(role)?;
            Source::HasRole { client: None, role: role.clone() }
        }
        (None, None, None, Some(config::HasRole::Client(client_role))) => {
            place.field("has_role").field("client").text(&client_role.client)?;
            place.field("has_role").field("role").text(&client_role.role)?;
            Source::HasRole { client: Some(client_role.client.clone()), role: client_role.role.clone() }
        }
        (None, None, None, None) => {
            return Err(place.error("needs a source: realm, claim, roles or has_role"));
        }
        _ => return Err(place.error("needs only one source: realm, claim, roles or has_role")),
    };
    let is_roles = matches!(source, Source::Roles { .. });
    if renames && !is_roles {
        return Err(place.field("rename").error("goes with roles only"));
    }
    if config.separator.is_some() && !is_roles && !matches!(source, Source::Claim(_)) {
        return Err(place.field("separator").error("goes with roles and claim only"));
    }
    let separator = config.separator.clone().unwrap_or_else(|| ",".to_owned());
    let printable = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'%' && !byte.is_ascii_alphanumeric();
    if separator.is_empty() || separator.len() > 4 || !separator.bytes().all(printable) {
        return Err(place
            .field("separator")
            .error("needs one to four ASCII characters that are no letters, digits or %"));
    }
    Ok(HeaderRule { source, required: config.required, separator })
}

fn roles_source(
    roles: &config::Roles,
    config: &config::Header,
    place: &Place,
) -> Result<Source, ConfigError> {
    if let Some(clients) = &roles.clients {
        place.field("roles").field("clients").names(clients)?;
    } else if !roles.realm {
        return Err(place.field("roles").error("needs realm: true or clients"));
    }
    let rename: Vec<(String, String)> = config.rename.clone().unwrap_or_default().into_iter().collect();
    for (from, to) in &rename {
        place.field("rename").text(from)?;
        place.field("rename").field(from).text(to)?;
    }
    Ok(Source::Roles { realm: roles.realm, clients: roles.clients.clone().unwrap_or_default(), rename })
}
