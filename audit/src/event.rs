//! Events: what happened, who did it, and to what.
//!
//! An event is a value here; `gateway::store` writes it in the transaction of the change that it tells of, so that
//! neither exists without the other. Nothing here goes through `tracing`.

use chrono::{DateTime, Utc};
use sekimori_policy::id::{DeviceId, PersonId, VendorId, WorkId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::IpAddr;

/// Who did it: the person it is done as, and the system user at the keyboard where it was done on the command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The person whom the act is done as; `None` for the gateway itself and for callers who proved nothing.
    pub person: Option<PersonId>,
    /// The operating system's user at the keyboard, for acts done on the command line.
    pub system_user: Option<String>,
}

impl Actor {
    /// The gateway itself.
    #[must_use]
    pub fn gateway() -> Self {
        Self { person: None, system_user: None }
    }

    /// A person who is connected.
    #[must_use]
    pub fn person(person: PersonId) -> Self {
        Self { person: Some(person), system_user: None }
    }
}

/// One event, before the store gives it its number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, as the gateway's clock said.
    pub at: DateTime<Utc>,
    /// What, as a stable dotted code: `session.open`, `work.approve`, `person.suspend`.
    pub kind: Kind,
    /// Who did it.
    pub actor: Actor,
    /// The person it is about.
    pub person: Option<PersonId>,
    /// The vendor it is about.
    pub vendor: Option<VendorId>,
    /// The device it is about.
    pub device: Option<DeviceId>,
    /// The piece of work it belongs to.
    pub work: Option<WorkId>,
    /// The session it belongs to.
    pub session: Option<uuid::Uuid>,
    /// The sign-in (carried by a certificate or of this connection) that it stands on.
    pub sign_in: Option<uuid::Uuid>,
    /// Where from.
    pub source: Option<IpAddr>,
    /// What a reader needs beyond that. Never a secret, never terminal bytes.
    pub detail: Value,
}

