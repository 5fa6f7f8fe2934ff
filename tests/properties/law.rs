//! The life cycles that the documents draw, in the documents' own notation and written from them,
//! not from the code or its files: a row a line, the first that fits is what happens.
//!
//! ```text
//! command (methods) facets from by → to stock money deadlines event
//! ```
//! `p` is the deadline of the payment, `r` that of the receipt. Whoever may do a thing from now on
//! is one more word in a row here.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    sync::LazyLock,
};

use docket::{
    builtin::builtin_lifecycle,
    domain::lifecycle::{MoneyWord, Word},
};
use events::{By, Channel, Method, Phase, StockWord};
use serde::de::DeserializeOwned;

/// The two that docket serves, and one that an operator adds at run time.
pub const CHANNELS: [&str; 3] = ["bookstore", "native", "stall"];

const BOOKSTORE: &str = "
place New buyer → AwaitingPayment reserve p=set
pay AwaitingPayment buyer → Paid hold p=clear
cancel AwaitingPayment buyer → Cancelled return p=clear
cancel Paid buyer → Cancelled return, refund
expire AwaitingPayment timer → Cancelled return p=clear
ship Paid seller → Shipped consume r=set
receive Shipped buyer, timer → Completed release r=clear
";

const NATIVE: &str = "
place New buyer → AwaitingPayment reserve p=set
pay (wallet) AwaitingPayment buyer → Paid hold p=clear
cancel AwaitingPayment buyer, seller, operator → Cancelled return p=clear
expire AwaitingPayment timer → Cancelled return p=clear
cancel Paid seller, operator → Cancelled return, refund
ship Paid seller → Shipped consume r=set
receive Shipped buyer, timer → Completed release r=clear
";

/// Nobody confirms a receipt but the buyer, and sellers may call off what is not paid.
const BOOKSTORE_2: &str = "
place New buyer → AwaitingPayment reserve p=set
pay AwaitingPayment buyer → Paid hold p=clear
cancel AwaitingPayment buyer, seller → Cancelled return p=clear
cancel Paid buyer → Cancelled return, refund
expire AwaitingPayment timer → Cancelled return p=clear
ship Paid seller → Shipped consume
receive Shipped buyer → Completed release
";

/// Staff may place and ship, the buyer may call off what is paid, and what is not there yet can be
/// ordered all the same.
const NATIVE_2: &str = "
place stock=short New buyer, staff → Preparing
place New buyer, staff → AwaitingPayment reserve p=set
prepare stock=available Preparing seller → AwaitingPayment reserve p=set
cancel Preparing buyer, seller, staff, operator → Cancelled
pay (wallet) AwaitingPayment buyer → Paid hold p=clear
pay (bank) AwaitingPayment operator → Paid capture p=clear
cancel AwaitingPayment buyer, seller, staff, operator → Cancelled return p=clear
expire AwaitingPayment timer → Cancelled return p=clear
cancel Paid buyer, seller, operator → Cancelled return, refund
ship Paid seller, staff → Shipped consume r=set
receive Shipped buyer, timer → Completed release r=clear
";

/// Everybody who can be something to an order, every word that docket records, and every facet
/// that it learns. What is paid at the till is taken from the shelf when it is handed out.
const STALL: &str = "
place (on_delivery) New buyer, staff → Preparing reserve
place (at_store) New buyer, seller, staff, operator → AwaitingPayment p=set
place New buyer, seller, staff, operator → AwaitingPayment reserve p=set
pay (wallet) AwaitingPayment buyer → Paid hold p=clear
pay (online) AwaitingPayment gateway → Paid capture p=clear
pay (bank) AwaitingPayment staff, operator → Paid capture p=clear
pay (at_store) AwaitingPayment staff, operator → Ready capture p=clear
cancel (at_store) AwaitingPayment buyer, seller, staff, operator → Cancelled p=clear
cancel AwaitingPayment buyer, seller, staff, operator → Cancelled return p=clear
cancel Preparing buyer, seller, staff → Cancelled return
cancel (at_store) Ready staff, operator → Rejected refund event=order.rejected
cancel Ready staff, operator → Rejected return, refund event=order.rejected
expire (at_store) AwaitingPayment timer → Cancelled p=clear
expire AwaitingPayment timer → Cancelled return p=clear
prepare Paid seller, staff → Ready
ship (at_store) stock=short Ready seller, staff → DeliveryFailed event=order.delivery_failed
ship (at_store) Ready seller, staff → Completed reserve, consume, release
ship [Ready, Preparing] seller → Shipped consume r=set
ship (at_store) stock=available DeliveryFailed seller → Ready event=order.prepared
ship (wallet, online, bank, on_delivery) DeliveryFailed seller → Shipped r=set
confirm_delivery payment=none Shipped gateway → Completed capture, release r=clear
confirm_delivery Shipped gateway → Completed release r=clear
fail_delivery Shipped gateway → DeliveryFailed r=clear
cancel payment=none DeliveryFailed operator → Cancelled
cancel payment=captured DeliveryFailed operator → Cancelled refund
request_refund (wallet, online, bank) [Paid, Ready] buyer, operator → Refunding
confirm_refund Refunding gateway, operator → Refunded return, refund
receive payment=none Shipped buyer, staff, timer → Completed capture, release r=clear
receive Shipped buyer, staff, timer → Completed release r=clear
";

