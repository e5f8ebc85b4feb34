//! Cookies that somebody has had his hands on: each is as good as none, and all of them are answered alike.

use portcullis_tests::{Browser, Raw, Visit};

use super::{ATTEMPT, PAGE, Portal, SELFCARE, SESSION, cookies, portal, set_cookies, user_of_size};

/// As if there were no session: a navigation is sent to sign in, a script gets 401.
async fn counts_as_absent(portal: &Portal, what: &str, browser: &Browser) {
    let mut page = browser.clone();
    portal.send(what, &mut page, &Visit::navigation(format!("{SELFCARE}{PAGE}"))).await.begun();
    let mut script = browser.clone();
    let outcome = portal.send(what, &mut script, &Visit::fetch(format!("{SELFCARE}{PAGE}"))).await;
    outcome.refused(401, "no_credential");
    assert!(
        set_cookies(&outcome.page, SESSION).iter().all(|line| super::takes_back(line)),
        "{}",
        outcome.context()
    );
}

/// Another character of the same alphabet.
fn other(byte: u8) -> char {
    if byte == b'A' { 'B' } else { 'A' }
}

fn with(browser: &Browser, name: &str, value: &str) -> Browser {
    let mut changed = browser.clone();
    changed.put_cookie(format!("{SELFCARE}/"), name, value);
    changed
}

/// Matrix row 108.
#[tokio::test]
async fn a_cookie_that_was_changed_is_none() {
    let Some(mut portal) = portal().await else { return };
    let browser = portal.signed_in().await;
    let pieces = cookies(&browser, SELFCARE, SESSION);
    for (name, value) in &pieces {
        for at in (0..value.len()).step_by(value.len() / 12 + 1).chain([value.len() - 1]) {
            let mut changed = value.clone();
            changed.replace_range(at..=at, &other(value.as_bytes()[at]).to_string());
            counts_as_absent(&portal, &format!("byte {at} of {name}"), &with(&browser, name, &changed)).await;
        }
        for (what, changed) in [
            ("shorter", value[..value.len() - 4].to_owned()),
            ("half", value[..value.len() / 2].to_owned()),
            ("longer", format!("{value}AAAA")),
            ("empty", String::new()),
            ("padded", format!("{value}=")),
            ("no base64", "!".repeat(40)),
            ("a token", portal.world.customers.token().sign().chars().take(3000).collect()),
        ] {
            counts_as_absent(&portal, &format!("{what}: {name}"), &with(&browser, name, &changed)).await;
        }
    }
    portal.assert_sound();
}

#[tokio::test]
async fn the_number_of_pieces_is_not_what_a_client_says() {
    let Some(mut portal) = portal().await else { return };
    portal.world.customers.provider().sign_in(user_of_size(9_000));
    let browser = portal.signed_in().await;
    let pieces = cookies(&browser, SELFCARE, SESSION);
    assert!(pieces.len() >= 3);
    let (first, value) = &pieces[0];
    let rest = value.split_once('.').map_or(value.as_str(), |(_, rest)| rest);
    let (padded, signed) = (format!("0{}", pieces.len()), format!("+{}", pieces.len()));
    for count in ["0", "1", "2", "99", "1000000000", "18446744073709551616", "-1", &padded, &signed, "", "x"]
    {
        let changed = with(&browser, first, &format!("{count}.{rest}"));
        counts_as_absent(&portal, &format!("{count} pieces"), &changed).await;
    }
    for (name, _) in &pieces {
        let mut without = browser.clone();
        without.drop_cookie(name);
        counts_as_absent(&portal, &format!("without {name}"), &without).await;
    }
    let mut swapped = with(&browser, &pieces[1].0, &pieces[2].1);
    swapped.put_cookie(format!("{SELFCARE}/"), &pieces[2].0, &pieces[1].1);
    counts_as_absent(&portal, "two pieces in each other's place", &swapped).await;
    let mut shifted = value.clone();
    let moved = shifted.pop().expect("a value");
    let mut shifted = with(&browser, first, &shifted);
    shifted.put_cookie(format!("{SELFCARE}/"), &pieces[1].0, &format!("{moved}{}", pieces[1].1));
    counts_as_absent(&portal, "cut at another place", &shifted).await;
    // What is too many does no harm: the session is whole.
    let mut more = browser.clone();
    for at in pieces.len()..20 {
        more.put_cookie(format!("{SELFCARE}/"), &format!("{SESSION}{at}"), "AAAA");
    }
    portal.send("20 pieces", &mut more, &Visit::fetch(format!("{SELFCARE}{PAGE}"))).await.forwarded();
    portal.assert_sound();
}