impl Event {
    /// An event with nothing but its time, kind and actor; fill the rest with struct update syntax.
    #[must_use]
    pub fn new(at: DateTime<Utc>, kind: Kind, actor: Actor) -> Self {
        Self {
            at,
            kind,
            actor,
            person: None,
            vendor: None,
            device: None,
            work: None,
            session: None,
            sign_in: None,
            source: None,
            detail: Value::Null,
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// The kinds of events, each with its stable code. Codes are never reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Kind {
            $($(#[$doc])* #[serde(rename = $code)] $name,)*
        }

        impl Kind {
            /// The stable code, as stored and as shown.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The kind that a code names.
            #[must_use]
            pub fn from_code(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }
        }
    };
}

kinds! {
    /// The data directory was made.
    Init = "gateway.init",
    /// The gateway began to serve.
    Start = "gateway.start",
    /// The gateway stopped serving.
    Stop = "gateway.stop",
    /// The configuration was read again.
    Reload = "gateway.reload",
    /// A gateway was made of a backup; `detail` names it.
    Restored = "gateway.restored",
    /// Somebody began to take a backup; what came of it is another event.
    BackupStarted = "backup.started",
    /// A backup was taken.
    BackupMade = "backup.made",
    /// A backup could not be taken.
    BackupFailed = "backup.failed",
    /// A backup was checked as if a gateway were made of it; `detail` says whether it could be.
    BackupDrilled = "backup.drilled",
    /// The gateway serves still: once an hour, so that silence shows in the log.
    Beat = "gateway.beat",
    /// A source that nobody allows was turned away (counted, at most one event a source and minute).
    SourceRefused = "source.refused",
    /// All factors were proved.
    SignIn = "sign-in.proved",
    /// A sign-in failed.
    SignInFailed = "sign-in.failed",
    /// A certificate that carries a sign-in was issued.
    SignInCarried = "sign-in.carried",
    /// The second factor was proved once more, for an act of the console that asks for it.
    SignInAgain = "sign-in.again",
    /// A sign-in that is carried, or of the console, was revoked or ended by its person.
    SignInRevoked = "sign-in.revoked",
    /// A decision denied.
    AccessDenied = "access.denied",
    /// A session opened: durable before the device is dialled.
    SessionOpen = "session.open",
    /// A channel opened in a session.
    SessionChannel = "session.channel",
    /// A device was spoken to in a way that is no longer safe: by telnet, or with outdated algorithms, and then
    /// `detail.algorithms` names all that were negotiated.
    SessionLegacy = "session.legacy",
    /// A file went through.
    SessionTransfer = "session.transfer",
    /// A cut was asked for.
    SessionCut = "session.cut",
    /// Somebody who watches said something to the person; `detail.text` is what.
    SessionMessage = "session.message",
    /// Somebody paused a session: what its person sends is held.
    SessionPaused = "session.paused",
    /// A session that was paused goes on.
    SessionResumed = "session.resumed",
    /// Somebody of the hospital attends a session that is to be attended: its person goes on.
    SessionAttended = "session.attended",
    /// Somebody no longer attends it; `detail.held`: nobody does, and what its person sends is held.
    SessionUnattended = "session.unattended",
    /// A session ended, with the reason.
    SessionClose = "session.close",
    /// A recording was replayed, watched, exported.
    RecordingViewed = "recording.viewed",
    /// A recording was exported.
    RecordingExported = "recording.exported",
    /// A key of recordings was made, or an auditor's identity was added or removed; `detail.act` says which.
    RecordingKey = "recording.key",
    /// A segment of a recording was sealed.
    RecordingSegment = "recording.segment",
    /// The recording of a session was sealed as a whole.
    RecordingSealed = "recording.sealed",
    /// The bytes of a session's recording were removed, after its retention.
    RecordingPurged = "recording.purged",
    /// A hold was laid on a recording.
    RecordingHeld = "recording.held",
    /// A hold on a recording was lifted.
    RecordingReleased = "recording.released",
    /// The removal of recordings was proposed.
    PurgeProposed = "purge.proposed",
    /// A proposal of that was approved or rejected.
    PurgeDecided = "purge.decided",
    /// The bytes of an approved purge are off the disk.
    PurgeDone = "purge.done",
    /// The next key of the transparency log was introduced.
    LogKeyRotated = "log.key-rotated",
    /// The transparency log was written anew from the database's events, and agrees with what is known of it.
    LogRebuilt = "log.rebuilt",
    /// Events waited too long to be sealed into the transparency log: sessions ended, and none started.
    LogStalled = "log.stalled",
    /// The transparency log is level with the events again.
    LogResumed = "log.resumed",
    /// A witness of the transparency log is silent, or has seen another log than this one.
    LogWitnessSilent = "log.witness-silent",
    /// The witness cosigns again.
    LogWitnessBack = "log.witness-back",
    /// A vendor was added.
    VendorAdd = "vendor.add",
    /// A vendor was changed, suspended or retired.
    VendorChange = "vendor.change",
    /// A person was added.
    PersonAdd = "person.add",
    /// A person was changed, suspended or retired.
    PersonChange = "person.change",
    /// A person was invited to enrol; an earlier invitation ended with it.
    InvitationMade = "invitation.made",
    /// The link of an invitation was opened.
    InvitationOpened = "invitation.opened",
    /// A person enrolled: from here on the new factors count, and no earlier one does.
    InvitationUsed = "invitation.used",
    /// A link did not let anybody in, or an enrolment was not taken; `detail.why` says why.
    InvitationRefused = "invitation.refused",
    /// Recovery codes were handed out, in place of earlier ones.
    RecoveryCodes = "person.recovery-codes",
    /// A recovery code was spent.
    RecoveryCodeSpent = "person.recovery-code-spent",
    /// A password was set.
    PasswordSet = "person.password",
    /// A TOTP seed was enrolled.
    TotpEnrol = "person.totp",
    /// An SSH key was added.
    KeyAdd = "person.key-add",
    /// An SSH key was removed.
    KeyRemove = "person.key-remove",
    /// A passkey was added.
    PasskeyAdd = "person.passkey-add",
    /// A passkey was removed, and the sign-ins made with it ended.
    PasskeyRemove = "person.passkey-remove",
    /// An attestation was given.
    Attest = "person.attest",
    /// Somebody took a file that an attestation rests on.
    EvidenceViewed = "evidence.viewed",
    /// A device was added.
    DeviceAdd = "device.add",
    /// A device was changed.
    DeviceChange = "device.change",
    /// A host key was pinned or removed.
    DeviceHostKey = "device.host-key",
    /// A credential was stored or removed.
    DeviceCredential = "device.credential",
    /// The ledger was imported.
    LedgerImport = "ledger.import",
    /// The ledger was exported.
    LedgerExport = "ledger.export",
    /// A ledger row was changed by hand.
    LedgerChange = "ledger.change",
    /// A piece of work changed state; `detail.transition` says how.
    Work = "work.transition",
    /// Mail was handed to the mail server; `detail.what` says what for.
    MailSent = "mail.sent",
    /// Mail was not sent, and is not tried again; `detail.why` says why.
    MailGivenUp = "mail.given-up",
    /// Somebody tried whether mail goes.
    MailTried = "mail.tried",
    /// A review or an approval after the fact was not there in time; `detail.what` says which, and who has mail is told.
    WorkOverdue = "work.overdue",
    /// An incident lock was set.
    LockSet = "lock.set",
    /// An incident lock was lifted.
    LockLift = "lock.lift",
}
