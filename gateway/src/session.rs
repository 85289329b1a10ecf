//! A session: one person at one device, from the decision to the confirmed end.
//!
//! [`open`] reads top to bottom: facts, decision, durable event, running recording. Each step consumes what the last
//! one gave, so that a skipped step does not compile; [`crate::ssh::equipment::dial`] wants the permit and the
//! recording. From then on a supervisor ([`supervise`]) lives beside the session: it warns, and it cuts, out of band.

pub mod attended;
pub mod backlog;
mod caller;
pub mod channel;
mod end;
mod forward;
pub mod live;
pub mod pump;
pub mod read_ahead;
pub mod relay;
pub mod screen;
pub mod segments;
pub mod sftp_offer;
mod supervise;
mod telnet;
pub mod views;
pub mod watchers;

pub use caller::{Caller, Way};
pub use end::End;
pub use forward::forward;
use telnet::telnet;

use crate::gate::Gate;
use crate::store::{Counts, Opening, StoreError};
use attended::Held;
use backlog::Cuttable;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use screen::Screen;
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_audit::recording::{Recording, RecordingError, SessionHead, Tap};
use sekimori_policy::decide::{Decision, Denial, Permit, decide};
use sekimori_policy::error::PolicyError;
use sekimori_policy::facts::{Channel, Facts, Language};
use sekimori_policy::id::{DeviceId, WorkId};
use sekimori_policy::work::{By, Transition, Work};
use serde_json::json;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Why no session opened.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The decision denied.
    #[error("denied")]
    Denied(Denial),
    /// The database did not answer, or refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The recording could not start, so nothing starts.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The sign-in that the connection stands on was revoked.
    #[error("the sign-in was revoked")]
    SignInRevoked,
    /// The work changed under the decision: it no longer begins.
    #[error(transparent)]
    Work(#[from] PolicyError),
    /// The work was there when it was decided on, and is not any more.
    #[error("the work is gone")]
    WorkGone,
    /// Events wait too long for the transparency log.
    #[error("events cannot be sealed into the log; see `sekimori log status`")]
    LogUnsealed,
    /// The hospital wants a witness of the log, and none has cosigned for too long.
    #[error("no witness cosigned the log for too long; see `sekimori log status`")]
    LogUnwitnessed,
    /// The gateway is being stopped.
    #[error("the gateway is being stopped")]
    Stopping,
}

impl Refusal {
    /// What the person reads: every reason, in their language. Faults of the gateway's own are told without detail.
    #[must_use]
    pub fn sentences(&self, language: Language) -> Vec<String> {
        let ja = language == Language::Ja;
        match self {
            Self::Denied(denial) => denial.reasons().iter().map(|reason| reason.sentence(language)).collect(),
            Self::Store(_) if ja => vec!["ゲートウェイのデータベースが応答しません。病院に連絡してください。".into()],
            Self::Store(_) => vec!["The gateway's database does not answer. Tell the hospital.".into()],
            Self::Recording(_) if ja => {
                vec!["操作記録を開始できないため、接続できません。病院に連絡してください。".into()]
            }
            Self::Recording(_) => vec!["The recording cannot start, so nothing starts. Tell the hospital.".into()],
            Self::SignInRevoked => vec![End::SignInRevoked.sentence(language)],
            Self::Work(_) | Self::WorkGone if ja => vec!["作業の状態が変わりました。もう一度接続してください。".into()],
            Self::Work(_) | Self::WorkGone => vec!["The work has just changed. Connect again.".into()],
            Self::LogUnsealed if ja => {
                vec!["監査ログに書き込めないため、接続できません。病院に連絡してください。".into()]
            }
            Self::LogUnsealed => {
                vec!["The gateway's log cannot be written, so nothing starts. Tell the hospital.".into()]
            }
            Self::LogUnwitnessed if ja => {
                vec!["監査ログの立会サーバが応答しないため、接続できません。病院に連絡してください。".into()]
            }
            Self::LogUnwitnessed => {
                vec!["No witness confirms the gateway's log, so nothing starts. Tell the hospital.".into()]
            }
            Self::Stopping if ja => vec!["ゲートウェイを停止しています。".into()],
            Self::Stopping => vec!["The gateway is being stopped.".into()],
        }
    }
}

