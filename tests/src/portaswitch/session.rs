//! PortaBilling's `Session` service: sessions by password, and the tokens that it issues itself, without `iss` and without `kid`.

use std::collections::BTreeMap;

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::call::Call;
use super::{Fault, Outcome, Portal, USERS, User};
use crate::key::{Key, encode};

/// Seconds for which an access token is good.
const LIFETIME: u64 = 172_800;
/// How many wrong passwords a login survives.
const GUESSES: u32 = 5;

pub(super) const NOT_SIGNED_IN: Fault =
    Fault { code: "Server.Session.check_auth.auth_failed", text: "You are not signed in" };
const AUTH_FAILED: Fault =
    Fault { code: "Server.Session.auth_failed", text: "The login or the password is not correct" };
const BRUTE_FORCE: Fault = Fault {
    code: "Server.Session.cannot_login_brute_force_activity",
    text: "Too many wrong passwords: this login is locked",
};
const MUST_CHANGE: Fault = Fault {
    code: "Server.Session.alert_You_must_change_password",
    text: "You must change your password before you go on",
};
const NO_TOKEN: Fault = Fault {
    code: "Client.Session.ping.failed_to_process_access_token",
    text: "The access token is not good",
};
const NO_METHOD: Fault = Fault { code: "Client.Session.no_such_method", text: "There is no such method" };

/// Everybody's passwords, and who is signed in.
pub(super) struct Sessions {
    key: Key,
    passwords: BTreeMap<&'static str, String>,
    expired: Vec<&'static str>,
    wrong: BTreeMap<&'static str, u32>,
    open: Vec<Session>,
}

struct Session {
    login: String,
    portal: Portal,
    id: String,
    access: String,
    refresh: String,
}

impl Sessions {
    pub(super) fn new() -> Self {
        Self {
            key: Key::generate(Algorithm::RS256),
            passwords: USERS.iter().map(|user| (user.login, user.password.to_owned())).collect(),
            expired: USERS.iter().filter(|user| user.expired).map(|user| user.login).collect(),
            wrong: BTreeMap::new(),
            open: Vec::new(),
        }
    }

    pub(super) fn call(&mut self, portal: Portal, method: &str, call: &Call) -> Result<Outcome, Fault> {
        match method {
            "login" => self.login(portal, call),
            "ping" => self.ping(call),
            "logout" => self.logout(call),
            "refresh_access_token" => self.refresh(call),
            "change_password" => self.change_password(portal, call),
            "login_to_realm" => self.login_to_realm(portal, call),
            _ => Err(NO_METHOD),
        }
    }

    /// Whose session comes with a call: by token or session id, in whichever place.
    pub(super) fn who(&self, portal: Portal, call: &Call) -> Option<&str> {
        let access =
            [call.auth_info["access_token"].as_str(), call.bearer.as_deref(), call.cookie("access_token")];
        let id = [call.auth_info["session_id"].as_str(), call.cookie("session_id")];
        let mut here = self.open.iter().filter(|session| session.portal == portal);
        let session = here.find(|session| {
            access.into_iter().flatten().any(|access| access == session.access)
                || id.into_iter().flatten().any(|id| id == session.id)
        });
        session.map(|session| session.login.as_str())
    }

    fn login(&mut self, portal: Portal, call: &Call) -> Result<Outcome, Fault> {
        let user = self.authenticate(portal, call)?;
        if self.expired.contains(&user.login) {
            return Err(MUST_CHANGE);
        }
        let claims = json!({"i_user": user_id(user.login), "login": user.login, "realm": realm(portal), "is_super_user": 0});
        Ok(self.open(user.login, portal, claims))
    }

    fn ping(&self, call: &Call) -> Result<Outcome, Fault> {
        let session = self.by_access_token(call).ok_or(NO_TOKEN)?;
        Ok(Outcome::of(json!({"user_id": user_id(&session.login)})))
    }

    fn logout(&mut self, call: &Call) -> Result<Outcome, Fault> {
        let id = self.by_access_token(call).ok_or(NO_TOKEN)?.id.clone();
        self.open.retain(|session| session.id != id);
        let gone = ["access_token", "session_id"].map(|name| cookie(name, "", 0));
        Ok(Outcome { result: json!({"success": 1}), cookies: gone.to_vec() })
    }

