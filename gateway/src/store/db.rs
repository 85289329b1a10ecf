//! SQLite and PostgreSQL behind one set of queries: one SQL text with `$1`, three column types, one kind of row.
//!
//! Everything above this file is written once. What differs — connecting, beginning, the column decoders — is here.

use super::error::StoreError;
use super::home::Home;
use super::turns::{PATIENCE, Pool, Turn, Turns};
use crate::config::Database;
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use sqlx::pool::PoolOptions;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow, PgSslMode};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Postgres, Row as _, Sqlite, Transaction};
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;

/// Connections for reading. Writing has one of its own: those who wait for it queue in order, which they would not for
/// `busy_timeout` or row locks, and never take the connections that readers need.
const READERS: u32 = 16;

/// The database.
pub(super) struct Db {
    pub(super) pools: Pools,
    turns: Turns,
    home: Home,
}

/// Its connections. On SQLite the readers' cannot write (`query_only`).
pub(super) enum Pools {
    Sqlite { readers: SqlitePool, writer: SqlitePool },
    Postgres { readers: PgPool, writer: PgPool },
}

impl Db {
    /// Connects. A missing SQLite file is an error: only `create` makes it.
    pub(super) async fn connect(database: &Database) -> Result<Self, StoreError> {
        let pools = match database {
            Database::Sqlite(path) => connect_sqlite(path).await?,
            Database::Postgres { url, ca } => connect_postgres(url, ca.as_deref()).await?,
        };
        let home = Home::here();
        let writer = match &pools {
            Pools::Sqlite { writer, .. } => Pool::Sqlite(writer.clone()),
            Pools::Postgres { writer, .. } => Pool::Postgres(writer.clone()),
        };
        Ok(Self { pools, turns: Turns::on(writer, home.clone()), home })
    }

    /// A transaction that reads one consistent state.
    pub(super) async fn read(&self) -> Result<Tx, StoreError> {
        let begun = async {
            Ok(match &self.pools {
                Pools::Sqlite { readers, .. } => Open::Sqlite(readers.begin().await?),
                Pools::Postgres { readers, .. } => {
                    Open::Postgres(readers.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)
                }
            })
        };
        let open = self.home.answered(begun).await?;
        Ok(Tx { open: Some(open), home: self.home.clone() })
    }

    /// A transaction that may write. Writers take turns on both databases, so that what a writer has read stays true
    /// until it commits, and events commit in the order of their numbers.
    pub(super) async fn write(&self) -> Result<Tx, StoreError> {
        Ok(Tx { open: Some(Open::Turn(self.turns.take().await?)), home: self.home.clone() })
    }

    /// One statement that is a change of its own.
    pub(super) async fn run_alone(&self, sql: &'static str, args: Vec<Arg>) -> Result<u64, StoreError> {
        let mut tx = self.write().await?;
        let touched = tx.run(sql, args).await?;
        tx.commit().await?;
        Ok(touched)
    }

    /// Lets go of every connection.
    pub(super) async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
            Pools::Postgres { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }
}

/// What all pools have in common. No connection is closed for its age: the task that does it counts the idle ones, and a
/// race in sqlx (its issue 3645) makes that count wrap, so that the task spins for ever and takes a thread of the runtime
/// along with whoever had to be woken on it.
fn pool<DB: sqlx::Database>() -> PoolOptions<DB> {
    PoolOptions::new().acquire_timeout(PATIENCE).idle_timeout(None).max_lifetime(None)
}

async fn connect_sqlite(path: &Path) -> Result<Pools, StoreError> {
    if !path.is_file() {
        return Err(StoreError::NotCreated { place: path.display().to_string() });
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // Not in files of /tmp: they would hold rows, and the sandbox closes it.
        .pragma("temp_store", "MEMORY")
        // KiB a connection, of which there are many that live long; the system keeps the file in memory once for all.
        .pragma("cache_size", "-256")
        .busy_timeout(PATIENCE)
        .disable_statement_logging();
    let pool: SqlitePoolOptions = pool();
    let writer = pool.clone().max_connections(1).connect_with(options.clone()).await?;
    let readers = pool.max_connections(READERS).connect_lazy_with(options.pragma("query_only", "ON"));
    Ok(Pools::Sqlite { readers, writer })
}

/// Whether the server is on this machine: a socket of the file system, or loopback.
fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let loopback =
        host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    loopback || host.starts_with('/') || options.get_socket().is_some()
}

