//! The policy's tests, in one binary, because they share a hospital.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod decisions;
mod hospital;
mod properties;
mod retention;
mod roles;
mod rrules;
mod situations;
mod windows;
mod works;
