//! Mail that waits, and what is told once.

use super::bed::{Bed, event, noon, person, work};
use crate::store::{Invitation, Mail, Outcome, Store, StoreError, What};
use chrono::{DateTime, TimeDelta, Utc};
use sekimori_audit::event::Kind;
use sekimori_policy::facts::{HospitalRole, Person};
use sekimori_policy::notice::Notice;
use sekimori_policy::work::{By, Transition};
use std::collections::BTreeSet;

pub async fn a_mail_is_one_gateways_until_its_claim_is_over_and_its_secret_goes_with_it(bed: Bed) {
    let store = bed.furnished().await;
    let (now, later) = (noon(), noon() + TimeDelta::minutes(2));
    let invitation = Invitation::new("eng1".parse().unwrap(), now, now + TimeDelta::hours(72));
    store.invite(&invitation, "hash", Some("the token"), event(Kind::InvitationMade)).await.unwrap();
    let mail = store.due_mail(now).await.unwrap().unwrap();
    assert_eq!((mail.what, mail.about), (What::Invitation, invitation.id.to_string()));

    assert!(store.claim_mail(mail.id, "gate-1", now, later).await.unwrap());
    assert!(!store.claim_mail(mail.id, "gate-2", now, later).await.unwrap(), "two gateways have it");
    assert!(store.due_mail(now).await.unwrap().is_none());
    assert!(store.claim_mail(mail.id, "gate-2", later, later + TimeDelta::minutes(2)).await.unwrap());
    // What another one has claimed is not this one's to let go.
    store.release_mails("gate-1").await.unwrap();
    assert!(store.due_mail(later).await.unwrap().is_none());
    store.release_mails("gate-2").await.unwrap();
    assert_eq!(store.due_mail(later).await.unwrap().unwrap().tries, 2);

    assert_eq!(**store.mail_secret(mail.id).await.unwrap(), *b"the token");
    store.end_mail(mail.id, Outcome::Sent, "250 kept", event(Kind::MailSent)).await.unwrap();
    assert!(matches!(store.mail_secret(mail.id).await, Err(StoreError::Unknown { .. })), "the secret outlives it");
    let again = store.end_mail(mail.id, Outcome::GivenUp, "", event(Kind::MailGivenUp)).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
    assert!(store.due_mail(later + TimeDelta::days(1)).await.unwrap().is_none(), "it is sent once more");
    store.forget_mails(noon() + TimeDelta::seconds(1), noon()).await.unwrap();
    assert!(store.mails(10).await.unwrap().is_empty());
}

pub async fn the_secret_of_a_mail_that_nobody_sends_goes_when_its_time_is_over(bed: Bed) {
    let store = bed.furnished().await;
    let expires = noon() + TimeDelta::hours(72);
    let invitation = Invitation::new("eng1".parse().unwrap(), noon(), expires);
    store.invite(&invitation, "hash", Some("the token"), event(Kind::InvitationMade)).await.unwrap();
    let id = store.due_mail(noon()).await.unwrap().unwrap().id;
    store.forget_mails(noon(), expires - TimeDelta::seconds(1)).await.unwrap();
    assert!(store.mail_secret(id).await.is_ok());
    store.forget_mails(noon(), expires).await.unwrap();
    assert!(matches!(store.mail_secret(id).await, Err(StoreError::Unknown { .. })));
}

pub async fn what_is_overdue_is_told_once(bed: Bed) {
    let store = bed.furnished().await;
    store.take_mail(true);
    let deadline = noon() + TimeDelta::days(1);
    opened_in_an_emergency(&store, deadline).await;
    let told = |mails: Vec<Mail>, notice| {
        let of = mails.into_iter().filter(|mail| mail.what == What::Work(notice));
        of.map(|mail| mail.person.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(told(store.mails(10).await.unwrap(), Notice::Emergency), ["approver1"]);

    assert_eq!(store.tell_overdue(deadline - TimeDelta::seconds(1)).await.unwrap(), 0);
    assert_eq!(store.tell_overdue(deadline).await.unwrap(), 1);
    assert_eq!(store.tell_overdue(deadline + TimeDelta::days(30)).await.unwrap(), 0, "it is told twice");
    assert_eq!(told(store.mails(10).await.unwrap(), Notice::ApprovalOverdue), ["approver1"]);
}

pub async fn without_a_server_no_news_is_written(bed: Bed) {
    let store = bed.furnished().await;
    opened_in_an_emergency(&store, noon() + TimeDelta::days(1)).await;
    assert!(store.mails(10).await.unwrap().is_empty());
}

/// By one of two approvers, who both get mail.
async fn opened_in_an_emergency(store: &Store, deadline: DateTime<Utc>) {
    let approver = |id: &str| {
        let mail = Some(format!("{id}@hospital.example").parse().unwrap());
        Person { roles: BTreeSet::from([HospitalRole::Approver]), mail, ..person(id, None) }
    };
    let (other, opener) = (approver("approver1"), approver("opener1"));
    for person in [&other, &opener] {
        store.add_person(person, event(Kind::PersonAdd)).await.unwrap();
    }
    let emergency = Transition::OpenEmergency { reason: "a patient waits".to_owned(), deadline };
    let before = work("w-1");
    let opened = before.apply(emergency, By::Person(&opener), noon()).unwrap();
    store.update_work(&before, &opened, event(Kind::Work)).await.unwrap();
}
