//! What a `when` may ask about an order, and how its answers are compared: every answer is a bit,
//! so a row's condition is one mask and a comparison is one instruction.

use std::fmt;

use events::{By, Kind, Method, Phase};

use super::words::{CaseKind, Delivers, OnExpiry, Payment, Risk, Stock, Vocabulary};

/// What is known of an order apart from its phase.
///
/// The facts of an order change with the commands that are about them. A caller of
/// [`next`](super::next) gives them as they are **once the command's own fact counts**: the code
/// used, the review written, the verdict changed, the case settled. What the *row* does comes
/// after: `payment` is what it was before this command's money moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facets {
    /// How it reaches the buyer.
    pub kind: Kind,
    /// How it is to be paid.
    pub method: Method,
    /// Whether money has come, before this command.
    pub payment: Payment,
    /// What is thought of its honesty.
    pub risk: Risk,
    /// Whether what it still needs lies on the shelf.
    pub stock: Stock,
    /// What is sent.
    pub delivers: Delivers,
    /// Whether an after-sale case is open.
    pub case_open: bool,
    /// What the case is about that the command is about; `None` for all other commands.
    pub case: Option<CaseKind>,
    /// Whether each code is used or invalid, and at least one is used.
    pub codes_all_used: bool,
    /// Whether every line is refunded.
    pub lines_all_refunded: bool,
    /// Whether every line is reviewed.
    pub every_line_reviewed: bool,
    /// What becomes of its codes when their time is over.
    pub on_expiry: OnExpiry,
}

impl Default for Facets {
    /// A parcel paid from a wallet, of which nothing else is known yet.
    fn default() -> Self {
        Self {
            kind: Kind::Physical,
            method: Method::Wallet,
            payment: Payment::None,
            risk: Risk::None,
            stock: Stock::Available,
            delivers: Delivers::Nothing,
            case_open: false,
            case: None,
            codes_all_used: false,
            lines_all_refunded: false,
            every_line_reviewed: false,
            on_expiry: OnExpiry::Keep,
        }
    }
}

impl Facets {
    /// One bit in each dimension: the answer.
    pub(super) fn answers(&self) -> Answers {
        let bits = [
            (KIND, self.kind as u32),
            (METHOD, self.method as u32),
            (PAYMENT, self.payment as u32),
            (RISK, self.risk as u32),
            (STOCK, self.stock as u32),
            (DELIVERS, self.delivers as u32),
            (CASES, u32::from(self.case_open)),
            (CODES, u32::from(!self.codes_all_used)),
            (LINES, u32::from(!self.lines_all_refunded)),
            (REVIEWS, u32::from(!self.every_line_reviewed)),
            (ON_EXPIRY, self.on_expiry as u32),
            (CASE, self.case.map_or(0, |kind| kind as u32 + 1)),
        ];
        Answers(bits.iter().fold(0, |all, (dimension, value)| all | dimension.bit(*value)))
    }
}

/// Answers, as bits. In a question several bits of a dimension are those of which any will do;
/// about an order exactly one in each is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Answers(pub u64);

impl Answers {
    /// Whatever the answers are.
    pub const ANY: Self = Self((1 << WIDTH) - 1);

    /// Whether whatever these take the others take too.
    pub fn within(self, wider: Self) -> bool {
        self.0 & !wider.0 == 0
    }

    /// What both take.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether nothing is asked in this dimension.
    pub fn ignores(self, dimension: &Dimension) -> bool {
        self.0 & dimension.mask() == dimension.mask()
    }
}

/// A name of `when`: where its answers lie among the bits, and their words.
#[derive(Debug)]
pub(super) struct Dimension {
    /// As `when` writes it.
    pub name: &'static str,
    shift: u32,
    /// How many answers there are.
    pub width: u32,
    /// Whether the answer stays the same for the whole life of an order.
    pub constant: bool,
    word: fn(u32) -> &'static str,
    /// Answers that a file can ask for: fewer than there are where only one is worth asking for.
    asked: u32,
}

impl Dimension {
    /// The bit of one answer.
    pub fn bit(&self, value: u32) -> u64 {
        1 << (self.shift + value)
    }

    /// All its bits.
    pub fn mask(&self) -> u64 {
        ((1 << self.width) - 1) << self.shift
    }

    /// The word of an answer.
    pub fn word(&self, value: u32) -> &'static str {
        (self.word)(value)
    }

    /// The answer that a word stands for.
    pub fn value(&self, word: &str) -> Option<u32> {
        (0..self.asked).find(|value| (self.word)(*value) == word)
    }

    /// Whether a `when` may name it.
    pub fn is_asked(&self) -> bool {
        self.asked > 0
    }

    /// All words a file can ask for.
    pub fn words(&self) -> impl Iterator<Item = &'static str> + use<> {
        (0..self.asked).map(self.word)
    }
}

