//! Which hospital role may do what, and who may not judge whose doings (DOMAIN §1 and invariant 4).
//!
//! A vendor's person never holds a hospital role; the requester is never the approver; who operated never reviews.
//! An [`Authority`] can only be had here; what needs one cannot be done without asking.

mod refusal;

pub use refusal::Refusal;

use crate::facts::{HospitalRole, Language, Person, Status};
use crate::id::{PersonId, VendorId};
use crate::work::Work;

/// Something that only certain hospital roles may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Act {
    /// Apply for work in a vendor's name, as when the vendor calls by telephone.
    RequestWork,
    /// Approve a request, also after the fact.
    ApproveWork,
    /// Reject a request.
    RejectWork,
    /// Move the end of an open window.
    ExtendWork,
    /// Open work before its approval (緊急接続).
    OpenEmergency,
    /// Compare a report with the plan and confirm it (照合・確認).
    ReviewWork,
    /// End a session or a piece of work at once (接続遮断).
    CutOff,
    /// Set an incident lock (非常時遮断).
    SetLock,
    /// Lift an incident lock.
    LiftLock,
    /// Add, change and suspend persons.
    ManagePeople,
    /// Add, change and suspend vendors.
    ManageVendors,
    /// Add and change devices and pin their host keys.
    ManageDevices,
    /// Set factors of persons and credentials of devices, and revoke sign-ins.
    ManageCredentials,
    /// Replay, watch and search recordings. Each viewing is recorded in its turn.
    ReadRecordings,
    /// Read the log of events, sessions and requests.
    ReadLog,
    /// Read the device ledger.
    ReadLedger,
    /// Change and import the device ledger.
    ChangeLedger,
    /// Take evidence and recordings out of the gateway.
    ExportEvidence,
    /// Hold recordings (保全), however old they become.
    HoldRecordings,
    /// Let go of what was held.
    ReleaseRecordings,
    /// Ask that recordings be removed whose time is over (廃棄).
    ProposePurge,
    /// Decide on that, as somebody else.
    ApprovePurge,
    /// Start, stop and configure the gateway.
    RunService,
}

impl Act {
    /// Every act, in the order of the matrix that managers read.
    pub const ALL: [Self; 23] = [
        Self::RequestWork,
        Self::ApproveWork,
        Self::RejectWork,
        Self::ExtendWork,
        Self::OpenEmergency,
        Self::ReviewWork,
        Self::CutOff,
        Self::SetLock,
        Self::LiftLock,
        Self::ManagePeople,
        Self::ManageVendors,
        Self::ManageDevices,
        Self::ManageCredentials,
        Self::ReadRecordings,
        Self::ReadLog,
        Self::ReadLedger,
        Self::ChangeLedger,
        Self::ExportEvidence,
        Self::HoldRecordings,
        Self::ReleaseRecordings,
        Self::ProposePurge,
        Self::ApprovePurge,
        Self::RunService,
    ];

