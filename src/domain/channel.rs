//! What a channel decides by comes into force through the journal, so that a replay and every
//! node agree on it.

use std::collections::BTreeMap;

use events::{Digest, Event, LifecycleAdopted, SettingsAdopted, Subject};

use super::{
    ChannelState, Decided, Deciding, Rejection,
    lifecycle::{Due, Lifecycle, Settings},
};

/// A higher version comes into force for orders placed from here on; the one in force already
/// changes nothing; any other is refused.
pub(super) fn adopt_lifecycle(
    it: &Deciding<'_>,
    digest: Digest,
    text: &str,
) -> Result<Decided, Rejection> {
    it.operator()?;
    let channel = &it.command.channel;
    let lifecycle = Lifecycle::parse(channel, text).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Rejection::LifecycleBad(lines.join("\n"))
    })?;
    recordable(&lifecycle).map_err(Rejection::LifecycleBad)?;
    let version = lifecycle.version();
    match it.channel().and_then(ChannelState::newest) {
        Some(known) if known.lifecycle.version() == version && known.digest == digest => {
            Ok(Decided::nothing())
        }
        Some(known) if known.lifecycle.version() >= version => {
            Err(Rejection::LifecycleOld { version, current: known.lifecycle.version() })
        }
        _ => {
            let event = LifecycleAdopted { version, digest, text: text.to_owned() };
            Ok(Decided::one(Subject::lifecycle(channel), Event::LifecycleAdopted(event)))
        }
    }
}

/// Whether this docket can record everything that a life cycle says.
fn recordable(lifecycle: &Lifecycle) -> Result<(), String> {
    let known = |kind: &str| events::KINDS.iter().any(|(known, _)| *known == kind);
    if let Some(kind) = lifecycle.event_kinds().find(|kind| !known(kind)) {
        return Err(format!(
            "this docket does not record {kind:?} yet; take out the rows that write it"
        ));
    }
    let dated = lifecycle.deadlines().find(|(_, rule)| matches!(rule.due, Due::At(_)));
    if let Some((name, _)) = dated {
        return Err(format!(
            "this docket keeps no dates with listings yet; deadline {name} needs one"
        ));
    }
    Ok(())
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
