//! A commit as one record of the journal's topic: lines of JSON, each the very bytes that are hashed,
//! under a first line that says where the commit stands. Any tool that prints a record shows it.
//!
//! ```text
//! {"format":1,"number":7,"epoch":2,"prev_hash":"…","first_position":12,"hash":"…","events":[1,2]}
//! header of the first decision
//! its event
//! header of the second decision
//! its first event
//! its second event
//! ```

use events::{Commit, CommitNumber, Digest, Epoch, Position, RecordedDecision};
use serde::{Deserialize, Serialize};

const FORMAT: u8 = 1;

/// The first line.
#[derive(Serialize, Deserialize)]
struct Place {
    format: u8,
    number: CommitNumber,
    epoch: Epoch,
    prev_hash: Digest,
    first_position: Position,
    hash: Digest,
    /// How many events each decision has.
    events: Vec<usize>,
}

impl Place {
    fn of(commit: &Commit) -> Self {
        Self {
            format: FORMAT,
            number: commit.number,
            epoch: commit.epoch,
            prev_hash: commit.prev_hash,
            first_position: commit.first_position,
            hash: commit.hash,
            events: commit.decisions.iter().map(|decision| decision.events.len()).collect(),
        }
    }
}

/// The bytes of a commit's record.
pub fn encode(commit: &Commit) -> Vec<u8> {
    let place = Place::of(commit);
    let size: usize = commit.decisions.iter().map(RecordedDecision::bytes).sum();
    let mut bytes = Vec::with_capacity(size + 4 * commit.decisions.len() + 512);
    serde_json::to_writer(&mut bytes, &place).expect("numbers and digests are written");
    for decision in &commit.decisions {
        for line in std::iter::once(&decision.header).chain(&decision.events) {
            bytes.push(b'\n'); // JSON on one line has none of its own.
            bytes.extend_from_slice(line.as_bytes());
        }
    }
    bytes
}

/// Whether these are the bytes of a commit's record.
pub fn is_of(bytes: &[u8], commit: &Commit) -> bool {
    let place = serde_json::to_vec(&Place::of(commit)).expect("numbers and digests are written");
    let Some(mut rest) = bytes.strip_prefix(&place[..]) else { return false };
    for decision in &commit.decisions {
        for line in std::iter::once(&decision.header).chain(&decision.events) {
            let next = rest.strip_prefix(b"\n").and_then(|it| it.strip_prefix(line.as_bytes()));
            let Some(next) = next else { return false };
            rest = next;
        }
    }
    rest.is_empty()
}

/// The commit that a record holds. Whether it is what it says, and continues anything, is for
/// [`Commit::continues`] to say.
///
/// # Errors
/// What is wrong with the record, where it is none of a commit.
pub fn decode(bytes: &[u8]) -> Result<Commit, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let mut lines = text.split('\n');
    let place = lines.next().unwrap_or_default();
    let place: Place = serde_json::from_str(place).map_err(|error| error.to_string())?;
    if place.format != FORMAT {
        return Err(format!("its format is {}; this docket reads {FORMAT}", place.format));
    }
    let mut line = || lines.next().map(str::to_owned).ok_or("it ends too early");
    let mut decisions = Vec::with_capacity(place.events.len().min(bytes.len()));
    for count in place.events {
        let header = line()?;
        let events: Result<_, _> = (0..count).map(|_| line()).collect();
        decisions.push(RecordedDecision { header, events: events? });
    }
    if lines.next().is_some() {
        return Err("it goes on after its last event".into());
    }
    Ok(Commit {
        number: place.number,
        epoch: place.epoch,
        prev_hash: place.prev_hash,
        first_position: place.first_position,
        decisions,
        hash: place.hash,
    })
}

#[cfg(test)]
mod tests {
    use events::Head;

    use super::*;

    fn commit() -> Commit {
        let decision = |header: &str, events: &[&str]| RecordedDecision {
            header: header.into(),
            events: events.iter().map(|&it| it.into()).collect(),
        };
        let decisions =
            vec![decision(r#"{"a":"\n"}"#, &["{}"]), decision("{}", &[r#"{"茶":1}"#, "{}"])];
        Commit::seal(&Head::default(), Epoch(3), decisions)
    }

    #[test]
    fn a_record_gives_back_its_commit() {
        let commit = commit();
        let bytes = encode(&commit);
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 5);
        assert!(is_of(&bytes, &commit));
        assert_eq!(decode(&bytes), Ok(commit));
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let whole = String::from_utf8(encode(&commit())).unwrap();
        let last = whole.rfind('\n').unwrap();
        let newer = whole.replacen(r#""format":1"#, r#""format":2"#, 1);
        let broken = [
            ("", "EOF while parsing a value at line 1 column 0"),
            ("{}", "missing field `format` at line 1 column 2"),
            (&whole[..last], "it ends too early"),
            (&format!("{whole}\n"), "it goes on after its last event"),
            (&newer, "its format is 2; this docket reads 1"),
        ];
        for (text, says) in broken {
            assert_eq!(decode(text.as_bytes()), Err(says.to_owned()), "{text}");
        }
        assert!(decode(&[0xff]).is_err());
    }

    #[test]
    fn a_changed_record_is_not_what_it_says() {
        let bytes = encode(&commit());
        let whole = decode(&bytes).unwrap();
        assert_eq!(whole.continues(&Head::default()), Ok(()));
        assert!(!is_of(&[&bytes[..], b"\n"].concat(), &whole));
        for at in 0..bytes.len() {
            assert!(!is_of(&bytes[..at], &whole), "{at} bytes");
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(!is_of(&changed, &whole), "byte {at}");
            let Ok(read) = decode(&changed) else { continue };
            assert!(read.continues(&Head::default()).is_err(), "byte {at}");
        }
    }
}
