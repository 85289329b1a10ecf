//! What can go wrong with keys, and why a certificate is refused.

use chrono::{DateTime, Utc};
use russh::keys::ssh_key;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

/// A key or a secret that could not be made, read or opened.
#[derive(Debug, thiserror::Error)]
pub enum CertsError {
    /// The file could not be read or written.
    #[error("cannot {act} {}: {source}", path.display())]
    File {
        /// What was tried: `read`, `create`.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A private file already exists. It is never overwritten.
    #[error("{} exists already and is left as it is: move it away if a new key is really wanted", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others can read a private file.
    #[error("others can read {} (mode {mode:04o}): run `chmod 600 {}`", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file holds no private key that can be used.
    #[error("{} holds no usable OpenSSH private key ({source}): restore it from the backup", path.display())]
    PrivateKey {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: ssh_key::Error,
    },
    /// A private key is protected by a passphrase, which a service cannot type.
    #[error("{} has a passphrase: remove it with `ssh-keygen -p -f {}`", path.display(), path.display())]
    Passphrase {
        /// The file.
        path: PathBuf,
    },
    /// A private key of another type than the file is for.
    #[error("{} holds a key of type {found}, but {wanted} is wanted: restore it from the backup", path.display())]
    KeyType {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: String,
        /// What it is for.
        wanted: &'static str,
    },
    /// A text is no host key.
    #[error(
        "line {line} is no host key ({problem}): give lines as `ssh-keyscan` prints them, or the device's `ssh_host_*_key.pub`"
    )]
    HostKeyLine {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A text holds no key at all.
    #[error("no host key was given: give lines as `ssh-keyscan` prints them, or the device's `ssh_host_*_key.pub`")]
    NoHostKey,
    /// A certificate was asked for that this authority does not issue.
    #[error("this certificate is not issued: {0}")]
    Request(&'static str),
    /// The SSH library failed to make a key or a certificate.
    #[error("cannot make the {what}: {source}")]
    Make {
        /// What was to be made.
        what: &'static str,
        /// What the library said.
        source: ssh_key::Error,
    },
    /// A file cannot be used for TLS.
    #[error("{} cannot be used for TLS: {fault}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        fault: String,
    },
    /// The operating system gave no randomness, or the crypto library failed.
    #[error("the crypto library failed while it was to {0}: see whether the system's random source works")]
    Crypto(&'static str),
    /// The master key's text is wrong.
    #[error("the master key's text is wrong in line {line} of 4: compare it with the recovery sheet, letter by letter")]
    RecoveryLine {
        /// Counted from 1.
        line: usize,
    },
    /// The master key's text has too few or too many lines.
    #[error(
        "the master key's text has {found} lines of letters where 4 are wanted: give it as the recovery sheet shows it"
    )]
    RecoveryLength {
        /// How many lines of letters were found.
        found: usize,
    },
    /// A file is no master key file.
    #[error("{} is no master key file: restore it from the recovery sheet ({source})", path.display())]
    MasterKeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with its text.
        source: Box<CertsError>,
    },
    /// A file is no key of the transparency log.
    #[error("{} is no log key file: restore it from the backup", path.display())]
    LogKeyFile {
        /// The file.
        path: PathBuf,
    },
    /// A sealed secret has a format that this version does not know.
    #[error(
        "the secret of {context} is sealed in a format this version does not know: use the version that wrote it, or set the secret again"
    )]
    SealFormat {
        /// Where it stands.
        context: String,
    },
    /// A sealed secret does not open.
    #[error(
        "the secret of {context} does not open: it is damaged, was sealed for another place, or under another master key; set it again"
    )]
    Sealed {
        /// Where it stands.
        context: String,
    },
}

/// Why a certificate does not stand for a sign-in. Every one refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Another authority signed it.
    #[error("the certificate was signed by another authority ({fingerprint}): sign in at this gateway")]
    ForeignAuthority {
        /// SHA-256 fingerprint of the key that signed it.
        fingerprint: String,
    },
    /// The key in it is of a type that nobody knows.
    #[error("the certificate is for a key of an unknown type: use an Ed25519, ECDSA or RSA key")]
    UnknownKey,
    /// Its signature does not validate.
    #[error("the certificate's signature is wrong: sign in again")]
    Signature,
    /// It is for hosts.
    #[error("the certificate is for a host, not for a person: sign in again")]
    NotForUsers,
    /// It does not name the user, or names nobody (which OpenSSH takes for everybody).
    #[error("the certificate is not for {user}: use the name you signed in with")]
    Principal {
        /// The user who came with it.
        user: String,
    },
    /// It does not hold yet.
    #[error("the certificate holds only from {from}: see whether the clocks agree")]
    NotYetValid {
        /// The first second inside.
        from: DateTime<Utc>,
    },
    /// It has ended.
    #[error("the certificate ended at {until}: sign in again")]
    Expired {
        /// The first second outside.
        until: DateTime<Utc>,
    },
    /// Its dates lie outside what a calendar holds, or it lasts longer than any sign-in.
    #[error("the certificate lasts longer than a sign-in can: sign in again")]
    Lifetime,
    /// It is bound to no address.
    #[error("the certificate is bound to no source address: sign in again")]
    NoSourceAddress,
    /// Its list of addresses cannot be read.
    #[error("the certificate's source addresses cannot be read: sign in again")]
    SourceAddressList,
    /// It is bound to another address.
    #[error("the certificate is not for connections from {address}: sign in again from there")]
    SourceAddress {
        /// Where the connection comes from.
        address: IpAddr,
    },
    /// It was not issued to carry a sign-in.
    #[error("the certificate does not carry a sign-in: run `sign-in` for one that does")]
    NotASignIn,
    /// It holds a critical option that nobody here understands.
    #[error("the certificate holds the unknown critical option {name:?}: sign in again")]
    CriticalOption {
        /// The option.
        name: String,
    },
}
