//! What a channel decides by: its life cycle and its settings.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Digest;

/// The life cycle of a channel for orders placed from here on. Open orders keep theirs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LifecycleAdopted {
    /// Higher than any adopted before in this channel.
    pub version: u32,
    /// SHA-256 of the text.
    pub digest: Digest,
    /// The whole life-cycle file.
    pub text: String,
}

/// The settings of a channel for decisions made from here on. Deadlines already set stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SettingsAdopted {
    /// 1, 2, 3 … in this channel.
    pub number: u32,
    /// Every setting with its value, as its life-cycle file would write it: `600s`, `7d`, `500`,
    /// `true`.
    pub values: BTreeMap<String, String>,
}