/// The host of a database that is on another machine and that nothing verifies, as `sslmode` says: for a warning.
pub fn distant_and_unverified(database: &Database) -> Option<String> {
    let Database::Postgres { url, ca: None } = database else { return None };
    let options = PgConnectOptions::from_str(url).ok()?;
    let verified = matches!(options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    (!verified && !is_local(&options)).then(|| options.get_host().to_owned())
}

async fn connect_postgres(url: &str, ca: Option<&Path>) -> Result<Pools, StoreError> {
    let mut options = PgConnectOptions::from_str(url)
        .map_err(|fault| StoreError::Url(fault.to_string()))?
        .application_name("sekimori")
        // A writer that hangs (its machine lost power in mid-change) must not stop all others for good.
        .options([("lock_timeout", "10s"), ("idle_in_transaction_session_timeout", "60s")])
        .disable_statement_logging();
    let verified = matches!(options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    match ca {
        Some(path) if path.is_file() => {
            options = options.ssl_root_cert(path);
            // Who names a CA wants it checked; the default mode would go on without TLS.
            if !verified {
                options = options.ssl_mode(PgSslMode::VerifyFull);
            }
        }
        Some(path) => {
            return Err(StoreError::Url(format!("storage.database_ca names {}, which is no file", path.display())));
        }
        // No root store is compiled in: without a CA nothing could ever be verified.
        None if verified && !url.contains("sslrootcert=") => {
            return Err(StoreError::Url(
                "sslmode verifies the server, but no CA is named: set storage.database_ca".into(),
            ));
        }
        // The default (prefer) would take any server's word, or go on without TLS: only the hospital may say so.
        None if !verified && !is_local(&options) && !url.contains("sslmode=") => {
            return Err(StoreError::Url(format!(
                "nothing would verify {}: set storage.database_ca, or write sslmode=disable where the network is trusted",
                options.get_host()
            )));
        }
        None => {}
    }
    let pool: PgPoolOptions = pool();
    let writer = pool.clone().max_connections(1).connect_with(options.clone()).await?;
    let readers = pool.max_connections(READERS).connect_lazy_with(options);
    Ok(Pools::Postgres { readers, writer })
}

/// A value bound to a query.
pub(super) enum Arg {
    Text(Option<String>),
    Integer(Option<i64>),
    Bytes(Option<Vec<u8>>),
}

macro_rules! arg_from {
    ($($type:ty => |$value:ident| $arg:expr;)*) => {
        $(impl From<$type> for Arg { fn from($value: $type) -> Self { $arg } })*
    };
}

arg_from! {
    &str => |text| Self::Text(Some(text.to_owned()));
    String => |text| Self::Text(Some(text));
    Option<String> => |text| Self::Text(text);
    i64 => |number| Self::Integer(Some(number));
    Option<i64> => |number| Self::Integer(number);
    bool => |flag| Self::Integer(Some(i64::from(flag)));
    DateTime<Utc> => |at| Self::Integer(Some(at.timestamp_micros()));
    Option<DateTime<Utc>> => |at| Self::Integer(at.map(|at| at.timestamp_micros()));
    Vec<u8> => |bytes| Self::Bytes(Some(bytes));
    Option<Vec<u8>> => |bytes| Self::Bytes(bytes);
    uuid::Uuid => |id| Self::Text(Some(id.to_string()));
    Option<uuid::Uuid> => |id| Self::Text(id.map(|id| id.to_string()));
}

/// The arguments of a query, in the order of `$1`, `$2`, …
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::db::Arg::from($value)),*] };
}
pub(super) use args;

macro_rules! binder {
    ($name:ident, $db:ty) => {
        pub(super) fn $name(
            sql: impl sqlx::SqlSafeStr,
            args: Vec<Arg>,
        ) -> sqlx::query::Query<'static, $db, <$db as sqlx::Database>::Arguments> {
            args.into_iter().fold(sqlx::query(sql), |query, arg| match arg {
                Arg::Text(value) => query.bind(value),
                Arg::Integer(value) => query.bind(value),
                Arg::Bytes(value) => query.bind(value),
            })
        }
    };
}
binder!(bind_sqlite, Sqlite);
binder!(bind_postgres, Postgres);

