//! What must not leak: no token, claim or credential of a request is in Envoy's log or in the name of a metric.

use portcullis_tests::client::{H2Request, Raw};
use portcullis_tests::{EnvoyConfig, Realm};
use serde_json::json;

use crate::ask::{Ask as _, Forwarded};
use crate::support::{ADMIN, INVOICES, SELFCARE, world_with};

/// A mark that only the test's requests bear.
const MARK: &str = "s3cr3tMark";

#[tokio::test]
async fn a_log_at_debug_level_holds_no_secret() {
    let config = EnvoyConfig::file("two-realms.yaml")
        .reads_bodies()
        .component_log_level("wasm:debug")
        .edit_plugin(|plugin| {
            let rule = json!({"name": "old", "path": {"prefix": "/old"}, "access": "legacy"});
            plugin["sites"][0]["rules"].as_array_mut().unwrap().insert(0, rule);
            plugin["identity"]["headers"]["x-porta-name"] = json!({"claim": ["name"]});
        });
    let Some(world) = world_with(config).await else { return };
    let token = || {
        let claims = json!({"email": format!("{MARK}@example.com"), "preferred_username": MARK, "name": format!("{MARK} Doe")});
        world.customers.token().claims(claims).claim("sid", MARK).claim("jti", MARK)
    };
    let stranger = Realm::customers();
    let tokens = [
        token().sign(),
        token().expired(60).sign(),
        token().key_of(&stranger).sign(),
        token().kid(MARK).sign(),
        token().claim("iss", format!("https://{MARK}.example")).sign(),
        token().claim("aud", MARK).sign(),
        token().claim("azp", MARK).sign(),
        token().claim("typ", MARK).sign(),
        token().claim("name", format!("{MARK}\n{MARK}")).sign(),
        token().claim("acr", MARK).sign(),
        token().realm_roles(&[MARK]).sign(),
        token().without("preferred_username").sign(),
        token().header("crit", json!([MARK])).sign(),
        token().header("alg", MARK).sign(),
        world.admins.token().claim("email", format!("{MARK}@example.com")).sign(),
        format!("{MARK}.{MARK}.{MARK}"),
        MARK.to_owned(),
    ];
    for token in &tokens {
        for path in [INVOICES, "/rest/Sim/x", "/assets/x", "/old/x", "/nowhere"] {
            let target = format!("{path}?code={MARK}&access_token={MARK}");
            let request = Raw::post(&target)
                .host(SELFCARE)
                .header("cookie", format!("session={MARK}"))
                .header("x-porta-user", MARK);
            world.send(&request.bearer(token).body(MARK)).await;
            let request = H2Request::new("GET", SELFCARE, path)
                .header("referer", format!("https://{MARK}/"))
                .bearer(token);
            request.send(world.envoy.addr()).await.expect("an answer");
        }
        world.send(&Raw::get("/").host(ADMIN).bearer(token)).await;
        world.send(&Raw::get("/").host(ADMIN).bearer(token).bearer(token)).await;
        world.send(&Raw::get(format!("/a;{MARK}")).host(format!("{MARK}.example")).bearer(token)).await;
        world
            .send(
                &Raw::get(format!("/a/../{MARK}%00"))
                    .host(SELFCARE)
                    .header("authorization", format!("Basic {MARK}")),
            )
            .await;
    }
    let good = world.ask("a good one", &Raw::get(INVOICES).host(SELFCARE).bearer(&tokens[0])).await;
    assert_eq!(good.is(Forwarded("token")).seen().header("x-porta-user").as_deref(), Some(MARK));

    let log = world.envoy.log();
    let refusals = log.lines().filter(|line| line.contains("refused status=")).count();
    assert!(refusals > 5 * tokens.len(), "the log tells of the refusals, {refusals} of them");
    let leaks: Vec<&str> = log.lines().filter(|line| line.contains(MARK)).collect();
    assert!(
        leaks.is_empty(),
        "{} lines of the log hold what a request said: {:#?}",
        leaks.len(),
        &leaks[..leaks.len().min(5)]
    );
    assert!(!log.contains("eyJ"), "nothing that looks like a token is in the log");
    let metrics = world.envoy.stats_matching("").await;
    let marked: Vec<&String> = metrics
        .iter()
        .map(|(name, _)| name)
        .filter(|name| name.contains(MARK) || name.contains("eyJ"))
        .collect();
    assert!(marked.is_empty(), "{marked:?}");
    let ours: Vec<&String> =
        metrics.iter().map(|(name, _)| name).filter(|name| name.contains("portcullis.")).collect();
    assert!(ours.len() < 60, "the metrics do not grow with what clients send: {ours:#?}");
}
