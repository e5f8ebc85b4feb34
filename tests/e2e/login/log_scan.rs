//! After a whole run at the level debug, nothing that opens a door is in any record of the filter, nor in the name of a metric.

use portcullis_tests::browser::Site;
use portcullis_tests::issuer::{Lie, User};
use portcullis_tests::{Endpoint, Fault, Visit};
use serde_json::json;

use super::{PAGE, SELFCARE, SESSION, SHORT, config, cookies, portal_with, until_tokens_end, without_skew};

/// A mark that only the user's tokens and requests bear.
const MARK: &str = "s3cr3tMark";

/// Matrix row 115.
#[tokio::test]
async fn a_log_at_debug_level_holds_no_secret_of_a_login() {
    let config = without_skew(config()).component_log_level("wasm:debug").concurrency(2);
    let Some(mut portal) = portal_with(config).await else { return };
    let provider = portal.world.customers.provider().clone();
    let user = User::new().with(json!({"email": format!("{MARK}@example.com"), "preferred_username": MARK}));
    provider.sign_in(user.clone());
    provider.access_tokens_live(SHORT.as_secs());
    let mut secrets = vec![
        MARK.to_owned(),
        super::COOKIE_KEY.to_owned(),
        super::CLIENT_SECRET.to_owned(),
        "p%25ss%3Aw%2Brd".to_owned(),
        "eyJ".to_owned(),
    ];

    // Logins that succeed and fail, refreshes, outages, logouts of both kinds, and nonsense.
    let mut browser = portal.browser();
    let callback = portal.to_callback(&mut browser, &format!("{SELFCARE}{PAGE}&q={MARK}")).await;
    for name in ["code", "state"] {
        let value =
            callback.url().query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned());
        secrets.push(value.expect("a callback has both"));
    }
    portal.send("the callback", &mut browser, &callback).await;
    portal.send("again", &mut browser, &callback).await;
    secrets.extend(cookies(&browser, SELFCARE, SESSION).into_iter().map(|(_, value)| value[..40].to_owned()));
    until_tokens_end(SHORT.as_secs() + 2).await;
    portal.send("renewed", &mut browser, &Visit::fetch(format!("{SELFCARE}{PAGE}"))).await.forwarded();
    secrets.extend(cookies(&browser, SELFCARE, SESSION).into_iter().map(|(_, value)| value[..40].to_owned()));
    for (what, lie) in [
        ("nonce", Lie::id_claim("nonce", MARK)),
        ("sub", Lie::id_claim("sub", MARK)),
        ("iss", Lie::id_claim("iss", format!("https://{MARK}.example/"))),
        ("none", Lie::id_token(|token| token.unsigned("none"))),
        ("answer", Lie::member("token_type", MARK)),
        ("callback", Lie::parameter("iss", MARK)),
        ("error", Lie::parameter("error", MARK)),
    ] {
        provider.lie(lie);
        let mut browser = portal.browser();
        let callback = portal.to_callback(&mut browser, &format!("{SELFCARE}{PAGE}")).await;
        let outcome = portal.send(what, &mut browser, &callback).await;
        assert!(outcome.page.status >= 400, "{}", outcome.context());
        provider.tell_the_truth();
    }
    for fault in [Fault::body("text/html", format!("<p>{MARK}")), Fault::Status(500), Fault::Status(400)] {
        portal.world.customers.fault(Endpoint::Token, fault);
        let mut browser = portal.browser();
        let callback = portal.to_callback(&mut browser, &format!("{SELFCARE}{PAGE}")).await;
        portal.send("a fault", &mut browser, &callback).await;
        portal.world.customers.clear_faults();
    }
    let mut garbage = portal.browser().without_same_site();
    for value in [MARK.to_owned(), format!("1.{MARK}"), format!("one.{MARK}")] {
        garbage.put_cookie(format!("{SELFCARE}/"), &format!("{SESSION}0"), &value);
        let visit = Visit::form(format!("{SELFCARE}/rest/x?token={MARK}"), &[("password", MARK)])
            .from(Site::CrossSite);
        portal.send("garbage", &mut garbage, &visit.header("referer", format!("https://{MARK}/"))).await;
    }
    for token in [provider.logout_token(&provider.last_session()).claim("sid", MARK).sign(), MARK.to_owned()]
    {
        super::backchannel::deliver(&portal, &token).await;
    }
    let logout = Visit::navigation(format!("{SELFCARE}/sso/logout?x={MARK}")).from(Site::SameOrigin);
    portal.send("the logout", &mut browser, &logout).await;

    for request in provider.token_requests() {
        for name in ["code", "code_verifier", "refresh_token"] {
            secrets.extend(request.parameters.get(name).map(str::to_owned));
        }
        secrets.extend(request.authorization);
    }
    for query in provider.authorizations() {
        for name in ["nonce", "state", "code_challenge"] {
            secrets.extend(query.get(name).map(str::to_owned));
        }
    }
    let log = portal.world.envoy.log();
    for line in ["login_completed", "login_state", "login_id_token_nonce", "login_tokens", "idp_unreachable"]
    {
        assert!(log.contains(line), "the log tells what happened: {line}");
    }
    // Envoy itself logs no header at this level: every line counts.
    let leaks: Vec<&str> =
        log.lines().filter(|line| secrets.iter().any(|secret| line.contains(secret.as_str()))).collect();
    assert!(leaks.is_empty(), "{} lines hold a secret: {:#?}", leaks.len(), &leaks[..leaks.len().min(5)]);
    let metrics = portal.world.envoy.stats_matching("").await;
    let marked: Vec<_> = metrics
        .iter()
        .filter(|(name, _)| secrets.iter().any(|secret| name.contains(secret.as_str())))
        .collect();
    assert!(marked.is_empty(), "{marked:?}");
    assert_eq!(portal.metric("customers.login_completed").await, 1);
    portal.assert_sound();
}
