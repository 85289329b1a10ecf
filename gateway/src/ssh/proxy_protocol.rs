//! The PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt), from configured proxies only.
//!
//! Whoever is configured as a proxy has to send the header; nobody else's is looked at, and it then is simply not
//! SSH. Reading takes exactly the header's bytes, so that the SSH banner behind it stays in the socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The first twelve bytes of version 2.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The longest line of version 1, with its line end.
const LINE_LIMIT: usize = 107;

/// Version 2's addresses and extensions together; what real proxies send is far below.
const BODY_LIMIT: u16 = 4096;

/// Why a header was not understood.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The connection broke off.
    #[error("the proxy's header breaks off: {0}")]
    Broken(#[from] std::io::Error),
    /// The bytes are no PROXY header.
    #[error("the proxy sent no PROXY header (malformed {0}); check that it is configured to send one")]
    Malformed(&'static str),
}

/// Reads one header. `None`: the proxy speaks for itself (`LOCAL`, `UNKNOWN`), so that its own address counts.
///
/// # Errors
/// [`ProxyError`] when the header is broken off or malformed; the connection is of no use then.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<IpAddr>, ProxyError> {
    let mut start = [0; 12];
    stream.read_exact(&mut start).await?;
    if start == SIGNATURE { version_2(stream).await } else { version_1(stream, &start).await }
}

async fn version_1(stream: &mut (impl AsyncRead + Unpin), start: &[u8]) -> Result<Option<IpAddr>, ProxyError> {
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() >= LINE_LIMIT {
            return Err(ProxyError::Malformed("line: too long"));
        }
        line.push(stream.read_u8().await?);
    }
    let line = std::str::from_utf8(&line).map_err(|_| ProxyError::Malformed("line: not ASCII"))?;
    let words: Vec<_> = line.trim_end_matches("\r\n").split(' ').collect();
    match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        ["PROXY", family @ ("TCP4" | "TCP6"), source, destination, source_port, destination_port] => {
            let source = address(family, source)?;
            address(family, destination)?;
            port(source_port)?;
            port(destination_port)?;
            Ok(Some(source))
        }
        _ => Err(ProxyError::Malformed("line")),
    }
}

fn address(family: &str, text: &str) -> Result<IpAddr, ProxyError> {
    let address = match family {
        "TCP4" => text.parse().map(IpAddr::V4),
        _ => text.parse().map(IpAddr::V6),
    };
    address.map_err(|_| ProxyError::Malformed("address"))
}

fn port(text: &str) -> Result<u16, ProxyError> {
    text.parse().map_err(|_| ProxyError::Malformed("port"))
}

async fn version_2(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<IpAddr>, ProxyError> {
    let version_command = stream.read_u8().await?;
    let family = stream.read_u8().await?;
    let length = stream.read_u16().await?;
    if length > BODY_LIMIT {
        return Err(ProxyError::Malformed("length"));
    }
    let mut body = vec![0; usize::from(length)];
    stream.read_exact(&mut body).await?;
    match (version_command, family) {
        (0x20, _) => Ok(None),
        (0x21, 0x11) => Ok(Some(ipv4(&body)?.into())),
        (0x21, 0x21) => Ok(Some(ipv6(&body)?.into())),
        (0x21, _) => Err(ProxyError::Malformed("family: only TCP over IPv4 and IPv6")),
        _ => Err(ProxyError::Malformed("version or command")),
    }
}

/// Source, destination, two ports: the source comes first.
fn ipv4(body: &[u8]) -> Result<Ipv4Addr, ProxyError> {
    let source: Option<[u8; 4]> = body.get(..4).and_then(|bytes| bytes.try_into().ok());
    match source {
        Some(source) if body.len() >= 12 => Ok(source.into()),
        _ => Err(ProxyError::Malformed("address block")),
    }
}

fn ipv6(body: &[u8]) -> Result<Ipv6Addr, ProxyError> {
    let source: Option<[u8; 16]> = body.get(..16).and_then(|bytes| bytes.try_into().ok());
    match source {
        Some(source) if body.len() >= 36 => Ok(source.into()),
        _ => Err(ProxyError::Malformed("address block")),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    async fn header(bytes: &[u8]) -> (Result<Option<IpAddr>, ProxyError>, Vec<u8>) {
        let mut rest = bytes;
        let read = read(&mut rest).await;
        (read, rest.to_vec())
    }

    #[tokio::test]
    async fn version_1_leaves_the_banner() {
        let (read, rest) = header(b"PROXY TCP4 203.0.113.9 10.0.0.1 51234 2222\r\nSSH-2.0-x\r\n").await;
        assert_eq!(read.unwrap(), Some("203.0.113.9".parse().unwrap()));
        assert_eq!(rest, b"SSH-2.0-x\r\n");
    }

    #[tokio::test]
    async fn version_2_of_both_families() {
        let mut four = SIGNATURE.to_vec();
        four.extend([0x21, 0x11, 0, 12, 203, 0, 113, 9, 10, 0, 0, 1, 0xc8, 0x22, 0x08, 0xae]);
        four.extend(b"SSH-");
        let (read, rest) = header(&four).await;
        assert_eq!(read.unwrap(), Some("203.0.113.9".parse().unwrap()));
        assert_eq!(rest, b"SSH-");
        let mut six = SIGNATURE.to_vec();
        six.extend([0x21, 0x21, 0, 36]);
        six.extend("2001:db8::9".parse::<Ipv6Addr>().unwrap().octets());
        six.extend([0; 20]);
        assert_eq!(header(&six).await.0.unwrap(), Some("2001:db8::9".parse().unwrap()));
    }

    #[tokio::test]
    async fn a_proxy_that_speaks_for_itself() {
        assert_eq!(header(b"PROXY UNKNOWN\r\n").await.0.unwrap(), None);
        let mut local = SIGNATURE.to_vec();
        local.extend([0x20, 0, 0, 0]);
        assert_eq!(header(&local).await.0.unwrap(), None);
    }

    #[tokio::test]
    async fn malformed_headers_are_refused() {
        let mut long = SIGNATURE.to_vec();
        long.extend([0x21, 0x11, 0xff, 0xff]);
        let mut short = SIGNATURE.to_vec();
        short.extend([0x21, 0x11, 0, 2, 1, 2]);
        let mut version_3 = SIGNATURE.to_vec();
        version_3.extend([0x31, 0x11, 0, 0]);
        for bytes in [
            b"SSH-2.0-OpenSSH_9.2\r\n".as_slice(),
            b"PROXY TCP4 203.0.113.9\r\n",
            b"PROXY TCP4 2001:db8::1 10.0.0.1 1 2\r\n",
            b"PROXY TCP4 203.0.113.9 10.0.0.1 1 70000\r\n",
            &[b'P'; 200],
            b"PROXY",
            &long,
            &short,
            &version_3,
        ] {
            assert!(header(bytes).await.0.is_err(), "{bytes:?}");
        }
    }
}
