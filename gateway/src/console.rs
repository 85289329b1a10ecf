//! The console: the hospital's and the vendors' pages, by HTTPS, in Japanese and English.
//!
//! A request goes through [`guard`] first: who this is, whether `routes.txt` lets them call the route, whether it came
//! from a page of ours. What a page may do beyond that is decided where the command line decides it as well
//! (`sekimori_policy::authority`, [`crate::work`]). Pages are plain: they work without a
//! script, but for what shows a session while it goes on ([`watch`], [`wall`]) and a terminal of one's own ([`terminal`]).

mod account;
mod acts;
mod calendar;
mod credentials;
mod device_forms;
mod devices;
mod evidence;
mod fault;
mod forms;
mod guard;
mod host_keys;
mod invite;
mod join;
mod lists;
mod locks;
mod mails;
mod matrix;
mod my_devices;
mod page;
mod passkeys;
mod people;
mod person_forms;
mod registry_texts;
mod request;
mod routes;
mod server;
mod sessions;
mod sign_in;
mod ssh_keys;
mod static_files;
mod stream;
mod system;
mod terminal;
mod texts;
mod upload;
mod vendors;
mod visit;
mod wall;
mod watch;
mod ways;
mod works;

use crate::certificate::{self, Certificate};
use crate::gate::Gate;
use crate::ssh::door::Door;
use axum::Router;
use matrix::Matrix;
use std::net::SocketAddr;
use std::sync::Arc;
use terminal::{Seats, Tickets};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// The running console.
pub struct Console {
    gate: Arc<Gate>,
    certificate: Arc<Certificate>,
    matrix: Matrix,
    /// Where SSH listens: pages show how to connect.
    ssh: SocketAddr,
    /// Places of its own: browsers take none from SSH.
    door: Arc<Door>,
    /// What opens terminals, and who has how many.
    tickets: Tickets,
    seats: Arc<Seats>,
    /// Forms with files that are read at once.
    uploads: Arc<Semaphore>,
}

impl Console {
    /// The console of a running gateway, which listens for SSH there.
    #[must_use]
    pub fn new(gate: Arc<Gate>, certificate: Certificate, ssh: SocketAddr) -> Arc<Self> {
        Arc::new(Self {
            gate,
            certificate: Arc::new(certificate),
            matrix: Matrix::own(),
            ssh,
            door: Arc::default(),
            tickets: Tickets::default(),
            seats: Arc::default(),
            uploads: Arc::new(Semaphore::new(upload::AT_ONCE)),
        })
    }

    /// Serves on these sockets until the gateway stops, and keeps the certificate fresh.
    pub fn serve(self: &Arc<Self>, listeners: Vec<TcpListener>) {
        let router: Router = routes::router(self);
        self.gate.sessions.spawn(self.door.clone().tell_of_strangers(self.gate.clone()));
        tokio::spawn(certificate::keep_fresh(self.gate.clone(), self.certificate.clone(), "console"));
        for listener in listeners {
            tokio::spawn(server::serve(self.clone(), router.clone(), listener));
        }
    }
}
