//! The worked example of `schemas/journal.md`, recomputed from the page.

use super::*;

#[test]
fn the_worked_example_is_right() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/journal.md");
    let written = fs::read_to_string(path).unwrap();
    let (_, rest) = written.split_once("<!-- example: begin -->\n\n```text\n").unwrap();
    let (example, _) = rest.split_once("```\n\n<!-- example: end -->").unwrap();
    let mut head = Head::default();
    let mut commits = Vec::new();
    for block in example.split("\n\n") {
        let commit = recompute(block);
        commit.continues(&head).unwrap();
        let contents = commit.contents().unwrap();
        for envelope in contents.iter().flat_map(|(_, events)| events) {
            Recorded::decode(envelope).unwrap();
        }
        head = commit.head();
        commits.push(commit);
    }
    assert_eq!(head.number, CommitNumber(2));
    // What the page says is what a journal holds.
    on_each(|site| {
        let journal = site.open();
        append_all(&*journal, &commits);
        assert_eq!(journal.read(CommitNumber(0), 99).unwrap(), commits);
    });
}

/// Recomputes a block of the example with SHA-256 alone, and gives the commit that it shows.
fn recompute(block: &str) -> Commit {
    let mut fields: Vec<(&str, &str)> = Vec::new();
    let mut preimage = vec![0x01];
    let mut decisions: Vec<RecordedDecision> = Vec::new();
    for line in block.trim_end().lines() {
        let (name, value) = line.split_once(' ').unwrap();
        let value = value.trim_start();
        match name {
            "number" | "epoch" => {
                let number: u64 = value.parse().unwrap();
                preimage.extend_from_slice(&number.to_be_bytes());
            }
            "prev_hash" => preimage.extend_from_slice(&unhex(value)),
            "header" => {
                decisions.push(RecordedDecision { header: value.to_owned(), events: vec![] });
            }
            "event" => decisions.last_mut().unwrap().events.push(value.to_owned()),
            "leaf" => {
                let (kind, bytes) = *fields.last().unwrap();
                let tag = if kind == "header" { 0x00 } else { 0x02 };
                let leaf = Sha256::digest([&[tag], bytes.as_bytes()].concat());
                assert_eq!(unhex(value), leaf.as_slice(), "the leaf of {bytes}");
                preimage.extend_from_slice(&leaf);
            }
            "preimage" => assert_eq!(unhex(value), preimage),
            "hash" => assert_eq!(unhex(value), Sha256::digest(&preimage).as_slice()),
            other => panic!("the example has a field {other}"),
        }
        fields.push((name, value));
    }
    let field = |name| fields.iter().find(|field| field.0 == name).unwrap().1;
    let first: Envelope = serde_json::from_str(&decisions[0].events[0]).unwrap();
    Commit {
        number: CommitNumber(field("number").parse().unwrap()),
        epoch: Epoch(field("epoch").parse().unwrap()),
        prev_hash: field("prev_hash").parse().unwrap(),
        first_position: first.position,
        decisions,
        hash: field("hash").parse().unwrap(),
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}
