//! Configurations in a real Envoy: the two forms in which they come, and the many in which they are refused.

use portcullis_tests::client::Raw;
use portcullis_tests::{EnvoyConfig, World};
use serde_json::{Value, json};

use crate::ask::{Ask as _, Refused};
use crate::support::{ADMIN, INVOICES, SELFCARE, stage, world_with};

fn config() -> EnvoyConfig {
    EnvoyConfig::file("two-realms.yaml")
}

/// Works for both realms, numbers included.
async fn assert_works(world: &World) {
    let token = world.customers.token().sign();
    let outcome = world.ask("a customer", &Raw::get(INVOICES).host(SELFCARE).bearer(&token)).await;
    assert_eq!(outcome.forwarded().header("x-porta-customer").as_deref(), Some("1042"));
    let token = world.admins.token().sign();
    let outcome = world.ask("an administrator", &Raw::get("/").host(ADMIN).bearer(&token)).await;
    assert_eq!(outcome.forwarded().header("x-porta-roles").as_deref(), Some("admin,Root"));
    let long = world.customers.token().claim("preferred_username", "n".repeat(2049)).sign();
    world
        .ask("a limit", &Raw::get(INVOICES).host(SELFCARE).bearer(&long))
        .await
        .is(Refused(401, "claim_too_long"));
}

#[tokio::test]
async fn a_struct_and_a_text_say_the_same() {
    let plugin = config().plugin_value();
    let text = serde_json::to_string_pretty(&plugin).unwrap();
    for config in [
        config(),
        config().plugin(plugin.clone()),
        config().plugin_string(&text),
        config().plugin_string(&format!("\n {text} \n")),
    ] {
        let Some(world) = world_with(config).await else { return };
        assert_works(&world).await;
    }
}

/// An edit that makes a good configuration a bad one, and what the log must name.
type Line = (&'static str, fn(&mut Value), &'static str);

/// A selection of what `filter/core` refuses: that each refusal is found is its tests' affair, that Envoy heeds it is ours.
const BAD: &[Line] = &[
    ("no realms", |p| p["realms"] = json!({}), "realms: at least one realm"),
    ("no sites", |p| p["sites"] = json!([]), "sites: at least one site"),
    ("an unknown field", |p| p["realm"] = json!({}), "realm"),
    (
        "an unknown field, deep down",
        |p| p["sites"][0]["rules"][1]["require"]["realm_role"] = json!({"any": ["x"]}),
        "sites[0].rules[1].require",
    ),
    ("an empty issuer", |p| p["realms"]["customers"]["issuer"] = json!(""), "realms.customers.issuer"),
    (
        "an issuer that is no URL",
        |p| p["realms"]["admins"]["issuer"] = json!("sso.csp.com"),
        "realms.admins.issuer",
    ),
    ("no audience", |p| p["realms"]["customers"]["audiences"] = json!([]), "realms.customers.audiences"),
    (
        "account alone",
        |p| p["realms"]["customers"]["audiences"] = json!(["account"]),
        "realms.customers.audiences",
    ),
    (
        "alg none",
        |p| p["realms"]["customers"]["algorithms"] = json!(["none"]),
        "realms.customers.algorithms[0]",
    ),
    (
        "HMAC",
        |p| p["realms"]["customers"]["algorithms"] = json!(["RS256", "HS256"]),
        "realms.customers.algorithms[1]",
    ),
    (
        "no time to live",
        |p| p["realms"]["customers"]["keys"]["refresh_interval"] = json!("0s"),
        "realms.customers.keys.refresh_interval",
    ),
    (
        "a number for a time",
        |p| p["realms"]["customers"]["clock_skew"] = json!(30),
        "realms.customers.clock_skew",
    ),
    ("a host twice", |p| p["sites"][1]["hosts"] = json!(["SELFCARE.csp.com.:443"]), "sites[1].hosts[0]"),
    ("a wildcard in the middle", |p| p["sites"][1]["hosts"] = json!(["admin.*.com"]), "sites[1].hosts[0]"),
    ("an unknown realm", |p| p["sites"][1]["realm"] = json!("admin"), "sites[1].realm"),
    (
        "neither access nor require",
        |p| p["sites"][1]["rules"] = json!([{"name": "a", "path": {"prefix": "/"}}]),
        "sites[1].rules[0]",
    ),
    ("both", |p| p["sites"][0]["rules"][1]["access"] = json!("public"), "sites[0].rules[1].access"),
    ("an empty require", |p| p["sites"][0]["rules"][1]["require"] = json!({}), "sites[0].rules[1].require"),
    (
        "a bad template",
        |p| p["sites"][0]["rules"][1]["path"] = json!({"template": "/a{b}"}),
        "sites[0].rules[1].path.template",
    ),
    (
        "two kinds of path",
        |p| p["sites"][0]["rules"][1]["path"]["exact"] = json!("/x"),
        "sites[0].rules[1].path",
    ),
    (
        "a rule that is never reached",
        |p| {
            let rule = json!({"name": "x", "path": {"exact": "/x"}, "access": "public"});
            p["sites"][1]["rules"].as_array_mut().unwrap().push(rule);
        },
        "sites[1].rules[1]",
    ),
    (
        "a header that we need",
        |p| p["identity"]["headers"]["authorization"] = json!({"realm": true}),
        "identity.headers.authorization",
    ),
    ("a header from nothing", |p| p["identity"]["headers"]["x-a"] = json!({}), "identity.headers.x-a"),
    (
        "a field without a value",
        |p| p["sites"][0]["rules"][0]["path"] = Value::Null,
        "sites[0].rules[0].path",
    ),
];

