//! Equipment that speaks telnet: a terminal and nothing else, without encryption, and without a proof of who answers.
//!
//! [`codec`] is the protocol, pure: bytes in, data and replies out. [`login`] recognises prompts, pure as well. [`dial`]
//! brings both together on a socket; [`crate::session::telnet`] relays and records what follows.

pub mod codec;
mod dial;
mod login;

pub use dial::{Line, Size, dial};
