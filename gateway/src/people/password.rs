//! Passwords: which are taken, how they are hashed, and how a guess is answered.
//!
//! NIST SP 800-63B §5.1.1.2: length and a list of common ones instead of rules of composition. Hashes are argon2id as
//! PHC strings (RFC 9106; parameters of the OWASP Password Storage Cheat Sheet).

use super::PeopleError;
use super::common;
use super::memory::{Memories, Memory};
use argon2::Params;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{CustomizedPasswordHasher, PasswordVerifier};
use sekimori_policy::facts::Language;
use sekimori_policy::id::{PersonId, VendorId};
use std::sync::Arc;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// The least number of characters (Unicode code points).
pub const MIN_CHARACTERS: usize = 13;
/// The most bytes.
pub const MAX_BYTES: usize = 1024;
/// Memory of one hash in KiB: 19 MiB.
const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over that memory.
const PASSES: u32 = 2;
/// A name shorter than this may stand in a password: `a` stands in most.
const NAME_CHARACTERS: usize = 3;

/// Why a password is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordFault {
    /// Too few characters.
    #[error("it has {found} characters; use at least {MIN_CHARACTERS}, such as four or five unrelated words")]
    TooShort {
        /// How many it has.
        found: usize,
    },
    /// Too many bytes.
    #[error("it is longer than {MAX_BYTES} bytes; use a shorter one")]
    TooLong,
    /// It is made of what everybody tries first.
    #[error("it is made of common passwords, rows of keys, sequences or repetition; use unrelated words instead")]
    Common,
    /// It holds a name that a guesser knows.
    #[error("it contains {name}, which others know; leave that name out")]
    Name {
        /// The name.
        name: String,
    },
}

impl PasswordFault {
    /// The fault and its remedy, for the person who chose the password.
    #[must_use]
    pub fn sentence(&self, language: Language) -> String {
        match (language, self) {
            (Language::En, fault) => fault.to_string(),
            (Language::Ja, Self::TooShort { found }) => {
                format!(
                    "{found}文字しかありません。{MIN_CHARACTERS}文字以上（関連のない単語を4〜5個並べるなど）にしてください"
                )
            }
            (Language::Ja, Self::TooLong) => format!("{MAX_BYTES}バイトを超えています。短くしてください"),
            (Language::Ja, Self::Common) => {
                "よく使われる語、キーの並び、連番、繰り返しでできています。関連のない単語を組み合わせてください"
                    .to_owned()
            }
            (Language::Ja, Self::Name { name }) => {
                format!("他人に知られている名前「{name}」が含まれています。含めないでください")
            }
        }
    }
}

/// Which passwords this hospital takes.
#[derive(Debug, Clone)]
pub struct PasswordPolicy {
    hospital: String,
}

impl PasswordPolicy {
    /// The policy of the hospital of this name.
    #[must_use]
    pub fn new(hospital: &str) -> Self {
        Self { hospital: hospital.to_owned() }
    }

    /// Whether a person may use a password.
    ///
    /// # Errors
    /// [`PasswordFault`] names the fault and the remedy.
    pub fn check(&self, password: &str, person: &PersonId, vendor: Option<&VendorId>) -> Result<(), PasswordFault> {
        if password.len() > MAX_BYTES {
            return Err(PasswordFault::TooLong);
        }
        let found = password.chars().count();
        if found < MIN_CHARACTERS {
            return Err(PasswordFault::TooShort { found });
        }
        let folded = Zeroizing::new(common::fold(password));
        let names = [Some(person.as_str()), vendor.map(VendorId::as_str), Some(self.hospital.as_str())];
        for name in names.into_iter().flatten() {
            let known = common::fold(name);
            if known.chars().count() >= NAME_CHARACTERS && folded.contains(&known) {
                return Err(PasswordFault::Name { name: name.to_owned() });
            }
        }
        if common::is_common(&folded) { Err(PasswordFault::Common) } else { Ok(()) }
    }
}

/// What a guess proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a guess that nobody looks at proves nothing"]
pub enum Verdict {
    /// The password is the person's.
    Proved,
    /// It is not, or there is none.
    Refused,
}

/// Hashes and verifies, a bounded number at a time and never on a runtime thread. Clones share the bound.
#[derive(Clone)]
pub struct Passwords {
    slots: Arc<Semaphore>,
    memories: Arc<Memories>,
    /// The hash of a password that nobody knows, for persons who have none.
    decoy: Arc<str>,
}

impl Passwords {
    /// At most `at_once` hashes are computed at a time, of 19 MiB each.
    ///
    /// # Errors
    /// [`PeopleError::System`] without randomness or memory.
    pub fn new(at_once: usize) -> Result<Self, PeopleError> {
        let mut nobody_knows = Zeroizing::new([0_u8; 32]);
        aws_lc_rs::rand::fill(nobody_knows.as_mut_slice()).map_err(|_| PeopleError::System("give randomness"))?;
        let memories = Arc::<Memories>::default();
        let decoy = memories.lend(|memory| hash_now(nobody_knows.as_slice(), memory))?;
        Ok(Self { slots: Arc::new(Semaphore::new(at_once.max(1))), memories, decoy: decoy.into() })
    }

    /// The PHC string of a password that [`PasswordPolicy::check`] has taken.
    ///
    /// # Errors
    /// [`PeopleError::System`] without randomness or memory.
    pub async fn hash(&self, password: Zeroizing<String>) -> Result<String, PeopleError> {
        self.in_a_slot(move |memory| hash_now(password.as_bytes(), memory)).await
    }

