//! How the demo shows calls, answers and events, in a hundred columns.

use std::fmt::Write as _;

use events::{Event, MoneyMove, Recorded, StockMove, StockWord};
use serde_json::Value;
use uuid::Uuid;

/// How wide JSON is shown, its indent aside.
const WIDTH: usize = 86;

/// JSON without secrets, ids cut short, in as many lines as it takes.
pub(super) fn shown(body: &Value) -> String {
    let (json, mut parts) = (told(body.clone()).to_string(), Vec::new());
    split(&json, 0, 1, &mut parts);
    let mut lines = vec![String::new()];
    for part in parts {
        let length = part.chars().count();
        let line = lines.last_mut().expect("there is one from the beginning");
        if line.is_empty() || line.chars().count() + length <= WIDTH {
            line.push_str(part);
        } else {
            lines.push(part.to_owned());
        }
    }
    lines.join("\n             ")
}

/// Splits JSON into parts that may stand in lines of their own: after the commas in one bracket, and
/// where a part is longer than a line, in two, and in three. The text begins in `depth` of them.
fn split<'a>(json: &'a str, mut depth: usize, most: usize, parts: &mut Vec<&'a str>) {
    let mut at = depth;
    let ends = |c: char| {
        match c {
            '{' | '[' => at += 1,
            '}' | ']' => at -= 1,
            _ => {}
        }
        c == ',' && at <= most
    };
    for part in json.split_inclusive(ends) {
        if most < 3 && part.chars().count() > WIDTH {
            split(part, depth, most + 1, parts);
        } else {
            parts.push(part);
        }
        depth += part.matches(['{', '[']).count();
        depth -= part.matches(['}', ']']).count();
    }
}

fn told(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let field = |(name, value): (String, Value)| {
                let secret = ["password", "token"].contains(&&*name);
                let value = if secret { "…".into() } else { told(value) };
                (name, value)
            };
            Value::Object(fields.into_iter().map(field).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(told).collect()),
        Value::String(text) => Value::String(short(&text)),
        other => other,
    }
}

/// A path, the ids in it cut short.
pub(super) fn without_ids(path: &str) -> String {
    path.split('/').map(short).collect::<Vec<_>>().join("/")
}

/// An id by its last digits, which tell it apart; anything else as it is.
fn short(text: &str) -> String {
    match Uuid::try_parse(text) {
        Ok(_) => format!("…{}", &text[text.len() - 4..]),
        Err(_) => text.to_owned(),
    }
}

/// An event, and what it did to phase, stock and money.
pub(super) fn fact(recorded: &Recorded) -> String {
    let mut text = entry(recorded);
    let effect = match &recorded.event {
        Event::OrderPlaced(it) => Some(&it.effect),
        event => event.as_step().map(|step| &step.effect),
    };
    let (money, stock): (&[MoneyMove], &[StockMove]) = match (&recorded.event, effect) {
        (Event::WalletCharged(it), _) => (std::slice::from_ref(&it.money), &[]),
        (_, Some(effect)) => (&effect.money, &effect.stock),
        _ => (&[], &[]),
    };
    if let Some(effect) = effect {
        match effect.from {
            Some(from) => write!(text, ": {from:?} → {:?}", effect.to),
            None => write!(text, ": → {:?}", effect.to),
        }
        .expect("a String takes everything");
    }
    for it in stock {
        for line in &it.lines {
            write!(text, "; {} {} × {}", word(it.word), line.quantity, line.sku)
                .expect("a String takes everything");
        }
    }
    for it in money {
        let pot = |pot: events::Pot| pot.to_string().split('/').next().unwrap_or("").to_owned();
        write!(text, "; {} from {} to {}", it.amount, pot(it.from), pot(it.to))
            .expect("a String takes everything");
    }
    text
}

/// An event among others of its order.
pub(super) fn entry(recorded: &Recorded) -> String {
    format!("#{} {}", recorded.position, recorded.event.kind())
}

/// Which way stock goes, as a life cycle writes it.
fn word(word: StockWord) -> &'static str {
    match word {
        StockWord::Reserve => "reserve",
        StockWord::Consume => "consume",
        StockWord::Return => "return",
    }
}
