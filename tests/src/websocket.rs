//! The server's end of a WebSocket, which echoes.

use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::server::Body;

/// The answer to a handshake; none where the request is no such thing. What is said afterwards is echoed.
pub(crate) fn accept(request: &mut Request<Incoming>) -> Option<Response<Body>> {
    let key = key(request.headers())?;
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            echo(TokioIo::new(upgraded)).await;
        }
    });
    Some(switching_protocols(&key))
}

fn key(headers: &HeaderMap) -> Option<HeaderValue> {
    let upgrade = headers.get("upgrade")?.to_str().ok()?;
    upgrade.eq_ignore_ascii_case("websocket").then(|| headers.get("sec-websocket-key").cloned()).flatten()
}

fn switching_protocols(key: &HeaderValue) -> Response<Body> {
    let response = Response::builder().status(101);
    let response = response.header("connection", "upgrade").header("upgrade", "websocket");
    let response = response.header("sec-websocket-accept", derive_accept_key(key.as_bytes()));
    let nothing = Empty::new().map_err(|never| match never {}).boxed_unsync();
    response.body(nothing).expect("the handshake is well formed")
}

/// Sends every text and binary message back, until the other side closes.
async fn echo<S>(stream: S)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            break;
        }
    }
}
