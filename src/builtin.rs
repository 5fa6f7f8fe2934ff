//! The channels that docket serves without being told of any, and their life cycles.

use events::Channel;

/// The life cycles that come with docket, by channel.
const LIFECYCLES: &[(&str, &str)] = &[
    ("native", include_str!("../schemas/lifecycles/native.toml")),
    ("bookstore", include_str!("../schemas/lifecycles/bookstore.toml")),
];

/// The channels that docket serves without being told of any.
pub fn builtin_channels() -> Vec<Channel> {
    let names = LIFECYCLES.iter().map(|(name, _)| Channel::new(name));
    names.collect::<Result<_, _>>().expect("their names are short")
}

/// The life-cycle file of a channel that docket comes with.
pub fn builtin_lifecycle(channel: &Channel) -> Option<&'static str> {
    LIFECYCLES.iter().find(|(name, _)| *name == channel.as_str()).map(|(_, text)| *text)
}