    /// The roles that may do it. An auditor only ever reads.
    #[must_use]
    pub fn roles(self) -> &'static [HospitalRole] {
        use HospitalRole::{Administrator, Approver, Auditor, Management, SafetyManager};
        match self {
            Self::RequestWork => &[Approver, SafetyManager, Administrator],
            Self::ApproveWork | Self::RejectWork | Self::ExtendWork | Self::OpenEmergency | Self::ReviewWork => {
                &[Approver, SafetyManager]
            }
            // To shut the gate is never wrong, so whoever is at hand may; to open it again is a decision.
            Self::CutOff | Self::SetLock => &[Approver, SafetyManager, Administrator],
            Self::LiftLock => &[Approver, SafetyManager],
            Self::ManagePeople
            | Self::ManageVendors
            | Self::ManageDevices
            | Self::ManageCredentials
            | Self::RunService => &[Administrator],
            Self::ReadRecordings => &[Approver, SafetyManager, Administrator, Auditor],
            Self::ReadLog | Self::ReadLedger => &[Approver, SafetyManager, Administrator, Auditor, Management],
            Self::ChangeLedger => &[Approver, Administrator],
            // To keep is never wrong either; to let go is a decision, and to remove takes two.
            Self::HoldRecordings | Self::ProposePurge => &[Approver, SafetyManager, Administrator],
            Self::ReleaseRecordings | Self::ApprovePurge => &[Approver, SafetyManager],
            Self::ExportEvidence => &[Approver, SafetyManager, Administrator, Auditor],
        }
    }

    /// The act's name on screens, as a noun.
    #[must_use]
    pub fn label(self, language: Language) -> &'static str {
        let (ja, en) = self.labels();
        match language {
            Language::Ja => ja,
            Language::En => en,
        }
    }

    fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::RequestWork => ("作業申請の代行", "applying for work on a vendor's behalf"),
            Self::ApproveWork => ("作業申請の承認", "approving work"),
            Self::RejectWork => ("作業申請の却下", "rejecting work"),
            Self::ExtendWork => ("作業時間帯の延長", "extending a window"),
            Self::OpenEmergency => ("緊急接続の開始", "opening emergency access"),
            Self::ReviewWork => ("照合・確認", "reviewing work"),
            Self::CutOff => ("接続遮断", "cutting off"),
            Self::SetLock => ("非常時遮断", "setting an incident lock"),
            Self::LiftLock => ("非常時遮断の解除", "lifting an incident lock"),
            Self::ManagePeople => ("利用者の管理", "managing persons"),
            Self::ManageVendors => ("事業者の管理", "managing vendors"),
            Self::ManageDevices => ("機器の管理", "managing devices"),
            Self::ManageCredentials => ("認証情報の管理", "managing credentials"),
            Self::ReadRecordings => ("操作記録の閲覧", "viewing recordings"),
            Self::ReadLog => ("アクセスログの閲覧", "reading the log"),
            Self::ReadLedger => ("機器台帳の閲覧", "reading the ledger"),
            Self::ChangeLedger => ("機器台帳の変更", "changing the ledger"),
            Self::ExportEvidence => ("証跡の書き出し", "exporting evidence"),
            Self::HoldRecordings => ("操作記録の保全", "holding recordings"),
            Self::ReleaseRecordings => ("操作記録の保全の解除", "releasing recordings"),
            Self::ProposePurge => ("操作記録の廃棄の申請", "proposing a purge"),
            Self::ApprovePurge => ("操作記録の廃棄の承認", "approving a purge"),
            Self::RunService => ("ゲートウェイの運用", "running the gateway"),
        }
    }
}

impl HospitalRole {
    /// Every role.
    pub const ALL: [Self; 5] =
        [Self::Approver, Self::SafetyManager, Self::Administrator, Self::Auditor, Self::Management];

    /// The role's name on screens.
    #[must_use]
    pub fn label(self, language: Language) -> &'static str {
        match (self, language) {
            (Self::Approver, Language::Ja) => "企画管理者",
            (Self::SafetyManager, Language::Ja) => "医療情報システム安全管理責任者",
            (Self::Administrator, Language::Ja) => "システム運用担当者",
            (Self::Auditor, Language::Ja) => "監査担当者",
            (Self::Management, Language::Ja) => "経営層",
            (Self::Approver, Language::En) => "approver",
            (Self::SafetyManager, Language::En) => "safety manager",
            (Self::Administrator, Language::En) => "operator of the gateway",
            (Self::Auditor, Language::En) => "auditor",
            (Self::Management, Language::En) => "management",
        }
    }
}

/// The proof that somebody may do something. Only this module makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct Authority {
    person: PersonId,
    act: Act,
}

impl Authority {
    /// Who may.
    #[must_use]
    pub fn person(&self) -> &PersonId {
        &self.person
    }