    fn refresh(&mut self, call: &Call) -> Result<Outcome, Fault> {
        let refresh = call.param("refresh_token").ok_or(NO_TOKEN)?;
        let at = self.open.iter().position(|session| session.refresh == refresh).ok_or(NO_TOKEN)?;
        let Session { login, portal, id, .. } = &self.open[at];
        let claims = json!({"i_user": user_id(login), "login": login, "realm": realm(*portal), "jti": id});
        let access = self.token(claims);
        self.open[at].access.clone_from(&access);
        let result = json!({"access_token": access, "refresh_token": refresh, "expires_at": expires_at()});
        Ok(Outcome { result, cookies: vec![cookie("access_token", &access, LIFETIME)] })
    }

    fn change_password(&mut self, portal: Portal, call: &Call) -> Result<Outcome, Fault> {
        let user = self.authenticate(portal, call)?;
        let fresh = call.param("new_password").ok_or(AUTH_FAILED)?;
        self.passwords.insert(user.login, fresh.to_owned());
        self.expired.retain(|login| *login != user.login);
        Ok(Outcome::of(json!({"success": 1})))
    }

    /// An administrator takes a session of an account. Such a token says nothing of the account.
    fn login_to_realm(&mut self, portal: Portal, call: &Call) -> Result<Outcome, Fault> {
        if portal != Portal::Admin || self.who(portal, call).is_none() {
            return Err(NOT_SIGNED_IN);
        }
        let login = call.param("login").ok_or(AUTH_FAILED)?;
        Ok(self.open(login, Portal::SelfCare, json!({"realm": "account"})))
    }

    fn authenticate(&mut self, portal: Portal, call: &Call) -> Result<&'static User, Fault> {
        let login = call.param("login").ok_or(AUTH_FAILED)?;
        let user =
            USERS.iter().find(|user| user.login == login && user.portal == portal).ok_or(AUTH_FAILED)?;
        let wrong = self.wrong.entry(user.login).or_default();
        if *wrong >= GUESSES {
            return Err(BRUTE_FORCE);
        }
        if call.param("password") != self.passwords.get(user.login).map(String::as_str) {
            *wrong += 1;
            return Err(AUTH_FAILED);
        }
        *wrong = 0;
        Ok(user)
    }

    fn open(&mut self, login: &str, portal: Portal, mut claims: Value) -> Outcome {
        let [id, refresh] = [(); 2].map(|()| Uuid::new_v4().simple().to_string());
        claims["jti"] = id.as_str().into();
        let access = self.token(claims);
        let result = json!({
            "access_token": access, "refresh_token": refresh, "session_id": id, "expires_at": expires_at(),
        });
        let cookies = vec![cookie("access_token", &access, LIFETIME), cookie("session_id", &id, LIFETIME)];
        self.open.push(Session { login: login.to_owned(), portal, id, access, refresh });
        Outcome { result, cookies }
    }

    fn token(&self, mut claims: Value) -> String {
        let now = crate::now();
        claims["iat"] = now.into();
        claims["exp"] = (now + LIFETIME).into();
        claims["i_env"] = 1.into();
        claims["aud"] = json!(["portabilling-api", "portasip-api", "espf-api"]);
        let header = json!({"typ": "JWT", "alg": "RS256"});
        let input = [header, claims].map(|part| encode(part.to_string().as_bytes())).join(".");
        let signature = self.key.sign(Algorithm::RS256, input.as_bytes());
        format!("{input}.{}", encode(&signature))
    }

    fn by_access_token(&self, call: &Call) -> Option<&Session> {
        let access = call.param("access_token")?;
        self.open.iter().find(|session| session.access == access)
    }
}

/// What PortaBilling counts users by.
fn user_id(login: &str) -> usize {
    USERS.iter().position(|user| user.login == login).map_or(100, |at| at + 1)
}

fn realm(portal: Portal) -> &'static str {
    match portal {
        Portal::Admin => "admin",
        Portal::SelfCare => "customer",
    }
}

fn cookie(name: &str, value: &str, lifetime: u64) -> String {
    format!("{name}={value}; Path=/; Max-Age={lifetime}; Secure; HttpOnly; SameSite=Lax")
}

/// When an access token of now ends, in UTC, as PortaBilling writes times.
fn expires_at() -> String {
    let end = i64::try_from(crate::now() + LIFETIME)
        .ok()
        .and_then(|end| OffsetDateTime::from_unix_timestamp(end).ok());
    let end = end.expect("a time of this century");
    let (date, time) = (end.date(), end.time());
    format!(
        "{}-{:02}-{:02} {:02}:{:02}:{:02}",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}
