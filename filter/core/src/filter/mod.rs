//! The compiled configuration: everything that can be known before the first request, checked once.

mod identity;
mod legacy;
mod login;
mod read;
mod realm;
mod site;
mod text;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::config::{Config, Limits as LimitsConfig, Span};
use crate::document;
use crate::error::ConfigError;
use crate::identity::IdentityPolicy;
use crate::legacy::LegacyPolicy;
use crate::oidc::Client;
use crate::oidc::assertion::ClientKey;
use crate::realm::{Realm, RealmId};
use crate::site::SiteMap;
use crate::text::Texts;

/// A configuration that was checked as a whole.
#[derive(Debug)]
pub struct Filter {
    realms: Vec<Arc<Realm>>,
    sites: SiteMap,
    identity: IdentityPolicy,
    legacy: LegacyPolicy,
    limits: Limits,
    texts: Arc<Texts>,
}

/// Bounds on what one request or one answer may cost; see [`LimitsConfig`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub(crate) max_head_bytes: usize,
    pub(crate) max_token_bytes: usize,
    pub(crate) max_jwks_bytes: usize,
    pub(crate) max_remembered_bytes: usize,
    pub(crate) max_remembered_tokens: usize,
    /// Requests that wait for keys at one time, per realm and worker.
    pub waiting_requests: usize,
    /// The longest wait for keys.
    pub wait_timeout: std::time::Duration,
}

/// Maps of the host are read as empty over 1 MiB, so no head of that size is ever judged.
const MOST_HEAD_BYTES: usize = 1024 * 1024 - 1;
const MOST_JWKS_BYTES: usize = 16 * 1024 * 1024;
const HEAD_ONLY: [&str; 5] = ["authorization", "content-length", "cookie", "host", "transfer-encoding"];
const MOST_REMEMBERED_BYTES: usize = 256 * 1024 * 1024;
const MOST_REMEMBERED_TOKENS: usize = 1_000_000;
const MOST_WAITING: usize = 100_000;

impl Filter {
    /// Parses and checks a configuration that names no environment variable.
    ///
    /// # Errors
    /// As [`Self::parse_in`].
    pub fn parse(document: &[u8]) -> Result<Self, ConfigError> {
        Self::parse_in(document, &HashMap::new())
    }

    /// Parses and checks a configuration. Its secrets may stand in these environment variables.
    ///
    /// # Errors
    /// The first thing that is wrong, with its path in the document and the mend.
    pub fn parse_in(document: &[u8], environment: &HashMap<String, String>) -> Result<Self, ConfigError> {
        let document = document::read(document)?;
        Self::compile(&read::read(&document)?, environment)
    }

