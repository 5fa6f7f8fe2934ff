//! Both faces of one docket at once: random requests through the bookstore's paths and through
//! `/v1`, many at a time, retried, crossing from one face and one channel to the other. What is
//! accepted takes effect in the order in which it is recorded, as a [`Model`] says that it must;
//! what is refused is refused for a reason; and after each burst both faces show the same.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc, time::Duration};

use docket::engine;
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    books::Books,
    law::CHANNELS,
    site::{cases, decisions},
    talk::{BEGIN_MS, Town},
};
use crate::support::Answer;

#[path = "faces/asked.rs"]
mod asked;
#[path = "faces/model.rs"]
mod model;
#[path = "faces/shown.rs"]
mod shown;

use asked::{Ask, Caller, Face, NAMES, What, Wish, password, wish};
use model::{Fault, Model, PEOPLE};

const SETTINGS: &str = r#"
tick = "5ms"
clock_jump_max = "1d"

[channel.native]
receive_within = "30m"
session_lives = "30d"

[channel.bookstore]
receive_within = "30m"
session_lives = "30d"
"#;

/// What is asked for together, and what comes after.
#[derive(Debug, Clone)]
struct Burst {
    items: Vec<Item>,
    /// How much time goes by, in minutes.
    minutes: u64,
    /// Who logs in again, and through which face.
    returns: Option<(usize, usize, bool)>,
}

#[derive(Debug, Clone)]
enum Item {
    Once(Wish),
    /// Sent twice at the same time.
    Twice(Wish),
    /// One that was sent with a key is sent again.
    Again(usize),
}

fn burst() -> impl Strategy<Value = Burst> {
    let item = prop_oneof![
        10 => wish().prop_map(Item::Once),
        2 => wish().prop_map(|wish| Item::Twice(Wish { key: wish.key.or(Some(0)), ..wish })),
        2 => any::<usize>().prop_map(Item::Again),
    ];
    let minutes = prop_oneof![3 => Just(0), 1 => Just(3), 1 => Just(11), 1 => Just(31)];
    let returns = prop::option::weighted(0.3, (0..2usize, 0..PEOPLE, any::<bool>()));
    (prop::collection::vec(item, 1..20), minutes, returns)
        .prop_map(|(items, minutes, returns)| Burst { items, minutes, returns })
}

#[test]
fn both_faces_show_one_docket() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let counts: RefCell<BTreeMap<_, usize>> = RefCell::default();
    let mut runner = TestRunner::new(cases(16));
    let bursts = prop::collection::vec(burst(), 1..9);
    let held = runner.run(&bursts, |bursts| {
        let counted = runtime.block_on(play(bursts));
        for (what, count) in counted {
            *counts.borrow_mut().entry(what).or_default() += count;
        }
        Ok(())
    });
    held.unwrap_or_else(|error| panic!("{error}\n{runner}"));
    // It is no proof where nothing happened.
    let counts = counts.into_inner();
    for face in [Face::Bookstore, Face::Native].map(|face| format!("{face:?}")) {
        for (came, least) in [("accepted", 40), ("refused", 20), ("replayed", 1)] {
            let count = counts.get(&(face.clone(), came)).copied().unwrap_or(0);
            assert!(count >= least, "{face} {came}: {counts:?}");
        }
    }
}

async fn play(bursts: Vec<Burst>) -> BTreeMap<(String, &'static str), usize> {
    let mut site = Site::open().await;
    for burst in bursts {
        let mut asks = Vec::new();
        for item in burst.items {
            match item {
                Item::Once(wish) => asks.extend(wish.ask(&site.model)),
                Item::Twice(wish) => {
                    asks.extend(wish.ask(&site.model).into_iter().flat_map(|it| [it.clone(), it]));
                }
                Item::Again(n) => {
                    asks.extend(site.keyed.get(n % site.keyed.len().max(1)).cloned());
                }
            }
        }
        site.burst(asks).await;
        if let Some((side, n, native_face)) = burst.returns {
            site.login(side, n, native_face).await;
        }
        site.pass(Duration::from_secs(60 * burst.minutes)).await;
        site.shows_the_model().await;
    }
    site.ends_as_its_journal_says().await
}

/// Whether an answer was given before.
fn is_replay(answer: &Answer) -> bool {
    answer.headers.contains_key("idempotent-replay")
}

