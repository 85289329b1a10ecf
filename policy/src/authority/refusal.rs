//! Why somebody may not do something: a stable code, and a sentence in two languages.

use super::Act;
use crate::facts::Language;
use crate::id::{PersonId, VendorId, WorkId};
use std::fmt;

/// Why a person may not do something. `Display` is the English sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The person is suspended or retired.
    Inactive {
        /// Who.
        person: PersonId,
    },
    /// A vendor's person asked for what only the hospital does.
    VendorPerson {
        /// Who.
        person: PersonId,
        /// The vendor.
        vendor: VendorId,
        /// What.
        act: Act,
    },
    /// None of the person's roles may do it.
    RoleMissing {
        /// Who.
        person: PersonId,
        /// What.
        act: Act,
    },
    /// A vendor's person acts for another vendor.
    OtherVendor {
        /// Who.
        person: PersonId,
        /// The vendor whose matter it is.
        vendor: VendorId,
    },
    /// The gateway itself did what only a person may.
    NotByGateway,
    /// The requester would approve.
    OwnRequest {
        /// Who.
        person: PersonId,
        /// The work.
        work: WorkId,
    },
    /// Who opened emergency access would approve it.
    OwnEmergency {
        /// Who.
        person: PersonId,
        /// The work.
        work: WorkId,
    },
    /// Who operated would review.
    OwnOperation {
        /// Who.
        person: PersonId,
        /// The work.
        work: WorkId,
    },
    /// Who reported would review.
    OwnReport {
        /// Who.
        person: PersonId,
        /// The work.
        work: WorkId,
    },
    /// Who proposed a purge would approve it.
    OwnProposal {
        /// Who.
        person: PersonId,
    },
    /// A person of a vendor would hold a hospital role.
    VendorWithRole {
        /// Who.
        person: PersonId,
        /// The vendor.
        vendor: VendorId,
    },
}

impl Refusal {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Inactive { .. } => "actor-inactive",
            Self::VendorPerson { .. } => "vendor-person",
            Self::RoleMissing { .. } => "role-missing",
            Self::OtherVendor { .. } => "other-vendor",
            Self::NotByGateway => "not-by-gateway",
            Self::OwnRequest { .. } => "own-request",
            Self::OwnEmergency { .. } => "own-emergency",
            Self::OwnOperation { .. } => "own-operation",
            Self::OwnReport { .. } => "own-report",
            Self::OwnProposal { .. } => "own-proposal",
            Self::VendorWithRole { .. } => "vendor-with-role",
        }
    }

    /// What is wrong and who can help, as a sentence.
    #[must_use]
    pub fn sentence(&self, language: Language) -> String {
        match language {
            Language::Ja => self.japanese(),
            Language::En => self.english(),
        }
    }

    fn japanese(&self) -> String {
        match self {
            Self::Inactive { person } => {
                format!("{person} の個人IDは停止されているため、操作できません。システム運用担当者に確認してください。")
            }
            Self::VendorPerson { person, vendor, act } => format!(
                "{person} は事業者 {vendor} の保守要員のため、{}はできません。病院の担当者（{}）に依頼してください。",
                act.label(Language::Ja),
                roles(*act, Language::Ja)
            ),
            Self::RoleMissing { person, act } => format!(
                "{person} には{}の権限がありません。権限を持つのは{}です。",
                act.label(Language::Ja),
                roles(*act, Language::Ja)
            ),
            Self::OtherVendor { person, vendor } => format!(
                "{person} は事業者 {vendor} に所属していないため、この事業者の作業を扱えません。{vendor} の保守要員か病院の担当者が行ってください。"
            ),
            Self::NotByGateway => "この操作は人が行う必要があります。操作する人の個人IDを指定してください。".to_owned(),
            Self::OwnRequest { person, work } => {
                format!("{person} は作業 {work} の申請者のため、承認できません。別の企画管理者が承認してください。")
            }
            Self::OwnEmergency { person, work } => format!(
                "{person} は作業 {work} の緊急接続を開始した本人のため、事後承認できません。別の企画管理者が承認してください。"
            ),
            Self::OwnOperation { person, work } => format!(
                "{person} は作業 {work} を実施した本人のため、照合・確認できません。別の企画管理者が確認してください。"
            ),
            Self::OwnReport { person, work } => format!(
                "{person} は作業 {work} の報告者のため、照合・確認できません。別の企画管理者が確認してください。"
            ),
            Self::OwnProposal { person } => {
                format!(
                    "{person} は廃棄を申請した本人のため、決定できません。別の企画管理者か安全管理責任者が決定してください。"
                )
            }
            Self::VendorWithRole { person, vendor } => {
                format!("{person} は事業者 {vendor} の保守要員のため、病院側の役割を持てません。役割を外してください。")
            }
        }
    }

    fn english(&self) -> String {
        match self {
            Self::Inactive { person } => {
                format!("{person} is suspended or retired and cannot act; the gateway's operator can tell why")
            }
            Self::VendorPerson { person, vendor, act } => format!(
                "{person} belongs to vendor {vendor}, and {} is the hospital's own: ask its {}",
                act.label(Language::En),
                roles(*act, Language::En)
            ),
            Self::RoleMissing { person, act } => format!(
                "{person} holds no role for {}: it is for the {}",
                act.label(Language::En),
                roles(*act, Language::En)
            ),
            Self::OtherVendor { person, vendor } => {
                format!(
                    "{person} does not belong to vendor {vendor}: one of its people or the hospital's staff can do this"
                )
            }
            Self::NotByGateway => "this must be done by a person: say as whom".to_owned(),
            Self::OwnRequest { person, work } => {
                format!(
                    "{person} applied for work {work} or changed its request and cannot approve it: another approver must"
                )
            }
            Self::OwnEmergency { person, work } => {
                format!(
                    "{person} opened work {work} in an emergency and cannot approve it afterwards: another approver must"
                )
            }
            Self::OwnOperation { person, work } => {
                format!("{person} operated in work {work} and cannot review it: another approver must")
            }
            Self::OwnReport { person, work } => {
                format!("{person} reported work {work} and cannot review it: another approver must")
            }
            Self::OwnProposal { person } => {
                format!("{person} proposed this purge and cannot decide on it: another approver or safety manager must")
            }
            Self::VendorWithRole { person, vendor } => {
                format!("{person} belongs to vendor {vendor} and cannot hold a hospital role: take the role away")
            }
        }
    }
}

fn roles(act: Act, language: Language) -> String {
    let labels: Vec<&str> = act.roles().iter().map(|role| role.label(language)).collect();
    labels.join(match language {
        Language::Ja => "・",
        Language::En => ", ",
    })
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.english())
    }
}

impl std::error::Error for Refusal {}
