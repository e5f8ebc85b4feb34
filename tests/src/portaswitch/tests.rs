use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;

use super::*;
use crate::client::{Raw, RawResponse, websocket};

const HOST: &str = "selfcare.csp.com";
const ADMIN_HOST: &str = "admin.csp.com";

async fn post(emulator: &PortaSwitch, host: &str, path: &str, content_type: &str, body: &str) -> RawResponse {
    let request = Raw::post(path).host(host).header("content-type", content_type).body(body);
    request.send(emulator.addr()).await.unwrap()
}

async fn session(emulator: &PortaSwitch, host: &str, method: &str, params: Value) -> RawResponse {
    let body = json!({ "params": params }).to_string();
    post(emulator, host, &format!("/rest/Session/{method}"), "application/json", &body).await
}

async fn login(emulator: &PortaSwitch, user: User) -> RawResponse {
    let host = if user.portal == Portal::Admin { ADMIN_HOST } else { HOST };
    session(emulator, host, "login", json!({"login": user.login, "password": user.password})).await
}

#[track_caller]
fn fault(response: &RawResponse, code: &str) {
    assert_eq!((response.status, &response.json()["faultcode"]), (500, &json!(code)), "{}", response.text());
}

#[tokio::test]
async fn a_session_begins_serves_and_ends() {
    let emulator = PortaSwitch::start().await;
    let answer = login(&emulator, ZZZ_PORTAONE).await;
    let (body, cookies) = (answer.json(), answer.header_all("set-cookie"));
    let access = body["access_token"].as_str().unwrap();
    assert_eq!(answer.status, 200);
    assert!(
        cookies[0].starts_with(&format!("access_token={access}; ")) && cookies[1].starts_with("session_id=")
    );
    let claims: Value = serde_json::from_slice(&crate::token::part(access, 1)).unwrap();
    let header: Value = serde_json::from_slice(&crate::token::part(access, 0)).unwrap();
    assert_eq!(
        (&claims["login"], &claims["iss"], &header["kid"]),
        (&json!("ZZZPortaOne"), &Value::Null, &Value::Null)
    );
    assert_eq!(claims["jti"], body["session_id"]);

    let ping = session(&emulator, HOST, "ping", json!({"access_token": access})).await;
    assert!(ping.json()["user_id"].as_u64().unwrap() > 0);
    for request in [
        Raw::post("/rest/Customer/get_customer_info").bearer(access),
        Raw::post("/rest/Customer/get_customer_info").header("cookie", format!("a=b; access_token={access}")),
    ] {
        let answer = request.host(HOST).send(emulator.addr()).await.unwrap();
        assert_eq!((answer.status, &answer.json()["user"]), (200, &json!("ZZZPortaOne")));
    }
    // A session of self-care is nobody in the Admin UI.
    let elsewhere = Raw::post("/rest/User/get_user_list").host(ADMIN_HOST).bearer(access);
    fault(&elsewhere.send(emulator.addr()).await.unwrap(), "Server.Session.check_auth.auth_failed");

    let params = json!({"refresh_token": body["refresh_token"]});
    let refreshed = session(&emulator, HOST, "refresh_access_token", params).await.json();
    assert!(refreshed["access_token"].is_string() && refreshed.get("session_id").is_none());
    let params = json!({"access_token": refreshed["access_token"]});
    assert_eq!(session(&emulator, HOST, "logout", params.clone()).await.status, 200);
    fault(
        &session(&emulator, HOST, "ping", params).await,
        "Client.Session.ping.failed_to_process_access_token",
    );
}

