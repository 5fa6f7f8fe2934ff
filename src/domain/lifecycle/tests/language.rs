//! The words of [`language`] are the words that a file may use, each where it says.

use events::Channel;

use super::super::{Lifecycle, language};

/// A file with a word at a place.
fn file(place: &str, word: &str) -> String {
    let on = |row: &str| format!("[[on]]\n{row}");
    match place {
        "<channel>.toml" => format!("{word} = 1"),
        "<channel>.toml.late" => format!("late = \"{word}\""),
        "[checks]" => format!("[checks]\nplace = \"{word}\""),
        "[deadline.<name>]" => format!("[deadline.d]\n{word} = 1"),
        "[[on]]" => on(&format!("{word} = 1")),
        "[[then]]" => format!("[[then]]\n{word} = 1"),
        "[[on]].deadlines" => format!("[[on]]\ndeadlines = {{ d = \"{word}\" }}"),
        "case" => format!("[case.{word}]"),
        "[case.<kind>]" => format!("[case.money]\n{word} = 1"),
        "when" => on(&format!("when = {{ {word} = 1 }}")),
        // Only the events of steps may be another's.
        "event" => on(&format!("command = \"ship\"\nevent = \"{word}\"")),
        "command" | "from" | "to" | "by" | "stock" | "money" => {
            on(&format!("{place} = \"{word}\""))
        }
        _ => match place.split_once('.') {
            Some(("when", name)) => on(&format!("when = {{ {name} = \"{word}\" }}")),
            Some(("[[on]]", key)) => on(&format!("{key} = \"{word}\"")),
            _ => {
                let key = place.strip_prefix("[case.<kind>].").unwrap();
                format!("[case.money]\n{key} = \"{word}\"")
            }
        },
    }
}

/// What is said of a word that is none, if anything is.
fn refusal(place: &str, word: &str) -> Option<String> {
    let problems = Lifecycle::parse(&Channel::new("test").unwrap(), &file(place, word));
    let problems = problems.unwrap_err(); // No such file is whole.
    let refusal = |reason: &String| {
        let begins = [" cannot be ", " has no ", " is never ", " cannot ask for "];
        begins.iter().any(|begin| reason.contains(&format!("{begin}{word:?}; it ")))
    };
    problems.into_iter().map(|it| it.reason).find(refusal)
}

#[test]
fn every_word_is_taken_and_no_other() {
    let places = language();
    assert!(places.len() > 30, "{places:?}");
    for (place, words) in places {
        assert!(!words.is_empty(), "{place}");
        for word in &words {
            assert_eq!(refusal(&place, word), None, "{place}");
        }
        let told = refusal(&place, "abracadabra").unwrap_or_else(|| panic!("{place} takes all"));
        let all = words.join(", ");
        assert!(told.contains(&all), "{place}: {told}\nis to name {all}");
    }
}
