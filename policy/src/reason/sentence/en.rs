//! Reasons in English: one table, so that a reader sees all of them side by side.

use crate::factor::FactorKind;
use crate::facts::{Language, LockScope, Status};
use crate::reason::{Allowlist, Reason};
use chrono::DateTime;
use chrono_tz::Tz;

pub(in crate::reason) fn english(reason: &Reason) -> String {
    match reason {
        Reason::PersonUnknown => {
            "Nobody is registered under this ID. The gateway's operator can register a person.".to_owned()
        }
        Reason::PersonInactive { person, status } => {
            format!("{person} is {}. The gateway's operator can tell why.", of(*status))
        }
        Reason::HospitalStaff { person } => format!(
            "{person} is hospital staff. Only a vendor's people operate equipment through the gateway; ask the approver if this work is needed."
        ),
        Reason::RolesMixed { person } => format!(
            "{person} belongs to a vendor and holds a hospital role, which excludes each other. The gateway's operator must correct it."
        ),
        Reason::VendorUnknown { vendor } => {
            format!("Vendor {vendor} is not registered. The gateway's operator can register it.")
        }
        Reason::VendorInactive { vendor, status } => {
            format!("Vendor {vendor} is {}. The approver can tell why.", of(*status))
        }
        Reason::ContractMissing { vendor } => {
            format!("No contract period is registered for vendor {vendor}. The gateway's operator can enter it.")
        }
        Reason::ContractNotBegun { vendor, from } => format!(
            "The contract of vendor {vendor} begins at {}. If that is wrong, the gateway's operator can correct it.",
            time(from)
        ),
        Reason::ContractEnded { vendor, until } => format!(
            "The contract of vendor {vendor} ended at {}. If it was renewed, the gateway's operator can enter it.",
            time(until)
        ),
        Reason::SourceUnlisted { source } => format!(
            "The address {source} is allowed by nobody: no list of sources is set for the vendor, the person or the device. The gateway's operator can set one."
        ),
        Reason::SourceRefused { source, list } => format!(
            "The address {source} is not among the sources allowed for the {}. Connect from a registered network, or have the gateway's operator add it.",
            match list {
                Allowlist::Vendor => "vendor",
                Allowlist::Person => "person",
                Allowlist::Device => "device",
            }
        ),
        Reason::FactorKinds { proved } => {
            let proved: Vec<FactorKind> = proved.iter().copied().collect();
            let (found, add) = match proved.as_slice() {
                [FactorKind::Possession] => {
                    ("possession alone (an SSH key and a one-time code are both that)", "Add the password.")
                }
                [FactorKind::Knowledge] => ("knowledge alone", "Add a one-time code or an SSH key."),
                _ => ("none", "Sign in with a password and with a one-time code or an SSH key."),
            };
            format!("Two factors of different kinds are needed; proved: {found}. {add}")
        }
        Reason::FactorDemanded { method } => format!(
            "This hospital also demands: {}. Sign in with it; the gateway's operator can enrol it.",
            method.label(Language::En)
        ),
        Reason::FactorsOld { minutes } => {
            format!("You signed in more than {minutes} minutes ago. Sign in again.")
        }
        Reason::SignInEnded { until } => {
            format!("The carried sign-in ended at {}. Sign in again.", time(until))
        }
        Reason::FactorsInFuture => {
            "The sign-in carries a time still to come. The gateway's operator must check the clock.".to_owned()
        }
        Reason::AttestationMissing { person } => format!(
            "No attestation of the terminal of {person} is registered. Your vendor or the gateway's operator can enter one."
        ),
        Reason::AttestationExpired { expired } => format!(
            "The attestation of your terminal expired at {}. Check the terminal and attest it again.",
            time(expired)
        ),
        Reason::AttestationInFuture { made } => {
            format!("The attestation of your terminal counts from {} only. Attest it again.", time(made))
        }
        Reason::TerminalUnpatched => {
            "Your terminal is not attested as supported and patched. Update it and attest it again.".to_owned()
        }
        Reason::TerminalUnscanned => {
            "Your terminal is not attested as free of malware. Scan it and attest it again.".to_owned()
        }
        Reason::DeviceUnknown => {
            "No device is registered under this name. Check the name, or ask the gateway's operator.".to_owned()
        }
        Reason::DeviceInactive { device, status } => {
            format!("Device {device} is {}. The gateway's operator can tell why.", of(*status))
        }
        Reason::AccountMissing { device } => {
            format!("No account is registered for device {device}. The gateway's operator can enter one.")
        }
        Reason::AccountUnknown { device, account } => {
            format!("Device {device} has no account {account:?}. Check the name, or ask the gateway's operator.")
        }
        Reason::WorkMissing { person, device } => {
            format!("No work names {person} and device {device}. Apply for work; the approver decides on it.")
        }
        Reason::PersonNotNamed { work, person } => {
            format!(
                "Work {work} is open for this device and does not name {person}. Edit the request and have it approved anew."
            )
        }
        Reason::DeviceNotNamed { work, device } => {
            format!(
                "Work {work} is open for you and does not name device {device}. Edit the request and have it approved anew."
            )
        }
        Reason::AccountNotNamed { work, account } => {
            format!(
                "Work {work} does not cover the account {account:?}. Use another, or edit the request and have it approved anew."
            )
        }
        Reason::ChannelsDisjoint { work, asked } => format!(
            "Work {work} asks for {}, none of which the device allows. Edit the request, or ask the gateway's operator.",
            asked.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        ),
        Reason::WorkNotApproved { work } => format!("Work {work} is not approved. The approver decides on it."),
        Reason::WorkRejected { work } => {
            format!("Work {work} was rejected. Edit the request, or ask the approver why.")
        }
        Reason::WorkWithdrawn { work } => format!("Work {work} was withdrawn. Apply for new work."),
        Reason::WorkCutOff { work } => format!("Work {work} was cut off by the hospital. Ask the approver."),
        Reason::WorkReported { work } => {
            format!("Work {work} has been reported, so this window's work is done. Apply for new work.")
        }
        Reason::RetrospectiveApprovalOverdue { work, deadline } => format!(
            "The emergency access of work {work} was not approved by {}. The approver can still approve it.",
            time(deadline)
        ),
        Reason::WindowNotOpen { work, opens } => {
            format!("The window of work {work} opens at {}. To begin earlier, edit the request.", time(opens))
        }
        Reason::WindowOver { work, closed } => {
            format!("The window of work {work} closed at {}. Apply for new work.", time(closed))
        }
        Reason::Locked { scope, why, until } => {
            let until = until.as_ref().map_or_else(String::new, |until| format!(" until {}", time(until)));
            format!(
                "An incident lock shuts out {}{until}: {why}. The safety manager or the approver can lift it.",
                locked(scope)
            )
        }
        Reason::WorkUnreviewed { work, due } => format!(
            "The review of earlier work {work} was due at {}. Until it is reported and reviewed, no new window opens; ask the approver.",
            time(due)
        ),
    }
}

fn time(at: &DateTime<Tz>) -> String {
    at.format("%Y-%m-%d %H:%M %Z").to_string()
}

fn of(status: Status) -> &'static str {
    match status {
        Status::Active => "active",
        Status::Suspended => "suspended",
        Status::Retired => "retired",
    }
}

fn locked(scope: &LockScope) -> String {
    match scope {
        LockScope::Everyone => "everyone".to_owned(),
        LockScope::Vendor(vendor) => format!("vendor {vendor}"),
        LockScope::Person(person) => format!("{person}"),
        LockScope::Device(device) => format!("everyone from device {device}"),
    }
}
