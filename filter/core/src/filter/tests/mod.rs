use crate::testing::test;
mod identity;
mod login;
mod realms;
mod shape;
mod sites;
mod text;

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::jose::alg::Algorithm;
use crate::testing::{TWO_REALMS, compile, realm, rsa_jwk, two_realms_json};

/// The configuration of the design with one value set at a JSON pointer; `null` removes a member, an index
/// that equals the length appends, and objects on the way are made.
fn with(pointer: &str, value: Value) -> Value {
    let mut document = two_realms_json();
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let mut place = &mut document;
    for name in parent.split('/').skip(1) {
        place = match place {
            Value::Array(items) => &mut items[name.parse::<usize>().unwrap()],
            object => &mut object[name],
        };
    }
    match (place, value) {
        (Value::Object(members), Value::Null) => drop(members.remove(last)),
        (Value::Array(items), value) => {
            let at: usize = last.parse().unwrap();
            if at == items.len() { items.push(value) } else { items[at] = value }
        }
        (object, value) => object[last] = value,
    }
    document
}

/// Parses the changed configuration: it is refused at this path, with this word in the problem.
#[track_caller]
fn check(pointer: &str, value: Value, path: &str, word: &str) {
    let document = with(pointer, value);
    match Filter::parse(document.to_string().as_bytes()) {
        Ok(_) => panic!("{pointer} is accepted"),
        Err(error) => assert!(error.path == path && error.problem.contains(word), "{pointer}: {error}"),
    }
}

#[track_caller]
fn check_good(pointer: &str, value: Value) -> Filter {
    compile(&with(pointer, value))
}

#[track_caller]
fn check_document(document: &[u8], path: &str, word: &str) {
    let error = Filter::parse(document).unwrap_err();
    assert!(error.path == path && error.problem.contains(word), "{error}");
}

#[test]
fn the_configuration_of_the_design_loads_as_it_is() {
    let filter = Filter::parse(TWO_REALMS.as_bytes()).unwrap();
    assert_eq!(filter.realm_names().map(|(_, name)| name).collect::<Vec<_>>(), ["admins", "customers"]);
    let customers = realm(&filter, "customers");
    assert_eq!(customers.authority, "sso.csp.com");
    assert_eq!(customers.discovery_path, "/realms/customers/.well-known/openid-configuration");
    assert_eq!(customers.algorithms, [Algorithm::Rs256, Algorithm::Es256]);
    assert_eq!(customers.clients.as_deref().unwrap(), ["selfcare-ui", "cloudpbx-ui"]);
    assert_eq!(customers.max_token_lifetime, Duration::from_hours(1));
    assert!(filter.legacy().networks.is_none() && filter.legacy().logins.is_empty());
    assert!(filter.strips_trailer("X_Porta_Anything") && !filter.strips_trailer("x-port"));
}

