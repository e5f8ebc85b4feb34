//! Forms and links in HTML, by a tokenizer that follows the standard.

use html5gum::{StartTag, Token, Tokenizer};
use reqwest::{Method, Url};

/// A form to fill in.
#[derive(Clone, Debug)]
#[must_use = "a form does nothing before it is submitted"]
pub struct Form {
    pub(super) action: Url,
    pub(super) method: Method,
    pub(super) fields: Vec<(String, String)>,
}

impl Form {
    /// Whether there is such a field.
    pub fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(field, _)| field == name)
    }

    /// Fills a field in; one that is not there is added, as a script of the page may do.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(field, _)| field != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// The first form of a page, with the values that its fields have.
pub(super) fn first(html: &str, page: &Url) -> Option<Form> {
    let mut form: Option<Form> = None;
    for token in Tokenizer::new(html) {
        match (token, &mut form) {
            (Ok(Token::StartTag(tag)), None) if *tag.name == *b"form" => {
                let action = page.join(&attribute(&tag, "action").unwrap_or_default()).ok()?;
                let post =
                    attribute(&tag, "method").is_some_and(|method| method.eq_ignore_ascii_case("post"));
                let method = if post { Method::POST } else { Method::GET };
                form = Some(Form { action, method, fields: Vec::new() });
            }
            (Ok(Token::StartTag(tag)), Some(form)) if *tag.name == *b"input" || *tag.name == *b"button" => {
                if let Some(name) = attribute(&tag, "name")
                    && is_sent(&tag)
                {
                    form.fields.push((name, attribute(&tag, "value").unwrap_or_default()));
                }
            }
            (Ok(Token::EndTag(tag)), Some(_)) if *tag.name == *b"form" => break,
            _ => {}
        }
    }
    form
}

/// Where the links of a page lead, as they are written there.
pub(super) fn links(html: &str) -> Vec<String> {
    let tags = Tokenizer::new(html).filter_map(|token| match token {
        Ok(Token::StartTag(tag)) if *tag.name == *b"a" => attribute(&tag, "href"),
        _ => None,
    });
    tags.collect()
}

/// A checkbox that is not ticked is not sent, and a button only by whom it is pressed.
fn is_sent(tag: &StartTag<()>) -> bool {
    match attribute(tag, "type").unwrap_or_default().as_str() {
        "checkbox" | "radio" => attribute(tag, "checked").is_some(),
        "submit" | "button" | "image" => false,
        _ => *tag.name == *b"input",
    }
}

fn attribute(tag: &StartTag<()>, name: &str) -> Option<String> {
    let value = tag.attributes.get(name.as_bytes())?;
    Some(String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_a_browser_reads_it() {
        let page: Url = "https://sso.csp.com/realms/r/auth?x=1".parse().unwrap();
        let html = r#"<p><form action="/go?a=1&amp;b=2" METHOD=post><input name=username value='a"b'><input type=hidden name=id>
            <input type=checkbox name=remember><input type=submit name=login value=go></form><input name=outside>"#;
        let form = first(html, &page).unwrap();
        assert_eq!(form.action.as_str(), "https://sso.csp.com/go?a=1&b=2");
        assert_eq!(form.method, Method::POST);
        assert_eq!(form.fields, [("username".into(), "a\"b".into()), ("id".into(), String::new())]);
        let filled = form.set("username", "x");
        assert!(filled.has("id") && !filled.has("outside"));
        assert!(first("<input name=a>", &page).is_none());
    }

    #[test]
    fn links_are_read_as_a_browser_reads_them() {
        let html =
            r#"<!-- <a href=/no> --><a name=x><p><A HREF='/go?a=1&amp;b=2'>on</a><a href="https://b/">b</a>"#;
        assert_eq!(links(html), ["/go?a=1&b=2", "https://b/"]);
    }
}