/// A session that is open: the permit holds, the recording runs, the event is durable.
pub struct Session {
    /// The session's number, in every event and in the recording's path.
    pub id: Uuid,
    /// Who is connected.
    pub caller: Caller,
    /// When it opened.
    pub opened: DateTime<Utc>,
    /// What is being written.
    pub recording: Recording,
    permit: watch::Sender<Arc<Permit>>,
    account: String,
    device: DeviceId,
    work: WorkId,
    in_use: Mutex<Vec<Channel>>,
    ended: CancellationToken,
    end: OnceLock<End>,
    channels: AtomicU32,
    transfers: AtomicU32,
    to_device: AtomicU64,
    from_device: AtomicU64,
    screens: Mutex<Vec<(Weak<Screen>, Tap)>>,
    sockets: Mutex<Vec<Weak<Cuttable>>>,
    tasks: TaskTracker,
    last_active: AtomicI64,
    held: watch::Sender<Held>,
    /// How many attend it.
    attending: Mutex<usize>,
    /// The number of the last event whose words were shown.
    told: AtomicI64,
}

/// Opens a session, or says every reason why not. Nothing is half done: a recording that does not start closes the
/// session's row again.
pub async fn open(
    gate: &Arc<Gate>,
    caller: &Caller,
    device: &DeviceId,
    account: Option<&str>,
    way: Way,
    hang_up: HangUp,
) -> Result<Arc<Session>, Refusal> {
    if gate.stopping() {
        return Err(Refusal::Stopping);
    }
    if gate.log_stalled().is_some() {
        return Err(Refusal::LogUnsealed);
    }
    if gate.sealing.witnessing.missing(&gate.config()) {
        return Err(Refusal::LogUnwitnessed);
    }
    if !gate.sign_in_stands(caller.sign_in).await? {
        return Err(Refusal::SignInRevoked);
    }
    let facts = gate.facts(caller, device, account).await?;
    let now = Utc::now();
    let permit = match decide(&facts, now) {
        Decision::Permit(permit) => permit,
        Decision::Denial(denial) => {
            gate.store.record(denied(caller, device, account, &denial, now)).await?;
            return Err(Refusal::Denied(denial));
        }
    };
    let (id, recording) = begin(gate, caller, &permit, &facts, way, now).await?;
    let unattended = permit.attendance();
    let session = Arc::new(Session {
        id,
        caller: caller.clone(),
        opened: now,
        recording,
        account: permit.account().to_owned(),
        device: device.clone(),
        work: permit.work().clone(),
        in_use: Mutex::default(),
        permit: watch::Sender::new(Arc::new(permit)),
        ended: CancellationToken::new(),
        end: OnceLock::new(),
        channels: AtomicU32::new(0),
        transfers: AtomicU32::new(0),
        to_device: AtomicU64::new(0),
        from_device: AtomicU64::new(0),
        screens: Mutex::default(),
        sockets: Mutex::default(),
        tasks: TaskTracker::new(),
        last_active: AtomicI64::new(now.timestamp()),
        held: watch::Sender::new(Held { pause: None, unattended }),
        attending: Mutex::new(0),
        told: AtomicI64::new(0),
    });
    gate.live.insert(&session);
    let supervisor = supervise::supervise(gate.clone(), session.clone(), hang_up);
    gate.sessions.spawn_on(supervisor, &gate.home);
    // What changed between the reading of the facts and now has been seen by nobody on this session's behalf.
    live::look_at(gate, &session).await;
    Ok(session)
}

/// A kind of channel in use; given back on drop.
pub struct InUse {
    session: Arc<Session>,
    channel: Channel,
}

impl Drop for InUse {
    fn drop(&mut self) {
        let mut in_use = self.session.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = in_use.iter().position(|channel| *channel == self.channel) {
            in_use.swap_remove(place);
        }
    }
}

