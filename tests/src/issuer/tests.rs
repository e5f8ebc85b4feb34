use serde_json::Value;

use super::*;

async fn get(issuer: &Issuer, path: &str) -> Result<(u16, Vec<u8>), reqwest::Error> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(1)).no_proxy();
    let client = client.redirect(reqwest::redirect::Policy::none()).build()?;
    let url = format!("http://{}/realms/customers{path}", issuer.addr());
    let response = client.get(url).header("host", "sso.csp.com").send().await?;
    Ok((response.status().as_u16(), response.bytes().await?.to_vec()))
}

const CERTS: &str = "/protocol/openid-connect/certs";

#[tokio::test]
async fn serves_discovery_and_keys_and_counts() {
    let issuer = Issuer::customers().await;
    let (status, body) = get(&issuer, "/.well-known/openid-configuration").await.unwrap();
    assert_eq!((status, serde_json::from_slice::<Value>(&body).unwrap()), (200, issuer.discovery()));
    let (_, keys) = get(&issuer, CERTS).await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&keys).unwrap(), issuer.jwks());
    assert_eq!((issuer.discovery_hits(), issuer.jwks_hits()), (1, 1));
    assert_eq!(issuer.last_host_header().as_deref(), Some("sso.csp.com"));
    assert_eq!(get(&issuer, "/../other/certs").await.unwrap().0, 404);
}

#[tokio::test]
async fn faults_are_as_told_and_can_be_cleared() {
    let issuer = Issuer::customers().await;
    for (fault, status) in
        [(Fault::Status(500), 500), (Fault::Redirect, 302), (Fault::NoContent, 204), (Fault::html(), 200)]
    {
        issuer.fault(Endpoint::Jwks, fault.clone());
        assert_eq!(get(&issuer, CERTS).await.unwrap().0, status, "{fault:?}");
    }
    for fault in [Fault::Stall, Fault::Drip, Fault::ResetMidBody, Fault::Delay(Duration::from_secs(5))] {
        issuer.fault(Endpoint::Jwks, fault.clone());
        assert!(get(&issuer, CERTS).await.is_err(), "{fault:?}");
    }
    issuer.fault(Endpoint::Jwks, Fault::Hold);
    let release = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        issuer.clear_faults();
    };
    let (held, ()) = tokio::join!(get(&issuer, CERTS), release);
    assert_eq!(held.unwrap().0, 200);
    issuer.fault(Endpoint::Discovery, Fault::WrongIssuer);
    let (_, body) = get(&issuer, "/.well-known/openid-configuration").await.unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&body).unwrap()["issuer"],
        "https://evil.example/realms/other"
    );
    issuer.clear_faults();
    assert_eq!(get(&issuer, CERTS).await.unwrap().0, 200);
}

#[tokio::test]
async fn stops_with_its_connections_and_comes_back_on_its_port() {
    let mut issuer = Issuer::customers().await;
    issuer.fault(Endpoint::Jwks, Fault::Stall);
    let waiting = async { get(&issuer, CERTS).await };
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        issuer.stop().await;
    };
    let (broken, ()) = tokio::join!(waiting, stopping);
    assert!(!broken.unwrap_err().is_timeout(), "the open connection was cut");
    assert!(get(&issuer, CERTS).await.unwrap_err().is_connect(), "a new one is refused");
    let addr = issuer.addr();
    issuer.restart().await;
    issuer.clear_faults();
    assert_eq!(issuer.addr(), addr);
    assert_eq!(get(&issuer, CERTS).await.unwrap().0, 200);
}

mod logins {
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::browser::{Browser, Page, Visit, encode_form};
    use crate::key::encode;
    use crate::token::part;

    const BACK: &str = "https://selfcare.csp.com/sso/callback";
    const SECRET: &str = "p%ss:w+rd &=";
    const VERIFIER: &str = "0123456789-0123456789-0123456789-0123456789";

    async fn issuer() -> Issuer {
        let issuer = Issuer::customers().await;
        issuer.provider().register(Client::confidential("selfcare-ui", SECRET));
        issuer
    }

    fn endpoint(issuer: &Issuer, name: &str) -> String {
        format!("{}/protocol/openid-connect/{name}", issuer.issuer())
    }

