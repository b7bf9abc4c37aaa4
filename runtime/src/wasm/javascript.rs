//! A request as an app in JavaScript is given it, `interface app` of
//! `guests/javascript/wit/javascript.wit`.

use url::Url;

use super::script::Text;
use crate::request::Request;
use crate::router::Found;

/// The text of a request.
pub(super) fn request(request: &Request, found: &Found) -> String {
    let (scheme, host, uri) = (request.scheme(), request.host.as_str(), request.target());
    let mut text = Text::new();
    text.0.push_str(request.method.as_str());
    text.add_text(&url(scheme, host, request.written_port(), uri));
    text.add_text(scheme);
    text.add_text(host);
    text.add_shown(request.port);
    text.add_text(found.script_name(&request.path));
    text.add_text(found.path_info(&request.path));
    text.add_text(request.uri.query().unwrap_or_default());
    text.add_text(uri);
    text.add_text(request.protocol());
    text.add_shown(request.remote.ip());
    text.add_text(&request.id);
    text.add_shown(found.params.len());
    text.add_params(found);
    for (name, value) in &request.headers {
        text.add_text(name.as_str());
        text.add(value.as_bytes());
    }
    text.0
}

/// The whole URL, as a parser writes it; put together where it takes it for none.
fn url(scheme: &str, host: &str, port: Option<u16>, uri: &str) -> String {
    let host = if host.is_empty() { "localhost" } else { host };
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    // SECURITY: a parser takes a backslash of the path for a slash: the app would be
    // told another path than the one that was routed.
    let (path, query) = uri.find('?').map_or((uri, ""), |at| uri.split_at(at));
    let url = format!("{scheme}://{host}{port}{}{query}", path.replace('\\', "%5C"));
    Url::parse(&url).map_or(url, String::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_the_path_that_is_routed() {
        for (host, port, uri, expected) in [
            ("a.example", None, "/", "http://a.example/"),
            ("a.example", Some(8080), "/b?c#d", "http://a.example:8080/b?c#d"),
            ("", None, "/b", "http://localhost/b"),
            ("[::1]", Some(1), "/b", "http://[::1]:1/b"),
            ("a.example", None, "/x\\..\\y?\\..", "http://a.example/x%5C..%5Cy?\\.."),
            ("a.example", None, "/\u{e9}", "http://a.example/%C3%A9"),
            // No parser takes it: its last label is a number.
            ("foo.1", None, "/b", "http://foo.1/b"),
        ] {
            assert_eq!(url("http", host, port, uri), expected);
        }
    }
}