/// A docket, those who speak to it, and what it must look like.
struct Site {
    town: Arc<Town>,
    model: Model,
    ids: [[String; PEOPLE]; 2],
    tokens: [[String; PEOPLE]; 2],
    staff: String,
    auditor: String,
    /// What was sent with a key.
    keyed: Vec<Ask>,
    counts: BTreeMap<(String, &'static str), usize>,
}

impl Site {
    /// People in both channels, each with money, and a store in each, opened through any face.
    async fn open() -> Self {
        let town = Town::with(SETTINGS).await;
        let (mut ids, mut tokens) = (<[[String; PEOPLE]; 2]>::default(), <_>::default());
        let staff = town.token("clerk", "staff", json!({})).await;
        let auditor = town.token("eyes", "auditor", json!({})).await;
        for (side, channel) in CHANNELS.iter().take(2).enumerate() {
            for (n, name) in NAMES.iter().enumerate() {
                if side == 0 && n == 0 {
                    town.shop.user(name).await;
                    let token: &mut [[String; PEOPLE]; 2] = &mut tokens;
                    token[side][n] = town.login_to(channel, name).await;
                    let me = town.get("/v1/accounts/me", &token[side][n]).await;
                    ids[side][n] = me["account"].as_str().unwrap().to_owned();
                } else {
                    (ids[side][n], tokens[side][n]) = town.user_of(channel, name).await;
                }
            }
        }
        let (town, model) = (Arc::new(town), Model::new(BEGIN_MS));
        let (keyed, counts) = (Vec::new(), BTreeMap::new());
        let mut site = Self { town, model, ids, tokens, staff, auditor, keyed, counts };
        for side in 0..2 {
            let ask = |face, caller, what| Ask { face, side, caller, what, key: None };
            let native = Face::Native;
            let own = if side == 0 { Face::Bookstore } else { native };
            let mut asks = Vec::new();
            for (store, face) in [(0, own), (1, native)] {
                let owner = Caller::Person(side, 1 + usize::from(store));
                asks.push(ask(face, owner, What::OpenStore { store }));
                for (sku, face) in [(0, native), (1, own)] {
                    let listing = What::AddListing { store, sku, price: 20, quantity: 30 };
                    asks.push(ask(face, owner, listing));
                }
            }
            for whose in 0..PEOPLE {
                let fund = What::Fund { whose, minor: 400 };
                asks.push(ask(native, Caller::Operator, fund));
            }
            for ask in asks {
                site.burst(vec![ask]).await;
            }
        }
        assert_eq!(site.counts.keys().filter(|(_, came)| *came != "accepted").count(), 0);
        site
    }

    /// Asks for all of that at once, and holds the answers against the model.
    async fn burst(&mut self, asks: Vec<Ask>) {
        let mut sent = JoinSet::new();
        for ask in asks {
            let request = ask.request(|side, n| self.ids[side][n].clone());
            let (town, token) = (Arc::clone(&self.town), self.token(ask.caller).to_owned());
            sent.spawn(async move {
                let key = ask.key.map(|key| format!("key-{key}")).unwrap_or_default();
                let key = ("idempotency-key", key.as_str());
                let answer = match ask.face {
                    Face::Native => {
                        town.call_with(&request.call, &token, &[key], request.body.clone()).await
                    }
                    Face::Bookstore => {
                        let path = request.call.strip_prefix("POST ").unwrap();
                        let headers = [("token", token.as_str()), key];
                        town.shop.post_with(path, &headers, request.body.to_string()).await
                    }
                };
                let placed = matches!(ask.what, What::Place(_)) && answer.code < 300;
                if placed && !is_replay(&answer) {
                    shown::shows_at_once(&town, &ask, &token, &answer).await;
                }
                (ask, format!("{} {}", request.call, request.body), answer)
            });
        }
        let answered = sent.join_all().await;
        let keyed = answered.iter().map(|(ask, _, _)| ask).filter(|ask| ask.key.is_some());
        self.keyed.extend(keyed.cloned());
        self.settle(answered);
    }

