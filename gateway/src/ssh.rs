//! The SSH side: who may speak to us at all, who they prove to be, and what their channels become.

mod algorithms;
mod channels;
pub mod door;
pub mod equipment;
mod forward;
pub mod jump;
mod line;
mod login;
mod menu;
mod nested;
mod proxy_protocol;
pub mod record;
pub mod server;
mod sign_in;
mod start;
pub mod texts;
pub mod turns;
mod user_name;
