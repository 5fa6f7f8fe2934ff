//! Who uses a shop, over one face or over both, and remembers what was said.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use docket::client::{Answer, Client};
use events::Phase;
use serde_json::{Value, json};

use super::{
    call::{Accepted, Call, is_replay},
    face::{Face, outcome, outcome_of_newest},
    shop::{Change, SKUS, Shop, Who},
    support::Random,
};

/// So many answers a customer remembers at most, to ask for them again: any, and the newest.
const REMEMBERED_MAX: usize = 20_000;
/// So many buy at a time.
const BUYERS: usize = 4;
/// After so many orders another comes: a list of the bookstore's shows somebody's newest 10,000.
const ORDERS_EACH: usize = 5_000;
/// How many of the requests that were accepted are sent again after each start.
const REPEATED: usize = 6;

/// A seller with a store, and those who buy there: one after the other, so that at any moment at
/// most one of their requests is without an answer.
pub struct Customer {
    random: Random,
    /// The faces it speaks: one, or both in turn as it happens.
    faces: &'static [Face],
    pub shop: Shop,
    /// The request that was never answered.
    pending: Option<Call>,
    /// Those that were accepted, in this order.
    accepted: Vec<Accepted>,
    calls: u64,
    pub tally: Tally,
    /// Whether a request that broke off may still be under way when the next is sent: so it is where
    /// one docket hands it on to another.
    pub several: bool,
}

/// What became of requests that were never answered.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Accepted before the kill, by face.
    pub accepted: [usize; 2],
    /// Not accepted before the kill, by face.
    pub lost: [usize; 2],
    /// Accepted before the kill, and told by `/v1/commands/{id}` before they were repeated.
    pub asked: usize,
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        for face in [Face::Bookstore, Face::Native] {
            self.accepted[face as usize] += other.accepted[face as usize];
            self.lost[face as usize] += other.lost[face as usize];
        }
        self.asked += other.asked;
    }
}

impl Customer {
    pub fn new(random: Random, faces: &'static [Face], shop: Shop) -> Self {
        let (pending, accepted, tally) = (None, Vec::new(), Tally::default());
        Self { random, faces, shop, pending, accepted, calls: 0, tally, several: false }
    }

    /// Calls until the line is dead.
    pub async fn work(&mut self, client: &Client) {
        while self.act(client).await {}
    }

    /// Calls once, and says whether the line is alive.
    pub async fn act(&mut self, client: &Client) -> bool {
        let change = self.choose();
        let call = self.call(change);
        match call.send(client).await {
            Ok(answer) => {
                self.settle(call, answer);
                true
            }
            Err(_) => {
                self.pending = Some(call);
                false
            }
        }
    }

    /// A request for it, over one of the faces.
    fn call(&mut self, change: Change) -> Call {
        let can: Vec<_> =
            self.faces.iter().filter(|face| face.can(&self.shop, &change)).copied().collect();
        let face = can[self.pick(can.len())];
        self.calls += 1;
        let key = format!("{}/{}", self.shop.seller.name, self.calls);
        Call::new(face, &self.shop, change, key)
    }

    fn choose(&mut self) -> Change {
        if self.accepted.is_empty() {
            return Change::Register(self.shop.seller.name.clone());
        }
        if self.shop.seller.token.is_none() {
            return Change::Login(None);
        }
        if self.shop.store.is_none() {
            return Change::OpenStore(self.shop.seller.name.replace("seller", "store"));
        }
        if let Some(sku) = self.shop.shelf.iter().position(Option::is_none) {
            return Change::AddListing(sku, 20 + self.random.below(300) as i64);
        }
        if let Some(buyer) = self.shop.buyers.iter().position(|buyer| buyer.token.is_none()) {
            return Change::Login(Some(buyer));
        }
        let buyers = self.shop.buyers.len();
        match self.random.below(100) {
            _ if buyers == 0 => self.register_buyer(),
            0..3 if buyers < BUYERS + self.shop.orders.len() / ORDERS_EACH => self.register_buyer(),
            0..6 => Change::AddStock(self.pick(SKUS.len()), 1 + self.random.below(60) as i64),
            6..16 => Change::Fund(self.pick(buyers), 1 + self.random.below(30_000) as i64),
            16..50 => self.place(),
            _ => {
                let at_end = |phase| matches!(phase, Phase::Cancelled | Phase::Completed);
                let orders = &self.shop.orders;
                let open: Vec<_> =
                    (0..orders.len()).filter(|order| !at_end(orders[*order].phase)).collect();
                if open.is_empty() {
                    return self.place();
                }
                // Mostly one of the newest.
                let newest = open.len().saturating_sub(8);
                let order = open[newest + self.pick(open.len() - newest)];
                self.step(order)
            }
        }
    }

