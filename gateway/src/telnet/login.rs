//! Recognises what a device asks for while the gateway logs in for a person, and keeps the password out of what is shown.

use crate::store::Prompts;

/// What a device waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The account's name.
    Account,
    /// Its password.
    Password,
}

/// Devices' own words, where the hospital names no others.
const ACCOUNT: [&str; 4] = ["login:", "username:", "user name:", "user:"];
/// Likewise.
const PASSWORD: [&str; 3] = ["password:", "passwd:", "passcode:"];

/// What stands in the place of a password that the device shows.
const UNSEEN: &[u8] = b"********";

/// What the text asks for: its last line ends with a prompt, blanks and control sequences aside, in any case of letters.
///
/// `Last login:` is told apart by what follows it, so that a caller has to wait until nothing more comes.
#[must_use]
pub fn asked(text: &[u8], prompts: &Prompts) -> Option<Asked> {
    let line = last_line(text);
    let ends = |own: &[String], usual: &[&str]| {
        if own.is_empty() {
            usual.iter().any(|prompt| line.ends_with(prompt))
        } else {
            own.iter().map(|prompt| prompt.trim().to_lowercase()).any(|prompt| line.ends_with(&prompt))
        }
    };
    if ends(&prompts.password, &PASSWORD) {
        Some(Asked::Password)
    } else if ends(&prompts.account, &ACCOUNT) {
        Some(Asked::Account)
    } else {
        None
    }
}

/// Whether anything but blanks, control sequences and an unseen password came.
#[must_use]
pub fn says_something(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n').map(last_line).any(|line| line.chars().any(|character| character != '*'))
}

/// Words of refusals, in small letters.
const REFUSALS: [&str; 8] = ["incorrect", "invalid", "denied", "failed", "failure", "bad password", "失敗", "違い"];

/// Whether the last that was said, blanks aside, is a refusal.
#[must_use]
pub fn sounds_like_a_refusal(text: &[u8]) -> bool {
    let last = text.rsplit(|byte| *byte == b'\n').map(last_line).find(|line| !line.is_empty());
    last.is_some_and(|line| REFUSALS.iter().any(|word| line.contains(word)))
}

/// The last line, in small letters, without control sequences and the blanks around it.
fn last_line(text: &[u8]) -> String {
    let line = text.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    // Only the end matters, and a device may send a line of any length.
    let line = line.get(line.len().saturating_sub(LINE)..).unwrap_or(line);
    let mut plain = String::new();
    let line = String::from_utf8_lossy(line);
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            // CSI and its parameters up to the final character (ECMA-48 section 5.4); of others the one that follows.
            '\u{1b}' => {
                if characters.next() == Some('[') {
                    characters.find(|c| matches!(c, '\u{40}'..='\u{7e}'));
                }
            }
            // What stood there before is written over.
            '\r' => {}
            other if other.is_control() => {}
            other => plain.push(other),
        }
    }
    plain.trim().to_lowercase()
}

/// Bytes of a line that are looked at.
const LINE: usize = 256;

/// The text with each occurrence of the password made unseen: some devices show what is typed.
#[must_use]
pub fn without(text: &[u8], password: &str) -> Vec<u8> {
    let secret = password.as_bytes();
    let mut shown = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        match rest.strip_prefix(secret).filter(|_| !secret.is_empty()) {
            Some(after) => {
                shown.extend(UNSEEN);
                rest = after;
            }
            None => {
                shown.push(*first);
                rest = behind;
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual(text: &str) -> Option<Asked> {
        asked(text.as_bytes(), &Prompts::default())
    }

    #[test]
    fn the_usual_prompts() {
        for text in ["vm login: ", "\r\nUser Name:", "Username: \u{1b}[0m", "Welcome\r\n\u{1b}[1;32mCT LOGIN:\u{1b}[K "]
        {
            assert_eq!(usual(text), Some(Asked::Account), "{text:?}");
        }
        for text in ["service\r\nPassword: ", "Enter PASSWORD:\u{7}", "Passwd:"] {
            assert_eq!(usual(text), Some(Asked::Password), "{text:?}");
        }
        for text in ["", "login", "login: \r\n", "Last login: Mon", "Password: \r\n$ ", "Enter login name"] {
            assert_eq!(usual(text), None, "{text:?}");
        }
        let long = [vec![b'x'; 1_000_000], b" login: ".to_vec()].concat();
        assert_eq!(asked(&long, &Prompts::default()), Some(Asked::Account));
    }

    #[test]
    fn prompts_of_the_hospitals_own() {
        let prompts = Prompts { account: vec!["利用者名：".into()], password: vec!["暗証番号 >".into()] };
        assert_eq!(asked("\r\n利用者名： ".as_bytes(), &prompts), Some(Asked::Account));
        assert_eq!(asked("暗証番号 > ".as_bytes(), &prompts), Some(Asked::Password));
        assert_eq!(asked(b"login: ", &prompts), None);
    }

    #[test]
    fn a_password_that_is_shown_is_made_unseen() {
        assert_eq!(without(b"s3cret\r\nHello s3cret, s3cre", "s3cret"), b"********\r\nHello ********, s3cre");
        assert_eq!(without(b"aaa", "aa"), b"********a");
        assert_eq!(without(b"text", ""), b"text");
    }

    #[test]
    fn blanks_say_nothing() {
        assert!(!says_something(b"\r\n \x1b[2J\x1b[H\r\n"));
        assert!(!says_something(&without(b"s3cret\r\n", "s3cret")) && !says_something(b"*****\r\n"));
        assert!(says_something(b"\r\n$ "));
    }

    #[test]
    fn refusals_are_waited_out() {
        assert!(sounds_like_a_refusal(b"\r\nLogin incorrect\r\n") && sounds_like_a_refusal(b"% Access denied\r\n\r\n"));
        assert!(!sounds_like_a_refusal(b"1 failed login since then\r\n$ ") && !sounds_like_a_refusal(b"\r\n"));
    }
}
