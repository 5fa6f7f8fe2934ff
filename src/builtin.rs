//! The channels that docket serves without being told of any, and their life cycles.

use events::Channel;

/// The life cycles that come with docket, by channel.
const LIFECYCLES: &[(&str, &str)] = &[
    ("native", include_str!("../schemas/lifecycles/native.toml")),
    ("bookstore", include_str!("../schemas/lifecycles/bookstore.toml")),
];

/// Life cycles of order APIs that have no calls here yet: they can be read and drawn.
const UNSERVED: &[(&str, &str)] = &[
    ("printing", include_str!("../schemas/lifecycles/printing.toml")),
    ("gift_card", include_str!("../schemas/lifecycles/gift_card.toml")),
    ("meiduo", include_str!("../schemas/lifecycles/meiduo.toml")),
    ("yf_mall", include_str!("../schemas/lifecycles/yf_mall.toml")),
];

/// The channels that docket serves without being told of any.
pub fn builtin_channels() -> Vec<Channel> {
    let names = LIFECYCLES.iter().map(|(name, _)| Channel::new(name));
    names.collect::<Result<_, _>>().expect("their names are short")
}

/// The life-cycle file of a channel that docket comes with, served or not.
pub fn builtin_lifecycle(channel: &Channel) -> Option<&'static str> {
    LIFECYCLES
        .iter()
        .chain(UNSERVED)
        .find(|(name, _)| *name == channel.as_str())
        .map(|(_, text)| *text)
}