#[tokio::test]
async fn pieces_of_two_sessions_never_mix() {
    let Some(mut portal) = portal().await else { return };
    let provider = portal.world.customers.provider();
    let same = user_of_size(9_000);
    provider.sign_in(same.clone());
    let (one, again) = (portal.signed_in().await, portal.signed_in().await);
    provider.sign_in(user_of_size(9_000));
    let other = portal.signed_in().await;
    let pieces = cookies(&one, SELFCARE, SESSION);
    for (what, from) in [("of another user", &other), ("of the same user", &again)] {
        let foreign = cookies(from, SELFCARE, SESSION);
        assert_eq!(foreign.len(), pieces.len());
        for (name, value) in &foreign {
            counts_as_absent(&portal, &format!("{name} {what}"), &with(&one, name, value)).await;
        }
    }
    // A cookie of one purpose is none of another.
    let mut attempt = portal.browser();
    portal.send("start", &mut attempt, &Visit::navigation(format!("{SELFCARE}{PAGE}"))).await.begun();
    let sealed = cookies(&attempt, SELFCARE, ATTEMPT)[0].1.clone();
    for value in [sealed.clone(), format!("1.{sealed}")] {
        counts_as_absent(
            &portal,
            "an attempt as a session",
            &with(&portal.browser(), &format!("{SESSION}0"), &value),
        )
        .await;
    }
    portal.assert_sound();
}

/// Row 109.
#[tokio::test]
async fn cookies_without_number_and_names_that_come_twice_do_no_harm() {
    let Some(mut portal) = portal().await else { return };
    let browser = portal.signed_in().await;
    let session: Vec<String> =
        cookies(&browser, SELFCARE, SESSION).iter().map(|(name, value)| format!("{name}={value}")).collect();
    let session = session.join("; ");
    let first = session.split("; ").next().expect("a session has a cookie");
    let ask = |cookie: &[&str]| {
        let raw = Raw::get(PAGE).host("selfcare.csp.com").header("sec-fetch-mode", "cors");
        cookie.iter().fold(raw, |raw, value| raw.header("cookie", value))
    };
    let many: Vec<String> = (0..2_000).map(|at| format!("__Host-portcullis-{at}=x")).collect();
    let many = many.join("; ");
    let large = format!("x={}", "y".repeat(20_000));
    for (what, request, status) in [
        ("as it is", ask(&[&session]), 200),
        ("one field for each", ask(&session.split("; ").collect::<Vec<_>>()), 200),
        ("amid others", ask(&["a=1", &session, "b=2; c=\"x;y\""]), 200),
        ("a cookie of the application twice", ask(&["a=1; a=2", &session]), 200),
        ("ours twice, the same", ask(&[&session, first]), 401),
        ("ours twice, another first", ask(&[&format!("{SESSION}0=1.AAAA"), &session]), 401),
        ("ours twice, another last", ask(&[&session, &format!("{SESSION}0=1.AAAA")]), 401),
        ("in another case", ask(&[&session.replace("__Host-", "__host-")]), 401),
        ("without the prefix", ask(&[&session.replace("__Host-", "")]), 401),
        ("bytes beyond ASCII", ask(&["a=\u{fc}\u{ff}", &session]), 200),
        ("no name", ask(&["=x; ; ;;", &session]), 200),
        ("20 kB of another", ask(&[&large, &session]), 200),
        ("2000 that look like ours", ask(&[&many]), 401),
    ] {
        let before = portal.world.upstream.requests();
        let response = portal.send_raw("selfcare.csp.com", &request).await;
        assert_eq!(response.status, status, "{what}: {}\n{}", response.text(), portal.world.envoy.log());
        assert_eq!(portal.world.upstream.requests() - before, u64::from(status == 200), "{what}");
    }
    portal.assert_sound();
}

/// HTTP/2 lets a browser send each cookie in a field of its own (RFC 9113 section 8.2.3).
#[tokio::test]
async fn cookies_in_many_fields_of_http2_are_one_session() {
    let Some(mut portal) = portal().await else { return };
    portal.world.customers.provider().sign_in(user_of_size(9_000));
    let browser = portal.signed_in().await;
    let in_fields = |cookies: &[(String, String)]| {
        let visit = Visit::fetch(format!("{SELFCARE}{PAGE}"));
        cookies.iter().fold(visit, |visit, (name, value)| visit.header("cookie", format!("{name}={value}")))
    };
    let mut pieces = cookies(&browser, SELFCARE, SESSION);
    assert!(pieces.len() >= 3);
    portal.send("in order", &mut portal.browser(), &in_fields(&pieces)).await.forwarded();
    pieces.reverse();
    pieces.insert(1, ("theme".to_owned(), "dark".to_owned()));
    let seen = portal.send("in any order", &mut portal.browser(), &in_fields(&pieces)).await.forwarded();
    assert_eq!(seen.header("cookie").as_deref(), Some("theme=dark"));
    pieces.push(pieces[0].clone());
    portal
        .send("one of them twice", &mut portal.browser(), &in_fields(&pieces))
        .await
        .refused(401, "no_credential");
    portal.assert_sound();
}

