//! What is said on the command line about how a device is spoken to; what of it goes together is the registry's to say.

use crate::store::{DeviceRecord, Legacy, Protocol};

/// How a device is spoken to.
#[derive(Debug, clap::Args)]
pub struct Speech {
    /// ssh (unless told otherwise), or telnet: without encryption, and without a proof of who answers
    #[arg(long)]
    protocol: Option<Protocol>,
    /// Outdated algorithms to allow towards this device alone: sha1, cbc, dss, group1; repeat for more, none withdraws
    #[arg(long = "legacy", value_name = "CLASS", value_parser = legacy)]
    legacy: Vec<Option<Legacy>>,
    /// What a telnet device says when it asks for the account, at a line's end; repeat for more; "" for the usual ones
    #[arg(long = "login-prompt", value_name = "TEXT")]
    login_prompts: Vec<String>,
    /// The same for the password
    #[arg(long = "password-prompt", value_name = "TEXT")]
    password_prompts: Vec<String>,
}

/// `none` stands for nothing: with it, what is allowed is what else is named.
fn legacy(text: &str) -> Result<Option<Legacy>, String> {
    if text == "none" { Ok(None) } else { text.parse().map(Some) }
}

impl Speech {
    /// Changes what was given. A device at its protocol's usual port moves to the usual port of the other.
    pub fn apply(&self, record: &mut DeviceRecord) {
        let dialect = &mut record.dialect;
        if let Some(protocol) = self.protocol {
            if record.port == dialect.protocol.port() {
                record.port = protocol.port();
            }
            dialect.protocol = protocol;
        }
        if !self.legacy.is_empty() {
            dialect.legacy = self.legacy.iter().flatten().copied().collect();
        }
        let lists = [
            (&self.login_prompts, &mut dialect.prompts.account),
            (&self.password_prompts, &mut dialect.prompts.password),
        ];
        for (given, kept) in lists {
            if !given.is_empty() {
                *kept = given.iter().filter(|prompt| !prompt.trim().is_empty()).cloned().collect();
            }
        }
    }
}
