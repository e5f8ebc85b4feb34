//! The browser login of a realm, compiled.

use std::collections::HashMap;
use std::time::Duration;

use super::{Place, span};
use crate::config::{self, ClientAuthentication};
use crate::error::ConfigError;
use crate::jose::base64url;
use crate::oidc::assertion::ClientKey;
use crate::oidc::{Attempts, Client, Login, SessionSpan};
use crate::path::NormalPath;
use crate::seal::{KEY_BYTES, KeyRing, SealingKey};
use crate::secret::Secret;

const MAX_KEY_ID_BYTES: usize = 32;
/// Cookies that one browser may hold for logins that are under way; each may have 3 kB.
const MOST_ATTEMPTS: usize = 16;

/// Environment variables of the VM.
pub(super) type Environment = HashMap<String, String>;

pub(super) fn compile(
    config: &config::Login,
    clients: Option<&[String]>,
    environment: &Environment,
    place: &Place,
) -> Result<Login, ConfigError> {
    place.field("client_id").text(&config.client_id)?;
    if clients.is_some_and(|clients| !clients.contains(&config.client_id)) {
        return Err(place.field("client_id").error(format_args!(
            "the realm's clients do not name `{}`, so what its logins bring would be refused",
            config.client_id
        )));
    }
    let prefix = config.prefix.as_deref().unwrap_or("/sso");
    let post_logout = config.post_logout.as_deref().unwrap_or("/");
    for (name, path) in [("prefix", prefix), ("post_logout", post_logout)] {
        let normal = NormalPath::parse(path.as_bytes()).is_ok_and(|normal| normal.as_str() == path);
        let sound = normal && (name == "post_logout" || !path.ends_with('/') && !path.contains('%'));
        if !sound {
            return Err(place.field(name).error(format_args!("`{path}` is no path such as /sso")));
        }
    }
    if is_below(prefix, post_logout) {
        return Err(place.field("post_logout").error("is one of the login's own paths"));
    }
    let mut scope = vec!["openid".to_owned()];
    scope.extend(words(config.scopes.as_deref(), &place.field("scopes"))?);
    scope.dedup();
    Ok(Login {
        client_id: config.client_id.clone(),
        client: client(config, environment, place)?,
        scope: scope.join(" "),
        acr_values: words(config.acr_values.as_deref(), &place.field("acr_values"))?,
        prefix: prefix.to_owned(),
        keys: key_ring(&config.cookie_keys, environment, &place.field("cookie_keys"))?,
        session: session(&config.session, &place.field("session"))?,
        attempts: attempts(&config.attempt, &place.field("attempt"))?,
        timeout: span(config.timeout, 5),
        post_logout: post_logout.to_owned(),
    })
}

/// Whether a path is the prefix or lies below it.
fn is_below(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Words that travel in one parameter with spaces between them (RFC 6749 section 3.3).
fn words(words: Option<&[String]>, place: &Place) -> Result<Vec<String>, ConfigError> {
    let words = words.unwrap_or_default();
    for (at, word) in words.iter().enumerate() {
        place.item(at).text(word)?;
        if !word.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\')) {
            return Err(place.item(at).error(format_args!("`{word}` holds more than a word may")));
        }
    }
    Ok(words.to_vec())
}

fn client(config: &config::Login, environment: &Environment, place: &Place) -> Result<Client, ConfigError> {
    let secret = config.client_secret.as_ref().map(|source| {
        let place = place.field("client_secret");
        let secret = secret(source.env.as_deref(), source.inline.as_deref(), environment, &place)?;
        place.text(&secret)?;
        Ok(Secret::new(secret))
    });
    let secret = secret.transpose()?;
    if let Some(key) = &config.client_key {
        return match (config.client_authentication, &secret) {
            (None | Some(ClientAuthentication::PrivateKeyJwt), None) => {
                client_key(key, environment, &place.field("client_key")).map(Client::Key)
            }
            (_, Some(_)) => Err(place.field("client_key").error("contradicts client_secret")),
            (Some(_), None) => Err(place.field("client_authentication").error("contradicts client_key")),
        };
    }
    let place = place.field("client_authentication");
    match (config.client_authentication, secret) {
        (None | Some(ClientAuthentication::None), None) => Ok(Client::Public),
        (None | Some(ClientAuthentication::ClientSecretBasic), Some(secret)) => Ok(Client::Basic(secret)),
        (Some(ClientAuthentication::ClientSecretPost), Some(secret)) => Ok(Client::Post(secret)),
        (Some(ClientAuthentication::None), Some(_)) => Err(place.error("none contradicts client_secret")),
        (Some(ClientAuthentication::PrivateKeyJwt), _) => Err(place.error("needs client_key")),
        (Some(_), None) => Err(place.error("needs client_secret")),
    }
}

