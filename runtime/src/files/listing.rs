//! The page that lists a directory.

use std::fmt::Write;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use cap_std::fs::{Dir, Metadata, ReadDir};
use http::header::{self, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::policy;
use crate::body::{Body, Later};
use crate::conditions::http_date;
use crate::request::Request;
use crate::respond::Response;
use crate::wasm::Work;

/// More entries are not listed, which the page says.
const MOST: usize = 2_000;

/// Entries that are looked up where connections are served, as long as the tenant's
/// share lasts, and in one turn of the background.
const SHORT: usize = 32;
const PIECE: usize = 200;

/// What needs no encoding in a segment of a path (RFC 3986 section 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A line of the page. Directories stand before files, each by their names.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    is_file: bool,
    name: String,
    length: u64,
    modified: String,
}

/// The page for a directory. A short one is made at once; a long one is made in the
/// background while its head is sent.
///
/// # Errors
/// The directory cannot be read.
pub(super) fn page(dir: Dir, request: &Arc<Request>, work: &Work) -> io::Result<Response> {
    let entries = dir.entries()?;
    let mut listing = Listing { dir, entries, read: 0, lines: Vec::new(), end: None };
    if work.may_run_here() {
        work.here(request, || listing.read(SHORT))?;
    }
    let body = match listing.end {
        Some(_) => listing.html(&request.path).into(),
        None => Body::Later(Later::new(finish(listing, request.clone(), work.clone()))),
    };
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// The page of a directory of which the rest is read in the background.
async fn finish(mut listing: Listing, request: Arc<Request>, work: Work) -> io::Result<Bytes> {
    let failed = || io::Error::other("the listing failed");
    while listing.end.is_none() {
        let read = move || listing.read(PIECE).map(|()| listing);
        listing = work.start(&request, read).await.ok_or_else(failed)??;
    }
    let of = request.clone();
    work.start(&request, move || listing.html(&of.path)).await.ok_or_else(failed)
}

/// A directory while it is read.
struct Listing {
    dir: Dir,
    entries: ReadDir,
    /// Entries that were read, listed or not.
    read: usize,
    lines: Vec<Line>,
    end: Option<End>,
}

/// How the reading ended.
#[derive(PartialEq, Eq)]
enum End {
    Whole,
    /// There are more entries than are listed.
    Cut,
}

impl Listing {
    /// Reads so many entries more.
    fn read(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            let Some(entry) = self.entries.next() else {
                self.end = Some(End::Whole);
                return Ok(());
            };
            if self.read == MOST {
                self.end = Some(End::Cut);
                return Ok(());
            }
            self.read += 1;
            let entry = entry?;
            // Followed below the root only: what leads out of it is not listed.
            let metadata = self.dir.metadata(entry.file_name());
            let name = entry.file_name().into_string().ok();
            let found = name.zip(metadata.ok());
            self.lines.extend(found.and_then(|(name, metadata)| line(name, &metadata)));
        }
        Ok(())
    }

    fn html(mut self, path: &str) -> Bytes {
        self.lines.sort();
        let mut html = html(path, &self.lines);
        if self.end == Some(End::Cut) {
            // Writing to a String cannot fail.
            let _ = writeln!(html, "<p>More than {MOST} entries are not listed.");
        }
        html.into()
    }
}

/// What is not served is not listed.
fn line(name: String, metadata: &Metadata) -> Option<Line> {
    policy::relative(&name)?;
    let known = metadata.is_file() || metadata.is_dir();
    let modified = metadata.modified().ok().map(|time| http_date(time.into_std()));
    let modified = modified.and_then(|date| Some(date.to_str().ok()?.to_owned()));
    known.then(|| Line {
        is_file: metadata.is_file(),
        name,
        length: metadata.len(),
        modified: modified.unwrap_or_default(),
    })
}

fn html(path: &str, lines: &[Line]) -> String {
    let title = escaped(path);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n<h1>{title}</h1>\n<table>\n\
         <thead><tr><th>Name<th>Size<th>Modified</thead>\n"
    );
    if path != "/" {
        html.push_str("<tr><td><a href=\"../\">../</a><td><td>\n");
    }
    for line in lines {
        let slash = if line.is_file { "" } else { "/" };
        let (link, name) = (utf8_percent_encode(&line.name, SEGMENT), escaped(&line.name));
        let size = if line.is_file { size(line.length) } else { String::new() };
        // Writing to a String cannot fail.
        let _ = writeln!(
            html,
            "<tr><td><a href=\"./{link}{slash}\">{name}{slash}</a><td>{size}<td>{}",
            line.modified
        );
    }
    html.push_str("</table>\n");
    html
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
    padding:0 1rem}table{width:100%;border-collapse:collapse}th{text-align:left}\
    td,th{padding:.25rem .5rem;border-bottom:1px solid #8884}td:nth-child(n+2){white-space:nowrap;\
    font-variant-numeric:tabular-nums}a{text-decoration:none}a:hover{text-decoration:underline}";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A size for people, with three digits at most.
fn size(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1_000.0 {
            break;
        }
        (value, unit) = (value / 1_024.0, larger);
    }
    let digits = usize::from(unit != "B" && value < 10.0);
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_in_text_and_in_links() {
        let line = |name: &str, is_file| Line {
            is_file,
            name: name.to_owned(),
            length: 1_536,
            modified: String::new(),
        };
        let page = html("/a\"<b>/", &[line("sub", false), line("<i>&\"a b#?:", true)]);
        assert!(page.contains("<h1>/a&quot;&lt;b&gt;/</h1>"), "{page}");
        assert!(page.contains("<a href=\"./sub/\">sub/</a>"), "{page}");
        let file =
            "<a href=\"./%3Ci%3E%26%22a%20b%23%3F%3A\">&lt;i&gt;&amp;&quot;a b#?:</a><td>1.5 KiB";
        assert!(page.contains(file), "{page}");
    }

    #[test]
    fn sizes_have_three_digits_at_most() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 KiB"),
            (1_536, "1.5 KiB"),
            (102_400, "100 KiB"),
            (10 << 20, "10 MiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
