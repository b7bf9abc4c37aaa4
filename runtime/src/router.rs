//! Which route answers a path and a method. Pure data: what a route does is not
//! known here.
//!
//! Patterns are made of segments: literal, `:name` for one segment, a final `*`
//! for the rest. The most specific pattern wins: at each segment a literal
//! before a parameter before a wildcard.

use std::collections::HashMap;

use http::Method;

/// The routes of one host, as a tree of segments.
#[derive(Debug)]
pub(crate) struct Router<T> {
    root: Node<T>,
}

#[derive(Debug)]
struct Node<T> {
    literals: HashMap<Box<str>, Node<T>>,
    parameter: Option<Box<Node<T>>>,
    wildcard: Vec<Route<T>>,
    here: Vec<Route<T>>,
}

/// A pattern, the methods that it answers, and what answers.
#[derive(Debug)]
pub(crate) struct Route<T> {
    /// None: any method.
    methods: Option<Vec<Method>>,
    /// The names of the parameters, in order.
    names: Vec<String>,
    /// The bytes of a path before the first parameter or wildcard, without the
    /// slash at the end.
    mounted: usize,
    target: T,
}

/// What a path matched.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Found {
    mounted: usize,
    /// Names and values of the parameters.
    pub(crate) params: Vec<(String, String)>,
}

/// Why no route answers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    NotFound,
    /// Routes of other methods match.
    Method {
        allow: Vec<Method>,
    },
}

impl Found {
    /// The part of the path where the route is mounted.
    pub(crate) fn script_name<'a>(&self, path: &'a str) -> &'a str {
        path.get(..self.mounted).unwrap_or_default()
    }

    /// The rest of the path.
    pub(crate) fn path_info<'a>(&self, path: &'a str) -> &'a str {
        path.get(self.mounted..).unwrap_or_default()
    }
}

impl<T> Default for Node<T> {
    fn default() -> Node<T> {
        Node { literals: HashMap::new(), parameter: None, wildcard: Vec::new(), here: Vec::new() }
    }
}

impl<T> Router<T> {
    pub(crate) fn new() -> Router<T> {
        Router { root: Node::default() }
    }

    /// Adds a pattern that starts with a slash. Methods `None` is any.
    pub(crate) fn add(&mut self, pattern: &str, methods: Option<Vec<Method>>, target: T) {
        let mut node = &mut self.root;
        let mut names = Vec::new();
        let mut mounted = None;
        let mut length = 0;
        for segment in segments(pattern) {
            if segment == "*" {
                let mounted = mounted.unwrap_or(length);
                let route = Route { methods, names, mounted, target };
                return insert(&mut node.wildcard, route);
            }
            node = match segment.strip_prefix(':') {
                Some(name) => {
                    mounted.get_or_insert(length);
                    names.push(name.to_owned());
                    node.parameter.get_or_insert_default()
                }
                None => node.literals.entry(segment.into()).or_default(),
            };
            length += 1 + segment.len();
        }
        // The slash of `/` itself is path, not mount.
        let mounted = mounted.unwrap_or(if pattern == "/" { 0 } else { length });
        insert(&mut node.here, Route { methods, names, mounted, target });
    }

    /// Finds the route for a decoded path.
    pub(crate) fn find(&self, path: &str, method: &Method) -> Result<(&T, Found), Miss> {
        let mut values = Vec::new();
        let mut allow = Vec::new();
        let path = path.strip_prefix('/').unwrap_or(path);
        match self.root.find(Some(path), method, &mut values, &mut allow) {
            Some(route) => {
                let values = values.into_iter().map(str::to_owned);
                let params = route.names.iter().cloned().zip(values).collect();
                Ok((&route.target, Found { mounted: route.mounted, params }))
            }
            None if allow.is_empty() => Err(Miss::NotFound),
            None => Err(Miss::Method { allow }),
        }
    }
}

impl<T> Node<T> {
    /// Walks down what is left of a path, `None` behind its last segment; comes
    /// back up where a more specific way ends in nothing.
    fn find<'a, 'p>(
        &'a self,
        path: Option<&'p str>,
        method: &Method,
        values: &mut Vec<&'p str>,
        allow: &mut Vec<Method>,
    ) -> Option<&'a Route<T>> {
        if let Some(path) = path {
            let (segment, rest) = match path.split_once('/') {
                Some((segment, rest)) => (segment, Some(rest)),
                None => (path, None),
            };
            let literal = self.literals.get(segment);
            if let Some(route) = literal.and_then(|n| n.find(rest, method, values, allow)) {
                return Some(route);
            }
            if let (Some(node), false) = (&self.parameter, segment.is_empty()) {
                values.push(segment);
                if let Some(route) = node.find(rest, method, values, allow) {
                    return Some(route);
                }
                values.pop();
            }
            return answering(&self.wildcard, method, allow);
        }
        answering(&self.here, method, allow)
    }
}