const fn word_of<T: Vocabulary>() -> fn(u32) -> &'static str {
    |value| T::ALL[value as usize].0
}

pub(super) const KIND: Dimension = Dimension {
    name: "kind",
    shift: 0,
    width: 3,
    constant: true,
    word: word_of::<Kind>(),
    asked: 3,
};
pub(super) const METHOD: Dimension = Dimension {
    name: "method",
    shift: 3,
    width: 5,
    constant: true,
    word: word_of::<Method>(),
    asked: 5,
};
const DELIVERS: Dimension = Dimension {
    name: "delivers",
    shift: 8,
    width: 3,
    constant: true,
    word: word_of::<Delivers>(),
    asked: 3,
};
const ON_EXPIRY: Dimension = Dimension {
    name: "on_expiry",
    shift: 11,
    width: 2,
    constant: true,
    word: word_of::<OnExpiry>(),
    asked: 2,
};
pub(super) const PAYMENT: Dimension = Dimension {
    name: "payment",
    shift: 13,
    width: 2,
    constant: false,
    word: word_of::<Payment>(),
    asked: 2,
};
const RISK: Dimension = Dimension {
    name: "risk",
    shift: 15,
    width: 4,
    constant: false,
    word: word_of::<Risk>(),
    asked: 4,
};
pub(super) const STOCK: Dimension = Dimension {
    name: "stock",
    shift: 19,
    width: 2,
    constant: false,
    word: word_of::<Stock>(),
    asked: 2,
};
const CASES: Dimension = Dimension {
    name: "cases",
    shift: 21,
    width: 2,
    constant: false,
    word: |value| ["none_open", "open"][value as usize],
    asked: 2,
};
pub(super) const CODES: Dimension = Dimension {
    name: "codes",
    shift: 23,
    width: 2,
    constant: false,
    word: |_| "all_used",
    asked: 1,
};
pub(super) const LINES: Dimension = Dimension {
    name: "lines",
    shift: 25,
    width: 2,
    constant: false,
    word: |_| "all_refunded",
    asked: 1,
};
const REVIEWS: Dimension = Dimension {
    name: "reviews",
    shift: 27,
    width: 2,
    constant: false,
    word: |_| "every_line",
    asked: 1,
};
/// What the command's case is about. No `when` asks for it: a `[case.<kind>]` table does.
pub(super) const CASE: Dimension = Dimension {
    name: "case",
    shift: 29,
    width: 4,
    constant: false,
    word: |value| ["no case", "money", "goods", "virtual"][value as usize],
    asked: 0,
};
const WIDTH: u32 = 33;

/// All dimensions, those a `when` may name first.
pub(super) const DIMENSIONS: [Dimension; 12] =
    [KIND, METHOD, PAYMENT, RISK, STOCK, DELIVERS, CASES, CODES, LINES, REVIEWS, ON_EXPIRY, CASE];

/// A set of phases, the one before an order exists among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Phases(pub u16);

impl Phases {
    /// The word for the phase of an order that does not exist yet.
    pub const NEW: &'static str = "New";

    /// With one more.
    pub fn with(self, phase: Option<Phase>) -> Self {
        Self(self.0 | Self::bit(phase))
    }

    /// Whether it is among them.
    pub fn has(self, phase: Option<Phase>) -> bool {
        self.0 & Self::bit(phase) != 0
    }

    /// Whether all of these are among the others.
    pub fn within(self, wider: Self) -> bool {
        self.0 & !wider.0 == 0
    }

    /// Each of them, in the order of a life.
    pub fn iter(self) -> impl Iterator<Item = Option<Phase>> {
        std::iter::once(None)
            .chain(Phase::ALL.into_iter().map(Some))
            .filter(move |phase| self.has(*phase))
    }

    fn bit(phase: Option<Phase>) -> u16 {
        1 << phase.map_or(0, |phase| phase as u16 + 1)
    }
}

/// A set of callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Callers(pub u8);

impl Callers {
    /// With one more.
    pub fn with(self, by: By) -> Self {
        Self(self.0 | 1 << by as u8)
    }

    /// Whether it is among them.
    pub fn has(self, by: By) -> bool {
        self.0 & (1 << by as u8) != 0
    }

    /// With all of the others.
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of these are among the others.
    pub fn within(self, wider: Self) -> bool {
        self.0 & !wider.0 == 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = By> {
        By::ALL.iter().map(|(_, by)| *by).filter(move |by| self.has(*by))
    }
}

impl fmt::Display for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.iter().map(Vocabulary::word).collect();
        f.write_str(&words.join(", "))
    }
}

/// A phase as files write it.
pub(super) fn phase_word(phase: Option<Phase>) -> &'static str {
    phase.map_or(Phases::NEW, Vocabulary::word)
}
