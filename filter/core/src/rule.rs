//! Rules: which access a method and a path need. The first match wins; no match is a refusal.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use crate::authz::Requirement;
use crate::path::NormalPath;
use crate::pattern::{Pattern, Segment, Tail};

/// Methods of a rule that names none.
pub(crate) const DEFAULT_METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// One rule of a site.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: Arc<str>,
    pub(crate) methods: Vec<String>,
    pub(crate) pattern: Pattern<'static>,
    pub(crate) access: Access,
}

/// What a rule asks of a request.
#[derive(Debug)]
pub(crate) enum Access {
    /// Nothing; forwarded without identity.
    Public,
    /// Nothing of Keycloak; PortaBilling judges its own credentials.
    Legacy,
    /// An accepted token that fulfils this.
    Require(Box<Requirement>),
}

/// The rules of a site, found by path in a tree of segments: the cost of a look-up follows the length of
/// the path and the wildcards on its way, not the number of rules.
#[derive(Debug, Default)]
pub(crate) struct RuleSet {
    rules: Vec<Arc<Rule>>,
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    literal: HashMap<Cow<'static, str>, Node>,
    wild: Vec<(Segment<'static>, Node)>,
    /// Rules whose pattern ends in this node, each with its tail; in the order of the rules.
    rules: Vec<(Tail, usize)>,
}

impl RuleSet {
    /// Appends a rule.
    ///
    /// # Errors
    /// Earlier rules take every request that it could match; the answer is the name of one of them.
    pub(crate) fn push(&mut self, rule: Rule) -> Result<(), String> {
        // `/a` and what is below it may be taken by two rules.
        let parts = match rule.pattern.tail {
            Tail::EndOrBelow => vec![Tail::End, Tail::Below],
            tail => vec![tail],
        };
        let parts: Vec<Pattern<'_>> =
            parts.into_iter().map(|tail| Pattern { segments: rule.pattern.segments.clone(), tail }).collect();
        let hidden_by = |method: &String| {
            let hiding: Option<Vec<_>> = parts.iter().map(|part| self.first(method, part)).collect();
            hiding?.into_iter().next()
        };
        let hiding: Option<Vec<&Arc<Rule>>> = rule.methods.iter().map(hidden_by).collect();
        if let Some(first) = hiding.as_ref().and_then(|rules| rules.first()) {
            return Err(first.name.to_string());
        }
        let mut node = &mut self.root;
        for segment in &rule.pattern.segments {
            node = node.child(segment);
        }
        node.rules.push((rule.pattern.tail, self.rules.len()));
        self.rules.push(Arc::new(rule));
        Ok(())
    }

    /// Selects the rule of a request.
    pub(crate) fn select(&self, method: &str, path: &NormalPath<'_>) -> Option<&Arc<Rule>> {
        self.first(method, &Pattern::of(path))
    }

    /// The first rule that takes this method on every path of the pattern.
    fn first(&self, method: &str, pattern: &Pattern<'_>) -> Option<&Arc<Rule>> {
        let takes = |rule: usize| {
            self.rules.get(rule).is_some_and(|rule| rule.methods.iter().any(|known| known == method))
        };
        let first = self.root.first(&pattern.segments, pattern.tail, &takes)?;
        self.rules.get(first)
    }
}

impl Node {
    fn child(&mut self, segment: &Segment<'static>) -> &mut Self {
        if let Segment::Literal(text) = segment {
            return self.literal.entry(text.clone()).or_default();
        }
        let at = self.wild.iter().position(|(known, _)| known == segment).unwrap_or_else(|| {
            self.wild.push((segment.clone(), Self::default()));
            self.wild.len() - 1
        });
        // The position was found or made just above.
        #[allow(clippy::indexing_slicing, reason = "`at` is a position in `wild`")]
        &mut self.wild[at].1
    }