    /// What they may do.
    #[must_use]
    pub fn act(&self) -> Act {
        self.act
    }
}

/// Whether this person's roles allow the act.
///
/// # Errors
/// When the person is not active, belongs to a vendor, or holds none of the roles that may.
pub fn may(person: &Person, act: Act) -> Result<Authority, Refusal> {
    check_active(person)?;
    if let Some(vendor) = &person.vendor {
        return Err(Refusal::VendorPerson { person: person.id.clone(), vendor: vendor.clone(), act });
    }
    if !act.roles().iter().any(|role| person.roles.contains(role)) {
        return Err(Refusal::RoleMissing { person: person.id.clone(), act });
    }
    Ok(Authority { person: person.id.clone(), act })
}

/// Whether this person may apply, report and withdraw in the vendor's name: the vendor's own people, and hospital
/// staff who may [`Act::RequestWork`].
///
/// # Errors
/// When the person is not active, belongs to another vendor, or holds none of the roles that may.
pub fn may_act_for(person: &Person, vendor: &VendorId) -> Result<Authority, Refusal> {
    check_active(person)?;
    match &person.vendor {
        None => may(person, Act::RequestWork),
        Some(own) if own == vendor => Ok(Authority { person: person.id.clone(), act: Act::RequestWork }),
        Some(_) => Err(Refusal::OtherVendor { person: person.id.clone(), vendor: vendor.clone() }),
    }
}

/// Whether this person may give the hospital's consent to this work: approve, extend, or approve after the fact.
///
/// # Errors
/// As [`may`], and when the person applied for the work, changed the request, or opened it in an emergency.
pub fn may_consent(person: &Person, act: Act, work: &Work) -> Result<Authority, Refusal> {
    let authority = may(person, act)?;
    if work.authors().contains(&person.id) {
        return Err(Refusal::OwnRequest { person: person.id.clone(), work: work.id().clone() });
    }
    if work.emergency().is_some_and(|access| access.opened_by == person.id) {
        return Err(Refusal::OwnEmergency { person: person.id.clone(), work: work.id().clone() });
    }
    Ok(authority)
}

/// Whether this person may review this work.
///
/// # Errors
/// As [`may`], and when the person operated in this work or wrote a report of it.
pub fn may_review(person: &Person, work: &Work) -> Result<Authority, Refusal> {
    let authority = may(person, Act::ReviewWork)?;
    if work.rounds().iter().any(|round| round.operators().contains(&person.id)) {
        return Err(Refusal::OwnOperation { person: person.id.clone(), work: work.id().clone() });
    }
    if work.rounds().iter().filter_map(|round| round.report()).any(|report| report.by == person.id) {
        return Err(Refusal::OwnReport { person: person.id.clone(), work: work.id().clone() });
    }
    Ok(authority)
}

/// Whether this person may decide on a purge that somebody proposed.
///
/// # Errors
/// As [`may`], and when the person proposed it.
pub fn may_purge(person: &Person, proposed_by: &PersonId) -> Result<Authority, Refusal> {
    let authority = may(person, Act::ApprovePurge)?;
    if person.id == *proposed_by {
        return Err(Refusal::OwnProposal { person: person.id.clone() });
    }
    Ok(authority)
}

/// Whether a person may be kept as described: a vendor's people hold no hospital role, ever.
///
/// # Errors
/// When a vendor's person holds a role.
pub fn check_person(person: &Person) -> Result<(), Refusal> {
    match &person.vendor {
        Some(vendor) if !person.roles.is_empty() => {
            Err(Refusal::VendorWithRole { person: person.id.clone(), vendor: vendor.clone() })
        }
        _ => Ok(()),
    }
}

fn check_active(person: &Person) -> Result<(), Refusal> {
    match person.status {
        Status::Active => check_person(person),
        Status::Suspended | Status::Retired => Err(Refusal::Inactive { person: person.id.clone() }),
    }
}
