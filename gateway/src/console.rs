//! The console: the hospital's and the vendors' pages, by HTTPS, in Japanese and English.
//!
//! A request goes through [`guard`] first: who this is, whether `routes.txt` lets them call the route, whether it came
//! from a page of ours. What a page may do beyond that is decided where the command line decides it as well
//! (`sekimori_policy::authority`, [`crate::work`]). Pages are plain: they work without a script.

mod account;
mod certificate;
mod fault;
mod guard;
mod matrix;
mod page;
mod routes;
mod server;
mod sign_in;
mod static_files;
mod texts;
mod visit;

pub use certificate::Certificate;

use crate::gate::Gate;
use crate::ssh::door::Door;
use axum::Router;
use matrix::Matrix;
use std::sync::Arc;
use tokio::net::TcpListener;

/// The running console.
pub struct Console {
    gate: Arc<Gate>,
    certificate: Certificate,
    matrix: Matrix,
    /// Places of its own: browsers take none from SSH.
    door: Arc<Door>,
}

impl Console {
    /// The console of a running gateway.
    #[must_use]
    pub fn new(gate: Arc<Gate>, certificate: Certificate) -> Arc<Self> {
        Arc::new(Self { gate, certificate, matrix: Matrix::own(), door: Arc::default() })
    }

    /// Serves on these sockets until the gateway stops, and keeps the certificate fresh.
    pub fn serve(self: &Arc<Self>, listeners: Vec<TcpListener>) {
        let router: Router = routes::router(self);
        self.gate.sessions.spawn(self.door.clone().tell_of_strangers(self.gate.clone()));
        tokio::spawn(certificate::keep_fresh(self.clone()));
        for listener in listeners {
            tokio::spawn(server::serve(self.clone(), router.clone(), listener));
        }
    }
}
