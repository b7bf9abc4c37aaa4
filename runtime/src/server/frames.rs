//! Counts what an HTTP/2 client sends that costs it nothing: control frames, and
//! frames that carry nothing. Pure.

/// The preface of a connection (RFC 9113 section 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Such frames a second, and at once, beyond those that go with what is sent.
const MOST: u64 = 1_000;

/// Bytes of answers that bring about one such frame more: a client tells that it
/// has taken them.
const BYTES_A_FRAME: u64 = 1_024;

/// The length of a frame's head (RFC 9113 section 4.1).
const HEAD: usize = 9;

/// What a field of a head takes in memory beside its text, in bytes: its places in a
/// `HeaderMap`. It may be one byte on its way.
pub(super) const FIELD: usize = 114;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

/// The flag of a frame that ends a head.
const END_HEADERS: u8 = 4;

/// Follows the frames of a connection behind its preface.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; HEAD],
    /// How much of the head is there.
    have: usize,
    /// What is left of the frame behind its head.
    left: usize,
    counted: u64,
    /// The second in which frames were counted.
    second: u64,
    /// Bytes of answers that have not brought about frames yet.
    sent: u64,
    /// Within the head of a request, which may be several frames.
    block: bool,
    /// The bytes of its frames that have ended.
    decoded: usize,
    /// The length of the frame that has begun.
    length: usize,
    /// Frames that have begun, those of a head as one.
    begun: u64,
}

impl Frames {
    /// So many bytes of answers were sent.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// Looks at the bytes that arrived next, in this second since any start.
    ///
    /// # Errors
    /// There are too many frames that cost nothing: how many of the bytes stand
    /// before the first one too many, none if it began before them.
    pub(super) fn check(&mut self, bytes: &[u8], second: u64) -> Result<(), usize> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if self.left > 0 {
                let now = self.left.min(rest.len());
                self.left -= now;
                at += now;
                continue;
            }
            let start = at;
            self.begun += u64::from(self.have == 0 && !self.block);
            for byte in rest.iter().take(HEAD - self.have) {
                if let Some(place) = self.head.get_mut(self.have) {
                    *place = *byte;
                }
                self.have += 1;
                at += 1;
            }
            if self.have == HEAD {
                self.have = 0;
                let [a, b, c, kind, flags, ..] = self.head;
                self.length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                self.left = self.length;
                if matches!(kind, HEADERS | CONTINUATION) {
                    self.block = flags & END_HEADERS == 0;
                    self.decoded = if self.block { self.decoded + self.length } else { 0 };
                }
                if self.is_free(kind) && !self.may_have_one_more(second) {
                    return Err(start);
                }
            }
        }
        Ok(())
    }

    /// The number of the frame, or head of a request, that has begun and not
    /// ended, if there is one. The body of a request has its own time.
    pub(super) fn head(&self) -> Option<u64> {
        let [.., kind, _, _, _, _, _] = self.head;
        let within_frame = self.left > 0 && kind != DATA;
        (self.have > 0 || self.block || within_frame).then_some(self.begun)
    }

    /// The memory of the frame and the head that have begun and not ended, in bytes;
    /// no head is larger than `most`.
    pub(super) fn unfinished(&self, most: usize) -> usize {
        let [.., kind, _, _, _, _, _] = self.head;
        let frame = if kind == DATA || self.left == 0 { 0 } else { self.length - self.left };
        frame + self.decoded.saturating_mul(FIELD).min(most)
    }

    /// Whether a frame carries nothing that anybody asked for.
    fn is_free(&self, kind: u8) -> bool {
        match kind {
            DATA | CONTINUATION => self.left == 0,
            HEADERS => false,
            _ => true,
        }
    }

    fn may_have_one_more(&mut self, second: u64) -> bool {
        if self.sent >= BYTES_A_FRAME {
            self.sent -= BYTES_A_FRAME;
            return true;
        }
        if second != self.second {
            (self.second, self.counted) = (second, 0);
        }
        self.counted += 1;
        self.counted <= MOST
    }
}

/// What makes any HTTP/2 server end the connection with ENHANCE_YOUR_CALM where
/// a frame may begin: a head that goes on in more pieces than any head has.
pub(super) const TOO_MANY: [u8; HEAD * 65] = {
    let mut bytes = [0; HEAD * 65];
    let mut frame = 0;
    while frame < 65 {
        bytes[frame * HEAD + 3] = if frame == 0 { HEADERS } else { CONTINUATION };
        bytes[frame * HEAD + 8] = 1;
        frame += 1;
    }
    bytes
};

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, length, kind, 0, 0, 0, 0, 1];
        bytes.resize(HEAD + usize::from(length), 0);
        bytes
    }

    #[test]
    fn a_flood_is_noticed_in_pieces_of_any_size() {
        const PING: u8 = 6;
        let all = frame(PING, 8).repeat(1_001);
        for size in [1, 7, 17, 1_000, all.len()] {
            let mut frames = Frames::default();
            let mut sound = 0;
            let refused = all.chunks(size).find_map(|piece| {
                let refused = frames.check(piece, 5).err();
                sound += refused.unwrap_or(piece.len());
                refused
            });
            assert!(refused.is_some(), "in pieces of {size}");
            assert!((1_000 * 17..1_000 * 17 + HEAD).contains(&sound), "{sound} in {size}");
        }
    }

    #[test]
    fn a_head_goes_on_until_it_is_whole() {
        let mut frames = Frames::default();
        let flagged = |kind, flags| {
            let mut bytes = frame(kind, 3);
            bytes[4] = flags;
            bytes
        };
        let head = [flagged(HEADERS, 0), flagged(CONTINUATION, 0), flagged(CONTINUATION, 4)];
        let head = head.concat();
        for (at, byte) in head.iter().enumerate() {
            assert_eq!(frames.head(), (at > 0).then_some(1), "before byte {at}");
            assert_eq!(frames.check(&[*byte], 0), Ok(()));
        }
        assert_eq!(frames.head(), None);
        assert_eq!(frames.check(&frame(DATA, 5)[..12], 0), Ok(()));
        assert_eq!(frames.head(), None, "a body has its own time");
        assert_eq!(frames.check(&[0; 4], 0), Ok(()));
        assert_eq!(frames.head(), Some(3), "a part of the next frame");
    }

    #[test]
    fn what_is_not_free_is_not_counted() {
        let mut frames = Frames::default();
        for (kind, length) in [(HEADERS, 20), (DATA, 1), (CONTINUATION, 5)] {
            assert_eq!(frames.check(&frame(kind, length).repeat(2_000), 0), Ok(()));
        }
        for second in 0..5 {
            assert_eq!(frames.check(&frame(8, 4).repeat(1_000), second), Ok(()), "{second}");
        }
        frames.sent(3 << 20);
        assert_eq!(frames.check(&frame(8, 4).repeat(3_000), 5), Ok(()), "for what was sent");
        assert!(frames.check(&frame(DATA, 0).repeat(3_000), 5).is_err());
    }
}
