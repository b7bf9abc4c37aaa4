//! A regular file as it was when it was opened.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use http::header::HeaderValue;

use super::cache::LARGEST;
use super::policy;
use super::ranges::Part;
use crate::body::Body;
use crate::compress::{self, Coding, Encoders, Kept};
use crate::conditions::{Validators, http_date};
use crate::request::Request;
use crate::wasm::Work;

/// A regular file below a root, as it was when it was opened.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) length: u64,
    version: Version,
    pub(super) validators: Validators,
    pub(super) content_type: HeaderValue,
    /// Whether it may become smaller in a coding.
    pub(super) compressible: bool,
    content: Content,
    /// The content in the codings that are made here, once it was asked for;
    /// `None` inside for what does not become smaller.
    encoded: Kept,
}

/// What changes when a file does, or when another takes its place.
#[derive(Debug, PartialEq, Eq)]
struct Version {
    device: u64,
    inode: u64,
    length: u64,
    modified: SystemTime,
    changed: (i64, i64),
}

#[derive(Debug)]
enum Content {
    Memory(Bytes),
    Disk(Arc<File>),
}

impl Entry {
    /// The file, unless it is what is known already. A small one is read.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn of(
        file: File,
        metadata: &Metadata,
        name: &Path,
        known: Option<&Arc<Entry>>,
    ) -> io::Result<Arc<Entry>> {
        let version = Version::of(metadata)?;
        if let Some(known) = known.filter(|known| known.version == version) {
            return Ok(known.clone());
        }
        let content = read_small(file, &version)?;
        let since = version.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let etag = format!("\"{:x}-{:x}\"", since.as_nanos(), version.length);
        let validators = Validators {
            etag: HeaderValue::try_from(etag).ok(),
            last_modified: Some(http_date(version.modified)),
        };
        let content_type = policy::content_type(name);
        let large = version.length >= compress::LEAST;
        Ok(Arc::new(Entry {
            compressible: large && compress::is_compressible(&content_type),
            length: version.length,
            version,
            validators,
            content_type,
            content,
            encoded: Default::default(),
        }))
    }

    pub(super) fn modified(&self) -> SystemTime {
        self.version.modified
    }

    pub(super) fn is_in_memory(&self) -> bool {
        matches!(self.content, Content::Memory(_))
    }

    /// All of it.
    ///
    /// # Errors
    /// It cannot be read, or has become shorter.
    pub(crate) fn read(&self) -> io::Result<Bytes> {
        match &self.content {
            Content::Memory(bytes) => Ok(bytes.clone()),
            Content::Disk(file) => {
                let length = usize::try_from(self.length).map_err(io::Error::other)?;
                let mut bytes = BytesMut::zeroed(length);
                file.read_exact_at(&mut bytes, 0)?;
                Ok(bytes.freeze())
            }
        }
    }

    /// All of it, to be sent.
    pub(super) fn body(&self) -> Body {
        self.part(Part { start: 0, length: self.length })
    }

    /// A part of it, to be sent.
    pub(super) fn part(&self, part: Part) -> Body {
        match &self.content {
            Content::Memory(bytes) => {
                let at =
                    |place: u64| usize::try_from(place).unwrap_or(bytes.len()).min(bytes.len());
                bytes.slice(at(part.start)..at(part.start + part.length)).into()
            }
            Content::Disk(file) => Body::File(FileReader::new(file.clone(), part)),
        }
    }

    /// All of it in a coding; the body as it is if it cannot be had so.
    pub(super) fn encoded(
        &self,
        coding: Coding,
        encoders: &Encoders,
        work: &Work,
        request: &Arc<Request>,
    ) -> Result<Body, Body> {
        encoders.file((self.body(), &self.encoded), coding, work, request)
    }
}

impl Version {
    fn of(metadata: &Metadata) -> io::Result<Version> {
        Ok(Version {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: metadata.modified()?,
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// A small file's bytes, unless it changes while it is read.
fn read_small(file: File, version: &Version) -> io::Result<Content> {
    if version.length > LARGEST {
        return Ok(Content::Disk(Arc::new(file)));
    }
    let mut bytes = BytesMut::zeroed(usize::try_from(version.length).unwrap_or_default());
    let read = file.read_exact_at(&mut bytes, 0);
    let same = read.is_ok() && Version::of(&file.metadata()?)? == *version;
    match read {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
        _ if same => Ok(Content::Memory(bytes.freeze())),
        _ => Ok(Content::Disk(Arc::new(file))),
    }
}

/// What is read of a file at once, in bytes.
const PIECE: usize = 64 << 10;

/// Reads a part of a file piece by piece, as much of it as was announced.
#[derive(Debug)]
pub(crate) struct FileReader {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl FileReader {
    fn new(file: Arc<File>, part: Part) -> FileReader {
        FileReader { file, at: part.start, left: part.length }
    }

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
        let count = self.file.read_at(&mut piece, self.at)?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        piece.truncate(count);
        self.at += count as u64;
        self.left -= count as u64;
        Ok(Some(piece.freeze()))
    }
}
