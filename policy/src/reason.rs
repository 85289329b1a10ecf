//! Why access is denied: one variant a rule, a stable code, and a sentence in two languages.
//!
//! A sentence says what is wrong and who can change it. Codes are never reused.

mod sentence;

use crate::factor::FactorKind;
use crate::facts::{Channel, Language, LockScope, Method, Source, Status};
use crate::id::{DeviceId, PersonId, VendorId, WorkId};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use std::collections::BTreeSet;

/// Which allowlist a source is measured against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowlist {
    /// The vendor's.
    Vendor,
    /// The person's.
    Person,
    /// The device's.
    Device,
}

/// Why access is denied. Times carry the zone in which they are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Nobody is registered under this ID.
    PersonUnknown,
    /// The person is suspended or retired.
    PersonInactive {
        /// Who.
        person: PersonId,
        /// Suspended or retired.
        status: Status,
    },
    /// Hospital staff do not operate equipment through a vendor's window.
    HospitalStaff {
        /// Who.
        person: PersonId,
    },
    /// A vendor's person holds a hospital role.
    RolesMixed {
        /// Who.
        person: PersonId,
    },
    /// The person's vendor is not registered.
    VendorUnknown {
        /// Which.
        vendor: VendorId,
    },
    /// The vendor is suspended or retired.
    VendorInactive {
        /// Which.
        vendor: VendorId,
        /// Suspended or retired.
        status: Status,
    },
    /// No contract is registered.
    ContractMissing {
        /// Whose.
        vendor: VendorId,
    },
    /// The contract begins later.
    ContractNotBegun {
        /// Whose.
        vendor: VendorId,
        /// When.
        from: DateTime<Tz>,
    },
    /// The contract has ended.
    ContractEnded {
        /// Whose.
        vendor: VendorId,
        /// When.
        until: DateTime<Tz>,
    },
    /// No allowlist is set at all.
    SourceUnlisted {
        /// Where from.
        source: Source,
    },
    /// An allowlist that is set does not contain the address.
    SourceRefused {
        /// Where from.
        source: Source,
        /// Which list.
        list: Allowlist,
    },
    /// The factors proved are of fewer than two kinds.
    FactorKinds {
        /// The kinds proved.
        proved: BTreeSet<FactorKind>,
    },
    /// The hospital demands a method that was not proved.
    FactorDemanded {
        /// Which.
        method: Method,
    },
    /// The factors were proved too long ago.
    FactorsOld {
        /// How long they count, in minutes.
        minutes: u32,
    },
    /// The sign-in that stands for the factors has ended.
    SignInEnded {
        /// When.
        until: DateTime<Tz>,
    },
    /// The factors carry a time that is still to come.
    FactorsInFuture,
    /// No attestation of the person's terminal is registered.
    AttestationMissing {
        /// Whose.
        person: PersonId,
    },
    /// The last attestation has expired.
    AttestationExpired {
        /// When.
        expired: DateTime<Tz>,
    },
    /// The last attestation begins to count later.
    AttestationInFuture {
        /// When.
        made: DateTime<Tz>,
    },
    /// The last attestation does not say that the terminal is patched and supported.
    TerminalUnpatched,
    /// The last attestation does not say that a malware scan found nothing.
    TerminalUnscanned,
    /// No device is registered under this name.
    DeviceUnknown,
    /// The device is suspended or retired.
    DeviceInactive {
        /// Which.
        device: DeviceId,
        /// Suspended or retired.
        status: Status,
    },
    /// The device has no account to use.
    AccountMissing {
        /// Which device.
        device: DeviceId,
    },
    /// The device has no such account.
    AccountUnknown {
        /// Which device.
        device: DeviceId,
        /// Which account.
        account: String,
    },
    /// No work names both this person and this device.
    WorkMissing {
        /// Who.
        person: PersonId,
        /// Which device.
        device: DeviceId,
    },
    /// An open piece of work names this device and not this person.
    PersonNotNamed {
        /// Which work.
        work: WorkId,
        /// Who.
        person: PersonId,
    },
    /// An open piece of work names this person and not this device.
    DeviceNotNamed {
        /// Which work.
        work: WorkId,
        /// Which device.
        device: DeviceId,
    },
    /// The work leaves this account out.
    AccountNotNamed {
        /// Which work.
        work: WorkId,
        /// Which account.
        account: String,
    },
    /// Work and device have no channel in common.
    ChannelsDisjoint {
        /// Which work.
        work: WorkId,
        /// What the work asks for.
        asked: BTreeSet<Channel>,
    },
    /// The work is a draft or waits for a decision.
    WorkNotApproved {
        /// Which work.
        work: WorkId,
    },
    /// The work was rejected.
    WorkRejected {
        /// Which work.
        work: WorkId,
    },
    /// The work was withdrawn.
    WorkWithdrawn {
        /// Which work.
        work: WorkId,
    },
    /// The work was cut off.
    WorkCutOff {
        /// Which work.
        work: WorkId,
    },
    /// The work of this occurrence was reported, so it is done.
    WorkReported {
        /// Which work.
        work: WorkId,
    },
    /// Emergency access was not approved by its deadline.
    RetrospectiveApprovalOverdue {
        /// Which work.
        work: WorkId,
        /// The deadline.
        deadline: DateTime<Tz>,
    },
    /// The window opens later.
    WindowNotOpen {
        /// Which work.
        work: WorkId,
        /// When.
        opens: DateTime<Tz>,
    },
    /// The window is over.
    WindowOver {
        /// Which work.
        work: WorkId,
        /// When it closed.
        closed: DateTime<Tz>,
    },
    /// An incident lock keeps the person out.
    Locked {
        /// Whom it keeps out.
        scope: LockScope,
        /// Why.
        why: String,
        /// Its end, if one was set.
        until: Option<DateTime<Tz>>,
    },
    /// Earlier work of the vendor is past its review's deadline.
    WorkUnreviewed {
        /// Which work.
        work: WorkId,
        /// When the review was due.
        due: DateTime<Tz>,
    },
}