/// Ends the person's connection, within half a second, if it carries nothing but the session that ended; tells why.
pub type HangUp = Arc<dyn Fn(Uuid, End) -> BoxFuture<'static, ()> + Send + Sync>;

/// The event that is durable before the device is dialled, then the recording that runs before anything is relayed.
async fn begin(
    gate: &Gate,
    caller: &Caller,
    permit: &Permit,
    facts: &Facts,
    way: Way,
    now: DateTime<Utc>,
) -> Result<(Uuid, Recording), Refusal> {
    let id = Uuid::now_v7();
    let shared = facts
        .device
        .iter()
        .flat_map(|device| &device.accounts)
        .any(|account| account.name == permit.account() && account.shared);
    let event = Event {
        person: Some(caller.person.id.clone()),
        vendor: Some(permit.vendor().clone()),
        device: Some(permit.device().clone()),
        work: Some(permit.work().clone()),
        session: Some(id),
        sign_in: Some(caller.sign_in),
        source: Some(caller.source.address()),
        detail: json!({
            "account": permit.account(),
            "way": way.code(),
            "shared_account": shared,
            "factors": caller.factors.methods,
            "until": permit.until(),
            "until_because": permit.until_because().code(),
            "awaiting_retrospective_approval": permit.awaiting_retrospective_approval(),
        }),
        ..Event::new(now, Kind::SessionOpen, Actor::person(caller.person.id.clone()))
    };
    let opening = Opening {
        id,
        person: caller.person.id.clone(),
        vendor: permit.vendor().clone(),
        device: permit.device().clone(),
        account: permit.account().to_owned(),
        shared,
        work: permit.work().clone(),
        source: caller.source,
        sign_in: caller.sign_in,
        methods: caller.factors.methods.clone(),
        opened: now,
        until: permit.until(),
        instance: gate.instance.clone(),
    };
    begin_work(gate, caller, permit.work(), now).await?;
    gate.store.open_session(&opening, event).await?;
    let head = SessionHead {
        session: id,
        opened: now,
        person: caller.person.id.clone(),
        vendor: Some(permit.vendor().clone()),
        device: permit.device().clone(),
        account: permit.account().to_owned(),
        work: permit.work().clone(),
        source: caller.source.address(),
        gateway: gate.config().hospital.name.clone(),
    };
    match gate.recordings.start(head).await {
        Ok(recording) => Ok((id, recording)),
        Err(fault) => {
            let end = End::RecordingFailed(fault.to_string());
            supervise::close_row(gate, id, caller, permit.device(), permit.work(), &end, supervise::Whole::default())
                .await;
            Err(fault.into())
        }
    }
}

/// Tells the piece of work that a session of it opens. Whoever changed it at the same moment is read again.
async fn begin_work(gate: &Gate, caller: &Caller, id: &WorkId, now: DateTime<Utc>) -> Result<(), Refusal> {
    let begin = |work: &Work| work.apply(Transition::Begin, By::Person(&caller.person), now);
    // Mostly it has begun already: writers need not wait for each other to find that out.
    let work = gate.store.work(id).await?.ok_or(Refusal::WorkGone)?;
    if begin(&work)? == work {
        return Ok(());
    }
    let event = Event {
        person: Some(caller.person.id.clone()),
        vendor: Some(work.vendor().clone()),
        work: Some(id.clone()),
        sign_in: Some(caller.sign_in),
        source: Some(caller.source.address()),
        detail: json!({ "transition": Transition::Begin.code() }),
        ..Event::new(now, Kind::Work, Actor::person(caller.person.id.clone()))
    };
    Ok(gate.store.transit_work(id, event, begin).await?.ok_or(Refusal::WorkGone)??)
}

fn denied(caller: &Caller, device: &DeviceId, account: Option<&str>, denial: &Denial, now: DateTime<Utc>) -> Event {
    let codes: Vec<_> = denial.reasons().iter().map(sekimori_policy::reason::Reason::code).collect();
    Event {
        person: Some(caller.person.id.clone()),
        vendor: caller.person.vendor.clone(),
        device: Some(device.clone()),
        sign_in: Some(caller.sign_in),
        source: Some(caller.source.address()),
        detail: json!({ "account": account, "reasons": codes }),
        ..Event::new(now, Kind::AccessDenied, Actor::person(caller.person.id.clone()))
    }
}