/// Whether the host can sign with it is the host's to say.
fn client_key(
    config: &config::ClientKey,
    environment: &Environment,
    place: &Place,
) -> Result<ClientKey, ConfigError> {
    let algorithm =
        config.algorithm.ok_or_else(|| place.field("algorithm").error("is required: RS256 or ES256"))?;
    if let Some(id) = &config.id {
        place.field("id").text(id)?;
    }
    let pem = secret(config.env.as_deref(), config.inline.as_deref(), environment, place)?;
    if !pem.contains("PRIVATE KEY-----") {
        return Err(place.error("is no private key in PEM"));
    }
    Ok(ClientKey { algorithm, id: config.id.clone(), pem: Secret::new(pem) })
}

/// The text of a secret. No message shows it.
fn secret(
    env: Option<&str>,
    inline: Option<&str>,
    environment: &Environment,
    place: &Place,
) -> Result<String, ConfigError> {
    match (env, inline) {
        (Some(name), None) => environment.get(name).cloned().ok_or_else(|| {
            place.field("env").error(format_args!(
                "the VM has no environment variable `{name}` (vm_config.environment_variables)"
            ))
        }),
        (None, Some(text)) => Ok(text.to_owned()),
        _ => Err(place.error("needs exactly one of env and inline")),
    }
}

fn key_ring(
    keys: &[config::CookieKey],
    environment: &Environment,
    place: &Place,
) -> Result<KeyRing, ConfigError> {
    place.not_empty(keys, "is required and must not be empty")?;
    let mut ring: Vec<SealingKey> = Vec::new();
    for (at, key) in keys.iter().enumerate() {
        let place = place.item(at);
        let id = &key.id;
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if id.is_empty() || id.len() > MAX_KEY_ID_BYTES || !id.bytes().all(sound) {
            return Err(place.field("id").error(format_args!(
                "`{id}` is no key id: 1 to {MAX_KEY_ID_BYTES} letters, digits, - and _"
            )));
        }
        if ring.iter().any(|known| known.id == *id) {
            return Err(place.field("id").error(format_args!("`{id}` is there twice")));
        }
        let text = secret(key.env.as_deref(), key.inline.as_deref(), environment, &place)?;
        let bytes = base64url(&text).and_then(|bytes| <[u8; KEY_BYTES]>::try_from(bytes).ok());
        let bytes = bytes.ok_or_else(|| {
            place.error(format_args!(
                "the key `{id}` is not {KEY_BYTES} bytes in base64url (43 characters, without =)"
            ))
        })?;
        ring.push(SealingKey { id: id.clone(), key: Secret::new(bytes) });
    }
    Ok(KeyRing::new(ring))
}

fn session(config: &config::SessionLimits, place: &Place) -> Result<SessionSpan, ConfigError> {
    // A default never contradicts what is written: it gives way.
    let written = config.idle.map(|span| span.0);
    let absolute =
        config.absolute.map_or(Duration::from_hours(12).max(written.unwrap_or_default()), |span| span.0);
    let idle = written.unwrap_or(Duration::from_mins(30).min(absolute));
    if idle > absolute {
        return Err(place.field("idle").error("is longer than absolute"));
    }
    let refresh_before = config.refresh_before.map_or(Duration::from_secs(30).min(absolute), |span| span.0);
    if refresh_before > absolute {
        return Err(place.field("refresh_before").error("is longer than absolute"));
    }
    Ok(SessionSpan { idle, absolute, refresh_before })
}

fn attempts(config: &config::AttemptLimits, place: &Place) -> Result<Attempts, ConfigError> {
    let at_most = config.at_most.unwrap_or(4);
    if !(1..=MOST_ATTEMPTS).contains(&at_most) {
        return Err(place
            .field("at_most")
            .error(format_args!("{at_most} is not between 1 and {MOST_ATTEMPTS}")));
    }
    Ok(Attempts { lifetime: span(config.lifetime, 600), at_most })
}
