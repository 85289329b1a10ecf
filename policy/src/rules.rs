//! The rules: one small function each. A rule that holds gives a proof, which [`crate::decide::decide`] builds the
//! permit from; a rule that fails gives its reasons.
//!
//! A rule without its subject (no person, no vendor, no device) gives no reason of its own: the rule that found that out
//! has given it, and without its proof nothing is permitted.

pub(crate) mod account;
pub(crate) mod attestation;
pub(crate) mod device;
pub(crate) mod factors;
pub(crate) mod lock;
pub(crate) mod person;
pub(crate) mod review;
pub(crate) mod source;
pub(crate) mod vendor;
pub(crate) mod work;

use crate::reason::Reason;

/// A proof, or every reason against it.
pub(crate) type Judged<T> = Result<T, Vec<Reason>>;
