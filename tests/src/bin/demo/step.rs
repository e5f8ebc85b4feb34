//! One step of the tour: a request, the command that repeats it, and what has to come back.

use std::net::SocketAddr;

use portcullis_tests::Upstream;
use portcullis_tests::client::Raw;

use crate::expectation::Expectation;
use crate::screen::Screen;

/// A token under the name that it has in the shell.
pub(crate) struct Named {
    pub(crate) variable: &'static str,
    pub(crate) token: String,
}

/// Who asks for what, and what has to happen.
pub(crate) struct Step<'a> {
    title: &'static str,
    /// The shell variable of the Envoy that is asked.
    envoy: &'static str,
    host: &'static str,
    path: &'static str,
    token: Option<&'a Named>,
    headers: Vec<(&'static str, &'static str)>,
    expectation: Expectation,
}

impl<'a> Step<'a> {
    /// A GET request that has to be answered with `status`.
    pub(crate) fn get(title: &'static str, host: &'static str, path: &'static str, status: u16) -> Self {
        let (headers, expectation) = (Vec::new(), Expectation::status(status));
        Self { title, envoy: "ENVOY", host, path, token: None, headers, expectation }
    }

    pub(crate) fn with(mut self, token: &'a Named) -> Self {
        self.token = Some(token);
        self
    }

    /// The Envoy that is asked, by its shell variable.
    pub(crate) fn at(mut self, envoy: &'static str) -> Self {
        self.envoy = envoy;
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// See [`Expectation::answers`].
    pub(crate) fn answers(mut self, name: &'static str, contains: &'static str) -> Self {
        self.expectation = self.expectation.answers(name, contains);
        self
    }

    /// See [`Expectation::forwards`].
    pub(crate) fn forwards(mut self, headers: &[(&'static str, Option<&'static str>)]) -> Self {
        self.expectation = self.expectation.forwards(headers);
        self
    }

    /// Performs the step. Returns what went otherwise than told.
    pub(crate) async fn perform(
        &self,
        number: usize,
        screen: Screen,
        envoy: SocketAddr,
        upstream: &Upstream,
    ) -> Vec<String> {
        screen.heading(&format!("{number:2}  {}", self.title));
        screen.say(&format!("$ {}", self.curl()));
        let before = upstream.requests();
        match self.request().send(envoy).await {
            Ok(response) => self.expectation.check(screen, &response, upstream, upstream.requests() - before),
            Err(e) => {
                let problem = format!("no answer: {e}");
                screen.bad(&format!("DIFFERENT: {problem}"));
                vec![problem]
            }
        }
    }

    /// Whether the answer has the status that was told, and nothing more: to wait for something.
    pub(crate) async fn holds(&self, envoy: SocketAddr) -> bool {
        self.request().send(envoy).await.is_ok_and(|response| self.expectation.is_status_of(&response))
    }

    fn request(&self) -> Raw {
        let mut request = Raw::get(self.path).host(self.host);
        if let Some(named) = self.token {
            request = request.bearer(&named.token);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request
    }

    fn curl(&self) -> String {
        let mut parts = vec![format!("curl -i \"${}{}\" -H 'host: {}'", self.envoy, self.path, self.host)];
        parts.extend(self.token.map(|named| format!("-H \"authorization: Bearer ${}\"", named.variable)));
        parts.extend(self.headers.iter().map(|(name, value)| format!("-H '{name}: {value}'")));
        parts.join(" ")
    }
}
