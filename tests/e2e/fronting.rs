//! Domain fronting: a TLS connection that was opened for one site, with requests for the other.
//!
//! A client may reuse a connection for any host that the certificate has (RFC 9113 section 9.1.1), so SNI proves nothing, and the filter
//! goes by the authority of each request. Who wants the two to agree (421) gives each site its own filter chain and routes in Envoy.

use std::net::SocketAddr;

use portcullis_tests::client::{H2Request, Raw};
use portcullis_tests::{Envoy, EnvoyConfig};
use serde_json::json;

use crate::ask::{Ask as _, Forwarded, Refused};
use crate::support::{ADMIN, INVOICES, SELFCARE, world_with};

/// Worth nothing: made for this test, and trusted by nobody.
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBizCCATGgAwIBAgIUAvwUWyiRr/gFMs8TnkjAVl3Xjl4wCgYIKoZIzj0EAwIw\n\
GjEYMBYGA1UEAwwPcG9ydGN1bGxpcy10ZXN0MCAXDTI2MTEyMjExMzU0MloYDzIx\n\
MjYxMDI5MTEzNTQyWjAaMRgwFgYDVQQDDA9wb3J0Y3VsbGlzLXRlc3QwWTATBgcq\n\
hkjOPQIBBggqhkjOPQMBBwNCAATZ8oKxE5tdLIr5nRt6n/wl16dmtH/LcSKdy14K\n\
zY1iX0duLNiZSjlbLvcMYrMartikHQR6WBgdk6RHlJLjxPUDo1MwUTAdBgNVHQ4E\n\
FgQUUvN4zj1fLKGdNqyb0PtuwQscQ/8wHwYDVR0jBBgwFoAUUvN4zj1fLKGdNqyb\n\
0PtuwQscQ/8wDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiAIrqsE\n\
Vtx5Im8S+Hq/CzFwPBS+A5yYHDVL9iuz4DZhagIhALS/KpUPDNOiLOo8NuSXwhhH\n\
vQYIotUB95Q7495jI8g/\n\
-----END CERTIFICATE-----\n\
";
const KEY: &str = "\
-----BEGIN PRIVATE KEY-----\n\
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgMV9q4BaJ643ICNMz\n\
6kkXLfEnWyobseXwADf039U2UNGhRANCAATZ8oKxE5tdLIr5nRt6n/wl16dmtH/L\n\
cSKdy14KzY1iX0duLNiZSjlbLvcMYrMartikHQR6WBgdk6RHlJLjxPUD\n\
-----END PRIVATE KEY-----\n\
";

/// Another Envoy, which puts what it gets into TLS and sends it on with this SNI.
async fn tunnel(to: SocketAddr, sni: &str) -> Envoy {
    let extension = |kind: &str, mut config: serde_json::Value| {
        config["@type"] = json!(format!("type.googleapis.com/envoy.extensions.{kind}"));
        config
    };
    let proxy = extension(
        "filters.network.tcp_proxy.v3.TcpProxy",
        json!({"stat_prefix": "tunnel", "cluster": "tls"}),
    );
    let tls = extension("transport_sockets.tls.v3.UpstreamTlsContext", json!({"sni": sni}));
    let address = json!({"socket_address": {"address": to.ip().to_string(), "port_value": to.port()}});
    let config = EnvoyConfig::value(json!({"static_resources": {
        "listeners": [{"name": "in", "filter_chains": [{"filters": [{"name": "tcp", "typed_config": proxy}]}]}],
        "clusters": [{
            "name": "tls",
            "type": "STATIC",
            "load_assignment": {"cluster_name": "tls", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]},
            "transport_socket": {"name": "tls", "typed_config": tls},
        }],
    }}));
    config.start().await.unwrap_or_else(|e| panic!("the tunnel does not start: {e}"))
}

#[tokio::test]
async fn the_authority_decides_whatever_the_connection_was_opened_for() {
    let config = EnvoyConfig::file("two-realms.yaml").edit(|yaml| {
        let certificate = json!({"certificate_chain": {"inline_string": CERTIFICATE}, "private_key": {"inline_string": KEY}});
        yaml["static_resources"]["listeners"][0]["filter_chains"][0]["transport_socket"] = json!({"name": "tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {"tls_certificates": [certificate]},
        }});
    });
    let Some(world) = world_with(config).await else { return };
    let (customer, admin) = (world.customers.token().sign(), world.admins.token().sign());
    let tunnel = tunnel(world.envoy.addr(), SELFCARE).await;
    for (host, path, token, expected, realm) in [
        (SELFCARE, INVOICES, Some(&customer), Forwarded("token"), "customers"),
        (ADMIN, "/", Some(&customer), Refused(401, "token_other_realm"), "admins"),
        (ADMIN, "/", None, Refused(401, "no_credential"), "admins"),
        (ADMIN, "/assets/x", None, Refused(401, "no_credential"), "admins"),
        (ADMIN, "/", Some(&admin), Forwarded("token"), "admins"),
        (SELFCARE, INVOICES, Some(&admin), Refused(401, "token_other_realm"), "customers"),
        ("evil.example", "/assets/x", None, Refused(421, "unknown_host"), "no_site"),
    ] {
        let (mut h1, mut h2) = (Raw::get(path).host(host), H2Request::new("GET", host, path));
        if let Some(token) = token {
            (h1, h2) = (h1.bearer(token), h2.bearer(token));
        }
        world.ask_through(tunnel.addr(), host, &h1).await.is(expected).of_realm(realm);
        world.ask_through(tunnel.addr(), host, &h2).await.is(expected).of_realm(realm);
    }
    let handshakes = world.envoy.stats_matching("listener.127.0.0.1_0.ssl.handshake").await;
    assert!(handshakes.iter().any(|(_, count)| *count >= 14), "it was TLS: {handshakes:?}");
}
