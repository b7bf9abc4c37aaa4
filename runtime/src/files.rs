//! Static files, in numbered steps.

mod cache;
mod entry;
mod listing;
mod multipart;
mod names;
mod policy;
mod ranges;
mod reserve;
mod root;

use std::io;
use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};

use crate::body::Body;
use crate::capability::log::escape;
use crate::compress::{self, Accepted, Coding, Encoders};
use crate::conditions::Outcome;
use crate::error::Refusal;
use crate::redirect;
use crate::request::Request;
use crate::respond::{Response, has_no_body};
use crate::wasm::Work;
pub(crate) use cache::FileCache;
use cache::{Known, Sibling};
pub(crate) use entry::{Entry, FileReader};
pub(crate) use policy::content_type;
use ranges::Selected;
use root::Found;
pub(crate) use root::Root;

/// Headers of an answer for which there is room at once: nearly all have these.
const HEADERS: usize = 6;

/// A directory of static files as a route serves it.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) root: Arc<Root>,
    /// Whether directories without an index are listed.
    pub(crate) listing: bool,
    /// The path that is answered in place of what is not there.
    pub(crate) fallback: Option<String>,
    /// For files that are not there compressed.
    pub(crate) encoders: Option<Encoders>,
    /// Where files are encoded, and directories listed.
    pub(crate) work: Work,
}

impl Files {
    /// The answer to a request for what a decoded path names; `None` if that is
    /// nothing.
    ///
    /// # Errors
    /// The system does not give the file.
    pub(crate) fn answer(
        &self,
        path: &str,
        request: &Arc<Request>,
    ) -> Result<Option<Response>, Refusal> {
        let answer = self.answer_for(path, request)?;
        match (&self.fallback, answer) {
            (Some(fallback), None) => self.answer_in_place(fallback, request),
            (_, answer) => Ok(answer),
        }
    }

    /// The answer in place of what is not there: a file, or that of a directory.
    fn answer_in_place(
        &self,
        path: &str,
        request: &Arc<Request>,
    ) -> Result<Option<Response>, Refusal> {
        let found = match self.find(path)? {
            Some(Found::Unslashed { .. }) => self.find(&format!("{path}/"))?,
            found => found,
        };
        Ok(match found {
            Some(Found::File(known)) => Some(self.file(&known, request)),
            _ => None,
        })
    }

    fn find(&self, path: &str) -> Result<Option<Found>, Refusal> {
        self.root.find(path).map_err(|error| unreadable(path, error))
    }

    fn file(&self, known: &Known, request: &Arc<Request>) -> Response {
        let siblings = self.root.siblings(known);
        let headers = HeaderMap::with_capacity(HEADERS);
        let encoders = self.encoders.as_ref().map(|encoders| (encoders, &self.work));
        send(&known.entry, &siblings, encoders, StatusCode::OK, headers, request)
    }

    fn answer_for(&self, path: &str, request: &Arc<Request>) -> Result<Option<Response>, Refusal> {
        Ok(match self.find(path)? {
            Some(Found::File(known)) => Some(self.file(&known, request)),
            Some(Found::Unslashed { index }) if index || self.listing => {
                Some(redirect::with_slash(request))
            }
            Some(Found::Directory(dir)) if self.listing => {
                let page = listing::page(dir, request, &self.work);
                Some(page.map_err(|error| unreadable(path, error))?)
            }
            Some(Found::Directory(_) | Found::Unslashed { .. }) | None => None,
        })
    }
}

fn unreadable(path: &str, error: io::Error) -> Refusal {
    Refusal::Unreadable { path: escape(path.as_bytes()), error }
}

/// The answer with a guest's status and headers. Validators and lengths are the
/// server's; the type is the guest's if it names one.
pub(crate) fn send_for_guest(
    entry: &Entry,
    status: StatusCode,
    headers: HeaderMap,
    request: &Arc<Request>,
) -> Response {
    send(entry, &[], None, status, headers, request)
}

/// A file's answer. `siblings` are files that hold the same in a coding.
fn send(
    entry: &Entry,
    siblings: &[Sibling],
    encoders: Option<(&Encoders, &Work)>,
    status: StatusCode,
    mut headers: HeaderMap,
    request: &Arc<Request>,
) -> Response {
    let ok = status == StatusCode::OK;
    let range = request.headers.get(header::RANGE).filter(|_| ok && request.method == Method::GET);
    // 1. The coding. Ranges are of the file itself.
    let encoders = encoders.filter(|_| entry.compressible);
    let made = encoders.is_some();
    let varies = made || !siblings.is_empty();
    if varies {
        compress::add_vary(&mut headers);
    }
    let sibling = |coding| siblings.iter().find(|sibling| sibling.coding == coding);
    let there = |coding: Coding| sibling(coding).is_some() || (made && coding.is_made_here());
    let coding = match varies && range.is_none() {
        true => Accepted::of(&request.headers).best(there),
        false => None,
    };
    let coded = coding.and_then(|coding| match sibling(coding) {
        Some(sibling) => Some((coding, sibling.entry.as_ref(), sibling.entry.body())),
        None => {
            let (encoders, work) = encoders?;
            Some((coding, entry, entry.encoded(coding, encoders, work, request).ok()?))
        }
    });
    let coding = coded.as_ref().map(|(coding, ..)| *coding);
    // 2. What the client has already, or wants to be as it was.
    let source = coded.as_ref().map_or(entry, |(_, source, _)| source);
    let in_coding = coding.map(|coding| source.validators.in_coding(coding.token()));
    let validators = in_coding.as_ref().unwrap_or(&source.validators);
    validators.insert(&mut headers);
    match validators.check(&request.method, &request.headers) {
        Outcome::NotModified if ok => return short(StatusCode::NOT_MODIFIED, headers),
        Outcome::Failed if ok => return short(StatusCode::PRECONDITION_FAILED, headers),
        _ => {}
    }
    headers.entry(header::CONTENT_TYPE).or_insert_with(|| entry.content_type.clone());
    // 3. The parts that it asks for.
    let range = range.filter(|_| validators.allow_range(&request.headers));
    let selected = range.and_then(|range| range.to_str().ok());
    let selected = selected.map_or(Selected::Whole, |range| ranges::select(range, entry.length));
    // 4. The body.
    let (status, body) = match (coded, selected) {
        (Some((coding, _, body)), _) => {
            compress::mark(&mut headers, coding);
            (status, body)
        }
        (None, Selected::Whole) => {
            headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            (status, entry.body())
        }
        (None, Selected::Parts(parts)) => {
            (StatusCode::PARTIAL_CONTENT, multipart::body(entry, &parts, &mut headers))
        }
        (None, Selected::Unsatisfiable) => {
            let whole = HeaderValue::try_from(format!("bytes */{}", entry.length)).ok();
            headers.extend(whole.map(|whole| (header::CONTENT_RANGE, whole)));
            return short(StatusCode::RANGE_NOT_SATISFIABLE, headers);
        }
    };
    let body = if has_no_body(status) { Body::empty() } else { body };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// An answer that is told by its status and headers.
fn short(status: StatusCode, mut headers: HeaderMap) -> Response {
    headers.remove(header::CONTENT_TYPE);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
