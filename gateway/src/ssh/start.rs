//! From a fresh channel to a session: what was asked for, the menu where no device was named, the way to the device's
//! session. What becomes of the channel there is [`crate::session::channel`]'s.

use super::channels::{Connection, SignedIn};
use super::user_name::UserName;
use super::{menu, sign_in, texts};
use crate::session::backlog::Backlog;
use crate::session::channel::{self, Incoming, Opening, PtyRequest, Start};
use crate::session::pump::drain_meanwhile;
use crate::session::screen::{Screen, Sent};
use russh::server::Msg;
use russh::{Channel, ChannelMsg};
use sekimori_policy::id::DeviceId;
use std::collections::VecDeque;
use std::sync::Arc;

/// Environment variables that are passed on at most.
const ENVIRONMENT_LIMIT: usize = 64;

/// Serves one `session` channel to its end.
pub async fn session_channel(connection: &Arc<Connection>, signed_in: &SignedIn, channel: Channel<Msg>) {
    let (read, write) = channel.split();
    let mut read = Sent::Channel(read);
    let Some((opening, start)) = opening(&mut read).await else { return };
    let terminal = opening.terminal.is_some();
    let screen = Arc::new(Screen::of_channel(signed_in.handle.clone(), write, terminal));
    let backlog = Arc::new(Backlog::of_connection(connection.congestion.clone()));
    let mut incoming = Incoming { read, backlog, early: VecDeque::new() };
    let UserName { device, account, .. } = &signed_in.target;
    let language = signed_in.caller.language();
    let device = match (device, &start) {
        (Some(device), _) => device.clone(),
        (None, Start::Shell) => match menu::choose(connection, signed_in, &screen, &mut incoming).await {
            Some(device) => device,
            None => return,
        },
        (None, Start::Exec(command)) if command == sign_in::COMMAND => {
            return sign_in::carry(connection, signed_in, &screen, &mut incoming).await;
        }
        (None, _) => return screen.refuse(&format!("{}\r\n", texts::unknown_command(language))).await,
    };
    reach(connection, signed_in, &device, account.as_deref(), screen, incoming, opening, start).await;
}

/// Gathers what comes before the start. `None`: the client went away or closed the channel.
async fn opening(read: &mut Sent) -> Option<(Opening, Start)> {
    let mut opening = Opening::default();
    loop {
        match read.wait().await? {
            ChannelMsg::RequestPty { term, col_width, row_height, pix_width, pix_height, terminal_modes, .. } => {
                opening.terminal = Some(PtyRequest {
                    term,
                    columns: col_width,
                    rows: row_height,
                    width: pix_width,
                    height: pix_height,
                    modes: terminal_modes,
                });
            }
            ChannelMsg::SetEnv { variable_name, variable_value, .. }
                if opening.environment.len() < ENVIRONMENT_LIMIT =>
            {
                opening.environment.push((variable_name, variable_value));
            }
            ChannelMsg::WindowChange { col_width, row_height, pix_width, pix_height } => {
                if let Some(terminal) = &mut opening.terminal {
                    (terminal.columns, terminal.rows) = (col_width, row_height);
                    (terminal.width, terminal.height) = (pix_width, pix_height);
                }
            }
            ChannelMsg::RequestShell { .. } => return Some((opening, Start::Shell)),
            ChannelMsg::Exec { command, .. } => return Some((opening, Start::Exec(command))),
            ChannelMsg::RequestSubsystem { name, .. } => return Some((opening, Start::Subsystem(name))),
            ChannelMsg::Close => return None,
            _ => {}
        }
    }
}

/// Brings one channel to a device and serves it to its end.
#[expect(clippy::too_many_arguments, reason = "each is one thing that the request brought along")]
async fn reach(
    connection: &Arc<Connection>,
    signed_in: &SignedIn,
    device: &DeviceId,
    account: Option<&str>,
    screen: Arc<Screen>,
    mut incoming: Incoming,
    opening: Opening,
    start: Start,
) {
    let caller = &signed_in.caller;
    let language = caller.language();
    // A task of its own: a client that leaves meanwhile must not leave half a session behind.
    let opening_session = connection.tasks.spawn({
        let (connection, caller, device) = (connection.clone(), caller.clone(), device.clone());
        let account = account.map(str::to_owned);
        async move { connection.session(&caller, &device, account.as_deref()).await }
    });
    let Some(opened) =
        drain_meanwhile(&mut incoming.read, &incoming.backlog, &mut incoming.early, opening_session).await
    else {
        return;
    };
    let session = match opened {
        Ok(Ok(session)) => session,
        Err(fault) => {
            tracing::error!(%fault, device = %device, "the opening of a session broke off");
            return screen.refuse(&texts::refusal(language, &[texts::device_lost(language).into()])).await;
        }
        Ok(Err(refusal)) => {
            if !matches!(refusal, crate::session::Refusal::Denied(_)) {
                tracing::error!(%refusal, device = %device, "a session was refused");
            }
            return screen.refuse(&texts::refusal(language, &refusal.sentences(language))).await;
        }
    };
    channel::serve(&connection.gate, &session, screen, incoming, opening, start).await;
}
