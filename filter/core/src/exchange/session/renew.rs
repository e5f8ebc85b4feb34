//! The renewal of a session: whoever gets the lease asks Keycloak, and tells the others how it ended.

use std::sync::Arc;

use crate::oidc::token_endpoint;
use crate::renewal::{self, Outcome, Renewal};
use crate::reply::Denial;
use crate::session::Session;
use crate::time::UnixTime;

use super::{Failed, Knowledge, Need, Progress, Stage, Step, TRIES, Visit, peek};

impl Stage {
    pub(super) fn looked(
        mut self,
        knowledge: &mut Knowledge<'_>,
        visit: Visit,
        bytes: Option<Vec<u8>>,
        version: Option<u32>,
    ) -> Step {
        let realm = Arc::clone(&visit.site.realm);
        let Some(login) = &realm.login else { return visit.refuse(self.rule(), Denial::NoCredential) };
        let now = knowledge.env;
        let shared = bytes.unwrap_or_default();
        match renewal::read((&realm, login), &self.session, &shared, now.monotonic) {
            Renewal::Issued(renewed) => {
                self.session = *renewed;
                self.changed = true;
                self.tries += 1;
                if self.tries < TRIES { self.go(knowledge, visit) } else { self.judge(knowledge, visit) }
            }
            Renewal::Over => self.over(knowledge, visit, Denial::SessionEnded),
            // It need not wait for what it can do without.
            Renewal::Busy if now.now < self.session.expires => self.judge(knowledge, visit),
            Renewal::Busy if now.monotonic < self.deadline => {
                self.step = Progress::Look;
                self.wait(visit, Need::Later(renewal::POLL))
            }
            Renewal::Busy | Renewal::Failed => self.failed(knowledge, visit, Failed::Unreachable),
            Renewal::Free(bytes) => {
                self.step = Progress::Lease;
                let name = renewal::bucket(&realm, login, &self.session);
                self.wait(visit, Need::Swap { name, version, bytes })
            }
        }
    }

    /// Holds the lease, and asks Keycloak.
    pub(super) fn call(mut self, knowledge: &mut Knowledge<'_>, visit: Visit) -> Step {
        let realm = Arc::clone(&visit.site.realm);
        let provider = knowledge.keys.provider(realm.id, knowledge.env.monotonic);
        let (Some(login), Some(refresh_token), Ok(provider)) =
            (&realm.login, &self.session.refresh_token, provider)
        else {
            self.step = Progress::Conclude(Err(Failed::Unreachable));
            return self.share(visit);
        };
        let call = token_endpoint::refresh(
            (&realm, login),
            provider,
            refresh_token,
            knowledge.env.now,
            knowledge.entropy,
        );
        self.step = Progress::Call;
        self.wait(visit, Need::Call(call))
    }

    /// Tells the other requests of this session how its renewal ended.
    pub(super) fn publish(
        mut self,
        knowledge: &mut Knowledge<'_>,
        visit: Visit,
        outcome: Result<Box<Session>, Failed>,
        (bytes, version): (Option<Vec<u8>>, Option<u32>),
    ) -> Step {
        let realm = Arc::clone(&visit.site.realm);
        let Some(login) = &realm.login else { return visit.refuse(self.rule(), Denial::NoCredential) };
        let told = match &outcome {
            Ok(renewed) => Outcome::Issued(renewed),
            Err(Failed::Over) => Outcome::Over,
            Err(Failed::Unreachable | Failed::Wrong) => Outcome::Failed,
        };
        let shared = bytes.unwrap_or_default();
        let now = knowledge.env.monotonic;
        let bytes = renewal::conclude((&realm, login), &self.session, &told, &shared, now, knowledge.entropy);
        let name = renewal::bucket(&realm, login, &self.session);
        self.step = Progress::Conclude(outcome);
        self.wait(visit, Need::Swap { name, version, bytes })
    }

    pub(super) fn concluded(
        mut self,
        knowledge: &mut Knowledge<'_>,
        visit: Visit,
        outcome: Result<Box<Session>, Failed>,
    ) -> Step {
        match outcome {
            Ok(renewed) => {
                self.session = *renewed;
                self.changed = true;
                self.judge(knowledge, visit)
            }
            Err(Failed::Over) => self.over(knowledge, visit, Denial::SessionEnded),
            Err(failed) => self.failed(knowledge, visit, failed),
        }
    }

    /// Keycloak could not renew it: while the access token is good that does not matter, and then the session
    /// outlives the outage.
    pub(super) fn failed(self, knowledge: &mut Knowledge<'_>, visit: Visit, failed: Failed) -> Step {
        if knowledge.env.now < self.session.expires {
            return self.judge(knowledge, visit);
        }
        let denial = if failed == Failed::Wrong { Denial::IdpAnswer } else { Denial::IdpUnreachable };
        self.refuse(visit, denial)
    }
}

impl From<token_endpoint::Failure> for Failed {
    fn from(failure: token_endpoint::Failure) -> Self {
        match failure {
            token_endpoint::Failure::Unreachable => Self::Unreachable,
            token_endpoint::Failure::Refused => Self::Over,
            token_endpoint::Failure::Wrong => Self::Wrong,
        }
    }
}

impl Session {
    /// The next generation of it; `None` where one of the tokens is another user's, or none that ends. Nobody has used it
    /// by that alone: a page that asks who is here renews it, too.
    pub(super) fn renewed_with(&self, issued: token_endpoint::Issued, now: UnixTime) -> Option<Self> {
        let (subject, expires) = peek(&issued.access_token)?;
        if subject.is_some_and(|subject| subject != self.subject) {
            return None;
        }
        // OpenID Connect Core section 12.2: a renewed ID token is about the same user.
        if let Some(id_token) = &issued.id_token {
            peek(id_token).filter(|(subject, _)| subject.as_ref() == Some(&self.subject))?;
        }
        Some(Self {
            generation: self.generation.saturating_add(1),
            access_token: issued.access_token,
            expires,
            refresh_token: issued.refresh_token.or_else(|| self.refresh_token.clone()),
            id_token: issued.id_token.or_else(|| self.id_token.clone()),
            renewed: Some(now),
            ..self.clone()
        })
    }
}
