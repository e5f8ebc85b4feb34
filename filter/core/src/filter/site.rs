//! Sites and their rules, compiled.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::Place;
use crate::authz::{NameSet, Requirement};
use crate::config::{self, SiteLogin};
use crate::error::ConfigError;
use crate::keycloak::NO_AUTHENTICATION;
use crate::oidc::origin::Origin;
use crate::pattern::Pattern;
use crate::realm::Realm;
use crate::request::http_token;
use crate::rule::{Access, DEFAULT_METHODS, Rule, RuleSet};
use crate::site::{HostPattern, Site, SiteMap};

pub(super) fn compile(
    sites: &[config::Site],
    realms: &[Arc<Realm>],
    place: &Place,
) -> Result<SiteMap, ConfigError> {
    place.not_empty(sites, "at least one site is needed")?;
    let mut map = SiteMap::default();
    for (at, config) in sites.iter().enumerate() {
        let place = place.item(at);
        let hosts = place.field("hosts");
        hosts.not_empty(&config.hosts, "is required and must not be empty")?;
        let site = Arc::new(site(config, realms, &place)?);
        for (at, text) in config.hosts.iter().enumerate() {
            let place = hosts.item(at);
            let host = HostPattern::parse(text).map_err(|problem| place.error(problem))?;
            if !map.insert(host, Arc::clone(&site)) {
                return Err(place.error(format_args!("the host `{text}` is there twice")));
            }
        }
    }
    Ok(map)
}

fn site(config: &config::Site, realms: &[Arc<Realm>], place: &Place) -> Result<Site, ConfigError> {
    place.field("realm").text(&config.realm)?;
    let realm = realms.iter().find(|realm| *realm.name == *config.realm).ok_or_else(|| {
        place.field("realm").error(format_args!("no realm has the name `{}`", config.realm))
    })?;
    if config.login != SiteLogin::None && realm.login.is_none() {
        return Err(place.field("login").error(format_args!("the realm `{}` has no login", config.realm)));
    }
    let allowed_origins = origins(&config.allowed_origins, &place.field("allowed_origins"))?;
    let place = place.field("rules");
    place.not_empty(&config.rules, "is required and must not be empty")?;
    let mut rules = RuleSet::default();
    let mut names = std::collections::HashSet::new();
    for (at, config) in config.rules.iter().enumerate() {
        let place = place.item(at);
        place.field("name").text(&config.name)?;
        if !names.insert(config.name.as_str()) {
            return Err(place
                .field("name")
                .error(format_args!("the rule `{}` is there twice in this site", config.name)));
        }
        if config.name.contains(char::is_control) {
            return Err(place.field("name").error("holds a control character"));
        }
        rules.push(rule(config, &place)?).map_err(|hidden_by| {
            place.error(format_args!(
                "the rule `{}` can never match: `{hidden_by}` before it takes its requests",
                config.name
            ))
        })?;
    }
    Ok(Site {
        realm: Arc::clone(realm),
        error_format: config.error_format,
        login: config.login,
        allowed_origins,
        rules,
    })
}

/// Origins in the form in which a browser sends them (RFC 6454 section 6.2).
fn origins(origins: &[String], place: &Place) -> Result<Vec<String>, ConfigError> {
    let canonical = |(at, text): (usize, &String)| {
        Origin::parse(text).map(|origin| origin.as_str().to_owned()).ok_or_else(|| {
            place.item(at).error(format_args!("`{text}` is no origin such as https://portal.example.com"))
        })
    };
    origins.iter().enumerate().map(canonical).collect()
}

fn rule(config: &config::Rule, place: &Place) -> Result<Rule, ConfigError> {
    let access = match (config.access, &config.require) {
        (Some(config::Access::Public), None) => Access::Public,
        (Some(config::Access::Legacy), None) => Access::Legacy,
        (None, Some(require)) => Access::Require(Box::new(requirement(require, &place.field("require"))?)),
        (None, None) => {
            return Err(place
                .field("access")
                .error("needs access or require: a rule without either says nothing"));
        }
        (Some(_), Some(_)) => {
            return Err(place.field("access").error("access and require contradict each other: keep one"));
        }
    };
    Ok(Rule {
        name: config.name.as_str().into(),
        methods: methods(config.methods.as_deref(), &place.field("methods"))?,
        pattern: pattern(&config.path, &place.field("path"))?,
        access,
    })
}

fn methods(configured: Option<&[String]>, place: &Place) -> Result<Vec<String>, ConfigError> {
    let Some(configured) = configured else { return Ok(DEFAULT_METHODS.map(str::to_owned).to_vec()) };
    place.names(configured)?;
    for (at, method) in configured.iter().enumerate() {
        if http_token(method.as_bytes()).is_none() {
            return Err(place.item(at).error(format_args!("`{method}` is no method")));
        }
        if method.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return Err(place
                .item(at)
                .error(format_args!("`{method}`: methods are case-sensitive and written in capitals")));
        }
    }
    let mut methods = configured.to_vec();
    let has = |name: &str| configured.iter().any(|method| method == name);
    if has("GET") && !has("HEAD") {
        methods.push("HEAD".to_owned());
    }
    Ok(methods)
}