impl Reason {
    /// The stable code, for events and scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::PersonUnknown => "person-unknown",
            Self::PersonInactive { .. } => "person-inactive",
            Self::HospitalStaff { .. } => "hospital-staff",
            Self::RolesMixed { .. } => "roles-mixed",
            Self::VendorUnknown { .. } => "vendor-unknown",
            Self::VendorInactive { .. } => "vendor-inactive",
            Self::ContractMissing { .. } => "contract-missing",
            Self::ContractNotBegun { .. } => "contract-not-begun",
            Self::ContractEnded { .. } => "contract-ended",
            Self::SourceUnlisted { .. } => "source-unlisted",
            Self::SourceRefused { list: Allowlist::Vendor, .. } => "source-not-of-vendor",
            Self::SourceRefused { list: Allowlist::Person, .. } => "source-not-of-person",
            Self::SourceRefused { list: Allowlist::Device, .. } => "source-not-for-device",
            Self::FactorKinds { .. } => "factor-kinds",
            Self::FactorDemanded { .. } => "factor-demanded",
            Self::FactorsOld { .. } => "factors-old",
            Self::SignInEnded { .. } => "sign-in-ended",
            Self::FactorsInFuture => "factors-in-future",
            Self::AttestationMissing { .. } => "attestation-missing",
            Self::AttestationExpired { .. } => "attestation-expired",
            Self::AttestationInFuture { .. } => "attestation-in-future",
            Self::TerminalUnpatched => "terminal-unpatched",
            Self::TerminalUnscanned => "terminal-unscanned",
            Self::DeviceUnknown => "device-unknown",
            Self::DeviceInactive { .. } => "device-inactive",
            Self::AccountMissing { .. } => "account-missing",
            Self::AccountUnknown { .. } => "account-unknown",
            Self::WorkMissing { .. } => "work-missing",
            Self::PersonNotNamed { .. } => "person-not-named",
            Self::DeviceNotNamed { .. } => "device-not-named",
            Self::AccountNotNamed { .. } => "account-not-named",
            Self::ChannelsDisjoint { .. } => "channels-disjoint",
            Self::WorkNotApproved { .. } => "work-not-approved",
            Self::WorkRejected { .. } => "work-rejected",
            Self::WorkWithdrawn { .. } => "work-withdrawn",
            Self::WorkCutOff { .. } => "work-cut-off",
            Self::WorkReported { .. } => "work-reported",
            Self::RetrospectiveApprovalOverdue { .. } => "retrospective-approval-overdue",
            Self::WindowNotOpen { .. } => "window-not-open",
            Self::WindowOver { .. } => "window-over",
            Self::Locked { .. } => "locked",
            Self::WorkUnreviewed { .. } => "work-unreviewed",
        }
    }

    /// The codes of all reasons, in the order of the rules.
    pub const CODES: [&'static str; 42] = [
        "person-unknown",
        "person-inactive",
        "hospital-staff",
        "roles-mixed",
        "vendor-unknown",
        "vendor-inactive",
        "contract-missing",
        "contract-not-begun",
        "contract-ended",
        "source-unlisted",
        "source-not-of-vendor",
        "source-not-of-person",
        "source-not-for-device",
        "factor-kinds",
        "factor-demanded",
        "factors-in-future",
        "factors-old",
        "sign-in-ended",
        "attestation-missing",
        "attestation-in-future",
        "attestation-expired",
        "terminal-unpatched",
        "terminal-unscanned",
        "device-unknown",
        "device-inactive",
        "account-missing",
        "account-unknown",
        "work-missing",
        "person-not-named",
        "device-not-named",
        "work-not-approved",
        "work-rejected",
        "work-withdrawn",
        "work-cut-off",
        "retrospective-approval-overdue",
        "window-not-open",
        "window-over",
        "work-reported",
        "account-not-named",
        "channels-disjoint",
        "locked",
        "work-unreviewed",
    ];

    /// The sentence for a person, in their language.
    #[must_use]
    pub fn sentence(&self, language: Language) -> String {
        match language {
            Language::Ja => sentence::japanese(self),
            Language::En => sentence::english(self),
        }
    }
}

/// An instant in the zone in which it is to be shown.
pub(crate) fn shown(at: DateTime<Utc>, zone: Tz) -> DateTime<Tz> {
    at.with_timezone(&zone)
}
