//! A call of the API as it is sent: `auth_info` and `params`, in JSON, in a form or in a multipart form, and what comes beside the body.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

use super::Fault;

const NO_ENVELOPE: Fault =
    Fault { code: "Client.check_auth.envelope_missed", text: "The request cannot be read" };

/// A call, whichever way it was sent.
pub(super) struct Call {
    /// Who calls: login and password, an access token or a session.
    pub(super) auth_info: Value,
    pub(super) params: Value,
    /// The token of the `Authorization` field.
    pub(super) bearer: Option<String>,
    cookies: Vec<(String, String)>,
}

impl Call {
    pub(super) async fn read(headers: &HeaderMap, body: Bytes) -> Result<Self, Fault> {
        let mut call = Self::of_headers(headers);
        let content_type = text(headers, "content-type").unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            _ if body.is_empty() => {}
            "application/json" => {
                let envelope: Value = serde_json::from_slice(&body).map_err(|_| NO_ENVELOPE)?;
                for name in ["auth_info", "params"] {
                    call.set(name, envelope.get(name).cloned().unwrap_or(Value::Null));
                }
            }
            "application/x-www-form-urlencoded" => {
                for (name, value) in form_urlencoded::parse(&body) {
                    call.set(&name, json(&value)?);
                }
            }
            "multipart/form-data" => {
                let boundary = multer::parse_boundary(&content_type).map_err(|_| NO_ENVELOPE)?;
                let body = futures_util::stream::iter([Ok::<_, std::io::Error>(body)]);
                let mut form = multer::Multipart::new(body, boundary);
                while let Some(field) = form.next_field().await.map_err(|_| NO_ENVELOPE)? {
                    let name = field.name().unwrap_or_default().to_owned();
                    let value = field.text().await.map_err(|_| NO_ENVELOPE)?;
                    call.set(&name, json(&value)?);
                }
            }
            _ => return Err(NO_ENVELOPE),
        }
        Ok(call)
    }

    /// A call without a body.
    pub(super) fn of_headers(headers: &HeaderMap) -> Self {
        let bearer = text(headers, "authorization");
        let bearer = bearer.and_then(|value| value.strip_prefix("Bearer ").map(str::to_owned));
        let fields = headers
            .get_all("cookie")
            .iter()
            .map(|field| String::from_utf8_lossy(field.as_bytes()).into_owned());
        let pairs: Vec<String> =
            fields.flat_map(|field| field.split(';').map(str::to_owned).collect::<Vec<_>>()).collect();
        let cookies = pairs.iter().filter_map(|pair| pair.trim().split_once('='));
        let cookies = cookies.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { auth_info: Value::Null, params: Value::Null, bearer, cookies }
    }

    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A text among the parameters.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.params[name].as_str()
    }

    fn set(&mut self, name: &str, value: Value) {
        match name {
            "auth_info" => self.auth_info = value,
            "params" => self.params = value,
            _ => {}
        }
    }
}

fn json(text: &str) -> Result<Value, Fault> {
    serde_json::from_str(text).map_err(|_| NO_ENVELOPE)
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
