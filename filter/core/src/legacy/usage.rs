//! What is recorded of PortaBilling's own credentials.

use std::fmt;
use std::net::IpAddr;

/// Of a login that a client made up, only so much is repeated.
const MAX_LOGIN_CHARS: usize = 64;

/// What is recorded of a use of PortaBilling's own credentials: never a password or a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyUse {
    /// Under which name; `None`: a token says it, or nothing does.
    pub login: Option<String>,
    /// At which host.
    pub host: String,
    /// From where.
    pub source: Option<IpAddr>,
    /// Envoy's request id.
    pub request_id: Option<String>,
}

impl fmt::Display for LegacyUse {
    /// The end of a line of the log. A login is quoted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(login) = &self.login {
            let login: String = login.chars().take(MAX_LOGIN_CHARS).collect();
            write!(f, " login={login:?}")?;
        }
        write!(f, " host={:?}", self.host)?;
        self.source.map_or(Ok(()), |source| write!(f, " source={source}"))
    }
}
