//! Sites: the authority of a request selects the site, and with it the realm. Nothing else does.

use std::collections::HashMap;
use std::sync::Arc;

use crate::authority::Host;
use crate::config::{ErrorFormat, SiteLogin};
use crate::realm::Realm;
use crate::rule::RuleSet;

/// Hosts with the same realm and rules.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) realm: Arc<Realm>,
    pub(crate) error_format: ErrorFormat,
    pub(crate) login: SiteLogin,
    /// Canonical origins beside the site's own that may act with a session.
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) rules: RuleSet,
}

/// From a host to its site: exact beats wildcard, and no match is no site.
#[derive(Debug, Default)]
pub(crate) struct SiteMap {
    exact: HashMap<String, Arc<Site>>,
    /// By what follows the first label.
    wildcard: HashMap<String, Arc<Site>>,
}

/// A host as a site names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HostPattern {
    Exact(String),
    /// `*.` and this.
    Wildcard(String),
}

impl HostPattern {
    /// Reads a host of the configuration; case, port and trailing dot do not matter.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (wildcard, host) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if host.contains('*') {
            return Err(format!(
                "`{text}`: a wildcard stands for the whole first label, as in *.example.com"
            ));
        }
        let host = Host::parse(host.as_bytes()).ok_or_else(|| {
            format!("`{text}` is no host: write a name such as selfcare.example.com, without scheme or path")
        })?;
        if wildcard && host.as_str().starts_with('[') {
            return Err(format!("`{text}`: an address has no labels that a wildcard could stand for"));
        }
        let host = host.as_str().to_owned();
        Ok(if wildcard { Self::Wildcard(host) } else { Self::Exact(host) })
    }
}

impl HostPattern {
    /// The patterns that a host belongs to, the closer one first.
    pub(crate) fn matching(host: &Host) -> impl Iterator<Item = Self> {
        let wildcard = host.as_str().split_once('.').map(|(_, parent)| Self::Wildcard(parent.to_owned()));
        [Self::Exact(host.as_str().to_owned())].into_iter().chain(wildcard)
    }
}

impl SiteMap {
    /// Adds a host; `false` where it is there already.
    pub(crate) fn insert(&mut self, host: HostPattern, site: Arc<Site>) -> bool {
        match host {
            HostPattern::Exact(host) => self.exact.insert(host, site).is_none(),
            HostPattern::Wildcard(parent) => self.wildcard.insert(parent, site).is_none(),
        }
    }

    /// Selects the site of a host.
    pub(crate) fn select(&self, host: &Host) -> Option<&Arc<Site>> {
        let host = host.as_str();
        self.exact.get(host).or_else(|| self.wildcard.get(host.split_once('.')?.1))
    }
}

#[cfg(test)]
#[path = "site_tests.rs"]
mod tests;
