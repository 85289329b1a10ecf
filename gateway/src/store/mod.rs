//! Everything the gateway knows, on disk: people, equipment, work, sessions and the events that tell of each change.
//!
//! Architectural invariant: no change without its event. A [`change::Change`] can only be committed with one, and both
//! commit together. Exceptions: a spent one-time code, and how far a passkey has counted, are told of by the sign-in's own
//! event (`factors`, `passkeys`); challenges of passkeys, and when a sign-in of the console was last used, are told of by
//! nobody (`console_sign_ins`), nor is it that a mail was tried (`mails`).
//!
//! Nothing here decides: `sekimori_policy` does, from the [`Facts`](sekimori_policy::facts::Facts) read here.

mod attending;
mod change;
mod console_sign_ins;
mod copying;
mod credentials;
mod db;
mod devices;
mod dialect;
mod error;
mod events;
mod evidence;
mod factors;
mod facts;
mod home;
mod invitations;
mod keeping;
mod ledger;
mod listings;
mod locks;
mod mails;
mod overdue;
mod pages;
mod passkeys;
mod persons;
mod records;
mod recovery;
mod schema;
mod sessions;
mod sign_ins;
mod turns;
mod vendors;
mod works;

#[cfg(test)]
mod tests;

pub use attending::Pause;
pub use console_sign_ins::ConsoleSignIn;
pub use credentials::Credential;
pub use db::distant_and_unverified;
pub use devices::DeviceRecord;
pub use dialect::{Dialect, Legacy, Prompts, Protocol};
pub use error::StoreError;
pub use events::Unsealed;
pub use evidence::{Evidence, NewEvidence};
pub use invitations::{Ending, Enrolling, Invitation};
pub use keeping::{Hold, KeptRow, Purge};
pub use locks::LockRecord;
pub use mails::{Mail, Outcome, What};
pub use pages::SessionPage;
pub use passkeys::{Challenge, Passkey, stands_on};
pub use records::ChannelRecord;
pub use recovery::RecoveryCode;
pub use sessions::{Closing, Counts, Cutting, Opening, SessionFilter, SessionRow};
pub use sign_ins::SignIn;

use crate::config::Database;
use change::{Change, Read};
use db::Db;
use facts::AllowedSources;
use sekimori_audit::event::Event;
use sekimori_certs::secret::MasterKey;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use zeroize::Zeroizing;

/// The store. Clones share one set of connections.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    key: MasterKey,
    /// Who is let in at all, as of one event; see `facts`.
    allowed: Mutex<Option<AllowedSources>>,
    /// Whether mail is written at all; see `mails`.
    mails: AtomicBool,
}

impl Store {
    /// Opens a database that [`Store::create`] made, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::NotCreated`], [`StoreError::Newer`] (nothing was touched), [`StoreError::WrongKey`], or the
    /// database's own failure.
    pub async fn open(database: &Database, key: MasterKey) -> Result<Self, StoreError> {
        let db = Db::connect(database).await?;
        schema::bring_up(&db, database).await?;
        let store = Self::around(db, key);
        schema::check_key(&store).await?;
        Ok(store)
    }

    /// Opens a database to read its events, without the master key: what is sealed in it stays sealed.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_without_key(database: &Database) -> Result<Self, StoreError> {
        let what = || "the database without its key".to_owned();
        let key = MasterKey::nobodys().map_err(|source| StoreError::Sealed { what: what(), source })?;
        let db = Db::connect(database).await?;
        schema::bring_up(&db, database).await?;
        Ok(Self::around(db, key))
    }

    /// Copies the database, as it is at this moment, into an empty SQLite file, whichever database it is.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        copying::copy_to(&self.inner.db, path).await
    }

    /// Fills an empty PostgreSQL database with a copy that [`Store::copy_to`] made. After a failure it is empty still.
    ///
    /// # Errors
    /// [`StoreError::AlreadyCreated`] if there is a gateway's; the database's own failure.
    pub async fn fill(database: &Database, copy: &Path) -> Result<(), StoreError> {
        copying::fill(database, copy).await
    }

    /// Whether no gateway's database is where this one would be.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn is_vacant(database: &Database) -> Result<bool, StoreError> {
        copying::is_vacant(database).await
    }

    /// Makes the database (a SQLite file with mode 0600; the PostgreSQL database must exist and be empty), remembers
    /// the master key's fingerprint and writes the first event.
    ///
    /// # Errors
    /// [`StoreError::AlreadyCreated`] if there is one; nothing is overwritten. After a failure nothing is left.
    pub async fn create(database: &Database, key: MasterKey, event: Event) -> Result<Self, StoreError> {
        let made = schema::make_file(database)?;
        let created = Self::create_in(database, key, event).await;
        if let (Err(_), Some(path)) = (&created, made) {
            schema::remove_file(path);
        }
        created
    }

    async fn create_in(database: &Database, key: MasterKey, event: Event) -> Result<Self, StoreError> {
        let db = Db::connect(database).await?;
        schema::lay_down(&db, database).await?;
        let store = Self::around(db, key);
        schema::remember_key(&store, database, &event).await?;
        Ok(store)
    }

    /// Lets go of every connection; open transactions are undone.
    pub async fn close(&self) {
        self.inner.db.close().await;
    }

    fn around(db: Db, key: MasterKey) -> Self {
        Self { inner: Arc::new(Inner { db, key, allowed: Mutex::new(None), mails: AtomicBool::new(false) }) }
    }

    /// Seals a secret to its place, which `what` names.
    fn sealed(&self, what: String, secret: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.inner.key.seal(&what, secret).map_err(|source| StoreError::Sealed { what, source })
    }

    /// Opens what was sealed to this place.
    fn unsealed(&self, what: String, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        self.inner.key.open(&what, sealed).map_err(|source| StoreError::Sealed { what, source })
    }

    async fn read(&self) -> Result<Read, StoreError> {
        Ok(Read::new(self.inner.db.read().await?))
    }

    async fn change(&self) -> Result<Change, StoreError> {
        Ok(Change::new(self.inner.db.write().await?))
    }
}