    /// What the authorization endpoint answers to a good request, one parameter of which is another one.
    async fn authorize(issuer: &Issuer, change: (&str, &str)) -> Page {
        let challenge = encode(&Sha256::digest(VERIFIER));
        let mut query = vec![
            ("response_type", "code"),
            ("client_id", "selfcare-ui"),
            ("redirect_uri", BACK),
            ("scope", "openid profile"),
            ("state", "the state"),
            ("nonce", "the nonce"),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ];
        query.retain(|(name, _)| *name != change.0);
        query.push(change);
        let url = format!("{}?{}", endpoint(issuer, "auth"), encode_form(&query));
        Browser::new().route(issuer.issuer(), issuer.addr()).go(&Visit::navigation(url)).await
    }

    fn basic(secret: &str) -> String {
        use base64::Engine as _;
        let secret = encode_form(&[("", secret)]);
        let pair = format!("selfcare-ui:{}", secret.trim_start_matches('='));
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
    }

    async fn token(issuer: &Issuer, form: &[(&str, &str)], authorization: &str) -> (u16, Value) {
        let visit = Visit::form(endpoint(issuer, "token"), form).header("authorization", authorization);
        let page = Browser::new().route(issuer.issuer(), issuer.addr()).go(&visit).await;
        (page.status, page.json())
    }

