//! May this person reach this device now? The one place where that is decided.
//!
//! [`decide`] asks every rule and returns a [`Permit`] built from their proofs, or every reason against it. What is
//! permitted is carried out in `gateway`, which cannot make a [`Permit`] of its own.

use crate::facts::{Channel, Facts, Language, Source};
use crate::id::{DeviceId, PersonId, VendorId, WorkId};
use crate::reason::Reason;
use crate::rules;
use crate::rules::Judged;
use crate::rules::work::Permitting;
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;

/// What was decided.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a decision is to be acted on"]
pub enum Decision {
    /// Access is permitted, on these terms.
    Permit(Permit),
    /// Access is denied, for these reasons.
    Denial(Denial),
}

/// The terms on which access is permitted. Only [`decide`] makes one, and it cannot be copied or read from a store.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit is for the connection that it was asked for"]
pub struct Permit {
    person: PersonId,
    vendor: VendorId,
    device: DeviceId,
    account: String,
    channels: BTreeSet<Channel>,
    source: Source,
    work: WorkId,
    until: DateTime<Utc>,
    until_because: Limit,
    awaiting_retrospective_approval: bool,
    attendance: bool,
}

/// Why access is denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    reasons: Vec<Reason>,
}

/// What ends a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// The window, or its extension, closes.
    WindowEnd,
    /// Emergency access waits for its approval until then.
    RetrospectiveApprovalDeadline,
    /// The vendor's contract ends.
    ContractEnd,
    /// The terminal's attestation expires.
    AttestationExpiry,
    /// An incident lock was announced.
    LockStart,
    /// The sign-in that the session stands on ends.
    SignInEnd,
    /// The factors grow too old for this hospital.
    FactorAge,
}

/// Decides whether access is permitted at `now`. Every rule is asked; the order of the reasons is that of
/// [`Reason::CODES`], and among pieces of work that of the facts.
pub fn decide(facts: &Facts, now: DateTime<Utc>) -> Decision {
    let mut reasons = Vec::new();
    let person = proof(rules::person::active(facts), &mut reasons);
    let contract = proof(rules::vendor::under_contract(facts, now), &mut reasons);
    let source = proof(rules::source::allowlisted(facts), &mut reasons);
    let factors = proof(rules::factors::two_kinds(facts, now), &mut reasons);
    let attested = proof(rules::attestation::valid(facts, now), &mut reasons);
    let device = proof(rules::device::in_use(facts), &mut reasons);
    let account = proof(rules::account::exists(facts), &mut reasons);
    let works = proof(rules::work::permitting(facts, account, now), &mut reasons);
    let work = proof(admitted(facts, works, now), &mut reasons);

    let (Some(person), Some(contract), Some(source), Some(factors)) = (person, contract, source, factors) else {
        return Decision::Denial(Denial { reasons });
    };
    let (Some(attested), Some(device), Some(account), Some(work)) = (attested, device, account, work) else {
        return Decision::Denial(Denial { reasons });
    };

    let others = [(contract.until, Limit::ContractEnd), (attested.until, Limit::AttestationExpiry)];
    let (until, until_because) = earliest(work.end, others.into_iter().chain(factors.limits));
    let work = work.permitting;
    Decision::Permit(Permit {
        person: person.person.id.clone(),
        vendor: person.vendor.clone(),
        device: device.id.clone(),
        account: account.name.clone(),
        channels: work.channels,
        source,
        work: work.work.id().clone(),
        until,
        until_because,
        awaiting_retrospective_approval: work.work.awaiting_retrospective_approval().is_some(),
        attendance: work.work.is_to_be_attended(),
    })
}

fn proof<T>(judged: Judged<T>, reasons: &mut Vec<Reason>) -> Option<T> {
    judged.map_err(|found| reasons.extend(found)).ok()
}

/// Work that permits and that no lock and no unreviewed work holds back.
struct Admitted<'a> {
    permitting: Permitting<'a>,
    end: (DateTime<Utc>, Limit),
}

/// Of all works that permit, the one that does so longest.
fn admitted<'a>(facts: &Facts, works: Option<Vec<Permitting<'a>>>, now: DateTime<Utc>) -> Judged<Admitted<'a>> {
    let Some(works) = works else {
        // No work permits; a lock and unreviewed work are reasons all the same.
        let locked = rules::lock::unlocked(facts, None, now).err();
        let unreviewed = rules::review::up_to_date(facts, now, now).err();
        return Err(locked.into_iter().chain(unreviewed).flatten().collect());
    };
    let mut longest: Option<Admitted<'a>> = None;
    let mut refused: Option<Vec<Reason>> = None;
    for work in works {
        match admit(facts, work, now) {
            Ok(work) if longest.as_ref().is_none_or(|other| other.end.0 < work.end.0) => longest = Some(work),
            Ok(_) => {}
            Err(found) => refused = refused.or(Some(found)),
        }
    }
    longest.ok_or_else(|| refused.unwrap_or_default())
}

