//! What decisions depend on and a site may change: settings, with their defaults in the life
//! cycle's file.

use std::{collections::BTreeMap, fmt};

use super::Bound;

/// The longest a duration may be: ten years of 365 days.
const DURATION_MS_MAX: i64 = 10 * 365 * 86_400_000;
/// The longest a word may be, in bytes.
const TEXT_BYTES_MAX: usize = 64;

/// The settings that docket itself reads, under these names, with their kinds. Every other means
/// what the file's own rows, deadlines and cases make of it.
pub(super) fn read_by_docket() -> impl Iterator<Item = (&'static str, &'static str)> {
    let others = [
        ("max_lines", Setting::INTEGER),
        ("key_ttl", Setting::DURATION),
        ("after_sale", Setting::DURATION),
    ];
    others.into_iter().chain(Bound::ALL.map(|bound| (bound.name(), Setting::INTEGER)))
}

/// The value of a setting. Its text tells its kind: no two kinds are written alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// `"600s"`, `"10m"`, `"24h"`, `"7d"`.
    Duration(Duration),
    /// A whole number from 0.
    Integer(i64),
    /// `true` or `false`.
    Boolean(bool),
    /// A word of 1 to 64 bytes, other than `true` and `false`, that begins with no digit or sign.
    Text(String),
}

impl Setting {
    /// What a text says: its form tells its kind. The error says what is wanted.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "true" => return Ok(Self::Boolean(true)),
            "false" => return Ok(Self::Boolean(false)),
            _ => {}
        }
        match text.bytes().next() {
            Some(b'0'..=b'9') => match text.parse() {
                Ok(number) => Ok(Self::Integer(number)),
                Err(_) => Duration::parse(text)
                    .map(Self::Duration)
                    .ok_or_else(|| Duration::WANTED.to_owned()),
            },
            Some(b'-' | b'+') | None => Err(Self::TEXT_WANTED.to_owned()),
            Some(_) if text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control) => {
                Ok(Self::Text(text.to_owned()))
            }
            Some(_) => Err(Self::TEXT_WANTED.to_owned()),
        }
    }

    /// What a text says where a value of this one's kind is wanted. The error says what is wanted.
    fn parse_like(&self, text: &str) -> Result<Self, String> {
        let value = Self::parse(text).ok().filter(|value| value.kind() == self.kind());
        value.ok_or_else(|| match self {
            Self::Duration(_) => Duration::WANTED.to_owned(),
            Self::Integer(_) => "a whole number from 0".to_owned(),
            Self::Boolean(_) => "true or false".to_owned(),
            Self::Text(_) => Self::TEXT_WANTED.to_owned(),
        })
    }

    const DURATION: &str = "a duration";
    const INTEGER: &str = "a whole number";
    const TEXT_WANTED: &str =
        "a word of 1 to 64 bytes, other than true and false, that begins with no digit or sign";

    /// What kind of value it is, for a sentence.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Duration(_) => Self::DURATION,
            Self::Integer(_) => Self::INTEGER,
            Self::Boolean(_) => "true or false",
            Self::Text(_) => "a word",
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duration(it) => it.fmt(f),
            Self::Integer(it) => it.fmt(f),
            Self::Boolean(it) => it.fmt(f),
            Self::Text(it) => it.fmt(f),
        }
    }
}

/// A span of time from nothing to ten years, kept as it was written: `600s` stays `600s`, though
/// it equals `10m`.
#[derive(Debug, Clone, Copy)]
pub struct Duration {
    count: i64,
    unit: Unit,
}

impl Duration {
    const WANTED: &'static str = "a duration from 0s to 3650d: a number and s, m, h or d";

    /// In milliseconds.
    pub fn ms(self) -> i64 {
        self.count * self.unit.ms()
    }

    /// A number and `s`, `m`, `h` or `d`; nothing where it is not one, or longer than ten years.
    pub fn parse(text: &str) -> Option<Self> {
        let unit = match text.as_bytes().last()? {
            b's' => Unit::Seconds,
            b'm' => Unit::Minutes,
            b'h' => Unit::Hours,
            b'd' => Unit::Days,
            _ => return None,
        };
        let digits = &text[..text.len() - 1];
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None; // No signs.
        }
        let count: i64 = digits.parse().ok()?;
        let ms = count.checked_mul(unit.ms())?;
        (ms <= DURATION_MS_MAX).then_some(Self { count, unit })
    }
}

