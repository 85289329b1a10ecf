//! The schema: laid down at `create`, brought up at `open`, refused when it is newer than this program.

use super::Store;
use super::change::document;
use super::db::Pools;
use super::db::{Db, args};
use super::error::StoreError;
use crate::config::Database;
use sekimori_audit::event::Event;
use sqlx::migrate::{Migrate, Migrator};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

static SQLITE: Migrator = sqlx::migrate!("./migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("./migrations/postgres");

/// Runs the migrations that are missing in a database which holds a sekimori.
pub(super) async fn bring_up(db: &Db, database: &Database) -> Result<(), StoreError> {
    match applied(db).await? {
        None => Err(StoreError::NotCreated { place: place(database) }),
        Some(_) => migrate(db).await,
    }
}

/// Runs all migrations in an empty database.
pub(super) async fn lay_down(db: &Db, database: &Database) -> Result<(), StoreError> {
    match applied(db).await? {
        Some(_) => Err(StoreError::AlreadyCreated { place: place(database) }),
        None => migrate(db).await,
    }
}

/// Writes the master key's fingerprint and the first event.
pub(super) async fn remember_key(store: &Store, database: &Database, event: &Event) -> Result<(), StoreError> {
    let mut change = store.change().await?;
    let there = change.read().row("SELECT value FROM meta WHERE name = 'master_key'", Vec::new()).await?;
    if there.is_some() {
        return Err(StoreError::AlreadyCreated { place: place(database) });
    }
    let fingerprint = fingerprint(store)?;
    change.run("INSERT INTO meta (name, value) VALUES ('master_key', $1)", args![fingerprint]).await?;
    change
        .run("INSERT INTO meta (name, value) VALUES ('created', $1)", args![document("meta", "created", &event.at)?])
        .await?;
    change.commit(event).await?;
    Ok(())
}

/// Whether the key at hand is the one that the secrets were sealed with.
pub(super) async fn check_key(store: &Store) -> Result<(), StoreError> {
    let row = store.read().await?.row("SELECT value FROM meta WHERE name = 'master_key'", Vec::new()).await?;
    let expected = match row {
        Some(row) => row.text("value")?,
        None => return Err(StoreError::damaged("meta", "master_key", "its row is missing")),
    };
    let found = fingerprint(store)?;
    if expected == found { Ok(()) } else { Err(StoreError::WrongKey { expected, found }) }
}

fn fingerprint(store: &Store) -> Result<String, StoreError> {
    let what = "fingerprint of the master key";
    store.inner.key.fingerprint().map_err(|source| StoreError::Sealed { what: what.to_owned(), source })
}

/// Makes SQLite's file with mode 0600 (its journal files take the same mode); never one that is there.
pub(super) fn make_file(database: &Database) -> Result<Option<&Path>, StoreError> {
    let Database::Sqlite(path) = database else { return Ok(None) };
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(Some(path)),
        Err(fault) if fault.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(StoreError::AlreadyCreated { place: place(database) })
        }
        Err(source) => Err(StoreError::File { path: path.clone(), source }),
    }
}

/// Takes away a file that [`make_file`] made and nothing came to be in.
pub(super) fn remove_file(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        // What cannot be removed is named by the next `create`, which finds it.
        let _ = std::fs::remove_file(PathBuf::from(name));
    }
}

/// The newest migration applied, if any; a newer one than ours is refused before anything is touched.
async fn applied(db: &Db) -> Result<Option<i64>, StoreError> {
    let (found, migrator) = match &db.pools {
        Pools::Sqlite { writer, .. } => (newest(&mut *writer.acquire().await?, &SQLITE).await?, &SQLITE),
        Pools::Postgres { writer, .. } => (newest(&mut *writer.acquire().await?, &POSTGRES).await?, &POSTGRES),
    };
    let known = migrator.iter().map(|migration| migration.version).max().unwrap_or_default();
    match found {
        Some(found) if found > known => Err(StoreError::Newer { found, known }),
        found => Ok(found),
    }
}

async fn newest(connection: &mut impl Migrate, migrator: &Migrator) -> Result<Option<i64>, StoreError> {
    connection.ensure_migrations_table(&migrator.table_name).await?;
    let list = connection.list_applied_migrations(&migrator.table_name).await?;
    Ok(list.iter().map(|migration| migration.version).max())
}

pub(super) async fn migrate(db: &Db) -> Result<(), StoreError> {
    match &db.pools {
        Pools::Sqlite { writer, .. } => SQLITE.run(writer).await?,
        Pools::Postgres { writer, .. } => POSTGRES.run(writer).await?,
    }
    Ok(())
}

/// Where the database is, for messages: never with a password.
pub(super) fn place(database: &Database) -> String {
    match database {
        Database::Sqlite(path) => path.display().to_string(),
        Database::Postgres { url, .. } => match (url.find("://"), url.rfind('@')) {
            (Some(scheme), Some(at)) => {
                format!("{}…{}", url.get(..scheme + 3).unwrap_or_default(), url.get(at..).unwrap_or_default())
            }
            _ => url.clone(),
        },
    }
}
