//! What stands before the `@`: `person`, `person+device` or `person+device+account`.

use sekimori_policy::id::{DeviceId, PersonId};

/// Where a connection wants to go, as its user name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserName {
    /// Who.
    pub person: PersonId,
    /// To which device; `None` gives the menu.
    pub device: Option<DeviceId>,
    /// As whom; `None` takes the device's first account.
    pub account: Option<String>,
}

/// The longest name of an account that is looked up.
const ACCOUNT_LIMIT: usize = 64;

impl UserName {
    /// Parses the text. `None` is answered like an unknown person: nothing tells the two apart.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '+');
        let person = parts.next()?.parse().ok()?;
        let device = parts.next().map(str::parse).transpose().ok()?;
        let account = match parts.next() {
            None => None,
            Some(account) if is_account(account) => Some(account.to_owned()),
            Some(_) => return None,
        };
        Some(Self { person, device, account })
    }

    /// A device and perhaps an account, as the parts were named. `None`: no account can be called that.
    #[must_use]
    pub fn within(person: &PersonId, device: &DeviceId, account: Option<&str>) -> Option<Self> {
        let account = account.map(str::to_owned);
        account.as_deref().is_none_or(is_account).then(|| Self {
            person: person.clone(),
            device: Some(device.clone()),
            account,
        })
    }
}

/// Accounts are other systems' names (`Administrator`, `svc$`): printable ASCII without `+`, and not empty.
fn is_account(text: &str) -> bool {
    !text.is_empty() && text.len() <= ACCOUNT_LIMIT && text.bytes().all(|b| b.is_ascii_graphic() && b != b'+')
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms() {
        let name = UserName::parse("eng1+ct-01+service").unwrap();
        assert_eq!((name.person.as_str(), name.account.as_deref()), ("eng1", Some("service")));
        assert_eq!(name.device.unwrap().as_str(), "ct-01");
        assert_eq!(UserName::parse("eng1+ct-01").unwrap().account, None);
        assert_eq!(UserName::parse("eng1").unwrap().device, None);
    }

    #[test]
    fn malformed_names_are_nobody() {
        for text in
            ["", "+", "eng1+", "+ct-01", "Eng1", "eng1+ct-01+", "eng1+ct-01+a+b", "eng1+ct 01", "e\u{0}", "関守"]
        {
            assert_eq!(UserName::parse(text), None, "{text:?}");
        }
    }
}
