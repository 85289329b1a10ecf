//! What can go wrong with the store, told to whoever asked. No message carries a secret.

use std::path::PathBuf;

/// Why the store did not do what was asked. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed or could not be reached.
    #[error("the database failed: {0}; see `sekimori doctor`")]
    Database(#[from] sqlx::Error),
    /// The database took the question and gave no answer. What was asked may have been done all the same.
    #[error("the database does not answer; see `sekimori doctor`")]
    Silent,
    /// The change was given up, by itself or with those that were committed together with it.
    #[error("the change was not kept: {0}; try again, and see `sekimori doctor` if that fails as well")]
    NotKept(String),
    /// A migration failed.
    #[error("the database could not be brought to this program's schema: {0}; restore a backup or report this")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The database was written by a later version.
    #[error(
        "this database was written by a newer sekimori (schema {found}, this program knows {known}): install that version or restore a backup"
    )]
    Newer {
        /// The newest schema applied to the database.
        found: i64,
        /// The newest schema of this program.
        known: i64,
    },
    /// There is no database yet.
    #[error("there is no sekimori database at {place}: make one with `sekimori init`, or correct storage.database")]
    NotCreated {
        /// The file or server, without a password.
        place: String,
    },
    /// `create` found one.
    #[error("there is a sekimori database at {place} already: use it, or name another place in storage.database")]
    AlreadyCreated {
        /// The file or server, without a password.
        place: String,
    },
    /// The database's file could not be made.
    #[error("cannot make the database {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The connection URL cannot be used.
    #[error("storage.database cannot be used: {0}")]
    Url(String),
    /// The master key is another one than the database was made with.
    #[error(
        "the master key does not fit this database (it was made with key {expected}, this one is {found}): use the right key file, or restore it from the recovery sheet"
    )]
    WrongKey {
        /// Fingerprint in the database.
        expected: String,
        /// Fingerprint of the key at hand.
        found: String,
    },
    /// A sealed secret does not open, or one cannot be sealed.
    #[error("the sealed {what} cannot be used: {source}; store it again")]
    Sealed {
        /// Whose secret.
        what: String,
        /// Why.
        source: sekimori_certs::CertsError,
    },
    /// The name is taken.
    #[error("{what} {id} exists already: choose another name, or change the one there is")]
    Exists {
        /// What it is.
        what: &'static str,
        /// Its name.
        id: String,
    },
    /// Nothing has that name.
    #[error("there is no {what} {id}: look at the list for its name")]
    Unknown {
        /// What was looked for.
        what: &'static str,
        /// The name asked for.
        id: String,
    },
    /// A beginning that several sessions share, or that is none.
    #[error("{text:?} does not name one session: give more of its id, in hexadecimal digits and dashes")]
    Ambiguous {
        /// What was typed.
        text: String,
    },
    /// Somebody else changed it since it was read.
    #[error("{what} {id} was changed by someone else meanwhile: look at it again and repeat")]
    Conflict {
        /// What it is.
        what: &'static str,
        /// Its name.
        id: String,
    },
    /// Nobody would be left who manages people.
    #[error("{person} is the last one who manages people: give somebody else the role of administrator first")]
    LastAdministrator {
        /// Who.
        person: String,
    },
    /// The values contradict each other or the house rules.
    #[error("{what} {id} cannot be kept: {why}")]
    Invalid {
        /// What it is.
        what: &'static str,
        /// Its name.
        id: String,
        /// The fault and its remedy.
        why: String,
    },
    /// A record that this program cannot read. Whoever asked is to deny.
    #[error("the record of {what} {id} cannot be read ({why}): restore a backup or report this")]
    Damaged {
        /// What it is.
        what: &'static str,
        /// Its name.
        id: String,
        /// What the reader said.
        why: String,
    },
}

impl StoreError {
    pub(super) fn exists(what: &'static str, id: impl ToString) -> Self {
        Self::Exists { what, id: id.to_string() }
    }

    pub(super) fn unknown(what: &'static str, id: impl ToString) -> Self {
        Self::Unknown { what, id: id.to_string() }
    }

    pub(super) fn conflict(what: &'static str, id: impl ToString) -> Self {
        Self::Conflict { what, id: id.to_string() }
    }

    pub(super) fn invalid(what: &'static str, id: impl ToString, why: impl ToString) -> Self {
        Self::Invalid { what, id: id.to_string(), why: why.to_string() }
    }

    pub(crate) fn damaged(what: &'static str, id: impl ToString, why: impl ToString) -> Self {
        Self::Damaged { what, id: id.to_string(), why: why.to_string() }
    }
}
