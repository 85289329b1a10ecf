//! Who may do what, and who may not judge whose doings.

use crate::hospital::*;
use sekimori_policy::authority::{Act, Refusal, check_person, may, may_act_for, may_consent, may_review};
use sekimori_policy::error::PolicyError;
use sekimori_policy::facts::{HospitalRole, Language, Person, Status};
use sekimori_policy::work::{By, Transition, Work};
use std::collections::BTreeSet;

fn every_role(id: &str) -> Person {
    Person { roles: BTreeSet::from(HospitalRole::ALL), ..staff(id, HospitalRole::Approver) }
}

fn code<T>(result: Result<T, Refusal>) -> &'static str {
    match result {
        Ok(_) => "allowed",
        Err(refusal) => refusal.code(),
    }
}

#[test]
fn invariant_04_a_vendors_person_never_holds_a_hospital_role() {
    let mixed = Person { roles: BTreeSet::from([HospitalRole::Approver]), ..engineer("eng1") };
    assert_eq!(code(check_person(&mixed)), "vendor-with-role");
    assert_eq!(check_person(&engineer("eng1")), Ok(()));
    assert_eq!(check_person(&every_role("sato")), Ok(()));
    for act in Act::ALL {
        assert_eq!(code(may(&engineer("eng1"), act)), "vendor-person", "{act:?}");
        assert_eq!(code(may(&mixed, act)), "vendor-with-role", "{act:?}");
    }
}

#[test]
fn a_role_may_what_the_matrix_says_and_only_while_active() {
    for act in Act::ALL {
        for role in HospitalRole::ALL {
            let expected = if act.roles().contains(&role) { "allowed" } else { "role-missing" };
            assert_eq!(code(may(&staff("sato", role), act)), expected, "{act:?} {role:?}");
        }
        let suspended = Person { status: Status::Suspended, ..every_role("sato") };
        assert_eq!(code(may(&suspended, act)), "actor-inactive", "{act:?}");
        assert_eq!(may(&every_role("sato"), act).map(|authority| authority.act()), Ok(act));
    }
}

#[test]
fn an_auditor_changes_nothing() {
    let reads = [Act::ReadRecordings, Act::ReadLog, Act::ReadLedger, Act::ExportEvidence];
    for act in Act::ALL {
        assert_eq!(may(&staff("ono", HospitalRole::Auditor), act).is_ok(), reads.contains(&act), "{act:?}");
    }
}

#[test]
fn a_vendors_matters_are_for_its_people_and_the_hospital() {
    let acme = parsed("acme");
    let other = Person { vendor: Some(parsed("other")), ..engineer("eng9") };
    assert_eq!(code(may_act_for(&engineer("eng1"), &acme)), "allowed");
    assert_eq!(code(may_act_for(&staff("ito", HospitalRole::Administrator), &acme)), "allowed");
    assert_eq!(code(may_act_for(&other, &acme)), "other-vendor");
    assert_eq!(code(may_act_for(&staff("ono", HospitalRole::Auditor), &acme)), "role-missing");
}

#[test]
fn invariant_04_requester_is_never_approver() {
    let sato = every_role("sato");
    let by_sato = Work::draft(parsed("w1"), parsed("acme"), request(night()), &sato, at("2026-11-01 09:00")).unwrap();
    let submitted = after(&by_sato, Transition::Submit, &engineer("eng1"), at("2026-11-01 10:00"));
    let approving =
        submitted.apply(Transition::Approve { attendance: false }, By::Person(&sato), at("2026-11-02 09:00"));
    assert!(matches!(approving, Err(PolicyError::Refused(Refusal::OwnRequest { .. }))), "{approving:?}");
    assert_eq!(code(may_consent(&sato, Act::ApproveWork, &submitted)), "own-request");
    assert_eq!(code(may_consent(&approver_other(), Act::ApproveWork, &submitted)), "allowed");
}

#[test]
fn invariant_04_who_changed_a_request_is_its_requester_too() {
    let sato = every_role("sato");
    let edit = Transition::Edit(Box::new(request(night())));
    let edited = after(&requested("w1", request(night())), edit, &sato, at("2026-11-02 09:00"));
    assert_eq!(code(may_consent(&sato, Act::ApproveWork, &edited)), "own-request");
    assert_eq!(code(may_consent(&sato, Act::ExtendWork, &edited)), "own-request");
}

#[test]
fn invariant_04_who_opened_an_emergency_does_not_approve_it() {
    let opened = emergency("w1", request(night()), at("2026-11-25 12:00"));
    let own = opened.apply(Transition::ApproveRetrospectively, By::Person(&approver()), midnight());
    assert!(matches!(own, Err(PolicyError::Refused(Refusal::OwnEmergency { .. }))), "{own:?}");
    assert!(opened.apply(Transition::ApproveRetrospectively, By::Person(&safety_manager()), midnight()).is_ok());
}

#[test]
fn invariant_04_operator_is_never_reviewer() {
    let eng1 = engineer("eng1");
    let begun = after(&approved("w1", request(night())), Transition::Begin, &eng1, at("2026-11-24 22:10"));
    // The engineer has since been hired by the hospital, under the same ID.
    let hired = Person { id: parsed("eng1"), ..every_role("eng1") };
    assert_eq!(code(may_review(&hired, &begun)), "own-operation");
    let reported = after(&begun, report(), &approver(), at("2026-11-24 23:00"));
    assert_eq!(code(may_review(&approver(), &reported)), "own-report");
    assert_eq!(code(may_review(&safety_manager(), &reported)), "allowed");
}

#[test]
fn every_refusal_speaks_both_languages() {
    let (person, vendor, work) = (parsed("eng1"), parsed("acme"), parsed("w1"));
    let refusal = Refusal::RoleMissing { person, act: Act::LiftLock };
    assert_eq!(
        refusal.sentence(Language::Ja),
        "eng1 には非常時遮断の解除の権限がありません。権限を持つのは企画管理者・医療情報システム安全管理責任者です。"
    );
    assert_eq!(refusal.sentence(Language::En), refusal.to_string());
    let own = Refusal::OwnRequest { person: parsed("sato"), work };
    assert!(own.to_string().contains("sato") && own.sentence(Language::Ja).contains("w1"));
    let other = Refusal::OtherVendor { person: parsed("eng9"), vendor };
    assert!(other.sentence(Language::Ja).contains("acme"));
}

fn approver_other() -> Person {
    staff("mori", HospitalRole::Approver)
}
