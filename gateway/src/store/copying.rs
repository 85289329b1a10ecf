//! The whole database in a SQLite file, whichever database it is in, and back: what a backup keeps. PostgreSQL's own
//! tools are not needed, nor do their versions matter; a copy of the one becomes the other.
//!
//! Both schemas have the same tables with the same columns, in the order in which they refer to each other, and columns of
//! three types; so they are read out of SQLite's schema, and a table of a later migration is copied like any other.

use super::db::{Arg, Db, Pools, Row, bind_postgres, bind_sqlite};
use super::error::StoreError;
use super::schema;
use crate::config::Database;
use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, SqlSafeStr as _, SqliteConnection};
use std::path::Path;

/// Copies the database, as it is at this moment, into an empty file; others read and write meanwhile.
pub(super) async fn copy_to(db: &Db, path: &Path) -> Result<(), StoreError> {
    match &db.pools {
        Pools::Sqlite { readers, .. } => {
            // A connection of its own: the copy is the one thing that readers may write.
            let mut connection = readers.acquire().await?.detach();
            sqlx::query("PRAGMA query_only = OFF").execute(&mut connection).await?;
            sqlx::query("VACUUM INTO ?").bind(path.display().to_string()).execute(&mut connection).await?;
            Ok(connection.close().await?)
        }
        Pools::Postgres { readers, .. } => {
            let copy = Db::connect(&Database::Sqlite(path.to_owned())).await?;
            schema::migrate(&copy).await?;
            let Pools::Sqlite { writer, .. } = &copy.pools else { return Err(super::db::over()) };
            let mut from = readers.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
            let mut to = writer.begin().await?;
            let tables = tables(&mut to).await?;
            // A schema comes with rows of its own, such as the counter of events.
            for table in tables.iter().rev() {
                sqlx::query(AssertSqlSafe(table.delete())).execute(&mut *to).await?;
            }
            for table in &tables {
                to_sqlite(&mut from, &mut to, table).await?;
            }
            to.commit().await?;
            copy.close().await;
            Ok(())
        }
    }
}

/// Fills an empty PostgreSQL database with what is in a SQLite file that [`copy_to`] made. All of it is there or nothing.
pub(super) async fn fill(database: &Database, path: &Path) -> Result<(), StoreError> {
    if !is_vacant(database).await? {
        return Err(StoreError::AlreadyCreated { place: schema::place(database) });
    }
    let copy = Db::connect(&Database::Sqlite(path.to_owned())).await?;
    schema::migrate(&copy).await?;
    let db = Db::connect(database).await?;
    schema::migrate(&db).await?;
    let (Pools::Sqlite { writer, .. }, Pools::Postgres { writer: into, .. }) = (&copy.pools, &db.pools) else {
        return Err(super::db::over());
    };
    let mut from = writer.begin().await?;
    let mut to = into.begin().await?;
    let tables = tables(&mut from).await?;
    for table in tables.iter().rev() {
        sqlx::query(AssertSqlSafe(table.delete())).execute(&mut *to).await?;
    }
    for table in &tables {
        to_postgres(&mut from, &mut to, table).await?;
    }
    to.commit().await?;
    drop(from);
    copy.close().await;
    db.close().await;
    Ok(())
}

/// Whether a database can be filled: there is no file, or no gateway's tables, or those of a filling that was broken off.
pub(super) async fn is_vacant(database: &Database) -> Result<bool, StoreError> {
    if let Database::Sqlite(path) = database {
        return Ok(!path.exists());
    }
    let db = Db::connect(database).await?;
    let Pools::Postgres { writer, .. } = &db.pools else { return Err(super::db::over()) };
    let there: Option<String> = sqlx::query_scalar("SELECT to_regclass('meta')::text").fetch_one(writer).await?;
    let vacant =
        there.is_none() || sqlx::query("SELECT name FROM meta LIMIT 1").fetch_optional(writer).await?.is_none();
    db.close().await;
    Ok(vacant)
}

/// A table as both databases have it.
struct Table {
    name: String,
    columns: Vec<(String, Type)>,
}

#[derive(Clone, Copy)]
enum Type {
    Text,
    Integer,
    Bytes,
}

impl Table {
    fn select(&self) -> String {
        let columns: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        format!("SELECT {} FROM {}", columns.join(", "), self.name)
    }

    fn insert(&self) -> String {
        let columns: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        let places: Vec<String> = (1..=columns.len()).map(|place| format!("${place}")).collect();
        format!("INSERT INTO {} ({}) VALUES ({})", self.name, columns.join(", "), places.join(", "))
    }

    fn delete(&self) -> String {
        format!("DELETE FROM {}", self.name)
    }

    fn values(&self, row: &Row) -> Result<Vec<Arg>, StoreError> {
        let value = |(name, kind): &(String, Type)| {
            Ok(match kind {
                Type::Text => Arg::Text(row.text_or_none(name)?),
                Type::Integer => Arg::Integer(row.integer_or_none(name)?),
                Type::Bytes => Arg::Bytes(row.bytes_or_none(name)?),
            })
        };
        self.columns.iter().map(value).collect()
    }
}

/// The tables of the schema, those first that others refer to: a table is made after what it refers to.
async fn tables(connection: &mut SqliteConnection) -> Result<Vec<Table>, StoreError> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> '_sqlx_migrations' \
         ORDER BY rowid",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut tables = Vec::new();
    for name in names {
        let found = sqlx::query("SELECT name, type FROM pragma_table_info($1) ORDER BY cid")
            .bind(&name)
            .fetch_all(&mut *connection)
            .await?;
        let mut columns = Vec::new();
        for column in found {
            let declared: String = column.try_get("type")?;
            let kind = match declared.as_str() {
                "TEXT" => Type::Text,
                "BIGINT" => Type::Integer,
                "BLOB" => Type::Bytes,
                _ => return Err(StoreError::invalid("table", &name, format!("a column is {declared}"))),
            };
            columns.push((column.try_get("name")?, kind));
        }
        tables.push(Table { name, columns });
    }
    Ok(tables)
}

/// A row at a time, whatever the table holds.
macro_rules! rows_from {
    ($name:ident: $from:ty as $row:ident => $to:ty, $bind:ident) => {
        async fn $name(from: &mut $from, to: &mut $to, table: &Table) -> Result<(), StoreError> {
            let mut rows = sqlx::query(AssertSqlSafe(table.select())).fetch(&mut *from);
            let insert = AssertSqlSafe(table.insert()).into_sql_str();
            while let Some(row) = rows.try_next().await? {
                $bind(insert.clone(), table.values(&Row::$row(row))?).execute(&mut *to).await?;
            }
            Ok(())
        }
    };
}
rows_from!(to_sqlite: PgConnection as Postgres => SqliteConnection, bind_sqlite);
rows_from!(to_postgres: SqliteConnection as Sqlite => PgConnection, bind_postgres);