/// No refund is asked for any more, and only accounts place.
const STALL_2: &str = "
place (on_delivery) New buyer → Preparing reserve
place (at_store) New buyer → AwaitingPayment p=set
place New buyer → AwaitingPayment reserve p=set
pay (wallet) AwaitingPayment buyer → Paid hold p=clear
pay (online) AwaitingPayment gateway → Paid capture p=clear
pay (bank) AwaitingPayment staff, operator → Paid capture p=clear
pay (at_store) AwaitingPayment staff, operator → Ready capture p=clear
cancel (at_store) AwaitingPayment buyer, seller, staff, operator → Cancelled p=clear
cancel AwaitingPayment buyer, seller, staff, operator → Cancelled return p=clear
cancel Preparing buyer, seller, staff → Cancelled return
cancel (at_store) Ready buyer, staff, operator → Cancelled refund
cancel [Paid, Ready] buyer, staff, operator → Cancelled return, refund
expire (at_store) AwaitingPayment timer → Cancelled p=clear
expire AwaitingPayment timer → Cancelled return p=clear
prepare Paid seller, staff → Ready
ship (at_store) stock=available Ready seller, staff → Completed reserve, consume, release
ship (wallet, online, bank, on_delivery) [Ready, Preparing] seller → Shipped consume r=set
ship DeliveryFailed seller → Shipped r=set
fail_delivery Shipped gateway → DeliveryFailed r=clear
cancel payment=none DeliveryFailed operator → Cancelled
cancel DeliveryFailed operator → Cancelled refund
receive payment=none Shipped buyer, staff, timer → Completed capture, release r=clear
receive Shipped buyer, staff, timer → Completed release r=clear
";

/// Every life cycle that may come into force here. The last column: where an open order of an
/// earlier version cannot go on, because nothing leads out or a deadline is unknown.
static LAWS: LazyLock<Vec<Law>> = LazyLock::new(|| {
    use Phase::{Refunding, Shipped};
    vec![
        Law::new("bookstore", 1, BOOKSTORE, "600s", &[]),
        Law::new("bookstore", 2, BOOKSTORE_2, "300s", &[Shipped]),
        Law::new("native", 1, NATIVE, "600s", &[]),
        Law::new("native", 2, NATIVE_2, "900s", &[]),
        Law::new("stall", 1, STALL, "600s", &[]),
        Law::new("stall", 2, STALL_2, "600s", &[Refunding]),
    ]
});

/// A life cycle.
pub struct Law {
    pub channel: Channel,
    pub version: u32,
    pub rows: Vec<Row>,
    /// Each setting and its default.
    pub settings: BTreeMap<&'static str, &'static str>,
    /// Where orders are that cannot move to it.
    pub stuck: &'static [Phase],
    /// The file that says the same.
    pub text: String,
}

/// One row.
#[derive(Debug)]
pub struct Row {
    pub word: Word,
    /// None where it does not matter how an order is to be paid.
    pub methods: Vec<Method>,
    /// Whether money must have come, where that matters.
    pub paid: Option<bool>,
    /// Whether all that is still to be taken must lie on the shelf, where that matters.
    pub available: Option<bool>,
    /// None for an order that does not exist yet.
    pub from: Vec<Phase>,
    pub by: Vec<By>,
    pub to: Phase,
    pub stock: Vec<StockWord>,
    pub money: Vec<MoneyWord>,
    /// What is set, or cleared.
    pub deadlines: Vec<(&'static str, bool)>,
    /// What its event is called.
    pub event: &'static str,
    /// Whether that is not what the command's events are called.
    renamed: bool,
}

/// What rows ask about an order.
#[derive(Debug, Clone, Copy)]
pub struct Facets {
    pub method: Method,
    pub paid: bool,
    pub available: bool,
}

impl Facets {
    /// Of an order that is not there yet, or of which nothing else matters.
    pub fn new(method: Method) -> Self {
        Self { method, paid: false, available: true }
    }
}

impl Law {
    pub fn of(channel: &Channel, version: u32) -> &'static Self {
        let found = LAWS.iter().find(|it| it.channel == *channel && it.version == version);
        found.unwrap_or_else(|| panic!("{channel} has no version {version}"))
    }

