//! Every setting with its value, where that comes from, and what it is for, as a file of settings
//! that docket reads. What nobody set is commented out.

use std::collections::BTreeMap;

use events::Channel;

use super::{CHANNEL, Config, Kind, SITE, Source, Value};

/// No line is wider, unless a value is.
const WIDTH: usize = 100;

/// Where it is said where a value comes from.
const SOURCE_AT: usize = 48;

const INTRODUCTION: &str = "\
A setting comes from a flag, else from DOCKET_<NAME> in the environment, else from docket.toml, \
else from its default. This is a docket.toml: what nobody has set is commented out.";

const OF_LIFECYCLE: &str = "\
What decisions depend on, by the channel's life cycle. Recorded in the journal when docket starts; \
deadlines already set do not move.";

const OF_KAFKA: &str = "\
Whatever librdkafka takes, security.protocol or sasl.password for example, by its own names. In the \
environment: DOCKET_KAFKA_<NAME>, with _ for each dot. Never shown.";

/// Writes every setting: the site's, and of each channel its own and those of its life cycle, whose
/// defaults are given. Secrets are left out.
pub fn show(config: &Config, channels: &[(Channel, BTreeMap<String, String>)]) -> String {
    let mut text = String::new();
    comment(&mut text, INTRODUCTION);
    for it in SITE {
        text.push('\n');
        comment(&mut text, it.about);
        line(&mut text, it.name, config.value(it.name), it.kind);
    }
    text.push_str("\n[kafka]\n");
    comment(&mut text, OF_KAFKA);
    for (name, value) in config.kafka() {
        line(&mut text, name, value, Kind::Secret { least: 0 });
    }
    for (channel, defaults) in channels {
        text.push_str(&format!("\n[channel.{}]\n", key(channel)));
        comment(
            &mut text,
            &format!("In the environment: DOCKET_CHANNEL_{}_<NAME>.", variable(channel)),
        );
        for it in CHANNEL {
            text.push('\n');
            comment(&mut text, it.about);
            line(&mut text, it.name, &config.of_channel(channel, it.name), it.kind);
        }
        let mut values = config.overrides(channel);
        for (name, default) in defaults {
            let default = || Value { text: default.clone(), source: Source::Default };
            values.entry(name.clone()).or_insert_with(default);
        }
        if !values.is_empty() {
            text.push('\n');
            comment(&mut text, OF_LIFECYCLE);
        }
        for (name, value) in &values {
            line(&mut text, name, value, Kind::Text);
        }
    }
    text
}

fn line(text: &mut String, name: &str, value: &Value, kind: Kind) {
    let set = value.source != Source::Default;
    let (mark, shown, source) = match (kind, set) {
        (kind, true) if kind.is_hidden() => {
            ("#", "\"…\"".to_owned(), format!("{}, not shown", value.source))
        }
        (_, true) => ("", literal(&value.text), value.source.to_string()),
        (_, false) => ("#", literal(&value.text), value.source.to_string()),
    };
    let setting = format!("{mark}{} = {shown}", key(name));
    text.push_str(&format!("{setting:<SOURCE_AT$}  # {source}\n"));
}

/// As TOML writes a value: numbers and flags bare, everything else in quotes.
fn literal(value: &str) -> String {
    let bare = value.parse::<u64>().is_ok_and(|number| number.to_string() == value)
        || matches!(value, "true" | "false");
    if bare { value.to_owned() } else { toml::Value::from(value).to_string() }
}

/// As TOML writes a name.
fn key(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let bare = !name.is_empty() && name.bytes().all(plain);
    if bare { name.to_owned() } else { toml::Value::from(name).to_string() }
}

fn variable(channel: &str) -> String {
    channel.to_uppercase()
}

fn comment(text: &mut String, words: &str) {
    let mut width = 0;
    for word in words.split(' ') {
        if width == 0 || width + 1 + word.len() > WIDTH {
            text.push_str(if width == 0 { "#" } else { "\n#" });
            width = 1;
        }
        text.push(' ');
        text.push_str(word);
        width += 1 + word.len();
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_read_back() {
        let channel = Channel::new("bookstore").unwrap();
        let defaults = [("max_lines", "500"), ("pay_within", "600s")];
        let defaults = defaults.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let channels = [(channel.clone(), BTreeMap::from(defaults))];
        let file = "listen = '127.0.0.1:1'\nqueue_max = 7\ndata = 'a \"b\" #c'\n\
                    [channel.bookstore]\nenforce_token = false\npay_within = '60s'";
        let key = "11".repeat(32);
        let variables = [("DOCKET_MASTER_KEY".to_owned(), key.clone())];
        let config = Config::resolve(&[], Some(("docket.toml", file)), variables).unwrap();
        let shown = show(&config, &channels);
        assert!(!shown.contains(&key), "{shown}");
        assert!(shown.contains("# DOCKET_MASTER_KEY, not shown"), "{shown}");
        assert!(shown.contains("#max_lines = 500 "), "{shown}");
        let wide: Vec<_> = shown.lines().filter(|line| line.chars().count() > WIDTH).collect();
        assert!(wide.is_empty(), "{wide:?}");
        let again = Config::resolve(&[], Some(("docket.toml", &shown)), []).unwrap();
        for it in SITE.iter().filter(|it| !it.kind.is_hidden()) {
            assert_eq!(again.value(it.name), config.value(it.name), "{}", it.name);
        }
        assert_eq!(again.overrides(&channel), config.overrides(&channel));
        assert_eq!(again.of_channel(&channel, "enforce_token").text, "false");
        // Every default is one that could be set.
        let all: String = shown.lines().map(|line| uncommented(line) + "\n").collect();
        let all = all.replace("\"…\"", "''");
        Config::resolve(&[], Some(("docket.toml", &all)), []).unwrap();
    }

    fn uncommented(line: &str) -> String {
        let setting = line.starts_with('#') && !line.starts_with("# ");
        if setting { line[1..].to_owned() } else { line.to_owned() }
    }
}