/// An open transaction; dropping it undoes it.
pub(super) struct Tx {
    /// There until it is committed or dropped.
    open: Option<Open>,
    home: Home,
}

enum Open {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
    Turn(Turn),
}

impl Tx {
    pub(super) async fn rows(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        let Self { open, home } = self;
        match open {
            Some(Open::Turn(turn)) => turn.rows(sql, args).await,
            Some(Open::Sqlite(tx)) => {
                let rows = home.answered(async { Ok(bind_sqlite(sql, args).fetch_all(&mut **tx).await?) }).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Some(Open::Postgres(tx)) => {
                let rows = home.answered(async { Ok(bind_postgres(sql, args).fetch_all(&mut **tx).await?) }).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
            None => Err(over()),
        }
    }

    /// Writing, which only a transaction from [`Db::write`] does.
    pub(super) async fn run(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<u64, StoreError> {
        match &mut self.open {
            Some(Open::Turn(turn)) => turn.run(sql, args).await,
            _ => Err(over()),
        }
    }

    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        match self.open.take() {
            Some(Open::Turn(turn)) => turn.keep().await,
            open => {
                self.home.let_go(open);
                Err(over())
            }
        }
    }
}

/// Asked of a transaction that is over, or that only reads. (Nobody can: the one is consumed, the other has no way to.)
pub(super) fn over() -> StoreError {
    sqlx::Error::PoolClosed.into()
}

impl Drop for Tx {
    fn drop(&mut self) {
        self.home.let_go(self.open.take());
    }
}

/// One row of an answer.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

macro_rules! column {
    ($name:ident, $type:ty) => {
        pub(super) fn $name(&self, column: &str) -> Result<$type, StoreError> {
            Ok(match self {
                Self::Sqlite(row) => row.try_get(column)?,
                Self::Postgres(row) => row.try_get(column)?,
            })
        }
    };
}

impl Row {
    column!(text, String);
    column!(text_or_none, Option<String>);
    column!(integer, i64);
    column!(integer_or_none, Option<i64>);
    column!(bytes, Vec<u8>);
    column!(bytes_or_none, Option<Vec<u8>>);

    pub(super) fn time(&self, column: &str) -> Result<DateTime<Utc>, StoreError> {
        as_time(column, self.integer(column)?)
    }

    pub(super) fn time_or_none(&self, column: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.integer_or_none(column)?.map(|micros| as_time(column, micros)).transpose()
    }

    /// A text column read as an identifier, an address or a UUID.
    pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(&self, column: &'static str) -> Result<T, StoreError> {
        let text = self.text(column)?;
        text.parse().map_err(|fault| StoreError::damaged(column, &text, fault))
    }

    /// A text column read as a JSON document; `what` and the row's `id` name it where it is damaged.
    pub(super) fn document<T: DeserializeOwned>(&self, what: &'static str, column: &str) -> Result<T, StoreError> {
        serde_json::from_str(&self.text(column)?)
            .map_err(|fault| StoreError::damaged(what, self.text("id").unwrap_or_default(), fault))
    }
}

fn as_time(column: &str, micros: i64) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_micros(micros)
        .ok_or_else(|| StoreError::damaged("time", micros, format!("column {column} is out of range")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_distant_database_that_nothing_would_verify_is_refused() {
        let refused = connect_postgres("postgres://user@db.example/sekimori", None).await;
        assert!(matches!(refused, Err(StoreError::Url(why)) if why.contains("db.example")));
    }

    #[test]
    fn only_this_machine_is_local() {
        let local = |url| PgConnectOptions::from_str(url).is_ok_and(|options| is_local(&options));
        assert!(
            local("postgres://u@localhost/x") && local("postgres://u@127.0.0.1/x") && local("postgres://u@[::1]/x")
        );
        assert!(local("postgres:///x?host=/run/postgresql"));
        assert!(!local("postgres://u@10.0.0.1/x") && !local("postgres://u@localhost.example/x"));
    }
}
