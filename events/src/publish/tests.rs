//! What is published of single events, and in which words.

use std::collections::BTreeSet;

use super::{record::rfc3339, *};
use crate::*;

fn uuid<T: std::str::FromStr>(n: u128) -> T {
    format!("{n:032x}").parse().unwrap_or_else(|_| panic!("32 hexadecimal digits are a UUID"))
}

fn recorded(subject: Subject, event: Event) -> Recorded {
    Recorded {
        position: Position(42),
        id: EventId { command: uuid(7), n: 0 },
        subject,
        recorded_at: Millis(1_700_000_000_250),
        channel: Channel::new("bookstore").unwrap(),
        event,
    }
}

fn cny(minor: i64) -> Money {
    Money { minor, currency: Currency::CNY }
}

/// An order that takes a step: account 2 buys, account 3 sells.
fn step(to: Phase, stock: &[(StockWord, i64)], money: &[(Pot, Pot)]) -> Recorded {
    let store = StoreId::new("corner").unwrap();
    let moved = |(word, quantity): &(StockWord, i64)| StockMove {
        word: *word,
        store: store.clone(),
        lines: vec![StockLine { sku: Sku::new("b1").unwrap(), quantity: *quantity }],
    };
    let step = OrderStep {
        order: OrderRef {
            number: OrderNumber::new("N1").unwrap(),
            buyer: uuid(2),
            store: store.clone(),
            placed_at: Millis(1_700_000_000_000),
        },
        by: By::Buyer,
        effect: Effect {
            from: Some(Phase::AwaitingPayment),
            to,
            stock: stock.iter().map(moved).collect(),
            money: money
                .iter()
                .map(|(from, to)| MoneyMove { from: *from, to: *to, amount: cny(1200) })
                .collect(),
            deadlines: vec![DeadlineChange { name: "pay".into(), at: None }],
            payables: Vec::new(),
        },
    };
    recorded(Subject::order(uuid(1)), Event::OrderPaid(step))
}

const BUYER: Pot = Pot::Wallet(AccountId(uuid::Uuid::from_u128(2)));
const SELLER: Pot = Pot::Wallet(AccountId(uuid::Uuid::from_u128(3)));

#[test]
fn a_paid_order_is_told_in_full() {
    let records = publish(&step(Phase::Paid, &[(StockWord::Reserve, 2)], &[(BUYER, Pot::Held)]));
    let told: Vec<_> = records.iter().map(|it| (it.topic(), it.key(), it.value())).collect();
    let order = "order/00000000-0000-0000-0000-000000000001";
    let paid = "{\"channel\":\"bookstore\",\"order\":\"00000000-0000-0000-0000-000000000001\",\
        \"number\":\"N1\",\"store\":\"corner\",\"buyer\":\"00000000-0000-0000-0000-000000000002\",\
        \"placed_at\":1700000000000,\"previous_phase\":\"AwaitingPayment\",\"phase\":\"Paid\",\
        \"by\":\"buyer\"}";
    let reserved = "{\"channel\":\"bookstore\",\"store\":\"corner\",\"sku\":\"b1\",\"quantity\":2,\
        \"shelf_change\":-2,\"reserved_change\":2,\
        \"order\":\"00000000-0000-0000-0000-000000000001\"}";
    let held = "{\"channel\":\"bookstore\",\
        \"from\":\"wallet/00000000-0000-0000-0000-000000000002\",\
        \"to\":\"order/00000000-0000-0000-0000-000000000001\",\
        \"amount\":{\"minor\":1200,\"currency\":\"CNY\"},\
        \"order\":\"00000000-0000-0000-0000-000000000001\",\"store\":\"corner\"}";
    let expected = [
        (Topic::Orders, order, paid.to_owned()),
        (Topic::Stock, "listing/corner/b1", reserved.to_owned()),
        (Topic::Payments, order, held.to_owned()),
    ];
    assert_eq!(told, expected);
    assert_eq!(
        records[1].headers(),
        [
            ("ce_specversion", "1.0"),
            ("ce_id", "42.1"),
            ("ce_source", "/docket/bookstore"),
            ("ce_type", "docket.stock.reserved.v1"),
            ("ce_subject", "listing/corner/b1"),
            ("ce_time", "2023-11-14T22:13:20.250Z"),
            ("ce_sequence", "00000000000000000042.000001"),
            ("content-type", "application/json"),
        ]
    );
    let whole = format!(
        "{{\"specversion\":\"1.0\",\"id\":\"42.1\",\"source\":\"/docket/bookstore\",\
         \"type\":\"docket.stock.reserved.v1\",\"subject\":\"listing/corner/b1\",\
         \"time\":\"2023-11-14T22:13:20.250Z\",\"sequence\":\"00000000000000000042.000001\",\
         \"datacontenttype\":\"application/json\",\"data\":{reserved}}}"
    );
    assert_eq!(records[1].to_json(), whole);
}

