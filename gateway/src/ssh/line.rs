//! What a connection runs on, as far as it is ended from outside of it.

use crate::session::backlog::Cuttable;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The way to hang up.
pub enum Line {
    /// A socket.
    Socket(Arc<Cuttable>),
    /// A channel of another connection, which ends with the token.
    Channel(CancellationToken),
}

impl Line {
    /// Ends it; what is on its way may still arrive.
    pub fn cut(&self) {
        match self {
            Self::Socket(socket) => {
                socket.cut().ok();
            }
            Self::Channel(token) => token.cancel(),
        }
    }

    /// Ends it, though the peer has stopped reading: what is on its way is thrown away.
    pub fn abort(&self) {
        match self {
            Self::Socket(socket) => {
                socket.abort().ok();
            }
            Self::Channel(token) => token.cancel(),
        }
    }
}
