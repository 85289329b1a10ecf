//! What the device ledger's observed columns are folded from.

use super::error::StoreError;
use super::sessions::{SessionFilter, SessionRow};
use super::{Store, locks, sessions, works};
use sekimori_audit::ledger::SessionFact;
use sekimori_policy::facts::{Attestation, Period};
use sekimori_policy::id::{PersonId, WorkId};
use sekimori_policy::work::Work;
use std::collections::BTreeMap;

impl Store {
    /// Every session there ever was, live ones too, newest first, as the ledger counts them; read in one state.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn session_facts(&self) -> Result<Vec<SessionFact>, StoreError> {
        let mut read = self.read().await?;
        let rows = sessions::list(&mut read, &SessionFilter::default()).await?;
        let works: BTreeMap<WorkId, Work> =
            works::all(&mut read).await?.into_iter().map(|work| (work.id().clone(), work)).collect();
        let mut attested: BTreeMap<PersonId, Vec<Attestation>> = BTreeMap::new();
        for row in &rows {
            let person = &row.opening.person;
            if !attested.contains_key(person) {
                attested.insert(person.clone(), locks::attestations_of(&mut read, person).await?);
            }
        }
        let fact = |row: SessionRow| {
            let work = works.get(&row.opening.work);
            let attestations = attested.get(&row.opening.person).map_or(&[][..], Vec::as_slice);
            session_fact(row, work, attestations)
        };
        Ok(rows.into_iter().map(fact).collect())
    }
}

fn session_fact(row: SessionRow, work: Option<&Work>, attestations: &[Attestation]) -> SessionFact {
    let opening = row.opening;
    let round = work.and_then(|work| work.rounds().iter().find(|round| round.occurrence().contains(opening.opened)));
    let attestation = attestations
        .iter()
        .filter(|attestation| attestation.patched && attestation.scanned)
        .map(|attestation| Period { from: attestation.made_at, until: attestation.expires_at })
        .filter(|period| period.contains(opening.opened))
        .max_by_key(|period| period.until);
    SessionFact {
        device: opening.device,
        person: opening.person,
        vendor: Some(opening.vendor),
        account: opening.account,
        shared: opening.shared,
        source: opening.source.address(),
        opened: opening.opened,
        closed: row.closing.map(|closing| closing.at),
        factors: opening.methods,
        work: opening.work,
        reviewed: round.is_some_and(|round| round.review().is_some()),
        attestation,
    }
}
