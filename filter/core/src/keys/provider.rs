//! What a realm's discovery document says (OpenID Connect Discovery 1.0 section 4), as far as it matters here.

use http::Uri;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::KeyError;
use crate::json;

/// Where the endpoints of a realm are. Keycloak names its public host in all of them: the browser goes there, and
/// our own calls go through the realm's cluster, so that of theirs only the paths count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Provider {
    pub(crate) jwks_path: String,
    /// Absolute: the browser goes there.
    pub(crate) authorization_endpoint: String,
    pub(crate) token_path: String,
    /// Absolute; `None`: there is no logout at Keycloak.
    pub(crate) end_session_endpoint: Option<String>,
    /// Whether every callback names its issuer (RFC 9207 section 3).
    pub(crate) iss_in_callback: bool,
}

impl Provider {
    /// Reads the document. A realm whose document names no endpoints for a login still has keys.
    ///
    /// # Errors
    /// No discovery document, one of another issuer, or one without an http(s) `jwks_uri`.
    pub(super) fn parse(document: &[u8], issuer: &str) -> Result<Self, KeyError> {
        let document = json::parse(document).map_err(|_| KeyError::Discovery)?;
        let member = |name: &str| document.get(name).and_then(Value::as_str);
        if member("issuer").ok_or(KeyError::Discovery)? != issuer {
            return Err(KeyError::Issuer);
        }
        let uri = |name: &str| member(name).and_then(|text| Some((text.to_owned(), path(text)?)));
        // Nobody is sent from a realm behind HTTPS to a sign-in page without.
        let public = |name: &str| {
            let (text, _) = uri(name)?;
            (text.starts_with("https://") || issuer.starts_with("http://")).then_some(text)
        };
        let iss_in_callback = document.get("authorization_response_iss_parameter_supported");
        Ok(Self {
            jwks_path: uri("jwks_uri").ok_or(KeyError::Discovery)?.1,
            authorization_endpoint: public("authorization_endpoint").unwrap_or_default(),
            token_path: uri("token_endpoint").map(|(_, path)| path).unwrap_or_default(),
            end_session_endpoint: public("end_session_endpoint"),
            iss_in_callback: iss_in_callback == Some(&Value::Bool(true)),
        })
    }

    /// Where Keycloak has its endpoints, for a realm whose `jwks_path` is configured in place of discovery.
    pub(super) fn conventional(issuer: &str, jwks_path: String) -> Self {
        let endpoint = |name: &str| format!("{issuer}/protocol/openid-connect/{name}");
        Self {
            jwks_path,
            authorization_endpoint: endpoint("auth"),
            token_path: path(&endpoint("token")).unwrap_or_default(),
            end_session_endpoint: Some(endpoint("logout")),
            iss_in_callback: false,
        }
    }

    /// Whether browsers can sign in here.
    pub(crate) const fn has_login(&self) -> bool {
        !self.authorization_endpoint.is_empty() && !self.token_path.is_empty()
    }
}

/// Path and query of an http(s) URL of visible ASCII.
fn path(uri: &str) -> Option<String> {
    let uri: Uri = uri.parse().ok()?;
    match (uri.scheme_str(), uri.path_and_query()) {
        (Some("http" | "https"), Some(path)) => Some(path.as_str().to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::test;

    const ISSUER: &str = "https://a/realms/r";

    #[track_caller]
    fn check(document: &str, expect: Result<&str, KeyError>) {
        let got = Provider::parse(document.as_bytes(), ISSUER).map(|provider| provider.jwks_path);
        assert_eq!(got, expect.map(str::to_owned), "{document}");
    }

    #[test]
    fn only_the_issuers_own_document_counts() {
        check(r#"{"issuer":"https://a/realms/r","jwks_uri":"https://b:1/x/certs?y"}"#, Ok("/x/certs?y"));
        check(r#"{"issuer":"https://a/realms/r","jwks_uri":"http://b"}"#, Ok("/"));
        check(r#"{"issuer":"https://a/realms/r/","jwks_uri":"https://b/c"}"#, Err(KeyError::Issuer));
        for broken in [
            "",
            "<html>",
            "[]",
            "{}",
            r#"{"issuer":1,"jwks_uri":"https://b/c"}"#,
            r#"{"issuer":"https://a/realms/r"}"#,
            r#"{"issuer":"https://a/realms/r","jwks_uri":"/c"}"#,
            r#"{"issuer":"https://a/realms/r","jwks_uri":"file:///etc/passwd"}"#,
            r#"{"issuer":"https://a/realms/r","issuer":"https://a/realms/r","jwks_uri":"https://b/c"}"#,
        ] {
            check(broken, Err(KeyError::Discovery));
        }
    }

    /// A document with these further members.
    fn parse(members: &str) -> Provider {
        let document = format!(r#"{{"issuer":"{ISSUER}","jwks_uri":"https://b/c",{members}}}"#);
        Provider::parse(document.as_bytes(), ISSUER).unwrap()
    }

    #[test]
    fn the_browser_goes_to_the_public_host_and_calls_to_the_path() {
        let provider = parse(
            r#""authorization_endpoint":"https://a/auth?x=y","token_endpoint":"https://a/token",
               "end_session_endpoint":"https://a/end","authorization_response_iss_parameter_supported":true"#,
        );
        assert_eq!(provider.authorization_endpoint, "https://a/auth?x=y");
        assert_eq!(provider.token_path, "/token");
        assert_eq!(provider.end_session_endpoint.as_deref(), Some("https://a/end"));
        assert!(provider.iss_in_callback && provider.has_login());
    }

    #[test]
    fn a_realm_without_usable_endpoints_has_keys_and_no_login() {
        for members in [
            r#""x":1"#,
            r#""authorization_endpoint":"http://a/auth","token_endpoint":"https://a/token""#,
            r#""authorization_endpoint":"javascript:alert(1)","token_endpoint":"https://a/token""#,
            r#""authorization_endpoint":"https://a/auth","token_endpoint":7"#,
        ] {
            let provider = parse(members);
            assert!(!provider.has_login() && provider.jwks_path == "/c", "{members}");
        }
        assert!(!parse(r#""authorization_response_iss_parameter_supported":"true""#).iss_in_callback);
    }

    #[test]
    fn without_discovery_the_endpoints_are_keycloaks() {
        let provider = Provider::conventional(ISSUER, "/certs".to_owned());
        assert_eq!(provider.authorization_endpoint, "https://a/realms/r/protocol/openid-connect/auth");
        assert_eq!(provider.token_path, "/realms/r/protocol/openid-connect/token");
        assert!(provider.has_login());
    }
}
