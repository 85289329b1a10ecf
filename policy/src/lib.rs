//! May this person reach this device now?
//!
//! Pure: no I/O, no async, no clock, no logging. Time, addresses and facts are arguments; the answer is a value
//! that the next step requires. What is decided here is acted on in `gateway`.

pub mod authority;
pub mod decide;
pub mod error;
pub mod factor;
pub mod facts;
pub mod id;
pub mod mail;
pub mod notice;
pub mod reason;
pub mod retention;
mod rules;
pub mod window;
pub mod words;
pub mod work;
