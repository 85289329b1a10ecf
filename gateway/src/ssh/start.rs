//! From a fresh channel to a relay: what was asked for, whether the permit names it, the tap, the device.

use super::channels::{Connection, SignedIn};
use super::equipment::{self, DialError, Equipment};
use super::record::{close_tap, note, note_channel};
use super::user_name::UserName;
use super::{menu, sign_in, texts};
use crate::session::attended::{marked, to_be_attended};
use crate::session::backlog::Backlog;
use crate::session::pump::drain_meanwhile;
use crate::session::relay::{DeviceEnd, Expected, Outcome, PersonEnd, Screen, cells, relay};
use crate::session::sftp_offer::SftpOffer;
use crate::session::{self, End, Session};
use crate::store::Protocol;
use crate::telnet;
use russh::server::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, Pty};
use sekimori_audit::event::Kind;
use sekimori_audit::recording::{RecordingError, ScpCommand, Tap, Terminal};
use sekimori_policy::facts::{Channel as Permission, Language};
use sekimori_policy::id::DeviceId;
use serde_json::json;
use std::collections::VecDeque;
use std::sync::Arc;

/// What a client asked for before it started anything.
#[derive(Default)]
pub struct Opening {
    terminal: Option<PtyRequest>,
    environment: Vec<(String, String)>,
}

/// RFC 4254 section 6.2, as it will be asked of the device.
struct PtyRequest {
    term: String,
    columns: u32,
    rows: u32,
    width: u32,
    height: u32,
    modes: Vec<(Pty, u32)>,
}

/// What a client started (RFC 4254 section 6.5).
#[derive(Clone)]
pub enum Start {
    /// A shell.
    Shell,
    /// A command, byte for byte.
    Exec(Vec<u8>),
    /// A subsystem by name.
    Subsystem(String),
}

/// Environment variables that are passed on at most.
const ENVIRONMENT_LIMIT: usize = 64;

/// The person's half while nothing is relayed yet.
pub struct Incoming {
    /// What the client sends.
    pub read: ChannelReadHalf,
    /// How far reading it lags behind.
    pub backlog: Arc<Backlog>,
    /// What came while something else was under way.
    pub early: VecDeque<ChannelMsg>,
}

