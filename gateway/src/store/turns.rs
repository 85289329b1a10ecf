//! Writers take turns on one connection, in the order in which they asked, and what they write is committed together:
//! a disk syncs some hundred times a second, and more people than that may want something at the same moment.
//!
//! Each change is a savepoint of one transaction. Who is done queues again, behind those who wait already, and commits
//! what all of them did until then; the others find it done. So a lone change waits for nobody, and under load one sync
//! keeps many. A change that is given up is undone alone. When the transaction is lost, everyone in it is told.
//!
//! What must not stop half way — to begin, to undo, to commit — runs on the database's own runtime ([`Home`]), whatever
//! becomes of who asked for it.

use super::db::{Arg, Row, bind_postgres, bind_sqlite, over};
use super::error::StoreError;
use super::home::{ANSWER, Home};
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, Postgres, Sqlite};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

/// How long a writer waits for its turn before it gives up.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The queue of the writers. (Tokio's mutex is first come, first served.)
pub(super) struct Turns {
    writer: Arc<Mutex<Writer>>,
    home: Home,
}

/// What one of them at a time has.
struct Writer {
    pool: Pool,
    /// The transaction that is open, if one is.
    together: Option<Together>,
    /// How many turns there were: each savepoint has a name of its own, so that none can be taken for another.
    turns: u64,
}

/// Where the connection comes from; it has one.
pub(super) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Turns {
    pub(super) fn on(pool: Pool, home: Home) -> Self {
        Self { writer: Arc::new(Mutex::new(Writer { pool, together: None, turns: 0 })), home }
    }

    /// Waits for a turn.
    pub(super) async fn take(&self) -> Result<Turn, StoreError> {
        let (writer, home) = (self.writer.clone(), self.home.clone());
        let begun = self.home.spawn(async move {
            let waited = tokio::time::timeout(PATIENCE, writer.lock_owned()).await;
            let mut writer = waited.map_err(|_| sqlx::Error::PoolTimedOut)?;
            let savepoint = writer.begin(&home).await?;
            Ok(Turn { writer: Some(writer), home, savepoint, failed: false })
        });
        begun.await.unwrap_or_else(|_| Err(over()))
    }
}

impl Writer {
    /// Begins a transaction unless one is open, and a savepoint in it; returns its number.
    async fn begin(&mut self, home: &Home) -> Result<u64, StoreError> {
        if self.together.is_none() {
            self.together = Some(Together::begin(&self.pool, home).await?);
        }
        self.turns += 1;
        let began = self.control(home, format!("SAVEPOINT turn_{}", self.turns)).await;
        if began.is_err() {
            self.together = None;
        }
        began.map(|()| self.turns)
    }

    /// Takes back what was done since a savepoint, or all of it where nobody is waiting for the rest.
    async fn undo(&mut self, home: &Home, savepoint: u64) {
        let shared = self.together.as_ref().is_some_and(|together| together.fate.receiver_count() > 0);
        let sql = if shared { format!("ROLLBACK TO SAVEPOINT turn_{savepoint}") } else { "ROLLBACK".to_owned() };
        let undone = self.control(home, sql).await;
        if let Err(fault) = &undone {
            tracing::warn!(%fault, "a change could not be undone alone: what shares its transaction is lost");
        }
        if undone.is_ok() && shared {
            return;
        }
        if let Some(mut together) = self.together.take() {
            together.over = undone.is_ok();
        }
    }

    /// Commits what is open, and tells everyone in it.
    async fn commit(&mut self, home: &Home) {
        let committed = self.control(home, "COMMIT".to_owned()).await;
        let Some(mut together) = self.together.take() else { return };
        together.over = committed.is_ok();
        together.fate.send_replace(match committed {
            Ok(()) => Fate::Kept,
            Err(fault) => Fate::Lost(fault.to_string()),
        });
    }

    async fn control(&mut self, home: &Home, sql: String) -> Result<(), StoreError> {
        let connection = self.together.as_mut().and_then(|together| together.connection.as_mut()).ok_or_else(over)?;
        home.answered(connection.control(sql)).await
    }
}

/// A transaction that several changes share. Dropped before it is over, it takes its connection along: the database
/// then undoes it, whatever state it was in.
struct Together {
    /// There until it is dropped.
    connection: Option<Connection>,
    /// Told to each who is done, when it is known. They count as its receivers.
    fate: watch::Sender<Fate>,
    over: bool,
    home: Home,
}

/// What becomes of a change.
enum Fate {
    Open,
    Kept,
    Lost(String),
}

