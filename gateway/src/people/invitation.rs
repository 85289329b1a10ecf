//! Invitations as the hospital hands them out: a link that counts once, for three days, and the sheet to print it on.

use super::{PeopleError, token};
use crate::store::{Invitation, Store, StoreError};
use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};
use qrcode::QrCode;
use sekimori_audit::event::Event;
use sekimori_policy::facts::{Language, Person};
use serde_json::json;
use std::fmt::Write as _;
use zeroize::Zeroizing;

/// How long an invitation counts.
pub const COUNTS_FOR: TimeDelta = TimeDelta::hours(72);
/// How much that is wrong may be sent with one.
pub const MOST_ATTEMPTS: u32 = 10;
/// What the hash of a token is for.
pub const PURPOSE: &str = "invitation";

/// Why there is no invitation.
#[derive(Debug, thiserror::Error)]
pub enum InvitationError {
    /// The person, or the database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No token, or no QR code.
    #[error(transparent)]
    People(#[from] PeopleError),
}

/// An invitation that was just made. Shown once; of its link only a hash is kept.
pub struct Made {
    /// The link.
    pub link: Zeroizing<String>,
    /// When it stops counting.
    pub expires: DateTime<Utc>,
}

/// Invites a person to enrol, at the event's time; what it replaces ends. `console` is the address of the console,
/// without a path; the event is filled in. Where it is mailed, the link is for nobody else to see.
///
/// # Errors
/// The person is not active, or the database or the system fails.
pub async fn make(
    store: &Store,
    person: &Person,
    console: &str,
    mailed: bool,
    event: Event,
) -> Result<Made, InvitationError> {
    let secret = token::random()?;
    let (made, expires) = (event.at, event.at + COUNTS_FOR);
    let invitation = Invitation::new(person.id.clone(), made, expires);
    let event = Event {
        person: Some(person.id.clone()),
        vendor: person.vendor.clone(),
        detail: json!({ "invitation": invitation.id, "expires": expires, "mailed": mailed }),
        ..event
    };
    let by_mail = mailed.then_some(secret.as_str());
    store.invite(&invitation, &token::hash(PURPOSE, &secret), by_mail, event).await?;
    Ok(Made { link: Zeroizing::new(format!("{console}/join/{}", *secret)), expires })
}

/// The sheet to print, and to hand over.
#[derive(Template)]
#[template(path = "invitation_sheet.html")]
pub struct Sheet<'a> {
    /// Whether it is in Japanese.
    pub ja: bool,
    /// The hospital's name.
    pub hospital: &'a str,
    /// The person's ID.
    pub id: &'a str,
    /// The person's name.
    pub name: &'a str,
    /// The link.
    pub link: &'a str,
    /// The link as a QR code: an SVG path in modules, and how many there are to a side.
    pub qr: &'a Qr,
    /// When it stops counting, in the hospital's zone.
    pub expires: &'a str,
}

/// Whether texts for this person are in Japanese.
#[must_use]
pub fn in_japanese(person: &Person) -> bool {
    person.language == Language::Ja
}

/// A QR code to be drawn: dark modules as an SVG path, its quiet zone of four modules included.
pub struct Qr {
    /// Modules to a side.
    pub side: usize,
    /// The path.
    pub path: Zeroizing<String>,
}

impl Qr {
    /// The code of a text.
    ///
    /// # Errors
    /// [`PeopleError::Qr`] if it is too long for one.
    pub fn of(text: &str) -> Result<Self, PeopleError> {
        let code = QrCode::new(text).map_err(|fault| PeopleError::Qr(fault.to_string()))?;
        let width = code.width();
        // Reserved at once: a text that grows leaves its old content behind in freed memory.
        let mut path = Zeroizing::new(String::with_capacity(width * width * 16));
        for (at, color) in code.to_colors().into_iter().enumerate() {
            if color == qrcode::Color::Dark {
                let (x, y) = (at % width + 4, at / width + 4);
                // Writing to a text does not fail.
                let _ = write!(path, "M{x} {y}h1v1h-1z");
            }
        }
        Ok(Self { side: width + 8, path })
    }
}
