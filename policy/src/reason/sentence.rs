//! The sentences of reasons. Each says what is wrong, and who can change it.

mod en;
mod ja;

pub(super) use en::english;
pub(super) use ja::japanese;
