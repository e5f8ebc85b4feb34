//! Realms, compiled.

use std::time::Duration;

use http::Uri;

use super::login::{self, Environment};
use super::{Place, span};
use crate::authority::Host;
use crate::config;
use crate::error::ConfigError;
use crate::jose::alg::Algorithm;
use crate::jose::jwk::KeySet;
use crate::realm::{Realm, RealmId};

const DAY: Duration = Duration::from_hours(24);
const MAX_NAME_BYTES: usize = 64;

pub(super) fn compile(
    id: RealmId,
    name: &str,
    config: &config::Realm,
    environment: &Environment,
    place: &Place,
) -> Result<Realm, ConfigError> {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(sound) {
        return Err(place.error(format_args!(
            "`{name}` is no realm name: up to {MAX_NAME_BYTES} letters, digits, dots, - and _"
        )));
    }
    let (issuer_authority, issuer_path) = issuer(config, place)?;
    place.field("cluster").text(&config.cluster)?;
    let authority = config.authority.clone().unwrap_or(issuer_authority);
    if Host::parse(authority.as_bytes()).is_none() {
        return Err(place
            .field("authority")
            .error(format_args!("`{authority}` is no host with an optional port")));
    }
    let (discovery_path, jwks_path) = endpoints(config, &issuer_path, place)?;
    audiences(config, place)?;
    if let Some(clients) = &config.clients {
        place.field("clients").names(clients)?;
    }
    let algorithms = algorithms(config, place)?;
    let clock_skew = span(config.clock_skew, 30);
    // A default never contradicts what is written: it gives way.
    let max_token_lifetime = config.max_token_lifetime.map_or(DAY.max(clock_skew), |span| span.0);
    if max_token_lifetime < clock_skew {
        return Err(place.field("max_token_lifetime").error("is shorter than clock_skew"));
    }
    let keys = &config.keys;
    let written = keys.max_stale.map(|span| span.0);
    let refresh_interval = span(keys.refresh_interval, 300);
    let refresh_interval = if keys.refresh_interval.is_some() {
        refresh_interval
    } else {
        refresh_interval.min(written.unwrap_or(DAY))
    };
    let max_stale = written.unwrap_or(DAY.max(refresh_interval));
    if max_stale < refresh_interval {
        return Err(place.field("keys").field("max_stale").error("is shorter than refresh_interval"));
    }
    let bootstrap = keys.bootstrap.as_ref().map(|set| {
        let read = KeySet::parse(&set.to_string(), &algorithms);
        read.map_err(|error| {
            place.field("keys").field("bootstrap").error(format_args!("{error} for the realm's algorithms"))
        })
    });
    let login = config
        .login
        .as_ref()
        .map(|login| login::compile(login, config.clients.as_deref(), environment, &place.field("login")));
    Ok(Realm {
        id,
        login: login.transpose()?,
        name: name.into(),
        issuer: config.issuer.clone(),
        cluster: config.cluster.clone(),
        authority,
        discovery_path,
        jwks_path,
        audiences: config.audiences.clone(),
        clients: config.clients.clone(),
        bootstrap: bootstrap.transpose()?,
        algorithms,
        clock_skew,
        max_token_lifetime,
        refresh_interval,
        max_stale,
        refetch_cooldown: span(keys.refetch_cooldown, 10),
        fetch_timeout: span(keys.fetch_timeout, 3),
    })
}

/// Authority and path of the issuer.
fn issuer(config: &config::Realm, place: &Place) -> Result<(String, String), ConfigError> {
    let place = place.field("issuer");
    place.text(&config.issuer)?;
    let wrong = || {
        let issuer = &config.issuer;
        place.error(format_args!(
            "`{issuer}` is no issuer: an http(s) URL without query, fragment or user, as the tokens' `iss`"
        ))
    };
    let uri: Uri = config.issuer.parse().map_err(|_| wrong())?;
    let authority = match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(authority)) => authority.as_str(),
        _ => return Err(wrong()),
    };
    let plain = Host::parse(authority.as_bytes()).is_some();
    let ascii = config.issuer.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'));
    if !plain || !ascii {
        return Err(wrong());
    }
    Ok((authority.to_owned(), uri.path().trim_end_matches('/').to_owned()))
}

fn endpoints(
    config: &config::Realm,
    issuer_path: &str,
    place: &Place,
) -> Result<(String, Option<String>), ConfigError> {
    for (name, path) in [("discovery_path", &config.discovery_path), ("jwks_path", &config.jwks_path)] {
        let sound = |path: &String| {
            path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
        };
        if let Some(path) = path.as_ref().filter(|path| !sound(path)) {
            return Err(place.field(name).error(format_args!("`{path}` is no path: it starts with /")));
        }
    }
    if config.discovery_path.is_some() && config.jwks_path.is_some() {
        return Err(place.field("discovery_path").error("contradicts jwks_path, which needs no discovery"));
    }
    let discovery = config.discovery_path.clone();
    Ok((
        discovery.unwrap_or_else(|| format!("{issuer_path}/.well-known/openid-configuration")),
        config.jwks_path.clone(),
    ))
}

fn audiences(config: &config::Realm, place: &Place) -> Result<(), ConfigError> {
    let place = place.field("audiences");
    place.names(&config.audiences)?;
    if config.audiences.iter().all(|audience| audience == "account") {
        return Err(place.error(
            "`account` alone is in the token of every client; name the API's audience (Keycloak: an audience mapper)",
        ));
    }
    Ok(())
}

fn algorithms(config: &config::Realm, place: &Place) -> Result<Vec<Algorithm>, ConfigError> {
    let Some(names) = &config.algorithms else { return Ok(vec![Algorithm::Rs256]) };
    let place = place.field("algorithms");
    place.names(names)?;
    let known = |(at, name): (usize, &String)| {
        Algorithm::parse(name).ok_or_else(|| {
            place.item(at).error(format_args!(
                "`{name}` is not supported; RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA are"
            ))
        })
    };
    names.iter().enumerate().map(known).collect()
}
