//! The discovery document (OpenID Connect Discovery 1.0 section 4), of which two members matter.

use http::Uri;
use serde_json::Value;

use crate::error::KeyError;
use crate::json;

/// Reads where the JWK Set is: the path (and query) of `jwks_uri`. Its host is not used, since every call
/// to a realm goes through the realm's cluster; Keycloak names its public host there, whatever the cluster
/// reaches it by.
///
/// # Errors
/// No discovery document, one of another issuer, or one without an http(s) `jwks_uri`.
pub(super) fn jwks_path(document: &[u8], issuer: &str) -> Result<String, KeyError> {
    let document = json::parse(document).map_err(|_| KeyError::Discovery)?;
    let member = |name: &str| document.get(name).and_then(Value::as_str);
    if member("issuer").ok_or(KeyError::Discovery)? != issuer {
        return Err(KeyError::Issuer);
    }
    let uri: Uri = member("jwks_uri").and_then(|uri| uri.parse().ok()).ok_or(KeyError::Discovery)?;
    match (uri.scheme_str(), uri.path_and_query()) {
        (Some("http" | "https"), Some(path)) => Ok(path.as_str().to_owned()),
        _ => Err(KeyError::Discovery),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::test;

    #[track_caller]
    fn check(document: &str, expect: Result<&str, KeyError>) {
        let got = jwks_path(document.as_bytes(), "https://a/realms/r");
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
}
