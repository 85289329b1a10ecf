//! Acts on pieces of work, for the command line and the console alike: what was typed becomes a request, a transition
//! is applied to the work as it is kept now, and the event that tells of it is written with it. What may follow on what,
//! and who may do it, is `sekimori_policy::work`'s to say.

use crate::store::{Store, StoreError};
use chrono::Utc;
use chrono_tz::Tz;
use sekimori_audit::event::Event;
use sekimori_policy::error::PolicyError;
use sekimori_policy::facts::{Channel, Language, Person};
use sekimori_policy::id::{DeviceId, InvalidId, PersonId, VendorId, WorkId};
use sekimori_policy::window::Window;
use sekimori_policy::words::Words;
use sekimori_policy::work::{By, Request, Transition, Work};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Why an act was not done. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum WorkFault {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The policy: not now, or not by this person.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// Something that was named is not there.
    #[error("no {what} {id} is registered")]
    NotFound {
        /// What it would be.
        what: Words,
        /// As it was named.
        id: String,
    },
    /// An ID that is none.
    #[error(transparent)]
    NoId(#[from] InvalidId),
    /// Somebody of another vendor was named.
    #[error("{person} does not work for {vendor}: name its own people")]
    OfAnotherVendor {
        /// Who.
        person: PersonId,
        /// Whose work it is.
        vendor: VendorId,
    },
    /// No device of the request offers a channel.
    #[error("none of the devices offers {0}")]
    NotOffered(Channel),
    /// Others are faster, or there is no ID left.
    #[error("others put requests forward faster, or there are too many of this day: try again, or choose an ID")]
    Busy,
}

impl WorkFault {
    /// The same in a language.
    #[must_use]
    pub fn sentence(&self, language: Language) -> String {
        match (language, self) {
            (_, Self::Policy(fault)) => fault.sentence(language),
            (Language::Ja, Self::NotFound { what, id }) => {
                format!("{}「{id}」は登録されていません。", what.in_language(language))
            }
            (Language::Ja, Self::NoId(_)) => {
                "IDが正しくありません。半角の英小文字・数字・「.」「_」「-」で入力してください。".to_owned()
            }
            (Language::Ja, Self::OfAnotherVendor { person, vendor }) => {
                format!("「{person}」は「{vendor}」の利用者ではありません。自社の利用者を選んでください。")
            }
            (Language::Ja, Self::NotOffered(channel)) => {
                format!("選んだ機器はどれも{channel}に対応していません。")
            }
            (Language::Ja, Self::Busy) => "ほかの申請と重なりました。もう一度送ってください。".to_owned(),
            (Language::Ja, Self::Store(_)) | (Language::En, _) => self.to_string(),
        }
    }
}

const VENDOR: Words = Words::new("事業者", "vendor");
const PERSON: Words = Words::new("利用者", "person");
const DEVICE: Words = Words::new("機器", "device");

/// There is no such person, as far as who asks is to know.
#[must_use]
pub fn no_person(id: &PersonId) -> WorkFault {
    not_found(PERSON, id)
}

fn not_found(what: Words, id: impl ToString) -> WorkFault {
    WorkFault::NotFound { what, id: id.to_string() }
}

/// A request as it was typed.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The ID, if one was chosen; else it is made from the date.
    pub id: Option<WorkId>,
    /// The vendor.
    pub vendor: VendorId,
    /// Who will do it.
    pub persons: Vec<PersonId>,
    /// On which devices.
    pub devices: Vec<DeviceId>,
    /// What for.
    pub purpose: String,
    /// What will be done.
    pub plan: String,
    /// When.
    pub window: Window,
    /// What shall be opened; all that the devices offer if nothing is named.
    pub channels: Vec<Channel>,
    /// Accounts on the devices; any if none is named.
    pub accounts: Vec<String>,
    /// Whether personal data will be seen.
    pub personal_data: bool,
    /// Whether somebody of the hospital shall attend.
    pub attendance: bool,
}

/// How often a number that somebody else took a moment before is given up for the next.
const NUMBERS: usize = 50;

/// Applies a transition to the work that was looked at, by this person. The event names actor and source; the rest is
/// filled in.
///
/// # Errors
/// [`WorkFault::Policy`], or [`StoreError::Conflict`] where it was changed since.
pub async fn apply(
    store: &Store,
    before: &Work,
    transition: Transition,
    by: &Person,
    event: Event,
) -> Result<Work, WorkFault> {
    let mut event = told(before, event, transition.code(), by);
    if let (Transition::Approve { attendance }, Value::Object(detail)) = (&transition, &mut event.detail) {
        detail.insert("attendance".into(), Value::Bool(*attendance));
    }
    let after = before.apply(transition, By::Person(by), Utc::now())?;
    store.update_work(before, &after, event).await?;
    Ok(after)
}

