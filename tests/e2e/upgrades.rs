//! What is more than a request and an answer: WebSockets, gRPC, and bodies that wait for the keys.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use portcullis_tests::client::{H2Request, Raw, websocket};
use portcullis_tests::{Endpoint, EnvoyConfig, Fault, RotateOptions, World};
use serde_json::json;
use tokio_tungstenite::tungstenite::Error;

use crate::ask::{Ask as _, Forwarded, Outcome, Refused, Request};
use crate::support::{ADMIN, INVOICES, SELFCARE, world, world_with};

/// The status of a WebSocket handshake; 101 if it also carries messages.
async fn shake_hands(world: &World, host: &str, path: &str, headers: &[(&'static str, &str)]) -> u16 {
    match websocket(world.envoy.addr(), host, path, headers).await {
        Ok(mut socket) => {
            socket.send("hello".into()).await.expect("an open WebSocket takes a message");
            assert_eq!(socket.next().await.expect("an answer").expect("a message"), "hello".into());
            101
        }
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("neither a WebSocket nor an answer: {error}"),
    }
}

#[tokio::test]
async fn a_websocket_is_judged_at_its_handshake() {
    let config = EnvoyConfig::file("two-realms.yaml").edit_plugin(|plugin| {
        let rule = json!({"name": "events", "methods": ["GET"], "path": {"prefix": "/ws"}, "require": {"realm_roles": {"any": ["customer"]}}});
        plugin["sites"][0]["rules"].as_array_mut().unwrap().insert(0, rule);
    });
    let Some(world) = world_with(config).await else { return };
    let bearer = |token: String| format!("Bearer {token}");
    let good = bearer(world.customers.token().sign());
    for (what, authorization, expected) in [
        ("without a token", None, 401),
        ("with an expired one", Some(bearer(world.customers.token().expired(60).sign())), 401),
        ("with the other realm's", Some(bearer(world.admins.token().sign())), 401),
        ("without the role", Some(bearer(world.customers.token().realm_roles(&["other"]).sign())), 403),
        ("with a password", Some("Basic YTpi".to_owned()), 401),
        ("with a good one", Some(good.clone()), 101),
    ] {
        let before = world.upstream.requests();
        let mut headers = vec![("x-porta-user", "root"), ("origin", "https://evil.example")];
        headers.extend(authorization.as_deref().map(|value| ("authorization", value)));
        assert_eq!(shake_hands(&world, SELFCARE, "/ws/events", &headers).await, expected, "{what}");
        assert_eq!(world.upstream.requests() - before, u64::from(expected == 101), "{what}");
    }
    let seen = world.upstream.last().expect("the handshake reached the upstream");
    assert_eq!(seen.header("x-porta-user").as_deref(), Some("alice"));
    assert_eq!(seen.header("authorization"), None);
    let headers = [("authorization", good.as_str())];
    assert_eq!(shake_hands(&world, ADMIN, "/ws/events", &headers).await, 401, "at the other realm's host");
    let query = format!("/ws/events?access_token={}", good.trim_start_matches("Bearer "));
    assert_eq!(shake_hands(&world, SELFCARE, &query, &[]).await, 401, "a token in the query");
    let protocol = [("sec-websocket-protocol", good.trim_start_matches("Bearer "))];
    assert_eq!(
        shake_hands(&world, SELFCARE, "/ws/events", &protocol).await,
        401,
        "a token as the subprotocol"
    );
    assert_eq!(world.upstream.requests(), 1);
}

#[tokio::test]
async fn grpc_is_told_in_its_own_words() {
    let Some(world) = world().await else { return };
    for (what, content_type, token, http, grpc) in [
        ("no token", "application/grpc", None, 401, Some("16")),
        ("no token, protobuf", "application/grpc+proto", None, 401, Some("16")),
        (
            "without the role",
            "application/grpc",
            Some(world.customers.token().without("resource_access").sign()),
            403,
            Some("7"),
        ),
        ("grpc-web is no gRPC", "application/grpc-web", None, 401, None),
    ] {
        let request = H2Request::new("POST", SELFCARE, INVOICES)
            .header("content-type", content_type)
            .header("te", "trailers");
        let request =
            token.iter().fold(request, |request, token| request.bearer(token)).body(&b"\0\0\0\0\0"[..]);
        let outcome = world.ask(what, &request).await;
        // Envoy turns the local reply of a gRPC request into a trailers-only answer: HTTP 200 and the status in words of gRPC.
        assert_eq!(outcome.status(), if grpc.is_some() { 200 } else { http }, "{what}");
        assert_eq!(outcome.response().header("grpc-status").as_deref(), grpc, "{what}");
        assert_eq!(outcome.counted().len(), 1, "{what}");
        assert!(outcome.counted()[0].contains(".denied."), "{what}: {:?}", outcome.counted());
    }
    assert_eq!(world.upstream.requests(), 0);
    let request = H2Request::new("POST", SELFCARE, INVOICES)
        .header("content-type", "application/grpc")
        .bearer(&world.customers.token().sign());
    world.ask("a good token", &request).await.is(Forwarded("token"));
}

#[tokio::test]
async fn a_body_waits_with_its_request_and_arrives_whole() {
    let Some(world) = world().await else { return };
    let body = (0..10_000_000_u32).map(|n| n.to_le_bytes()[1] ^ n.to_le_bytes()[0]).collect::<Vec<u8>>();
    let sum = sha256(&body);
    let first = Raw::post(INVOICES).host(SELFCARE).bearer(&world.customers.token().sign()).body(&body);
    assert_eq!(world.ask("without a wait", &first).await.forwarded().body_sha256, sum);

    world.customers.rotate(RotateOptions { keep_old: true });
    world.customers.fault(Endpoint::Jwks, Fault::Delay(Duration::from_secs(2)));
    let token = world.customers.token().sign();
    let request = Raw::post(INVOICES).host(SELFCARE).bearer(&token).body(&body);
    let outcome = held(&world, &request).await;
    let seen = outcome.forwarded();
    assert_eq!((seen.body.len(), &seen.body_sha256), (body.len(), &sum));
    // A refusal after the wait: the body is not passed on.
    let nobody = world.customers.token().kid("nobody").sign();
    let request = Raw::post(INVOICES).host(SELFCARE).bearer(&nobody).body(&body);
    let outcome = world.ask("an unknown kid", &request).await;
    outcome.is(Refused(401, "token_unknown_kid"));
}

/// Sends a request that waits for the keys, and looks meanwhile at what Envoy holds of it.
async fn held(world: &World, request: &impl Request) -> Outcome {
    let hits = world.customers.jwks_hits();
    let watch = async {
        while world.customers.jwks_hits() == hits {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut most = 0;
        for _ in 0..20 {
            let buffered = world.envoy.stat("http.ingress.downstream_cx_rx_bytes_buffered").await;
            most = most.max(buffered.unwrap_or(0));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        most
    };
    let (outcome, buffered) = tokio::join!(world.ask("a request that waits", request), watch);
    assert!(buffered < 1_000_000, "{buffered} bytes are held for one request that waits");
    assert_eq!(world.customers.jwks_hits(), hits + 1, "it waited for one fetch");
    outcome
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    format!("{:x}", sha2::Sha256::digest(bytes))
}