/// Everything that the design shows beside it: legacy, every condition, every option.
#[test]
fn a_configuration_that_uses_every_field_loads() {
    let filter = compile(&json!({
        "realms": {"customers": {
            "issuer": "https://sso.csp.com/realms/customers",
            "cluster": "keycloak",
            "authority": "keycloak.internal:8443",
            "discovery_path": "/.well-known/openid-configuration",
            "audiences": ["account", "portaswitch"],
            "clients": ["selfcare-ui"],
            "algorithms": ["RS256", "PS512", "ES384", "EdDSA"],
            "clock_skew": "1m", "max_token_lifetime": "1h 30m",
            "keys": {"refresh_interval": "5m", "max_stale": "24h", "refetch_cooldown": "10s", "fetch_timeout": "3s",
                "bootstrap": {"keys": [rsa_jwk("b")]}},
        }},
        "sites": [{
            "hosts": ["selfcare.csp.com", "*.pbx.csp.com"], "realm": "customers", "error_format": "portabilling",
            "rules": [
                {"name": "login", "path": {"template": "/rest/Session/{method}"}, "access": "legacy"},
                {"name": "index", "path": {"exact": "/"}, "access": "public", "methods": ["GET"]},
                {"name": "invoices", "path": {"prefix": "/rest/Invoice"}, "require": {
                    "realm_roles": {"any": ["customer"], "none": ["suspended"]},
                    "client_roles": {"portaswitch": {"all": ["billing"]}, "a.b": {"none": ["x"]}},
                    "groups": {"any": ["/alpha/finance"]},
                    "scopes": {"all": ["billing"]},
                    "claims": [{"path": ["email_verified"], "equals": true}, {"path": ["a", "b"], "equals": 1.5}],
                    "acr": ["gold", "2"], "amr": {"all": ["otp"]}, "max_age": "15m",
                }},
            ],
        }],
        "legacy": {
            "logins": {"selfcare.csp.com": ["ZZZPortaOne"]},
            "networks": ["203.0.113.0/24", "2001:db8::/32"],
            "max_body_bytes": 1, "unseen_tokens": "allow", "session_lifetime": "24h",
            "attempts": {"per_login": 1, "per_source": 2, "window": "1s"},
        },
        "identity": {
            "strip": ["x-porta-", "X_"],
            "headers": {
                "X-Porta-Realm": {"realm": true},
                "x-user": {"claim": ["preferred_username"], "required": true},
                "x-roles": {"roles": {"clients": ["portaswitch"]}, "separator": "; ",
                    "rename": {"portaswitch:billing": "Billing"}},
                "x-billing": {"has_role": {"client": "portaswitch", "role": "billing"}},
            },
            "forward_token": true, "max_value_bytes": 32768,
        },
        "limits": {"max_head_bytes": 1, "max_token_bytes": 1, "max_jwks_bytes": 1, "waiting_requests": 1,
            "wait_timeout": "1s"},
    }));
    let customers = realm(&filter, "customers");
    assert_eq!(customers.authority, "keycloak.internal:8443");
    assert_eq!(customers.discovery_path, "/.well-known/openid-configuration");
    assert_eq!(customers.bootstrap.as_ref().unwrap().len(), 1);
    assert_eq!(filter.legacy().networks.as_ref().map(Vec::len), Some(2));
}

#[test]
fn what_is_left_out_has_its_default() {
    let filter = compile(&json!({
        "realms": {"r": {"issuer": "http://sso:8080/", "cluster": "c", "audiences": ["a"]}},
        "sites": [{"hosts": ["h"], "realm": "r", "rules": [
            {"name": "all", "path": {"prefix": "/"}, "access": "public"},
        ]}],
    }));
    let realm = realm(&filter, "r");
    assert_eq!(realm.authority, "sso:8080");
    assert_eq!(realm.discovery_path, "/.well-known/openid-configuration");
    assert_eq!((realm.jwks_path.as_ref(), realm.clients.as_ref()), (None, None));
    assert_eq!(realm.algorithms, [Algorithm::Rs256]);
    let seconds = [
        realm.clock_skew,
        realm.max_token_lifetime,
        realm.refresh_interval,
        realm.max_stale,
        realm.refetch_cooldown,
        realm.fetch_timeout,
        filter.limits().wait_timeout,
    ]
    .map(|span| span.as_secs());
    assert_eq!(seconds, [30, 86_400, 300, 86_400, 10, 3, 5]);
    let limits = filter.limits();
    assert_eq!((limits.max_head_bytes, limits.max_token_bytes), (65_536, 16_384));
    assert_eq!((limits.max_jwks_bytes, limits.waiting_requests), (262_144, 1_000));
    let legacy = filter.legacy();
    assert_eq!((legacy.max_body_bytes, legacy.unseen_tokens), (65_536, crate::config::UnseenTokens::Refuse));
    assert_eq!(legacy.session_lifetime, Duration::from_hours(48));
    let attempts = legacy.attempts;
    assert_eq!((attempts.per_login, attempts.per_source, attempts.window.as_secs()), (10, 100, 300));
    let identity = filter.identity();
    assert_eq!((identity.max_value_bytes, identity.forward_token), (2048, false));
    assert!(identity.strip.is_empty() && identity.headers.is_empty());
}
