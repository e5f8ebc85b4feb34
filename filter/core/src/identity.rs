//! Identity headers: what a client says about itself never reaches an upstream, and what a verified token
//! says does.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::error::TokenError;
use crate::jose::claims::{Claim, Claims};
use crate::keycloak;
use crate::realm::Realm;
use crate::reply::Denial;
use crate::request::{Header, http_token, values};
use crate::token::AccessToken;

/// Headers by which some upstreams let a client replace the path or the method that was judged. Nobody
/// behind a gate needs them, so they are always stripped.
pub(crate) const OVERRIDES: [&str; 8] = [
    "x-original-url",
    "x-original-uri",
    "x-rewrite-url",
    "x-envoy-original-path",
    "x-envoy-original-host",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
];

/// What is stripped from clients and set for upstreams.
#[derive(Debug)]
pub(crate) struct IdentityPolicy {
    /// Name prefixes that are stripped, folded.
    pub(crate) strip: Vec<String>,
    /// Headers that are set, by name as configured; each is stripped, too.
    pub(crate) headers: Vec<(Arc<str>, HeaderRule)>,
    pub(crate) forward_token: bool,
    pub(crate) max_value_bytes: usize,
}

/// How one header is made.
#[derive(Debug)]
pub(crate) struct HeaderRule {
    pub(crate) source: Source,
    pub(crate) required: bool,
    pub(crate) separator: String,
}

/// Where a header's value comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// The realm's name.
    Realm,
    /// A claim, by its path.
    Claim(Vec<String>),
    /// A list of roles, each with the name that it shall bear.
    Roles { realm: bool, clients: Vec<String>, rename: Vec<(String, String)> },
    /// Whether the user has a role.
    HasRole { client: Option<String>, role: String },
}

/// Changes to a request's headers: first the removals, then the settings.
///
/// It can only be begun by `IdentityPolicy::strip`, so that no forwarded request keeps what a client said
/// about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderEdits {
    remove: Vec<String>,
    set: Vec<HeaderField>,
    /// The client's `cookie` field without our cookies; `None`: it stays as it is.
    cookie: Option<Vec<u8>>,
}

/// The name of a header field and its value; both are cheap to copy.
pub type HeaderField = (Arc<str>, Arc<str>);

/// What upstreams are told about the bearer of a token.
pub(crate) type IdentityHeaders = Arc<[HeaderField]>;

impl HeaderEdits {
    /// Names of which every field is removed.
    pub fn removed(&self) -> &[String] {
        &self.remove
    }

    /// Names and the one value that replaces whatever was there. Visible ASCII (and what the separator adds).
    pub fn set(&self) -> &[HeaderField] {
        &self.set
    }

    /// What replaces the `cookie` field: the client's own bytes, without our cookies.
    pub fn cookie(&self) -> Option<&[u8]> {
        self.cookie.as_deref()
    }
}

impl HeaderEdits {
    /// Removes every field of this name, too.
    pub(crate) fn remove(&mut self, name: &str) {
        self.remove.push(name.to_owned());
    }

    /// Lets the client's cookies go on without ours; an empty field does not go on at all.
    pub(crate) fn keep_cookies(&mut self, kept: Option<Vec<u8>>) {
        match kept {
            Some(kept) if kept.is_empty() => self.remove.push("cookie".to_owned()),
            kept => self.cookie = kept,
        }
    }
}