    /// The one that a file says, if it is sound.
    pub fn reading(channel: &Channel, text: &str) -> Option<&'static Self> {
        LAWS.iter().find(|it| it.channel == *channel && text.starts_with(&it.text))
    }

    /// The row for a command, if one fits.
    pub fn find(&self, word: Word, from: Option<Phase>, facets: Facets, by: &[By]) -> Option<&Row> {
        self.rows.iter().find(|row| {
            let stands = match from {
                Some(from) => row.from.contains(&from),
                None => row.from.is_empty(),
            };
            row.word == word
                && stands
                && row.fits(facets)
                && row.by.iter().any(|may| by.contains(may))
        })
    }

    /// The row that an event of this kind tells of, if one may.
    pub fn told(&self, kind: &str, from: Option<Phase>, facets: Facets, by: By) -> Option<&Row> {
        let words = self.rows.iter().filter(|row| row.event == kind).map(|row| row.word);
        let mut found = words.filter_map(|word| self.find(word, from, facets, &[by]));
        found.find(|row| row.event == kind)
    }

    /// The setting that says when a deadline is due.
    pub fn after(deadline: &str) -> &'static str {
        match deadline {
            "pay" => "pay_within",
            "receive" => "receive_within",
            other => panic!("there is no deadline {other}"),
        }
    }

    fn new(
        channel: &str,
        version: u32,
        rows: &'static str,
        pay_within: &'static str,
        stuck: &'static [Phase],
    ) -> Self {
        let channel = Channel::new(channel).unwrap();
        let rows: Vec<Row> = rows.trim().lines().map(Row::read).collect();
        let mut settings =
            BTreeMap::from([("pay_within", pay_within), ("max_lines", "500"), ("key_ttl", "24h")]);
        if rows.iter().any(|row| row.deadlines.contains(&("receive", true))) {
            settings.insert("receive_within", "7d");
        }
        if channel.as_str() == "stall" {
            settings.insert("after_sale", "2h"); // How long what is over is kept in memory.
        }
        let builtin = builtin_lifecycle(&channel).filter(|_| version == 1).map(str::to_owned);
        let text = builtin.unwrap_or_else(|| file(version, &settings, &rows));
        Self { channel, version, rows, settings, stuck, text }
    }
}

impl Row {
    /// Whether it is for orders like this.
    pub fn fits(&self, facets: Facets) -> bool {
        (self.methods.is_empty() || self.methods.contains(&facets.method))
            && self.paid.is_none_or(|it| it == facets.paid)
            && self.available.is_none_or(|it| it == facets.available)
    }

    fn read(line: &'static str) -> Self {
        let (asked, done) = line.split_once(" → ").unwrap();
        let (word, mut rest) = asked.split_once(' ').unwrap();
        let mut methods = Vec::new();
        if let Some((inside, behind)) = rest.strip_prefix('(').and_then(|it| it.split_once(") ")) {
            (methods, rest) = (inside.split(", ").map(value).collect(), behind);
        }
        let words = |text: &'static str| {
            let split = text.split([' ', ',', '[', ']']);
            split.filter(|word| !word.is_empty() && *word != "New").collect::<Vec<_>>()
        };
        let is_phase = |word: &&str| word.starts_with(char::is_uppercase);
        let (asked, rest): (Vec<_>, Vec<_>) =
            words(rest).into_iter().partition(|word| word.contains('='));
        let (from, by): (Vec<_>, Vec<_>) = rest.into_iter().partition(is_phase);
        let word = Word::parse(word).unwrap();
        let mut row = Self {
            word,
            methods,
            paid: None,
            available: None,
            from: from.into_iter().map(value).collect(),
            by: by.into_iter().map(value).collect(),
            to: value(words(done)[0]),
            stock: Vec::new(),
            money: Vec::new(),
            deadlines: Vec::new(),
            event: kind(word),
            renamed: false,
        };
        for facet in asked {
            match facet {
                "payment=captured" => row.paid = Some(true),
                "payment=none" => row.paid = Some(false),
                "stock=available" => row.available = Some(true),
                "stock=short" => row.available = Some(false),
                other => panic!("{other:?} is no facet"),
            }
        }
        for word in &words(done)[1..] {
            match *word {
                "p=set" => row.deadlines.push(("pay", true)),
                "p=clear" => row.deadlines.push(("pay", false)),
                "r=set" => row.deadlines.push(("receive", true)),
                "r=clear" => row.deadlines.push(("receive", false)),
                word => match (word.strip_prefix("event="), MoneyWord::parse(word)) {
                    (Some(event), _) => (row.event, row.renamed) = (event, true),
                    (None, Some(money)) => row.money.push(money),
                    (None, None) => row.stock.push(value(word)),
                },
            }
        }
        row
    }
}

