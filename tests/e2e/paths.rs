//! Paths that two servers could read in two ways: the same requests with Envoy's normalisation as shipped, and with none.
//!
//! Each line has the verdict for either; the one thing that no line may say is that a guarded path was reached without its role.

use portcullis_tests::client::Raw;
use portcullis_tests::{EnvoyConfig, World};
use serde_json::json;

use crate::ask::{Ask as _, ByEnvoy, Forwarded, Refused, Verdict, bare};
use crate::support::{SELFCARE, world_with};

const AMBIGUOUS: Verdict = Refused(400, "ambiguous_path");
const NO_TOKEN: Verdict = Refused(401, "no_credential");
const NO_RULE: Verdict = Refused(403, "no_rule");
const PUBLIC: Verdict = Forwarded("public");
const ENVOY: Verdict = ByEnvoy(400);

/// Target, verdict with normalisation, verdict without it.
type Line = (&'static [u8], Verdict, Verdict);

/// `/admin` is guarded; `/health`, `/public/...` and `/assets/...` are public.
const TABLE: &[Line] = &[
    // Control: what is not ambiguous.
    (b"/health", PUBLIC, PUBLIC),
    (b"/health?x=/admin", PUBLIC, PUBLIC),
    (b"/health?x=/../admin", PUBLIC, PUBLIC),
    (b"/public/a.b/..c/...", PUBLIC, PUBLIC),
    (b"/public/%7Euser", PUBLIC, PUBLIC),
    (b"/public/%C3%A4%20b", PUBLIC, PUBLIC),
    (b"/public/{\"a\":1}", PUBLIC, PUBLIC),
    (b"/healthz", NO_RULE, NO_RULE),
    (b"/health/", NO_RULE, NO_RULE),
    (b"/HEALTH", NO_RULE, NO_RULE),
    (b"/Admin", NO_RULE, NO_RULE),
    (b"/administrator", NO_RULE, NO_RULE),
    (b"/admin", NO_TOKEN, NO_TOKEN),
    (b"/admin/", NO_TOKEN, NO_TOKEN),
    (b"/admin?/health", NO_TOKEN, NO_TOKEN),
    (b"/admin?x=/public/", NO_TOKEN, NO_TOKEN),
    (b"/%61dmin", NO_TOKEN, NO_TOKEN),
    (b"/%61%64%6D%69%6e/x", NO_TOKEN, NO_TOKEN),
    // Dot segments.
    (b"/public/../admin", NO_TOKEN, AMBIGUOUS),
    (b"/public/./x", PUBLIC, AMBIGUOUS),
    (b"/./admin", NO_TOKEN, AMBIGUOUS),
    (b"/health/../admin", NO_TOKEN, AMBIGUOUS),
    (b"/admin/../public/x", PUBLIC, AMBIGUOUS),
    (b"/admin/..", NO_RULE, AMBIGUOUS),
    (b"/../admin", NO_TOKEN, AMBIGUOUS),
    (b"/public/%2e%2e/admin", NO_TOKEN, AMBIGUOUS),
    (b"/public/%2E%2E/admin", NO_TOKEN, AMBIGUOUS),
    (b"/public/.%2e/admin", NO_TOKEN, AMBIGUOUS),
    (b"/public/%2e/x", PUBLIC, AMBIGUOUS),
    (b"/public/..%2fadmin", ENVOY, AMBIGUOUS),
    (b"/admin/..%2fpublic/x", ENVOY, AMBIGUOUS),
    (b"/admin%2f..%2fpublic", ENVOY, AMBIGUOUS),
    // Envoy reads these as Tomcat would: as dot segments with parameters.
    (b"/public/..;/admin", NO_TOKEN, AMBIGUOUS),
    (b"/public/.;/x", PUBLIC, AMBIGUOUS),
    (b"/public/..%3b/admin", AMBIGUOUS, AMBIGUOUS),
    (b"/public/..%5cadmin", ENVOY, AMBIGUOUS),
    (b"/public/..\\admin", NO_TOKEN, AMBIGUOUS),
    // Doubled slashes.
    (b"//admin", NO_TOKEN, AMBIGUOUS),
    (b"/public//x", PUBLIC, AMBIGUOUS),
    // Envoy goes up from the empty segment: the upstream gets /public/admin.
    (b"/public//../admin", PUBLIC, AMBIGUOUS),
    (b"/health//", NO_RULE, AMBIGUOUS),
    (b"/public/x//", PUBLIC, AMBIGUOUS),
    // Encoded and other slashes, controls, fragments, parameters.
    (b"/public%2fx", ENVOY, AMBIGUOUS),
    (b"/public/%2Fadmin", ENVOY, AMBIGUOUS),
    (b"/public/%5Cadmin", ENVOY, AMBIGUOUS),
    (b"/public\\x", PUBLIC, AMBIGUOUS),
    (b"/\\admin", NO_TOKEN, AMBIGUOUS),
    (b"/public/%00", ENVOY, AMBIGUOUS),
    (b"/public/x%00.svg", ENVOY, AMBIGUOUS),
    (b"/public/%0d%0ax", AMBIGUOUS, AMBIGUOUS),
    (b"/public/%7f", AMBIGUOUS, AMBIGUOUS),
    (b"/public/%23x", AMBIGUOUS, AMBIGUOUS),
    (b"/admin%23/../public/", PUBLIC, AMBIGUOUS),
    (b"/public/x#/../../admin", ENVOY, ENVOY),
    (b"/admin#/public/", ENVOY, ENVOY),
    (b"/admin;x=1", AMBIGUOUS, AMBIGUOUS),
    (b"/public;/x", AMBIGUOUS, AMBIGUOUS),
    (b"/health;.svg", AMBIGUOUS, AMBIGUOUS),
    (b"/health%3b.svg", AMBIGUOUS, AMBIGUOUS),
    // Double encoding, broken escapes, bytes that are no UTF-8.
    (b"/public/%252e%252e/admin", AMBIGUOUS, AMBIGUOUS),
    (b"/public/%252fadmin", AMBIGUOUS, AMBIGUOUS),
    (b"/public/%25%32%66admin", AMBIGUOUS, AMBIGUOUS),
    (b"/public/%2%35", AMBIGUOUS, AMBIGUOUS),
    (b"/public/%", AMBIGUOUS, AMBIGUOUS),
    (b"/public/%2", AMBIGUOUS, AMBIGUOUS),
    (b"/public/%zz", AMBIGUOUS, AMBIGUOUS),
    (b"/public/%u002e", AMBIGUOUS, AMBIGUOUS),
    (b"/public/%c0%ae%c0%ae/admin", AMBIGUOUS, AMBIGUOUS),
    (b"/public/%c0%afadmin", AMBIGUOUS, AMBIGUOUS),
    (b"/public/%ff", AMBIGUOUS, AMBIGUOUS),
    (b"/public/%e0%80%af", AMBIGUOUS, AMBIGUOUS),
    (b"/public/%ed%a0%80", AMBIGUOUS, AMBIGUOUS),
    (b"/public/\xff", ENVOY, ENVOY),
    (b"/public/\xc3\xa4", ENVOY, ENVOY),
    (b"/public/\x01", ENVOY, ENVOY),
    (b"/public/\tx", ENVOY, ENVOY),
    // Targets that are no path.
    (b"*", ENVOY, ENVOY),
    (b"admin", ENVOY, ENVOY),
    (b"http://selfcare.csp.com/admin", NO_TOKEN, NO_TOKEN),
    (b"http://selfcare.csp.com/public/../admin", NO_TOKEN, AMBIGUOUS),
    (b"http://selfcare.csp.com//admin", NO_TOKEN, AMBIGUOUS),
    (b"http://selfcare.csp.com", NO_RULE, NO_RULE),
    (b"/http://selfcare.csp.com/public/x", NO_RULE, AMBIGUOUS),
    (b"/health?x#y", ENVOY, ENVOY),
];

fn config() -> EnvoyConfig {
    EnvoyConfig::file("two-realms.yaml").edit_plugin(|plugin| {
        plugin["sites"][0]["rules"] = json!([
            {"name": "health", "methods": ["GET"], "path": {"exact": "/health"}, "access": "public"},
            {"name": "public", "methods": ["GET"], "path": {"prefix": "/public/"}, "access": "public"},
            {"name": "admin", "path": {"prefix": "/admin"}, "require": {"realm_roles": {"any": ["boss"]}}},
        ]);
    })
}

async fn run(world: &World, expected: impl Fn(&Line) -> Verdict) {
    // A token without the role: it must not help anywhere, and it tells a guarded path from an unknown one.
    let token = world.customers.token().sign();
    for line in TABLE {
        let what = String::from_utf8_lossy(line.0).into_owned();
        let outcome = world.ask(&what, &Raw::get(line.0).host(SELFCARE)).await;
        outcome.is(expected(line));
        if expected(line) == PUBLIC {
            let seen = &outcome.seen().path;
            assert!(seen.starts_with("/public/") || seen.starts_with("/health"), "{what} became {seen}");
        }
        let with_token = match expected(line) {
            NO_TOKEN => Refused(403, "missing_role"),
            same => same,
        };
        world
            .ask(&format!("{what} with a token"), &Raw::get(line.0).host(SELFCARE).bearer(&token))
            .await
            .is(with_token);
    }
    let boss = world.customers.token().realm_roles(&["boss"]).sign();
    world
        .ask("who has the role gets there", &Raw::get("/admin/x").host(SELFCARE).bearer(&boss))
        .await
        .forwarded();
}

#[tokio::test]
async fn an_ambiguous_path_opens_nothing_as_shipped() {
    let Some(world) = world_with(config()).await else { return };
    run(&world, |line| line.1).await;
}

#[tokio::test]
async fn an_ambiguous_path_opens_nothing_without_normalisation() {
    let Some(world) = world_with(bare(config())).await else { return };
    run(&world, |line| line.2).await;
}
