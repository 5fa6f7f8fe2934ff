//! The smaller things a file is read with: a word, a list, a name; and where a problem stands.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    super::{DeadlineRule, language::Keys, settings::Setting, words::Vocabulary},
    Problem,
};

/// The longest a name may be, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// A key and where it stands.
pub(super) type Key<'i> = Spanned<Cow<'i, str>>;
/// A value and where it stands.
pub(super) type Value<'i> = Spanned<DeValue<'i>>;

/// Reads one file and remembers what is wrong with it.
pub(super) struct Reader<'t> {
    text: &'t str,
    pub problems: Vec<Problem>,
    /// What rows may refer to.
    pub settings: BTreeMap<String, Setting>,
    /// Likewise.
    pub deadlines: BTreeMap<String, DeadlineRule>,
    /// Settings and deadlines that are there but could not be read: one problem each is enough.
    pub broken: BTreeSet<String>,
    /// Settings that something refers to.
    pub used: BTreeSet<String>,
}

impl<'t> Reader<'t> {
    pub fn new(text: &'t str) -> Self {
        Self {
            text,
            problems: Vec::new(),
            settings: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            broken: BTreeSet::new(),
            used: BTreeSet::new(),
        }
    }

    /// The name of a setting of a certain kind.
    pub fn setting_of_kind(
        &mut self,
        value: &Value<'_>,
        wanted: &str,
        fits: fn(&Setting) -> bool,
    ) -> Option<String> {
        let name = self.text(value, "the name of a setting")?;
        let setting = self.declared(name, value.span())?;
        if !fits(&setting) {
            let reason = format!("setting {name} must be {wanted} here, not {}", setting.kind());
            self.report(value.span(), reason);
            return None;
        }
        Some(name.to_owned())
    }

    /// The default of a setting. Of one that could not be read there was told already.
    pub fn declared(&mut self, name: &str, span: Range<usize>) -> Option<Setting> {
        let setting = self.settings.get(name).cloned();
        self.used.insert(name.to_owned());
        if setting.is_none() && !self.broken.contains(name) {
            self.report(span, format!("there is no setting {name:?}: declare it in [settings]"));
        }
        setting
    }

    /// A name that the file makes up: small letters, digits and `_`, a letter first.
    pub fn name(&mut self, key: &Key<'_>, what: &str) -> Option<String> {
        let name = key.get_ref();
        let fits = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        if begins && name.bytes().all(fits) && name.len() <= NAME_BYTES_MAX {
            return Some(name.clone().into_owned());
        }
        self.report(
            key.span(),
            format!(
                "{name:?} cannot name {what}: use 1 to {NAME_BYTES_MAX} small letters, digits \
                 and _, a letter first"
            ),
        );
        None
    }

    pub fn word<T: Vocabulary>(&mut self, what: &str, value: &Value<'_>) -> Option<T> {
        let word = self.text(value, what)?;
        let known = T::from_word(word);
        if known.is_none() {
            self.unknown::<T>(value.span(), what, word);
        }
        known
    }

    /// One word or several, each once.
    pub fn words<T: Vocabulary + PartialEq>(&mut self, what: &str, value: &Value<'_>) -> Vec<T> {
        let mut words = Vec::new();
        for value in self.list(value) {
            let Some(word) = self.word::<T>(what, value) else { continue };
            if words.contains(&word) {
                let reason = format!("{} is named twice: leave one out", word.word());
                self.report(value.span(), reason);
            } else {
                words.push(word);
            }
        }
        words
    }

