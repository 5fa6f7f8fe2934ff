//! Several nodes that are one docket: who decides, and which events all of them read.

use events::{ClusterUpgraded, Event, LEVEL, Subject, WriterOpened};

use super::{Caller, Decided, Deciding, Rejection};

/// Only docket itself knows that it decides.
pub(super) fn open_writer(it: &Deciding<'_>, opened: &WriterOpened) -> Result<Decided, Rejection> {
    match it.command.caller {
        Caller::System => Ok(Decided::one(Subject::cluster(), Event::WriterOpened(opened.clone()))),
        Caller::Timer | Caller::Login(_) | Caller::Token { .. } | Caller::Somebody { .. } => {
            Err(Rejection::Forbidden)
        }
    }
}

/// A level that is in force already changes nothing; none is ever taken back.
pub(super) fn upgrade(it: &Deciding<'_>, level: u32) -> Result<Decided, Rejection> {
    it.site_operator()?;
    let current = it.world.level;
    if level > LEVEL || level < current {
        let reason = format!("must be from {current}, which is in force, to {LEVEL}, not {level}");
        return Err(Rejection::Invalid { field: "level".into(), reason });
    }
    if level == current {
        return Ok(Decided::nothing());
    }
    Ok(Decided::one(Subject::cluster(), Event::ClusterUpgraded(ClusterUpgraded { level })))
}