    /// What was accepted had to be, in the order in which it is recorded; what was refused had to
    /// be, at some point in between.
    fn settle(&mut self, answered: Vec<(Ask, String, Answer)>) {
        let is_accepted = |answer: &Answer| (200..300).contains(&answer.code);
        let mut states = vec![self.model.clone()];
        let mut accepted: Vec<_> = answered
            .iter()
            .filter(|(_, _, answer)| is_accepted(answer) && !is_replay(answer))
            .map(|(ask, request, answer)| {
                let position = answer.headers["docket-position"].to_str().unwrap();
                (position.parse::<u64>().unwrap(), ask, request, answer)
            })
            .collect();
        accepted.sort_by_key(|(position, ..)| *position);
        assert!(accepted.is_sorted_by(|one, other| one.0 < other.0), "each is recorded alone");
        for (_, ask, request, answer) in accepted {
            let mut faults = self.model.faults(ask);
            // Of two that forget somebody at once both may be told that they did: the key is gone.
            if states[0].can_forget(ask) {
                faults.remove(&Fault::NoAccount);
            }
            assert!(faults.is_empty(), "{ask:?} was accepted: {faults:?} {answer:?}");
            self.model.apply(ask, answer);
            self.model.told(ask, request.clone(), answer);
            states.push(self.model.clone());
            self.count(ask, "accepted");
        }
        for (ask, request, answer) in &answered {
            if is_accepted(answer) {
                if is_replay(answer) {
                    let told = (answer.code, answer.bytes.to_vec());
                    let taken = self.model.taken(ask);
                    assert_eq!(taken, Some(&(request.clone(), told)), "{ask:?}");
                    self.count(ask, "replayed");
                }
                continue;
            }
            let taken = self.model.taken(ask).map(|(before, _)| before);
            if answer.code == 422 {
                let of_another = taken.is_some_and(|before| before != request);
                assert!(of_another, "{ask:?} {request} {taken:?}: {answer:?}");
                self.count(ask, "reused");
                continue;
            }
            let faults: Vec<_> = states.iter().map(|state| state.faults(ask)).collect();
            let says = |code: u16| {
                faults.iter().flatten().any(|fault| fault.codes(ask.face).contains(&code))
            };
            assert!(says(answer.code), "{ask:?} was refused: {faults:?} {answer:?}");
            // Who had an answer under this key before hears it again, or that the key is taken.
            let proven = !faults.iter().flatten().any(|fault| fault.is_of_caller());
            assert!(!proven || states[0].taken(ask).is_none(), "{ask:?} {request}: {answer:?}");
            self.count(ask, "refused");
        }
    }

    fn count(&mut self, ask: &Ask, came: &'static str) {
        *self.counts.entry((format!("{:?}", ask.face), came)).or_default() += 1;
    }

    fn token(&self, caller: Caller) -> &str {
        match caller {
            Caller::Person(side, n) => &self.tokens[side][n],
            Caller::Operator => &self.town.operator,
            Caller::Staff => &self.staff,
            Caller::Auditor => &self.auditor,
            Caller::Nobody => "",
        }
    }

    /// A session through one face ends the one before, for both.
    async fn login(&mut self, side: usize, n: usize, native_face: bool) {
        let (channel, name) = (CHANNELS[side], NAMES[n]);
        let gone = self.model.sides[side].wallets[n].is_none();
        let answer = if native_face || side == 1 {
            let body = json!({ "channel": channel, "login": name, "password": password(name) });
            self.town.call("POST /v1/sessions", "", body).await
        } else {
            let body = json!({ "user_id": name, "password": password(name), "terminal": "t" });
            self.town.shop.post("/auth/login", "", body).await
        };
        if gone {
            assert_eq!(answer.code, 401, "{answer:?}");
            return;
        }
        let token = answer.body["token"].as_str().unwrap().to_owned();
        let old = std::mem::replace(&mut self.tokens[side][n], token);
        let native = self.town.call("GET /v1/wallet", &old, Value::Null).await;
        let body = json!({ "user_id": name });
        let bookstore = self.town.shop.post("/buyer/query_order", &old, body).await;
        assert_eq!((native.code, bookstore.code), (401, 401), "{name} of {channel}");
    }

    /// Time goes by; what is due has happened when this returns.
    async fn pass(&mut self, time: Duration) {
        self.town.hands.advance(time);
        self.model.pass(i64::try_from(time.as_millis()).unwrap());
        for _ in 0..2000 {
            let world = engine::replay(self.town.shop.node.journal.as_ref()).unwrap().0;
            if world.deadlines.first().is_none_or(|(at, _, _)| at.0 > self.model.now) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("what is due does not happen");
    }

    /// Every commit continues the one before, the books agree, and a start from the journal alone
    /// shows the same through both faces.
    async fn ends_as_its_journal_says(mut self) -> BTreeMap<(String, &'static str), usize> {
        let Ok(town) = Arc::try_unwrap(self.town) else { panic!("somebody is still speaking") };
        let journal = Arc::clone(&town.shop.node.journal);
        self.town = Arc::new(town.restart().await);
        let (world, head) = engine::replay(journal.as_ref()).unwrap();
        assert_eq!(self.town.shop.node.engine.head(), head);
        let decisions = decisions(journal.as_ref());
        Books::of(decisions.iter().flat_map(|(_, events)| events)).agree(&world);
        self.shows_the_model().await;
        let Ok(town) = Arc::try_unwrap(self.town) else { panic!("somebody is still speaking") };
        assert_eq!(town.shop.node.shut_down().await.unwrap(), world);
        self.counts
    }
}
