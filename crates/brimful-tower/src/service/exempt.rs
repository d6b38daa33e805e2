//! [`Exempt`]: the requests that are not limited.

use http::Method;

use crate::key::RequestHead;

/// The methods and paths that are not limited.
#[derive(Debug, Default)]
pub(super) struct Exempt {
    methods: Vec<Method>,
    paths: Vec<Paths>,
}

#[derive(Debug)]
enum Paths {
    One(Box<str>),
    /// All that begin with this text.
    Below(Box<str>),
}

impl Exempt {
    pub(super) fn methods(&mut self, methods: impl IntoIterator<Item = Method>) {
        self.methods.extend(methods);
    }

    /// Adds a path, or all paths that begin with the text before a final `*`.
    pub(super) fn path(&mut self, path: &str) {
        self.paths.push(match path.strip_suffix('*') {
            Some(beginning) => Paths::Below(beginning.into()),
            None => Paths::One(path.into()),
        });
    }

    /// Whether nearly all requests are exempt.
    pub(super) fn covers_all(&self) -> bool {
        let everywhere = |paths: &Paths| matches!(paths, Paths::Below(beginning) if matches!(&**beginning, "" | "/"));
        let usual = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        self.paths.iter().any(everywhere) || usual.iter().all(|method| self.methods.contains(method))
    }

    #[inline]
    pub(super) fn covers(&self, head: &RequestHead<'_>) -> bool {
        self.methods.contains(head.method) || self.paths.iter().any(|paths| paths.cover(head.uri.path()))
    }
}

impl Paths {
    fn cover(&self, path: &str) -> bool {
        match self {
            Paths::One(one) => **one == *path,
            Paths::Below(beginning) => path.strip_prefix(&**beginning).is_some_and(stays_below),
        }
    }
}

/// Whether a server that normalizes the path does not leave the folder in which this rest begins: no step may go up, in
/// no spelling.
fn stays_below(rest: &str) -> bool {
    let rest = rest.to_ascii_lowercase();
    let is_step = |part: &str| matches!(part, "." | "..");
    let is_encoded = ["%2e", "%2f", "%5c", "\\"].iter().any(|encoded| rest.contains(encoded));
    // `;` begins a parameter, which some servers cut off.
    !is_encoded && !rest.split('/').any(|part| is_step(part.split(';').next().unwrap_or(part)))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn covers(exempt: &Exempt, method: Method, uri: &str) -> bool {
        let request = Request::builder().method(method).uri(uri).body(()).unwrap();
        exempt.covers(&RequestHead::from(&request))
    }

    #[test]
    fn methods_and_paths_are_exempt() {
        let mut exempt = Exempt::default();
        assert!(!covers(&exempt, Method::GET, "/"));
        exempt.methods([Method::OPTIONS]);
        exempt.path("/health");
        exempt.path("/static/*");
        assert!(covers(&exempt, Method::OPTIONS, "/api"));
        for (uri, expected) in [
            ("/health", true),
            ("/health?a", true),
            ("/health/", false),
            ("/Health", false),
            ("/healthy", false),
            ("/api/health", false),
            ("/static/", true),
            ("/static/a/b.css?c", true),
            ("/static", false),
            ("/statics", false),
            ("/static/a..b/.c/...", true),
        ] {
            assert_eq!(covers(&exempt, Method::GET, uri), expected, "{uri}");
        }
    }

    /// If a server resolves these steps behind the rate limit, they lead to other paths.
    #[test]
    fn a_path_that_may_lead_elsewhere_is_not_exempt() {
        let mut exempt = Exempt::default();
        exempt.path("/static/*");
        for rest in [
            "../api",
            "a/../../api",
            "..",
            "./x",
            "%2e%2e/api",
            "%2E./api",
            ".%2e/api",
            "..%2fapi",
            "a%2F..%2f..%2Fapi",
            "..%5capi",
            "..;/api",
            "..;a=b/api",
            "a/..;/..;/api",
        ] {
            assert!(!covers(&exempt, Method::GET, &format!("/static/{rest}")), "{rest}");
        }
    }
}