    /// The lowest rule at or below this node that covers what is left of a pattern. Every node is entered
    /// at most once, so a hostile path costs no more than the rules themselves.
    fn first(&self, segments: &[Segment<'_>], tail: Tail, takes: &impl Fn(usize) -> bool) -> Option<usize> {
        let covers = |own: Tail| match own {
            Tail::End => segments.is_empty() && tail == Tail::End,
            Tail::EndOrBelow => true,
            Tail::Below => !segments.is_empty() || tail == Tail::Below,
        };
        let here =
            self.rules.iter().filter(|(own, rule)| covers(*own) && takes(*rule)).map(|(_, rule)| *rule);
        let below = segments.split_first().into_iter().flat_map(|(segment, rest)| {
            let literal = match segment {
                Segment::Literal(text) => self.literal.get(text.as_ref()),
                Segment::Any | Segment::Glob(_) => None,
            };
            let wild = self.wild.iter().filter(|(own, _)| own.covers(segment)).map(|(_, node)| node);
            literal.into_iter().chain(wild).filter_map(|node| node.first(rest, tail, takes))
        });
        here.chain(below).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::test;

    fn rule(name: &str, methods: &[&str], pattern: Pattern<'static>) -> Rule {
        let methods = methods.iter().map(|method| (*method).to_owned()).collect();
        Rule { name: name.into(), methods, pattern, access: Access::Public }
    }

    fn rules() -> RuleSet {
        let mut rules = RuleSet::default();
        for (name, methods, pattern) in [
            ("health", &["GET"][..], Pattern::exact("/health")),
            ("assets", &["GET", "HEAD"], Pattern::prefix("/assets/")),
            ("reads", &["POST"], Pattern::template("/rest/{service}/get_*")),
            ("rest", &["POST", "PUT"], Pattern::prefix("/rest")),
            ("root", &["GET"], Pattern::exact("/")),
        ] {
            rules.push(rule(name, methods, pattern.unwrap())).unwrap();
        }
        rules
    }

    #[track_caller]
    fn check(method: &str, path: &str, expect: Option<&str>) {
        let path = NormalPath::parse(path.as_bytes()).unwrap();
        let rules = rules();
        let selected = rules.select(method, &path).map(|rule| &*rule.name);
        assert_eq!(selected, expect, "{method} {}", path.as_str());
    }

    #[test]
    fn first_match_wins_by_method_and_whole_segments() {
        check("GET", "/health", Some("health"));
        check("GET", "/health/", None);
        check("GET", "/healthz", None);
        check("get", "/health", None);
        check("HEAD", "/health", None);
        check("GET", "/assets/", Some("assets"));
        check("GET", "/assets/a/b", Some("assets"));
        check("GET", "/assets", None);
        check("GET", "/assetsx", None);
        check("POST", "/rest/Customer/get_list", Some("reads"));
        check("PUT", "/rest/Customer/get_list", Some("rest"));
        check("POST", "/rest/Customer/get_list/x", Some("rest"));
        check("POST", "/rest//get_list".trim_start_matches("/rest/"), None);
        check("POST", "/rest", Some("rest"));
        check("POST", "/rest/", Some("rest"));
        check("POST", "/restful", None);
        check("POST", "/Rest", None);
        check("GET", "/", Some("root"));
        check("GET", "/admin", None);
    }

    #[test]
    fn an_unreachable_rule_is_found() {
        let hidden = [
            (&["GET"][..], Pattern::exact("/health"), "health"),
            (&["GET"], Pattern::exact("/assets/x"), "assets"),
            (&["HEAD"], Pattern::prefix("/assets/"), "assets"),
            (&["HEAD"], Pattern::prefix("/assets/x"), "assets"),
            (&["POST"], Pattern::template("/rest/a/get_x*"), "reads"),
            (&["PUT", "POST"], Pattern::template("/rest/{a}/{b}"), "rest"),
        ];
        for (methods, pattern, by) in hidden {
            let pattern = pattern.unwrap();
            assert_eq!(
                rules().push(rule("new", methods, pattern.clone())),
                Err(by.to_owned()),
                "{pattern:?}"
            );
        }
        let reachable = [
            (&["GET", "POST"][..], Pattern::exact("/health")),
            (&["GET"], Pattern::prefix("/assets")),
            (&["GET"], Pattern::prefix("/health")),
            (&["DELETE"], Pattern::prefix("/rest")),
            (&["GET"], Pattern::prefix("/")),
            (&["GET"], Pattern::template("/{x}")),
        ];
        for (methods, pattern) in reachable {
            let pattern = pattern.unwrap();
            assert_eq!(rules().push(rule("new", methods, pattern.clone())), Ok(()), "{pattern:?}");
        }
    }
}
