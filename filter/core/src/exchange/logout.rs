//! Logouts: by the user (OpenID Connect RP-Initiated Logout 1.0), and by Keycloak over the back channel.

use std::sync::Arc;

use crate::error::{LogoutTokenError, TokenError};
use crate::fetch_metadata::Errand;
use crate::jose::jws::Jws;
use crate::oidc::logout_token::{self, LogoutToken};
use crate::oidc::{loops, origin};
use crate::reply::{Denial, LocalReply};
use crate::request::{Header, Request, values};
use crate::revoked;
use crate::session::Session;

use super::outcome::answer;
use super::token::{self, Verification};
use super::{Input, Knowledge, Need, Stage, Step, Visit};

/// The longest body of a back-channel logout.
const MAX_BODY_BYTES: usize = 65_536;
/// An ID token beyond this is no hint in a URL.
const MAX_HINT_BYTES: usize = 6_000;
/// Tries to swap the record against other workers.
const TRIES: u32 = 16;

/// A logout by the user.
#[derive(Debug)]
pub(super) struct Logout {
    sid: String,
    subject: String,
    location: String,
    set_cookies: Vec<String>,
    tries: u32,
}

/// A logout by Keycloak.
#[derive(Debug)]
pub(super) struct BackChannel {
    /// The logout token, once the body has come.
    text: Option<String>,
    accepted: Option<LogoutToken>,
    tries: u32,
    /// The record that is being put in place.
    put: Option<Vec<u8>>,
}

/// `<prefix>/logout`: only the site's own pages and the user may end a session.
pub(super) fn start(
    knowledge: &mut Knowledge<'_>,
    visit: Visit,
    request: &Request<'_>,
    headers: &[Header],
) -> Step {
    let realm = Arc::clone(&visit.site.realm);
    let Some((browser, login)) = visit.login() else { return visit.refuse(None, Denial::NoSuchPath) };
    let session = Session::find((&realm, login), browser, knowledge.opened, knowledge.env.now);
    if request.method == "POST" {
        if let Err(denial) = origin::expect_own(headers, &browser.origin, &visit.site.allowed_origins) {
            return visit.refuse(None, denial);
        }
    } else {
        match browser.fetch_site.as_deref() {
            Some("same-origin" | "none") if browser.errand == Errand::Navigation => {}
            Some(_) => return visit.refuse(None, Denial::CrossSite),
            // A browser that does not say where the link was: the user is asked.
            None if session.is_some() => return visit.ask_whether_to_sign_out(),
            None => {}
        }
    }
    let own_url = format!("{}{}", browser.origin.as_str(), login.post_logout);
    let end_session = knowledge
        .keys
        .provider(realm.id, knowledge.env.monotonic)
        .ok()
        .and_then(|provider| provider.end_session_endpoint.as_deref());
    let location = match (&session, end_session) {
        (Some(session), Some(endpoint)) => {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.append_pair("client_id", &login.client_id);
            query.append_pair("post_logout_redirect_uri", &own_url);
            if let Some(hint) = session.id_token.as_ref().filter(|hint| hint.len() <= MAX_HINT_BYTES) {
                query.append_pair("id_token_hint", hint);
            }
            let separator = if endpoint.contains('?') { '&' } else { '?' };
            format!("{endpoint}{separator}{}", query.finish())
        }
        _ => login.post_logout.clone(),
    };
    let mut set_cookies = Session::delete(browser);
    set_cookies.extend(loops::ended(browser));
    let (sid, subject) = session.map(|session| (session.sid, session.subject)).unzip();
    let logout = Logout {
        sid: sid.flatten().unwrap_or_default(),
        subject: subject.unwrap_or_default(),
        location,
        set_cookies,
        tries: 0,
    };
    // A copy of the cookies must not outlive the session.
    if logout.sid.is_empty() { logout.done(visit) } else { logout.share(visit) }
}

impl Logout {
    pub(super) fn resume(mut self, knowledge: &mut Knowledge<'_>, visit: Visit, input: Input) -> Step {
        let realm = Arc::clone(&visit.site.realm);
        match (&realm.login, input) {
            (Some(login), Input::Shared(bytes, version)) => {
                let (shared, now) = (bytes.unwrap_or_default(), knowledge.env.now);
                let bytes = revoked::end((&realm, login), &self.sid, &shared, now);
                knowledge.revoked.observe(realm.id, &bytes, None, now);
                let name = revoked::record_name(&realm);
                let stage = Stage::Logout(Box::new(self));
                visit.wait(stage, Need::Swap { name, version, bytes })
            }
            (_, Input::Swapped(false)) if self.tries < TRIES => {
                self.tries += 1;
                self.share(visit)
            }
            _ => self.done(visit),
        }
    }

    fn share(self, visit: Visit) -> Step {
        let need = Need::Shared(revoked::record_name(&visit.site.realm));
        visit.wait(Stage::Logout(Box::new(self)), need)
    }

    fn done(self, visit: Visit) -> Step {
        let reply = LocalReply::see_other(self.location).with_cookies(self.set_cookies);
        let subject = Some(self.subject).filter(|subject| !subject.is_empty());
        let Visit { site, audience, .. } = visit;
        answer(&site, audience, ("logout", subject), reply)
    }
}

impl Visit {
    fn ask_whether_to_sign_out(self) -> Step {
        let reply = LocalReply::logout_question(&self.audience);
        let Self { site, audience, .. } = self;
        answer(&site, audience, ("logout_asked", None), reply)
    }
}