/// What the events of a command are called.
fn kind(word: Word) -> &'static str {
    match word {
        Word::Place => "order.placed",
        Word::Pay => "order.paid",
        Word::Prepare => "order.prepared",
        Word::Ship => "order.shipped",
        Word::ConfirmDelivery => "order.delivered",
        Word::FailDelivery => "order.delivery_failed",
        Word::Receive => "order.received",
        Word::Cancel => "order.cancelled",
        Word::Expire => "order.expired",
        Word::RequestRefund => "order.refund_requested",
        Word::ConfirmRefund => "order.refunded",
        other => panic!("no row here has {other}"),
    }
}

/// What a word stands for in events.
fn value<T: DeserializeOwned>(word: &str) -> T {
    serde_json::from_value(word.into()).unwrap_or_else(|_| panic!("{word:?} is no word"))
}

/// Rows as a life-cycle file.
fn file(version: u32, settings: &BTreeMap<&str, &str>, rows: &[Row]) -> String {
    fn words<T: serde::Serialize>(words: impl IntoIterator<Item = T>) -> String {
        serde_json::to_string(&words.into_iter().collect::<Vec<_>>()).unwrap()
    }
    let mut text = format!("version = {version}\n[settings]\n");
    for (name, value) in settings {
        match value.parse::<i64>() {
            Ok(number) => writeln!(text, "{name} = {number}").unwrap(),
            Err(_) => writeln!(text, "{name} = {value:?}").unwrap(),
        }
    }
    let timed: HashMap<_, _> = [("pay", Word::Expire), ("receive", Word::Receive)].into();
    for name in ["pay", "receive"] {
        if rows.iter().any(|row| row.deadlines.contains(&(name, true))) {
            let (after, command) = (Law::after(name), timed[name]);
            writeln!(text, "[deadline.{name}]\nafter = {after:?}\ncommand = \"{command}\"")
                .unwrap();
        }
    }
    for row in rows {
        let from = if row.from.is_empty() { "[\"New\"]".to_owned() } else { words(&row.from) };
        writeln!(text, "[[on]]\ncommand = \"{}\"\nfrom = {from}", row.word).unwrap();
        writeln!(text, "by = {}\nto = \"{:?}\"", words(&row.by), row.to).unwrap();
        let mut when = Vec::new();
        if !row.methods.is_empty() {
            when.push(format!("method = {}", words(&row.methods)));
        }
        let payment = row.paid.map(|it| if it { "captured" } else { "none" });
        when.extend(payment.map(|it| format!("payment = {it:?}")));
        let stock = row.available.map(|it| if it { "available" } else { "short" });
        when.extend(stock.map(|it| format!("stock = {it:?}")));
        if !when.is_empty() {
            writeln!(text, "when = {{ {} }}", when.join(", ")).unwrap();
        }
        if row.renamed {
            writeln!(text, "event = {:?}", row.event).unwrap();
        }
        if !row.stock.is_empty() {
            writeln!(text, "stock = {}", words(&row.stock)).unwrap();
        }
        if !row.money.is_empty() {
            writeln!(text, "money = {}", words(row.money.iter().map(|it| it.as_str()))).unwrap();
        }
        if !row.deadlines.is_empty() {
            let changes = row
                .deadlines
                .iter()
                .map(|(name, set)| format!("{name} = {:?}", if *set { "set" } else { "clear" }));
            let changes = changes.collect::<Vec<_>>().join(", ");
            writeln!(text, "deadlines = {{ {changes} }}").unwrap();
        }
    }
    text
}
