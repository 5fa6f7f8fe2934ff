//! Several nodes that are one docket.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::NodeName;

/// A node decides from here on, and no other. It is the first event of the node's epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WriterOpened {
    /// What the node is called.
    pub node: NodeName,
    /// Where the other nodes reach it, `host:port`.
    pub address: NodeName,
}

/// Every node reads the events of this level: from here on they may be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterUpgraded {
    /// The level; higher than the one before, which is 1 where nothing says otherwise.
    pub level: u32,
}
