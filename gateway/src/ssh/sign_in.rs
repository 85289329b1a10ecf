//! `ssh person@gate sign-in < id.pub > id-cert.pub`: the factors proved once, carried for some hours.
//!
//! The certificate is bound to the person, the key and the source address; it ends with the last window that is open
//! now, and it can be revoked. Every connection with it is decided afresh.

use super::channels::{Connection, SignedIn};
use super::menu;
use super::texts;
use crate::session::Caller;
use crate::session::channel::Incoming;
use crate::session::screen::Screen;
use crate::store::{SignIn, StoreError};
use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use russh::ChannelMsg;
use russh::keys::ssh_key::{HashAlg, PublicKey};
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_certs::CertsError;
use sekimori_certs::ssh_ca::Request;
use sekimori_policy::facts::Language;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The command, as the client sends it.
pub const COMMAND: &[u8] = b"sign-in";

/// A public key line is far shorter, whatever its type.
const INPUT_LIMIT: usize = 16 << 10;

/// How long the key may take to arrive on standard input.
const INPUT_TIMEOUT: Duration = Duration::from_secs(30);

/// Why no certificate was issued.
#[derive(Debug, thiserror::Error)]
enum CarryError {
    #[error("standard input holds no OpenSSH public key")]
    Input,
    #[error("a certificate cannot carry itself on")]
    Carried,
    #[error("nothing is open")]
    NothingOpen,
    #[error("the system has no randomness to give")]
    Randomness,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Certs(#[from] CertsError),
}

impl CarryError {
    fn sentence(&self, language: Language) -> &'static str {
        let ja = language == Language::Ja;
        match self {
            Self::Input if ja => "標準入力に OpenSSH の公開鍵がありません。例: ssh … sign-in < ~/.ssh/id_ed25519.pub",
            Self::Input => "standard input holds no OpenSSH public key. Try: ssh … sign-in < ~/.ssh/id_ed25519.pub",
            Self::Carried if ja => {
                "証明書による接続では、新しい証明書を発行できません。パスワードと確認コードで接続してください。"
            }
            Self::Carried => "a certificate cannot be renewed with itself: sign in with your password and code.",
            Self::NothingOpen => menu::nothing_open(language),
            Self::Randomness | Self::Store(_) | Self::Certs(_) if ja => {
                "証明書を発行できません。病院に連絡してください。"
            }
            Self::Randomness | Self::Store(_) | Self::Certs(_) => {
                "the certificate cannot be issued. Tell the hospital."
            }
        }
    }
}

/// Reads the key from the channel, and answers with the certificate or the reason why not.
pub async fn carry(connection: &Arc<Connection>, signed_in: &SignedIn, screen: &Screen, incoming: &mut Incoming) {
    let language = signed_in.caller.language();
    let input = tokio::time::timeout(INPUT_TIMEOUT, input(incoming)).await.ok().flatten();
    let issued = match input {
        Some(input) => issue(connection, &signed_in.caller, &input).await,
        None => Err(CarryError::Input),
    };
    match issued {
        Ok(certificate) => {
            screen.answer(true).await.ok();
            screen.data(Bytes::from(format!("{certificate}\n"))).await.ok();
            screen.finish(Some(0)).await;
        }
        Err(fault) => {
            tracing::info!(person = %signed_in.caller.person.id, %fault, "no certificate was issued");
            screen.refuse(&texts::refusal(language, &[fault.sentence(language).into()])).await;
        }
    }
}

/// Everything on standard input, up to its end. `None`: too long, or the client went away.
async fn input(incoming: &mut Incoming) -> Option<Vec<u8>> {
    let mut input = Vec::new();
    loop {
        match incoming.read.wait().await? {
            ChannelMsg::Data { data } if input.len() + data.len() <= INPUT_LIMIT => input.extend_from_slice(&data),
            ChannelMsg::Data { .. } | ChannelMsg::Close => return None,
            ChannelMsg::Eof => return Some(input),
            _ => {}
        }
    }
}

async fn issue(connection: &Arc<Connection>, caller: &Caller, input: &[u8]) -> Result<String, CarryError> {
    if caller.carried {
        return Err(CarryError::Carried);
    }
    let text = std::str::from_utf8(input).map_err(|_| CarryError::Input)?;
    let public_key = PublicKey::from_openssh(text.trim()).map_err(|_| CarryError::Input)?;
    let gate = &connection.gate;
    let open = menu::open_devices(gate, caller).await?;
    let last_end = open.iter().map(|device| device.permit.until()).max().ok_or(CarryError::NothingOpen)?;
    let now = Utc::now();
    let hours = i64::try_from(gate.config().ssh.sign_in_hours).unwrap_or(12);
    let until = last_end.min(now + TimeDelta::hours(hours));
    let id = Uuid::now_v7();
    let serial = serial().ok_or(CarryError::Randomness)?;
    let fingerprint = public_key.fingerprint(HashAlg::Sha256).to_string();
    let certificate = gate.user_ca.issue(&Request {
        public_key,
        key_id: format!("{}/{id}", caller.person.id),
        principals: vec![caller.person.id.to_string()],
        source_address: caller.source.address(),
        valid_after: now,
        valid_before: until,
        serial: serial.unsigned_abs(),
    })?;
    let line = certificate.to_openssh().map_err(|_| CarryError::Input)?;
    let sign_in = SignIn {
        id,
        person: caller.person.id.clone(),
        source: caller.source,
        methods: caller.factors.methods.clone(),
        proved_at: caller.factors.proved_at,
        key_fingerprint: Some(fingerprint.clone()),
        certificate_serial: Some(serial),
        expires: Some(until),
        revoked: None,
    };
    let event = Event {
        person: Some(caller.person.id.clone()),
        vendor: caller.person.vendor.clone(),
        sign_in: Some(caller.sign_in),
        source: Some(caller.source.address()),
        detail: json!({ "carried": id, "serial": serial, "key": fingerprint, "until": until }),
        ..Event::new(now, Kind::SignInCarried, Actor::person(caller.person.id.clone()))
    };
    gate.store.open_sign_in(&sign_in, event).await?;
    Ok(line)
}

/// 63 random bits: unique in this authority, and the store refuses a second one all the same.
fn serial() -> Option<i64> {
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random).ok()?;
    Some(i64::from_be_bytes(random) & i64::MAX)
}
