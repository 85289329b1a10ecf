//! The store's test-suite: one list of cases. Each runs on SQLite as a test of its own, and on PostgreSQL in one test,
//! each in a database of its own, because starting a server costs more than all cases together.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod bed;
mod deciding;
mod events;
mod joining;
mod mailing;
mod opening;
mod passkeys;
mod people;
mod postgres;
mod sessions;
mod things;
mod turns;

use crate::config::Database;
use bed::Bed;
use postgres::PostgresServer;

macro_rules! cases {
    ($($module:ident::$case:ident,)*) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $case() {
                    let bed = super::Bed::on_sqlite();
                    super::$module::$case(bed).await;
                }
            )*
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn every_case_on_postgres() {
            let server = PostgresServer::start().unwrap();
            let mut failed = Vec::new();
            $(
                let url = server.database(&stringify!($case).chars().take(60).collect::<String>()).unwrap();
                let bed = Bed::on(Database::Postgres { url, ca: None });
                // A task of its own, so that one failing case does not hide the others.
                match tokio::spawn($module::$case(bed)).await {
                    Ok(()) => println!("postgres: {} ok", stringify!($case)),
                    Err(_) => failed.push(stringify!($case)),
                }
            )*
            assert_eq!(failed, Vec::<&str>::new(), "these cases failed on PostgreSQL");
        }
    };
}

cases! {
    opening::a_database_is_made_once_and_opened_again,
    opening::a_database_that_is_not_there_is_not_made_by_opening,
    opening::a_newer_schema_is_refused,
    opening::another_master_key_is_refused,
    opening::secrets_are_nowhere_in_plain,
    opening::a_sealed_secret_moved_to_another_row_does_not_open,
    events::every_change_and_its_event_stand_and_fall_together,
    events::a_refused_change_leaves_no_event,
    events::numbers_have_no_gaps_under_twenty_writers,
    events::bodies_are_kept_as_they_were_written,
    events::what_may_be_told_already_is_told_once,
    people::invariant_04_a_vendors_person_never_holds_a_hospital_role,
    people::invariant_06_a_code_is_spent_exactly_once_from_fifty_connections,
    people::spent_steps_never_come_back,
    people::factors_are_reset_together_with_what_they_carried,
    people::who_is_suspended_signs_in_anew_afterwards,
    people::a_key_belongs_to_one_person_and_takes_its_sign_ins_along,
    people::failures_in_a_row_are_counted_and_forgiven,
    people::edits_at_once_all_count,
    people::sign_ins_are_found_by_certificate_until_revoked,
    people::sign_ins_of_the_console_are_found_by_token_and_last_use,
    joining::an_invitation_counts_until_it_ends,
    joining::enrolling_is_whole_or_not_at_all,
    joining::one_of_many_who_enrol_at_once_is_enrolled,
    joining::a_recovery_code_is_spent_exactly_once,
    mailing::a_mail_is_one_gateways_until_its_claim_is_over_and_its_secret_goes_with_it,
    mailing::the_secret_of_a_mail_that_nobody_sends_goes_when_its_time_is_over,
    mailing::what_is_overdue_is_told_once,
    mailing::without_a_server_no_news_is_written,
    passkeys::a_challenge_is_spent_once_for_its_purpose_from_its_source_and_in_time,
    passkeys::of_many_answers_with_the_same_count_one_counts,
    passkeys::a_passkey_takes_its_sign_ins_along_and_goes_with_a_reset,
    things::devices_are_kept_with_their_keys_and_credentials,
    things::evidence_is_kept_sealed_with_its_attestation,
    things::faults_of_devices_are_refused,
    things::work_that_was_changed_meanwhile_is_not_overwritten,
    things::work_that_many_begin_at_once_begins_once,
    things::work_names_only_what_is_there,
    things::what_lists_are_narrowed_by_is_found_by_the_migration_as_well,
    things::locks_are_in_force_until_lifted,
    deciding::facts_hold_everything_that_is_known,
    deciding::facts_about_strangers_are_empty,
    deciding::a_record_that_cannot_be_read_denies,
    deciding::invariant_09_a_source_that_nobody_allows_is_known_as_such,
    sessions::a_session_is_opened_cut_and_closed,
    sessions::a_session_needs_what_it_stands_on,
    sessions::sessions_are_listed_by_what_is_asked,
    sessions::a_session_is_named_by_the_beginning_of_its_id,
    sessions::what_a_crash_left_open_is_found,
    sessions::channels_and_transfers_are_kept_in_order,
    sessions::the_ledger_is_fed,
    turns::who_waits_is_committed_together,
    turns::a_change_that_is_given_up_is_undone_alone,
    turns::a_transaction_that_is_lost_is_told_to_all_in_it,
    turns::those_who_give_up_hold_up_nobody,
}

#[tokio::test]
async fn a_verified_server_needs_a_ca() {
    let bed = Bed::on_sqlite();
    let url = "postgres://sekimori:hunter2@db.hospital/sekimori?sslmode=verify-full".to_owned();
    let fault = bed.open_as(&Database::Postgres { url, ca: None }).await.err().unwrap().to_string();
    assert!(fault.contains("storage.database_ca") && !fault.contains("hunter2"), "{fault}");
}