/// Serves one `session` channel to its end.
pub async fn session_channel(connection: &Arc<Connection>, signed_in: &SignedIn, channel: Channel<Msg>) {
    let id = channel.id();
    let (mut read, write) = channel.split();
    let Some((opening, start)) = opening(&mut read).await else { return };
    let terminal = opening.terminal.is_some();
    let screen = Arc::new(Screen { id, handle: signed_in.handle.clone(), write, terminal });
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
async fn opening(read: &mut ChannelReadHalf) -> Option<(Opening, Start)> {
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

impl Start {
    /// What the permit has to name. `None`: a subsystem that nobody offers.
    fn permission(&self) -> Option<Permission> {
        match self {
            Self::Shell => Some(Permission::Shell),
            Self::Exec(command) if is_scp(command) => Some(Permission::Scp),
            Self::Exec(_) => Some(Permission::Exec),
            Self::Subsystem(name) if name == "sftp" => Some(Permission::Sftp),
            Self::Subsystem(_) => None,
        }
    }
}

/// Whether a command is `scp -t` or `scp -f` and nothing else, as the recorder will understand it. Only the system's
/// own scp counts: a program of that name elsewhere may have been brought along.
fn is_scp(command: &[u8]) -> bool {
    let Ok(command) = std::str::from_utf8(command) else { return false };
    let program = command.split(' ').next();
    matches!(program, Some("scp" | "/bin/scp" | "/usr/bin/scp")) && ScpCommand::parse(command).is_some()
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
    if let Some(pause) = session.held().pause {
        note(&connection.gate, &session, Kind::AccessDenied, json!({ "reasons": ["session-paused"] })).await;
        return screen.refuse(&texts::refusal(language, &[texts::paused(language, &pause.reason)])).await;
    }
    let permit = session.permit();
    let allowed = match start.permission() {
        Some(permission) => session
            .take_into_use(permission)
            .map(|in_use| (permission, in_use))
            .ok_or_else(|| texts::not_permitted(language, &permission.to_string(), permit.work().as_str())),
        None => match &start {
            Start::Subsystem(name) => Err(texts::unknown_subsystem(language, name)),
            Start::Shell | Start::Exec(_) => Err(texts::device_lost(language).into()),
        },
    };
    match allowed {
        Ok((permission, _in_use)) => {
            let channel = SessionChannel { connection, session: &session, screen, opening, start, permission };
            session.track(channel.serve(incoming)).await;
        }
        Err(mut sentence) => {
            // What the device cannot do at all is not worth a changed request.
            if !matches!(start, Start::Shell) && equipment::speaks_telnet(&connection.gate, &permit).await {
                sentence = texts::terminal_only(language).into();
            }
            note(&connection.gate, &session, Kind::AccessDenied, json!({ "reasons": ["channel-not-permitted"] })).await;
            screen.refuse(&texts::refusal(language, &[sentence])).await;
        }
    }
}

/// A device at which the account is signed in.
enum Reached {
    Ssh(Equipment, DeviceEnd),
    Telnet(telnet::Line),
}

/// One channel of an open session that the permit names.
struct SessionChannel<'a> {
    connection: &'a Arc<Connection>,
    session: &'a Arc<Session>,
    screen: Arc<Screen>,
    opening: Opening,
    start: Start,
    permission: Permission,
}

impl SessionChannel<'_> {
    async fn serve(self, mut incoming: Incoming) {
        let session = self.session;
        let number = session.next_channel();
        let tap = match self.begin(number).await {
            Ok(tap) => tap,
            Err(fault) => {
                session.end(End::RecordingFailed(fault));
                return self.part(None).await;
            }
        };
        if self.screen.terminal {
            self.greet(&tap).await;
        }
        let reached = async {
            self.await_attendance(&tap).await;
            self.dial().await
        };
        let dialled = tokio::select! {
            dialled = drain_meanwhile(&mut incoming.read, &incoming.backlog, &mut incoming.early, reached) => dialled,
            () = session.ended() => None,
        };
        let outcome = match dialled {
            Some(Ok(Reached::Telnet(line))) => {
                let person = self.person(incoming, &tap);
                self.until_the_end(session::telnet(person, line, &tap, session)).await
            }
            Some(Ok(Reached::Ssh(equipment, device))) => {
                let person = self.person(incoming, &tap);
                let outcome = self.until_the_end(relay(person, device, &tap, session)).await;
                if matches!(outcome, Some(Outcome::PersonClosed)) {
                    equipment.finish().await;
                }
                outcome
            }
            Some(Err(fault)) => {
                self.undialled(number, &fault).await;
                None
            }
            None => None,
        };
        self.part(Some((&tap, outcome.as_ref()))).await;
        let reason = if session.has_ended() { session.reason().map(End::code) } else { None };
        close_tap(&self.connection.gate, session, number, &tap, reason).await;
    }

    /// The event and the tap: both before anything is dialled.
    async fn begin(&self, number: u32) -> Result<Tap, String> {
        let session = self.session;
        note_channel(&self.connection.gate, session, number, self.permission).await?;
        let command = match &self.start {
            Start::Exec(command) => Some(String::from_utf8_lossy(command).into_owned()),
            Start::Shell | Start::Subsystem(_) => None,
        };
        let recording = &session.recording;
        let tap = match (&self.opening.terminal, &self.start) {
            (_, Start::Subsystem(_)) => recording.sftp(number).await,
            (Some(pty), _) => {
                let (cols, rows) = (cells(pty.columns), cells(pty.rows));
                recording.terminal(number, Terminal { cols, rows, term: pty.term.clone(), command }).await
            }
            (None, Start::Shell | Start::Exec(_)) => {
                // A shell without a terminal is a stream like a command's.
                recording.stream(number, command.unwrap_or_else(|| "shell".into())).await
            }
        };
        tap.map_err(|fault: RecordingError| fault.to_string())
    }

    async fn greet(&self, tap: &Tap) {
        let (session, permit) = (self.session, self.session.permit());
        let language = session.caller.language();
        let zone = self.connection.gate.config().hospital.zone;
        let (device, work) = (permit.device().as_str(), permit.work().as_str());
        let mut text = texts::opening(language, device, permit.account(), work, permit.until(), zone);
        if permit.awaiting_retrospective_approval() {
            text = format!("{}\r\n{text}", texts::emergency(language));
        }
        self.screen.tell(tap, &text).await;
    }

    /// Nothing is begun at a device while the session is to be attended and nobody does; the person is told, beside a
    /// stream as well.
    async fn await_attendance(&self, tap: &Tap) {
        if self.session.held().unattended {
            let language = self.session.caller.language();
            self.screen.tell(tap, &marked(language, to_be_attended(language))).await;
            self.session.show_notices_on(&self.screen, tap);
            self.session.released().await;
        }
    }

    /// The device's channel, with everything asked of it that the client asked for.
    async fn dial(&self) -> Result<Reached, DialError> {
        let (gate, permit) = (&self.connection.gate, self.session.permit());
        let record = equipment::record(gate, &permit).await?;
        if record.dialect.protocol == Protocol::Telnet {
            let (Some(pty), Start::Shell) = (&self.opening.terminal, &self.start) else {
                return Err(DialError::TerminalOnly { device: permit.device().to_string() });
            };
            let size = telnet::Size { term: pty.term.clone(), columns: cells(pty.columns), rows: cells(pty.rows) };
            return telnet::dial(gate, self.session, &permit, &record, size).await.map(Reached::Telnet);
        }
        let equipment = equipment::dial(gate, self.session, &permit, &record, &self.session.recording).await?;
        let protocol =
            |fault: russh::Error| DialError::Protocol { device: permit.device().to_string(), cause: fault.to_string() };
        let channel = equipment.connection.channel_open_session().await.map_err(protocol)?;
        let mut expected = VecDeque::new();
        if let Some(pty) = &self.opening.terminal {
            let PtyRequest { term, columns, rows, width, height, modes } = pty;
            channel.request_pty(true, term, *columns, *rows, *width, *height, modes).await.map_err(protocol)?;
            expected.push_back(Expected::Terminal);
        }
        for (name, value) in &self.opening.environment {
            channel.set_env(false, name, value).await.map_err(protocol)?;
        }
        // It may have been paused meanwhile: what starts acts on the device.
        self.session.released().await;
        match &self.start {
            Start::Shell => channel.request_shell(true).await,
            Start::Exec(command) => channel.exec(true, command.clone()).await,
            Start::Subsystem(name) => channel.request_subsystem(true, name).await,
        }
        .map_err(protocol)?;
        expected.push_back(Expected::Start);
        let (read, write) = channel.split();
        let backlog = equipment.backlog.clone();
        Ok(Reached::Ssh(equipment, DeviceEnd { read, write, backlog, expected }))
    }

    fn person(&self, incoming: Incoming, tap: &Tap) -> PersonEnd {
        let Incoming { read, backlog, early } = incoming;
        // Of subsystems only SFTP is permitted at all.
        let offer = matches!(self.start, Start::Subsystem(_)).then(SftpOffer::default);
        self.session.show_notices_on(&self.screen, tap);
        PersonEnd { read, screen: self.screen.clone(), backlog, early, offer }
    }

    async fn until_the_end(&self, relayed: impl Future<Output = Outcome>) -> Option<Outcome> {
        tokio::select! {
            outcome = relayed => {
                if let Some(end) = outcome.end_of_session() {
                    self.session.end(end);
                }
                Some(outcome)
            }
            () = self.session.ended() => None,
        }
    }

    async fn undialled(&self, number: u32, fault: &DialError) {
        tracing::warn!(session = %self.session.id, %fault, "a device was not reached");
        let detail = json!({ "channel": number, "not_reached": fault.to_string() });
        note(&self.connection.gate, self.session, Kind::SessionChannel, detail).await;
        let language = self.session.caller.language();
        let sentence = format!("{}: {}", self.session.device(), fault.sentence(language));
        let text = texts::refusal(language, &[sentence]);
        self.screen.refuse(&text).await;
    }

    /// Tells why, where there is a reason to tell, and closes the person's channel.
    async fn part(&self, relayed: Option<(&Tap, Option<&Outcome>)>) {
        let language = self.session.caller.language();
        let text = match (self.session.reason(), relayed.and_then(|(_, outcome)| outcome)) {
            (Some(End::PersonLeft | End::PersonLost), _) => return,
            (Some(end), _) => Some(end.sentence(language)),
            (None, Some(Outcome::DeviceLost)) => Some(texts::device_lost(language).into()),
            (None, Some(Outcome::Flooded)) => Some(texts::flooded(language).into()),
            (None, Some(Outcome::Stalled)) => Some(texts::stalled(language).into()),
            (None, Some(Outcome::Recorder(_))) => Some(texts::malformed(language).into()),
            (None, _) => None,
        };
        let mark = if language == Language::Ja { "*** 関守: " } else { "*** Sekimori: " };
        match (text, relayed) {
            (Some(text), Some((tap, _))) => self.screen.tell(tap, &format!("{mark}{text}")).await,
            (Some(text), None) => self.screen.refuse(&format!("{mark}{text}\r\n")).await,
            (None, _) => {}
        }
        self.screen.write.close().await.ok();
    }
}