    /// One of a few words that stand for nothing but themselves.
    pub fn choice(
        &mut self,
        what: &str,
        value: &Value<'_>,
        words: &'static [&'static str],
    ) -> Option<&'static str> {
        let word = self.text(value, what)?;
        let known = words.iter().copied().find(|known| *known == word);
        if known.is_none() {
            let reason = format!("{what} cannot be {word:?}; it may be {}", words.join(", "));
            self.report(value.span(), reason);
        }
        known
    }

    pub fn unknown<T: Vocabulary>(&mut self, span: Range<usize>, what: &str, word: &str) {
        self.report(span, format!("{what} cannot be {word:?}; it may be {}", T::words()));
    }

    pub fn text<'v>(&mut self, value: &'v Value<'_>, what: &str) -> Option<&'v str> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            let found = value.get_ref().type_str();
            self.report(value.span(), format!("{what} must be a text in quotes, not {found}"));
        }
        text
    }

    /// The values of a list, or the one value that stands for a list of one.
    pub fn list<'v, 'i>(&mut self, value: &'v Value<'i>) -> Vec<&'v Value<'i>> {
        match value.get_ref() {
            DeValue::Array(values) => {
                if values.is_empty() {
                    self.report(value.span(), "this list is empty: name at least one");
                }
                values.iter().collect()
            }
            _ => vec![value],
        }
    }

    pub fn table<'v, 'i>(&mut self, value: &'v Value<'i>, what: &str) -> Option<&'v DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let found = value.get_ref().type_str();
            self.report(value.span(), format!("{what} must be a table, not {found}"));
        }
        table
    }

    /// The tables of `[[…]]`, none where there is no such list.
    pub fn tables<'v, 'i>(
        &mut self,
        value: Option<&'v Value<'i>>,
        what: &str,
    ) -> Vec<&'v Value<'i>> {
        match value.map(|value| (value, value.get_ref())) {
            None => Vec::new(),
            Some((_, DeValue::Array(values))) => values.iter().collect(),
            Some((value, _)) => {
                self.report(value.span(), format!("this must be a list of tables: write {what}"));
                Vec::new()
            }
        }
    }

    /// What stands in a table, nothing where there is none.
    pub fn entries<'v, 'i>(
        &mut self,
        value: Option<&'v Value<'i>>,
        what: &str,
    ) -> Vec<(&'v Key<'i>, &'v Value<'i>)> {
        match value.map(|value| self.table(value, what)) {
            Some(Some(table)) => table.iter().collect(),
            Some(None) | None => Vec::new(),
        }
    }

    pub fn keys(&mut self, table: &DeTable<'_>, Keys { what, names }: &Keys) {
        for key in table.keys().filter(|key| !names.contains(&key.get_ref().as_ref())) {
            let known = names.join(", ");
            let reason = format!("{what} has no {:?}; it has {known}", key.get_ref());
            self.report(key.span(), reason);
        }
    }

    pub fn required<'v, 'i>(
        &mut self,
        table: &'v DeTable<'i>,
        key: &str,
        span: Range<usize>,
        what: &str,
    ) -> Option<&'v Value<'i>> {
        let value = table.get(key);
        if value.is_none() {
            self.report(span, format!("{what} needs {key}: add {key} = …"));
        }
        value
    }

    pub fn report(&mut self, span: Range<usize>, reason: impl Into<String>) {
        let line = self.line(span);
        self.problems.push(Problem { line, reason: reason.into() });
    }

    pub fn line(&self, span: Range<usize>) -> usize {
        let before = self.text.as_bytes().iter().take(span.start);
        before.filter(|byte| **byte == b'\n').count() + 1
    }
}

/// A whole number that fits.
pub(super) fn integer(value: &Value<'_>) -> Option<i64> {
    let integer = value.get_ref().as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// The value of a setting. The error says what is wanted.
pub(super) fn setting(value: &Value<'_>) -> Result<Setting, String> {
    match value.get_ref() {
        DeValue::String(text) => match Setting::parse(text)? {
            Setting::Integer(_) | Setting::Boolean(_) => {
                Err(format!("written without quotes: {text}"))
            }
            setting => Ok(setting),
        },
        DeValue::Boolean(it) => Ok(Setting::Boolean(*it)),
        DeValue::Integer(_) => match integer(value) {
            Some(number @ 0..) => Ok(Setting::Integer(number)),
            _ => Err("a whole number from 0".to_owned()),
        },
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            Err("a duration, a whole number, true, false or a word".to_owned())
        }
    }
}
