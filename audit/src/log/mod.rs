//! The transparency log: a folder that shows by itself, and against what was kept elsewhere, that nothing was altered.
//!
//! | below the folder | what |
//! |---|---|
//! | `checkpoint` | the newest signed checkpoint (C2SP tlog-checkpoint in a signed-note); the one file that changes |
//! | `tile/<L>/<N>[.p/<W>]` | hashes of the tree (C2SP tlog-tiles, RFC 6962), each file written once |
//! | `tile/entries/<N>[.p/<W>]` | the entries, 256 in a bundle; what is in one: [`Leaf`] |
//! | `rotation/<SIZE>` | the checkpoint whose last leaf introduced a new key, signed by the old key and the new, kept for ever |
//! | `cosigned` | the newest checkpoint that witnesses cosigned (`cosignature/v1`) |
//!
//! Keys are succeeded like this: the holder of the old key appends a leaf of kind `log.key-rotated` over the text of the
//! new verifier key, and seals it as the last leaf under a checkpoint that both keys sign. From the size after it on, only
//! the new key's checkpoints count: a retired key that is stolen can neither rewrite nor continue what came after it. The
//! verifier's file of keys ([`LogKeys`]) names all keys in order and has to agree with the leaves.
//!
//! Nothing here opens a network or reads a clock. Databases, bodies and HTTP are the gateway's; judging a whole log is
//! [`crate::verify`]'s. The parsers take bytes of anybody: [`Note::parse`], [`Checkpoint::parse`], [`EntryProof::parse`],
//! [`AddCheckpoint::parse`], [`Anchor::parse`], [`LogKeys::parse`], [`Leaf::parse`], [`tile::decode_bundle`].

mod anchor;
pub mod base64;
mod checkpoint;
mod edge;
mod error;
mod folder;
mod hash;
mod key;
mod keys;
pub mod leaf;
pub mod note;
pub mod proof;
mod proof_text;
mod reader;
pub mod tile;
pub mod witness;
mod writer;

pub use anchor::{Anchor, paper};
pub use checkpoint::Checkpoint;
pub use error::LogError;
pub use folder::{COSIGNED, put_durably, rotation_path};
pub use hash::{Hash, Range, leaf_hash, node_hash, root_of, sha256};
pub use key::{Role, Signed, SigningKey, VerifierKey};
pub use keys::LogKeys;
pub use leaf::Leaf;
pub use note::{Note, Signer, Unsigned};
pub use proof_text::EntryProof;
pub use reader::Reader;
pub use tile::Resource;
pub use witness::AddCheckpoint;
pub use writer::{Writer, rotation_leaf};

pub(crate) use edge::Edge;
pub(crate) use folder::{read, read_resource};
