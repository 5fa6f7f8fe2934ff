//! What a run of schemathesis did: its report, read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

use docket::http::{
    access::{self, Who},
    api,
};
use serde_json::Value;

/// Checks that every run must have made.
const CHECKS: [&str; 14] = [
    "allow_header_conformance",
    "content_type_conformance",
    "ensure_resource_availability",
    "ignored_auth",
    "missing_required_header",
    "negative_data_rejection",
    "not_a_server_error",
    "object_level_authorization",
    "positive_data_acceptance",
    "response_headers_conformance",
    "response_schema_conformance",
    "status_code_conformance",
    "unsupported_method",
    "use_after_free",
];

const PHASES: [&str; 4] = ["coverage", "examples", "fuzzing", "stateful"];

/// What was called, and what came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// By method and path.
    answers: BTreeMap<(String, String), BTreeMap<u64, usize>>,
    phases: BTreeSet<String>,
    checks: BTreeSet<String>,
    /// Requests made of what an earlier answer had in it.
    followed: usize,
}

impl Report {
    /// Reads a report: a line of JSON for each thing that happened.
    pub fn read(path: &Path) -> Self {
        let mut report = Self::default();
        for line in BufReader::new(File::open(path).unwrap()).lines() {
            let happened: Value = serde_json::from_str(&line.unwrap()).unwrap();
            report.take(&happened["ScenarioFinished"]);
        }
        report
    }

    fn take(&mut self, scenario: &Value) {
        let recorded = &scenario["recorder"];
        for (id, exchange) in recorded["interactions"].as_object().into_iter().flatten() {
            let case = &recorded["cases"][id]["value"];
            let call = (text(&exchange["request"]["method"]), text(&case["path"]));
            let status = exchange["response"]["status_code"].as_u64().unwrap();
            *self.answers.entry(call).or_default().entry(status).or_default() += 1;
            self.phases.insert(text(&scenario["phase"]));
        }
        let cases = recorded["cases"].as_object().into_iter().flatten();
        self.followed += cases.filter(|(_, case)| case["is_transition_applied"] == true).count();
        let made = recorded["checks"].as_object().into_iter().flatten();
        for check in made.flat_map(|(_, checks)| checks.as_array().unwrap()) {
            self.checks.insert(text(&check["name"]));
        }
    }

    /// Takes another's calls in.
    pub fn add(&mut self, other: Self) {
        for (call, statuses) in other.answers {
            let own = self.answers.entry(call).or_default();
            statuses.into_iter().for_each(|(status, n)| *own.entry(status).or_default() += n);
        }
    }

    pub fn has_every_phase(&self) {
        assert_eq!(self.phases, PHASES.map(str::to_owned).into());
    }

    pub fn follows_links(&self) {
        assert!(self.followed > 0, "no link was followed");
    }

    pub fn has_every_check(&self) {
        assert_eq!(self.checks, CHECKS.map(str::to_owned).into());
    }

    /// Whether every operation of the document was called.
    pub fn has_every_operation(&self) {
        let document = api::document();
        let paths = document["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| (method.to_uppercase(), path.clone()))
        });
        let missing: Vec<_> = operations.filter(|call| !self.answers.contains_key(call)).collect();
        assert!(missing.is_empty(), "not called: {missing:?}");
    }

    /// Whether the operations that these callers may call, a few aside, have succeeded, and the
    /// others never.
    pub fn succeeds_for(&self, who: &[Who], but: &[&str]) {
        let document = api::document();
        let mut wrong = Vec::new();
        for row in access::table().into_iter().filter(|row| row.face == "v1") {
            let call = (row.method.to_owned(), row.path.to_owned());
            let answers = self.answers.get(&call).cloned().unwrap_or_default();
            let id = &document["paths"][row.path][row.method.to_lowercase()]["operationId"];
            let may = row.who.iter().any(|it| who.contains(it)) && !but.iter().any(|it| id == it);
            let succeeded = answers.keys().any(|status| (200..300).contains(status));
            if may != succeeded {
                wrong.push(format!("{row}: {answers:?}"));
            }
        }
        assert!(wrong.is_empty(), "succeeds where it may not, or never:\n{}", wrong.join("\n"));
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