    fn compile(config: &Config, environment: &HashMap<String, String>) -> Result<Self, ConfigError> {
        let limits = Limits::compile(&config.limits)?;
        let place = Place::top().field("realms");
        place.not_empty(&config.realms, "at least one realm is needed")?;
        let realms = config
            .realms
            .iter()
            .enumerate()
            .map(|(id, (name, realm))| {
                realm::compile(RealmId(id), name, realm, environment, &place.field(name)).map(Arc::new)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let sites = site::compile(&config.sites, &realms, &Place::top().field("sites"))?;
        let identity = identity::compile(&config.identity, &Place::top().field("identity"))?;
        let legacy = legacy::compile(&config.legacy, &Place::top().field("legacy"))?;
        let texts = text::compile(&config.text, &realms, &Place::top().field("text"))?.into();
        Ok(Self { realms, sites, identity, legacy, limits, texts })
    }

    /// Names of the realms, for metrics.
    pub fn realm_names(&self) -> impl Iterator<Item = (RealmId, &str)> {
        self.realms.iter().map(|realm| (realm.id, &*realm.name))
    }

    /// Whether browsers sign in to any of the realms.
    pub fn has_login(&self) -> bool {
        self.realms.iter().any(|realm| realm.login.is_some())
    }

    /// The private keys of clients, each with the name of its realm.
    pub fn client_keys(&self) -> impl Iterator<Item = (&str, &ClientKey)> {
        self.realms.iter().filter_map(|realm| match &realm.login.as_ref()?.client {
            Client::Key(key) => Some((&*realm.name, key)),
            _ => None,
        })
    }

    /// Bounds.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether a header of this name says who the client is: as the client sent it, it never reaches an upstream.
    pub fn strips(&self, name: &str) -> bool {
        self.identity.protects(name)
    }

    /// Whether a request trailer of this name must not reach the upstream: an identity header, or a field that
    /// may stand in the head only (RFC 9110 section 6.5.1) and that an upstream might merge into it.
    pub fn strips_trailer(&self, name: &str) -> bool {
        self.strips(name) || HEAD_ONLY.iter().any(|known| name.eq_ignore_ascii_case(known))
    }

    pub(crate) fn realms(&self) -> &[Arc<Realm>] {
        &self.realms
    }

    pub(crate) const fn sites(&self) -> &SiteMap {
        &self.sites
    }

    pub(crate) const fn identity(&self) -> &IdentityPolicy {
        &self.identity
    }

    pub(crate) const fn legacy(&self) -> &LegacyPolicy {
        &self.legacy
    }

    pub(crate) const fn texts(&self) -> &Arc<Texts> {
        &self.texts
    }

    pub(crate) fn is_issuer(&self, issuer: &str) -> bool {
        self.realms.iter().any(|realm| realm.issuer == issuer)
    }
}

impl Limits {
    fn compile(config: &LimitsConfig) -> Result<Self, ConfigError> {
        let place = Place::top().field("limits");
        let within = |name: &str, value: usize, least: usize, most: usize| {
            if (least..=most).contains(&value) {
                return Ok(value);
            }
            Err(place.field(name).error(format_args!("{value} is not between {least} and {most}")))
        };
        let (remembered_bytes, remembered_tokens) =
            (config.max_remembered_bytes.unwrap_or(8_388_608), config.max_remembered_tokens.unwrap_or(8_192));
        let max_head_bytes =
            within("max_head_bytes", config.max_head_bytes.unwrap_or(65_536), 1, MOST_HEAD_BYTES)?;
        Ok(Self {
            max_head_bytes,
            max_token_bytes: within(
                "max_token_bytes",
                config.max_token_bytes.unwrap_or(16_384.min(max_head_bytes)),
                1,
                max_head_bytes,
            )?,
            max_jwks_bytes: within(
                "max_jwks_bytes",
                config.max_jwks_bytes.unwrap_or(262_144),
                1,
                MOST_JWKS_BYTES,
            )?,
            waiting_requests: within(
                "waiting_requests",
                config.waiting_requests.unwrap_or(1_000),
                1,
                MOST_WAITING,
            )?,
            max_remembered_bytes: within("max_remembered_bytes", remembered_bytes, 0, MOST_REMEMBERED_BYTES)?,
            max_remembered_tokens: within(
                "max_remembered_tokens",
                remembered_tokens,
                0,
                MOST_REMEMBERED_TOKENS,
            )?,
            wait_timeout: span(config.wait_timeout, 5),
        })
    }
}

fn span(configured: Option<Span>, default_seconds: u64) -> std::time::Duration {
    configured.map_or(std::time::Duration::from_secs(default_seconds), |span| span.0)
}

/// A place in the document, for messages: `sites[1].rules[0].path`.
#[derive(Clone, Debug)]
struct Place(String);

impl Place {
    const fn top() -> Self {
        Self(String::new())
    }

    fn field(&self, name: &str) -> Self {
        Self(if self.0.is_empty() { name.to_owned() } else { format!("{}.{name}", self.0) })
    }

    fn item(&self, at: usize) -> Self {
        Self(format!("{}[{at}]", self.0))
    }

    fn error(&self, problem: impl fmt::Display) -> ConfigError {
        ConfigError::new(&self.0, problem)
    }

    /// A text that must be there.
    fn text(&self, text: &str) -> Result<(), ConfigError> {
        if text.is_empty() { Err(self.error("is required and must not be empty")) } else { Ok(()) }
    }

    /// A list of texts that must be there, and none of which is empty or repeated.
    fn names(&self, names: &[String]) -> Result<(), ConfigError> {
        self.not_empty(names, "is required and must not be empty")?;
        for (at, name) in names.iter().enumerate() {
            self.item(at).text(name)?;
            if names.iter().take(at).any(|earlier| earlier == name) {
                return Err(self.item(at).error(format_args!("`{name}` is there twice")));
            }
        }
        Ok(())
    }

    fn not_empty<'c, C: 'c + ?Sized>(&self, items: &'c C, problem: &str) -> Result<(), ConfigError>
    where
        &'c C: IntoIterator,
    {
        if items.into_iter().next().is_none() { Err(self.error(problem)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