fn admit<'a>(facts: &Facts, permitting: Permitting<'a>, now: DateTime<Utc>) -> Judged<Admitted<'a>> {
    let mut reasons = Vec::new();
    let unlocked = proof(rules::lock::unlocked(facts, Some(permitting.work), now), &mut reasons);
    let reviewed = proof(rules::review::up_to_date(facts, permitting.occurrence.from, now), &mut reasons);
    let (Some(unlocked), Some(rules::review::UpToDate)) = (unlocked, reviewed) else { return Err(reasons) };
    let window = (permitting.occurrence.until, Limit::WindowEnd);
    let deadline = permitting.deadline.map(|at| (at, Limit::RetrospectiveApprovalDeadline));
    let lock = unlocked.until.map(|at| (at, Limit::LockStart));
    let end = earliest(window, deadline.into_iter().chain(lock));
    Ok(Admitted { permitting, end })
}

/// The earliest end; of equal ones, the one that stands first.
fn earliest(
    first: (DateTime<Utc>, Limit),
    others: impl IntoIterator<Item = (DateTime<Utc>, Limit)>,
) -> (DateTime<Utc>, Limit) {
    others.into_iter().fold(first, |earliest, other| if other.0 < earliest.0 { other } else { earliest })
}

impl Permit {
    /// Who.
    #[must_use]
    pub fn person(&self) -> &PersonId {
        &self.person
    }

    /// Whose person.
    #[must_use]
    pub fn vendor(&self) -> &VendorId {
        &self.vendor
    }

    /// Which device.
    #[must_use]
    pub fn device(&self) -> &DeviceId {
        &self.device
    }

    /// Which account on it.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// What may be opened: what both the device allows and the work asked for. Never empty.
    #[must_use]
    pub fn channels(&self) -> &BTreeSet<Channel> {
        &self.channels
    }

    /// Whether this may be opened.
    #[must_use]
    pub fn allows(&self, channel: Channel) -> bool {
        self.channels.contains(&channel)
    }

    /// Where from.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// Under which piece of work.
    #[must_use]
    pub fn work(&self) -> &WorkId {
        &self.work
    }

    /// The first instant at which nothing is permitted any more; later than the instant it was decided at.
    #[must_use]
    pub fn until(&self) -> DateTime<Utc> {
        self.until
    }

    /// What ends it then.
    #[must_use]
    pub fn until_because(&self) -> Limit {
        self.until_because
    }

    /// Whether it rests on emergency access that waits for approval (事後承認待ち), which is to be shown.
    #[must_use]
    pub fn awaiting_retrospective_approval(&self) -> bool {
        self.awaiting_retrospective_approval
    }

    /// Whether it holds only while somebody of the hospital attends (立会い).
    #[must_use]
    pub fn attendance(&self) -> bool {
        self.attendance
    }
}

impl Denial {
    /// Every reason, in the order of the rules. Never empty.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }
}

impl Limit {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::WindowEnd => "window-end",
            Self::RetrospectiveApprovalDeadline => "retrospective-approval-deadline",
            Self::ContractEnd => "contract-end",
            Self::AttestationExpiry => "attestation-expiry",
            Self::LockStart => "lock-start",
            Self::SignInEnd => "sign-in-end",
            Self::FactorAge => "factor-age",
        }
    }

    /// The sentence for a person whose session it ends, or will end.
    #[must_use]
    pub fn sentence(self, language: Language) -> &'static str {
        let (ja, en) = match self {
            Self::WindowEnd => ("作業時間帯の終了時刻です。", "The window closes."),
            Self::RetrospectiveApprovalDeadline => {
                ("緊急接続の事後承認の期限です。", "The emergency access is not approved yet, and its deadline is up.")
            }
            Self::ContractEnd => ("事業者の契約期間の終了です。", "The vendor's contract ends."),
            Self::AttestationExpiry => {
                ("接続端末の安全確認の有効期限です。", "The attestation of the terminal expires.")
            }
            Self::LockStart => ("予告された非常時遮断の開始時刻です。", "An announced incident lock begins."),
            Self::SignInEnd => ("認証の有効期間の終了です。", "The sign-in ends then."),
            Self::FactorAge => {
                ("病院が定める認証の有効時間の終了です。", "The sign-in is older than this hospital allows.")
            }
        };
        match language {
            Language::Ja => ja,
            Language::En => en,
        }
    }
}
