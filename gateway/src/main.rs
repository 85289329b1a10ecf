//! Sekimori (関守): the one door through which vendors maintain a hospital's equipment from far away.

mod backup;
mod carried;
mod certificate;
mod cli;
mod config;
mod console;
mod demo;
mod gate;
mod mail;
mod people;
mod publish;
mod registry;
mod retention;
mod room;
mod sandbox;
mod seal;
mod serve;
mod session;
mod ssh;
mod store;
mod telnet;
mod thread;
mod web;
mod witness;
mod work;

fn main() -> std::process::ExitCode {
    cli::main()
}
