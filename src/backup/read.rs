//! Commits on their way from one file to another: verified, and looked at for what goes with them.

use std::collections::{BTreeMap, HashSet};

use events::{AccountId, Commit, Digest, Event, Head, Position, Recorded};

use super::Error;

/// What the commits so far name.
#[derive(Debug, Default)]
pub struct Named {
    /// Who is forgotten: no key of theirs may be in a backup.
    pub forgotten: HashSet<AccountId>,
    /// The blobs, each with the first event that names it.
    pub blobs: BTreeMap<Digest, Position>,
}

impl Named {
    /// Takes in commits that come after `head`. Fails where one does not continue it, or where an
    /// event cannot be understood. Gives the blobs that were not named before.
    pub fn take(&mut self, commits: &[Commit], mut head: Head) -> Result<Vec<Digest>, Error> {
        let mut new = Vec::new();
        for commit in commits {
            commit.continues(&head)?;
            let contents = commit.contents()?;
            for envelope in contents.iter().flat_map(|(_, envelopes)| envelopes) {
                let position = envelope.position;
                let recorded = Recorded::decode(envelope)
                    .map_err(|source| Error::Decode { position, source })?;
                for blob in recorded.event.blobs() {
                    if !self.blobs.contains_key(blob) {
                        self.blobs.insert(*blob, position);
                        new.push(*blob);
                    }
                }
                if let Event::AccountForgotten(it) = recorded.event {
                    self.forgotten.insert(it.account);
                }
            }
            head = commit.head();
        }
        Ok(new)
    }
}
