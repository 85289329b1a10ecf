//! `sekimori person invite`: the link that lets a person enrol in the browser.

use super::known;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output;
use crate::people::invitation::{self, InvitationError, Qr, Sheet, in_japanese};
use crate::people::totp::qr_in_terminal;
use askama::Template;
use sekimori_audit::event::{Actor, Kind};
use sekimori_policy::authority::Act;
use sekimori_policy::facts::Person;
use sekimori_policy::id::PersonId;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Makes an invitation and prints it, this once.
pub async fn invite(id: &PersonId, page: Option<&Path>, mailed: bool, context: &Context) -> Result<(), CliError> {
    let (_, actor) = context.authority(Act::ManagePeople).await?;
    let person = known(id, context).await?;
    let console = context.config.console.url().ok_or_else(|| {
        CliError::Usage("people enrol in the console, and there is none: set console.listen, and console.names".into())
    })?;
    if mailed {
        return by_mail(&person, &console, &actor, context).await;
    }
    if let Some(path) = page.filter(|path| path.exists()) {
        return Err(CliError::Usage(format!("{} exists already: name a file that does not", path.display())));
    }
    let event = context.event(Kind::InvitationMade, &actor, Value::Null);
    let made = invitation::make(context.store().await?, &person, &console, false, event).await?;
    let expires = made.expires.with_timezone(&context.zone()).format("%Y-%m-%d %H:%M %Z").to_string();
    if let Some(path) = page {
        let sheet = Sheet {
            ja: in_japanese(&person),
            hospital: &context.config.hospital.name,
            id: id.as_str(),
            name: &person.name,
            link: &made.link,
            qr: &Qr::of(&made.link)?,
            expires: &expires,
        };
        let text = sheet.render().map_err(|fault| CliError::Failed(fault.to_string()))?;
        // Nobody else on this machine is to enrol with it.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|fault| CliError::Failed(format!("cannot write {}: {fault}", path.display())))?;
    }
    let qr = qr_in_terminal(&made.link)?;
    let value = json!({ "id": id, "link": *made.link, "expires": made.expires });
    output::one(context, &value, || {
        format!(
            "{}\n{}\n\n{id} enrols with this link until {expires}, once. It is shown only now; an earlier one has ended.",
            qr.as_str(),
            made.link.as_str()
        )
    })
}

/// Makes an invitation that is mailed to the person, and shown to nobody.
async fn by_mail(person: &Person, console: &str, actor: &Actor, context: &Context) -> Result<(), CliError> {
    let id = &person.id;
    if !context.config.mail.is_on() {
        return Err(CliError::Usage("no mail server is configured: set mail.server and mail.from".into()));
    }
    let address = person.mail.as_ref().ok_or_else(|| {
        CliError::Usage(format!("{id} has no mail address: sekimori person change {id} --mail ADDRESS"))
    })?;
    let event = context.event(Kind::InvitationMade, actor, Value::Null);
    let made = invitation::make(context.store().await?, person, console, true, event).await?;
    let expires = made.expires.with_timezone(&context.zone()).format("%Y-%m-%d %H:%M %Z").to_string();
    output::one(context, &json!({ "id": id, "mailed": address, "expires": made.expires }), || {
        format!(
            "the link goes to {address} as soon as the gateway serves: {id} enrols with it until {expires}, once. An \
             earlier one has ended. `sekimori mail list` says what became of it."
        )
    })
}

impl From<InvitationError> for CliError {
    fn from(fault: InvitationError) -> Self {
        match fault {
            InvitationError::Store(fault) => fault.into(),
            InvitationError::People(fault) => fault.into(),
        }
    }
}
