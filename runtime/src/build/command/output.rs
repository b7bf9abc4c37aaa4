//! One output of a tool: the first bytes are kept, the rest is read and dropped.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::OUTPUT_KEPT;

/// An output that is read as far as there is any.
pub(super) struct Output {
    /// `None` once the last writer has closed it.
    pipe: Option<File>,
    kept: Vec<u8>,
    /// Bytes that were read.
    pub(super) read: usize,
}

impl Output {
    pub(super) fn new(pipe: Option<OwnedFd>) -> Output {
        Output { pipe: pipe.map(File::from), kept: Vec::new(), read: 0 }
    }

    pub(super) fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    pub(super) fn pipe(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Reads once, when there is something to read.
    pub(super) fn read_some(&mut self) {
        let mut buffer = [0; 1 << 16];
        let Some(pipe) = &mut self.pipe else { return };
        match pipe.read(&mut buffer) {
            Ok(length) if length > 0 => {
                let room = OUTPUT_KEPT - self.kept.len();
                self.kept.extend_from_slice(&buffer[..length.min(room)]);
                self.read += length;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            _ => self.pipe = None,
        }
    }

    pub(super) fn text(self) -> String {
        String::from_utf8_lossy(&self.kept).into_owned()
    }
}
