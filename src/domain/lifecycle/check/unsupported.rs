//! What the language can say and this docket cannot do yet. Such a file can be read, checked and
//! drawn; it cannot come into force.

use super::{
    super::{
        Due, Lifecycle, Problem, Share,
        facets::{DIMENSIONS, KIND, METHOD, PAYMENT, STOCK},
        next::Row,
        words::Word,
    },
    rows,
};

/// What docket learns of an order today; of everything else it would only ever know the default.
const LEARNED: [&str; 4] = [KIND.name, METHOD.name, PAYMENT.name, STOCK.name];

impl Lifecycle {
    /// Each thing that the file asks for and this docket cannot do yet, in the order of the lines.
    pub fn unsupported(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut report = |line, reason: String| problems.push(Problem { line, reason });
        for (name, rule) in self.deadlines().filter(|(_, rule)| matches!(rule.due, Due::At(_))) {
            let reason = format!(
                "docket keeps no dates with listings yet: let deadline {name} be due after a \
                 setting"
            );
            report(rule.line, reason);
        }
        for (kind, rule) in &self.cases {
            report(rule.line, format!("docket has no cases yet: leave [case.{kind}] out"));
        }
        let on = rows(self).filter(|(command, _)| *command != Word::OpenCase);
        let on = on.map(|(command, row)| (Some(row.event.unwrap_or(command.event_kind())), row));
        for (event, row) in on.chain(self.then.iter().map(|row| (None, row))) {
            let recorded = |kind: &str| events::KINDS.iter().any(|(known, _)| *known == kind);
            if let Some(event) = event.filter(|event| !recorded(event)) {
                report(row.line, format!("docket does not record {event} yet: leave this row out"));
            }
            for name in unlearned(row) {
                let reason =
                    format!("docket never learns {name} of an order yet: leave it out of when");
                report(row.line, reason);
            }
            if row.effects.issues_codes {
                report(row.line, "docket has no codes yet: leave codes out".to_owned());
            }
            if row.effects.money.iter().any(|step| step.share == Share::Code) {
                report(row.line, "docket has no codes yet: leave share out".to_owned());
            }
            if row.effects.note.is_some() {
                report(row.line, "docket keeps no notes yet: leave note out".to_owned());
            }
        }
        problems.sort();
        problems
    }
}

/// What a row asks for that docket does not learn.
fn unlearned(row: &Row) -> impl Iterator<Item = &'static str> {
    let asked = DIMENSIONS.iter().filter(|it| it.is_asked() && !row.when.ignores(it));
    asked.map(|it| it.name).filter(|name| !LEARNED.contains(name))
}
