//! What has to come back, what has to reach the application, and what did.

use portcullis_tests::Upstream;
use portcullis_tests::client::RawResponse;

use crate::screen::Screen;

/// What has to come of a request.
pub(crate) struct Expectation {
    status: u16,
    answer: Vec<(&'static str, String)>,
    body: Vec<String>,
    seen: Option<Vec<(&'static str, Option<&'static str>)>>,
}

impl Expectation {
    /// It is answered with this status, and does not reach the upstream.
    pub(crate) fn status(status: u16) -> Self {
        Self { status, answer: Vec::new(), body: Vec::new(), seen: None }
    }

    /// The answer has to have a header that contains this.
    pub(crate) fn answers(mut self, name: &'static str, contains: impl Into<String>) -> Self {
        self.answer.push((name, contains.into()));
        self
    }

    /// The body of the answer has to contain this.
    pub(crate) fn tells(mut self, text: impl Into<String>) -> Self {
        self.body.push(text.into());
        self
    }

    /// The request has to reach the upstream, with these headers or without them.
    pub(crate) fn forwards(mut self, headers: &[(&'static str, Option<&'static str>)]) -> Self {
        self.seen = Some(headers.to_vec());
        self
    }

    pub(crate) fn is_status_of(&self, response: &RawResponse) -> bool {
        response.status == self.status
    }

    /// Shows what came back and what the upstream saw. Returns what went otherwise than told.
    pub(crate) fn check(
        &self,
        screen: Screen,
        response: &RawResponse,
        upstream: &Upstream,
        reached: u64,
    ) -> Vec<String> {
        show(screen, response, upstream, reached);
        let differences = self.differences(response, upstream, reached);
        if differences.is_empty() {
            screen.good(&format!("as told: {}", self.told()));
        }
        for difference in &differences {
            screen.bad(&format!("DIFFERENT: {difference}"));
        }
        differences
    }

    fn told(&self) -> String {
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
            let values = response.header_all(name);
            let holds = values.iter().any(|value| value.contains(contains.as_str()));
            expect(holds, format!("{name} is {}, without {contains:?}", short(&format!("{values:?}"))));
        }
        for text in &self.body {
            let body = response.text();
            expect(body.contains(text.as_str()), format!("the body is {}, without {text:?}", short(&body)));
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
    for name in ["location", "www-authenticate", "retry-after", "content-type"] {
        for value in response.header_all(name) {
            screen.say(&format!("< {name}: {}", short(&value)));
        }
    }
    for cookie in response.header_all("set-cookie") {
        screen.say(&format!("< set-cookie: {}", without_value(&cookie)));
    }
    if reached == 0 {
        let body = response.text();
        // A page begins with its style: its title says more.
        let title = body.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
        let body = title.map_or(body.as_str(), |(title, _)| title);
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

/// A cookie's name and attributes.
fn without_value(cookie: &str) -> String {
    let (name, rest) = cookie.split_once('=').unwrap_or((cookie, ""));
    let (value, attributes) = rest.split_once(';').unwrap_or((rest, ""));
    let value = if value.is_empty() { "" } else { "..." };
    format!("{name}={value};{attributes}")
}

/// As much of a text as fits on a line.
pub(crate) fn short(text: &str) -> String {
    let start: String = text.chars().take(160).collect();
    let rest = if start.len() < text.len() { "..." } else { "" };
    start + rest
}
