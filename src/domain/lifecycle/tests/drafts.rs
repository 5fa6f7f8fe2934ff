//! Life cycles of other shops, as short as TOML allows: what the language must be able to say.

pub const NATIVE: &str = r#"
version = 1
settings = { pay_within = "600s", receive_within = "7d" }
deadline.pay = { after = "pay_within", command = "expire" }
deadline.receive = { after = "receive_within", command = "receive" }
on = [
    { command = "place", from = "New", by = "buyer", to = "AwaitingPayment", stock = "reserve", deadlines.pay = "set" },
    { command = "pay", from = "AwaitingPayment", by = "buyer", when.method = "wallet", to = "Paid", money = "hold", deadlines.pay = "clear" },
    { command = "cancel", from = "AwaitingPayment", by = ["buyer", "seller", "operator"], to = "Cancelled", stock = "return", deadlines.pay = "clear" },
    { command = "expire", from = "AwaitingPayment", by = "timer", to = "Cancelled", stock = "return", deadlines.pay = "clear" },
    { command = "cancel", from = "Paid", by = ["seller", "operator"], to = "Cancelled", stock = "return", money = "refund" },
    { command = "ship", from = "Paid", by = "seller", to = "Shipped", stock = "consume", deadlines.receive = "set" },
    { command = "receive", from = "Shipped", by = ["buyer", "timer"], to = "Completed", money = "release", deadlines.receive = "clear" },
]
"#;

pub const PRINTING: &str = r#"
version = 1
late = "refund"
on = [
    { command = "place", from = "New", by = "buyer", to = "AwaitingPayment" },
    { command = "open_payment", from = "AwaitingPayment", by = "buyer" },
    { command = "pay", from = "AwaitingPayment", by = "gateway", to = "Paid", money = "capture" },
    { command = "cancel", from = "AwaitingPayment", by = "buyer", to = "Cancelled" },
    { command = "prepare", from = "Paid", by = "staff", to = "Ready" },
    { command = "receive", from = "Ready", by = "staff", to = "Completed", money = "release" },
    { command = "request_refund", from = "Paid", by = "operator", to = "Refunding" },
    { command = "confirm_refund", from = "Refunding", by = "gateway", to = "Refunded", money = "refund" },
]
"#;

pub const GIFT_CARD: &str = r#"
version = 1
settings = { auto_deliver = false }
on = [
    { command = "place", from = "New", by = "staff", to = "Preparing" },
    { command = "ship", from = ["Preparing", "DeliveryFailed"], by = "staff", when.risk = "cheated", to = "Rejected", event = "order.rejected" },
    { command = "ship", from = ["Preparing", "DeliveryFailed"], by = "staff", when = { risk = "ok", delivers = "nothing" }, to = "Completed", event = "order.delivered" },
    { command = "ship", from = ["Preparing", "DeliveryFailed"], by = "staff", when = { risk = "ok", stock = "available" }, to = "Shipped", stock = "reserve" },
    { command = "ship", from = ["Preparing", "DeliveryFailed"], by = "staff", when = { risk = "ok", stock = "short" }, to = "DeliveryFailed", note = "not enough inventory", event = "order.delivery_failed" },
    { command = "confirm_delivery", from = "Shipped", by = "gateway", to = "Completed", stock = "consume" },
    { command = "fail_delivery", from = "Shipped", by = "gateway", to = "DeliveryFailed", stock = "return" },
    { command = "reclassify", from = ["Preparing", "Shipped", "DeliveryFailed"], by = "staff" },
]
then = [
    { from = "Preparing", when = { risk = "ok", delivers = "nothing", setting.auto_deliver = true }, to = "Completed" },
    { from = "Preparing", when = { risk = "ok", stock = "available", setting.auto_deliver = true }, to = "Shipped", stock = "reserve" },
    { from = "Preparing", when = { risk = "ok", stock = "short", setting.auto_deliver = true }, to = "DeliveryFailed", note = "not enough inventory" },
]
"#;

pub const MEIDUO: &str = r#"
version = 1
on = [
    { command = "place", from = "New", by = "buyer", when.method = "on_delivery", to = "Preparing", stock = "reserve" },
    { command = "place", from = "New", by = "buyer", when.method = ["online", "bank"], to = "AwaitingPayment", stock = "reserve" },
    { command = "open_payment", from = "AwaitingPayment", by = "buyer", when.method = "online" },
    { command = "pay", from = "AwaitingPayment", by = "gateway", when.method = "online", to = "Paid", money = "capture" },
    { command = "pay", from = "AwaitingPayment", by = "operator", when.method = "bank", to = "Paid", money = "capture" },
    { command = "ship", from = ["Paid", "Preparing"], by = "staff", to = "Shipped", stock = "consume" },
    { command = "receive", from = "Shipped", by = ["buyer", "staff"], when.method = "on_delivery", to = "Received", money = ["capture", "release"] },
    { command = "receive", from = "Shipped", by = ["buyer", "staff"], to = "Received", money = "release" },
    { command = "evaluate", from = "Received", by = "buyer" },
    { command = "cancel", from = ["AwaitingPayment", "Preparing"], by = "operator", to = "Cancelled", stock = "return" },
    { command = "cancel", from = "Paid", by = "operator", to = "Cancelled", stock = "return", money = "refund" },
]
then = [{ from = "Received", when.reviews = "every_line", to = "Completed" }]
"#;

