//! Argon2id in memory that is used again and again.
//!
//! A hash takes 19 MiB. An allocator that gets such a piece back expects that more will be wanted, and leaves it with
//! whichever thread had it last: after some sign-ins each of a dozen threads would keep one. What stays in this memory
//! is no nearer to a password than its hash is.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::password_hash::{CustomizedPasswordHasher, Error};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

/// The memory of one hash at a time.
#[derive(Default)]
pub(super) struct Memory {
    blocks: RefCell<Vec<Block>>,
    /// How many blocks were filled, each pass counted: what an answer cost, which no other work on the machine changes.
    #[cfg(test)]
    filled: std::cell::Cell<usize>,
}

/// What is not in use now.
#[derive(Default)]
pub(super) struct Memories(Mutex<Vec<Memory>>);

impl Memories {
    /// Lends one for as long as some work takes: as many are made as are in use at once.
    pub(super) fn lend<T>(&self, work: impl FnOnce(&Memory) -> T) -> T {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let memory = free.unwrap_or_default();
        let done = work(&memory);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
        done
    }

    /// What all hashes so far cost together.
    #[cfg(test)]
    pub(super) fn filled(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|memory| memory.filled.get()).sum()
    }
}

/// What [`PasswordHash`] wants of an algorithm, as the crate's own implementation does it but for the memory.
impl CustomizedPasswordHasher<PasswordHash> for Memory {
    type Params = Params;

    fn hash_password_customized(
        &self,
        password: &[u8],
        salt: &[u8],
        algorithm: Option<&str>,
        version: Option<u32>,
        params: Params,
    ) -> Result<PasswordHash, Error> {
        let algorithm = algorithm.map(Algorithm::try_from).transpose()?.unwrap_or_default();
        let version = version.map(Version::try_from).transpose()?.unwrap_or_default();
        let salt = Salt::new(salt)?;
        let mut buffer = [0_u8; Output::MAX_LENGTH];
        let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let output = buffer.get_mut(..length).ok_or(Error::OutputSize)?;
        let mut blocks = self.blocks.try_borrow_mut().map_err(|_| Error::Crypto)?;
        if blocks.len() < params.block_count() {
            blocks.resize(params.block_count(), Block::new());
        }
        #[cfg(test)]
        self.filled.set(self.filled.get() + params.block_count() * params.t_cost() as usize);
        let argon2 = Argon2::new(algorithm, version, params.clone());
        argon2.hash_password_into_with_memory(password, &salt, output, blocks.as_mut_slice())?;
        Ok(PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: ParamsString::try_from(&params)?,
            salt: Some(salt),
            hash: Some(Output::new(output)?),
        })
    }
}