impl IdentityPolicy {
    /// Begins the edits: removes the client's identity headers in every spelling, and keeps the `Connection`
    /// field from having ours removed further on (RFC 9110 section 7.6.1).
    pub(crate) fn strip(&self, headers: &[Header]) -> HeaderEdits {
        let mut edits = HeaderEdits { remove: Vec::new(), set: Vec::new(), cookie: None };
        for (name, _) in headers {
            if self.protects(name) && !edits.remove.contains(name) {
                edits.remove.push(name.clone());
            }
        }
        let options: Vec<&[u8]> = values(headers, "connection")
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|option| !option.is_empty())
            .collect();
        let kept: Vec<&str> = options
            .iter()
            .filter_map(|option| http_token(option))
            .filter(|name| !self.protects(name))
            .collect();
        if kept.len() < options.len() {
            if kept.is_empty() {
                edits.remove.push("connection".to_owned());
            } else {
                edits.set.push(("connection".into(), kept.join(", ").into()));
            }
        }
        edits
    }

    /// Whether a client may not send a field of this name: case and underscores do not matter, since a
    /// CGI-like upstream cannot tell them apart.
    pub(crate) fn protects(&self, name: &str) -> bool {
        let begins = |prefix: &String| fold(name).take(prefix.len()).eq(prefix.bytes());
        let is = |known: &str| name.len() == known.len() && fold(name).eq(fold(known));
        self.strip.iter().any(begins)
            || self.headers.iter().any(|(known, _)| is(known))
            || OVERRIDES.into_iter().any(is)
    }

    /// Completes the edits for a request that goes on without identity: nor with `Authorization`.
    pub(crate) fn anonymous(mut edits: HeaderEdits) -> HeaderEdits {
        edits.remove.push("authorization".to_owned());
        edits
    }

    /// Completes the edits for the bearer of an accepted token, of whom upstreams are told this.
    pub(crate) fn identified(&self, mut edits: HeaderEdits, identity: &IdentityHeaders) -> HeaderEdits {
        if !self.forward_token {
            edits.remove.push("authorization".to_owned());
        }
        edits.set.extend(identity.iter().cloned());
        edits
    }

    /// The same for a session, which carries its token in cookies: where tokens go upstream, this one does, and what the
    /// client put into `Authorization` never does.
    pub(crate) fn identified_by_session(
        &self,
        edits: HeaderEdits,
        identity: &IdentityHeaders,
        access_token: &str,
    ) -> HeaderEdits {
        let mut edits = self.identified(edits, identity);
        if self.forward_token {
            edits.set.push(("authorization".into(), format!("Bearer {access_token}").into()));
        }
        edits
    }

    /// What upstreams are told about the bearer of a token.
    ///
    /// # Errors
    /// A required header has no value, or a claim cannot be written into a header.
    pub(crate) fn render(&self, token: &AccessToken, realm: &Realm) -> Result<IdentityHeaders, Denial> {
        let mut identity = Vec::with_capacity(self.headers.len());
        for (name, rule) in &self.headers {
            match rule.value(token.claims(), realm).map_err(Denial::Token)? {
                Some(value) if value.len() > self.max_value_bytes => {
                    return Err(Denial::Token(TokenError::ClaimTooLong));
                }
                Some(value) => identity.push((Arc::clone(name), value.into())),
                None if rule.required => return Err(Denial::MissingIdentity),
                None => {}
            }
        }
        Ok(identity.into())
    }
}

impl HeaderRule {
    /// The header's value; `None` where the token has nothing to say.
    fn value(&self, claims: &Claims, realm: &Realm) -> Result<Option<String>, TokenError> {
        let value = match &self.source {
            Source::Realm => encode(&realm.name, "")?,
            Source::Claim(path) => match claims.find(path) {
                Some(Value::Array(items)) => {
                    let items: Option<Vec<String>> = items.iter().map(scalar).collect::<Result<_, _>>()?;
                    self.list(items.unwrap_or_default().iter().map(String::as_str))?
                }
                Some(value) => encode(&scalar(value)?.unwrap_or_default(), "")?,
                None => String::new(),
            },
            Source::Roles { realm, clients, rename } => {
                let names = renamed_roles(claims, *realm, clients, rename);
                self.list(names.iter().map(String::as_str))?
            }
            Source::HasRole { client, role } => {
                let roles = client.as_ref().map_or_else(
                    || keycloak::realm_roles(claims),
                    |client| keycloak::client_roles(claims, client),
                );
                let has = matches!(roles, Claim::Is(roles) if roles.contains(&role.as_str()));
                has.to_string()
            }
        };
        Ok(Some(value).filter(|value| !value.is_empty()))
    }

