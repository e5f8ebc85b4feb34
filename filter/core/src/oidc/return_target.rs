//! Where a login comes back to: a local path by grammar, and never a path of the login itself.

use crate::path::NormalPath;

/// The longest target in bytes: it travels in a cookie, as JSON, where quotation marks count twice.
const MAX_BYTES: usize = 2_048;

/// Reads a target: a path as every rule demands it, with an optional query of visible ASCII. What is none
/// becomes `/`: a login never fails for it, and never leaves the host.
pub(crate) fn read(text: &str, prefix: &str) -> String {
    if is_local(text, prefix) { text.to_owned() } else { "/".to_owned() }
}

fn is_local(text: &str, prefix: &str) -> bool {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let Ok(path) = NormalPath::parse(path.as_bytes()) else { return false };
    let below =
        path.as_str().strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let plain = query.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'\\'));
    let length = text.len() + text.bytes().filter(|byte| *byte == b'"').count();
    length <= MAX_BYTES && !below && plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::test;

    #[test]
    fn local_paths_are_kept_as_they_are() {
        for local in
            ["/", "/a", "/a/b/", "/a?b=c&d=//e", "/a%20b?x=%0d", "/ssox", "/a?http://evil/", "/%C3%A4"]
        {
            assert_eq!(read(local, "/sso"), local);
        }
    }

    /// Matrix row 102: every known shape of a redirect to somewhere else.
    #[test]
    fn whatever_could_lead_elsewhere_becomes_the_root() {
        let hosts = [
            "evil.com",
            "evil.com/",
            "evil.com/%2e%2e",
            "google.com@evil.com",
            "127.0.0.1",
            "[::1]",
            "evil%E3%80%82com",
        ];
        let starts = [
            "//",
            "///",
            "////",
            "/\\",
            "\\/",
            "\\\\",
            "/\\/",
            "\\",
            "https://",
            "http://",
            "HTTPS://",
            "https:",
            "https:/",
            "http:\\\\",
            "ftp://",
            "javascript://",
            "data:text/html,",
            "/%09/",
            "/%0a/",
            "/%0d/",
            "/%00/",
            "/%5c",
            "/%5C%5C",
            "/%2f%2f",
            "/%2F/",
            "/./",
            "/../",
            "/.//",
            "/..//",
            "/%2e%2e/",
            "/%2e/",
            "/;/",
            "/;@",
            "/a/..//",
            "/a//",
            ".",
            "..",
            "@",
            ":",
            "?//",
            "#",
            "/#/",
            "/a#",
            "\t//",
            "\n/",
            " //",
            "/ /",
            "\u{a0}//",
            "/\u{2028}/",
            "\u{ff0f}\u{ff0f}",
            "/%252f",
            "/%25%32%66",
            "",
            "a/",
        ];
        let mut checked = 0;
        for start in starts {
            for host in hosts {
                let text = format!("{start}{host}");
                assert_eq!(read(&text, "/sso"), "/", "{text:?}");
                checked += 1;
            }
        }
        assert!(checked >= 150, "{checked}");
        for text in [
            "javascript:alert(1)",
            "/a\r\nset-cookie: x",
            "/a?b\r\nc",
            "/a?b c",
            "/a?\u{e4}",
            "/a?b#c",
            "/a?b\\c",
            "/%zz",
            "/%",
            "/%ff",
            "/sso",
            "/sso/",
            "/sso/start",
            "/sso/logout?x",
            "/%73so/callback",
            "x",
            "?a=b",
        ] {
            assert_eq!(read(text, "/sso"), "/", "{text:?}");
        }
        assert_eq!(read(&format!("/{}", "a".repeat(8_192)), "/sso"), "/");
        assert_eq!(read(&format!("/?{}", "\"".repeat(2_000)), "/sso"), "/");
        let long = format!("/{}", "a".repeat(2_000));
        assert_eq!(read(&long, "/sso"), long);
    }
}
