//! What a mail says, in its reader's language: plain text, short, with one link, to a page of our own that asks for a
//! sign-in. It is put into words when it is sent: what has become moot meanwhile is not sent.

mod news;

use super::words::shown;
use crate::config::Config;
use crate::store::{Ending, Mail, Store, StoreError, What};
use chrono::{DateTime, Utc};
use sekimori_policy::facts::{Language, Person, Status};
use sekimori_policy::mail::MailAddress;
use std::fmt::Write as _;
use uuid::Uuid;
use zeroize::Zeroizing;

/// The most characters of a name.
const NAME: usize = 60;

/// A mail in words.
pub struct Letter {
    /// The mail's id.
    pub id: Uuid,
    /// Where it goes.
    pub to: MailAddress,
    /// When it was written.
    pub made: DateTime<Utc>,
    /// One line, of texts of ours and IDs alone.
    pub subject: String,
    /// The text.
    pub body: Zeroizing<String>,
}

/// Why a mail is not to be sent any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moot {
    /// Its reader is switched off.
    Inactive,
    /// Its reader gets no mail any more.
    NoAddress,
    /// Its time is over.
    Expired,
    /// What it would tell is not so any more.
    Overtaken,
    /// There is no console that its link would lead to.
    NoConsole,
    /// The secret of its link does not open.
    Unreadable,
}

impl Moot {
    /// The word, as events have it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::NoAddress => "no-address",
            Self::Expired => "expired",
            Self::Overtaken => "overtaken",
            Self::NoConsole => "no-console",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A mail in words as things stand, or why there is none.
///
/// # Errors
/// The database's own failure.
pub async fn compose(
    store: &Store,
    config: &Config,
    mail: &Mail,
    now: DateTime<Utc>,
) -> Result<Result<Letter, Moot>, StoreError> {
    let Some(reader) = store.person(&mail.person).await? else { return Ok(Err(Moot::Inactive)) };
    let Some(to) = reader.mail.clone() else { return Ok(Err(Moot::NoAddress)) };
    if reader.status != Status::Active {
        return Ok(Err(Moot::Inactive));
    }
    if mail.expires <= now {
        return Ok(Err(Moot::Expired));
    }
    let ja = reader.language == Language::Ja;
    let said = match mail.what {
        What::Invitation => invitation(store, config, mail, &reader, now).await?,
        What::Work(notice) => news::news(store, config, mail, notice, &reader).await?,
    };
    Ok(said.map(|(subject, said)| {
        let (hospital, name) = (shown(&config.hospital.name, NAME), shown(&reader.name, NAME));
        let mut body = Zeroizing::new(String::with_capacity(said.len() + 2000));
        // Writing to a text does not fail.
        let _ = match ja {
            true => write!(
                body,
                "{name} 様\n\n{}\n-- \n{hospital} 関守\n自動で送っているメールです。返信しないでください。関守がメールでパスワードや確認コードを尋ねることはありません。\n",
                *said
            ),
            false => write!(
                body,
                "To {name}\n\n{}\n-- \nSekimori of {hospital}\nSent by a machine: please do not reply. Sekimori never asks for a password or a code by mail.\n",
                *said
            ),
        };
        Letter { id: mail.id, to, made: mail.made, subject: format!("[{hospital}] {subject}"), body }
    }))
}

/// The mail that shows that mail goes.
#[must_use]
pub fn trial(config: &Config, to: MailAddress) -> Letter {
    let hospital = shown(&config.hospital.name, NAME);
    let (subject, body) = match config.hospital.language {
        Language::Ja => ("試験メール", "関守からメールを送れることを確かめるための試験メールです。"),
        Language::En => ("test", "This is a test: Sekimori can send mail."),
    };
    let body = Zeroizing::new(format!("{body}\n-- \n{hospital}\n"));
    Letter { id: Uuid::now_v7(), to, made: Utc::now(), subject: format!("[{hospital}] {subject}"), body }
}

type Said = Result<(String, Zeroizing<String>), Moot>;

async fn invitation(
    store: &Store,
    config: &Config,
    mail: &Mail,
    reader: &Person,
    now: DateTime<Utc>,
) -> Result<Said, StoreError> {
    let newest = store.invitation_of(&reader.id).await?;
    let Some(invitation) = newest.filter(|newest| newest.id.to_string() == mail.about) else {
        return Ok(Err(Moot::Overtaken));
    };
    match invitation.ending(now) {
        None => {}
        Some(Ending::Expired) => return Ok(Err(Moot::Expired)),
        Some(_) => return Ok(Err(Moot::Overtaken)),
    }
    let Some(console) = config.console.url() else { return Ok(Err(Moot::NoConsole)) };
    let secret = match store.mail_secret(mail.id).await {
        Ok(secret) => secret,
        Err(StoreError::Unknown { .. } | StoreError::Sealed { .. }) => return Ok(Err(Moot::Unreadable)),
        Err(fault) => return Err(fault),
    };
    let Ok(token) = std::str::from_utf8(&secret) else { return Ok(Err(Moot::Unreadable)) };
    let (id, until) = (&reader.id, time(config, invitation.expires));
    let mut said = Zeroizing::new(String::with_capacity(2000));
    // Writing to a text does not fail.
    let _ = match reader.language {
        Language::Ja => write!(
            said,
            "機器の保守に使うゲートウェイに招待されました。病院に届け出た回線から次のリンクを開き、パスワードと認証アプリを登録してください。\n\n\
             {console}/join/{token}\n\n利用者ID: {id}\n期限: {until}（一度だけ使えます）\n\n\
             このリンクを持つ人が登録できます。転送しないでください。心当たりがない場合は、病院に知らせてください。\n"
        ),
        Language::En => write!(
            said,
            "You are invited to the gateway through which equipment is maintained. From the network that the hospital knows \
             of, open this link, and set a password and an authenticator.\n\n\
             {console}/join/{token}\n\nYour ID: {id}\nIt works until {until}, once.\n\n\
             Whoever holds the link can enrol: forward it to nobody. If you did not expect it, tell the hospital.\n"
        ),
    };
    let subject = match reader.language {
        Language::Ja => "利用者登録のご案内",
        Language::En => "your way in",
    };
    Ok(Ok((subject.to_owned(), said)))
}

fn time(config: &Config, at: DateTime<Utc>) -> String {
    at.with_timezone(&config.hospital.zone).format("%Y-%m-%d %H:%M %Z").to_string()
}
