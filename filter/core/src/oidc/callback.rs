//! What Keycloak sends the browser back with (RFC 6749 section 4.1.2, RFC 9207).

use crate::error::LoginError;
use crate::request::Request;

/// The longest `code` in bytes; Keycloak's have about 110.
const MAX_CODE_BYTES: usize = 4_096;

/// The parameters of a callback, each there at most once.
pub(crate) struct Callback {
    pub(crate) state: String,
    iss: Option<String>,
    error: Option<String>,
    code: Option<String>,
}

// Written by hand: a code does not show.
impl std::fmt::Debug for Callback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Callback").finish_non_exhaustive()
    }
}

impl Callback {
    /// Reads the query.
    ///
    /// # Errors
    /// No `state`, or a parameter that is there twice: it belongs to no attempt.
    pub(crate) fn parse(request: &Request<'_>) -> Result<Self, LoginError> {
        let single = |name: &str| {
            let mut values = request.parameters(name);
            match (values.next(), values.next()) {
                (_, Some(_)) => Err(LoginError::State),
                (value, None) => Ok(value.map(std::borrow::Cow::into_owned)),
            }
        };
        let state = single("state")?.filter(|state| !state.is_empty()).ok_or(LoginError::State)?;
        Ok(Self { state, iss: single("iss")?, error: single("error")?, code: single("code")? })
    }

    /// The authorization code of a callback whose attempt was found.
    ///
    /// # Errors
    /// From another issuer (a mix-up), with an error in place of a code, or with both or neither.
    pub(crate) fn code(self, issuer: &str, iss_required: bool) -> Result<String, LoginError> {
        match &self.iss {
            Some(iss) if iss == issuer => {}
            None if !iss_required => {}
            _ => return Err(LoginError::Issuer),
        }
        match (self.error, self.code) {
            (Some(error), None) if error == "access_denied" => Err(LoginError::Cancelled),
            (Some(_), _) => Err(LoginError::Refused),
            (None, Some(code)) if !code.is_empty() && code.len() <= MAX_CODE_BYTES => Ok(code),
            (None, _) => Err(LoginError::Code),
        }
    }
}
