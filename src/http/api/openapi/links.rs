//! What an answer leads to: which call goes on from it, and what of the answer that call is given.

use serde_json::{Map, Value, json};

/// One call that goes on from the success of another.
struct Link {
    /// The operation that was answered.
    from: &'static str,
    /// The operations that go on from it.
    to: &'static [&'static str],
    /// Their parameters, and where each is to be found.
    with: &'static [(&'static str, &'static str)],
}

const LINKS: &[Link] = &[
    Link {
        from: "create_account",
        to: &["account", "account_wallet", "charge_wallet", "forget"],
        with: &[("id", "$response.body#/account")],
    },
    Link {
        from: "open_store",
        to: &["store", "listings", "add_listing"],
        with: &[("store", "$response.body#/store")],
    },
    Link {
        from: "add_listing",
        to: &["listing", "add_stock"],
        with: &[("store", "$response.body#/store"), ("sku", "$response.body#/sku")],
    },
    Link {
        from: "place_order",
        to: &["order", "history", "step"],
        with: &[("id", "$response.body#/id")],
    },
    Link { from: "step", to: &["order", "history", "step"], with: &[("id", "$request.path.id")] },
    Link { from: "issue_token", to: &["revoke_token"], with: &[("name", "$response.body#/name")] },
    Link { from: "place_order", to: COMMAND, with: RECEIPT },
    Link { from: "step", to: COMMAND, with: RECEIPT },
    Link { from: "charge_wallet", to: COMMAND, with: RECEIPT },
    Link { from: "add_stock", to: COMMAND, with: RECEIPT },
    Link { from: "adopt_lifecycle", to: COMMAND, with: RECEIPT },
    Link { from: "revoke_token", to: COMMAND, with: RECEIPT },
];

const COMMAND: &[&str] = &["command"];
const RECEIPT: &[(&str, &str)] = &[("id", "$response.body#/command")];

/// The links of an operation's success, by the operation that each leads to.
pub(super) fn of(operation: &str) -> Map<String, Value> {
    let of_it = LINKS.iter().filter(|link| link.from == operation);
    let links = of_it.flat_map(|link| link.to.iter().map(|to| (*to, link.with)));
    links
        .map(|(to, with)| {
            let parameters: Map<String, Value> =
                with.iter().map(|(name, found)| ((*name).to_owned(), json!(found))).collect();
            (to.to_owned(), json!({ "operationId": to, "parameters": parameters }))
        })
        .collect()
}
