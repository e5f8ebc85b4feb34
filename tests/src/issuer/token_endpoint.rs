//! The token endpoint: a code or a refresh token for tokens.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use http::request::Parts;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};
use uuid::Uuid;

use super::fault::Answer;
use super::lie::Lie;
use super::provider::{Authentication, Client, Parameters, Provider, Session, State, TokenRequest};
use crate::key::encode;
use crate::token::{TokenBuilder, part};

/// What refresh tokens are signed with; only Keycloak itself reads them.
const SECRET: &[u8] = b"nobody but the realm knows this";

/// Status, error and description, as Keycloak words them.
type Refusal = (u16, &'static str, &'static str);

/// What a request gets if it is good: tokens of this session, with this nonce in the ID token.
type Granted = (Session, Option<String>);

/// Answers a request, and remembers it.
pub(super) fn answer(provider: &Provider, head: &Parts, body: &[u8]) -> Answer {
    let parameters = Parameters::parse(body);
    let authorization = head.headers.get("authorization").and_then(|value| value.to_str().ok());
    let authorization = authorization.map(str::to_owned);
    let is_form = head
        .headers
        .get("content-type")
        .is_some_and(|value| value.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    let granted = if head.method == http::Method::POST && is_form {
        grant(&mut provider.lock(), provider.realm().issuer(), &parameters, authorization.as_deref())
    } else {
        Err((405, "invalid_request", "HTTP 405 Method Not Allowed"))
    };
    let (status, document) = match granted {
        Ok(granted) => (200, tokens(provider, granted)),
        Err((status, error, description)) => {
            (status, json!({"error": error, "error_description": description}))
        }
    };
    provider.lock().token_requests.push(TokenRequest { parameters, authorization, status });
    Answer::json(status, &document)
}

fn grant(
    state: &mut State,
    issuer: &str,
    form: &Parameters,
    authorization: Option<&str>,
) -> Result<Granted, Refusal> {
    let client = authenticate(state, issuer, form, authorization)?;
    match form.get("grant_type") {
        Some("authorization_code") => redeem(state, form, &client),
        Some("refresh_token") => refresh(state, form, &client),
        _ => Err((400, "unsupported_grant_type", "Unsupported grant_type")),
    }
}

/// The client, if it shows that it is itself in the one way that it is registered with.
fn authenticate(
    state: &mut State,
    issuer: &str,
    form: &Parameters,
    authorization: Option<&str>,
) -> Result<Client, Refusal> {
    let refusal = (401, "unauthorized_client", "Invalid client or Invalid client credentials");
    let basic = match authorization {
        Some(value) => Some(read_basic(value).ok_or(refusal)?),
        None => None,
    };
    let (post_id, post_secret) = (form.get("client_id"), form.get("client_secret"));
    let id = basic.as_ref().map(|(id, _)| id.as_str()).or(post_id).ok_or(refusal)?;
    let client = state.clients.get(id).ok_or(refusal)?.clone();
    let asserted = form.get("client_assertion");
    if let (Authentication::PrivateKeyJwt, Some(asserted)) = (client.authentication, asserted) {
        let is_jwt = form.get("client_assertion_type")
            == Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        let jti = assertion(&client, issuer, asserted)
            .filter(|_| is_jwt && basic.is_none() && post_secret.is_none());
        let unused = jti.is_some_and(|jti| state.assertions.insert(jti));
        return if unused { Ok(client) } else { Err(refusal) };
    }
    // A client that shows two secrets has misunderstood something (RFC 6749 section 2.3).
    let shown = match client.authentication {
        Authentication::Basic => basic.map(|(_, secret)| secret).filter(|_| post_secret.is_none()),
        Authentication::Post => post_secret.map(str::to_owned).filter(|_| basic.is_none()),
        Authentication::None if basic.is_none() && post_secret.is_none() && asserted.is_none() => {
            return Ok(client);
        }
        Authentication::None | Authentication::PrivateKeyJwt => None,
    };
    if shown.is_some() && shown == client.secret { Ok(client) } else { Err(refusal) }
}

/// `jti` of a client's assertion (RFC 7523 section 3), as strict as FAPI 2.0 has it: the issuer is the one audience.
fn assertion(client: &Client, issuer: &str, asserted: &str) -> Option<String> {
    let key = client.key.as_ref()?;
    let jwk = serde_json::from_value(key.jwk()).expect("a key renders as a JWK");
    let mut validation = Validation::new(key.alg());
    validation.leeway = 0;
    validation.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
    validation.set_issuer(&[&client.id]);
    validation.set_audience(&[issuer]);
    validation.sub = Some(client.id.clone());
    let decoding = DecodingKey::from_jwk(&jwk).expect("a JWK of our own");
    let token = jsonwebtoken::decode::<Value>(asserted, &decoding, &validation).ok()?;
    let (exp, iat) = (token.claims["exp"].as_u64()?, token.claims["iat"].as_u64()?);
    let short = iat <= crate::now() && exp <= iat + 60;
    let named = token.header.kid.is_none_or(|kid| kid == key.kid());
    let jti = token.claims["jti"].as_str().filter(|jti| jti.len() >= 20)?;
    (short && named && token.claims["aud"] == issuer).then(|| jti.to_owned())
}

/// Name and secret, each form-encoded before they were joined (RFC 6749 section 2.3.1).
fn read_basic(authorization: &str) -> Option<(String, String)> {
    let bytes = STANDARD.decode(authorization.strip_prefix("Basic ")?).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decode = |text: &str| Parameters::parse(format!("x={text}").as_bytes()).get("x").map(str::to_owned);
    Some((decode(id)?, decode(secret)?))
}

fn redeem(state: &mut State, form: &Parameters, client: &Client) -> Result<Granted, Refusal> {
    let code = form.get("code").unwrap_or_default();
    // A code is worth one try, whatever becomes of it.
    let grant = state.codes.remove(code).ok_or((400, "invalid_grant", "Code not valid"))?;
    let session = active(state, &grant.sid)?;
    if session.client != client.id {
        return Err((400, "invalid_grant", "Auth error"));
    }
    if form.get("redirect_uri") != Some(&grant.redirect_uri) {
        return Err((400, "invalid_grant", "Incorrect redirect_uri"));
    }
    let verifier = form.get("code_verifier").unwrap_or_default();
    // RFC 7636 section 4.1: 43 to 128 characters.
    if !(43..=128).contains(&verifier.len()) || encode(&Sha256::digest(verifier)) != grant.code_challenge {
        return Err((400, "invalid_grant", "PKCE verification failed: Code mismatch"));
    }
    Ok((session, grant.nonce))
}

fn refresh(state: &mut State, form: &Parameters, client: &Client) -> Result<Granted, Refusal> {
    let token = form.get("refresh_token").filter(|token| token.split('.').count() == 3);
    let claims: Value = token
        .map(|token| part(token, 1))
        .map(|payload| serde_json::from_slice(&payload))
        .and_then(Result::ok)
        .unwrap_or_default();
    let jti = claims["jti"].as_str().unwrap_or_default();
    let known = state.refresh_tokens.get(jti).cloned().filter(|_| token.is_some_and(is_ours));
    let (sid, fresh) = known.ok_or((400, "invalid_grant", "Invalid refresh token"))?;
    let session = active(state, &sid)?;
    if session.client != client.id {
        return Err((
            400,
            "invalid_grant",
            "Invalid refresh token. Token client and authorized client don't match",
        ));
    }
    if state.rotates {
        if !fresh {
            // Somebody has stolen a token, so nobody keeps the session.
            state
                .sessions
                .iter_mut()
                .filter(|session| session.sid == sid)
                .for_each(|session| session.ended = true);
            return Err((400, "invalid_grant", "Maximum allowed refresh token reuse exceeded"));
        }
        state.refresh_tokens.insert(jti.to_owned(), (sid, false));
    }
    // OpenID Connect Core section 12.2: a refreshed ID token needs no nonce, and Keycloak's has none.
    Ok((session, None))
}

fn active(state: &State, sid: &str) -> Result<Session, Refusal> {
    let session = state.sessions.iter().find(|session| session.sid == sid && !session.ended);
    session.cloned().ok_or((400, "invalid_grant", "Session not active"))
}

/// The answer, with every lie that is being told.
fn tokens(provider: &Provider, (session, nonce): Granted) -> Value {
    let realm = provider.realm();
    let (lifetime, lies) = {
        let state = provider.lock();
        (state.lifetime, state.lies.clone())
    };
    let access_token = access_token(provider, &session, lifetime);
    let access_token = lies
        .iter()
        .find_map(|lie| match lie {
            Lie::AccessToken(sign) => Some(sign(access_token.clone())),
            _ => None,
        })
        .unwrap_or_else(|| access_token.sign());
    let at_hash = encode(&Sha256::digest(&access_token)[..16]);
    let mut id_token =
        realm.token().only_claims(id_claims(provider, &session, lifetime)).claim("at_hash", at_hash);
    if let Some(nonce) = nonce {
        id_token = id_token.claim("nonce", nonce);
    }
    let id_token = lies
        .iter()
        .find_map(|lie| match lie {
            Lie::IdToken(sign) => Some(sign(id_token.clone())),
            _ => None,
        })
        .unwrap_or_else(|| id_token.sign());
    let mut answer = json!({
        "access_token": access_token,
        "expires_in": lifetime,
        "refresh_expires_in": 1800,
        "refresh_token": refresh_token(provider, &session),
        "token_type": "Bearer",
        "id_token": id_token,
        "not-before-policy": 0,
        "session_state": session.sid,
        "scope": session.scope,
    });
    for lie in lies {
        if let Lie::Answer(edit) = lie {
            edit(&mut answer);
        }
    }
    answer
}

fn access_token(provider: &Provider, session: &Session, lifetime: u64) -> TokenBuilder {
    let now = crate::now();
    let token = provider.realm().token().claims(session.claims.clone()).claims(json!({
        "exp": now + lifetime,
        "iat": now,
        "auth_time": session.auth_time,
        "sub": session.sub,
        "azp": session.client,
        "sid": session.sid,
        "acr": session.acr,
        "scope": session.scope,
    }));
    if session.amr.is_empty() { token } else { token.claim("amr", session.amr.clone()) }
}

fn id_claims(provider: &Provider, session: &Session, lifetime: u64) -> Value {
    let now = crate::now();
    let mut claims = json!({
        "exp": now + lifetime,
        "iat": now,
        "auth_time": session.auth_time,
        "jti": Uuid::new_v4().to_string(),
        "iss": provider.realm().issuer(),
        "aud": session.client,
        "sub": session.sub,
        "typ": "ID",
        "azp": session.client,
        "sid": session.sid,
        "acr": session.acr,
        "email_verified": true,
    });
    let defaults = provider.realm().defaults();
    for name in ["preferred_username", "email"] {
        if let Some(value) = session.claims.get(name).or_else(|| defaults.get(name)) {
            claims[name] = value.clone();
        }
    }
    claims
}

/// HS512 with a key of its own, as Keycloak's.
fn refresh_token(provider: &Provider, session: &Session) -> String {
    let (now, jti) = (crate::now(), Uuid::new_v4().to_string());
    let header = json!({"alg": "HS512", "typ": "JWT", "kid": Uuid::nil().to_string()});
    let issuer = provider.realm().issuer();
    let claims = json!({
        "exp": now + 1800,
        "iat": now,
        "jti": jti,
        "iss": issuer,
        "aud": issuer,
        "sub": session.sub,
        "typ": "Refresh",
        "azp": session.client,
        "sid": session.sid,
        "scope": session.scope,
    });
    provider.lock().refresh_tokens.insert(jti, (session.sid.clone(), true));
    let input =
        format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    let signature = encode(&mac(&input));
    format!("{input}.{signature}")
}

fn is_ours(token: &str) -> bool {
    let (input, signature) = token.rsplit_once('.').unwrap_or_default();
    encode(&mac(input)) == signature
}

fn mac(input: &str) -> Vec<u8> {
    let mut mac = <Hmac<Sha512>>::new_from_slice(SECRET).expect("HMAC takes a secret of any length");
    mac.update(input.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
