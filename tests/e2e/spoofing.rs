//! A client says nothing about who it is, on any route, in any spelling, and not in trailers either.

use portcullis_tests::client::{H2Request, Raw};
use portcullis_tests::upstream::Seen;
use portcullis_tests::{EnvoyConfig, World};
use serde_json::json;

use crate::ask::{Ask as _, ByEnvoy, Forwarded, Refused, bare};
use crate::support::{ADMIN, Assert as _, INVOICES, SELFCARE, world, world_with};

/// The identity headers that reach the upstream, in whatever spelling.
fn identity(seen: &Seen) -> Vec<(String, String)> {
    let fields = seen.headers.iter().chain(&seen.trailers);
    let text =
        fields.map(|(name, value)| (name.replace('_', "-"), String::from_utf8_lossy(value).into_owned()));
    let mut identity: Vec<_> =
        text.filter(|(name, _)| name.starts_with("x-porta-") || name == "remote-user").collect();
    identity.sort();
    identity
}

/// `two-realms.yaml` with a public preflight, a legacy route, and an identity header of another name, all over HTTP/2 to the upstream,
/// which lets trailers through.
fn config() -> EnvoyConfig {
    let config = EnvoyConfig::file("two-realms.yaml").reads_bodies().edit_plugin(|plugin| {
        let rules = plugin["sites"][0]["rules"].as_array_mut().unwrap();
        rules.insert(
            0,
            json!({"name": "preflight", "methods": ["OPTIONS"], "path": {"prefix": "/"}, "access": "public"}),
        );
        rules.insert(1, json!({"name": "legacy", "path": {"prefix": "/legacy"}, "access": "legacy"}));
        plugin["identity"]["headers"]["Remote-User"] = json!({"claim": ["preferred_username"]});
    });
    config.edit(|yaml| {
        yaml["static_resources"]["clusters"][0]["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        });
    })
}

const SPELLINGS: [&str; 12] = [
    "x-porta-user",
    "X-Porta-User",
    "X-PORTA-USER",
    "x_porta_user",
    "X_Porta_User",
    "x-porta_user",
    "x-porta-",
    "x-porta-anything",
    "X_PORTA_",
    "remote-user",
    "Remote_User",
    "REMOTE-USER",
];

#[tokio::test]
async fn identity_headers_of_a_client_are_gone_on_every_route() {
    let Some(world) = world_with(bare(config())).await else { return };
    let token = world.customers.token().sign();
    let own = identity(
        world.ask("a good token", &Raw::get(INVOICES).host(SELFCARE).bearer(&token)).await.forwarded(),
    );
    assert_eq!(own.len(), 8, "{own:?}");
    for (ground, method, path) in [
        ("token", "GET", INVOICES),
        ("public", "GET", "/assets/x"),
        ("public", "OPTIONS", INVOICES),
        ("legacy", "POST", "/legacy/x"),
    ] {
        let expected = if ground == "token" { own.clone() } else { Vec::new() };
        let preflight = [("origin", "https://evil.example"), ("access-control-request-method", "DELETE")];
        for name in SPELLINGS {
            for values in [vec!["root"], vec![""], vec!["root", "admin"], vec!["", "root"]] {
                let mut h1 = Raw::new(method, path).host(SELFCARE);
                let mut h2 = H2Request::new(method, SELFCARE, path)
                    .trailer("x-other", "kept")
                    .trailer("authorization", "Bearer x")
                    .trailer("cookie", "session=x");
                for value in &values {
                    h1 = h1.header(name, value);
                    h2 = h2.header(name, value).trailer(name, value);
                }
                if ground == "token" {
                    (h1, h2) = (h1.bearer(&token), h2.bearer(&token));
                }
                if method == "OPTIONS" {
                    (h1, h2) = preflight.iter().fold((h1, h2), |(h1, h2), (name, value)| {
                        (h1.header(name, value), h2.header(name, value))
                    });
                }
                let what = format!("{method} {path} {name}: {values:?}");
                assert_eq!(
                    identity(world.ask(&what, &h1).await.is(Forwarded(ground)).seen()),
                    expected,
                    "{what}"
                );
                let outcome = world.ask(&what, &h2).await;
                let seen = outcome.is(Forwarded(ground)).seen();
                assert_eq!(identity(seen), expected, "{what}, HTTP/2");
                assert_eq!(
                    seen.trailers,
                    [("x-other".to_owned(), b"kept".to_vec())],
                    "{what}: other trailers arrive"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_shipped_configuration_refuses_underscores_altogether() {
    let Some(world) = world().await else { return };
    let token = world.customers.token().sign();
    for name in ["x_porta_user", "X-Porta_User"] {
        let request = Raw::get(INVOICES).host(SELFCARE).bearer(&token).header(name, "root");
        world.ask(name, &request).await.is(ByEnvoy(400));
        let request = H2Request::new("GET", SELFCARE, INVOICES).bearer(&token).header(name, "root");
        world.ask(name, &request).await.is(ByEnvoy(0));
    }
}

#[tokio::test]
async fn no_connection_option_takes_our_headers_away() {
    for config in [EnvoyConfig::file("two-realms.yaml"), bare(EnvoyConfig::file("two-realms.yaml"))] {
        let Some(world) = world_with(config).await else { return };
        let token = world.customers.token().sign();
        let options = [
            "x-porta-user",
            "X-Porta-User",
            "close, x-porta-user",
            "keep-alive, x-porta-user, x-porta-roles",
            "x_porta_user",
            "x-porta-user,\tclose",
            "x-porta-user; q=1, x-porta-realm",
        ];
        for options in options {
            let outcome = world.ask(options, &request(&[("Connection", options)], &token)).await;
            assert_told(outcome.forwarded(), options);
            let twice = request(&[("Connection", "close"), ("Connection", options)], &token);
            assert_told(world.ask(options, &twice).await.forwarded(), options);
            // An upgrade keeps its Connection field, all the way to the upstream.
            let upgrade = format!("Upgrade, {options}");
            let fields = [
                ("Connection", upgrade.as_str()),
                ("Upgrade", "websocket"),
                ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
                ("Sec-WebSocket-Version", "13"),
            ];
            upgraded(&world, options, &fields, &token).await;
        }
    }
}

async fn upgraded(world: &World, what: &str, fields: &[(&str, &str)], token: &str) {
    let outcome = world.ask(what, &request(fields, token)).await;
    assert_eq!(outcome.status(), 101, "{what}");
    let seen = outcome.seen();
    assert_told(seen, what);
    let connection = seen.header("connection").unwrap_or_default().to_lowercase();
    assert!(
        connection.contains("upgrade") && !connection.replace('_', "-").contains("x-porta-"),
        "{what}: {connection}"
    );
}

/// A GET without the `Connection: close` of [`Raw`].
fn request(fields: &[(&str, &str)], token: &str) -> Vec<u8> {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let fields = fields.concat();
    format!("GET {INVOICES} HTTP/1.1\r\nHost: {SELFCARE}\r\nAuthorization: Bearer {token}\r\n{fields}\r\n")
        .into_bytes()
}

#[track_caller]
fn assert_told(seen: &Seen, what: &str) {
    assert_eq!(seen.header("x-porta-user").as_deref(), Some("alice"), "{what}");
    assert_eq!(seen.header("x-porta-realm").as_deref(), Some("customers"), "{what}");
}

#[tokio::test]
async fn a_method_is_the_one_in_the_request_line() {
    let config = bare(EnvoyConfig::file("two-realms.yaml")).edit_plugin(|plugin| {
        let rule = json!({"name": "read", "methods": ["GET"], "path": {"prefix": "/read"}, "require": {"realm_roles": {"any": ["customer"]}}});
        plugin["sites"][0]["rules"].as_array_mut().unwrap().insert(0, rule);
    });
    let Some(world) = world_with(config).await else { return };
    let token = world.customers.token().sign();
    for name in [
        "x-http-method-override",
        "X-HTTP-Method-Override",
        "x-http-method",
        "X-Method-Override",
        "X_HTTP_Method_Override",
    ] {
        let post = Raw::post("/read/x?_method=GET")
            .host(SELFCARE)
            .bearer(&token)
            .header(name, "GET")
            .body("_method=GET");
        world.ask(name, &post).await.is(Refused(403, "no_rule"));
        let public = Raw::post("/assets/x").host(SELFCARE).header(name, "GET");
        world.ask(name, &public).await.is(Refused(403, "no_rule"));
        for path in ["/read/x", "/assets/x"] {
            let get = Raw::get(path).host(SELFCARE).bearer(&token).header(name, "DELETE");
            let outcome = world.ask(name, &get).await;
            let seen = outcome.is(Forwarded(if path == "/read/x" { "token" } else { "public" })).seen();
            assert_eq!(seen.method, "GET");
            assert!(
                !seen.headers.iter().any(|(name, _)| name.contains("method")),
                "{name}: {:?}",
                seen.headers
            );
        }
    }
}

/// Envoy chooses a route before the filter runs, and operators route by identity headers: what the client made up must not count.
#[tokio::test]
async fn a_made_up_header_chooses_no_route() {
    let route = json!({
        "match": {"prefix": "/", "headers": [{"name": "x-porta-superuser", "string_match": {"exact": "true"}}]},
        "direct_response": {"status": 299},
    });
    let config = EnvoyConfig::file("two-realms.yaml").edit_manager(|manager| {
        let routes = manager["route_config"]["virtual_hosts"][0]["routes"].as_array_mut().expect("routes");
        routes.insert(0, route);
    });
    let Some(world) = world_with(config).await else { return };
    let token = world.customers.token().sign();
    let spoofed = Raw::get(INVOICES).host(SELFCARE).bearer(&token).header("x-porta-superuser", "true");
    let seen = world.assert_forwarded(&world.send(&spoofed).await);
    assert_eq!(seen.header("x-porta-superuser").as_deref(), Some("false"));
    let response =
        world.send(&Raw::get("/assets/x").host(SELFCARE).header("x-porta-superuser", "true")).await;
    world.assert_forwarded(&response);
    // What the filter says does count.
    let token = world.admins.token().sign();
    assert_eq!(world.get(ADMIN, "/", Some(&token)).await.status, 299);
}
