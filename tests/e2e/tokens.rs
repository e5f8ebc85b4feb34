//! Tokens that must not be believed, each through a real Envoy: one wrong in one respect, everything else as it should be.

use portcullis_tests::client::Raw;
use portcullis_tests::key::{Key, encode};
use portcullis_tests::token::{flip_bit, pad, part, replace_part, replace_signature};
use portcullis_tests::{Algorithm, Issuer, Realm, World, now};
use serde_json::{Value, json};

use crate::ask::{Ask as _, Refused};
use crate::support::{ADMIN, INVOICES, SELFCARE, world};

/// A line of the table: what is wrong, the token, and the reason that the filter gives.
type Line = (&'static str, String, &'static str);

#[tokio::test]
async fn what_is_wrong_with_a_token_is_found_and_named() {
    let Some(world) = world().await else { return };
    let good = world.customers.token().sign();
    world.ask("a good token", &invoices(&good)).await.forwarded();
    let fetches = (world.customers.jwks_hits(), world.admins.jwks_hits());
    for (what, token, reason) in
        [forms(&good), algorithms(&world), headers(&world), signatures(&world)].concat()
    {
        world.ask(what, &invoices(&token)).await.is(Refused(401, reason)).of_realm("customers");
    }
    for (what, token, reason) in [claims(&world), times(&world), payloads(&world.customers)].concat() {
        let outcome = world.ask(what, &invoices(&token)).await;
        outcome.is(Refused(401, reason)).of_realm("customers");
        assert_eq!(outcome.challenge(), r#"Bearer realm="customers", error="invalid_token""#, "{what}");
        assert!(!outcome.response().text().contains(reason), "{what}: the client is not told why");
    }
    assert_eq!(
        (world.customers.jwks_hits(), world.admins.jwks_hits()),
        fetches,
        "no call because of a bad token"
    );
    world.ask("a good token, after all that", &invoices(&good)).await.forwarded();
}

/// No compact JWS.
fn forms(good: &str) -> Vec<Line> {
    let (head, signature) = good.rsplit_once('.').unwrap();
    let standard = good.replace(['-', '_'], "+");
    vec![
        ("not a token at all", "opaque".into(), "token_malformed"),
        ("two parts", head.into(), "token_malformed"),
        ("four parts", format!("{good}.{signature}"), "token_malformed"),
        ("five parts, as a JWE", format!("{good}.x.y"), "token_malformed"),
        ("a leading dot", format!(".{good}"), "token_malformed"),
        ("a trailing dot", format!("{good}."), "token_malformed"),
        ("15000 dots", ".".repeat(15_000), "token_malformed"),
        ("padding", pad(good), "token_malformed"),
        ("the other base64 alphabet", format!("{standard}+"), "token_malformed"),
        ("no signature", format!("{head}."), "token_malformed"),
        ("an empty payload", replace_part(good, 1, ""), "token_malformed"),
        ("a header that is no object", replace_part(good, 0, &encode(b"[]")), "token_malformed"),
        ("one byte more than 16 KiB", "a".repeat(16_385), "token_too_large"),
    ]
}

fn algorithms(world: &World) -> Vec<Line> {
    let customers = &world.customers;
    let der = Key::generate(Algorithm::RS256).rsa_public_der();
    let modulus = customers.jwks()["keys"][0]["n"].as_str().unwrap().to_owned();
    let token = || customers.token();
    vec![
        ("none", token().unsigned("none"), "token_algorithm"),
        ("None", token().unsigned("None"), "token_algorithm"),
        ("NONE", token().unsigned("NONE"), "token_algorithm"),
        ("none with a signature", format!("{}AAAA", token().unsigned("none")), "token_algorithm"),
        ("an empty alg", token().header("alg", "").sign(), "token_algorithm"),
        ("alg null", token().header("alg", Value::Null).sign(), "token_algorithm"),
        ("alg in a list", token().header("alg", json!(["RS256"])).sign(), "token_algorithm"),
        ("no alg", token().without_header("alg").sign(), "token_algorithm"),
        ("HS256 under the public key", token().sign_with(&der), "token_algorithm"),
        ("HS256 under the modulus", token().sign_with(modulus.as_bytes()), "token_algorithm"),
        ("PS256 under the RS256 key", token().alg(Algorithm::PS256).sign(), "token_algorithm"),
        ("RS384 under the RS256 key", token().alg(Algorithm::RS384).sign(), "token_algorithm"),
        ("ES256 that names the RS256 key", token().header("alg", "ES256").sign(), "token_algorithm"),
    ]
}

fn headers(world: &World) -> Vec<Line> {
    let token = || world.customers.token();
    let admins = world.admins.kid();
    vec![
        ("no kid", token().without_header("kid").sign(), "token_kid"),
        ("a number as kid", token().header("kid", 1).sign(), "token_kid"),
        ("a list as kid", token().header("kid", json!([world.customers.kid()])).sign(), "token_kid"),
        ("a kid of 10 kB", token().kid("k".repeat(10_000)).sign(), "token_kid"),
        (
            "the kid of the other realm",
            token().claim("iss", "https://nobody.example").kid(admins).sign(),
            "token_issuer",
        ),
        ("crit", token().header("crit", json!(["exp"])).sign(), "token_header_member"),
        ("an empty crit", token().header("crit", json!([])).sign(), "token_header_member"),
        ("b64", token().header("b64", true).sign(), "token_header_member"),
        ("zip", token().header("zip", "DEF").sign(), "token_header_member"),
        ("typ of a logout token", token().header("typ", "logout+jwt").sign(), "token_header_typ"),
        ("typ of a proof", token().header("typ", "dpop+jwt").sign(), "token_header_typ"),
        ("typ JOSE", token().header("typ", "JOSE").sign(), "token_header_typ"),
        ("a number as typ", token().header("typ", 1).sign(), "token_header_typ"),
    ]
}

fn signatures(world: &World) -> Vec<Line> {
    let good = world.customers.token().sign();
    let thief = Realm::customers();
    let mut long = part(&good, 2);
    long.insert(0, 0);
    vec![
        ("somebody else's signature", world.customers.token().key_of(&thief).sign(), "token_signature"),
        ("a bit of the signature", flip_bit(&good, 2, 1000), "token_signature"),
        ("a zero before the signature", replace_signature(&good, &long), "token_signature"),
        ("half of the signature", replace_signature(&good, &part(&good, 2)[..128]), "token_signature"),
        ("other claims", replace_part(&good, 1, &encode(br#"{"sub":"root"}"#)), "token_signature"),
    ]
}

fn claims(world: &World) -> Vec<Line> {
    let token = || world.customers.token();
    let iss = |value: Value| token().claim("iss", value).sign();
    let aud = |value: Value| token().claim("aud", value).sign();
    vec![
        ("an ID token", token().claim("typ", "ID").sign(), "token_typ"),
        ("a refresh token", token().claim("typ", "Refresh").sign(), "token_typ"),
        ("an offline token", token().claim("typ", "Offline").sign(), "token_typ"),
        ("a logout token", token().claim("typ", "Logout").sign(), "token_typ"),
        ("no typ", token().without("typ").sign(), "token_typ"),
        ("bound to a key", token().claim("cnf", json!({"jkt": "x"})).sign(), "token_cnf"),
        ("iss with a slash", iss(json!("https://sso.csp.com/realms/customers/")), "token_issuer"),
        ("iss in capitals", iss(json!("https://SSO.csp.com/realms/customers")), "token_issuer"),
        ("iss over http", iss(json!("http://sso.csp.com/realms/customers")), "token_issuer"),
        ("iss in a list", iss(json!(["https://sso.csp.com/realms/customers"])), "token_issuer"),
        ("no iss", token().without("iss").sign(), "token_issuer"),
        ("no aud", token().without("aud").sign(), "token_audience"),
        ("an empty aud", aud(json!([])), "token_audience"),
        ("aud of account alone", aud(json!("account")), "token_audience"),
        ("a prefix of our aud", aud(json!("portaswitc")), "token_audience"),
        ("a number beside our aud", aud(json!(["portaswitch", 1])), "token_audience"),
        ("another client", token().claim("azp", "evil-ui").sign(), "token_client"),
        ("no client", token().without("azp").sign(), "token_client"),
        ("clients in a list", token().claim("azp", json!(["selfcare-ui"])).sign(), "token_client"),
        ("an empty sub", token().claim("sub", "").sign(), "token_subject"),
        ("a number as sub", token().claim("sub", 1).sign(), "token_subject"),
        ("a sub of 1 kB", token().claim("sub", "s".repeat(1000)).sign(), "token_subject"),
        ("a sub with CR LF", token().claim("sub", "a\r\nx-porta-user: root").sign(), "token_subject"),
        (
            "a name with CR LF",
            token().claim("preferred_username", "a\r\nx-porta-user: root").sign(),
            "claim_control",
        ),
        ("a name with NUL", token().claim("preferred_username", "a\0").sign(), "claim_control"),
        ("a name of 3 kB", token().claim("preferred_username", "n".repeat(3000)).sign(), "claim_too_long"),
    ]
}

fn times(world: &World) -> Vec<Line> {
    let now = now();
    let with = |name: &str, value: Value| world.customers.token().claim(name, value).sign();
    vec![
        ("expired", world.customers.token().expired(31).sign(), "token_expired"),
        ("no exp", world.customers.token().without("exp").sign(), "token_no_exp"),
        ("exp as text", with("exp", json!((now + 300).to_string())), "token_no_exp"),
        ("a negative exp", with("exp", json!(-1)), "token_no_exp"),
        ("a fraction as exp", with("exp", json!(1.5e9)), "token_no_exp"),
        ("exp 1e308", with("exp", json!(1e308)), "token_no_exp"),
        ("exp in ten years", with("exp", json!(now + 315_360_000)), "token_lifetime"),
        ("exp of 64 bits", with("exp", json!(u64::MAX)), "token_lifetime"),
        ("nbf ahead", with("nbf", json!(now + 120)), "token_not_yet_valid"),
        ("nbf as text", with("nbf", json!("0")), "token_not_yet_valid"),
        ("iat ahead", with("iat", json!(now + 120)), "token_iat"),
        ("no iat", world.customers.token().without("iat").sign(), "token_iat"),
        ("iat as text", with("iat", json!(now.to_string())), "token_iat"),
    ]
}

/// Payloads that are signed, and no claims set.
fn payloads(customers: &Realm) -> Vec<Line> {
    let raw = |bytes: &[u8]| customers.token().raw_payload(bytes).sign();
    let claims = customers.token().claims_json().to_string();
    let twice = |member: &str| raw(claims.replacen('{', &format!("{{{member},"), 1).as_bytes());
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(5000), "]".repeat(5000));
    vec![
        ("a list", raw(b"[]"), "token_malformed"),
        ("null", raw(b"null"), "token_malformed"),
        ("something behind it", raw(format!("{claims} x").as_bytes()), "token_malformed"),
        ("a byte order mark", raw(format!("\u{feff}{claims}").as_bytes()), "token_malformed"),
        ("bytes that are not UTF-8", raw(b"{\"sub\":\"\xff\"}"), "token_malformed"),
        ("half a surrogate pair", twice(r#""x":"\udfff""#), "token_malformed"),
        ("exp twice", twice(r#""exp":9999999999"#), "token_malformed"),
        ("iss twice", twice(r#""iss":"https://sso.csp.com/realms/customers""#), "token_malformed"),
        ("roles twice", twice(r#""realm_access":{"roles":["admin"]}"#), "token_malformed"),
        ("5000 levels", raw(deep.as_bytes()), "token_malformed"),
    ]
}

#[tokio::test]
async fn a_token_counts_in_its_own_realm_only() {
    let Some(world) = world().await else { return };
    let (customer, admin) = (world.customers.token(), world.admins.token());
    world.ask("a customer at home", &invoices(&customer.clone().sign())).await.forwarded();
    let at_admin = |token: &str| Raw::get("/").host(ADMIN).bearer(token);
    world.ask("an administrator at home", &at_admin(&admin.clone().sign())).await.forwarded();
    let fetches = (world.customers.jwks_hits(), world.admins.jwks_hits());

    let other = Refused(401, "token_other_realm");
    world.ask("a customer at admin", &at_admin(&customer.clone().sign())).await.is(other).of_realm("admins");
    let wide = admin.clone().claim("aud", "portaswitch").claim("azp", "selfcare-ui").sign();
    world.ask("an administrator at selfcare", &invoices(&wide)).await.is(other).of_realm("customers");

    // The other realm's key under our issuer: its kid is not among ours, and to ask again is allowed; it is never asked for elsewhere.
    let confused = customer.claim("aud", "portaswitch-admin").claim("iss", world.admins.issuer()).sign();
    world
        .ask("a customer's key, the administrators' issuer", &at_admin(&confused))
        .await
        .is(Refused(401, "token_unknown_kid"))
        .of_realm("admins");
    assert_eq!(world.customers.jwks_hits(), fetches.0, "the customers' keys are not asked about it");
    assert!(world.admins.jwks_hits() <= fetches.1 + 1, "at most one fetch for an unknown kid");
    // And with the right kid, but the other realm's key.
    let forged = admin.key_of(&world.customers).sign();
    world
        .ask("a customer's key under the administrators' kid", &at_admin(&forged))
        .await
        .is(Refused(401, "token_signature"));
}

#[tokio::test]
async fn a_third_realm_of_the_same_keycloak_is_a_stranger() {
    let Some(world) = world().await else { return };
    // The same server, the same cluster: only issuer and keys tell them apart.
    let partners = Realm::new("partners", "https://sso.csp.com/realms/partners");
    world.ask("a customer", &invoices(&world.customers.token().sign())).await.forwarded();
    let fetches = (world.customers.discovery_hits(), world.customers.jwks_hits());
    let stranger = Refused(401, "token_issuer");
    world.ask("a partner", &invoices(&partners.token().sign())).await.is(stranger);
    let kid = partners.token().kid(world.customers.kid());
    world
        .ask("under the customers' kid", &invoices(&kid.clone().sign()))
        .await
        .is(Refused(401, "token_signature"));
    let iss = kid.claim("iss", world.customers.issuer()).sign();
    world.ask("and issuer", &invoices(&iss)).await.is(Refused(401, "token_signature"));
    assert_eq!(
        (world.customers.discovery_hits(), world.customers.jwks_hits()),
        fetches,
        "and nobody is asked"
    );
}

#[tokio::test]
async fn a_key_that_the_token_brings_along_is_not_asked_for() {
    let Some(world) = world().await else { return };
    let thief = Issuer::customers().await;
    world.ask("a customer", &invoices(&world.customers.token().sign())).await.forwarded();
    let fetches = (world.customers.jwks_hits(), world.admins.jwks_hits());
    let jwk = thief.jwks()["keys"][0].clone();
    let url = format!("http://{}/realms/customers/protocol/openid-connect/certs", thief.addr());
    for (member, value) in
        [("jwk", jwk.clone()), ("jku", json!(url)), ("x5u", json!(url)), ("x5c", jwk["x5c"].clone())]
    {
        for kid in [thief.kid(), world.customers.kid()] {
            let forged = world.customers.token().key_of(&thief).kid(kid).header(member, value.clone()).sign();
            world.ask(member, &invoices(&forged)).await.is(Refused(401, "token_header_member"));
        }
    }
    assert_eq!(thief.jwks_hits() + thief.discovery_hits(), 0, "nobody called the thief");
    assert_eq!((world.customers.jwks_hits(), world.admins.jwks_hits()), fetches, "nor anybody else");
}

fn invoices(token: &str) -> Raw {
    Raw::get(INVOICES).host(SELFCARE).bearer(token)
}
