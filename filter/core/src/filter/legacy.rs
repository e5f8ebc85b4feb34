//! What legacy rules let through, compiled.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Place, span};
use crate::config;
use crate::error::ConfigError;
use crate::legacy::LegacyPolicy;
use crate::legacy::shared::Attempts;
use crate::site::HostPattern;

/// Room for what a login and the methods behind it send.
const MAX_BODY_BYTES: usize = 65_536;
const MOST_BODY_BYTES: usize = 1024 * 1024;
const MOST_ATTEMPTS: u32 = 1_000_000;

pub(super) fn compile(config: &config::Legacy, place: &Place) -> Result<LegacyPolicy, ConfigError> {
    let mut logins = HashMap::new();
    for (host, names) in &config.logins {
        let place = place.field("logins").field(host);
        place.names(names)?;
        let pattern = HostPattern::parse(host).map_err(|problem| place.error(problem))?;
        if logins.insert(pattern, names.clone()).is_some() {
            return Err(place.error("this host is there twice"));
        }
    }
    let networks = config.networks.as_ref().map(|networks| {
        let place = place.field("networks");
        place.not_empty(networks, "an empty list; leave the field out to allow every network")?;
        networks.iter().enumerate().map(|(at, text)| network(text, &place.item(at))).collect()
    });
    let max_body_bytes = config.max_body_bytes.unwrap_or(MAX_BODY_BYTES);
    if !(1..=MOST_BODY_BYTES).contains(&max_body_bytes) {
        let problem = format_args!("{max_body_bytes} is not between 1 and {MOST_BODY_BYTES}");
        return Err(place.field("max_body_bytes").error(problem));
    }
    Ok(LegacyPolicy {
        logins,
        networks: networks.transpose()?,
        max_body_bytes,
        unseen_tokens: config.unseen_tokens,
        session_lifetime: span(config.session_lifetime, 48 * 3600),
        attempts: attempts(&config.attempts, &place.field("attempts"))?,
    })
}

fn attempts(config: &config::Attempts, place: &Place) -> Result<Attempts, ConfigError> {
    let (per_login, per_source) = (config.per_login.unwrap_or(10), config.per_source.unwrap_or(100));
    if !(1..=MOST_ATTEMPTS).contains(&per_login) {
        let problem = format_args!("{per_login} is not between 1 and {MOST_ATTEMPTS}");
        return Err(place.field("per_login").error(problem));
    }
    if !(per_login..=MOST_ATTEMPTS).contains(&per_source) {
        let problem = format_args!("{per_source} is not between per_login, {per_login}, and {MOST_ATTEMPTS}");
        return Err(place.field("per_source").error(problem));
    }
    Ok(Attempts { per_login, per_source, window: span(config.window, 300) })
}

fn network(text: &str, place: &Place) -> Result<IpNet, ConfigError> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse()
        .or_else(|_| address())
        .map_err(|_| place.error(format_args!("`{text}` is no network such as 203.0.113.0/24")))
}
