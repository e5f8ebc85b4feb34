//! TLS with a certificate authority of the test's own: who listens shows a certificate, and the clients here trust no other authority.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, PublicKeyData as _};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A certificate and its private key, as Envoy reads them.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate chain in PEM.
    pub certificate: String,
    /// The private key in PEM.
    pub private_key: String,
}

/// The protocols that a client offers (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// HTTP/1.1 and nothing else.
    Http1,
    /// HTTP/2, and HTTP/1.1 where the server has no better: what a browser offers.
    Http2,
}

/// The authority of this process.
struct Authority {
    issuer: rcgen::Issuer<'static, KeyPair>,
    certificate: String,
    roots: RootCertStore,
}

/// A certificate for these hosts (`*.` included) from the authority that the clients here trust.
///
/// # Panics
/// When a host is no name that a certificate can bear.
pub fn identity(hosts: &[&str]) -> Identity {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let key = KeyPair::generate().expect("the system generates a key");
    let params = CertificateParams::new(hosts).expect("hosts that a certificate can bear");
    let certificate = params.signed_by(&key, &authority().issuer).expect("the authority signs");
    let chain = certificate.pem() + &authority().certificate;
    Identity { certificate: chain, private_key: key.serialize_pem() }
}

/// The SHA-256 of the authority's public key in base64 (RFC 7469 section 2.4). The authority is in every chain, so that a browser which
/// trusts this key trusts whoever listens here.
pub fn authority_pin() -> String {
    STANDARD.encode(Sha256::digest(authority().issuer.key().subject_public_key_info()))
}

/// The certificate of the authority in PEM, for others who are to trust it.
pub fn authority_certificate() -> &'static str {
    &authority().certificate
}

/// Connects to `addr` as to the server of `host`, whose certificate has to say so.
pub async fn connect(addr: SocketAddr, host: &str, alpn: Alpn) -> io::Result<TlsStream<TcpStream>> {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    let mut config = config.with_root_certificates(authority().roots.clone()).with_no_client_auth();
    config.alpn_protocols = match alpn {
        Alpn::Http1 => vec![b"http/1.1".to_vec()],
        Alpn::Http2 => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// Whether the server chose HTTP/2.
pub(crate) fn is_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}

fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let key = KeyPair::generate().expect("the system generates a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no host is fine");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("the authority signs itself");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).expect("a certificate just made is well formed");
        Authority { issuer: rcgen::Issuer::new(params, key), certificate: certificate.pem(), roots }
    })
}
