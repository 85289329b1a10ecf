//! Keys and certificates: the gateway's host keys, its SSH certificate authorities, TLS of the console, and secrets
//! sealed at rest.
//!
//! Nothing here knows people, devices or the database: names, addresses and times are arguments, and who may have a
//! certificate is decided elsewhere. SSH keys are `russh::keys::ssh_key` values throughout.

mod error;
mod file;
pub mod host_ca;
pub mod host_key;
pub mod log_key;
pub mod secret;
pub mod ssh_ca;
pub mod tls;

pub use error::{CertificateError, CertsError};
pub use file::read_private;