impl Together {
    async fn begin(pool: &Pool, home: &Home) -> Result<Self, StoreError> {
        let (connection, sql) = match pool {
            Pool::Sqlite(pool) => {
                (Connection::Sqlite(home.answered(async { Ok(pool.acquire().await?) }).await?), "BEGIN IMMEDIATE")
            }
            // Writers of other processes wait here: so what a writer has read stays true until it commits, and events
            // commit in the order of their numbers.
            Pool::Postgres(pool) => (
                Connection::Postgres(home.answered(async { Ok(pool.acquire().await?) }).await?),
                "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT last FROM event_counter WHERE id = 1 FOR UPDATE",
            ),
        };
        let fate = watch::Sender::new(Fate::Open);
        let mut together = Self { connection: Some(connection), fate, over: false, home: home.clone() };
        if let Some(connection) = &mut together.connection {
            home.answered(connection.control(sql.to_owned())).await?;
        }
        Ok(together)
    }
}

impl Drop for Together {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if !self.over {
            connection.close_on_drop();
        }
        self.home.let_go(connection);
    }
}

/// The connection that writes.
enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

impl Connection {
    async fn rows(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite(connection) => {
                bind_sqlite(sql, args).fetch_all(&mut **connection).await?.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(connection) => {
                bind_postgres(sql, args).fetch_all(&mut **connection).await?.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    async fn run(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Sqlite(connection) => bind_sqlite(sql, args).execute(&mut **connection).await?.rows_affected(),
            Self::Postgres(connection) => bind_postgres(sql, args).execute(&mut **connection).await?.rows_affected(),
        })
    }

    /// Statements of this file's own, without values.
    async fn control(&mut self, sql: String) -> Result<(), StoreError> {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql));
        match self {
            Self::Sqlite(connection) => sql.execute(&mut **connection).await.map(|_| ())?,
            Self::Postgres(connection) => sql.execute(&mut **connection).await.map(|_| ())?,
        }
        Ok(())
    }

    fn close_on_drop(&mut self) {
        match self {
            Self::Sqlite(connection) => connection.close_on_drop(),
            Self::Postgres(connection) => connection.close_on_drop(),
        }
    }
}

/// A writer's turn. Nobody else writes until it is kept or dropped; dropping undoes what was done in it.
pub(super) struct Turn {
    /// There until it is kept or dropped.
    writer: Option<OwnedMutexGuard<Writer>>,
    home: Home,
    savepoint: u64,
    /// A statement failed, or who asked gave up half way: nothing goes on from there.
    failed: bool,
}

impl Turn {
    pub(super) async fn rows(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        let home = self.home.clone();
        let answer = home.answered(self.connection()?.rows(sql, args)).await;
        self.failed = answer.is_err();
        answer
    }

    pub(super) async fn run(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<u64, StoreError> {
        let home = self.home.clone();
        let answer = home.answered(self.connection()?.run(sql, args)).await;
        self.failed = answer.is_err();
        answer
    }

    /// The connection, for a statement that counts as failed until it has answered.
    fn connection(&mut self) -> Result<&mut Connection, StoreError> {
        if std::mem::replace(&mut self.failed, true) {
            return Err(StoreError::NotKept("a statement of it had failed".into()));
        }
        let together = self.writer.as_mut().and_then(|writer| writer.together.as_mut());
        together.and_then(|together| together.connection.as_mut()).ok_or_else(over)
    }

    /// Makes what was done durable, together with what others do meanwhile.
    pub(super) async fn keep(mut self) -> Result<(), StoreError> {
        self.connection()?;
        let Some(writer) = self.writer.take() else { return Err(over()) };
        let Some(mut fate) = writer.together.as_ref().map(|together| together.fate.subscribe()) else {
            return Err(over());
        };
        let (queue, home, mine) = (OwnedMutexGuard::mutex(&writer).clone(), self.home.clone(), fate.clone());
        drop(writer);
        // Also when nobody waits for the answer any more: others' changes stand on this one.
        self.home.spawn(async move {
            let mut writer = queue.lock_owned().await;
            let open = matches!(*mine.borrow(), Fate::Open);
            if open {
                writer.commit(&home).await;
            }
        });
        let told = tokio::time::timeout(PATIENCE + ANSWER, fate.wait_for(|fate| !matches!(fate, Fate::Open))).await;
        match told {
            Ok(Ok(fate)) => match &*fate {
                Fate::Lost(why) => Err(StoreError::NotKept(why.clone())),
                Fate::Kept | Fate::Open => Ok(()),
            },
            Ok(Err(_)) => Err(StoreError::NotKept("the transaction that it shared with others was lost".into())),
            Err(_) => Err(StoreError::Silent),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(writer) = self.writer.take() else { return };
        let undoing = Undoing { writer, undone: false };
        let (home, savepoint) = (self.home.clone(), self.savepoint);
        self.home.spawn(undoing.run(home, savepoint));
    }
}

/// The undoing of a turn. If it is dropped before it is done (the runtime has ended), nothing in the transaction may
/// be kept by the next.
struct Undoing {
    writer: OwnedMutexGuard<Writer>,
    undone: bool,
}

impl Undoing {
    async fn run(mut self, home: Home, savepoint: u64) {
        self.writer.undo(&home, savepoint).await;
        self.undone = true;
    }
}

impl Drop for Undoing {
    fn drop(&mut self) {
        if !self.undone {
            self.writer.together = None;
        }
    }
}
