//! What is measured.

use serde::Serialize;

use crate::config::Setup;
use crate::tokens::Set;

/// How many tokens are used again and again where a token is to be known already.
pub(crate) const KNOWN: usize = 100;

/// One line of the table: an Envoy under a load.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Row {
    /// Its name in the reports and for `--only`.
    pub(crate) key: &'static str,
    /// What it is.
    pub(crate) label: &'static str,
    pub(crate) setup: Setup,
    /// Which tokens; where sessions are sent, what kind of token they carry.
    pub(crate) set: Set,
    /// Every token once at most; otherwise a few again and again.
    pub(crate) fresh: bool,
    /// Part of `--quick`.
    #[serde(skip)]
    pub(crate) quick: bool,
}

impl Row {
    /// Whether the load consists of tokens that have to be refused.
    pub(crate) fn refuses(&self) -> bool {
        self.setup.judges() && self.set == Set::Forged
    }
}

const fn row(key: &'static str, label: &'static str, setup: Setup, set: Set, fresh: bool) -> Row {
    Row { key, label, setup, set, fresh, quick: true }
}

const fn long(row: Row) -> Row {
    Row { quick: false, ..row }
}

/// Everything that there is to measure, in the order of the table.
pub(crate) const ROWS: &[Row] = {
    use Set::{Es256, Forged, Ps256, Rs256};
    use Setup::{
        Calls, Hosts, Native, NativeCached, None, Noop, Portcullis, PortcullisInVm, PortcullisQuiet, Rules,
        Session, SessionForgetful,
    };
    &[
        row("none", "no filter", None, Rs256, false),
        row("noop", "an empty wasm filter", Noop, Rs256, false),
        long(row(
            "calls",
            "a wasm filter that makes the same calls and decides nothing",
            Calls,
            Rs256,
            false,
        )),
        row("portcullis_hit", "Portcullis, token seen before", Portcullis, Rs256, false),
        row("native_hit", "jwt_authn with cache + rbac, token seen before", NativeCached, Rs256, false),
        row("portcullis_session_hit", "Portcullis, session seen before", Session, Rs256, false),
        row(
            "portcullis_session_new",
            "Portcullis, session, nothing remembered",
            SessionForgetful,
            Rs256,
            false,
        ),
        row("portcullis_new", "Portcullis, new token", Portcullis, Rs256, true),
        row(
            "portcullis_new_in_vm",
            "Portcullis without the host's cryptography, new token",
            PortcullisInVm,
            Rs256,
            true,
        ),
        row("native_new", "jwt_authn without cache + rbac, new token", Native, Rs256, true),
        row("portcullis_refused", "Portcullis, bad signature, refusal logged", Portcullis, Forged, true),
        long(row(
            "portcullis_refused_quiet",
            "Portcullis, bad signature, log level warning",
            PortcullisQuiet,
            Forged,
            true,
        )),
        row("native_refused", "jwt_authn + rbac, bad signature", Native, Forged, true),
        long(row("portcullis_new_es256", "Portcullis, new token, ES256", Portcullis, Es256, true)),
        long(row("native_new_es256", "jwt_authn + rbac, new token, ES256", Native, Es256, true)),
        long(row("portcullis_new_ps256", "Portcullis, new token, PS256", Portcullis, Ps256, true)),
        long(row("native_new_ps256", "jwt_authn + rbac, new token, PS256", Native, Ps256, true)),
        row("rules_10", "Portcullis, 10 rules, token seen before", Rules(10), Rs256, false),
        long(row("rules_1000", "Portcullis, 1,000 rules, token seen before", Rules(1000), Rs256, false)),
        row("rules_10000", "Portcullis, 10,000 rules, token seen before", Rules(10_000), Rs256, false),
        row("hosts_1", "Portcullis, 1 host, token seen before", Hosts(1), Rs256, false),
        row("hosts_1000", "Portcullis, 1,000 hosts, token seen before", Hosts(1000), Rs256, false),
    ]
};
