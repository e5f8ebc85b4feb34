//! The authorization endpoint and the end-session endpoint: where browsers go.

use reqwest::Url;
use uuid::Uuid;

use super::fault::Answer;
use super::lie::Lie;
use super::provider::{Grant, Parameters, Provider, Session, State};
use crate::token::part;

/// Signs the user in who is next, at once, and sends the browser back. What cannot be trusted to go back is told on a page, as Keycloak
/// does it.
pub(super) fn authorize(provider: &Provider, query: &Parameters) -> Answer {
    let issuer = provider.realm().issuer().to_owned();
    let state = &mut *provider.lock();
    state.authorizations.push(query.clone());
    let get = |name: &str| query.get(name).unwrap_or_default().to_owned();

    let Some(client) = state.clients.get(&get("client_id")) else {
        return Answer::page(400, "Client not found.");
    };
    let redirect_uri = get("redirect_uri");
    let Some(mut back) = Url::parse(&redirect_uri)
        .ok()
        .filter(|url| url.fragment().is_none() && client.may_return_to(&redirect_uri))
    else {
        return Answer::page(400, "Invalid parameter: redirect_uri");
    };
    let client = client.id.clone();
    let mut parameters = if let Some((error, description)) = problem(state, query) {
        vec![("error".to_owned(), error), ("error_description".to_owned(), description)]
    } else {
        let session = begin(state, query, client);
        let code = format!("{}.{}.{}", Uuid::new_v4(), session.sid, Uuid::new_v4());
        let nonce = query.get("nonce").map(str::to_owned);
        let (sid, code_challenge) = (session.sid.clone(), get("code_challenge"));
        state.codes.insert(code.clone(), Grant { sid, redirect_uri, code_challenge, nonce });
        let parameters = vec![("session_state".to_owned(), session.sid.clone()), ("code".to_owned(), code)];
        state.sessions.push(session);
        parameters
    };
    parameters.insert(0, ("state".to_owned(), get("state")));
    parameters.insert(1, ("iss".to_owned(), issuer));
    for lie in &state.lies {
        if let Lie::Callback(edit) = lie {
            edit(&mut parameters);
        }
    }
    back.query_pairs_mut().extend_pairs(&parameters);
    Answer::redirect(back.into())
}

/// Why nobody signs in: the request is wrong, or the user fails.
fn problem(state: &State, query: &Parameters) -> Option<(String, String)> {
    let invalid = |what: &str| Some(("invalid_request".to_owned(), what.to_owned()));
    let challenge = query.get("code_challenge").unwrap_or_default();
    if query.get("response_type") != Some("code") {
        return invalid("Missing parameter: response_type");
    }
    if !query.get("scope").unwrap_or_default().split(' ').any(|scope| scope == "openid") {
        return invalid("Missing scope: openid");
    }
    // The client is set to require PKCE with S256; 32 bytes are 43 characters of base64url.
    if query.get("code_challenge_method") != Some("S256") || challenge.len() != 43 {
        return invalid("Missing parameter: code_challenge_method");
    }
    let error = state.user.error.clone()?;
    Some((error, "User cancelled".to_owned()))
}

fn begin(state: &State, query: &Parameters, client: String) -> Session {
    let user = &state.user;
    let now = crate::now();
    let asked: Vec<&str> = query.get("acr_values").unwrap_or_default().split(' ').collect();
    let reached = asked.iter().find(|acr| user.reaches.iter().any(|reachable| reachable == *acr));
    let max_age: Option<u64> = query.get("max_age").and_then(|seconds| seconds.parse().ok());
    let ordinary = user.auth_time.unwrap_or(now);
    let too_old = max_age.is_some_and(|seconds| now.saturating_sub(ordinary) > seconds);
    let anew = too_old || reached.is_some() || query.get("prompt") == Some("login");
    let mut amr = user.amr.clone();
    if reached.is_some() && !amr.iter().any(|method| method == "otp") {
        amr.push("otp".to_owned());
    }
    Session {
        sid: Uuid::new_v4().to_string(),
        sub: user.sub.clone(),
        client,
        acr: reached.map_or_else(|| user.acr.clone(), |acr| (*acr).to_owned()),
        amr,
        auth_time: if anew { now } else { ordinary },
        scope: "openid profile email".to_owned(),
        claims: user.claims.clone(),
        ended: false,
    }
}

/// Ends the session of the ID token that the browser brings, and sends it where it wants to go.
pub(super) fn end_session(provider: &Provider, query: &Parameters) -> Answer {
    let state = &mut *provider.lock();
    state.logouts.push(query.clone());
    let hint = query.get("id_token_hint").filter(|token| token.split('.').count() == 3);
    let Some(hint) = hint else { return Answer::page(400, "Missing parameters: id_token_hint") };
    let claims: serde_json::Value = serde_json::from_slice(&part(hint, 1)).unwrap_or_default();
    state
        .sessions
        .iter_mut()
        .filter(|session| claims["sid"] == *session.sid)
        .for_each(|session| session.ended = true);
    let Some(uri) = query.get("post_logout_redirect_uri") else {
        return Answer::page(200, "You are logged out");
    };
    let Ok(mut back) = Url::parse(uri) else { return Answer::page(400, "Invalid redirect uri") };
    if let Some(state) = query.get("state") {
        back.query_pairs_mut().append_pair("state", state);
    }
    Answer::redirect(back.into())
}
