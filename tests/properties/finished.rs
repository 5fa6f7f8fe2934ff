//! Orders that are over leave memory, and nobody can tell: a world that keeps every order, and a
//! writer that keeps the open ones and reads the others back, say the same to whatever is asked.

use std::{cell::RefCell, collections::BTreeMap};

use docket::{
    builtin::builtin_lifecycle,
    domain::{self, Action, Caller, Command, Credential, Order, Rejection, World, lifecycle::Word},
    engine::{self, Decider, Error, Missing, Request},
    journal::{Journal as _, MemoryJournal},
};
use events::*;
use proptest::{prelude::*, sample::Index};

use super::{
    judge::ended,
    site::{
        BEGIN, adopt, cases, cny, command, command_in, digest, fresh, listing, place_in,
        register_in, sku, somebody, store,
    },
};

#[path = "finished/late.rs"]
mod late;
#[path = "finished/reading.rs"]
mod reading;

const CHANNELS: [&str; 2] = ["bookstore", "native"];
/// Of each channel: a seller and two buyers.
const PEOPLE: u8 = 3;

/// What may be asked for; numbers are taken from what there is.
#[derive(Debug, Clone)]
enum Op {
    Place { channel: usize, buyer: u8, sku: u8, id: Index, number: Name },
    Act { order: Index, word: Word, by: By, store: Option<u8>, elsewhere: bool },
    Move { order: Index, elsewhere: bool },
    Adopt { channel: usize, after_sale: Option<&'static str> },
    Leave { channel: usize, person: u8, forced: bool },
    Wait { ms: i64 },
}

/// What a new order shall be called.
#[derive(Debug, Clone)]
enum Name {
    /// As its id is.
    Own,
    /// What others may be called, too.
    Shared(u8),
    /// As the id of an order is that there is.
    IdOf(Index),
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
enum By {
    Buyer,
    Seller,
    Person(u8),
    Unproven,
    Timer,
    Operator,
    Staff,
}

fn op() -> impl Strategy<Value = Op> {
    use Word::{Cancel, ConfirmDelivery, Expire, FailDelivery, Pay, Prepare, Receive, Ship};
    let channel = || 0..CHANNELS.len();
    let word = prop_oneof![
        // What leads on, and back.
        20 => prop::sample::select(vec![
            Cancel, ConfirmDelivery, Expire, FailDelivery, Pay, Prepare, Receive, Ship,
        ]),
        1 => prop::sample::select(Word::ALL.to_vec()),
    ];
    let by = prop_oneof![
        6 => Just(By::Buyer),
        6 => Just(By::Seller),
        1 => (0..PEOPLE).prop_map(By::Person),
        1 => Just(By::Unproven),
        2 => Just(By::Timer),
        1 => Just(By::Operator),
        1 => Just(By::Staff),
    ];
    let number = prop_oneof![
        6 => Just(Name::Own),
        1 => (0..4u8).prop_map(Name::Shared),
        1 => any::<Index>().prop_map(Name::IdOf),
    ];
    let after_sale = prop::sample::select(vec![None, Some("0s"), Some("30m"), Some("2h")]);
    let store = prop::option::weighted(0.2, 0..3u8);
    let elsewhere = || prop::bool::weighted(0.05);
    prop_oneof![
        15 => (channel(), 1..PEOPLE, 0..2u8, any::<Index>(), number).prop_map(
            |(channel, buyer, sku, id, number)| Op::Place { channel, buyer, sku, id, number }
        ),
        60 => (any::<Index>(), word, by, store, elsewhere()).prop_map(
            |(order, word, by, store, elsewhere)| Op::Act { order, word, by, store, elsewhere }
        ),
        3 => (any::<Index>(), elsewhere())
            .prop_map(|(order, elsewhere)| Op::Move { order, elsewhere }),
        2 => (channel(), after_sale)
            .prop_map(|(channel, after_sale)| Op::Adopt { channel, after_sale }),
        1 => (channel(), 0..PEOPLE, any::<bool>())
            .prop_map(|(channel, person, forced)| Op::Leave { channel, person, forced }),
        4 => (0..3_000_000i64).prop_map(|ms| Op::Wait { ms }),
    ]
}

proptest! {
    #![proptest_config(cases(60))]

    /// Whatever is asked of whatever order, open or over: the answer and what is recorded are the
    /// same as if no order ever left.
    #[test]
    fn nobody_can_tell_which_orders_are_in_memory(ops in prop::collection::vec(op(), 1..150)) {
        let mut pair = Pair::new();
        for op in &ops {
            pair.play(op);
        }
        pair.agree();
    }
}

/// It is no proof where nothing comes late: orders that left are stepped on, are open again and
/// are refused for every reason there is, and a window keeps some of them.
#[test]
fn what_comes_late_comes_in_every_way() {
    use proptest::{strategy::ValueTree as _, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let late = RefCell::new(BTreeMap::<String, usize>::new());
    for _ in 0..60 {
        let mut pair = Pair::new();
        let ops = prop::collection::vec(op(), 150).new_tree(&mut runner).unwrap().current();
        for op in &ops {
            pair.play(op);
        }
        pair.agree();
        for (what, count) in pair.late {
            *late.borrow_mut().entry(what).or_default() += count;
        }
    }
    let late = late.into_inner();
    for what in ["stays over", "is open again", "Phase", "NotOwn", "Unauthenticated", "nothing"] {
        let count = late.get(what).copied().unwrap_or(0);
        assert!(count >= 10, "{what}: {late:?}");
    }
    for what in ["OrderUnknown", "AccountUnknown", "StoreUnknown", "waits to leave"] {
        assert!(late.contains_key(what), "{what}: {late:?}");
    }
}

/// A world that keeps every order, and a writer on a journal.
struct Pair {
    whole: World,
    decider: Decider,
    journal: MemoryJournal,
    now: Millis,
    versions: [u32; 2],
    /// Every order that was placed, in that order.
    placed: Vec<(Channel, OrderId)>,
    people: [[AccountId; PEOPLE as usize]; 2],
    staff: Caller,
    /// What became of what came for orders that had left.
    late: BTreeMap<String, usize>,
}

impl Pair {
    fn new() -> Self {
        let journal = MemoryJournal::new();
        let decider = Decider::new(World::default(), Head::default());
        let (token, name) = (Digest([9; 32]), TokenName::new("desk").unwrap());
        let staff = Caller::Token { token, name: name.clone() };
        let people = [[AccountId(fresh()); PEOPLE as usize]; 2];
        let mut pair = Self {
            whole: World::default(),
            decider,
            journal,
            now: BEGIN,
            versions: [1; 2],
            placed: Vec::new(),
            people,
            staff,
            late: BTreeMap::new(),
        };
        let (role, channel, expires_at) = (Role::Staff, None, None);
        let issued = TokenIssued { token, name, role, channel, store: None, expires_at };
        for n in 0..CHANNELS.len() {
            let channel = pair.channel(n);
            for command in adopt(&channel, &[]) {
                pair.give(command).unwrap();
            }
            for person in 0..PEOPLE {
                let (account, registered) = register_in(&channel, person);
                pair.people[n][usize::from(person)] = account;
                pair.give(registered).unwrap();
                let funded = Action::Fund { amount: cny(1000) };
                pair.give(command_in(&channel, somebody(account), funded)).unwrap();
            }
            let seller = somebody(pair.people[n][0]);
            let opened = Action::OpenStore { store: store(0) };
            // What costs nothing is paid by nobody, and paid for all the same.
            let listings =
                [listing(store(0), sku(0), cny(70), 40), listing(store(0), sku(1), cny(0), 40)];
            for action in [opened].into_iter().chain(listings) {
                pair.give(command_in(&channel, seller.clone(), action)).unwrap();
            }
        }
        let issued = Action::IssueToken(Box::new(issued));
        pair.give(command_in(&pair.channel(0), Caller::System, issued)).unwrap();
        for n in 0..CHANNELS.len() {
            let adopted = pair.command(&Op::Adopt { channel: n, after_sale: None });
            pair.give(adopted.unwrap()).unwrap();
        }
        pair
    }

    fn channel(&self, n: usize) -> Channel {
        Channel::new(CHANNELS[n]).unwrap()
    }

    fn play(&mut self, op: &Op) {
        if let Some(command) = self.command(op) {
            let _ = self.give(command); // Refused, many of them; by both.
        }
    }

    /// As a command; `None` for what is none, or where there is no order yet.
    fn command(&mut self, op: &Op) -> Option<Command> {
        let pick = |index: &Index, of: &[(Channel, OrderId)]| {
            (!of.is_empty()).then(|| of[index.index(of.len())].clone())
        };
        match op {
            Op::Place { channel, buyer, sku: n, id, number } => {
                let (_, action) = place_in(store(0), vec![(sku(*n), 1)]);
                let Action::Place(mut place) = action else { unreachable!("it is asked for") };
                if id.index(12) == 0
                    && let Some((_, known)) = pick(id, &self.placed)
                {
                    place.order = known;
                }
                match number {
                    Name::Own => {}
                    Name::Shared(n) => place.number = OrderNumber::new(format!("no-{n}")).unwrap(),
                    Name::IdOf(order) => {
                        let (_, known) = pick(order, &self.placed)?;
                        place.number = OrderNumber::new(known.to_string()).unwrap();
                    }
                }
                let by = somebody(self.people[*channel][usize::from(*buyer)]);
                Some(command_in(&self.channel(*channel), by, Action::Place(place)))
            }
            Op::Act { order, word, by, store: named, elsewhere } => {
                let (home, order) = pick(order, &self.placed)?;
                let caller = self.caller(*by, &home, order);
                let step = Action::Step { order, store: named.map(store), word: *word };
                Some(command_in(&self.at(&home, *elsewhere), caller, step))
            }
            Op::Move { order, elsewhere } => {
                let (home, order) = pick(order, &self.placed)?;
                let channel = self.at(&home, *elsewhere);
                Some(command_in(&channel, Caller::System, Action::Move { order }))
            }
            Op::Adopt { channel: n, after_sale } => {
                self.versions[*n] += 1;
                let text = leads_back(&self.channel(*n), self.versions[*n], *after_sale);
                let adopted = Action::AdoptLifecycle { digest: digest(&text), text };
                Some(command_in(&self.channel(*n), Caller::System, adopted))
            }
            Op::Leave { channel, person, forced } => {
                let account = self.people[*channel][usize::from(*person)];
                let forgotten = (Caller::System, Action::Forget { account });
                let left = (somebody(account), Action::Unregister);
                let (caller, action) = if *forced { forgotten } else { left };
                Some(command_in(&self.channel(*channel), caller, action))
            }
            Op::Wait { ms } => {
                self.now.0 += ms;
                None
            }
        }
    }

    fn at(&self, home: &Channel, elsewhere: bool) -> Channel {
        let other = CHANNELS.iter().position(|name| *name != home.as_str()).unwrap();
        if elsewhere { self.channel(other) } else { home.clone() }
    }

    fn caller(&self, by: By, home: &Channel, order: OrderId) -> Caller {
        let n = CHANNELS.iter().position(|name| *name == home.as_str()).unwrap();
        let buyer = self.whole.orders[&order].buyer;
        match by {
            By::Buyer => somebody(buyer),
            By::Seller => somebody(self.people[n][0]),
            By::Person(person) => somebody(self.people[n][usize::from(person)]),
            By::Unproven => {
                Caller::Somebody { account: Some(buyer), credential: Credential::Failed }
            }
            By::Timer => Caller::Timer,
            By::Operator => Caller::System,
            By::Staff => self.staff.clone(),
        }
    }

    /// Gives a command to both, which must say the same and come to the same.
    fn give(&mut self, command: Command) -> Result<(), Rejection> {
        let expected = domain::decide(&self.whole, &command, self.now);
        let placed = match &command.action {
            Action::Place(place) if expected.is_ok() => Some(place.order),
            _ => None,
        };
        let (channel, about) = (command.channel.clone(), command.action.order());
        let request = Request::new(command.clone());
        let missing = self.decider.missing(&request, self.now);
        let answer = match &missing {
            None => self.decider.decide(request, self.now),
            Some(missing) => {
                let finished = engine::read_back(&self.journal, missing).unwrap();
                self.decider.decide_on(finished, request, self.now)
            }
        };
        let recorded = self.append();
        let told = match (answer, expected) {
            (Ok(accepted), Ok(decided)) => {
                assert_eq!(accepted.receipt.orders, decided.orders, "{command:?}");
                let facts = recorded.iter().map(|it| (it.subject.clone(), it.event.clone()));
                assert_eq!(facts.collect::<Vec<_>>(), decided.events, "{command:?}");
                Ok(())
            }
            (Err(Error::Rejected(ours)), Err(expected)) => {
                assert_eq!(ours, expected, "{command:?}");
                assert!(recorded.is_empty());
                Err(ours)
            }
            (ours, expected) => panic!("{command:?}: {ours:?}, and not {expected:?}"),
        };
        for recorded in &recorded {
            self.whole.evolve(recorded);
        }
        self.placed.extend(placed.map(|order| (channel, order)));
        if let (Some(_), Some(order)) = (missing, about) {
            self.count(order, &told, recorded.is_empty());
        }
        told
    }

    fn append(&mut self) -> Vec<Recorded> {
        let Some(sealed) = self.decider.seal() else { return Vec::new() };
        let mut appending = self.journal.append(sealed.commit, sealed.keys);
        appending.try_recv().unwrap().unwrap(); // Memory keeps nobody waiting.
        sealed.followed.events.clone()
    }

    fn count(&mut self, order: OrderId, told: &Result<(), Rejection>, empty: bool) {
        let here = self.decider.world().orders.get(&order);
        let what = match (told, here) {
            (Err(refused), _) => {
                let text = format!("{refused:?}");
                text.split([' ', '(']).next().unwrap_or_default().to_owned()
            }
            (Ok(()), _) if empty => "nothing".to_owned(),
            (Ok(()), None) => "stays over".to_owned(),
            (Ok(()), Some(order)) if order.leaves_at.is_some() => "waits to leave".to_owned(),
            (Ok(()), Some(_)) => "is open again".to_owned(),
        };
        *self.late.entry(what).or_default() += 1;
    }

    /// Both know the same, and the writer's world is the fold of its journal.
    fn agree(&self) {
        let world = self.decider.world();
        assert_eq!(*world, engine::replay(&self.journal).unwrap().0);
        let bare = |order: &Order| Order { leaves_at: None, ..order.clone() };
        for (channel, id) in &self.placed {
            let known = &self.whole.orders[id];
            let Some(position) = world.left(channel, *id) else {
                let waits = world.orders[id].leaves_at.is_some();
                assert!(waits || !is_over(known), "{known:?} is over and has not left");
                assert_eq!(bare(&world.orders[id]), *known);
                continue;
            };
            assert!(is_over(known) && !world.orders.contains_key(id));
            let missing = Missing { channel: channel.clone(), order: *id, position };
            let finished = engine::read_back(&self.journal, &missing).unwrap();
            assert_eq!(finished.order(), known);
            for (payable, entry) in finished.payables() {
                assert_eq!(*entry, self.whole.channels[channel].payables[payable]);
            }
        }
        assert_eq!(
            world.leaving.len(),
            world.orders.values().filter(|it| it.leaves_at.is_some()).count()
        );
        assert_eq!(world.accounts, self.whole.accounts);
        assert_eq!((&world.deadlines, &world.pots), (&self.whole.deadlines, &self.whole.pots));
        for (channel, state) in &world.channels {
            let whole = &self.whole.channels[channel];
            assert_eq!((&state.stores, &state.numbers), (&whole.stores, &whole.numbers));
            for (payable, entry) in &whole.payables {
                let here = world.orders.contains_key(&entry.order);
                assert_eq!(state.payables.get(payable), here.then_some(entry));
            }
        }
    }
}

fn step(by: AccountId, order: OrderId, word: Word) -> Command {
    command(somebody(by), Action::Step { order, store: None, word })
}

/// Whether nothing happens to an order until somebody asks for it.
fn is_over(order: &Order) -> bool {
    let held = order.held != 0 || order.stock == domain::LineStock::Reserved;
    ended(order.phase) && !held && order.deadlines.is_empty() && order.open_payables.is_empty()
}

/// A life cycle whose orders may go on from each end: for good, and only to be looked at.
pub fn leads_back(channel: &Channel, version: u32, after_sale: Option<&str>) -> String {
    let text = builtin_lifecycle(channel).unwrap();
    let text = text.replace("\nversion = 1\n", &format!("\nversion = {version}\n"));
    let kept = after_sale.map(|it| format!("after_sale = {it:?}\n")).unwrap_or_default();
    let text = text.replace("\n[settings]\n", &format!("\n[settings]\n{kept}"));
    assert!(text.contains(&format!("version = {version}\n")) && text.contains(&kept));
    text + r#"
[[on]]
command = "ship"
from = ["Completed"]
by = ["seller"]
to = "Received"

[[on]]
command = "receive"
from = ["Received"]
by = ["buyer"]
to = "Completed"

[[on]]
command = "prepare"
from = ["Cancelled"]
by = ["seller", "staff"]
to = "AwaitingPayment"
stock = "reserve"
deadlines = { pay = "set" }

[[on]]
command = "confirm_delivery"
from = ["Completed"]
by = ["buyer"]

[[on]]
command = "confirm_delivery"
from = ["Cancelled"]
by = ["buyer"]
when = { payment = "captured" }

[[on]]
command = "fail_delivery"
from = ["Cancelled"]
by = ["buyer"]
"#
}