    fn register_buyer(&self) -> Change {
        Change::Register(format!("{}-buyer-{}", self.shop.seller.name, self.shop.buyers.len()))
    }

    fn place(&mut self) -> Change {
        let buyers = self.shop.buyers.len();
        let buyer = buyers - 1 - self.pick(buyers.min(BUYERS));
        let first = self.pick(SKUS.len());
        let second = (first + 1 + self.pick(SKUS.len() - 1)) % SKUS.len();
        let lines = [first, second].map(|sku| (sku, 1 + self.random.below(3) as i64)).into();
        Change::Place(buyer, lines)
    }

    fn step(&mut self, order: usize) -> Change {
        let to = match (self.shop.orders[order].phase, self.random.below(4)) {
            (Phase::AwaitingPayment | Phase::Paid, 0) => Phase::Cancelled,
            (Phase::AwaitingPayment, _) => Phase::Paid,
            (Phase::Paid, _) => Phase::Shipped,
            _ => Phase::Completed,
        };
        Change::Step(order, to)
    }

    /// Takes in an answer; gives it back where the request was accepted.
    fn settle(&mut self, call: Call, answer: Answer) -> Option<Accepted> {
        let learnt = call.read(&answer)?;
        self.shop.take_in(&call.change, learnt);
        let accepted = Accepted { call, answer };
        if self.accepted.len() >= REMEMBERED_MAX {
            let forgotten = self.pick(self.accepted.len());
            self.accepted.swap_remove(forgotten);
        }
        self.accepted.push(accepted.clone());
        Some(accepted)
    }

    /// After a start: what was acknowledged is there; what was not is there or not, and sent again
    /// it is there once.
    pub async fn check(mut self, client: Client) -> Self {
        if self.several
            && let Some(call) = self.pending.take()
        {
            self.settle_pending(call, None, &client).await;
        }
        let (phases, strangers) = self.look(&client).await;
        let reached = match &self.pending {
            Some(call) if call.is_accepted() => match call.change {
                Change::Step(order, to) => Some((order, to)),
                _ => None,
            },
            _ => None,
        };
        for (n, order) in self.shop.orders.iter().enumerate() {
            let phase = phases.get(&order.id);
            let phase = *phase.unwrap_or_else(|| panic!("order {} is lost", order.id));
            let lawful = phase == order.phase || reached == Some((n, phase));
            assert!(lawful, "order {}: {phase:?} after {:?}", order.id, order.phase);
        }
        if let Some(call) = self.pending.take() {
            let done = match &call.change {
                Change::Place(..) => strangers.first().cloned(),
                Change::Step(order, to) => {
                    let id = &self.shop.orders[*order].id;
                    (call.is_accepted() && phases[id] == *to).then(|| id.clone())
                }
                _ => None,
            };
            assert!(strangers.len() <= 1, "nobody placed all of {strangers:?}");
            assert!(strangers.is_empty() || done.is_some(), "nobody placed {strangers:?}");
            self.settle_pending(call, done.as_deref(), &client).await;
        } else {
            assert!(strangers.is_empty(), "nobody placed {strangers:?}");
        }
        if let Some(last) = self.accepted.last() {
            last.repeat(&client).await;
        }
        for _ in 0..self.accepted.len().min(REPEATED) {
            let which = self.pick(self.accepted.len());
            self.accepted[which].repeat(&client).await;
        }
        for _ in 0..self.shop.orders.len().min(REPEATED) {
            let which = self.pick(self.shop.orders.len());
            for face in self.faces {
                face.look_at(&self.shop, &self.shop.orders[which], &client).await;
            }
        }
        let (phases, strangers) = self.look(&client).await;
        assert!(strangers.is_empty(), "nobody placed {strangers:?}");
        for order in &self.shop.orders {
            assert_eq!(phases[&order.id], order.phase, "order {}", order.id);
        }
        for face in self.faces {
            face.count(&self.shop, &client).await;
        }
        self
    }

