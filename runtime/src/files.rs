//! Static files, in numbered steps.

mod headers;
mod names;
mod policy;

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use rustix::io::Errno;

use crate::body::Body;
use crate::capability::log::escape;
use crate::error::{Refusal, StartError, explain};
use crate::redirect;
use crate::request::Request;
use crate::respond::{Response, has_no_body};
use names::Names;

/// What is read of a file at once, in bytes; a file up to this is sent whole.
const PIECE: usize = 64 << 10;

/// A directory whose files are served. Nothing outside it is reached, not
/// through `..` and not through symbolic links.
#[derive(Debug)]
pub(crate) struct Root {
    dir: Dir,
    names: Names,
}

/// What a path names.
#[derive(Debug)]
pub(crate) enum Found {
    File(OpenFile),
    /// A directory with an index, named without the slash at its end: what the
    /// index links to would be looked for beside it.
    Directory,
}

/// A regular file below a root, opened for reading.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: File,
    pub(crate) length: u64,
    modified: SystemTime,
    content_type: HeaderValue,
}

impl Root {
    /// Opens a directory.
    ///
    /// # Errors
    /// It is none, or cannot be read.
    pub(crate) fn open(path: &Path) -> Result<Root, StartError> {
        let listed = std::fs::read_dir(path).map(drop);
        let dir = listed.and_then(|()| Dir::open_ambient_dir(path, ambient_authority()));
        dir.map(|dir| Root { dir, names: Names::default() })
            .map_err(|error| StartError::Directory { path: path.into(), why: explain(&error) })
    }

    /// Opens the file that a decoded path names; a path that ends with a slash
    /// names its `index.html`. `None` for all that is not a regular file below
    /// the root.
    ///
    /// # Errors
    /// The file may be there, but the system does not give it.
    pub(crate) fn find(&self, path: &str) -> io::Result<Option<Found>> {
        // 1. What the path may name at all.
        if !self.names.may_have(&self.dir, policy::top(path)) {
            return Ok(None);
        }
        let Some(relative) = policy::relative(path) else { return Ok(None) };
        if path.is_empty() {
            return Ok(self.open_below(&relative)?.map(|_| Found::Directory));
        }
        Ok(match self.open_below(&relative)? {
            None => None,
            Some((file, metadata)) if metadata.is_file() => Some(Found::File(OpenFile {
                file,
                length: metadata.len(),
                modified: metadata.modified()?,
                content_type: policy::content_type(&relative),
            })),
            // A directory without the slash at its end.
            Some(_) => {
                let index = self.open_below(&relative.join(policy::INDEX))?;
                index.filter(|(_, metadata)| metadata.is_file()).map(|_| Found::Directory)
            }
        })
    }

    fn open_below(&self, relative: &Path) -> io::Result<Option<(File, Metadata)>> {
        // 2. Open it below the root: `openat2` with RESOLVE_BENEATH.
        //    SECURITY: without O_NONBLOCK the open of a FIFO would wait for ever.
        let mut options = OpenOptions::new();
        cap_std::fs::OpenOptionsExt::custom_flags(options.read(true), NONBLOCK);
        let file = match self.dir.open_with(relative, &options) {
            Ok(file) => file.into_std(),
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        // 3. Only regular files and directories, asked of the open descriptor.
        let metadata = file.metadata()?;
        let known = metadata.is_file() || metadata.is_dir();
        Ok(known.then_some((file, metadata)))
    }
}

/// No file, or none below the root: cap-std's answer to a path that leaves it is
/// a permission that it denies.
fn is_missing(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    match error.raw_os_error() {
        None => error.kind() == PermissionDenied,
        Some(code) => matches!(error.kind(), NotFound | NotADirectory) || MISSING.contains(&code),
    }
}

/// A name that is too long, links in a circle, a path that `openat2` will not
/// follow out of the root, a socket or device that nobody serves.
const MISSING: [i32; 5] = [
    Errno::NAMETOOLONG.raw_os_error(),
    Errno::LOOP.raw_os_error(),
    Errno::XDEV.raw_os_error(),
    Errno::NXIO.raw_os_error(),
    Errno::NODEV.raw_os_error(),
];

const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();

/// The answer to a request for what a decoded path names below a root; `None`
/// if that is nothing.
///
/// # Errors
/// The system does not give the file.
pub(crate) fn answer(
    root: &Root,
    path: &str,
    request: &Request,
) -> Result<Option<Response>, Refusal> {
    let unreadable = |error| Refusal::Unreadable { path: escape(path.as_bytes()), error };
    Ok(root.find(path).map_err(unreadable)?.map(|found| match found {
        Found::File(file) => send_for_guest(file, StatusCode::OK, HeaderMap::new(), request),
        Found::Directory => redirect::with_slash(request),
    }))
}

/// The same with a guest's status and headers. Validators and lengths are the
/// server's; the type is the guest's if it names one.
pub(crate) fn send_for_guest(
    found: OpenFile,
    status: StatusCode,
    mut headers: HeaderMap,
    request: &Request,
) -> Response {
    // 4. Validators: the client may have this version already.
    let validators = headers::Validators::new(found.modified, found.length);
    validators.insert(&mut headers);
    let unchanged = status == StatusCode::OK && validators.match_request(request);
    // 5. Headers.
    if !unchanged {
        headers.entry(header::CONTENT_TYPE).or_insert(found.content_type.clone());
        headers.insert(header::CONTENT_LENGTH, found.length.into());
    }
    if has_no_body(status) {
        headers.remove(header::CONTENT_LENGTH);
    }
    // 6. The body, unless none was asked for.
    let bodiless = unchanged || request.method == Method::HEAD || has_no_body(status);
    let mut response = Response::new(if bodiless { Body::empty() } else { found.into_body() });
    *response.status_mut() = if unchanged { StatusCode::NOT_MODIFIED } else { status };
    *response.headers_mut() = headers;
    response
}

impl OpenFile {
    fn into_body(self) -> Body {
        Body::File(FileReader { file: self.file, left: self.length })
    }
}

/// Reads a file piece by piece, as much of it as was announced.
#[derive(Debug)]
pub(crate) struct FileReader {
    file: File,
    left: u64,
}

impl FileReader {
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// The next bytes, `None` after the last.
    ///
    /// # Errors
    /// The file cannot be read, or has become shorter: the connection is
    /// broken off rather than that the answer ends as if it were whole.
    pub(crate) fn next_piece(&mut self) -> io::Result<Option<Bytes>> {
        let most = usize::try_from(self.left).unwrap_or(PIECE).min(PIECE);
        if most == 0 {
            return Ok(None);
        }
        let mut piece = BytesMut::zeroed(most);
        let count = self.file.read(&mut piece)?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        piece.truncate(count);
        self.left -= count as u64;
        Ok(Some(piece.freeze()))
    }
}