#[test]
fn money_is_named_after_where_it_goes() {
    let kinds = |moves: &[(Pot, Pot)]| {
        let records = publish(&step(Phase::Completed, &[], moves));
        records.iter().skip(1).map(|it| it.kind).collect::<Vec<_>>()
    };
    let out = [(Pot::Outside, Pot::Held), (Pot::Held, Pot::Outside)];
    assert_eq!(kinds(&out), [Type::PaymentHeld, Type::PaymentRefunded]);
    let back = [(BUYER, Pot::Held), (Pot::Held, BUYER)];
    assert_eq!(kinds(&back), [Type::PaymentHeld, Type::PaymentRefunded]);
    let on = [(BUYER, Pot::Held), (Pot::Held, SELLER)];
    assert_eq!(kinds(&on), [Type::PaymentHeld, Type::PaymentReleased]);
}

/// As docket's own view has it: the order has arrived, and its seller has the money.
#[test]
fn a_seller_who_buys_of_himself_is_paid_not_refunded() {
    let mut received = step(Phase::Completed, &[], &[(Pot::Held, BUYER)]);
    if let Event::OrderPaid(step) = received.event {
        received.event = Event::OrderReceived(step);
    }
    let kinds: Vec<_> = publish(&received).iter().map(|it| it.kind).collect();
    assert_eq!(kinds, [Type::OrderReceived, Type::PaymentReleased]);
}

/// Why the money leaves is not told, nor whose login name is free again.
#[test]
fn the_balance_of_who_goes_is_money_and_nothing_else() {
    let account: AccountId = uuid(2);
    let login = Digest([0xab; 32]);
    let out = MoneyMove { from: BUYER, to: Pot::Outside, amount: cny(500) };
    let (closed, money) = (vec![Digest([0xcd; 32])], vec![out]);
    let gone = AccountUnregistered { account, login, closed, money };
    let forgotten = AccountForgotten {
        account,
        login: Some(login),
        closed: gone.closed.clone(),
        money: gone.money.clone(),
    };
    let withdrawn = WalletWithdrawn { account, money: out };
    let subject = Subject::account(account);
    let expected = publish(&recorded(subject.clone(), Event::WalletWithdrawn(withdrawn)));
    assert_eq!(expected.len(), 1);
    assert_eq!(expected[0].kind, Type::PaymentWithdrawn);
    for event in [Event::AccountUnregistered(gone), Event::AccountForgotten(forgotten)] {
        assert_eq!(publish(&recorded(subject.clone(), event)), expected);
    }
}

/// Names may hold anything; a CloudEvents string may not.
#[test]
fn a_subject_is_a_cloudevents_string_and_still_nobody_elses() {
    let subject = |sku: &str| {
        let (store, sku) = (StoreId::new("茶/s").unwrap(), Sku::new(sku).unwrap());
        let added = Event::StockAdded(StockAdded { store, sku, quantity: 1 });
        let records = publish(&recorded(Subject::account(uuid(1)), added));
        records[0].subject.clone()
    };
    assert_eq!(subject("a\nb"), "listing/茶%2Fs/a%0Ab");
    assert_eq!(subject("a%0Ab"), "listing/茶%2Fs/a%250Ab");
    assert_eq!(subject("\u{85}\u{fffe}\u{fdd0}"), "listing/茶%2Fs/%C2%85%EF%BF%BE%EF%B7%90");
}

