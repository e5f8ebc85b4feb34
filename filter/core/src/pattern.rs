//! Sets of paths, as rules name them, and the one question asked of them: does this set cover that one?
//!
//! A request's path is a set with one member, so the same answer serves to select the rule of a request and
//! to find the rules that can never be reached.

use std::borrow::Cow;

use crate::path::NormalPath;

/// Longest path (bytes) that a rule may name.
const MAX_PATTERN_BYTES: usize = 2048;

/// A set of paths in normal form: its first segments, and what may follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern<'p> {
    pub(crate) segments: Vec<Segment<'p>>,
    pub(crate) tail: Tail,
}

/// What may follow the segments of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Nothing.
    End,
    /// Nothing, or more segments.
    EndOrBelow,
    /// At least one more segment, which may be empty (`/assets/`).
    Below,
}

/// One segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment<'p> {
    /// This text.
    Literal(Cow<'p, str>),
    /// `{name}`: any text but the empty one.
    Any,
    /// Text in which `*` stands for any run of characters, also none.
    Glob(Cow<'p, str>),
}

impl Pattern<'static> {
    pub(crate) fn exact(path: &str) -> Result<Self, String> {
        Ok(Self { segments: literals(normal(path)?), tail: Tail::End })
    }

    pub(crate) fn prefix(path: &str) -> Result<Self, String> {
        let path = normal(path)?;
        Ok(match path.strip_suffix('/') {
            Some(folder) => Self { segments: literals(folder), tail: Tail::Below },
            None => Self { segments: literals(path), tail: Tail::EndOrBelow },
        })
    }

    pub(crate) fn template(path: &str) -> Result<Self, String> {
        let path = normal(path)?;
        let segments = path.split('/').skip(1).map(template_segment).collect::<Result<_, _>>()?;
        Ok(Self { segments, tail: Tail::End })
    }
}

impl<'p> Pattern<'p> {
    /// The set with this one path.
    pub(crate) fn of(path: &'p NormalPath<'_>) -> Self {
        let segments = path.segments().map(|text| Segment::Literal(Cow::Borrowed(text))).collect();
        Self { segments, tail: Tail::End }
    }
}

impl Segment<'_> {
    /// Whether every text of `other` is one of this segment's.
    pub(crate) fn covers(&self, other: &Segment<'_>) -> bool {
        match (self, other) {
            (Self::Literal(own), Segment::Literal(text)) => own == text,
            (Self::Literal(_), _) => false,
            (Self::Any, Segment::Literal(text)) => !text.is_empty(),
            (Self::Any, Segment::Any) => true,
            (Self::Any, Segment::Glob(glob)) => glob.bytes().any(|byte| byte != b'*'),
            (Self::Glob(own), Segment::Any) => own.bytes().all(|byte| byte == b'*'),
            (Self::Glob(own), Segment::Literal(text) | Segment::Glob(text)) => glob_covers(own, text),
        }
    }
}

fn literals(path: &str) -> Vec<Segment<'static>> {
    path.split('/').skip(1).map(|text| Segment::Literal(Cow::Owned(text.to_owned()))).collect()
}

fn template_segment(text: &str) -> Result<Segment<'static>, String> {
    if let Some(name) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        let named = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        return if named {
            Ok(Segment::Any)
        } else {
            Err(format!("`{text}`: a name is letters, digits and _"))
        };
    }
    if text.contains(['{', '}']) {
        return Err(format!("`{text}`: {{name}} must be a whole segment"));
    }
    let text: Cow<'static, str> = Cow::Owned(text.to_owned());
    Ok(if text.contains('*') { Segment::Glob(text) } else { Segment::Literal(text) })
}

fn normal(path: &str) -> Result<&str, String> {
    if path.len() > MAX_PATTERN_BYTES {
        return Err(format!("is longer than {MAX_PATTERN_BYTES} bytes"));
    }
    match NormalPath::parse(path.as_bytes()) {
        Ok(normal) if normal.as_str() == path => Ok(path),
        Ok(normal) => Err(format!("`{path}` is not in normal form; write `{}`", normal.as_str())),
        Err(_) => Err(format!(
            "`{path}` is no path in normal form: it starts with /, has no dot segment, no //, no \\, #, ?, ; or \
             control character, encoded or not, and percent-encodes what is not ASCII"
        )),
    }
}

/// Whether the glob covers the text, or every text of another glob: a `*` on the right is matched by a `*`
/// on the left alone, for no other character stands for all runs. Takes time in the product of the lengths.
fn glob_covers(glob: &str, text: &str) -> bool {
    let (glob, text) = (glob.as_bytes(), text.as_bytes());
    let (mut at, mut seen) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while seen < text.len() {
        match glob.get(at) {
            Some(b'*') => {
                at += 1;
                retry = Some((at, seen));
            }
            Some(byte) if text.get(seen) == Some(byte) => {
                at += 1;
                seen += 1;
            }
            _ => match retry {
                None => return false,
                Some((star, from)) => {
                    at = star;
                    seen = from + 1;
                    retry = Some((star, seen));
                }
            },
        }
    }
    glob.get(at..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::test;

    #[track_caller]
    fn check(pattern: &str, text: &str, expect: bool) {
        let read = |text: &str| template_segment(text).unwrap();
        assert_eq!(read(pattern).covers(&read(text)), expect, "{pattern} covers {text}");
    }

    #[test]
    fn segments_cover_segments() {
        check("a", "a", true);
        check("a", "A", false);
        check("{x}", "a", true);
        check("{x}", "", false);
        check("{x}", "{y}", true);
        check("{x}", "*", false);
        check("{x}", "a*", true);
        check("*", "", true);
        check("*", "{x}", true);
        check("get_*", "get_", true);
        check("get_*", "get_list", true);
        check("get_*", "forget_list", false);
        check("get_*", "get_*", true);
        check("get_*", "get_x*", true);
        check("get_x*", "get_*", false);
        check("*_list", "get_list", true);
        check("*_list", "get_list_", false);
        check("a*b*c", "aXbYc", true);
        check("a*b*c", "aXc", false);
        check("a*b*c", "a*b*b*c", true);
        check("a", "a*", false);
        check("*a", "aaaab", false);
    }

    #[test]
    fn templates_are_checked() {
        for bad in ["/a{x}", "/{}", "/{x-y}", "/{x", "a", "/a//b", "/%61", "/a;b", "/../a"] {
            assert!(Pattern::template(bad).is_err(), "{bad}");
        }
        assert!(Pattern::prefix("/%7e").unwrap_err().contains("`/~`"));
    }
}
