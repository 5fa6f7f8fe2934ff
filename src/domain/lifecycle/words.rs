//! The words of the language: each a closed list, so that a file can combine them and nothing else.

use std::fmt;

use events::{By, Kind, Method, Phase, StockWord};

use super::next::DeadlineWord;

/// A closed list of words with the thing each stands for.
pub(super) trait Vocabulary: Copy + 'static {
    /// Every word, in the order in which a reader is told of them.
    const ALL: &'static [(&'static str, Self)];

    /// How a file writes it.
    fn word(self) -> &'static str;

    /// What a word stands for, if it is one of these.
    fn from_word(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(word, _)| *word == text).map(|(_, it)| *it)
    }

    /// All words, for a sentence that says which there are.
    fn words() -> String {
        Self::ALL.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")
    }
}

/// Gives an enum its words. The `match` inside fails to compile when a variant has none.
macro_rules! vocabulary {
    ($name:ident { $($variant:ident = $word:literal,)* }) => {
        impl Vocabulary for $name {
            const ALL: &'static [(&'static str, Self)] = &[$(($word, Self::$variant)),*];

            fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

/// Declares an enum together with its words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$about])* $variant,)*
        }

        impl $name {
            /// Each of them, in the order of the declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// How a life-cycle file writes it.
            pub fn as_str(self) -> &'static str {
                self.word()
            }

            /// What a word stands for; nothing where it is none of these.
            pub fn parse(word: &str) -> Option<Self> {
                Self::from_word(word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }

        vocabulary!($name { $($variant = $word,)* });
    };
}

words! {
    /// The name of a command on an order, as life cycles and `POST /v1/orders/{id}/{command}`
    /// write it.
    #[derive(serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    Word {
        /// An order comes to be.
        Place = "place",
        /// The payer is asked for the money.
        OpenPayment = "open_payment",
        /// The money has come.
        Pay = "pay",
        /// The seller asks for another price.
        AdjustPrice = "adjust_price",
        /// It is being made, or has been made, ready.
        Prepare = "prepare",
        /// It goes on its way.
        Ship = "ship",
        /// The carrier says that it has arrived.
        ConfirmDelivery = "confirm_delivery",
        /// The carrier says that it could not be delivered.
        FailDelivery = "fail_delivery",
        /// One code is used.
        Redeem = "redeem",
        /// The buyer has it.
        Receive = "receive",
        /// The buyer says what it was like.
        Evaluate = "evaluate",
        /// Somebody calls it off.
        Cancel = "cancel",
        /// Its time is over.
        Expire = "expire",
        /// The whole payment is to go back.
        RequestRefund = "request_refund",
        /// The whole payment has gone back.
        ConfirmRefund = "confirm_refund",
        /// Its risk is judged anew.
        Reclassify = "reclassify",
        /// A viewer hides it or shows it again.
        SetVisibility = "set_visibility",
        /// The buyer wants money back for part of it.
        OpenCase = "open_case",
        /// The buyer no longer wants that.
        WithdrawCase = "withdraw_case",
        /// The seller agrees.
        ApproveCase = "approve_case",
        /// The seller, or an operator, does not.
        RefuseCase = "refuse_case",
        /// The money goes back.
        SettleCase = "settle_case",
        /// The goods have come back.
        GoodsBack = "goods_back",
    }
}

impl Word {
    /// The kind of the event that the command writes where its row names no other.
    pub fn event_kind(self) -> &'static str {
        match self {
            Self::Place => "order.placed",
            Self::OpenPayment => "payment.opened",
            Self::Pay => "order.paid",
            Self::AdjustPrice => "order.repriced",
            Self::Prepare => "order.prepared",
            Self::Ship => "order.shipped",
            Self::ConfirmDelivery => "order.delivered",
            Self::FailDelivery => "order.delivery_failed",
            Self::Redeem => "order.code_redeemed",
            Self::Receive => "order.received",
            Self::Evaluate => "order.evaluated",
            Self::Cancel => "order.cancelled",
            Self::Expire => "order.expired",
            Self::RequestRefund => "order.refund_requested",
            Self::ConfirmRefund => "order.refunded",
            Self::Reclassify => "order.reclassified",
            Self::SetVisibility => "order.visibility_set",
            Self::OpenCase => "order.case_opened",
            Self::WithdrawCase => "order.case_withdrawn",
            Self::ApproveCase => "order.case_approved",
            Self::RefuseCase => "order.case_refused",
            Self::SettleCase => "order.case_settled",
            Self::GoodsBack => "order.goods_returned",
        }
    }

    /// Who calls it where it is about an after-sale case; nobody where it is not. Files have no
    /// rows for these: the case machine is code, and a file only says what it may be applied to.
    pub(super) fn case_callers(self) -> &'static [By] {
        match self {
            Self::OpenCase | Self::WithdrawCase => &[By::Buyer],
            Self::ApproveCase | Self::GoodsBack => &[By::Seller],
            Self::RefuseCase => &[By::Seller, By::Operator],
            Self::SettleCase => &[By::Operator],
            _ => &[],
        }
    }
}