/// Names and values that somebody might take for ours: they open nothing, and no upstream sees ours.
#[tokio::test]
async fn what_nearly_is_a_cookie_of_ours_opens_nothing() {
    let Some(mut portal) = portal().await else { return };
    let browser = portal.signed_in().await;
    let pieces = cookies(&browser, SELFCARE, SESSION);
    let (name, value) = &pieces[0];
    let others: Vec<_> = pieces[1..].iter().map(|(name, value)| format!("; {name}={value}")).collect();
    let others = others.concat();
    let rest = name.strip_prefix("__Host-").expect("the prefix");
    for cookie in [
        format!("{name} ={value}"),
        format!("\"{name}\"={value}"),
        format!("{name}=\"{value}\""),
        format!("{name}= {value}"),
        format!("{name}\t={value}"),
        format!("={name}={value}"),
        format!("$Version=1; {name}={value}, x=y"),
        format!("__Secure-{rest}={value}"),
        format!("__Host_{rest}={value}"),
        format!("{SESSION}00={value}"),
        format!("{SESSION}={value}"),
        format!("{ATTEMPT}0123456789abcdef={value}"),
        format!("__Host-portcullis-loop={value}"),
    ] {
        let ask = |path: &str| {
            Raw::get(path).host("selfcare.csp.com").header("cookie", format!("a=1; {cookie}{others}"))
        };
        let before = portal.world.upstream.requests();
        let response = portal.send_raw("selfcare.csp.com", &ask(PAGE)).await;
        assert_eq!((response.status, portal.world.upstream.requests()), (401, before), "{cookie:.60}");
        // Where nobody asks for a session, a name of ours does not go on either.
        assert_eq!(portal.send_raw("selfcare.csp.com", &ask("/assets/x")).await.status, 200, "{cookie:.60}");
        let seen = portal.world.upstream.last().and_then(|seen| seen.header("cookie")).unwrap_or_default();
        assert!(!seen.split(';').any(|pair| pair.trim().starts_with("__Host-portcullis")), "{seen:.80}");
    }
    let junk: Vec<String> = (0..100).map(|at| format!("__Host-portcullis-junk{at}=x")).collect();
    for (what, cookie, status) in [
        ("before a hundred", format!("{name}={value}{others}; {}", junk.join("; ")), 200),
        ("alone", format!("{name}={value}{others}"), 200),
        ("behind a hundred", format!("{}; {name}={value}{others}", junk.join("; ")), 401),
    ] {
        let raw = Raw::get(PAGE).host("selfcare.csp.com").header("cookie", cookie);
        assert_eq!(portal.send_raw("selfcare.csp.com", &raw).await.status, status, "{what}");
    }
    portal.assert_sound();
}

/// A session is made by the login: what was there before, whoever put it there, is not what comes out.
#[tokio::test]
async fn a_login_makes_a_session_of_its_own() {
    let Some(portal) = portal().await else { return };
    let attacker = portal.signed_in().await;
    let planted = cookies(&attacker, SELFCARE, SESSION);
    let mut victim = portal.browser();
    for (name, value) in &planted {
        victim.put_cookie(format!("{SELFCARE}/"), name, value);
    }
    portal.world.customers.provider().sign_in(portcullis_tests::issuer::User::new());
    let start = Visit::navigation(format!("{SELFCARE}/sso/start"));
    let begun = portal.send("start", &mut victim, &start).await.begun();
    let callback = portal.through_keycloak(&mut victim, &begun).await;
    portal.send("the callback", &mut victim, &callback).await;
    assert_ne!(cookies(&victim, SELFCARE, SESSION), planted);
    let subject = portal.world.customers.provider().last_session().sub;
    let seen = portal
        .send("the page", &mut victim, &Visit::navigation(format!("{SELFCARE}{PAGE}")))
        .await
        .forwarded();
    assert_eq!(seen.header("x-porta-subject"), Some(subject));
}
