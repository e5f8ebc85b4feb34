//! The shapes of Keycloak's claims, here and nowhere else. Facts: Keycloak's `AccessToken` and `IDToken`
//! representations, checked against 26.7.3.

use serde_json::Value;

use crate::jose::claims::{Claim, Claims, strings};

/// Payload `typ` of an access token; ID, refresh, offline, logout and `DPoP` tokens are signed with the
/// same key under the same issuer and differ here.
pub(crate) const ACCESS_TOKEN: &str = "Bearer";
/// Payload `typ` of an ID token.
pub(crate) const ID_TOKEN: &str = "ID";
/// Payload `typ` of a logout token.
pub(crate) const LOGOUT_TOKEN: &str = "Logout";
/// The event of a logout token (OpenID Connect Back-Channel Logout 1.0 section 2.4).
pub(crate) const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// `realm_access.roles`, in the token's order.
pub(crate) fn realm_roles(claims: &Claims) -> Claim<Vec<&str>> {
    match claims.object("realm_access") {
        Claim::Absent => Claim::Absent,
        Claim::Wrong => Claim::Wrong,
        Claim::Is(access) => roles(access.get("roles")),
    }
}

/// `resource_access.<client>.roles`, in the token's order. The client's id is one member name, dots and all.
pub(crate) fn client_roles<'c>(claims: &'c Claims, client: &str) -> Claim<Vec<&'c str>> {
    match claims.object("resource_access") {
        Claim::Absent => Claim::Absent,
        Claim::Wrong => Claim::Wrong,
        Claim::Is(access) => match access.get(client) {
            None => Claim::Absent,
            Some(Value::Object(access)) => roles(access.get("roles")),
            Some(_) => Claim::Wrong,
        },
    }
}

fn roles(value: Option<&Value>) -> Claim<Vec<&str>> {
    match value {
        None => Claim::Absent,
        Some(value) => strings(value).map_or(Claim::Wrong, Claim::Is),
    }
}

/// `groups`, as the Group Membership mapper writes it: full paths or bare names.
pub(crate) fn groups(claims: &Claims) -> Claim<Vec<&str>> {
    claims.strings("groups")
}

/// The words of `scope` (RFC 8693 section 4.2).
pub(crate) fn scopes(claims: &Claims) -> Claim<Vec<&str>> {
    match claims.string("scope") {
        Claim::Absent => Claim::Absent,
        Claim::Wrong => Claim::Wrong,
        Claim::Is(words) => Claim::Is(words.split(' ').filter(|word| !word.is_empty()).collect()),
    }
}

/// `acr`, unless it says that nobody authenticated: Keycloak writes `0` for a login by an old cookie.
pub(crate) fn acr(claims: &Claims) -> Option<&str> {
    match claims.string("acr") {
        Claim::Is(acr) if acr != NO_AUTHENTICATION => Some(acr),
        _ => None,
    }
}

/// The `acr` that proves nothing.
pub(crate) const NO_AUTHENTICATION: &str = "0";

/// `amr` (RFC 8176), which Keycloak sends only through its AMR mapper.
pub(crate) fn amr(claims: &Claims) -> Claim<Vec<&str>> {
    claims.strings("amr")
}

/// `auth_time`: when the user last authenticated, in seconds since 1970.
pub(crate) fn auth_time(claims: &Claims) -> Option<u64> {
    match claims.time("auth_time") {
        Claim::Is(time) => Some(time),
        Claim::Absent | Claim::Wrong => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::test;
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check_scope(scope: &str, expect: &[&str]) {
        assert_eq!(scopes(&Claims::of(json!({ "scope": scope }))), Claim::Is(expect.to_vec()), "{scope}");
    }

    #[test]
    fn spaces_and_nothing_else_part_scopes() {
        check_scope("openid profile", &["openid", "profile"]);
        check_scope("  openid   profile ", &["openid", "profile"]);
        check_scope("", &[]);
        check_scope(" ", &[]);
        check_scope("a,b\tc\u{a0}d\ne", &["a,b\tc\u{a0}d\ne"]);
        for wrong in [json!(["openid"]), json!(1), json!(null), json!({})] {
            assert_eq!(scopes(&Claims::of(json!({ "scope": wrong }))), Claim::Wrong, "{wrong}");
        }
        assert_eq!(scopes(&Claims::of(json!({}))), Claim::Absent);
    }

    #[test]
    fn roles_keep_their_order_and_their_place() {
        let claims = Claims::of(json!({
            "realm_access": { "roles": ["b", "a", "b"], "verify_caller": true },
            "resource_access": { "a.b": { "roles": ["x"] }, "empty": {}, "none": { "roles": [] } },
        }));
        assert_eq!(realm_roles(&claims), Claim::Is(vec!["b", "a", "b"]));
        assert_eq!(client_roles(&claims, "a.b"), Claim::Is(vec!["x"]));
        assert_eq!(client_roles(&claims, "none"), Claim::Is(vec![]));
        for client in ["empty", "a", "A.B", ""] {
            assert_eq!(client_roles(&claims, client), Claim::Absent, "{client}");
        }
    }

    #[test]
    fn an_acr_of_zero_counts_as_none() {
        for (value, expect) in [
            (json!("1"), Some("1")),
            (json!("00"), Some("00")),
            (json!("0"), None),
            (json!(1), None),
            (json!(null), None),
        ] {
            assert_eq!(acr(&Claims::of(json!({ "acr": value }))), expect, "{value}");
        }
        assert_eq!(acr(&Claims::of(json!({}))), None);
    }

    #[test]
    fn auth_time_is_a_whole_number() {
        for (value, expect) in
            [(json!(0), Some(0)), (json!(1.0), None), (json!("1"), None), (json!(-1), None)]
        {
            assert_eq!(auth_time(&Claims::of(json!({ "auth_time": value }))), expect, "{value}");
        }
        assert_eq!(auth_time(&Claims::of(json!({}))), None);
    }
}