    async fn redeem(issuer: &Issuer, change: (&str, &str)) -> (u16, Value) {
        let code = authorize(issuer, ("", "")).await.location_parameter("code").unwrap();
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", BACK),
            ("code_verifier", VERIFIER),
        ];
        form.retain(|(name, _)| *name != change.0);
        form.push(change);
        token(issuer, &form, &basic(SECRET)).await
    }

    async fn refresh(issuer: &Issuer, tokens: &Value) -> (u16, Value) {
        let refresh_token = tokens["refresh_token"].as_str().unwrap();
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        token(issuer, &form, &basic(SECRET)).await
    }

    fn claims(tokens: &Value, name: &str) -> Value {
        serde_json::from_slice(&part(tokens[name].as_str().unwrap(), 1)).unwrap()
    }

    #[tokio::test]
    async fn a_code_is_worth_tokens_of_keycloaks_shape() {
        let issuer = issuer().await;
        let page = authorize(&issuer, ("acr_values", "")).await;
        assert_eq!(page.status, 302);
        let back = page.location().unwrap();
        assert_eq!(back.as_str().split('?').next(), Some(BACK));
        assert_eq!(page.location_parameter("state").as_deref(), Some("the state"));
        assert_eq!(page.location_parameter("iss").as_deref(), Some(issuer.issuer()));

        let (status, tokens) = redeem(&issuer, ("", "")).await;
        assert_eq!(status, 200, "{tokens}");
        assert_eq!(tokens["token_type"], "Bearer");
        let (id, access) = (claims(&tokens, "id_token"), claims(&tokens, "access_token"));
        assert_eq!(
            (&id["typ"], &id["aud"], &id["azp"]),
            (&"ID".into(), &"selfcare-ui".into(), &"selfcare-ui".into())
        );
        assert_eq!(id["nonce"], "the nonce");
        let hash = Sha256::digest(tokens["access_token"].as_str().unwrap());
        assert_eq!(id["at_hash"], encode(&hash[..16]));
        assert_eq!(
            (&access["typ"], &access["sub"], &access["sid"]),
            (&"Bearer".into(), &id["sub"], &id["sid"])
        );
        assert_eq!(tokens["session_state"], id["sid"]);
        assert_eq!(claims(&tokens, "refresh_token")["typ"], "Refresh");
        assert_eq!(issuer.provider().grants("authorization_code"), 1);
    }

    #[tokio::test]
    async fn what_is_wrong_in_a_request_is_refused() {
        let issuer = issuer().await;
        for wrong in [("client_id", "nobody"), ("redirect_uri", "http://evil.example/sso/callback")] {
            let page = authorize(&issuer, wrong).await;
            assert_eq!((page.status, page.location()), (400, None), "{wrong:?}");
        }
        for wrong in [("code_challenge_method", "plain"), ("code_challenge", "short"), ("scope", "profile")] {
            let error = authorize(&issuer, wrong).await.location_parameter("error");
            assert_eq!(error.as_deref(), Some("invalid_request"), "{wrong:?}");
        }
        for wrong in [
            ("code", "used"),
            ("redirect_uri", "https://selfcare.csp.com/other"),
            ("code_verifier", "0123456789-0123456789-0123456789-012345678X"),
        ] {
            let (status, answer) = redeem(&issuer, wrong).await;
            assert_eq!((status, &answer["error"]), (400, &"invalid_grant".into()), "{wrong:?}");
        }
        assert_eq!(redeem(&issuer, ("client_secret", SECRET)).await.0, 401, "two secrets");
        let (status, _) = token(&issuer, &[("grant_type", "authorization_code")], &basic("wrong")).await;
        assert_eq!(status, 401);
    }

    #[tokio::test]
    async fn a_refresh_token_works_once_and_a_second_use_ends_the_session() {
        let issuer = issuer().await;
        let (_, first) = redeem(&issuer, ("", "")).await;
        let (status, second) = refresh(&issuer, &first).await;
        assert_eq!(status, 200);
        let id = claims(&second, "id_token");
        assert_eq!((&id["sid"], id.get("nonce")), (&claims(&first, "id_token")["sid"], None));
        let (status, answer) = refresh(&issuer, &first).await;
        assert_eq!((status, &answer["error"]), (400, &"invalid_grant".into()));
        assert_eq!(refresh(&issuer, &second).await.0, 400, "the session is over");
        assert!(issuer.provider().last_session().ended);

        issuer.provider().rotate_refresh_tokens(false);
        let (_, first) = redeem(&issuer, ("", "")).await;
        assert_eq!((refresh(&issuer, &first).await.0, refresh(&issuer, &first).await.0), (200, 200));
        issuer.provider().end_sessions();
        assert_eq!(refresh(&issuer, &first).await.0, 400);
    }

    #[tokio::test]
    async fn a_lie_changes_one_fact() {
        let issuer = issuer().await;
        issuer.provider().lie(Lie::access_token(|token| token.claim("aud", "other").sign()));
        let (_, tokens) = redeem(&issuer, ("", "")).await;
        assert_eq!(claims(&tokens, "access_token")["aud"], "other");
        let hash = Sha256::digest(tokens["access_token"].as_str().unwrap());
        assert_eq!(claims(&tokens, "id_token")["at_hash"], encode(&hash[..16]), "of the token that is sent");
        issuer.provider().tell_the_truth();
        issuer.provider().lie(Lie::id_claim("nonce", "other"));
        issuer.provider().lie(Lie::no_member("refresh_token"));
        issuer.provider().lie(Lie::no_parameter("iss"));
        let (_, tokens) = redeem(&issuer, ("", "")).await;
        assert_eq!(claims(&tokens, "id_token")["nonce"], "other");
        assert_eq!(tokens.get("refresh_token"), None);
        assert_eq!(authorize(&issuer, ("", "")).await.location_parameter("iss"), None);
    }

    #[tokio::test]
    async fn a_user_reaches_what_is_asked_for_or_fails() {
        let issuer = issuer().await;
        let long_ago = crate::now() - 3600;
        let mut user = User::new().with(serde_json::json!({"preferred_username": "bob"}));
        user.reaches = vec!["gold".to_owned()];
        user.auth_time = Some(long_ago);
        issuer.provider().sign_in(user.clone());
        authorize(&issuer, ("", "")).await;
        let session = issuer.provider().last_session();
        assert_eq!((session.acr.as_str(), session.auth_time), ("1", long_ago));
        authorize(&issuer, ("max_age", "60")).await;
        assert!(issuer.provider().last_session().auth_time > long_ago);
        authorize(&issuer, ("acr_values", "silver gold")).await;
        let session = issuer.provider().last_session();
        assert_eq!((session.acr.as_str(), session.amr), ("gold", vec!["otp".to_owned()]));
        user.error = Some("access_denied".to_owned());
        issuer.provider().sign_in(user);
        let page = authorize(&issuer, ("", "")).await;
        assert_eq!(page.location_parameter("error").as_deref(), Some("access_denied"));
        assert_eq!(page.location_parameter("code"), None);
    }

    #[tokio::test]
    async fn a_logout_ends_the_session_of_its_hint() {
        let issuer = issuer().await;
        let (_, tokens) = redeem(&issuer, ("", "")).await;
        let hint = tokens["id_token"].as_str().unwrap();
        let query = encode_form(&[
            ("id_token_hint", hint),
            ("post_logout_redirect_uri", "https://selfcare.csp.com/"),
            ("state", "s"),
        ]);
        let url = format!("{}?{query}", endpoint(&issuer, "logout"));
        let page = Browser::new().route(issuer.issuer(), issuer.addr()).go(&Visit::navigation(url)).await;
        assert_eq!(page.location().unwrap().as_str(), "https://selfcare.csp.com/?state=s");
        assert_eq!(issuer.provider().logouts().len(), 1);
        assert_eq!(refresh(&issuer, &tokens).await.0, 400);
        let token = issuer.provider().logout_token(&issuer.provider().last_session());
        assert_eq!(
            (token.header_json()["typ"].clone(), token.claims_json()["typ"].clone()),
            ("logout+jwt".into(), "Logout".into())
        );
    }
}
