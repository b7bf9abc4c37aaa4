//! A request as an app in JavaScript is given it, `interface app` of
//! `guests/javascript/wit/javascript.wit`.

use url::Url;

use super::script::Text;
use crate::request::Request;
use crate::router::Found;

/// The text of a request.
pub(super) fn request(request: &Request, found: &Found) -> String {
    let uri = request.uri.path_and_query().map_or("/", |uri| uri.as_str());
    let (scheme, host) = (request.scheme(), request.host.as_str());
    let mut text = Text::new();
    text.0.push_str(request.method.as_str());
    text.add_text(&url(request, uri));
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

/// The whole URL, as a parser writes it; as it was sent where it is none.
fn url(request: &Request, uri: &str) -> String {
    let host = if request.host.is_empty() { "localhost" } else { &request.host };
    let url = format!("{}://{host}:{}{uri}", request.scheme(), request.port);
    Url::parse(&url).map_or(url, String::from)
}