#[tokio::test]
async fn calls_come_in_json_in_forms_and_in_multipart_forms() {
    let emulator = PortaSwitch::start().await;
    let params = json!({"login": ALPHA.login, "password": ALPHA.password}).to_string();
    let form = form_urlencoded::Serializer::new(String::new()).append_pair("params", &params).finish();
    let multipart =
        format!("--b\r\ncontent-disposition: form-data; name=\"params\"\r\n\r\n{params}\r\n--b--\r\n");
    for (content_type, body) in [
        (
            "application/json; charset=utf-8",
            json!({"params": json!({"login": ALPHA.login, "password": ALPHA.password})}).to_string(),
        ),
        ("application/x-www-form-urlencoded", form),
        ("multipart/form-data; boundary=b", multipart),
    ] {
        let answer = post(&emulator, HOST, "/rest/Session/login/", content_type, &body).await;
        assert_eq!(answer.status, 200, "{content_type}: {}", answer.text());
        let auth_info = json!({"session_id": answer.json()["session_id"]}).to_string();
        let form =
            form_urlencoded::Serializer::new(String::new()).append_pair("auth_info", &auth_info).finish();
        let answer = post(
            &emulator,
            HOST,
            "/rest/Account/get_account_list",
            "application/x-www-form-urlencoded",
            &form,
        )
        .await;
        assert_eq!(answer.json()["user"], "alpha.corp");
    }
    for (content_type, body) in [("text/plain", &*params), ("application/json", "{")] {
        let answer = post(&emulator, HOST, "/rest/Session/login", content_type, body).await;
        fault(&answer, "Client.check_auth.envelope_missed");
    }
}

#[tokio::test]
async fn a_login_is_refused_with_a_fault() {
    let emulator = PortaSwitch::start().await;
    let wrong = async |host: &str, login: &str| {
        session(&emulator, host, "login", json!({"login": login, "password": "guess"})).await
    };
    fault(&wrong(HOST, "nobody").await, "Server.Session.auth_failed");
    let support = json!({"login": PORTA_SUPPORT.login, "password": PORTA_SUPPORT.password});
    fault(&session(&emulator, HOST, "login", support).await, "Server.Session.auth_failed");
    assert_eq!(login(&emulator, PORTA_SUPPORT).await.status, 200);
    for _ in 0..5 {
        fault(&wrong(HOST, ALPHA.login).await, "Server.Session.auth_failed");
    }
    fault(&login(&emulator, ALPHA).await, "Server.Session.cannot_login_brute_force_activity");

    fault(&login(&emulator, BETA).await, "Server.Session.alert_You_must_change_password");
    let params = json!({"login": BETA.login, "password": BETA.password, "new_password": "second password"});
    assert_eq!(session(&emulator, HOST, "change_password", params).await.status, 200);
    fault(&login(&emulator, BETA).await, "Server.Session.auth_failed");
    let params = json!({"login": BETA.login, "password": "second password"});
    assert_eq!(session(&emulator, HOST, "login", params).await.status, 200);
}

#[tokio::test]
async fn an_administrator_takes_a_session_of_an_account() {
    let emulator = PortaSwitch::start().await;
    let admin = login(&emulator, PORTA_SUPPORT).await.json();
    let body = json!({"auth_info": {"access_token": admin["access_token"]}, "params": {"login": "someone"}})
        .to_string();
    let path = "/rest/Session/login_to_realm";
    let answer = post(&emulator, ADMIN_HOST, path, "application/json", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let claims = crate::token::part(answer.json()["access_token"].as_str().unwrap(), 1);
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!((&claims["realm"], claims.get("i_account")), (&json!("account"), None));
    fault(
        &post(&emulator, HOST, path, "application/json", &body).await,
        "Server.Session.check_auth.auth_failed",
    );
}

#[tokio::test]
async fn the_portals_say_whom_the_header_fields_name() {
    let emulator = PortaSwitch::start().await;
    let request = Raw::get("/whoami")
        .host(ADMIN_HOST)
        .header("x-porta-user", "root")
        .header("x-porta-superuser", "true");
    let answer = request.send(emulator.addr()).await.unwrap();
    let expected =
        json!({"identity": {"x-porta-user": "root", "x-porta-superuser": "true"}, "password_session": null});
    assert_eq!(answer.json(), expected);
    let seen = emulator.seen_at("/whoami");
    assert_eq!(seen[0].header("x-porta-user").as_deref(), Some("root"));
    for (host, name) in [(HOST, "Self-care"), (ADMIN_HOST, "Admin UI")] {
        for path in ["/", "/dashboard", "/sim"] {
            let page = Raw::get(path).host(host).send(emulator.addr()).await.unwrap();
            assert!(
                page.status == 200 && page.text().contains(name) && !page.text().contains("{{"),
                "{path}"
            );
        }
    }
    let mut socket = websocket(emulator.addr(), HOST, "/ws", &[]).await.unwrap();
    socket.send("hello".into()).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), "hello".into());
}
