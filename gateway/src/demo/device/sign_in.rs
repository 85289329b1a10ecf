//! Who may sign in to a device: password, public key, or a user certificate of a trusted authority.
//!
//! russh has verified the signature, the validity dates and the certificate's own consistency before it asks; whether
//! the authority is trusted, for which name, from where and on which terms is judged here.

use super::DemoAccount;
use ipnet::IpNet;
use russh::MethodKind;
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Certificate, HashAlg, PublicKey};
use std::net::IpAddr;

/// The methods that at least one account can use.
pub fn methods(accounts: &[DemoAccount]) -> Vec<MethodKind> {
    let mut methods = Vec::new();
    if accounts.iter().any(|account| account.authorized.is_some() || account.trusted_ca.is_some()) {
        methods.push(MethodKind::PublicKey);
    }
    if accounts.iter().any(|account| account.password.is_some()) {
        methods.push(MethodKind::Password);
    }
    methods
}

/// Whether `password` opens the account `name`.
pub fn password_opens(accounts: &[DemoAccount], name: &str, password: &str) -> bool {
    named(accounts, name).and_then(|account| account.password.as_ref()).is_some_and(|expected| {
        aws_lc_rs::constant_time::verify_slices_are_equal(expected.as_bytes(), password.as_bytes()).is_ok()
    })
}

/// Whether the proven `key` opens the account `name`.
pub fn key_opens(accounts: &[DemoAccount], name: &str, key: &PublicKey) -> bool {
    named(accounts, name)
        .and_then(|account| account.authorized.as_ref())
        .is_some_and(|authorized| authorized.key_data() == key.key_data())
}

/// Whether a signature with `key` can be worth making: a certificate shows only its inner key at this point.
pub fn key_may_open(accounts: &[DemoAccount], name: &str, key: &PublicKey) -> bool {
    key_opens(accounts, name, key) || named(accounts, name).is_some_and(|account| account.trusted_ca.is_some())
}

/// Whether `certificate` (PROTOCOL.certkeys of OpenSSH) opens the account `name` for a caller at `source`.
pub fn certificate_opens(accounts: &[DemoAccount], name: &str, certificate: &Certificate, source: IpAddr) -> bool {
    let Some(ca) = named(accounts, name).and_then(|account| account.trusted_ca.as_ref()) else {
        return false;
    };
    certificate.cert_type() == CertType::User
        && certificate.validate(&[ca.fingerprint(HashAlg::Sha256)]).is_ok()
        && certificate.valid_principals().iter().any(|principal| principal == name)
        && certificate.critical_options().iter().all(|(option, value)| {
            // A critical option that is not understood refuses the certificate.
            option == "source-address" && names_source(value, source)
        })
}

fn named<'a>(accounts: &'a [DemoAccount], name: &str) -> Option<&'a DemoAccount> {
    accounts.iter().find(|account| account.name == name)
}

/// Whether a comma-separated list of addresses and networks contains `source`; an entry that cannot be read matches nothing.
fn names_source(list: &str, source: IpAddr) -> bool {
    list.split(',').any(|entry| {
        entry.parse::<IpAddr>().is_ok_and(|address| address == source)
            || entry.parse::<IpNet>().is_ok_and(|network| network.contains(&source))
    })
}