/// A route with methods goes before those for any method.
fn insert<T>(routes: &mut Vec<Route<T>>, route: Route<T>) {
    let any = routes.iter().position(|other| other.methods.is_none());
    let at = any.filter(|_| route.methods.is_some()).unwrap_or(routes.len());
    routes.insert(at, route);
}

/// The first of some routes that answers a method; else their methods are noted.
fn answering<'a, T>(
    routes: &'a [Route<T>],
    method: &Method,
    allow: &mut Vec<Method>,
) -> Option<&'a Route<T>> {
    for route in routes {
        let Some(methods) = &route.methods else { return Some(route) };
        let head = *method == Method::HEAD && methods.contains(&Method::GET);
        if head || methods.contains(method) {
            return Some(route);
        }
        // Who answers GET answers HEAD.
        let head = methods.contains(&Method::GET).then_some(&Method::HEAD);
        for method in methods.iter().chain(head) {
            if !allow.contains(method) {
                allow.push(method.clone());
            }
        }
    }
    None
}

/// The segments of a path after its first slash: `/` has one, which is empty.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(patterns: &[&'static str]) -> Router<&'static str> {
        let mut router = Router::new();
        for pattern in patterns {
            router.add(pattern, None, *pattern);
        }
        router
    }

    #[test]
    fn the_most_specific_pattern_wins() {
        let router = router(&["/*", "/", "/a", "/a/*", "/a/:x", "/a/b", "/:x/c", "/a/:x/d"]);
        for (path, pattern) in [
            ("/", "/"),
            ("/x", "/*"),
            ("/a", "/a"),
            ("/a/", "/a/*"),
            ("/a/b", "/a/b"),
            ("/a/z", "/a/:x"),
            ("/a/z/d", "/a/:x/d"),
            ("/a/z/y", "/a/*"),
            ("/b/c", "/:x/c"),
            ("/b/d", "/*"),
            ("//", "/*"),
        ] {
            let found = router.find(path, &Method::GET).map(|(target, _)| *target);
            assert_eq!(found, Ok(pattern), "{path}");
        }
    }

    #[test]
    fn mounts_split_the_path() {
        let router = router(&["/*", "/blog", "/blog/*", "/item/:id/*"]);
        for (path, script_name, path_info) in [
            ("/", "", "/"),
            ("/x/y", "", "/x/y"),
            ("/blog", "/blog", ""),
            ("/blog/", "/blog", "/"),
            ("/blog/a", "/blog", "/a"),
            ("/item/7/x", "/item", "/7/x"),
        ] {
            let (_, found) = router.find(path, &Method::GET).unwrap();
            assert_eq!(
                (found.script_name(path), found.path_info(path)),
                (script_name, path_info),
                "{path}"
            );
        }
    }

    #[test]
    fn parameters_are_captured_by_name() {
        let router = router(&["/:shelf/:book"]);
        let (_, found) = router.find("/s 1/b%2F2", &Method::GET).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(found.params, [pair("shelf", "s 1"), pair("book", "b%2F2")]);
        assert_eq!(router.find("//b", &Method::GET), Err(Miss::NotFound));
    }

    #[test]
    fn methods_select_and_their_absence_is_told() {
        let mut router = Router::new();
        router.add("/a", Some(vec![Method::GET]), "get");
        router.add("/a", Some(vec![Method::PUT]), "put");
        router.add("/any", None, "any");
        router.add("/any", Some(vec![Method::PUT]), "put");
        let any = |method| router.find("/any", &method).map(|(target, _)| *target);
        assert_eq!([any(Method::PUT), any(Method::POST)], [Ok("put"), Ok("any")]);
        let find = |method| router.find("/a", &method).map(|(target, _)| *target);
        assert_eq!(find(Method::HEAD), Ok("get"));
        assert_eq!(find(Method::PUT), Ok("put"));
        let allow = vec![Method::GET, Method::HEAD, Method::PUT];
        assert_eq!(find(Method::POST), Err(Miss::Method { allow }));
    }
}
