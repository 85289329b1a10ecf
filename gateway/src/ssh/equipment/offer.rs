//! What a device offers before anything is agreed upon (RFC 4253 section 7.1), and what the hospital would have to allow
//! for the two sides to have something in common.

use crate::ssh::algorithms::{authenticates_itself, legacy_class, towards_equipment};
use crate::store::Legacy;
use russh::keys::ssh_key::Algorithm;
use std::collections::BTreeSet;
use std::io;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A device's algorithms, each list in its own order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offer {
    kex: Vec<String>,
    keys: Vec<String>,
    ciphers: Vec<String>,
    macs: Vec<String>,
}

/// What stands between the gateway and a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lacking {
    /// Nothing: they have algorithms in common.
    Nothing,
    /// These classes, beside the ones that are allowed.
    Permission(BTreeSet<Legacy>),
    /// The gateway knows none of these.
    Everything(Vec<String>),
}

/// Lines that a server may send before its version, and their length together.
const PREAMBLE: u64 = 8 << 10;
/// RFC 4253 section 6.1 asks for 35,000 bytes.
const PACKET: u32 = 35_000;
/// Names of a list that are looked at.
const NAMES: usize = 64;
/// `SSH_MSG_KEXINIT`.
const KEXINIT: u8 = 20;

/// Asks for the offer, on a connection that serves for nothing else.
///
/// # Errors
/// The connection's own, or `InvalidData` where no SSH is spoken.
pub async fn ask(mut socket: TcpStream) -> io::Result<Offer> {
    socket.write_all(b"SSH-2.0-Sekimori\r\n").await?;
    let mut socket = BufReader::new(socket);
    let mut lines = (&mut socket).take(PREAMBLE);
    let mut line = Vec::new();
    while !line.starts_with(b"SSH-") {
        line.clear();
        if lines.read_until(b'\n', &mut line).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no SSH is spoken there"));
        }
    }
    let length = socket.read_u32().await?;
    if !(2..=PACKET).contains(&length) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its first packet is malformed"));
    }
    let mut packet = Vec::new();
    (&mut socket).take(length.into()).read_to_end(&mut packet).await?;
    Offer::parse(&packet).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its first packet is no offer"))
}

impl Offer {
    /// Reads a packet without its length: padding length, payload, padding.
    fn parse(packet: &[u8]) -> Option<Self> {
        let (padding, rest) = packet.split_first()?;
        let payload = rest.get(..rest.len().checked_sub(usize::from(*padding))?)?;
        let mut lists = payload.strip_prefix(&[KEXINIT])?.get(16..)?;
        let mut next = || -> Option<Vec<String>> {
            let (length, rest) = lists.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (list, rest) = rest.split_at_checked(length)?;
            lists = rest;
            let list = std::str::from_utf8(list).ok()?;
            Some(list.split(',').filter(|name| is_name(name)).take(NAMES).map(str::to_owned).collect())
        };
        let (kex, keys, ciphers) = (next()?, next()?, next()?);
        let _ciphers_from_device = next()?;
        Some(Self { kex, keys, ciphers, macs: next()? })
    }

    /// What is lacking towards a device whose host keys are of these kinds.
    pub fn lacking(&self, host_keys: &[Algorithm], allowed: &BTreeSet<Legacy>) -> Lacking {
        let known = towards_equipment(host_keys, &Legacy::ALL.into_iter().collect());
        let mut classes = BTreeSet::new();
        let lists = [
            (&self.kex, known.kex.iter().map(|name| name.as_ref().to_owned()).collect::<Vec<_>>()),
            (&self.keys, known.key.iter().map(|name| name.as_str().to_owned()).collect()),
            (&self.ciphers, known.cipher.iter().map(|name| name.as_ref().to_owned()).collect()),
            (&self.macs, known.mac.iter().map(|name| name.as_ref().to_owned()).collect()),
        ];
        let mut authenticated = false;
        for (place, (theirs, ours)) in lists.into_iter().enumerate() {
            // The cipher, third, may make message authentication, fourth, superfluous.
            if place == 3 && authenticated {
                break;
            }
            // Ours come in the order of preference, all that are not outdated first.
            let chosen = ours.iter().filter(|name| !is_extension(name) && theirs.contains(name)).min_by_key(|name| {
                let class = legacy_class(name);
                class.is_some_and(|class| !allowed.contains(&class) && !classes.contains(&class))
            });
            let Some(chosen) = chosen else { return Lacking::Everything(theirs.clone()) };
            authenticated = authenticates_itself(chosen);
            classes.extend(legacy_class(chosen).filter(|class| !allowed.contains(class)));
        }
        if classes.is_empty() { Lacking::Nothing } else { Lacking::Permission(classes) }
    }

