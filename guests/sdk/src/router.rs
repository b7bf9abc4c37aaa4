//! Many paths in one component.

use crate::env::Env;
use crate::error::Error;
use crate::into_response::IntoResponse;
use crate::response::Response;

/// A table of paths and methods, each with a handler.
///
/// Patterns match the decoded segments of [`Env::path`]: `/pic` is itself,
/// `:name` captures one segment, a final `*` captures the rest as `*`. The first
/// pattern that matches wins. A path in no pattern is 404; a method that no
/// pattern of the path has is 405 with `Allow`. `get` answers `HEAD` too: the
/// server leaves out the body.
///
/// ```
/// use myweb::{Env, Response, Router, handler};
///
/// #[handler]
/// fn application(env: Env) -> Response {
///     Router::new().get("/", |_| "home\n").get("/item/:id", item).handle(env)
/// }
///
/// fn item(env: Env) -> String {
///     format!("item {}\n", env.param("id").unwrap_or("?"))
/// }
///
/// assert_eq!(application(Env::get("/item/7")).text(), "item 7\n");
/// assert_eq!(application(Env::get("/nothing")).status(), 404);
/// assert_eq!(application(Env::post("/", "")).header("allow"), Some("GET, HEAD"));
/// ```
#[derive(Default)]
pub struct Router<'a> {
    routes: Vec<Route<'a>>,
}

struct Route<'a> {
    method: &'a str,
    pattern: &'a str,
    handler: Box<dyn Fn(Env) -> Response + 'a>,
}

impl<'a> Router<'a> {
    /// An empty table, which answers 404 to everything.
    pub fn new() -> Router<'a> {
        Router::default()
    }

    /// Answers `GET` and `HEAD` of a pattern.
    #[must_use]
    pub fn get<R: IntoResponse>(self, pattern: &'a str, handler: impl Fn(Env) -> R + 'a) -> Self {
        self.on("GET", pattern, handler)
    }

    /// Answers `POST` of a pattern.
    #[must_use]
    pub fn post<R: IntoResponse>(self, pattern: &'a str, handler: impl Fn(Env) -> R + 'a) -> Self {
        self.on("POST", pattern, handler)
    }

    /// Answers `PUT` of a pattern.
    #[must_use]
    pub fn put<R: IntoResponse>(self, pattern: &'a str, handler: impl Fn(Env) -> R + 'a) -> Self {
        self.on("PUT", pattern, handler)
    }

    /// Answers `DELETE` of a pattern.
    #[must_use]
    pub fn delete<R: IntoResponse>(
        self,
        pattern: &'a str,
        handler: impl Fn(Env) -> R + 'a,
    ) -> Self {
        self.on("DELETE", pattern, handler)
    }

    /// Answers any one method of a pattern.
    #[must_use]
    pub fn on<R: IntoResponse>(
        mut self,
        method: &'a str,
        pattern: &'a str,
        handler: impl Fn(Env) -> R + 'a,
    ) -> Self {
        let handler = Box::new(move |env| handler(env).into_response());
        self.routes.push(Route { method, pattern, handler });
        self
    }

    /// Answers a request with the route that matches it.
    pub fn handle(&self, mut env: Env) -> Response {
        let mut allowed = Vec::new();
        for route in &self.routes {
            let Some(params) = captures(route.pattern, env.path()) else { continue };
            if route.answers(env.method()) {
                env.params.extend(params);
                return (route.handler)(env);
            }
            let head = (route.method == "GET").then_some("HEAD");
            for method in [route.method].into_iter().chain(head) {
                if !allowed.contains(&method) {
                    allowed.push(method);
                }
            }
        }
        if allowed.is_empty() {
            return Error::not_found("Not found").into_response();
        }
        Error::new(405, "Method not allowed")
            .into_response()
            .with_header("allow", allowed.join(", "))
    }
}

impl Route<'_> {
    fn answers(&self, method: &str) -> bool {
        self.method == method || (self.method == "GET" && method == "HEAD")
    }
}

/// What a pattern captures of a path, or `None` if it does not match.
fn captures(pattern: &str, path: &str) -> Option<Vec<(String, String)>> {
    let mut params = Vec::new();
    let mut segments = split(path);
    for part in split(pattern) {
        if part == "*" {
            let rest: Vec<&str> = segments.collect();
            params.push(("*".to_owned(), rest.join("/")));
            return Some(params);
        }
        let segment = segments.next()?;
        match part.strip_prefix(':') {
            Some(name) if !segment.is_empty() => params.push((name.to_owned(), segment.to_owned())),
            _ if part == segment => {}
            _ => return None,
        }
    }
    segments.next().is_none().then_some(params)
}

/// The segments of a path; an empty path is `/`.
fn split(path: &str) -> std::str::Split<'_, char> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_segments() {
        for (pattern, path, captured) in [
            ("/", "/", Some(vec![])),
            ("/", "", Some(vec![])),
            ("/a", "/a", Some(vec![])),
            ("/a", "/a/", None),
            ("/a", "/ab", None),
            ("/a/:id", "/a/1", Some(vec![("id", "1")])),
            ("/a/:id", "/a/", None),
            ("/:x/:y", "/1/2", Some(vec![("x", "1"), ("y", "2")])),
            ("/a/*", "/a/b/c", Some(vec![("*", "b/c")])),
            ("/a/:id", "/a/b%2Fc", Some(vec![("id", "b%2Fc")])),
        ] {
            let found = captures(pattern, path);
            let found: Option<Vec<_>> = found.as_ref().map(|params| {
                params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
            });
            assert_eq!(found, captured, "{pattern} {path}");
        }
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        let router = Router::new().get("/a", |_| "got").put("/a", |_| "put").get("/:b", |_| "");
        assert_eq!(router.handle(Env::new("PUT", "/a", Vec::new())).text(), "put");
        assert_eq!(router.handle(Env::new("HEAD", "/a", Vec::new())).text(), "got");
        let refused = router.handle(Env::post("/a", ""));
        assert_eq!((refused.status(), refused.header("allow")), (405, Some("GET, HEAD, PUT")));
    }
}
