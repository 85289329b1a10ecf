//! What is kept, held and removed of recordings. Whether one may be removed is `sekimori_policy::retention`'s to say,
//! from what is read here; a removal is written down before a byte goes.

use super::change::{Change, Read};
use super::db::{Row, args};
use super::error::StoreError;
use super::sessions::{SessionRow, doer, of_session, stored};
use super::{Store, works};
use chrono::{DateTime, Utc};
use sekimori_audit::event::{Event, Kind};
use sekimori_policy::id::WorkId;
use sekimori_policy::retention::Recorded;
use sekimori_policy::work::Work;
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// A session that has ended, with all that decides on how long its recording is kept.
#[derive(Debug, Clone)]
pub struct KeptRow {
    /// The session.
    pub row: SessionRow,
    /// Whether its recording was sealed as a whole.
    pub sealed: bool,
    /// The matters for which it is held.
    pub holds: BTreeSet<String>,
    /// The work that it belongs to.
    pub work: Arc<Work>,
}

impl KeptRow {
    /// The same, as the policy asks for it.
    #[must_use]
    pub fn recorded(&self) -> Recorded<'_> {
        let closing = self.row.closing.as_ref();
        Recorded {
            opened: self.row.opening.opened,
            ended: closing.map(|closing| closing.at),
            sealed: self.sealed,
            purged: self.row.purged,
            transfers: closing.map_or(0, |closing| closing.counts.transfers),
            cut: self.row.cut.is_some(),
            holds: &self.holds,
            work: &self.work,
        }
    }
}

/// A hold in force on one recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hold {
    /// For what.
    pub matter: String,
    /// The session.
    pub session: Uuid,
    /// Since when.
    pub held: DateTime<Utc>,
    /// By whom.
    pub held_by: String,
    /// Why.
    pub reason: String,
}

/// A purge, from its proposal on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Purge {
    /// What names it.
    pub id: Uuid,
    /// When it was proposed.
    pub proposed: DateTime<Utc>,
    /// By whom.
    pub proposed_by: String,
    /// Why.
    pub reason: String,
    /// When it was decided on.
    pub decided: Option<DateTime<Utc>>,
    /// By whom.
    pub decided_by: Option<String>,
    /// What was decided.
    pub approved: Option<bool>,
    /// When the bytes were off the disk.
    pub done: Option<DateTime<Utc>>,
    /// The sessions that were proposed; `true` where the recording was removed.
    pub sessions: BTreeMap<Uuid, bool>,
}

