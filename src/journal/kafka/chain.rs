//! Who wrote the next commit is for the log to say: whoever's came first and continues the chain.
//!
//! Every node reads the same records in the same order and judges them by this alone, so all take
//! the same commits. A writer that has lost its place may go on writing for a while: nobody takes it.

use events::{Commit, CommitError, CommitNumber, Hash, Head};

/// What becomes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the next commit.
    Taken,
    /// It was taken before, when it was first read.
    Known,
    /// It came too late: another writer's commit has its place.
    Fenced,
}

/// Judges a commit as it comes after `head`. `hash_at` tells the hash of a commit that was taken, for
/// numbers up to the head's; number 0 has 32 zero bytes. `continues` says whether it is whole and
/// continues a head: of a commit that this node itself has sealed it need not ask its hash again.
///
/// # Errors
/// When it neither continues the chain nor branches off from it: records are missing, or somebody
/// changed one.
pub fn judge<E: From<CommitError>>(
    commit: &Commit,
    head: &Head,
    hash_at: impl Fn(CommitNumber) -> Result<Option<Hash>, E>,
    continues: impl Fn(&Commit, &Head) -> Result<(), CommitError>,
) -> Result<Verdict, E> {
    if commit.number <= head.number && hash_at(commit.number)? == Some(commit.hash) {
        return Ok(Verdict::Known);
    }
    if commit.epoch < head.epoch {
        return Ok(Verdict::Fenced);
    }
    if commit.number <= head.number {
        let before = CommitNumber(commit.number.0.saturating_sub(1));
        if hash_at(before)? == Some(commit.prev_hash) {
            return Ok(Verdict::Fenced);
        }
    }
    continues(commit, head)?;
    Ok(Verdict::Taken)
}

#[cfg(test)]
mod tests {
    use events::{Epoch, RecordedDecision};

    use super::*;

    fn commit(head: &Head, epoch: u64, says: &str) -> Commit {
        let decision = RecordedDecision { header: "{}".into(), events: vec![says.into()] };
        Commit::seal(head, Epoch(epoch), vec![decision])
    }

    /// A node's chain.
    #[derive(Default)]
    struct Chain(Vec<Commit>);

    impl Chain {
        fn head(&self) -> Head {
            self.0.last().map(Commit::head).unwrap_or_default()
        }

        fn read(&mut self, commit: &Commit) -> Result<Verdict, CommitError> {
            let hash_at = |number: CommitNumber| match number.0.checked_sub(1) {
                None => Ok(Some(Hash::default())),
                Some(n) => Ok(self.0.get(n as usize).map(|it| it.hash)),
            };
            let verdict = judge(commit, &self.head(), hash_at, Commit::continues)?;
            if verdict == Verdict::Taken {
                self.0.push(commit.clone());
            }
            Ok(verdict)
        }
    }

    #[test]
    fn a_writer_that_has_lost_its_place_is_not_taken() {
        let mut chain = Chain::default();
        let first = commit(&Head::default(), 1, "opens");
        assert_eq!(chain.read(&first), Ok(Verdict::Taken));
        let old = commit(&first.head(), 1, "the old writer's");
        let opens = commit(&old.head(), 2, "opens");
        assert_eq!(chain.read(&old), Ok(Verdict::Taken));
        // What the old writer had on its way beside the one that opens.
        let beside = commit(&old.head(), 1, "beside");
        let behind = commit(&beside.head(), 1, "behind");
        assert_eq!(chain.read(&opens), Ok(Verdict::Taken));
        assert_eq!(chain.read(&beside), Ok(Verdict::Fenced));
        assert_eq!(chain.read(&behind), Ok(Verdict::Fenced));
        assert_eq!(chain.head(), opens.head());
    }

    #[test]
    fn one_that_opens_too_late_tries_again() {
        let mut chain = Chain::default();
        let first = commit(&Head::default(), 1, "opens");
        chain.read(&first).unwrap();
        let opens = commit(&first.head(), 2, "opens");
        let old = commit(&first.head(), 1, "the old writer was first");
        assert_eq!(chain.read(&old), Ok(Verdict::Taken));
        assert_eq!(chain.read(&opens), Ok(Verdict::Fenced));
        let next = commit(&old.head(), 1, "and goes on");
        assert_eq!(chain.read(&next), Ok(Verdict::Taken));
        let again = commit(&next.head(), 2, "opens again");
        let rival = commit(&next.head(), 2, "of two at once the first counts");
        assert_eq!(chain.read(&again), Ok(Verdict::Taken));
        assert_eq!(chain.read(&rival), Ok(Verdict::Fenced));
    }

    #[test]
    fn what_was_taken_is_known_when_it_is_read_again() {
        let mut chain = Chain::default();
        let first = commit(&Head::default(), 1, "1");
        let second = commit(&first.head(), 4, "2");
        for verdict in [Verdict::Taken, Verdict::Known] {
            assert_eq!(chain.read(&first), Ok(verdict));
            assert_eq!(chain.read(&second), Ok(verdict));
        }
    }

    #[test]
    fn a_gap_a_change_and_another_history_are_errors() {
        let mut chain = Chain::default();
        let first = commit(&Head::default(), 1, "1");
        let second = commit(&first.head(), 1, "2");
        let third = commit(&second.head(), 1, "3");
        chain.read(&first).unwrap();
        assert!(matches!(chain.read(&third), Err(CommitError::Number { .. })));
        let mut changed = second.clone();
        changed.decisions[0].events[0] = "other".into();
        assert!(matches!(chain.read(&changed), Err(CommitError::Hash { .. })));
        chain.read(&second).unwrap();
        let elsewhere = commit(&Head::default(), 1, "of another journal");
        let foreign = commit(&elsewhere.head(), 1, "its second");
        assert!(matches!(chain.read(&foreign), Err(CommitError::Number { .. })));
        assert_eq!(chain.head(), second.head());
    }
}
