//! Work from the request to the review, and who is kept from what, through the whole command line.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::office::Office;
use crate::cli::error::CliError;
use chrono::Utc;
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_policy::facts::Channel;
use sekimori_policy::work::{By, State, Transition, Work};
use std::collections::BTreeSet;

async fn work(office: &Office, id: &str) -> Work {
    office.store().await.work(&id.parse().unwrap()).await.unwrap().unwrap()
}

async fn state(office: &Office, id: &str) -> State {
    work(office, id).await.state_at(Utc::now())
}

/// What the opening of a session does.
async fn begun(office: &Office, id: &str) {
    let store = office.store().await;
    let before = work(office, id).await;
    let engineer = store.person(&"eng1".parse().unwrap()).await.unwrap().unwrap();
    let after = before.apply(Transition::Begin, By::Person(&engineer), Utc::now()).unwrap();
    let event = Event::new(Utc::now(), Kind::Work, Actor::person(engineer.id.clone()));
    store.update_work(&before, &after, event).await.unwrap();
}

#[tokio::test]
async fn work_goes_from_the_request_to_the_review() {
    let office = Office::new().await;
    office.requested("w-1").await;
    assert_eq!(state(&office, "w-1").await, State::Requested);
    assert_eq!(work(&office, "w-1").await.request().channels, BTreeSet::from([Channel::Shell, Channel::Sftp]));
    office.done("chief", &["work", "approve", "w-1"]).await;
    assert_eq!(state(&office, "w-1").await, State::Open);
    begun(&office, "w-1").await;
    office.done("chief", &["work", "report", "w-1", "--text", "ログを確認した", "--by", "eng1"]).await;
    assert_eq!(state(&office, "w-1").await, State::Reported);
    office.done("safety", &["work", "review", "w-1", "--comment", "時刻がない", "--send-back"]).await;
    assert_eq!(state(&office, "w-1").await, State::Ended);
    office.done("eng1", &["work", "report", "w-1", "--text", "22時に確認した"]).await;
    office.done("safety", &["work", "review", "w-1", "--comment", "計画どおり"]).await;
    assert_eq!(state(&office, "w-1").await, State::Reviewed);

    // The report that the approver typed tells both: who reports, and who was at the keyboard.
    let events = office.events(Kind::Work).await;
    let typed = events.iter().find(|event| event.detail["transition"] == "report").unwrap();
    assert_eq!(typed.detail["by"], "eng1");
    assert_eq!(typed.actor.person.as_ref().unwrap().as_str(), "chief");
    assert!(typed.actor.system_user.is_some(), "{typed:?}");
    assert_eq!(typed.work.as_ref().unwrap().as_str(), "w-1");
}

#[tokio::test]
async fn nobody_approves_their_own_request_nor_speaks_for_others_without_a_role() {
    let office = Office::new().await;
    let own = [&office.request("w-1")[..], &["--by", "chief"]].concat();
    office.done("chief", &own).await;
    let by_engineer = office.act("eng1", &["work", "approve", "w-1"]).await;
    assert!(matches!(by_engineer, Err(CliError::Refused(_))), "{by_engineer:?}");
    let by_requester = office.act("chief", &["work", "approve", "w-1"]).await;
    assert!(matches!(by_requester, Err(CliError::Refused(_))), "{by_requester:?}");
    assert_eq!(state(&office, "w-1").await, State::Requested);
    for stranger in ["auditor", "eng9"] {
        let spoken = office.act(stranger, &[&office.request("w-2")[..], &["--by", "eng1"]].concat()).await;
        assert!(matches!(spoken, Err(CliError::Refused(_))), "{stranger}: {spoken:?}");
    }
    let other_vendor = office.act("eng9", &office.request("w-2")).await;
    assert!(matches!(other_vendor, Err(CliError::Refused(_))), "{other_vendor:?}");
    assert_eq!(office.store().await.works().await.unwrap().len(), 1);
}

