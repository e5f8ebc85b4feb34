//! The authority alone chooses site and realm, in whatever spelling it comes.

use portcullis_tests::EnvoyConfig;
use portcullis_tests::client::{H2Request, Raw};
use serde_json::json;

use crate::ask::{Ask as _, ByEnvoy, Forwarded, Refused};
use crate::support::{ADMIN, INVOICES, SELFCARE, world, world_with};

#[tokio::test]
async fn one_host_has_many_spellings() {
    let Some(world) = world().await else { return };
    let (customer, admin) = (world.customers.token().sign(), world.admins.token().sign());
    for host in [
        "ADMIN.CSP.COM",
        "admin.csp.com:443",
        "admin.csp.com.",
        "Admin.Csp.Com.:8443",
        "admin.csp.com:1",
        "admin.csp.com:",
    ] {
        let request = Raw::get("/").host(host);
        world.ask(host, &request.clone().bearer(&admin)).await.is(Forwarded("token")).of_realm("admins");
        world.ask(host, &request.clone().bearer(&customer)).await.is(Refused(401, "token_other_realm"));
        world.ask(host, &request).await.is(Refused(401, "no_credential")).of_realm("admins");
        let request = H2Request::new("GET", host, "/");
        world.ask(host, &request.clone().bearer(&admin)).await.is(Forwarded("token")).of_realm("admins");
        world.ask(host, &request).await.is(Refused(401, "no_credential")).of_realm("admins");
    }
    let kept = Raw::get("/").host("Admin.CSP.com:8443").bearer(&admin);
    let outcome = world.ask("the upstream learns the port", &kept).await;
    assert_eq!(outcome.forwarded().authority.as_deref(), Some("Admin.CSP.com:8443"));
}

#[tokio::test]
async fn a_host_that_no_site_has_is_misdirected() {
    let Some(world) = world().await else { return };
    let token = world.customers.token().sign();
    let request = |host: &str| Raw::get(INVOICES).host(host).bearer(&token);
    let unknown = Refused(421, "unknown_host");
    for host in [
        "evil.example",
        "127.0.0.1",
        "127.0.0.1:443",
        "[::1]:443",
        "localhost",
        "csp.com",
        "com",
        "admin.csp.com.evil.example",
        "evil-selfcare.csp.com",
        "evilselfcare.csp.com",
        "x.admin.csp.com",
        "selfcare.csp.com.csp.com",
        "selfcare-csp.com",
        "xn--selfcre-9wa.csp.com",
        "pbx.csp.com",
        "a.b.pbx.csp.com",
        "evilpbx.csp.com",
        "x.pbx.csp.com.evil.example",
    ] {
        world.ask(host, &request(host)).await.is(unknown).of_realm("no_site");
    }
    for host in ["x.pbx.csp.com", "X.PBX.csp.com:443", "a-b_c.pbx.csp.com."] {
        world.ask(host, &request(host)).await.is(Forwarded("token")).of_realm("customers");
    }
}

#[tokio::test]
async fn what_is_no_host_is_refused() {
    let Some(world) = world().await else { return };
    let token = world.customers.token().sign();
    let request = |host: &[u8]| Raw::get(INVOICES).host(host).bearer(&token);
    let bad = Refused(400, "bad_authority");
    let long = "a".repeat(300);
    let labels = format!("{}selfcare.csp.com", "a.".repeat(150));
    let table: [(&str, &[u8], _); 20] = [
        ("empty", b"", bad),
        ("a list", b"selfcare.csp.com,admin.csp.com", bad),
        ("a list with a space", b"selfcare.csp.com, admin.csp.com", ByEnvoy(400)),
        ("a user", b"selfcare.csp.com@admin.csp.com", bad),
        ("a user and a password", b"a:b@selfcare.csp.com", bad),
        ("a space", b"selfcare.csp.com admin.csp.com", ByEnvoy(400)),
        ("300 bytes", long.as_bytes(), bad),
        ("150 labels", labels.as_bytes(), bad),
        ("a path", b"selfcare.csp.com/x", ByEnvoy(400)),
        ("a query", b"selfcare.csp.com?x", ByEnvoy(400)),
        ("a fragment", b"selfcare.csp.com#x", ByEnvoy(400)),
        ("a backslash", b"selfcare.csp.com\\x", ByEnvoy(400)),
        ("an escape", b"selfcare%2ecsp.com", bad),
        ("an empty label", b"selfcare..csp.com", bad),
        ("a leading dot", b".selfcare.csp.com", bad),
        ("a port in letters", b"selfcare.csp.com:http", bad),
        ("a port too large", b"selfcare.csp.com:99999", bad),
        ("two ports", b"selfcare.csp.com:1:2", bad),
        ("letters beyond ASCII", "s\u{e9}lfcare.csp.com".as_bytes(), ByEnvoy(400)),
        ("a byte that is no UTF-8", b"selfcare.csp.com\xff", ByEnvoy(400)),
    ];
    for (what, host, expected) in table {
        world.ask(what, &request(host)).await.is(expected);
    }
    world.ask("no host", &Raw::get(INVOICES).bearer(&token)).await.is(ByEnvoy(400));
    let two = Raw::get(INVOICES).host(SELFCARE).host(ADMIN).bearer(&token);
    world.ask("two hosts, which Envoy joins with a comma", &two).await.is(bad);
}