/// What a row may say with `event = "…"`: the steps of an order that carry nothing but the step.
pub(super) const STEP_KINDS: &[&str] = &[
    "order.prepared",
    "order.shipped",
    "order.delivered",
    "order.delivery_failed",
    "order.received",
    "order.cancelled",
    "order.expired",
    "order.refund_requested",
    "order.refunded",
    "order.rejected",
];

words! {
    /// One thing a command is checked for. The declaration's order is the default one.
    Check {
        /// The account exists.
        Account = "account",
        /// Its password or token is good.
        Credential = "credential",
        /// The store exists, and the caller may act in it.
        Store = "store",
        /// The order exists.
        Known = "known",
        /// The caller is something to the order, see [`Lifecycle::roles`](super::Lifecycle::roles).
        Own = "own",
        /// A row allows it, see [`next`](super::next).
        Phase = "phase",
        /// Each line is on sale, and in stock where it is reserved.
        Lines = "lines",
        /// The payer has the money.
        Funds = "funds",
    }
}

words! {
    /// Which way money goes.
    MoneyWord {
        /// From the buyer's wallet to what is held for the order.
        Hold = "hold",
        /// From outside (a gateway, cash, a transfer) to what is held for the order.
        Capture = "capture",
        /// What is still held, less commission, to the seller's wallet.
        Release = "release",
        /// What is still held, back to where it came from.
        Refund = "refund",
    }
}

words! {
    /// What becomes of money that comes after the order is closed.
    Late {
        /// It goes back at once.
        Refund = "refund",
        /// It waits for an operator.
        Hold = "hold",
    }
}

words! {
    /// What an after-sale case is about.
    CaseKind {
        /// Money back before anything was sent.
        Money = "money",
        /// Money back for goods that are sent back.
        Goods = "goods",
        /// Money back for codes that were not used.
        Virtual = "virtual",
    }
}

words! {
    /// How much money a case is about.
    Amount {
        /// The whole line's; the freight too when it is the last line to be refunded.
        Line = "line",
        /// So many units of a line, rounded down; never freight.
        Units = "units",
        /// The codes of a line that are not used.
        Codes = "codes",
    }
}

words! {
    /// Whether money has come for an order.
    Payment {
        /// Not yet.
        None = "none",
        /// It was held or captured, wherever it is now.
        Captured = "captured",
    }
}

words! {
    /// What is thought of an order's honesty.
    Risk {
        /// Nobody has looked.
        None = "none",
        /// Honest.
        Ok = "ok",
        /// To be looked at by a human.
        Doubtful = "doubtful",
        /// A fraud.
        Cheated = "cheated",
    }
}

words! {
    /// Whether all that is still to be taken for the order lies on the shelf.
    Stock {
        /// It does.
        Available = "available",
        /// It does not.
        Short = "short",
    }
}

words! {
    /// What is sent to the buyer of a gift card.
    Delivers {
        /// A serial from stock.
        Serial = "serial",
        /// A card made by its issuer.
        Card = "card",
        /// Nothing: it is done at once.
        Nothing = "nothing",
    }
}

words! {
    /// What becomes of codes that nobody used in time.
    OnExpiry {
        /// Their money goes back to the buyer.
        Refund = "refund",
        /// Their money goes to the seller.
        Keep = "keep",
    }
}

vocabulary!(Phase {
    AwaitingPayment = "AwaitingPayment",
    Paid = "Paid",
    Preparing = "Preparing",
    Ready = "Ready",
    Shipped = "Shipped",
    DeliveryFailed = "DeliveryFailed",
    Received = "Received",
    Completed = "Completed",
    Cancelled = "Cancelled",
    Refunding = "Refunding",
    Refunded = "Refunded",
    Rejected = "Rejected",
});

vocabulary!(By {
    Buyer = "buyer",
    Seller = "seller",
    Staff = "staff",
    Operator = "operator",
    Gateway = "gateway",
    Timer = "timer",
});

vocabulary!(Kind { Physical = "physical", Virtual = "virtual", PickUp = "pick_up", });

vocabulary!(Method {
    Wallet = "wallet",
    Online = "online",
    Bank = "bank",
    OnDelivery = "on_delivery",
    AtStore = "at_store",
});

vocabulary!(StockWord { Reserve = "reserve", Consume = "consume", Return = "return", });

vocabulary!(DeadlineWord { Set = "set", Clear = "clear", });
