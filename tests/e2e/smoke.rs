//! The shortest proof that everything is connected: the first to look at when all else fails.

use portcullis_tests::client::Raw;
use portcullis_tests::{EnvoyConfig, Issuer};

use crate::support::{ADMIN, Assert as _, INVOICES, SELFCARE, world, world_with};

#[tokio::test]
async fn a_valid_token_brings_the_identity_upstream() {
    let Some(world) = world().await else { return };
    let token = world.customers.token().claim("sub", "f3b0c1").sign();
    let response = world.get(SELFCARE, INVOICES, Some(&token)).await;
    let seen = world.assert_forwarded(&response);
    assert_eq!(seen.path, INVOICES);
    let mut identity = seen.headers_with_prefix("x-porta-");
    identity.sort();
    let expected = [
        ("x-porta-customer", "1042"),
        ("x-porta-email", "alice@example.com"),
        ("x-porta-realm", "customers"),
        ("x-porta-roles", "customer,offline_access,portaswitch:billing"),
        ("x-porta-subject", "f3b0c1"),
        ("x-porta-superuser", "false"),
        ("x-porta-user", "alice"),
    ];
    assert_eq!(identity, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(seen.header("authorization"), None, "forward_token is false");
}

#[tokio::test]
async fn an_administrator_is_known_as_one() {
    let Some(world) = world().await else { return };
    let token = world.admins.token().sign();
    let seen = world.assert_forwarded(&world.get(ADMIN, "/", Some(&token)).await);
    assert_eq!(seen.header("x-porta-realm").as_deref(), Some("admins"));
    assert_eq!(seen.header("x-porta-superuser").as_deref(), Some("true"));
    assert_eq!(seen.header("x-porta-roles").as_deref(), Some("admin,Root"));
}

#[tokio::test]
async fn what_is_not_allowed_does_not_reach_the_upstream() {
    let Some(world) = world().await else { return };
    let customer = world.customers.token().sign();
    let thief = Issuer::customers().await;
    let forged = world.customers.token().key_of(&thief).sign();
    let expired = world.customers.token().expired(60).sign();
    let poor = world.customers.token().without("resource_access").sign();
    for (what, host, path, token, status) in [
        ("no token", SELFCARE, INVOICES, None, 401),
        ("an expired token", SELFCARE, INVOICES, Some(&expired), 401),
        ("a forged token", SELFCARE, INVOICES, Some(&forged), 401),
        ("a token without the role", SELFCARE, INVOICES, Some(&poor), 403),
        ("a path without a rule", SELFCARE, "/nowhere", Some(&customer), 403),
        ("a customer at the administrators' host", ADMIN, "/", Some(&customer), 401),
        ("an unknown host", "evil.example", INVOICES, Some(&customer), 421),
    ] {
        eprintln!("{what}");
        let response = world.get(host, path, token.map(String::as_str)).await;
        world.assert_refused(&response, status);
    }
    assert_eq!(world.upstream.requests(), 0);
}

#[tokio::test]
async fn a_client_brings_no_identity_of_its_own() {
    let Some(world) = world().await else { return };
    let token = world.customers.token().sign();
    let request = Raw::get(INVOICES).host(SELFCARE).bearer(&token);
    let request = request.header("X-Porta-User", "root").header("x-porta-anything", "1");
    let seen = world.assert_forwarded(&world.send(&request).await);
    assert_eq!(seen.header("x-porta-user").as_deref(), Some("alice"));
    assert_eq!(seen.header("x-porta-anything"), None);

    let request = Raw::get("/assets/logo.svg").host(SELFCARE).header("x-porta-user", "root");
    let seen = world.assert_forwarded(&world.send(&request).await);
    assert!(seen.headers_with_prefix("x-porta-").is_empty(), "a public path has no identity");
}

#[tokio::test]
async fn the_minimal_configuration_works_too() {
    let Some(world) = world_with(EnvoyConfig::file("minimal.yaml")).await else { return };
    let token = world.customers.token().sign();
    let seen = world.assert_forwarded(&world.get(SELFCARE, INVOICES, Some(&token)).await);
    assert_eq!(seen.header("x-porta-user").as_deref(), Some("alice"));
    world.assert_refused(&world.get(SELFCARE, INVOICES, None).await, 401);
}