pub const YF_MALL: &str = r#"
version = 1
settings = { pay_within = "24h", receive_within = "7d", platform_audit = true }
deadline.pay = { after = "pay_within", command = "expire" }
deadline.receive = { after = "receive_within", command = "receive" }
deadline.use = { at = "common_virtual_date", command = "expire" }
on = [
    { command = "place", from = "New", by = "buyer", when.method = "online", to = "AwaitingPayment", stock = "reserve", deadlines.pay = "set" },
    { command = "place", from = "New", by = "buyer", when = { method = "on_delivery", kind = "physical" }, to = "Preparing", stock = "reserve" },
    { command = "place", from = "New", by = "buyer", when = { method = "at_store", kind = "pick_up" }, to = "Ready", stock = "reserve" },
    { command = "open_payment", from = "AwaitingPayment", by = "buyer" },
    { command = "adjust_price", from = "AwaitingPayment", by = "seller" },
    { command = "pay", from = "AwaitingPayment", by = "gateway", when.kind = "physical", to = "Paid", money = "capture", deadlines.pay = "clear" },
    { command = "pay", from = "AwaitingPayment", by = "gateway", when.kind = "pick_up", to = "Ready", money = "capture", deadlines.pay = "clear" },
    { command = "pay", from = "AwaitingPayment", by = "gateway", when.kind = "virtual", to = "Shipped", money = "capture", stock = "consume", codes = "issue", deadlines = { pay = "clear", use = "set" } },
    { command = "cancel", from = "AwaitingPayment", by = ["buyer", "seller"], to = "Cancelled", stock = "return", deadlines.pay = "clear" },
    { command = "cancel", from = "Preparing", by = ["buyer", "seller"], when.method = "on_delivery", to = "Cancelled", stock = "return" },
    { command = "expire", from = "AwaitingPayment", by = "timer", to = "Cancelled", stock = "return", deadlines.pay = "clear" },
    { command = "prepare", from = "Paid", by = "seller", to = "Preparing" },
    { command = "ship", from = ["Paid", "Preparing"], by = "seller", to = "Shipped", stock = "consume", deadlines.receive = "set" },
    { command = "receive", from = "Shipped", by = ["buyer", "timer"], when = { kind = "physical", method = "on_delivery" }, to = "Completed", money = ["capture", "release"], deadlines.receive = "clear" },
    { command = "receive", from = "Shipped", by = ["buyer", "timer"], when.kind = "physical", to = "Completed", money = "release", deadlines.receive = "clear" },
    { command = "receive", from = "Ready", by = "seller", when.method = "at_store", to = "Completed", stock = "consume", money = ["capture", "release"] },
    { command = "receive", from = "Ready", by = "seller", to = "Completed", stock = "consume", money = "release" },
    { command = "redeem", from = "Shipped", by = "seller", when.kind = "virtual", money = "release", share = "code" },
    { command = "expire", from = "Shipped", by = "timer", when = { kind = "virtual", cases = "none_open", on_expiry = "refund" }, to = "Completed", money = "refund", deadlines.use = "clear" },
    { command = "expire", from = "Shipped", by = "timer", when = { kind = "virtual", cases = "none_open" }, to = "Completed", money = "release", deadlines.use = "clear" },
    { command = "evaluate", from = "Completed", by = "buyer" },
    { command = "set_visibility", from = ["Completed", "Cancelled"], by = ["buyer", "seller"] },
]
then = [
    { from = "Shipped", when = { kind = "virtual", codes = "all_used" }, to = "Completed", deadlines.use = "clear" },
    { from = ["Paid", "Preparing", "Shipped"], when.lines = "all_refunded", to = "Completed", deadlines = "clear" },
]
case.money = { from = ["Paid", "Preparing"], when.payment = "captured", amount = "line", stock = "return", audit = "platform_audit" }
case.goods = { from = "Completed", amount = "units", goods_back = true, audit = true }
case.virtual = { from = "Shipped", when.kind = "virtual", amount = "codes", stock = "return", audit = true }
"#;
