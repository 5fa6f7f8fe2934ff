//! A life cycle drawn for people: as a table to read in a terminal, and as a diagram.
//!
//! Both say what was read, and not how the file writes it; the same file gives the same text.

use std::{collections::BTreeSet, fmt::Write};

use events::Phase;

use super::{
    Audit, CaseKind, Due, Lifecycle, MoneyStep, Setting, Share,
    facets::{Answers, DIMENSIONS, Phases, phase_word},
    next::{DeadlineWord, Row},
    words::{Vocabulary, Word},
};

/// What stands in one place of a table: a list goes down.
type Cell = Vec<String>;

impl Lifecycle {
    /// As a table: settings, deadlines and commands with their checks, then every row, then the
    /// cases. Columns in which nothing stands are left out.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{}, version {}; money that comes too late: {}\n",
            self.channel, self.version, self.late
        );
        let name_and = |name: &str, value: String| vec![vec![name.to_owned()], vec![value]];
        let settings = self.settings.iter().map(|(name, it)| name_and(name, it.to_string()));
        section(&mut text, &["setting", "default"], settings.collect());
        let due = |due: &Due| match due {
            Due::After(setting) => format!("{setting} after it is set"),
            Due::At(field) => format!("at the listing's {field}"),
        };
        let deadlines = self.deadlines().map(|(name, rule)| {
            let [name, due] = [name.to_owned(), due(&rule.due)];
            vec![vec![name], vec![due], vec![rule.command.to_string()]]
        });
        section(
            &mut text,
            &["deadline", "is due", "and then the timer asks for"],
            deadlines.collect(),
        );
        let head = ["command", "by", "writes", "is checked for"];
        section(&mut text, &head, self.command_lines());
        text.push_str(
            "\nThe first row that fits is what happens; after it, the first \"then\" row that fits. \
             +name sets a deadline,\n-name clears it; +codes issues codes.\n",
        );
        section(
            &mut text,
            &["row", "from", "by", "when", "to", "stock", "money", "deadlines", "event, note"],
            self.row_lines(),
        );
        let head = ["case", "from", "when", "about", "stock", "goods back", "audit"];
        section(&mut text, &head, self.case_lines());
        text
    }

    fn command_lines(&self) -> Vec<Vec<Cell>> {
        let given = Word::ALL.iter().filter(|it| self.roles(**it).next().is_some());
        let line = |command: &Word| {
            let checks: Vec<_> = self.checks(*command).iter().map(|it| it.as_str()).collect();
            let by = self.roles(*command).map(|by| by.word().to_owned());
            let [command, event] = [command.as_str(), command.event_kind()].map(str::to_owned);
            vec![vec![command], by.collect(), vec![event], vec![checks.join(", ")]]
        };
        given.map(line).collect()
    }

    fn row_lines(&self) -> Vec<Vec<Cell>> {
        let own = Word::ALL.iter().filter(|command| command.case_callers().is_empty());
        let on = own.flat_map(|command| {
            self.on[*command as usize].iter().map(move |row| line(command.as_str(), row))
        });
        on.chain(self.then.iter().map(|row| line("then", row))).collect()
    }

    fn case_lines(&self) -> Vec<Vec<Cell>> {
        let line = |(kind, rule): (&CaseKind, &super::CaseRule)| {
            let audit = match &rule.audit {
                Audit::Always => "always".to_owned(),
                Audit::Never => "never".to_owned(),
                Audit::Setting(name) => format!("if {name}"),
            };
            vec![
                vec![kind.to_string()],
                phases(rule.from),
                conditions(rule.when, &rule.settings),
                vec![rule.amount.to_string()],
                vec![if rule.returns_stock { "return" } else { "" }.to_owned()],
                vec![if rule.goods_back { "first" } else { "" }.to_owned()],
                vec![audit],
            ]
        };
        self.cases.iter().map(line).collect()
    }

    /// As a Mermaid `stateDiagram-v2`: an arrow for what each row does, labelled with the command
    /// and who may give it; rows that differ only in what they ask for share one.
    pub fn diagram(&self) -> String {
        let mut text = "stateDiagram-v2\n".to_owned();
        let mut ends = BTreeSet::new();
        for from in std::iter::once(None).chain(Phase::ALL.map(Some)) {
            let mut drawn = BTreeSet::new();
            for (label, to) in self.arrows(from) {
                if drawn.insert((label.clone(), to)) {
                    let from = from.map_or("[*]", Vocabulary::word);
                    writeln!(text, "    {from} --> {}: {label}", to.word())
                        .expect("a string takes everything");
                    ends.insert(to);
                }
            }
        }
        for end in ends.into_iter().filter(|phase| phase.is_final()) {
            writeln!(text, "    {} --> [*]", end.word()).expect("a string takes everything");
        }
        text
    }

    /// What leads on from a phase: the label, and where to. Of the steps of a case only the first
    /// is drawn: the others may be taken anywhere.
    fn arrows(&self, from: Option<Phase>) -> impl Iterator<Item = (String, Phase)> {
        let drawn =
            |command: &&Word| command.case_callers().is_empty() || **command == Word::OpenCase;
        let on = Word::ALL.iter().filter(drawn).flat_map(|command| {
            let rows = self.on[*command as usize].iter();
            rows.map(move |row| (format!("{command} ({})", row.by), row))
        });
        let then = self.then.iter().map(|row| {
            let when = conditions(row.when, &row.settings).join(", ");
            (if when.is_empty() { "then".to_owned() } else { format!("then ({when})") }, row)
        });
        let here = on.chain(then).filter(move |(_, row)| row.from.has(from));
        here.filter_map(move |(label, row)| Some((label, row.to.or(from)?)))
    }
}

