//! A digest of several parts. Each is told with its length: what one part ends
//! with is not what the next one begins with.

use sha2::Sha256;
use sha2::digest::Digest as _;

/// Names what is made of parts by their contents.
#[derive(Default)]
pub(super) struct Digest(Sha256);

impl Digest {
    pub(super) fn add(&mut self, part: &[u8]) {
        self.0.update(part.len().to_le_bytes());
        self.0.update(part);
    }

    /// It as the name of a file.
    pub(super) fn name(self) -> String {
        self.0.finalize().iter().take(BYTES).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// How much of a digest tells contents apart, in bytes.
const BYTES: usize = 16;
