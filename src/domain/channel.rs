//! What a channel decides by comes into force through the journal, so that a replay and every
//! node agree on it.

use std::collections::BTreeMap;

use events::{Digest, Event, LifecycleAdopted, SettingsAdopted, Subject};

use super::{
    ChannelState, Decided, Deciding, Rejection, at_most,
    lifecycle::{Lifecycle, Problem, Settings},
};

/// How many channels there may be.
const CHANNELS_MAX: i64 = 256;
/// How many life cycles a channel may have had. None leaves: an order that is over may be asked for
/// at any time, and is decided by its own.
const LIFECYCLES_MAX: i64 = 1000;

/// A higher version comes into force for orders placed from here on; the one in force already
/// changes nothing; any other is refused.
pub(super) fn adopt_lifecycle(
    it: &Deciding<'_>,
    digest: Digest,
    text: &str,
) -> Result<Decided, Rejection> {
    it.operator()?;
    let channel = &it.command.channel;
    let newest = it.channel().and_then(ChannelState::newest);
    if newest.is_some_and(|known| known.digest == digest) {
        return Ok(Decided::nothing()); // Also where a check has become stricter since.
    }
    let bad = |problems: Vec<Problem>| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Rejection::LifecycleBad(lines.join("\n"))
    };
    let lifecycle = Lifecycle::parse(channel, text).map_err(bad)?;
    let unsupported = lifecycle.unsupported();
    if !unsupported.is_empty() {
        return Err(bad(unsupported));
    }
    let version = lifecycle.version();
    match newest {
        Some(known) if known.lifecycle.version() >= version => {
            Err(Rejection::LifecycleOld { version, current: known.lifecycle.version() })
        }
        _ => {
            match it.channel() {
                Some(known) => {
                    let there = known.lifecycles.len() as u64;
                    at_most(LIFECYCLES_MAX, "life cycles in a channel", there)?;
                }
                None => at_most(CHANNELS_MAX, "channels", it.world.channels.len() as u64)?,
            }
            let event = LifecycleAdopted { version, digest, text: text.to_owned() };
            Ok(Decided::one(Subject::lifecycle(channel), Event::LifecycleAdopted(event)))
        }
    }
}

/// The life cycle's defaults and what the site puts over them, when that differs from what was
/// recorded last.
pub(super) fn adopt_settings(
    it: &Deciding<'_>,
    overrides: &BTreeMap<String, String>,
) -> Result<Decided, Rejection> {
    it.operator()?;
    let state = it.channel().ok_or(Rejection::NoLifecycle)?;
    let in_force = state.newest().ok_or(Rejection::NoLifecycle)?;
    let settings = Settings::override_with(in_force.lifecycle.default_settings(), overrides)
        .map_err(|problem| Rejection::SettingBad(problem.to_string()))?;
    let values = settings.to_texts();
    if state.settings_number > 0 && state.settings == values {
        return Ok(Decided::nothing());
    }
    let event = SettingsAdopted { number: state.settings_number + 1, values };
    Ok(Decided::one(Subject::settings(&it.command.channel), Event::SettingsAdopted(event)))
}