fn line(command: &str, row: &Row) -> Vec<Cell> {
    let Row { from, by, when, settings, to, event, effects, .. } = row;
    let mut stock: Cell = effects.stock.iter().map(|word| word.word().to_owned()).collect();
    if effects.issues_codes {
        stock.push("+codes".to_owned());
    }
    let money = effects.money.iter().flat_map(|MoneyStep { word, share }| {
        let part = (*share == Share::Code).then(|| "(code)".to_owned());
        std::iter::once(word.to_string()).chain(part)
    });
    let deadlines = effects.deadlines.iter().map(|(name, word)| match word {
        DeadlineWord::Set => format!("+{name}"),
        DeadlineWord::Clear => format!("-{name}"),
    });
    let event = event.iter().map(|kind| (*kind).to_owned());
    let note = effects.note.iter().map(|note| format!("{note:?}"));
    vec![
        vec![command.to_owned()],
        phases(*from),
        by.iter().map(|by| by.word().to_owned()).collect(),
        conditions(*when, settings),
        vec![to.map_or("(stays)", Vocabulary::word).to_owned()],
        stock,
        money.collect(),
        deadlines.collect(),
        event.chain(note).collect(),
    ]
}

fn phases(phases: Phases) -> Cell {
    phases.iter().map(|phase| phase_word(phase).to_owned()).collect()
}

/// Each thing that is asked for: `kind=physical`, `method=online|bank`, `auto_deliver=true`.
fn conditions(when: Answers, settings: &[(String, Vec<Setting>)]) -> Cell {
    let asked = DIMENSIONS.iter().filter(|it| it.is_asked() && !when.ignores(it));
    let facts = asked.map(|dimension| {
        let values = (0..dimension.width).filter(|value| when.0 & dimension.bit(*value) != 0);
        let words: Vec<_> = values.map(|value| dimension.word(value)).collect();
        format!("{}={}", dimension.name, words.join("|"))
    });
    let settings = settings.iter().map(|(name, values)| {
        let words: Vec<_> = values.iter().map(ToString::to_string).collect();
        format!("{name}={}", words.join("|"))
    });
    facts.chain(settings).collect()
}

/// Adds a table, nothing where it has no lines. Columns are as wide as they must be.
fn section(text: &mut String, head: &[&str], lines: Vec<Vec<Cell>>) {
    if lines.is_empty() {
        return;
    }
    let column = |at: usize| lines.iter().flat_map(move |line| &line[at]);
    let width = |at: usize| column(at).map(|item| item.chars().count()).max().unwrap_or(0);
    let shown: Vec<_> = (0..head.len()).filter(|at| width(*at) > 0).collect();
    let widths: Vec<_> = shown.iter().map(|at| width(*at).max(head[*at].len())).collect();
    let mut add = |items: Vec<&str>| {
        let padded = items.iter().zip(&widths).map(|(item, width)| format!("{item:width$}"));
        let padded: Vec<_> = padded.collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    };
    add(Vec::new());
    add(shown.iter().map(|at| head[*at]).collect());
    let rules: Vec<_> = widths.iter().map(|width| "-".repeat(*width)).collect();
    add(rules.iter().map(String::as_str).collect());
    for line in &lines {
        let height = line.iter().map(Vec::len).max().unwrap_or(0);
        for down in 0..height {
            let item = |at: &usize| line[*at].get(down).map_or("", String::as_str);
            add(shown.iter().map(item).collect());
        }
    }
}
