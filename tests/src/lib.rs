//! The stage for the tests from outside: the built binary, and real peers around it.
//!
//! Nothing of Sekimori is linked here. [`Gateway`] starts `sekimori demo` and types its commands; [`Sshd`] is OpenSSH
//! as equipment; [`Workstation`] is the vendor's OpenSSH client; [`Codes`] is `oathtool`; [`Postgres`] is a server of
//! its own. [`Hospital`] puts them together. Every wait is bounded, and everything started here ends with its value.

mod asyncssh;
mod browser;
mod bundle;
mod chromium;
mod clock;
mod codes;
mod faketime;
mod footprint;
mod gateway;
mod hand;
mod hospital;
mod link;
mod load;
mod mail;
mod peers;
mod player;
mod postgres;
mod process;
mod sealed_log;
mod sessions;
mod shared;
mod sshd;
mod store;
mod telnetd;
mod terminal;
mod transcript;
mod wire;
mod workstation;

pub use browser::{Browser, Page};
pub use bundle::Bundle;
pub use chromium::{Enrolled, Look, Passkeys, busy, enrol_in_a_browser, look_at_the_console, passkeys_in_a_browser};
pub use clock::Clock;
pub use codes::Codes;
pub use faketime::faketime;
pub use footprint::Footprint;
pub use gateway::{ConsoleDoor, Demo, DemoDevice, DemoPerson, Gateway, SshDoor, Surroundings, sekimori};
pub use hand::{Hand, Tab};
pub use hospital::{DEVICE, Database, ENGINEER, Engineer, Hospital, VENDOR, Window, at};
pub use link::Link;
pub use load::{Figures, Load};
pub use mail::{MAIL_FROM, MAIL_PASSWORD, Mail, MailServer, MailWay};
pub use peers::{
    Echo, Silent, await_disconnection, await_standstill, connect_from, connected, connections_to, current_user,
    free_port, pattern_file, sha256, sha256_of_output,
};
pub use player::{Played, Size, play};
pub use postgres::Postgres;
pub use process::{Input, Output, Running, run};
pub use sealed_log::SealedLog;
pub use sessions::Session;
pub use shared::Shared;
pub use sshd::{Sshd, keygen};
pub use store::Store;
pub use telnetd::Telnetd;
pub use terminal::Terminal;
pub use transcript::Transcript;
pub use wire::Wire;
pub use workstation::{Proof, Workstation};

use std::time::Duration;

/// How long anything here may take before it counts as hanging: generous, since two cores may be shared by many tests.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Makes two tests of each function that takes a [`Database`]: one on SQLite, one on PostgreSQL.
#[macro_export]
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[test]
            fn $name() -> anyhow::Result<()> {
                super::$name(sekimori_tests::Database::Sqlite)
            })+
        }
        mod on_postgresql {
            $(#[test]
            fn $name() -> anyhow::Result<()> {
                super::$name(sekimori_tests::Database::Postgres)
            })+
        }
    };
}
