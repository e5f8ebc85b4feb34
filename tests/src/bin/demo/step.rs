//! One step of the tour: a request, the command that repeats it, and what has to come back.

use std::net::SocketAddr;

use portcullis_tests::Upstream;
use portcullis_tests::client::{Raw, RawResponse};

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
    status: u16,
    answer: Vec<(&'static str, &'static str)>,
    seen: Option<Vec<(&'static str, Option<&'static str>)>>,
}

impl<'a> Step<'a> {
    /// A GET request that has to be answered with `status`.
    pub(crate) fn get(title: &'static str, host: &'static str, path: &'static str, status: u16) -> Self {
        let (headers, answer) = (Vec::new(), Vec::new());
        Self { title, envoy: "ENVOY", host, path, token: None, headers, status, answer, seen: None }
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

    /// The answer has to have a header that contains this.
    pub(crate) fn answers(mut self, name: &'static str, contains: &'static str) -> Self {
        self.answer.push((name, contains));
        self
    }

    /// The request has to reach the upstream, with these headers or without them. Without this call it must not reach it.
    pub(crate) fn forwards(mut self, headers: &[(&'static str, Option<&'static str>)]) -> Self {
        self.seen = Some(headers.to_vec());
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
        let response = match self.request().send(envoy).await {
            Ok(response) => response,
            Err(e) => {
                let problem = format!("no answer: {e}");
                screen.bad(&format!("DIFFERENT: {problem}"));
                return vec![problem];
            }
        };
        let reached = upstream.requests() - before;
        show(screen, &response, upstream, reached);
        let differences = self.differences(&response, upstream, reached);
        if differences.is_empty() {
            screen.good(&format!("as told: {}", self.expectation()));
        }
        for difference in &differences {
            screen.bad(&format!("DIFFERENT: {difference}"));
        }
        differences
    }

    /// Whether the answer has the status that was told, and nothing more: to wait for something.
    pub(crate) async fn holds(&self, envoy: SocketAddr) -> bool {
        self.request().send(envoy).await.is_ok_and(|response| response.status == self.status)
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

    fn expectation(&self) -> String {
        match self.seen {
            Some(_) => format!("{}, forwarded", self.status),
            None => format!("{}, and the upstream saw nothing of it", self.status),
        }
    }

    fn differences(&self, response: &RawResponse, upstream: &Upstream, reached: u64) -> Vec<String> {
        let mut differences = Vec::new();
        let mut expect = |holds: bool, otherwise: String| {
            if !holds {
                differences.push(otherwise);
            }
        };
        expect(response.status == self.status, format!("status {}, not {}", response.status, self.status));
        for (name, contains) in &self.answer {
            let value = response.header(name);
            let holds = value.as_deref().is_some_and(|value| value.contains(contains));
            expect(holds, format!("{name} is {value:?}, without {contains:?}"));
        }
        let (Some(headers), 1) = (&self.seen, reached) else {
            let due = u64::from(self.seen.is_some());
            expect(reached == due, format!("the upstream saw {reached} requests, not {due}"));
            return differences;
        };
        let Some(seen) = upstream.last() else { return differences };
        for (name, value) in headers {
            let values = seen.header_all(name);
            expect(
                values.iter().map(String::as_str).eq(value.iter().copied()),
                format!("the upstream saw {name}: {}, not {value:?}", short(&format!("{values:?}"))),
            );
        }
        differences
    }
}

fn show(screen: Screen, response: &RawResponse, upstream: &Upstream, reached: u64) {
    screen.say(&format!("< {}", response.status));
    for name in ["www-authenticate", "retry-after", "content-type"] {
        for value in response.header_all(name) {
            screen.say(&format!("< {name}: {value}"));
        }
    }
    if reached == 0 {
        let body = response.text();
        for line in body.lines().filter(|line| !line.trim().is_empty()).take(3) {
            screen.say(&format!("< {}", short(line)));
        }
        return;
    }
    let seen = upstream.last();
    let headers = seen.map(|seen| seen.headers_with_prefix("x-porta-")).unwrap_or_default();
    screen.quiet(if headers.is_empty() { "the upstream saw no identity" } else { "the upstream saw" });
    for (name, value) in headers {
        screen.quiet(&format!("  {name}: {value}"));
    }
}

/// As much of a text as fits on a line.
fn short(text: &str) -> String {
    let start: String = text.chars().take(160).collect();
    let rest = if start.len() < text.len() { "..." } else { "" };
    start + rest
}