fn pattern(config: &config::Path, place: &Place) -> Result<Pattern<'static>, ConfigError> {
    let (name, read) = match (&config.exact, &config.prefix, &config.template) {
        (Some(path), None, None) => ("exact", Pattern::exact(path)),
        (None, Some(path), None) => ("prefix", Pattern::prefix(path)),
        (None, None, Some(path)) => ("template", Pattern::template(path)),
        (None, None, None) => return Err(place.error("needs exact, prefix or template")),
        _ => return Err(place.error("needs only one of exact, prefix and template")),
    };
    read.map_err(|problem| place.field(name).error(problem))
}

fn requirement(config: &config::Require, place: &Place) -> Result<Requirement, ConfigError> {
    if *config == config::Require::default() {
        return Err(place.error("is empty: list a condition, or write access: public"));
    }
    let none = BTreeMap::new();
    let clients = config.client_roles.as_ref();
    if clients.is_some_and(BTreeMap::is_empty) {
        return Err(place.field("client_roles").error("is empty: name a client and its roles"));
    }
    let client_roles = clients.unwrap_or(&none).iter().map(|(client, names)| {
        let place = place.field("client_roles").field(client);
        place.text(client)?;
        Ok((client.clone(), name_set(Some(names), &place)?))
    });
    let acr = config.acr.clone().unwrap_or_default();
    if config.acr.is_some() {
        let place = place.field("acr");
        place.names(&acr)?;
        challenge_words(&acr, &place)?;
        if acr.iter().any(|acr| acr == NO_AUTHENTICATION) {
            return Err(place.error("`0` says that nobody authenticated; it cannot be required"));
        }
    }
    let scopes = name_set(config.scopes.as_ref(), &place.field("scopes"))?;
    challenge_words(&scopes.any, &place.field("scopes").field("any"))?;
    challenge_words(&scopes.all, &place.field("scopes").field("all"))?;
    Ok(Requirement {
        realm_roles: name_set(config.realm_roles.as_ref(), &place.field("realm_roles"))?,
        client_roles: client_roles.collect::<Result<_, _>>()?,
        groups: name_set(config.groups.as_ref(), &place.field("groups"))?,
        scopes,
        claims: claims(config.claims.as_deref(), &place.field("claims"))?,
        acr,
        amr: name_set(config.amr.as_ref(), &place.field("amr"))?,
        max_age: config.max_age.map(|span| span.0),
    })
}

fn name_set(config: Option<&config::Names>, place: &Place) -> Result<NameSet, ConfigError> {
    let Some(config) = config else { return Ok(NameSet::default()) };
    let lists = [("any", &config.any), ("all", &config.all), ("none", &config.none)];
    if lists.iter().all(|(_, list)| list.is_none()) {
        return Err(place.error("needs any, all or none"));
    }
    for (name, list) in lists {
        if let Some(list) = list {
            place.field(name).names(list)?;
        }
    }
    let set = NameSet {
        any: config.any.clone().unwrap_or_default(),
        all: config.all.clone().unwrap_or_default(),
        none: config.none.clone().unwrap_or_default(),
    };
    if let Some(name) = set.none.iter().find(|name| set.any.contains(name) || set.all.contains(name)) {
        return Err(place.field("none").error(format_args!("`{name}` is asked for and excluded at once")));
    }
    Ok(set)
}

fn claims(
    config: Option<&[config::ClaimEquals]>,
    place: &Place,
) -> Result<Vec<(Vec<String>, Value)>, ConfigError> {
    let Some(config) = config else { return Ok(Vec::new()) };
    place.not_empty(config, "is empty: name a claim and its value")?;
    let claim = |(at, claim): (usize, &config::ClaimEquals)| {
        let place = place.item(at);
        let path = place.field("path");
        path.not_empty(&claim.path, "is required and must not be empty")?;
        claim.path.iter().enumerate().try_for_each(|(at, name)| path.item(at).text(name))?;
        match &claim.equals {
            Value::String(_) | Value::Number(_) | Value::Bool(_) => {
                Ok((claim.path.clone(), claim.equals.clone()))
            }
            _ => Err(place.field("equals").error("needs a string, a number or a boolean")),
        }
    };
    let conditions: Vec<(Vec<String>, Value)> =
        config.iter().enumerate().map(claim).collect::<Result<_, _>>()?;
    for (at, (path, _)) in conditions.iter().enumerate() {
        if conditions.iter().take(at).any(|(earlier, _)| earlier == path) {
            return Err(place
                .item(at)
                .field("path")
                .error("this claim has a condition already, and has one value only"));
        }
    }
    Ok(conditions)
}

/// Words that a challenge repeats (RFC 6749 section 3.3).
fn challenge_words(words: &[String], place: &Place) -> Result<(), ConfigError> {
    let sound =
        |word: &String| word.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
    match words.iter().position(|word| !sound(word)) {
        Some(at) => Err(place
            .item(at)
            .error("holds a character that no challenge can: space, quote, backslash or beyond ASCII")),
        None => Ok(()),
    }
}
