//! What the value of a setting may be.

use std::{net::SocketAddr, time::Duration};

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anything.
    Text,
    /// A key of 32 bytes; never shown.
    Key,
    /// A text that only those know who should; never shown.
    Secret {
        /// What it weighs at least, in bytes.
        least: usize,
    },
    /// An address and a port.
    Address,
    /// A number and `ms`, `s`, `m`, `h` or `d`.
    Duration,
    /// `true` or `false`.
    Flag,
    /// A whole number in a range.
    Count {
        /// The least it may be.
        least: u64,
        /// The most it may be.
        most: u64,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl Kind {
    /// Whether values of this kind are shown to nobody.
    pub fn is_hidden(&self) -> bool {
        matches!(self, Self::Key | Self::Secret { .. })
    }

    /// Whether a text is a value of this kind; the error says what is wanted.
    pub(super) fn check(&self, text: &str) -> Result<(), String> {
        let (fits, wanted) = match self {
            Self::Text => (true, String::new()),
            Self::Secret { least } => (
                text.is_empty() || text.trim().len() >= *least,
                format!("at least {least} bytes, such as head -c 32 /dev/urandom | base64 prints"),
            ),
            Self::Key => (
                text.is_empty() || crate::keys::MasterKey::parse(text).is_ok(),
                "32 bytes as hex or base64".to_owned(),
            ),
            Self::Address => (
                text.parse::<SocketAddr>().is_ok(),
                "an address and a port, such as 127.0.0.1:8080".to_owned(),
            ),
            Self::Duration => {
                (duration(text).is_some(), "a number and ms, s, m, h or d, such as 10s".to_owned())
            }
            Self::Flag => (matches!(text, "true" | "false"), "true or false".to_owned()),
            Self::Count { least, most } => (
                text.parse::<u64>().is_ok_and(|count| (*least..=*most).contains(&count)),
                format!("a whole number from {least} to {most}"),
            ),
            Self::Choice(words) => (words.contains(&text), words.join(" or ")),
        };
        if fits { Ok(()) } else { Err(wanted) }
    }
}

/// A number and its unit; ten years at most.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let ms: u64 = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let count: u64 = digits.parse().ok()?;
    let whole = count.checked_mul(ms)?;
    (whole <= 3650 * 86_400_000).then(|| Duration::from_millis(whole))
}
