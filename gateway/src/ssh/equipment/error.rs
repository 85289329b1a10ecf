//! Why a device was not reached: in detail for the hospital, in a sentence for the person.

use crate::ssh::texts;
use crate::store::{Legacy, StoreError};
use sekimori_policy::facts::Language;
use std::collections::BTreeSet;

/// Why a device was not reached. The person is told in words; the hospital reads the detail in the event.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No TCP connection, or none in time.
    #[error("{device} at {address} cannot be reached: {cause}")]
    Unreachable {
        /// The device.
        device: String,
        /// Host and port.
        address: String,
        /// What the system said.
        cause: String,
    },
    /// It accepted and then said nothing in time.
    #[error("{device} at {address} accepted the connection and did not answer in time")]
    Silent {
        /// The device.
        device: String,
        /// Host and port.
        address: String,
    },
    /// The SSH protocol failed.
    #[error("{device} does not speak usable SSH: {cause}")]
    Protocol {
        /// The device.
        device: String,
        /// What russh said.
        cause: String,
    },
    /// The hospital has pinned no host key yet.
    #[error("no host key of {device} is pinned: run `sekimori device scan-keys {device}`, compare, and `device pin`")]
    NotPinned {
        /// The device.
        device: String,
    },
    /// It presented another key than the pinned ones.
    #[error(
        "{device} presented the host key {presented}, which is not pinned: the device was replaced, or somebody stands between"
    )]
    HostKeyChanged {
        /// The device.
        device: String,
        /// The fingerprint that was presented.
        presented: String,
    },
    /// It knows nothing but outdated algorithms that the hospital has not allowed towards it.
    #[error(
        "{device} offers only what is outdated ({offered}); if the hospital takes the risk until it is renewed: `{command}`"
    )]
    Outdated {
        /// The device.
        device: String,
        /// What it offers.
        offered: String,
        /// What would allow it.
        command: String,
    },
    /// No credential is stored for the account.
    #[error("no credential of {account} on {device} is stored: run `sekimori device credential {device} {account}`")]
    NoCredential {
        /// The device.
        device: String,
        /// The account.
        account: String,
    },
    /// The device refused the stored credential.
    #[error("{device} refused the stored credential of {account}{hint}")]
    CredentialRefused {
        /// The device.
        device: String,
        /// The account.
        account: String,
        /// What was not tried, and what would allow it; empty if everything was.
        hint: String,
    },
    /// What is stored is no password, and it speaks telnet.
    #[error(
        "{device} speaks telnet and takes a password only: run `sekimori device credential {device} {account} --password`"
    )]
    NoPassword {
        /// The device.
        device: String,
        /// The account.
        account: String,
    },
    /// It speaks telnet, and what it asks with is not among its prompts.
    #[error(
        "{device} asked for nothing that was recognised: tell how its prompts end with `sekimori device change {device} --login-prompt … --password-prompt …`"
    )]
    NoPrompt {
        /// The device.
        device: String,
    },
    /// It speaks telnet, and something else than a terminal was asked for.
    #[error("{device} speaks telnet: a terminal is all there is")]
    TerminalOnly {
        /// The device.
        device: String,
    },
    /// It was taken out of the register between the decision and now.
    #[error("{device} is no longer registered")]
    Unregistered {
        /// The device.
        device: String,
    },
    /// The database did not answer, or a sealed secret did not open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key or certificate could not be made or read.
    #[error(transparent)]
    Certs(#[from] sekimori_certs::CertsError),
}

impl DialError {
    /// [`DialError::Outdated`]; `classes` are all that the device would then be allowed.
    pub fn outdated(device: &str, offered: String, classes: &BTreeSet<Legacy>) -> Self {
        Self::Outdated { device: device.to_owned(), offered, command: allowing(device, classes) }
    }

    /// What the person reads: no addresses, no credentials, and whom to ask.
    #[must_use]
    pub fn sentence(&self, language: Language) -> &'static str {
        let ja = language == Language::Ja;
        match self {
            Self::Unreachable { .. } | Self::Silent { .. } if ja => {
                "機器が応答しません。電源とネットワークを病院に確認してください。"
            }
            Self::Unreachable { .. } | Self::Silent { .. } => {
                "The device does not answer. Ask the hospital to check its power and network."
            }
            Self::HostKeyChanged { .. } | Self::NotPinned { .. } if ja => {
                "機器のホスト鍵が登録されたものと一致しません。接続しません。病院に連絡してください。"
            }
            Self::HostKeyChanged { .. } | Self::NotPinned { .. } => {
                "The device's host key is not the one that the hospital registered. Nothing was sent. Tell the hospital."
            }
            Self::Outdated { .. } if ja => {
                "機器が古い暗号方式にしか対応しておらず、病院が許可していないため、接続しません。病院に連絡してください。"
            }
            Self::Outdated { .. } => {
                "The device knows only outdated encryption, which the hospital has not allowed for it. Nothing was sent. Tell the hospital."
            }
            Self::TerminalOnly { .. } => texts::terminal_only(language),
            Self::NoCredential { .. } | Self::NoPassword { .. } | Self::CredentialRefused { .. } if ja => {
                "機器が、登録された認証情報を受け付けません。病院に連絡してください。"
            }
            Self::NoCredential { .. } | Self::NoPassword { .. } | Self::CredentialRefused { .. } => {
                "The device did not accept the credential that the hospital registered. Tell the hospital."
            }
            Self::Protocol { .. }
            | Self::NoPrompt { .. }
            | Self::Unregistered { .. }
            | Self::Store(_)
            | Self::Certs(_)
                if ja =>
            {
                "機器への接続に失敗しました。病院に連絡してください。"
            }
            Self::Protocol { .. }
            | Self::NoPrompt { .. }
            | Self::Unregistered { .. }
            | Self::Store(_)
            | Self::Certs(_) => "The connection to the device failed. Tell the hospital.",
        }
    }
}

/// The command that allows a device these classes of outdated algorithms, and no others.
pub fn allowing(device: &str, classes: &BTreeSet<Legacy>) -> String {
    let options: String = classes.iter().map(|class| format!(" --legacy {class}")).collect();
    format!("sekimori device change {device}{options}")
}