impl PartialEq for Duration {
    fn eq(&self, other: &Self) -> bool {
        self.ms() == other.ms()
    }
}

impl Eq for Duration {}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Seconds => 's',
            Unit::Minutes => 'm',
            Unit::Hours => 'h',
            Unit::Days => 'd',
        };
        write!(f, "{}{unit}", self.count)
    }
}

#[derive(Debug, Clone, Copy)]
enum Unit {
    Seconds,
    Minutes,
    Hours,
    Days,
}

impl Unit {
    fn ms(self) -> i64 {
        match self {
            Self::Seconds => 1_000,
            Self::Minutes => 60_000,
            Self::Hours => 3_600_000,
            Self::Days => 86_400_000,
        }
    }
}

/// The values in force: every setting of a life cycle, each with a value of its default's kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings(BTreeMap<String, Setting>);

impl Settings {
    /// The defaults, with a site's own values over them, and those of [bounds](Bound) that the
    /// defaults do not name beside them. Every name must be known and every value of its default's
    /// kind; the first that is not is the error.
    pub fn override_with(
        defaults: &BTreeMap<String, Setting>,
        overrides: &BTreeMap<String, String>,
    ) -> Result<Self, SettingProblem> {
        let mut values = defaults.clone();
        for (name, text) in overrides {
            let Some(default) = default(defaults, name) else {
                let bounds = Bound::ALL.map(Bound::name);
                let bounds = bounds.into_iter().filter(|name| !defaults.contains_key(*name));
                let known: Vec<_> = defaults.keys().map(String::as_str).chain(bounds).collect();
                let (name, known) = (name.clone(), known.join(", "));
                return Err(SettingProblem::Unknown { name, known });
            };
            let value = default.parse_like(text).map_err(|wanted| SettingProblem::Value {
                name: name.clone(),
                value: text.clone(),
                wanted,
            })?;
            values.insert(name.clone(), value);
        }
        Ok(Self(values))
    }

    /// The defaults, with values that were recorded over them, and [bounds](Bound) that were
    /// recorded beside them. History is never refused: a recorded value counts for nothing where
    /// the life cycle does not know its name or wants another kind of value.
    pub fn recorded(
        defaults: &BTreeMap<String, Setting>,
        recorded: &BTreeMap<String, String>,
    ) -> Self {
        let mut values = defaults.clone();
        for (name, text) in recorded {
            if let Some(Ok(value)) = default(defaults, name).map(|it| it.parse_like(text)) {
                values.insert(name.clone(), value);
            }
        }
        Self(values)
    }

    /// Every setting as its file would write it; [`Settings::recorded`] reads it back.
    pub fn to_texts(&self) -> BTreeMap<String, String> {
        self.0.iter().map(|(name, value)| (name.clone(), value.to_string())).collect()
    }

    /// The value of a setting; nothing where there is none of this name.
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.0.get(name)
    }

    /// From 0 to ten years, in milliseconds; nothing where no duration has this name.
    pub fn duration_ms(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Setting::Duration(it) => Some(it.ms()),
            _ => None,
        }
    }

    /// From 0; nothing where no number has this name.
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Setting::Integer(it) => Some(*it),
            _ => None,
        }
    }

    /// Nothing where neither `true` nor `false` has this name.
    pub fn boolean(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            Setting::Boolean(it) => Some(*it),
            _ => None,
        }
    }

    /// Nothing where no word has this name.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Setting::Text(it) => Some(it),
            _ => None,
        }
    }
}

/// What a setting is where nobody sets it; nothing where there is none of this name.
fn default(defaults: &BTreeMap<String, Setting>, name: &str) -> Option<Setting> {
    let bound = || Bound::named(name).map(|bound| Setting::Integer(bound.default_most()));
    defaults.get(name).cloned().or_else(bound)
}

impl FromIterator<(String, Setting)> for Settings {
    fn from_iter<T: IntoIterator<Item = (String, Setting)>>(values: T) -> Self {
        Self(values.into_iter().collect())
    }
}

/// Why a site's settings cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingProblem {
    /// The life cycle has no setting of this name.
    #[error("there is no setting {name:?}; there are {known}")]
    Unknown {
        /// As the site wrote it.
        name: String,
        /// Those there are.
        known: String,
    },
    /// The value is not of the default's kind.
    #[error("setting {name} cannot be {value:?}: it must be {wanted}")]
    Value {
        /// Of the setting.
        name: String,
        /// As the site wrote it.
        value: String,
        /// What a value must be.
        wanted: String,
    },
}