#[test]
fn a_source_is_a_uri_reference() {
    let added =
        StockAdded { store: StoreId::new("s").unwrap(), sku: Sku::new("a").unwrap(), quantity: 1 };
    let event = Event::StockAdded(added);
    let mut recorded = recorded(Subject::account(uuid(1)), event);
    recorded.channel = Channel::new("茶 a/b?").unwrap();
    assert_eq!(publish(&recorded)[0].source, "/docket/%E8%8C%B6%20a%2Fb%3F");
}

#[test]
fn times_are_rfc_3339_whatever_was_recorded() {
    let cases = [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (253_402_300_800_000, "9999-12-31T23:59:59.999Z"),
        (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
        (i64::MIN, "0000-01-01T00:00:00.000Z"),
        (i64::MAX, "9999-12-31T23:59:59.999Z"),
    ];
    for (at, expected) in cases {
        assert_eq!(rfc3339(Millis(at)), expected, "{at}");
    }
}

#[test]
fn every_type_has_a_name_of_its_own_with_a_version() {
    let names: BTreeSet<_> = Type::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(names.len(), Type::ALL.len());
    for kind in Type::ALL {
        let parts: Vec<_> = kind.name().split('.').collect();
        let ["docket", of, _, "v1"] = parts[..] else { panic!("{}", kind.name()) };
        assert!(kind.topic().name().starts_with(of), "{}", kind.name());
    }
    // Every kind of an order's event has its type, but for the one that moves nothing.
    let orders = KINDS.iter().filter(|(kind, _)| kind.starts_with("order."));
    let missing = orders.filter(|(kind, _)| !names.contains(&*format!("docket.{kind}.v1")));
    assert_eq!(missing.collect::<Vec<_>>(), [&("order.lifecycle_moved", 1)]);
}

#[test]
fn what_is_published_reads_back() {
    let mut records =
        publish(&step(Phase::Paid, &[(StockWord::Return, 2)], &[(Pot::Held, SELLER)]));
    assert_eq!(records.len(), 3);
    records.push(CloudEvent { subject: "listing/茶%2Fs/a%0Ab".into(), ..records[1].clone() });
    for record in records {
        let headers = record.headers().map(|(name, value)| (name, value.as_bytes()));
        let again = CloudEvent::read(headers, record.value().as_bytes());
        assert_eq!(again.unwrap(), Some(record));
    }
}

/// What a reader meets that is older than what it reads.
#[test]
fn a_type_that_is_not_known_is_passed_over_and_so_are_fields() {
    let record = publish(&step(Phase::Paid, &[], &[])).remove(0);
    let headers = record.headers();
    let with = |name: &'static str, value: &'static str| {
        let own = headers.iter().filter(move |(known, _)| *known != name);
        let own = own.map(|(name, value)| (*name, value.as_bytes()));
        own.chain([(name, value.as_bytes())])
    };
    let value = record.value();
    let later = value.replacen('{', "{\"mood\":\"good\",", 1);
    let read = |headers, value: &str| CloudEvent::read(headers, value.as_bytes());
    assert_eq!(read(with("mood", "good"), &later).unwrap(), Some(record.clone()));
    assert_eq!(read(with("ce_type", "docket.order.paid.v2"), "???").unwrap(), None);
    assert_eq!(read(with("ce_type", "docket.order.framed.v1"), "[]").unwrap(), None);

    let without = headers.iter().filter(|(name, _)| *name != "ce_sequence");
    let without = without.map(|(name, value)| (*name, value.as_bytes()));
    let error = CloudEvent::read(without, value.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "there is no header ce_sequence");
    let error = read(with("ce_specversion", "2.0"), &value).unwrap_err();
    assert_eq!(error.to_string(), "these are CloudEvents 2.0, and 1.0 are read here");
    let error = read(with("mood", "good"), "{}").unwrap_err();
    assert!(error.to_string().starts_with("the data of docket.order.paid.v1"), "{error}");
}
