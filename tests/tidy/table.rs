//! Which module may use which, and which crates.

/// A module inside `src/`, and what it and its children may use.
pub struct Row {
    pub module: &'static str,
    /// Modules of this crate; a parent's children are included.
    pub modules: &'static [&'static str],
    /// Crates, the standard library aside.
    pub crates: &'static [&'static str],
    /// What to do instead of using anything else.
    pub instead: &'static str,
}

/// Whatever there is.
pub const ANY: &[&str] = &["*"];

/// Who may use whom. The longest module that fits a file counts. A module may always use itself,
/// its children and, as its children may, what is beside them.
pub const TABLE: &[Row] = &[
    Row {
        module: "domain",
        modules: &[],
        // Of `serde` the derives: commands and refusals go from node to node.
        crates: &["events", "serde", "thiserror"],
        instead: "the core is pure: let ids, times and prices arrive in the command, and do what \
                  touches the world in `engine` or at the edge",
    },
    Row {
        module: "domain::lifecycle",
        modules: &["domain"],
        crates: &["events", "serde", "thiserror", "toml"],
        instead: "life cycles are read from their text alone; hand it in",
    },
    Row {
        module: "journal",
        modules: &[],
        // Of `rusqlite` the error, which `JournalError` keeps as its source.
        crates: &["events", "rusqlite", "serde", "serde_json", "thiserror", "tokio", "tracing"],
        instead: "a journal keeps commits and knows nothing of what they mean",
    },
    Row {
        module: "journal::memory",
        modules: &["journal"],
        crates: &["events", "serde_json", "tokio"],
        instead: "each journal has its own client and no other",
    },
    Row {
        module: "journal::kafka",
        modules: &["journal"],
        crates: &["events", "rdkafka", "serde", "serde_json", "tokio", "tracing"],
        instead: "each journal has its own client and no other",
    },
    Row {
        module: "journal::sqlite",
        modules: &["journal"],
        crates: &["events", "rusqlite", "serde_json", "thiserror", "tokio", "tracing"],
        instead: "each journal has its own client and no other",
    },
    Row {
        module: "engine",
        modules: &["domain", "journal"],
        crates: &[
            "chrono",
            "events",
            "metrics",
            "serde",
            "serde_json",
            "thiserror",
            "tokio",
            "tracing",
            "uuid",
        ],
        instead: "the writer decides and appends; what it needs arrives in the request",
    },
    Row {
        module: "cluster",
        modules: &["journal"],
        crates: &["events", "rdkafka", "thiserror", "thread_priority", "tokio", "tracing"],
        instead: "who may write is said here, and what is written elsewhere",
    },
    Row {
        module: "desk",
        modules: &["cluster", "domain", "engine", "inner"],
        crates: &["events", "tokio", "tracing"],
        instead: "the desk hands commands on; who decides is said in `node`",
    },
    Row {
        module: "feed",
        modules: &["journal"],
        crates: &["events", "thiserror"],
        instead: "the feed gives what was recorded as it was recorded",
    },
    Row {
        module: "keys",
        modules: &[],
        crates: &[
            "aes_gcm",
            "base64",
            "events",
            "getrandom",
            "hmac",
            "sha2",
            "thiserror",
            "uuid",
            "zeroize",
        ],
        instead: "the key ring reaches its store through `WrappedKeys`; implement that in `node`",
    },
    Row {
        module: "blobs",
        modules: &[],
        crates: &["events", "sha2", "thiserror", "uuid"],
        instead: "a blob is bytes under their digest; give them a meaning where they are used",
    },
    Row {
        module: "backup",
        modules: &["blobs", "engine", "journal", "keys"],
        crates: &["events", "rusqlite", "sha2", "thiserror"],
        instead: "a backup copies what is recorded and what goes with it; who asks for one, and what \
                  is printed, is in `operate`",
    },
    Row {
        module: "copy",
        modules: &["backup", "blobs", "journal", "keys"],
        crates: &["events", "thiserror", "tokio"],
        instead: "a copy goes from one journal to another, whatever keeps them; where they are, and \
                  what is printed, is in `operate`",
    },
    Row {
        module: "projector",
        modules: &["journal"],
        crates: &[
            "events",
            "metrics",
            "projections",
            "serde",
            "serde_json",
            "thiserror",
            "tokio",
            "tracing",
        ],
        instead: "views are folds of the journal and of nothing else",
    },
    Row {
        module: "http",
        modules: &["blobs", "desk", "domain", "engine", "feed", "keys", "projector"],
        crates: &[
            "argon2",
            "axum",
            "base64",
            "events",
            "form_urlencoded",
            "hmac",
            "http_body_util",
            "hyper",
            "hyper_util",
            "jsonwebtoken",
            "metrics",
            "percent_encoding",
            "projections",
            "schemars",
            "serde",
            "serde_json",
            "serde_path_to_error",
            "sha2",
            "thiserror",
            "tokio",
            "tower",
            "tower_http",
            "tracing",
            "uuid",
        ],
        instead: "give a command to `desk::Desk`, or ask a view of `projector::Views`",
    },
    Row {
        module: "inner",
        modules: &["engine", "keys"],
        crates: &[
            "axum",
            "events",
            "hmac",
            "http_body_util",
            "hyper",
            "hyper_util",
            "serde",
            "serde_json",
            "sha2",
            "thiserror",
            "tokio",
            "tracing",
            "zeroize",
        ],
        instead: "nodes tell each other what `inner::Service` says; implement that in `node`",
    },
    Row {
        module: "client",
        modules: &[],
        crates: &["anyhow", "axum", "http_body_util", "hyper_util", "serde_json", "tokio"],
        instead: "the client knows HTTP and JSON alone, as any client",
    },
    Row {
        module: "config",
        modules: &["builtin", "keys"],
        crates: &["events", "thiserror", "toml"],
        instead: "settings are texts with a kind; what they mean is said where they are used",
    },
    Row {
        module: "builtin",
        modules: &[],
        crates: &["events"],
        instead: "what comes with docket is named here and brought into force by `node`",
    },
    // What puts the parts together may use them all.
    Row { module: "node", modules: ANY, crates: ANY, instead: "" },
    Row { module: "operate", modules: ANY, crates: ANY, instead: "" },
    Row { module: "bench", modules: ANY, crates: ANY, instead: "" },
    Row { module: "demo", modules: ANY, crates: ANY, instead: "" },
    Row { module: "main", modules: ANY, crates: ANY, instead: "" },
    Row { module: "lib", modules: ANY, crates: &[], instead: "`lib.rs` only names the modules" },
];