impl Session {
    /// The permit in force. It changes when the facts do.
    #[must_use]
    pub fn permit(&self) -> Arc<Permit> {
        self.permit.borrow().clone()
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> &DeviceId {
        &self.device
    }

    /// The account on the device.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The piece of work that it was opened for; it never becomes another's.
    #[must_use]
    pub fn work(&self) -> &WorkId {
        &self.work
    }

    /// Takes a kind of channel into use, if the permit names it. From then on a permit that no longer names it ends
    /// the session; `None`: it is not permitted.
    #[must_use]
    pub fn take_into_use(self: &Arc<Self>, channel: Channel) -> Option<InUse> {
        // Noted before the permit is asked: a change in between sees the one or the other.
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner).push(channel);
        let in_use = InUse { session: self.clone(), channel };
        self.permit().allows(channel).then_some(in_use)
    }

    fn allowed_by(&self, permit: &Permit) -> bool {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner).iter().all(|channel| permit.allows(*channel))
    }

    /// Whether the session has been told to end.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Resolves when the session has been told to end.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Tells the session to end. The first reason counts.
    pub fn end(&self, reason: End) {
        self.end.get_or_init(|| reason);
        self.ended.cancel();
    }

    /// The reason why it ended, once it was told to.
    #[must_use]
    pub fn reason(&self) -> Option<&End> {
        self.end.get()
    }

    /// Notes bytes that the person sent: they are counted, and an idle session ends.
    pub fn sent_to_device(&self, bytes: usize) {
        self.to_device.fetch_add(bytes as u64, Ordering::Relaxed);
        self.active();
    }

    /// Notes bytes that the device sent.
    pub fn came_from_device(&self, bytes: usize) {
        self.from_device.fetch_add(bytes as u64, Ordering::Relaxed);
        self.active();
    }

    /// Notes a file that went through.
    pub fn transferred(&self) {
        self.transfers.fetch_add(1, Ordering::Relaxed);
    }

    fn active(&self) {
        self.last_active.store(Utc::now().timestamp(), Ordering::Relaxed);
    }

    fn counts(&self) -> Counts {
        Counts {
            to_device_bytes: self.to_device.load(Ordering::Relaxed),
            from_device_bytes: self.from_device.load(Ordering::Relaxed),
            channels: self.channels.load(Ordering::Relaxed),
            transfers: self.transfers.load(Ordering::Relaxed),
        }
    }

    /// The number of the next channel, from 1.
    pub fn next_channel(&self) -> u32 {
        self.channels.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Makes a channel's work part of this session: the session closes after its last channel.
    pub async fn track<T>(&self, work: impl Future<Output = T>) -> T {
        self.tasks.track_future(work).await
    }

    /// Lets the session cut a socket towards the device when it ends.
    pub fn keep_socket(&self, socket: &Arc<Cuttable>) {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        if self.has_ended() {
            socket.cut().ok();
        }
        sockets.retain(|socket| socket.strong_count() > 0);
        sockets.push(Arc::downgrade(socket));
    }

    /// Lets the supervisor's notices appear here for as long as the screen lives.
    pub fn show_notices_on(&self, screen: &Arc<Screen>, tap: &Tap) {
        let mut screens = self.screens.lock().unwrap_or_else(PoisonError::into_inner);
        // Once on each, and on none that is gone.
        screens.retain(|(one, _)| one.upgrade().is_some_and(|one| !Arc::ptr_eq(&one, screen)));
        screens.push((Arc::downgrade(screen), tap.clone()));
    }

    fn screens(&self) -> Vec<(Arc<Screen>, Tap)> {
        let screens = self.screens.lock().unwrap_or_else(PoisonError::into_inner);
        screens.iter().filter_map(|(screen, tap)| Some((screen.upgrade()?, tap.clone()))).collect()
    }
}