#[tokio::test]
async fn what_the_router_follows_decides() {
    let Some(world) = world().await else { return };
    let (customer, admin) = (world.customers.token().sign(), world.admins.token().sign());
    // HTTP/1: an absolute target replaces Host (RFC 9112 section 3.2.2).
    let target = format!("http://{ADMIN}/");
    for host in [SELFCARE, ADMIN, "evil.example"] {
        let request = Raw::get(&target).host(host);
        world
            .ask(host, &request.clone().bearer(&customer))
            .await
            .is(Refused(401, "token_other_realm"))
            .of_realm("admins");
        let outcome = world.ask(host, &request.bearer(&admin)).await;
        outcome.of_realm("admins");
        assert_eq!(
            outcome.forwarded().authority.as_deref(),
            Some(ADMIN),
            "the upstream is asked for the same host"
        );
    }
    // HTTP/2: :authority counts, and a `host` beside it that says something else never wins.
    for host in [SELFCARE, "evil.example"] {
        let request = H2Request::new("GET", ADMIN, "/").header("host", host);
        let outcome = world.ask("customer", &request.clone().bearer(&customer)).await;
        outcome.is(Refused(401, "token_other_realm")).of_realm("admins");
        let outcome = world.ask("administrator", &request.bearer(&admin)).await;
        outcome.of_realm("admins");
        assert_eq!(outcome.forwarded().authority.as_deref(), Some(ADMIN));
        assert!(
            outcome.seen().header_all("host").iter().all(|host| host == ADMIN),
            "no other host reaches the upstream"
        );
    }
}

#[tokio::test]
async fn forwarded_hosts_and_paths_count_for_nothing() {
    let Some(world) = world().await else { return };
    let (customer, admin) = (world.customers.token().sign(), world.admins.token().sign());
    let headers = [
        "x-forwarded-host",
        "x-host",
        "x-original-host",
        "x-envoy-original-host",
        "x-forwarded-server",
        "forwarded",
        "x-http-host-override",
        "x-forwarded-proto",
        "x-forwarded-port",
    ];
    for name in headers {
        let value = if name == "forwarded" { format!("host={SELFCARE}") } else { SELFCARE.to_owned() };
        let request = Raw::get("/").host(ADMIN).header(name, &value);
        world
            .ask(name, &request.clone().bearer(&customer))
            .await
            .is(Refused(401, "token_other_realm"))
            .of_realm("admins");
        world.ask(name, &request.bearer(&admin)).await.is(Forwarded("token")).of_realm("admins");
    }
    for name in [
        "x-original-url",
        "x-original-uri",
        "x-rewrite-url",
        "x-envoy-original-path",
        "x-forwarded-uri",
        "x-forwarded-path",
        "x-forwarded-prefix",
        "x-accel-redirect",
    ] {
        // The public path does not open another one ...
        let request = Raw::get(INVOICES).host(SELFCARE).header(name, "/assets/logo.svg");
        world.ask(name, &request).await.is(Refused(401, "no_credential"));
        // ... and where the path is public, an upstream that would believe the header is not told.
        let request = Raw::get("/assets/logo.svg").host(SELFCARE).header(name, INVOICES);
        let outcome = world.ask(name, &request).await;
        let seen = outcome.is(Forwarded("public")).seen();
        let stripped = !["x-forwarded-uri", "x-forwarded-path", "x-forwarded-prefix", "x-accel-redirect"]
            .contains(&name);
        assert_eq!(seen.header(name).is_none(), stripped, "{name}");
        assert_eq!(seen.path, "/assets/logo.svg");
    }
}

#[tokio::test]
async fn an_exact_host_beats_a_wildcard() {
    let config = EnvoyConfig::file("two-realms.yaml").edit_plugin(|plugin| {
        plugin["sites"][1]["hosts"] = json!(["admin.csp.com", "Boss.PBX.csp.com.:8443"]);
    });
    let Some(world) = world_with(config).await else { return };
    let (customer, admin) = (world.customers.token().sign(), world.admins.token().sign());
    let request = |host: &str, token: &str| Raw::get("/rest").host(host).bearer(token);
    world
        .ask("the exact host", &request("boss.pbx.csp.com", &admin))
        .await
        .is(Forwarded("token"))
        .of_realm("admins");
    world
        .ask("not the wildcard", &request("boss.pbx.csp.com:443", &customer))
        .await
        .is(Refused(401, "token_other_realm"));
    world
        .ask("its neighbour", &request("staff.pbx.csp.com", &customer))
        .await
        .is(Forwarded("token"))
        .of_realm("customers");
}