    /// What is offered, in one line.
    pub fn told(&self) -> String {
        let list = |names: &[String]| {
            let plain = names.iter().filter(|name| !is_extension(name)).map(String::as_str);
            plain.collect::<Vec<_>>().join(",")
        };
        let (kex, keys, ciphers, macs) = (&self.kex, &self.keys, &self.ciphers, &self.macs);
        format!("key exchange {}; host keys {}; ciphers {}; MACs {}", list(kex), list(keys), list(ciphers), list(macs))
    }
}

/// What RFC 4251 section 6 calls a name, and no more than looks like one: it is shown to people beside a command.
fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-@._+/=".contains(&b))
}

/// Names that stand among the key exchanges and are none (RFC 8308, strict KEX).
fn is_extension(name: &str) -> bool {
    name.starts_with("ext-info-") || name.starts_with("kex-strict-")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn offer(kex: &str, keys: &str, ciphers: &str, macs: &str) -> Offer {
        let list = |names: &str| names.split(',').map(str::to_owned).collect();
        Offer { kex: list(kex), keys: list(keys), ciphers: list(ciphers), macs: list(macs) }
    }

    fn lacking(offer: &Offer, allowed: &[Legacy]) -> Lacking {
        offer.lacking(&[Algorithm::Rsa { hash: None }, Algorithm::Dsa], &allowed.iter().copied().collect())
    }

    #[test]
    fn what_is_lacking_is_the_least_that_helps() {
        use Legacy::{Cbc, Dss, Group1, Sha1};
        let permission = |classes: &[Legacy]| Lacking::Permission(classes.iter().copied().collect());
        let modern = offer("curve25519-sha256", "rsa-sha2-512", "aes128-gcm@openssh.com", "hmac-sha1");
        assert_eq!(lacking(&modern, &[]), Lacking::Nothing, "an authenticated cipher needs no MAC");
        let g14 = "diffie-hellman-group14-sha1,kex-strict-s-v00@openssh.com,ext-info-s";
        let old = offer(g14, "ssh-rsa", "aes128-cbc", "hmac-sha1");
        assert_eq!(lacking(&old, &[]), permission(&[Sha1, Cbc]));
        assert_eq!(lacking(&old, &[Sha1]), permission(&[Cbc]));
        assert_eq!(lacking(&old, &[Sha1, Cbc]), Lacking::Nothing);
        let older = offer("diffie-hellman-group1-sha1", "ssh-rsa,ssh-dss", "3des-cbc,aes128-ctr", "hmac-sha2-256");
        assert_eq!(lacking(&older, &[]), permission(&[Group1, Sha1]));
        // What is allowed already is made use of before anything else is asked for.
        assert_eq!(lacking(&older, &[Dss]), permission(&[Group1]));
        let strange = offer("curve25519-sha256", "ssh-ed25519", "aes128-ctr", "hmac-sha2-256");
        assert_eq!(lacking(&strange, &[]), Lacking::Everything(vec!["ssh-ed25519".into()]));
    }

    #[test]
    fn an_offer_is_read_or_refused_whatever_comes() {
        let mut payload = vec![KEXINIT];
        payload.extend([7; 16]);
        for list in
            ["curve25519-sha256,`rm`,,\u{1b}", "ssh-rsa", "aes128-cbc", "aes128-cbc", "hmac-sha1", "hmac-sha1", "none"]
        {
            payload.extend(u32::try_from(list.len()).unwrap().to_be_bytes());
            payload.extend(list.as_bytes());
        }
        let packet = [vec![4], payload, vec![0; 4]].concat();
        let read = Offer::parse(&packet).unwrap();
        assert_eq!(read, offer("curve25519-sha256", "ssh-rsa", "aes128-cbc", "hmac-sha1"));
        // Cut off anywhere before the fifth list's end it is none, and never a panic.
        for end in 0..packet.len() {
            Offer::parse(packet.get(..end).unwrap());
        }
        assert_eq!(Offer::parse(&[]), None);
        assert_eq!(Offer::parse(&[255, KEXINIT]), None);
        assert_eq!(Offer::parse(&[0, 21, 0, 0]), None);
    }
}