    /// Looks at a guess. Without a hash (an unknown person, or one without a password) it takes the same time, against
    /// a hash that nothing fits.
    ///
    /// # Errors
    /// [`PeopleError::DamagedHash`] after the same time, [`PeopleError::System`].
    pub async fn verify(&self, guess: Zeroizing<String>, hash: Option<String>) -> Result<Verdict, PeopleError> {
        let decoy = Arc::clone(&self.decoy);
        self.in_a_slot(move |memory| {
            let hash = hash.filter(|_| guess.len() <= MAX_BYTES);
            let Some(hash) = hash else { return verify_now("", &decoy, memory).map(|_| Verdict::Refused) };
            match verify_now(&guess, &hash, memory) {
                Err(PeopleError::DamagedHash) => {
                    let _ = verify_now("", &decoy, memory)?;
                    Err(PeopleError::DamagedHash)
                }
                verdict => verdict,
            }
        })
        .await
    }

    /// The slot is given back when the work is done, not when its caller loses interest: the memory is in use until then.
    async fn in_a_slot<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Memory) -> Result<T, PeopleError> + Send + 'static,
    ) -> Result<T, PeopleError> {
        const STOPPED: PeopleError = PeopleError::System("compute a password hash");
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| STOPPED)?;
        let memories = Arc::clone(&self.memories);
        let job = move || {
            let answer = memories.lend(work);
            drop(slot);
            answer
        };
        tokio::task::spawn_blocking(job).await.map_err(|_| STOPPED)?
    }
}

/// Argon2id, version 1.3: the algorithm and version that are taken where none is named.
fn hash_now(password: &[u8], memory: &Memory) -> Result<String, PeopleError> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|_| PeopleError::System("set up argon2id"))?;
    let mut salt = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| PeopleError::System("give randomness"))?;
    let hash = memory.hash_password_with_params(password, &salt, params);
    Ok(hash.map_err(|_| PeopleError::System("compute a password hash"))?.to_string())
}

fn verify_now(guess: &str, hash: &str, memory: &Memory) -> Result<Verdict, PeopleError> {
    let hash = PasswordHash::new(hash).map_err(|_| PeopleError::DamagedHash)?;
    match memory.verify_password(guess.as_bytes(), &hash) {
        Ok(()) => Ok(Verdict::Proved),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(Verdict::Refused),
        Err(_) => Err(PeopleError::DamagedHash),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn check(password: &str) -> Result<(), PasswordFault> {
        let vendor: VendorId = "acme".parse().unwrap();
        PasswordPolicy::new("関守病院").check(password, &"eng1".parse().unwrap(), Some(&vendor))
    }

    #[test]
    fn thirteen_characters_of_any_script_are_enough() {
        assert_eq!(check("tuba-velvet-9"), Ok(()));
        assert_eq!(check("tuba-velvet-"), Err(PasswordFault::TooShort { found: 12 }));
        assert_eq!(check("青い鯨が窓辺で傘を干している"), Ok(()));
        assert_eq!(check("青い鯨が窓辺で傘を"), Err(PasswordFault::TooShort { found: 9 }));
        assert_eq!(check(&"é".repeat(513)), Err(PasswordFault::TooLong));
    }

    #[test]
    fn known_names_are_refused_however_they_are_written() {
        for (password, name) in [
            ("tuba-ENG1-velvet-kelp", "eng1"),
            ("tuba-ｅｎｇ１-velvet-kelp", "eng1"),
            ("velvet-Acme-kelp-tuba", "acme"),
            ("窓辺の関守病院で傘を干す鯨", "関守病院"),
        ] {
            assert_eq!(check(password), Err(PasswordFault::Name { name: name.to_owned() }), "{password}");
        }
    }

    #[test]
    fn faults_are_told_in_both_languages() {
        let fault = check("short").unwrap_err();
        assert!(fault.sentence(Language::Ja).contains("5文字"), "{fault:?}");
        assert!(fault.sentence(Language::En).contains("5 characters"), "{fault:?}");
    }

    #[tokio::test]
    async fn a_hash_fits_its_password_alone() {
        let passwords = Passwords::new(2).unwrap();
        let hash = passwords.hash(Zeroizing::new("tuba-velvet-kelp".into())).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let guess = |text: &str| passwords.verify(Zeroizing::new(text.to_owned()), Some(hash.clone()));
        assert_eq!(guess("tuba-velvet-kelp").await.unwrap(), Verdict::Proved);
        assert_eq!(guess("tuba-velvet-kelq").await.unwrap(), Verdict::Refused);
        assert_eq!(guess(&"x".repeat(MAX_BYTES + 1)).await.unwrap(), Verdict::Refused);
        let damaged = passwords.verify(Zeroizing::new("x".into()), Some("$argon2id$nonsense".into())).await;
        assert!(matches!(damaged, Err(PeopleError::DamagedHash)));
    }

    #[tokio::test]
    async fn an_unknown_person_costs_what_a_wrong_password_costs() {
        let passwords = Passwords::new(1).unwrap();
        let hash = passwords.hash(Zeroizing::new("tuba-velvet-kelp".into())).await.unwrap();
        let mut costs = Vec::new();
        for hash in [Some(hash), None] {
            let before = passwords.memories.filled();
            let verdict = passwords.verify(Zeroizing::new("wrong-wrong-wrong".into()), hash).await.unwrap();
            assert_eq!(verdict, Verdict::Refused);
            costs.push(passwords.memories.filled() - before);
        }
        assert_eq!(costs, [(MEMORY_KIB * PASSES) as usize; 2]);
    }
}