    /// Sends the request that was never answered again. `done` is the order by which it shows that
    /// the first one was accepted.
    async fn settle_pending(&mut self, call: Call, done: Option<&str>, client: &Client) {
        let who = self.shop.actor(&call.change);
        let known = match done {
            Some(order) if self.faces.contains(&Face::Native) => {
                Some(outcome_of_newest(self.shop.person(who), order, client).await)
            }
            _ => None,
        };
        let answer = call.send(client).await.unwrap();
        if matches!(call.change, Change::Place(..) | Change::Step(..)) {
            let right = self.several || is_replay(&answer) == done.is_some();
            assert!(right, "{call:?}: {answer:?}");
        }
        let replay = is_replay(&answer);
        let Some(accepted) = self.settle(call, answer) else { return };
        if accepted.call.is_keyed() {
            let tally = if replay { &mut self.tally.accepted } else { &mut self.tally.lost };
            tally[accepted.call.face as usize] += 1;
            self.tally.asked += usize::from(known.is_some());
        }
        accepted.repeat(client).await;
        self.ask_for_outcome(&accepted, who, known, client).await;
        if let (Change::Place(..), Some(order)) = (&accepted.call.change, done) {
            assert_eq!(self.shop.orders.last().unwrap().id, order);
        }
    }

    /// `/v1/commands/{id}` tells what the answer told, and told the same before it was there.
    async fn ask_for_outcome(
        &self,
        accepted: &Accepted,
        who: Who,
        known: Option<Value>,
        client: &Client,
    ) {
        let Accepted { call, answer } = accepted;
        let Some(command) = call.face.learn(&call.change, answer).unwrap().command else {
            if let (Some(known), Change::Place(..)) = (known, &call.change) {
                assert_eq!(known["orders"][0]["id"], answer.body["order_id"], "{known}");
            }
            return;
        };
        let token = match call.change {
            Change::Register(_) | Change::Fund(..) => &self.shop.operator,
            _ => self.shop.person(who).token(),
        };
        let told = outcome(token, &command, client).await;
        assert!(known.is_none_or(|known| known == told), "{told}");
        assert_eq!(told["command"], json!(command));
        assert_eq!(told["channel"], json!(self.shop.channel));
        let name = match call.change {
            Change::Register(_) => "register",
            Change::Fund(..) => "charge",
            Change::AddStock(..) => "add_stock",
            Change::Place(..) => "place",
            Change::Step(_, Phase::Cancelled) => "cancel",
            Change::Step(_, Phase::Paid) => "pay",
            Change::Step(_, Phase::Shipped) => "ship",
            Change::Step(..) => "receive",
            _ => panic!("{call:?} names no command"),
        };
        assert_eq!(told["name"], name, "{told}");
        match &call.change {
            Change::Register(_) => {}
            Change::Place(..) => {
                let order = &told["orders"][0];
                assert_eq!(order["id"], answer.body["id"], "{told}");
                assert_eq!(order["total"], answer.body["total"], "{told}");
                assert_eq!(told["position"], answer.body["position"], "{told}");
            }
            _ => {
                let mut receipt = told.clone();
                let fields = receipt.as_object_mut().unwrap();
                fields.remove("name");
                fields.remove("channel");
                assert_eq!(receipt, answer.body);
            }
        }
    }

    /// After the last start: request by request, order by order.
    pub async fn repeat_everything(self, client: Client) -> Self {
        for accepted in &self.accepted {
            accepted.repeat(&client).await;
        }
        for order in &self.shop.orders {
            for face in self.faces {
                face.look_at(&self.shop, order, &client).await;
            }
        }
        self
    }

    /// The phases of the buyers' orders, the same over each face, and which of these orders nobody
    /// was told of.
    async fn look(&self, client: &Client) -> (BTreeMap<String, Phase>, BTreeSet<String>) {
        let phases = self.faces[0].orders(&self.shop, client).await;
        for face in &self.faces[1..] {
            assert_eq!(face.orders(&self.shop, client).await, phases, "{face:?}");
        }
        let known: HashSet<_> = self.shop.orders.iter().map(|order| order.id.as_str()).collect();
        let strangers = phases.keys().filter(|id| !known.contains(id.as_str())).cloned().collect();
        (phases, strangers)
    }

    /// How many of its requests were accepted.
    pub fn accepted(&self) -> usize {
        self.accepted.len()
    }

    fn pick(&mut self, count: usize) -> usize {
        self.random.below(count as u64) as usize
    }
}