impl Store {
    /// Sessions that ended before a moment and whose recordings were not removed, the oldest first, behind `after`.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn kept(
        &self,
        ended_before: DateTime<Utc>,
        after: Option<(DateTime<Utc>, Uuid)>,
        limit: u32,
    ) -> Result<Vec<KeptRow>, StoreError> {
        let (closed, id) = after.map_or((i64::MIN, String::new()), |(at, id)| (at.timestamp_micros(), id.to_string()));
        let sql = "SELECT * FROM session WHERE purged IS NULL AND closed <= $1
                   AND (closed > $2 OR (closed = $2 AND id > $3)) ORDER BY closed, id LIMIT $4";
        let mut read = self.read().await?;
        let rows = read.rows(sql, args![ended_before, closed, id, i64::from(limit)]).await?;
        with_facts(&mut read, stored(&rows)?).await
    }

    /// These sessions, with what decides on their keeping.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] session.
    pub async fn kept_rows(&self, sessions: &[Uuid]) -> Result<Vec<KeptRow>, StoreError> {
        kept_rows(&mut self.read().await?, sessions).await
    }

    /// Holds recordings for a matter; returns which: those that were held for it already, or are gone, are left out. One
    /// event for each.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] session.
    pub async fn hold(
        &self,
        sessions: &[Uuid],
        matter: &str,
        reason: &str,
        act: Event,
    ) -> Result<Vec<Uuid>, StoreError> {
        let (by, act) = (doer(&act), Event { detail: json!({ "matter": matter, "reason": reason }), ..act });
        let mut change = self.change().await?;
        let mut events = Vec::new();
        for kept in kept_rows(change.read(), sessions).await? {
            if kept.row.purged.is_some() || kept.holds.contains(matter) {
                continue;
            }
            let session = kept.row.opening.id;
            let sql = "INSERT INTO recording_hold (session, matter, held, held_by, reason) VALUES ($1, $2, $3, $4, $5)";
            change.run(sql, args![session, matter, act.at, by.clone(), reason]).await?;
            events.push(of_session(&kept.row, &act));
        }
        commit(change, events).await
    }

    /// Lets go of what was held for a matter: of one session, or of all; returns which. One event for each.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn release(
        &self,
        matter: &str,
        session: Option<Uuid>,
        reason: &str,
        act: Event,
    ) -> Result<Vec<Uuid>, StoreError> {
        let act = Event { detail: json!({ "matter": matter, "reason": reason }), ..act };
        let mut change = self.change().await?;
        let held = holds(change.read(), Some(matter), session).await?;
        let sessions: Vec<Uuid> = held.iter().map(|hold| hold.session).collect();
        let mut events = Vec::new();
        for kept in kept_rows(change.read(), &sessions).await? {
            let sql = "UPDATE recording_hold SET released = $3 WHERE session = $1 AND matter = $2 AND released IS NULL";
            change.run(sql, args![kept.row.opening.id, matter, act.at]).await?;
            events.push(of_session(&kept.row, &act));
        }
        commit(change, events).await
    }

    /// Every hold in force, by matter.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn holds(&self) -> Result<Vec<Hold>, StoreError> {
        holds(&mut self.read().await?, None, None).await
    }

    /// Writes a proposal down; returns its id.
    ///
    /// # Errors
    /// The database's own failure, as when a session is not there.
    pub async fn propose_purge(&self, sessions: &[Uuid], reason: &str, act: Event) -> Result<Uuid, StoreError> {
        let id = Uuid::now_v7();
        let mut change = self.change().await?;
        let sql = "INSERT INTO purge (id, proposed, proposed_by, reason) VALUES ($1, $2, $3, $4)";
        change.run(sql, args![id, act.at, doer(&act), reason]).await?;
        for session in sessions {
            change.run("INSERT INTO purge_session (purge, session) VALUES ($1, $2)", args![id, *session]).await?;
        }
        let detail = json!({ "purge": id, "reason": reason, "sessions": sessions });
        change.commit(&Event { detail, ..act }).await?;
        Ok(id)
    }

    /// One purge.
    ///
    /// # Errors
    /// [`StoreError::Unknown`].
    pub async fn purge(&self, id: Uuid) -> Result<Purge, StoreError> {
        purge(&mut self.read().await?, id).await
    }

    /// At most `limit` purges, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn purges(&self, limit: u32) -> Result<Vec<Purge>, StoreError> {
        let mut read = self.read().await?;
        let sql = "SELECT id FROM purge ORDER BY id DESC LIMIT $1";
        let rows = read.rows(sql, args![i64::from(limit)]).await?;
        purges(&mut read, &rows).await
    }

    /// Purges that were approved, and whose bytes may be on the disk still.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn purges_to_do(&self) -> Result<Vec<Purge>, StoreError> {
        let mut read = self.read().await?;
        let sql = "SELECT id FROM purge WHERE approved = 1 AND done IS NULL ORDER BY id";
        let rows = read.rows(sql, Vec::new()).await?;
        purges(&mut read, &rows).await
    }

    /// Rejects a purge that waits.
    ///
    /// # Errors
    /// [`StoreError::Unknown`]; [`StoreError::Conflict`] if it was decided on already.
    pub async fn reject_purge(&self, id: Uuid, act: Event) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        decide(&mut change, id, false, &act).await?;
        change.commit(&act).await?;
        Ok(())
    }

    /// Approves a purge that waits: each recording that `judge` lets go, as it stands now, is marked as removed, with an
    /// event of what `judge` said of it; the others stay. Then its bytes may be removed.
    ///
    /// # Errors
    /// As [`Store::reject_purge`].
    pub async fn approve_purge(
        &self,
        id: Uuid,
        act: Event,
        judge: impl Fn(&KeptRow) -> Option<serde_json::Value> + Send,
    ) -> Result<Purge, StoreError> {
        let mut change = self.change().await?;
        let waiting = decide(&mut change, id, true, &act).await?;
        let sessions: Vec<Uuid> = waiting.sessions.keys().copied().collect();
        for kept in kept_rows(change.read(), &sessions).await? {
            let Some(detail) = judge(&kept) else { continue };
            let session = kept.row.opening.id;
            if change
                .run("UPDATE session SET purged = $2 WHERE id = $1 AND purged IS NULL", args![session, act.at])
                .await?
                != 1
            {
                continue;
            }
            let sql = "UPDATE purge_session SET purged = 1 WHERE purge = $1 AND session = $2";
            change.run(sql, args![id, session]).await?;
            let purged = Event { kind: Kind::RecordingPurged, detail, ..act.clone() };
            change.tell(&of_session(&kept.row, &purged)).await?;
        }
        let decided = purge(change.read(), id).await?;
        change.commit(&act).await?;
        Ok(decided)
    }

    /// The sessions whose recordings were removed.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn purged_sessions(&self) -> Result<BTreeSet<Uuid>, StoreError> {
        let rows = self.read().await?.rows("SELECT id FROM session WHERE purged IS NOT NULL", Vec::new()).await?;
        rows.iter().map(|row| row.parsed("id")).collect()
    }

    /// Writes down that the bytes of a purge are off the disk.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn purge_done(&self, id: Uuid, act: Event) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let sql = "UPDATE purge SET done = $2 WHERE id = $1 AND approved = 1 AND done IS NULL";
        if change.run(sql, args![id, act.at]).await? == 1 {
            change.commit(&act).await?;
        }
        Ok(())
    }
}

