//! Acts on the keeping of recordings: how long they are kept (保存期間), held (保全) and removed (廃棄). What may go is
//! `sekimori_policy::retention`'s to say, and that it takes two people `authority`'s; here it is asked, written down, and
//! then done, in this order, so that no byte goes without an event that tells of it.

use crate::store::{KeptRow, Purge, Store, StoreError};
use chrono::{DateTime, TimeDelta, Utc};
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_audit::recording::{sealed_path, working_folder};
use sekimori_policy::authority::{Act, Refusal, may, may_purge};
use sekimori_policy::facts::{Language, Person};
use sekimori_policy::retention::{Class, Keeping, Terms, keeping};
use serde_json::json;
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Recordings of one purge: so many can be looked at by who decides.
pub const MOST: usize = 1000;
/// Sessions that are read at a time.
const PAGE: u32 = 500;

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum RetentionFault {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Not by this person.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A recording that has to stay.
    #[error("the recording of session {session} is not to be removed: {}", standing.label(Language::En))]
    Stays {
        /// Whose.
        session: Uuid,
        /// Where it stands.
        standing: Keeping,
    },
    /// Nothing is due.
    #[error("no recording is due: see `sekimori retention list`")]
    NothingDue,
    /// Too much at once.
    #[error("at most {MOST} recordings can be proposed at once")]
    TooMany,
    /// A name in the database that is none.
    #[error("purge {purge} was proposed by {by:?}, which is nobody's ID: reject it")]
    Nobody {
        /// Which.
        purge: Uuid,
        /// What stands there.
        by: String,
    },
    /// The bytes could not be removed. They will be tried again.
    #[error(transparent)]
    Storage(#[from] Unremoved),
}

/// Bytes that could not be removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot remove {path}: {source}; the gateway tries again when it starts")]
pub struct Unremoved {
    path: PathBuf,
    source: io::Error,
}

/// Every recording of an ended session that was not removed, oldest end first, with where it stands; until `each` has seen
/// enough.
///
/// # Errors
/// The database's own failure.
pub async fn judged(
    store: &Store,
    terms: &Terms,
    ended_before: DateTime<Utc>,
    mut each: impl FnMut(KeptRow, Keeping) -> bool,
) -> Result<(), StoreError> {
    let now = Utc::now();
    let mut after = None;
    loop {
        let page = store.kept(ended_before, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.row.closing.as_ref().map(|closing| (closing.at, last.row.opening.id));
        for kept in page {
            let standing = keeping(&kept.recorded(), terms, now);
            if !each(kept, standing) {
                return Ok(());
            }
        }
    }
}

/// The recordings whose time is over, at most [`MOST`].
///
/// # Errors
/// The database's own failure.
async fn due(store: &Store, terms: &Terms) -> Result<Vec<Uuid>, StoreError> {
    // Nothing is due sooner than the shortest term.
    let shortest = Class::ALL.into_iter().filter_map(|class| terms.of(class)).min();
    let Some(ended_before) = shortest.and_then(|days| Utc::now().checked_sub_signed(TimeDelta::days(days.into())))
    else {
        return Ok(Vec::new());
    };
    let mut due = Vec::new();
    judged(store, terms, ended_before, |kept, standing| {
        if matches!(standing, Keeping::Due { .. }) {
            due.push(kept.row.opening.id);
        }
        due.len() < MOST
    })
    .await?;
    Ok(due)
}

/// Proposes to remove these recordings, or if none is named all that are due; returns the purge. The event names the actor.
///
/// # Errors
/// [`RetentionFault::Stays`] for the first that is not due, [`RetentionFault::NothingDue`], [`RetentionFault::TooMany`].
pub async fn propose(
    store: &Store,
    terms: &Terms,
    sessions: &[Uuid],
    reason: &str,
    act: Event,
) -> Result<Purge, RetentionFault> {
    if sessions.len() > MOST {
        return Err(RetentionFault::TooMany);
    }
    let named = store.kept_rows(sessions).await?;
    for kept in &named {
        let standing = keeping(&kept.recorded(), terms, Utc::now());
        if !matches!(standing, Keeping::Due { .. }) {
            return Err(RetentionFault::Stays { session: kept.row.opening.id, standing });
        }
    }
    let mut proposed: Vec<_> = named.into_iter().map(|kept| kept.row.opening.id).collect();
    if proposed.is_empty() {
        proposed = due(store, terms).await?;
    }
    if proposed.is_empty() {
        return Err(RetentionFault::NothingDue);
    }
    let id = store.propose_purge(&proposed, reason, Event { kind: Kind::PurgeProposed, ..act }).await?;
    Ok(store.purge(id).await?)
}

/// Approves or rejects a purge, by somebody else than who proposed it. What was approved is judged once more: what is held
/// by now, or no longer due, stays. The bytes are removed by [`sweep`].
///
/// # Errors
/// [`RetentionFault::Refused`]; [`StoreError::Conflict`] if it was decided on already.
pub async fn decide(
    store: &Store,
    terms: &Terms,
    id: Uuid,
    approved: bool,
    note: &str,
    by: &Person,
    act: Event,
) -> Result<Purge, RetentionFault> {
    let purge = store.purge(id).await?;
    let proposed_by = purge.proposed_by.parse();
    let proposed_by = proposed_by.map_err(|_| RetentionFault::Nobody { purge: id, by: purge.proposed_by.clone() });
    // Who proposed may take it back; to decide is for others.
    let _authority = match (approved, proposed_by) {
        (true, proposed_by) => may_purge(by, &proposed_by?)?,
        (false, Ok(proposed_by)) if proposed_by == by.id => may(by, Act::ProposePurge)?,
        (false, _) => may(by, Act::ApprovePurge)?,
    };
    let detail = json!({ "purge": id, "approved": approved, "note": note, "proposed_by": purge.proposed_by });
    let act = Event { kind: Kind::PurgeDecided, detail, ..act };
    if !approved {
        store.reject_purge(id, act).await?;
        return Ok(store.purge(id).await?);
    }
    let (now, terms) = (act.at, *terms);
    let judge = |kept: &KeptRow| match keeping(&kept.recorded(), &terms, now) {
        Keeping::Due { class, since } => Some(json!({
            "purge": id, "class": class, "days": terms.of(class), "due_since": since,
            "proposed_by": purge.proposed_by, "reason": purge.reason,
        })),
        _ => None,
    };
    Ok(store.approve_purge(id, act, judge).await?)
}

/// Removes the bytes of every purge that was approved and not done; returns how many recordings there were. What a crash
/// interrupted is done again, and what cannot be removed holds up nothing else.
///
/// # Errors
/// [`RetentionFault::Storage`] for the first that could not be removed; its purge stays to be done.
pub async fn sweep(store: &Store, recordings: &Path) -> Result<usize, RetentionFault> {
    let (mut removed, mut fault) = (0, None);
    for purge in store.purges_to_do().await? {
        let sessions: Vec<Uuid> = purge.sessions.iter().filter_map(|(id, purged)| purged.then_some(*id)).collect();
        let rows = store.kept_rows(&sessions).await?;
        let openings = rows.iter().map(|kept| &kept.row.opening);
        let folders = openings.map(|opening| working_folder(recordings, opening.id, opening.opened)).collect();
        let root = recordings.to_owned();
        let swept = tokio::task::spawn_blocking(move || remove_all(&root, folders)).await;
        if let Err(unremoved) = swept.map_err(|fault| storage(recordings)(io::Error::other(fault))).flatten() {
            fault.get_or_insert(unremoved);
            continue;
        }
        removed += sessions.len();
        let detail = json!({ "purge": purge.id, "recordings": sessions.len() });
        let done = Event { detail, ..Event::new(Utc::now(), Kind::PurgeDone, Actor::gateway()) };
        store.purge_done(purge.id, done).await?;
    }
    match fault {
        Some(fault) => Err(fault.into()),
        None => Ok(removed),
    }
}

/// Removes all that can be; the first that cannot is told of.
fn remove_all(root: &Path, folders: Vec<PathBuf>) -> Result<(), Unremoved> {
    // On a disk that is not mounted nothing is to be found, and nothing is removed.
    let mounted = std::fs::read_dir(root).map(|mut entries| entries.next().is_some()).map_err(storage(root))?;
    if !mounted && !folders.is_empty() {
        return Err(storage(root)(io::Error::other("nothing is in it: is its disk mounted?")));
    }
    folders.iter().map(|folder| remove(folder)).fold(Ok(()), Result::and)
}

/// Removes a sealed recording, and what may be left of its working folder.
fn remove(folder: &Path) -> Result<(), Unremoved> {
    let sealed = sealed_path(folder);
    gone(std::fs::remove_file(&sealed)).map_err(storage(&sealed))?;
    gone(std::fs::remove_dir_all(folder)).map_err(storage(folder))?;
    let day = folder.parent().unwrap_or(folder);
    // Gone for good only when the folder's own list is on the disk.
    gone(std::fs::File::open(day).and_then(|day| day.sync_all())).map_err(storage(day))
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn storage(path: &Path) -> impl FnOnce(io::Error) -> Unremoved {
    let path = path.to_owned();
    move |source| Unremoved { path, source }
}