    fn list<'i>(&self, items: impl Iterator<Item = &'i str>) -> Result<String, TokenError> {
        let items: Vec<String> = items.map(|item| encode(item, &self.separator)).collect::<Result<_, _>>()?;
        Ok(items.join(&self.separator))
    }
}

impl IdentityPolicy {
    /// What a page of the site may know of its user: the realm, the name, and the roles as the first header that
    /// lists roles shows them. No token.
    pub(crate) fn describe(&self, token: &AccessToken, realm: &Realm) -> Map<String, Value> {
        let claims = token.claims();
        let text = |name: &str| match claims.string(name) {
            Claim::Is(text) => Value::from(text),
            Claim::Absent | Claim::Wrong => Value::Null,
        };
        let listed = self.headers.iter().find_map(|(_, rule)| match &rule.source {
            Source::Roles { realm, clients, rename } => Some(renamed_roles(claims, *realm, clients, rename)),
            _ => None,
        });
        let roles = listed.unwrap_or_else(|| role_names(claims, true, &[]));
        // Collecting would bring a sort of its own into the module.
        let mut description = Map::new();
        description.extend([
            ("realm".to_owned(), Value::from(&*realm.name)),
            ("user".to_owned(), text("preferred_username")),
            ("subject".to_owned(), text("sub")),
            ("roles".to_owned(), Value::from(roles)),
        ]);
        description
    }
}

/// The roles of a list, by the names that they bear there.
fn renamed_roles(
    claims: &Claims,
    realm: bool,
    clients: &[String],
    rename: &[(String, String)],
) -> Vec<String> {
    let mut names = role_names(claims, realm, clients);
    for name in &mut names {
        if let Some((_, to)) = rename.iter().find(|(from, _)| from == name) {
            name.clone_from(to);
        }
    }
    names
}

/// Realm roles by their names, then each client's as `client:role`: a client role never looks like a realm
/// role, unless the realm role's name has a colon.
fn role_names(claims: &Claims, realm: bool, clients: &[String]) -> Vec<String> {
    let listed = |roles: Claim<Vec<&str>>, prefix: &str| match roles {
        Claim::Is(roles) => roles.iter().map(|role| format!("{prefix}{role}")).collect(),
        Claim::Absent | Claim::Wrong => Vec::new(),
    };
    let mut names = if realm { listed(keycloak::realm_roles(claims), "") } else { Vec::new() };
    for client in clients {
        names.extend(listed(keycloak::client_roles(claims, client), &format!("{client}:")));
    }
    names
}

/// Doubles hold every integer below this one.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Strings, numbers and booleans have a text; null, arrays and objects have none.
///
/// # Errors
/// A number too large for 64 bits: it was rounded when it was read, and a rounded id is another one.
fn scalar(value: &Value) -> Result<Option<String>, TokenError> {
    match value {
        Value::String(text) => Ok(Some(text.clone())),
        Value::Number(number)
            if number.as_f64().is_some_and(|size| number.is_f64() && size.abs() >= EXACT) =>
        {
            Err(TokenError::ClaimNumber)
        }
        Value::Number(number) => Ok(Some(number.to_string())),
        Value::Bool(truth) => Ok(Some(truth.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => Ok(None),
    }
}

/// Percent-encodes what is not visible ASCII, `%`, and the separator's bytes (RFC 3986 section 2.1).
fn encode(text: &str, separator: &str) -> Result<String, TokenError> {
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(TokenError::ClaimControl);
    }
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' && !separator.as_bytes().contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    Ok(encoded)
}

/// A header name's bytes as an upstream may fold them.
pub(crate) fn fold(name: &str) -> impl Iterator<Item = u8> + '_ {
    name.bytes().map(|byte| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() })
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
