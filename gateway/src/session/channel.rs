//! One channel of an open session, from what was asked for to its end: whether the permit names it, the tap, the device,
//! the relay. Which way the person came, by a channel of SSH or in a browser, is [`super::screen`]'s to know.

use super::attended::{marked, to_be_attended};
use super::backlog::Backlog;
use super::pump::drain_meanwhile;
use super::relay::{DeviceEnd, Expected, Outcome, PersonEnd, cells, relay};
use super::screen::{Screen, Sent};
use super::sftp_offer::SftpOffer;
use super::{End, Session};
use crate::gate::Gate;
use crate::ssh::equipment::{self, DialError, Equipment};
use crate::ssh::record::{close_tap, note, note_channel};
use crate::ssh::texts;
use crate::store::Protocol;
use crate::telnet;
use russh::{ChannelMsg, Pty};
use sekimori_audit::event::Kind;
use sekimori_audit::recording::{RecordingError, ScpCommand, Tap, Terminal};
use sekimori_policy::facts::{Channel as Permission, Language};
use serde_json::json;
use std::collections::VecDeque;
use std::sync::Arc;

/// What a client asked for before it started anything.
#[derive(Default)]
pub struct Opening {
    /// A terminal, where one was asked for.
    pub terminal: Option<PtyRequest>,
    /// Variables.
    pub environment: Vec<(String, String)>,
}

/// RFC 4254 section 6.2, as it will be asked of the device.
pub struct PtyRequest {
    /// Its type.
    pub term: String,
    /// Columns.
    pub columns: u32,
    /// Rows.
    pub rows: u32,
    /// Pixels, or 0.
    pub width: u32,
    /// Pixels, or 0.
    pub height: u32,
    /// Modes (RFC 4254 section 8).
    pub modes: Vec<(Pty, u32)>,
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

/// The person's half while nothing is relayed yet.
pub struct Incoming {
    /// What the client sends.
    pub read: Sent,
    /// How far reading it lags behind.
    pub backlog: Arc<Backlog>,
    /// What came while something else was under way.
    pub early: VecDeque<ChannelMsg>,
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

/// Serves one channel of an open session to its end, for exactly what its permit names. What was told last, where there
/// is a reason to tell.
pub async fn serve(
    gate: &Gate,
    session: &Arc<Session>,
    screen: Arc<Screen>,
    incoming: Incoming,
    opening: Opening,
    start: Start,
) -> Option<String> {
    let language = session.caller.language();
    if let Some(pause) = session.held().pause {
        note(gate, session, Kind::AccessDenied, json!({ "reasons": ["session-paused"] })).await;
        return refuse(&screen, language, texts::paused(language, &pause.reason)).await;
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
            let channel = SessionChannel { gate, session, screen, opening, start, permission };
            session.track(channel.serve(incoming)).await
        }
        Err(mut sentence) => {
            // What the device cannot do at all is not worth a changed request.
            if !matches!(start, Start::Shell) && equipment::speaks_telnet(gate, &permit).await {
                sentence = texts::terminal_only(language).into();
            }
            note(gate, session, Kind::AccessDenied, json!({ "reasons": ["channel-not-permitted"] })).await;
            refuse(&screen, language, sentence).await
        }
    }
}

async fn refuse(screen: &Screen, language: Language, sentence: String) -> Option<String> {
    screen.refuse(&texts::refusal(language, std::slice::from_ref(&sentence))).await;
    Some(sentence)
}

/// A device at which the account is signed in.
enum Reached {
    Ssh(Equipment, DeviceEnd),
    Telnet(telnet::Line),
}

/// One channel of an open session that the permit names.
struct SessionChannel<'a> {
    gate: &'a Gate,
    session: &'a Arc<Session>,
    screen: Arc<Screen>,
    opening: Opening,
    start: Start,
    permission: Permission,
}

impl SessionChannel<'_> {
    async fn serve(self, mut incoming: Incoming) -> Option<String> {
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
        let mut told = None;
        let outcome = match dialled {
            Some(Ok(Reached::Telnet(line))) => {
                let person = self.person(incoming, &tap);
                self.until_the_end(super::telnet(person, line, &tap, session)).await
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
                told = self.undialled(number, &fault).await;
                None
            }
            None => None,
        };
        let told = self.part(Some((&tap, outcome.as_ref()))).await.or(told);
        let reason = if session.has_ended() { session.reason().map(End::code) } else { None };
        close_tap(self.gate, session, number, &tap, reason).await;
        told
    }

    /// The event and the tap: both before anything is dialled.
    async fn begin(&self, number: u32) -> Result<Tap, String> {
        let session = self.session;
        note_channel(self.gate, session, number, self.permission).await?;
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
        let zone = self.gate.config().hospital.zone;
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
        let (gate, permit) = (self.gate, self.session.permit());
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

    async fn undialled(&self, number: u32, fault: &DialError) -> Option<String> {
        tracing::warn!(session = %self.session.id, %fault, "a device was not reached");
        let detail = json!({ "channel": number, "not_reached": fault.to_string() });
        note(self.gate, self.session, Kind::SessionChannel, detail).await;
        let language = self.session.caller.language();
        let sentence = format!("{}: {}", self.session.device(), fault.sentence(language));
        refuse(&self.screen, language, sentence).await
    }

    /// Tells why, where there is a reason to tell, and closes the person's channel.
    async fn part(&self, relayed: Option<(&Tap, Option<&Outcome>)>) -> Option<String> {
        let language = self.session.caller.language();
        let text = match (self.session.reason(), relayed.and_then(|(_, outcome)| outcome)) {
            (Some(End::PersonLeft | End::PersonLost), _) => return None,
            (Some(end), _) => Some(end.sentence(language)),
            (None, Some(Outcome::DeviceLost)) => Some(texts::device_lost(language).into()),
            (None, Some(Outcome::Flooded)) => Some(texts::flooded(language).into()),
            (None, Some(Outcome::Stalled)) => Some(texts::stalled(language).into()),
            (None, Some(Outcome::Recorder(_))) => Some(texts::malformed(language).into()),
            (None, _) => None,
        };
        match (&text, relayed) {
            (Some(text), Some((tap, _))) => self.screen.tell(tap, &marked(language, text)).await,
            (Some(text), None) => self.screen.refuse(&format!("{}\r\n", marked(language, text))).await,
            (None, _) => {}
        }
        self.screen.close().await;
        text
    }
}