/// The event of a transition of this work.
#[must_use]
pub fn told(work: &Work, event: Event, transition: &str, by: &Person) -> Event {
    Event {
        vendor: Some(work.vendor().clone()),
        work: Some(work.id().clone()),
        detail: json!({ "transition": transition, "by": by.id }),
        ..event
    }
}

/// Puts a request forward.
///
/// # Errors
/// What it names is not there, lacks something, or may not be asked for by this person.
pub async fn put_forward(
    store: &Store,
    zone: Tz,
    draft: &Draft,
    by: &Person,
    event: &Event,
) -> Result<Work, WorkFault> {
    for _ in 0..NUMBERS {
        let requested = drafted(store, zone, draft, by).await?.apply(Transition::Submit, By::Person(by), Utc::now())?;
        let event = told(&requested, event.clone(), Transition::Submit.code(), by);
        match store.add_work(&requested, event).await {
            Err(StoreError::Exists { .. }) if draft.id.is_none() => {}
            other => return Ok(other.map(|()| requested)?),
        }
    }
    Err(WorkFault::Busy)
}

/// The work that a request would be, not yet put forward.
///
/// # Errors
/// As [`put_forward`].
pub async fn drafted(store: &Store, zone: Tz, draft: &Draft, by: &Person) -> Result<Work, WorkFault> {
    check_named(store, &draft.vendor, &draft.persons).await?;
    let (persons, devices) = (draft.persons.iter().cloned(), draft.devices.iter().cloned());
    let mut request = Request::new(draft.purpose.clone(), draft.plan.clone(), persons, devices, draft.window.clone());
    request.channels = channels(store, &draft.channels, &draft.devices).await?;
    request.accounts = (!draft.accounts.is_empty()).then(|| draft.accounts.iter().cloned().collect());
    request.personal_data_expected = draft.personal_data;
    request.attendance = draft.attendance;
    let id = match &draft.id {
        Some(id) => id.clone(),
        None => new_id(store, zone).await?,
    };
    Ok(Work::draft(id, draft.vendor.clone(), request, by, Utc::now())?)
}

/// `20261122-1`, `20261122-2`, …: short enough to be said over the telephone.
async fn new_id(store: &Store, zone: Tz) -> Result<WorkId, WorkFault> {
    let day = Utc::now().with_timezone(&zone).format("%Y%m%d").to_string();
    let taken: BTreeSet<WorkId> = store.work_ids(&format!("{day}-")).await?.into_iter().collect();
    for number in 1..10_000 {
        let id: WorkId = format!("{day}-{number}").parse()?;
        if !taken.contains(&id) {
            return Ok(id);
        }
    }
    Err(WorkFault::Busy)
}

/// A request for somebody of another vendor could never be used.
///
/// # Errors
/// The vendor or a person is not there, or a person is another vendor's.
pub async fn check_named(store: &Store, vendor: &VendorId, persons: &[PersonId]) -> Result<(), WorkFault> {
    if store.vendor(vendor).await?.is_none() {
        return Err(not_found(VENDOR, vendor));
    }
    for id in persons {
        match store.person(id).await? {
            None => return Err(not_found(PERSON, id)),
            Some(person) if person.vendor.as_ref() != Some(vendor) => {
                return Err(WorkFault::OfAnotherVendor { person: id.clone(), vendor: vendor.clone() });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// What was asked for; without a word, all that the devices offer.
///
/// # Errors
/// A device is not there, or none of them offers what was asked for.
pub async fn channels(store: &Store, asked: &[Channel], devices: &[DeviceId]) -> Result<BTreeSet<Channel>, WorkFault> {
    let mut offered = BTreeSet::new();
    for id in devices {
        let record = store.device(id).await?;
        let record = record.ok_or_else(|| not_found(DEVICE, id))?;
        offered.extend(record.device.channels);
    }
    if asked.is_empty() {
        return Ok(offered);
    }
    match asked.iter().find(|channel| !offered.contains(channel)) {
        Some(missing) => Err(WorkFault::NotOffered(*missing)),
        None => Ok(asked.iter().copied().collect()),
    }
}
