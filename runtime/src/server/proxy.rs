//! The PROXY protocol, versions 1 and 2: who a proxy speaks for.

use std::io;
use std::net::SocketAddr;

use bytes::BytesMut;
use ppp::{HeaderResult, PartialResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// No header is longer, in bytes; most of one would be for what nobody reads.
const LONGEST: usize = 4_096;

/// A line of version 1 has so many bytes at most (its specification, section 2.1).
const LONGEST_LINE: usize = 107;

/// Reads the header. `None` in place of the address if the proxy speaks for
/// itself or does not say. What was read behind it stays in the buffer.
///
/// # Errors
/// There is no header, or not all of it.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> io::Result<Option<SocketAddr>> {
    let wrong = |why: &'static str| io::Error::new(io::ErrorKind::InvalidData, why);
    loop {
        if !buffer.is_empty() && !is_part_of_line(buffer) {
            let header = HeaderResult::parse(buffer);
            match header {
                HeaderResult::V1(Ok(header)) => {
                    let (address, length) = (address_v1(&header), header.header.len());
                    let _ = buffer.split_to(length);
                    return Ok(address);
                }
                HeaderResult::V2(Ok(header)) => {
                    let (address, length) = (address_v2(&header), header.len());
                    let _ = buffer.split_to(length);
                    return Ok(address);
                }
                header if header.is_incomplete() && buffer.len() < LONGEST => {}
                _ => return Err(wrong("no header of the PROXY protocol")),
            }
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(wrong("the connection ended within the header of the PROXY protocol"));
        }
    }
}

/// Whether it is a line of version 1 that has not ended yet. The parser would take
/// some of them for mistakes: `... 5 ` has no port.
fn is_part_of_line(buffer: &[u8]) -> bool {
    buffer.first() == Some(&b'P') && buffer.len() < LONGEST_LINE && !buffer.contains(&b'\n')
}

fn address_v1(header: &v1::Header<'_>) -> Option<SocketAddr> {
    match header.addresses {
        v1::Addresses::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
        v1::Addresses::Tcp6(ip) => Some((ip.source_address, ip.source_port).into()),
        v1::Addresses::Unknown => None,
    }
}

fn address_v2(header: &v2::Header<'_>) -> Option<SocketAddr> {
    match header.addresses {
        _ if header.command == v2::Command::Local => None,
        v2::Addresses::IPv4(ip) => Some((ip.source_address, ip.source_port).into()),
        v2::Addresses::IPv6(ip) => Some((ip.source_address, ip.source_port).into()),
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_of(bytes: &[u8]) -> (io::Result<Option<SocketAddr>>, Vec<u8>) {
        let mut buffer = BytesMut::new();
        let read = read(&mut &bytes[..], &mut buffer).await;
        (read, buffer.to_vec())
    }

    #[tokio::test]
    async fn a_header_names_the_client_and_what_follows_is_kept() {
        let (address, rest) = read_of(b"PROXY TCP4 192.0.2.1 10.0.0.1 5 80\r\nGET /").await;
        assert_eq!((address.unwrap(), &rest[..]), ("192.0.2.1:5".parse().ok(), &b"GET /"[..]));
        let (address, _) = read_of(b"PROXY UNKNOWN\r\nGET /").await;
        assert_eq!(address.unwrap(), None);
        let mut second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
        second.extend([192, 0, 2, 1, 10, 0, 0, 1, 0, 5, 0, 80, b'x']);
        let (address, rest) = read_of(&second).await;
        assert_eq!((address.unwrap(), &rest[..]), ("192.0.2.1:5".parse().ok(), &b"x"[..]));
    }

    #[tokio::test]
    async fn a_header_may_arrive_in_any_two_parts() {
        let header = b"PROXY TCP6 2001:db8::1 ::1 5 80\r\n";
        for (at, header) in
            (1..header.len()).map(|at| (at, &header[..])).chain([(0, &b"PROXY UNKNOWN\r\n"[..])])
        {
            let (first, second) = header.split_at(at);
            let address = read(&mut first.chain(second), &mut BytesMut::new()).await;
            assert!(address.is_ok(), "{:?}: {:?}", String::from_utf8_lossy(first), address);
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        for bytes in
            [&b"GET / HTTP/1.1\r\n"[..], b"", b"PROXY TCP4 1.2.3.4", b"PROXY TCP4 a b c d\r\n"]
        {
            assert!(read_of(bytes).await.0.is_err(), "{bytes:?}");
        }
        assert!(read_of(&[b'x'; 10_000]).await.0.is_err());
    }
}