/// A decision counts once.
async fn decide(change: &mut Change, id: Uuid, approved: bool, act: &Event) -> Result<Purge, StoreError> {
    let waiting = purge(change.read(), id).await?;
    let sql = "UPDATE purge SET decided = $2, decided_by = $3, approved = $4 WHERE id = $1 AND decided IS NULL";
    if change.run(sql, args![id, act.at, doer(act), approved]).await? != 1 {
        return Err(StoreError::conflict("purge", id));
    }
    Ok(waiting)
}

async fn commit(mut change: Change, events: Vec<Event>) -> Result<Vec<Uuid>, StoreError> {
    let sessions = events.iter().filter_map(|event| event.session).collect();
    let Some((last, others)) = events.split_last() else { return Ok(sessions) };
    for event in others {
        change.tell(event).await?;
    }
    change.commit(last).await?;
    Ok(sessions)
}

async fn kept_rows(read: &mut Read, sessions: &[Uuid]) -> Result<Vec<KeptRow>, StoreError> {
    let mut rows = Vec::new();
    for session in sessions {
        let row = read.row("SELECT * FROM session WHERE id = $1", args![*session]).await?;
        rows.push(row.ok_or_else(|| StoreError::unknown("session", session))?);
    }
    with_facts(read, stored(&rows)?).await
}

async fn with_facts(read: &mut Read, rows: Vec<SessionRow>) -> Result<Vec<KeptRow>, StoreError> {
    let mut works_read: HashMap<WorkId, Arc<Work>> = HashMap::new();
    let mut kept = Vec::with_capacity(rows.len());
    for row in rows {
        let session = row.opening.id;
        let sql = "SELECT seq FROM event WHERE session = $1 AND kind = $2 LIMIT 1";
        let sealed = read.row(sql, args![session, Kind::RecordingSealed.code()]).await?.is_some();
        let holds = holds(read, None, Some(session)).await?.into_iter().map(|hold| hold.matter).collect();
        let id = &row.opening.work;
        let work = match works_read.get(id) {
            Some(work) => work.clone(),
            None => {
                let work = works::find(read, id).await?.ok_or_else(|| StoreError::unknown("work", id))?;
                works_read.entry(id.clone()).or_insert(Arc::new(work)).clone()
            }
        };
        kept.push(KeptRow { row, sealed, holds, work });
    }
    Ok(kept)
}

async fn holds(read: &mut Read, matter: Option<&str>, session: Option<Uuid>) -> Result<Vec<Hold>, StoreError> {
    let sql = "SELECT * FROM recording_hold WHERE released IS NULL AND ($1 IS NULL OR matter = $1)
               AND ($2 IS NULL OR session = $2) ORDER BY matter, session";
    let rows = read.rows(sql, args![matter.map(str::to_owned), session.map(|id| id.to_string())]).await?;
    let hold = |row: &Row| {
        Ok(Hold {
            matter: row.text("matter")?,
            session: row.parsed("session")?,
            held: row.time("held")?,
            held_by: row.text("held_by")?,
            reason: row.text("reason")?,
        })
    };
    rows.iter().map(hold).collect()
}

async fn purges(read: &mut Read, rows: &[Row]) -> Result<Vec<Purge>, StoreError> {
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        found.push(purge(read, row.parsed("id")?).await?);
    }
    Ok(found)
}

async fn purge(read: &mut Read, id: Uuid) -> Result<Purge, StoreError> {
    let row = read.row("SELECT * FROM purge WHERE id = $1", args![id]).await?;
    let row = row.ok_or_else(|| StoreError::unknown("purge", id))?;
    let sql = "SELECT session, purged FROM purge_session WHERE purge = $1";
    let sessions = read.rows(sql, args![id]).await?;
    Ok(Purge {
        id,
        proposed: row.time("proposed")?,
        proposed_by: row.text("proposed_by")?,
        reason: row.text("reason")?,
        decided: row.time_or_none("decided")?,
        decided_by: row.text_or_none("decided_by")?,
        approved: row.integer_or_none("approved")?.map(|approved| approved != 0),
        done: row.time_or_none("done")?,
        sessions: sessions
            .iter()
            .map(|row| Ok((row.parsed("session")?, row.integer("purged")? != 0)))
            .collect::<Result<_, StoreError>>()?,
    })
}
