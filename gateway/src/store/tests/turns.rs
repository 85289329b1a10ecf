//! Writers take turns, and are committed together: what each of them may rely on when others are in the same boat.

use super::bed::{Bed, event};
use crate::config::Database;
use crate::store::db::{Tx, args};
use crate::store::{Store, StoreError};
use sekimori_audit::event::Kind;
use std::time::Duration;
use tokio::task::JoinHandle;

const BY_HAND: &str = "UPDATE meta SET value = value || '.' WHERE name = 'created'";

/// One that is done, and waits for the next, which has its turn now: both are in one transaction.
async fn two_in_a_boat(store: &Store) -> (JoinHandle<Result<i64, StoreError>>, Tx) {
    let before = store.last_seq().await.unwrap();
    let turn = store.inner.db.write().await.unwrap();
    let first = tokio::spawn({
        let store = store.clone();
        async move { store.record(event(Kind::Start)).await }
    });
    // In the queue behind the turn, and before the next.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let second = tokio::spawn({
        let store = store.clone();
        async move { store.inner.db.write().await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(turn);
    let mut second = second.await.unwrap().unwrap();
    // What the first has written is there for the second, and for nobody else: it is not committed yet.
    let rows = second.rows("SELECT last FROM event_counter WHERE id = 1", args![]).await.unwrap();
    assert_eq!(rows[0].integer("last").unwrap(), before + 1);
    assert_eq!(store.last_seq().await.unwrap(), before);
    (first, second)
}

async fn dots(store: &Store) -> usize {
    let row = store.read().await.unwrap().row("SELECT value FROM meta WHERE name = 'created'", args![]).await.unwrap();
    row.unwrap().text("value").unwrap().matches("\".").count()
}

pub async fn who_waits_is_committed_together(bed: Bed) {
    let store = bed.furnished().await;
    let (first, mut second) = two_in_a_boat(&store).await;
    second.run(BY_HAND, args![]).await.unwrap();
    second.commit().await.unwrap();
    let seq = first.await.unwrap().unwrap();
    assert_eq!(store.last_seq().await.unwrap(), seq);
    assert_eq!(dots(&store).await, 1);
}

pub async fn a_change_that_is_given_up_is_undone_alone(bed: Bed) {
    let store = bed.furnished().await;
    let (first, mut second) = two_in_a_boat(&store).await;
    second.run(BY_HAND, args![]).await.unwrap();
    drop(second);
    let seq = first.await.unwrap().unwrap();
    assert_eq!((store.last_seq().await.unwrap(), dots(&store).await), (seq, 0));

    let (first, mut second) = two_in_a_boat(&store).await;
    second.run(BY_HAND, args![]).await.unwrap();
    second.run("INSERT INTO event_counter (id, last) VALUES (1, 1)", args![]).await.unwrap_err();
    // Nothing goes on from there.
    assert!(matches!(second.run(BY_HAND, args![]).await, Err(StoreError::NotKept(_))));
    assert!(matches!(second.commit().await, Err(StoreError::NotKept(_))));
    let seq = first.await.unwrap().unwrap();
    assert_eq!((store.last_seq().await.unwrap(), dots(&store).await), (seq, 0));
}

pub async fn a_transaction_that_is_lost_is_told_to_all_in_it(bed: Bed) {
    let store = bed.furnished().await;
    let (before, (first, mut second)) = (store.last_seq().await.unwrap(), two_in_a_boat(&store).await);
    // What a failing disk does to SQLite, and a server that ends to PostgreSQL.
    let lose = match bed.database {
        Database::Sqlite(_) => "ROLLBACK",
        Database::Postgres { .. } => "SELECT pg_terminate_backend(pg_backend_pid())",
    };
    let lost = second.run(lose, args![]).await;
    assert_eq!(lost.is_err(), matches!(bed.database, Database::Postgres { .. }));
    drop(second);
    assert!(matches!(first.await.unwrap(), Err(StoreError::NotKept(_))));
    assert_eq!(store.last_seq().await.unwrap(), before);
    assert_eq!(store.record(event(Kind::Start)).await.unwrap(), before + 1);
}

pub async fn those_who_give_up_hold_up_nobody(bed: Bed) {
    let store = bed.furnished().await;
    let before = store.last_seq().await.unwrap();
    let record = |_| {
        let store = store.clone();
        tokio::spawn(async move { store.record(event(Kind::Start)).await })
    };
    let writers: Vec<_> = (0..200).map(record).collect();
    let mut kept = Vec::new();
    for (number, writer) in writers.into_iter().enumerate() {
        if number % 3 == 0 {
            writer.abort();
        } else {
            kept.push(writer.await.unwrap().unwrap());
        }
    }
    let last = store.record(event(Kind::Start)).await.unwrap();
    let events = store.events_since(before, 1000).await.unwrap();
    assert!(events.iter().map(|event| event.seq).eq(before + 1..=last));
    assert!(kept.iter().all(|seq| events.iter().any(|event| event.seq == *seq)));
}