#[tokio::test]
async fn emergency_access_opens_at_once_and_is_approved_by_somebody_else() {
    let office = Office::new().await;
    let words = office.request("w-1");
    let emergency =
        [&["work", "emergency"], words.get(2..).unwrap(), &["--reason", "装置停止", "--by", "eng1"]].concat();
    let by_engineer = office.act("eng1", &emergency).await;
    assert!(matches!(by_engineer, Err(CliError::Refused(_))), "{by_engineer:?}");
    assert!(office.store().await.works().await.unwrap().is_empty(), "a refused emergency left a request behind");
    office.done("chief", &emergency).await;
    assert_eq!(state(&office, "w-1").await, State::AwaitingRetrospectiveApproval);
    let own = office.act("chief", &["work", "approve-after", "w-1"]).await;
    assert!(matches!(own, Err(CliError::Refused(_))), "{own:?}");
    office.done("safety", &["work", "approve-after", "w-1"]).await;
    assert_eq!(state(&office, "w-1").await, State::Open);
}

#[tokio::test]
async fn an_edit_voids_the_approval_and_drops_nothing_that_was_typed() {
    let office = Office::new().await;
    office.requested("w-1").await;
    office.done("chief", &["work", "approve", "w-1"]).await;
    let before = work(&office, "w-1").await;
    for (args, said) in [
        (&["--rrule", "FREQ=DAILY;COUNT=3"][..], "--start and --end"),
        (&["--zone", "UTC"], "--start and --end"),
        (&["--device", "ghost"], "no device ghost"),
        (&["--device", "mri-01"], "none of the devices offers sftp"),
        (&["--person", "eng9"], "does not work for acme"),
    ] {
        let refused = office.act("eng1", &[&["work", "edit", "w-1"], args].concat()).await.unwrap_err();
        assert!(refused.to_string().contains(said), "{args:?}: {refused}");
        assert_eq!(work(&office, "w-1").await, before, "{args:?}");
    }
    office.done("eng1", &["work", "edit", "w-1", "--device", "mri-01", "--channel", "shell"]).await;
    let after = work(&office, "w-1").await;
    assert_eq!(after.state_at(Utc::now()), State::Requested);
    assert_eq!(after.request().purpose, before.request().purpose);
    assert_eq!(after.request().channels, BTreeSet::from([Channel::Shell]));
}

#[tokio::test]
async fn a_state_that_does_not_exist_is_named_and_those_that_do_are_offered() {
    let office = Office::new().await;
    let refused = office.act("chief", &["work", "list", "--state", "opn"]).await.unwrap_err().to_string();
    assert!(refused.contains("opn") && refused.contains("cut-off"), "{refused}");
    office.done("chief", &["work", "list", "--state", "requested"]).await;
}

#[tokio::test]
async fn a_lock_on_something_unknown_is_refused_and_a_good_one_can_be_lifted() {
    let office = Office::new().await;
    office.requested("w-1").await;
    for scope in
        [&["--vendor", "acmee"][..], &["--person", "eng2"], &["--device", "ct-02"], &["--everyone", "--except", "w-2"]]
    {
        let set = office.act("admin", &[&["lock", "set", "--reason", "不審な通信"], scope].concat()).await;
        assert!(matches!(set, Err(CliError::NotFound(_))), "{scope:?}: {set:?}");
    }
    let wordless = office.act("admin", &["lock", "set", "--everyone", "--reason", " "]).await;
    assert!(matches!(wordless, Err(CliError::Usage(_))), "{wordless:?}");
    assert!(office.store().await.locks().await.unwrap().is_empty());

    office.done("admin", &["lock", "set", "--vendor", "acme", "--reason", "不審な通信", "--except", "w-1"]).await;
    let id = office.store().await.locks().await.unwrap().first().unwrap().id.to_string();
    let lift = ["lock", "lift", &id];
    let by_admin = office.act("admin", &lift).await;
    assert!(matches!(by_admin, Err(CliError::Refused(_))), "to open again is a decision: {by_admin:?}");
    office.done("chief", &lift).await;
    assert_eq!(office.events(Kind::LockLift).await.len(), 1);
}

#[tokio::test]
async fn every_session_is_cut_only_with_a_reason() {
    let office = Office::new().await;
    let wordless = office.act("chief", &["session", "cut", "--everyone", "--reason", ""]).await;
    assert!(matches!(wordless, Err(CliError::Usage(_))), "{wordless:?}");
    assert!(office.events(Kind::SessionCut).await.is_empty());
}
