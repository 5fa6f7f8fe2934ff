//! What `/v1/openapi.json` says and what docket does are the same: schemathesis makes requests from
//! the document, good ones and bad ones, sends them to the real program, and finds nothing.
//!
//! `tests/run` installs it. Each run has another seed, which a failure prints; `SCHEMATHESIS_SEED`
//! repeats one.
#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

#[path = "../support/mod.rs"]
mod support;

mod report;
mod run;
mod town;

use docket::http::access::Who;

use run::{people, schemathesis};
use town::Town;

/// Calls after which the caller's session is over.
const LAST_WORDS: [&str; 3] = ["leave", "change_password", "close_session"];

/// One after the other, the phases in which requests do not build on each other.
const ALONE: [&str; 2] = ["--phases", "examples,coverage,fuzzing"];

#[tokio::test]
async fn an_operator_is_answered_as_the_document_says() {
    let town = Town::new().await;
    let but = ["--exclude-operation-id", "revoke_token"];
    let mut report = schemathesis(&town, "operator", Some(&town.operator), "", &but);
    report.has_every_phase();
    report.has_every_check();
    report.follows_links();
    // In a run of its own, as it may revoke the token that it is called with.
    let tokens: Vec<_> = ["issue_token", "tokens", "revoke_token"]
        .into_iter()
        .flat_map(|id| ["--include-operation-id", id])
        .collect();
    report.add(schemathesis(&town, "tokens", Some(&town.mortal), "", &tokens));
    report.has_every_operation();
    // Native orders are placed by accounts alone.
    report.succeeds_for(&[Who::Public, Who::Operator], &["place_order"]);
}

#[tokio::test]
async fn an_account_is_answered_as_the_document_says() {
    let town = Town::new().await;
    let but: Vec<_> = LAST_WORDS.iter().flat_map(|id| ["--exclude-operation-id", *id]).collect();
    // Whatever one of the two finds is asked for as the other, too.
    let peers = people(&town, &[("eve", &town.eve), ("ann", &town.ann)]);
    let mut report = schemathesis(&town, "account", None, &peers, &but);
    report.has_every_phase();
    report.has_every_check();
    report.follows_links();
    for (operation, session) in LAST_WORDS.into_iter().zip(&town.leavers) {
        let it = [&ALONE[..], &["--include-operation-id", operation]].concat();
        report.add(schemathesis(&town, operation, Some(session), "", &it));
    }
    report.has_every_operation();
    report.succeeds_for(&[Who::Public, Who::Account, Who::Seller], &[]);
}

#[tokio::test]
async fn nobody_is_answered_as_the_document_says() {
    let town = Town::new().await;
    // Most is refused before anybody looks at it.
    let report = schemathesis(&town, "nobody", None, "", &["--max-examples", "5"]);
    report.has_every_phase();
    report.has_every_check();
    report.has_every_operation();
    report.succeeds_for(&[Who::Public], &[]);
}