/// What is no document at all.
const NO_DOCUMENT: [(&str, &str); 8] = [
    ("nothing", ""),
    ("YAML", "realms: {}"),
    ("half of it", "{\"realms\": {"),
    ("a list", "[]"),
    ("null", "null"),
    ("a number", "7"),
    ("a member twice", "{\"realms\": {}, \"realms\": {}}"),
    ("a comment", "{} // x"),
];

#[tokio::test]
async fn a_bad_configuration_does_not_start() {
    let Some(stage) = stage().await else { return };
    let (_, no_issuer, names) = BAD[4];
    for (config, names) in
        [(config().edit_plugin(no_issuer), names), (config().plugin_string("{"), "not JSON")]
    {
        let error = stage.wire(config).start().await.err().expect("Envoy does not start");
        let line = error.log.lines().find(|line| line.contains("configuration refused:"));
        assert!(line.is_some_and(|line| line.contains(names)), "the log does not name {names}:\n{error}");
    }
    assert_eq!(stage.upstream.requests() + stage.customers.jwks_hits() + stage.customers.discovery_hits(), 0);
}

#[tokio::test]
async fn a_bad_update_is_refused_and_the_old_one_goes_on() {
    let Some(mut world) = world_with(config().dynamic()).await else { return };
    assert_works(&world).await;
    let edited = BAD.iter().map(|(what, edit, names)| (*what, config().edit_plugin(edit), *names));
    let texts = NO_DOCUMENT.iter().map(|(what, text)| (*what, config().plugin_string(text), ""));
    for (what, config, names) in edited.chain(texts) {
        let update = world.wire(config);
        let refused = world.envoy.update_listener(&update).await;
        let error = refused.err().unwrap_or_else(|| panic!("{what}: Envoy took it"));
        let line = error.log.lines().find(|line| line.contains("configuration refused:"));
        let line = line.unwrap_or_else(|| panic!("{what}: the log does not say why:\n{error}"));
        assert!(line.contains(names), "{what}: the log does not name {names}: {line}");
        assert_works(&world).await;
    }

    let closed = world.wire(
        config()
            .edit_plugin(|plugin| plugin["sites"][0]["rules"][0]["path"] = json!({"prefix": "/elsewhere/"})),
    );
    world.envoy.update_listener(&closed).await.expect("a good one is taken");
    assert_works(&world).await;
    // The old listener drains; what it still serves, it serves by its own rules.
    let deadline = tokio::time::Instant::now() + portcullis_tests::PATIENCE;
    while world.get(SELFCARE, "/assets/x", None).await.status != 403 {
        assert!(tokio::time::Instant::now() < deadline, "the new rules never came");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