/// `<prefix>/backchannel-logout`: Keycloak posts a logout token.
pub(super) fn receive(visit: Visit, headers: &[Header]) -> Step {
    let is_form = values(headers, "content-type").next().is_some_and(|value| {
        let media = value.split(|byte| *byte == b';').next().unwrap_or_default();
        media.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
    });
    if !is_form {
        return visit.refuse(None, Denial::LogoutToken(LogoutTokenError::Absent));
    }
    let stage = BackChannel { text: None, accepted: None, tries: 0, put: None };
    visit.wait(Stage::BackChannel(Box::new(stage)), Need::Body(MAX_BODY_BYTES))
}

impl BackChannel {
    pub(super) fn resume(mut self, knowledge: &mut Knowledge<'_>, visit: Visit, input: Input) -> Step {
        match input {
            Input::Body(body) => match body.as_deref().and_then(logout_token_of) {
                Some(text) => {
                    self.text = Some(text);
                    self.judge(knowledge, visit, false)
                }
                None => visit.refuse(None, Denial::LogoutToken(LogoutTokenError::Absent)),
            },
            Input::Shared(bytes, version) => self.record(knowledge, visit, bytes, version),
            Input::Swapped(true) => self.done(knowledge, visit),
            Input::Swapped(false) if self.tries < TRIES => {
                self.tries += 1;
                self.share(visit)
            }
            Input::Overflow | Input::Swapped(false) => visit.refuse(None, Denial::TooManyWaiting),
            Input::Deadline if self.text.is_none() => {
                visit.refuse(None, Denial::LogoutToken(LogoutTokenError::Absent))
            }
            input => self.judge(knowledge, visit, input == Input::Deadline),
        }
    }

    fn judge(mut self, knowledge: &mut Knowledge<'_>, visit: Visit, last: bool) -> Step {
        match self.accept(knowledge, &visit) {
            Ok(Some(token)) => {
                self.accepted = Some(token);
                self.share(visit)
            }
            Ok(None) if last => visit.refuse(None, Denial::WaitedTooLong),
            Ok(None) => {
                let kid = self.text.as_deref().and_then(|text| Jws::parse(text).ok()).map(|jws| jws.kid);
                let need = Need::Keys(visit.site.realm.id, kid);
                self.wait(visit, need)
            }
            Err(denial) => visit.refuse(None, denial),
        }
    }

    /// The token, once it is accepted; `None`: its key must be found first.
    fn accept(&self, knowledge: &Knowledge<'_>, visit: &Visit) -> Result<Option<LogoutToken>, Denial> {
        let wrong = |error| Denial::LogoutToken(LogoutTokenError::Jws(error));
        let realm = &*visit.site.realm;
        let login = realm.login.as_ref().ok_or(Denial::NoSuchPath)?;
        let text = self.text.as_deref().unwrap_or_default();
        if text.len() > knowledge.filter.limits().max_token_bytes {
            return Err(wrong(TokenError::TooLarge));
        }
        let jws = Jws::parse(text).map_err(wrong)?;
        logout_token::expect_type(&jws).map_err(Denial::LogoutToken)?;
        match token::verify_signature(knowledge, realm, &jws) {
            Ok(Verification::Claims(claims, _)) => {
                LogoutToken::accept(&claims, (realm, login), knowledge.env.now)
                    .map(Some)
                    .map_err(Denial::LogoutToken)
            }
            Ok(Verification::Unknown(_)) => Ok(None),
            Err(Denial::Token(TokenError::Issuer | TokenError::OtherRealm)) => {
                Err(Denial::LogoutToken(LogoutTokenError::Issuer))
            }
            Err(Denial::Token(error)) => Err(wrong(error)),
            Err(denial) => Err(denial),
        }
    }

    fn record(
        mut self,
        knowledge: &Knowledge<'_>,
        visit: Visit,
        bytes: Option<Vec<u8>>,
        version: Option<u32>,
    ) -> Step {
        let realm = Arc::clone(&visit.site.realm);
        let (Some(login), Some(token)) = (&realm.login, &self.accepted) else {
            return visit.refuse(None, Denial::NoSuchPath);
        };
        let shared = bytes.unwrap_or_default();
        match revoked::receive((&realm, login), token, &shared, knowledge.env.now) {
            Some(bytes) => {
                self.put = Some(bytes.clone());
                let name = revoked::record_name(&realm);
                self.wait(visit, Need::Swap { name, version, bytes })
            }
            None => visit.refuse(None, Denial::LogoutToken(LogoutTokenError::Replayed)),
        }
    }

    /// This worker knows at once; the others learn it with their next look.
    fn done(self, knowledge: &mut Knowledge<'_>, visit: Visit) -> Step {
        if let Some(record) = &self.put {
            knowledge.revoked.observe(visit.site.realm.id, record, None, knowledge.env.now);
        }
        let reply = LocalReply::empty(200);
        let Visit { site, audience, .. } = visit;
        answer(&site, audience, ("backchannel_logout", None), reply)
    }

    fn share(self, visit: Visit) -> Step {
        let need = Need::Shared(revoked::record_name(&visit.site.realm));
        self.wait(visit, need)
    }

    fn wait(self, visit: Visit, need: Need) -> Step {
        visit.wait(Stage::BackChannel(Box::new(self)), need)
    }
}

/// The one `logout_token` of a form.
fn logout_token_of(body: &[u8]) -> Option<String> {
    let mut tokens = form_urlencoded::parse(body).filter(|(name, _)| name == "logout_token");
    match (tokens.next(), tokens.next()) {
        (Some((_, token)), None) => Some(token.into_owned()),
        _ => None,
    }
}
