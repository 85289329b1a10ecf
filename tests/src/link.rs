//! A line to a device that can go dead: it stays connected, and nothing moves on it any more.

use anyhow::Result;
use rustix::net::sockopt::set_socket_recv_buffer_size;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

/// A line between the gateway and a device. What it takes in stays small: bytes soon pile up before a dead line.
#[derive(Debug)]
pub struct Link {
    /// Where the gateway connects.
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    dead: Mutex<bool>,
    changed: Condvar,
}

impl Link {
    /// A line to a device; it goes on until the test's process ends.
    ///
    /// # Errors
    /// No port.
    pub fn to(device: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        set_socket_recv_buffer_size(&listener, 16 * 1024)?;
        let link = Self { address: listener.local_addr()?, state: Arc::default() };
        let state = link.state.clone();
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if let Ok(far) = TcpStream::connect(device) {
                    carry(&near, &far, &state);
                    carry(&far, &near, &state);
                }
            }
        });
        Ok(link)
    }

    /// From now on nothing moves.
    pub fn goes_dead(&self) {
        self.set(true);
    }

    /// What was held up moves on.
    pub fn comes_back(&self) {
        self.set(false);
    }

    fn set(&self, dead: bool) {
        *self.state.dead.lock().unwrap_or_else(PoisonError::into_inner) = dead;
        self.state.changed.notify_all();
    }
}

/// Copies one direction in a thread of its own, unless the line is dead.
fn carry(from: &TcpStream, to: &TcpStream, state: &Arc<State>) {
    let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else { return };
    let state = state.clone();
    thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(count) = from.read(&mut buffer) {
            let mut dead = state.dead.lock().unwrap_or_else(PoisonError::into_inner);
            while *dead {
                dead = state.changed.wait(dead).unwrap_or_else(PoisonError::into_inner);
            }
            drop(dead);
            if count == 0 || to.write_all(buffer.get(..count).unwrap_or_default()).is_err() {
                break;
            }
        }
        // The other direction may still have something to say.
        let _ = to.shutdown(Shutdown::Write);
    });
}
