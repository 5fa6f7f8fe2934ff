//! Orders that are over, read back: few at a time, once for all who ask, while nobody else waits.

use std::sync::{Arc, Condvar, Mutex};

use docket::{
    domain::{Action, Caller, Rejection, World, lifecycle::Word},
    engine::{self, Accepted, Error, Handle, Options, Request, Running},
    journal::{
        Appending, Journal, JournalError, MemoryJournal,
        memory::{Fault, Gate, MemoryStore},
    },
};
use events::*;
use tokio::sync::watch;

use super::{
    super::site::{
        BEGIN, Site, channel, command, command_in, digest, fresh, idle, in_each_channel, keyed,
        paused, place, somebody,
    },
    leads_back, step,
};

fn phase(phase: Phase, word: Word) -> Result<(), Error> {
    Err(Error::Rejected(Rejection::Phase { phase: Some(phase), word }))
}

/// What happens to reads of one order's events.
#[derive(Default)]
struct Reads {
    begun: usize,
    /// How many are under way, and how many ever were at the same time.
    now: usize,
    most: usize,
    held: bool,
    broken: bool,
}

/// A journal whose reads of one order's events a test counts, holds up and breaks.
struct Watched {
    journal: MemoryJournal,
    reads: Mutex<Reads>,
    changed: Condvar,
}

impl Watched {
    fn begun(&self) -> usize {
        self.reads.lock().unwrap().begun
    }

    fn most(&self) -> usize {
        self.reads.lock().unwrap().most
    }

    fn set(&self, change: impl FnOnce(&mut Reads)) {
        change(&mut self.reads.lock().unwrap());
        self.changed.notify_all();
    }
}

impl Journal for Watched {
    fn append(&self, commit: Arc<Commit>, keys: Vec<WrappedKey>) -> Appending {
        self.journal.append(commit, keys)
    }
    fn head(&self) -> watch::Receiver<Head> {
        self.journal.head()
    }
    fn read(&self, after: CommitNumber, most: usize) -> Result<Vec<Commit>, JournalError> {
        self.journal.read(after, most)
    }
    fn head_at(&self, number: CommitNumber) -> Result<Option<Head>, JournalError> {
        self.journal.head_at(number)
    }
    fn read_subject(
        &self,
        channel: &Channel,
        subject: &Subject,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Envelope>, JournalError> {
        let mut reads = self.reads.lock().unwrap();
        reads.begun += 1;
        reads.now += 1;
        reads.most = reads.most.max(reads.now);
        while reads.held {
            reads = self.changed.wait(reads).unwrap();
        }
        reads.now -= 1;
        let broken = reads.broken;
        drop(reads);
        if broken {
            return Err(JournalError::Closed("as the test wants it".into()));
        }
        self.journal.read_subject(channel, subject, after, limit)
    }
    fn decision(&self, command: CommandId) -> Result<Option<DecisionHeader>, JournalError> {
        self.journal.decision(command)
    }
    fn wrapped_key(&self, id: &str) -> Result<Option<WrappedKey>, JournalError> {
        self.journal.wrapped_key(id)
    }
    fn wrapped_keys(&self, after: &str, limit: usize) -> Result<Vec<WrappedKey>, JournalError> {
        self.journal.wrapped_keys(after, limit)
    }
    fn ensure_key(&self, key: WrappedKey) -> Result<WrappedKey, JournalError> {
        self.journal.ensure_key(key)
    }
    fn destroy_key(&self, id: &str) -> Result<(), JournalError> {
        self.journal.destroy_key(id)
    }
}

/// An engine on a journal that is watched, and orders that have left it.
struct Late {
    journal: Arc<Watched>,
    engine: Handle,
    running: Running,
    seller: AccountId,
    buyer: AccountId,
    over: Vec<OrderId>,
}

impl Late {
    /// With so many orders that are cancelled.
    async fn new(over: usize, set: impl FnOnce(&mut Options)) -> Self {
        let site = Site::new(|_| {}).await;
        let text = leads_back(&channel(), 2, None);
        let adopted = Action::AdoptLifecycle { digest: digest(&text), text };
        site.give(command(Caller::System, adopted)).await.unwrap();
        let (seller, buyer) = site.shop(&[1000], 10_000).await;
        let mut orders = Vec::new();
        for _ in 0..over {
            let (order, placed) = place(&[(0, 1)]);
            site.give(command(somebody(buyer), placed)).await.unwrap();
            site.give(step(buyer, order, Word::Cancel)).await.unwrap();
            orders.push(order);
        }
        let store = site.journal.store();
        site.stop().await.unwrap();
        Self::on(store, (seller, buyer), orders, set)
    }

    fn on(
        store: Arc<MemoryStore>,
        (seller, buyer): (AccountId, AccountId),
        over: Vec<OrderId>,
        set: impl FnOnce(&mut Options),
    ) -> Self {
        let mut options = Options { clock: Arc::new(|| BEGIN), ..Options::default() };
        set(&mut options);
        let journal = MemoryJournal::from_store(store);
        let (reads, changed) = (Mutex::default(), Condvar::new());
        let journal = Arc::new(Watched { journal, reads, changed });
        let (engine, running) = engine::start(journal.clone(), options).unwrap();
        Self { journal, engine, running, seller, buyer, over }
    }

    async fn give(&self, command: docket::domain::Command) -> Result<(), Error> {
        self.engine.submit(Request::new(command)).await.map(drop)
    }

    /// Gives it in a task of its own. The engine has taken it when this returns.
    async fn send(&self, request: Request) -> tokio::task::JoinHandle<Result<Accepted, Error>> {
        let engine = self.engine.clone();
        let answer = tokio::spawn(async move { engine.submit(request).await });
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        answer
    }

    /// Waits until so many reads have begun.
    async fn until_begun(&self, count: usize) {
        while self.journal.begun() < count {
            tokio::task::yield_now().await;
        }
    }
}

/// However many ask for what is over while the disk is slow, the others are served; reads are few
/// at a time and one for each order; and in the end everybody is answered.
#[test]
fn reading_back_holds_nobody_else_up() {
    in_each_channel(async || {
        let late = Late::new(50, |_| {}).await;
        assert_eq!(late.journal.begun(), 0);
        late.journal.set(|reads| reads.held = true);
        let mut waiting = Vec::new();
        for _ in 0..3 {
            for order in &late.over {
                waiting.push(late.send(Request::new(step(late.buyer, *order, Word::Pay))).await);
            }
        }
        late.until_begun(4).await;
        assert_eq!(late.engine.queued(), 150);
        for _ in 0..20 {
            late.give(command(somebody(late.buyer), place(&[(0, 1)]).1)).await.unwrap();
        }
        assert!(waiting.iter().all(|answer| !answer.is_finished()));
        late.journal.set(|reads| reads.held = false);
        for answer in waiting {
            let answer = answer.await.unwrap().map(drop);
            assert_eq!(answer, phase(Phase::Cancelled, Word::Pay));
        }
        assert_eq!((late.journal.begun(), late.journal.most()), (50, 4));
        assert_eq!(late.engine.queued(), 0);
        let world = late.running.shut_down().await.unwrap();
        assert_eq!((world.orders.len(), world.channels[&channel()].finished.len()), (20, 50));
        assert_eq!(world, engine::replay(late.journal.as_ref()).unwrap().0);
    });
}

/// As many commands are set aside as may wait in the queue; more are told to come again.
#[test]
fn only_so_many_are_set_aside() {
    in_each_channel(async || {
        let late = Late::new(6, |options| options.queue_max = 5).await;
        late.journal.set(|reads| reads.held = true);
        let mut waiting = Vec::new();
        for order in &late.over[..5] {
            waiting.push(late.send(Request::new(step(late.buyer, *order, Word::Pay))).await);
        }
        assert_eq!(late.give(step(late.buyer, late.over[5], Word::Pay)).await, Err(Error::Full));
        late.give(command(somebody(late.buyer), place(&[(0, 1)]).1)).await.unwrap();
        late.journal.set(|reads| reads.held = false);
        for answer in waiting {
            let answer = answer.await.unwrap().map(drop);
            assert_eq!(answer, phase(Phase::Cancelled, Word::Pay));
        }
        let answer = late.give(step(late.buyer, late.over[5], Word::Pay)).await;
        assert_eq!(answer, phase(Phase::Cancelled, Word::Pay));
    });
}

/// The journal is asked for nothing that is not there, that is open, or that a key answers.
#[test]
fn nothing_is_read_in_vain() {
    in_each_channel(async || {
        let late = Late::new(2, |_| {}).await;
        let unknown = OrderId(fresh());
        let answer = late.give(step(late.buyer, unknown, Word::Pay)).await;
        assert_eq!(answer, Err(Error::Rejected(Rejection::OrderUnknown { order: unknown })));
        // Another channel has its own orders.
        let other = ["native", "bookstore"].map(|name| Channel::new(name).unwrap());
        let other = other.iter().find(|it| **it != channel()).unwrap();
        let order = late.over[0];
        let moved = command_in(other, Caller::System, Action::Move { order });
        assert_eq!(late.give(moved).await, Err(Error::Rejected(Rejection::OrderUnknown { order })));

        let (order, placed) = place(&[(0, 1)]);
        late.give(command(somebody(late.buyer), placed)).await.unwrap();
        let cancel = |body| keyed(step(late.buyer, order, Word::Cancel), "k", body);
        let first = late.engine.submit(cancel(1)).await.unwrap();
        let again = late.engine.submit(cancel(1)).await;
        assert_eq!(again, Ok(Accepted { replay: true, ..first.clone() }));
        assert_eq!(late.engine.submit(cancel(2)).await, Err(Error::KeyReused));
        assert_eq!(late.journal.begun(), 0);

        // The key answers after a restart, too; without it the order does.
        let (store, people) = (late.journal.journal.store(), (late.seller, late.buyer));
        late.running.shut_down().await.unwrap();
        let late = Late::on(store, people, late.over, |_| {});
        let again = late.engine.submit(cancel(1)).await;
        assert_eq!(again, Ok(Accepted { replay: true, ..first }));
        assert_eq!(late.journal.begun(), 0);
        let answer = late.give(step(late.buyer, order, Word::Cancel)).await;
        assert_eq!(answer, phase(Phase::Cancelled, Word::Cancel));
        assert_eq!(late.journal.begun(), 1);
    });
}

/// Commands on one order are decided one after the other, each on what the one before has left,
/// though all were given when it was over; the same key has one effect.
#[test]
fn commands_on_one_order_are_decided_in_their_order() {
    in_each_channel(async || {
        let late = Late::new(1, |_| {}).await;
        let order = late.over[0];
        late.journal.set(|reads| reads.held = true);
        let confirm = || keyed(step(late.buyer, order, Word::FailDelivery), "k", 1);
        let requests = [
            confirm(),
            confirm(),
            Request::new(step(late.buyer, order, Word::Pay)),
            Request::new(step(late.seller, order, Word::Prepare)),
            Request::new(step(late.seller, order, Word::Prepare)),
            Request::new(step(late.buyer, order, Word::Pay)),
            Request::new(step(late.seller, order, Word::Ship)),
            Request::new(step(late.buyer, order, Word::Receive)),
            // It is over again, in another way than it was when these were given.
            Request::new(step(late.seller, order, Word::Prepare)),
            Request::new(step(late.seller, order, Word::Ship)),
        ];
        let mut waiting = Vec::new();
        for request in requests {
            waiting.push(late.send(request).await);
        }
        late.journal.set(|reads| reads.held = false);
        let mut answers = Vec::new();
        for answer in waiting {
            answers.push(answer.await.unwrap());
        }
        let [first, second, rest @ ..] = &answers[..] else { panic!() };
        let first = first.clone().unwrap();
        assert_eq!(*second, Ok(Accepted { replay: true, ..first }));
        let rest: Vec<_> = rest.iter().map(|answer| answer.clone().map(drop)).collect();
        let expected = [
            phase(Phase::Cancelled, Word::Pay),
            Ok(()),
            phase(Phase::AwaitingPayment, Word::Prepare),
            Ok(()),
            Ok(()),
            Ok(()),
            phase(Phase::Completed, Word::Prepare),
            Ok(()),
        ];
        assert_eq!(rest, expected);
        let world = late.running.shut_down().await.unwrap();
        let open = &world.orders[&order];
        assert_eq!((open.phase, open.held), (Phase::Received, 0));
        assert_eq!(world.accounts[&late.buyer].open_orders, 1);
        assert_eq!(world, engine::replay(late.journal.as_ref()).unwrap().0);
    });
}

/// An order that cannot be read is nobody's fault but the disk's: its command is told so, nothing
/// has happened, and all goes on when the disk does.
#[test]
fn what_cannot_be_read_is_said_and_tried_again() {
    in_each_channel(async || {
        let late = Late::new(1, |_| {}).await;
        late.journal.set(|reads| reads.broken = true);
        let pay = || step(late.buyer, late.over[0], Word::Pay);
        let answer = late.give(pay()).await;
        assert!(
            matches!(&answer, Err(Error::Unread(why)) if why.contains("as the test")),
            "{answer:?}"
        );
        late.give(command(somebody(late.buyer), place(&[(0, 1)]).1)).await.unwrap();
        late.journal.set(|reads| reads.broken = false);
        assert_eq!(late.give(pay()).await, phase(Phase::Cancelled, Word::Pay));
    });
}

/// What ended an order is on its way to the disk: the order is read back when it is there, and a
/// journal that fails first fails what waits for it.
#[test]
fn an_order_is_read_back_when_its_end_is_durable() {
    for fails in [false, true] {
        paused(async {
            let late = Late::new(0, |_| {}).await;
            let (order, placed) = place(&[(0, 1)]);
            late.give(command(somebody(late.buyer), placed)).await.unwrap();
            let gate = Gate::new();
            let next = CommitNumber(late.engine.head().number.0 + 1);
            late.journal.journal.inject(next, Fault::Hold(gate.clone()));
            if fails {
                late.journal.journal.inject(next, Fault::Fail);
            }
            let cancel = late.send(Request::new(step(late.buyer, order, Word::Cancel))).await;
            gate.reached().await;
            let pay = late.send(Request::new(step(late.buyer, order, Word::Pay))).await;
            idle().await;
            assert!(!cancel.is_finished() && !pay.is_finished());
            assert_eq!((late.journal.begun(), late.engine.queued()), (0, 1));
            gate.open();
            let (cancel, pay) = (cancel.await.unwrap(), pay.await.unwrap().map(drop));
            if fails {
                assert!(matches!(cancel, Err(Error::Stopped(_))), "{cancel:?}");
                assert!(matches!(pay, Err(Error::Stopped(_))), "{pay:?}");
            } else {
                cancel.unwrap();
                assert_eq!(pay, phase(Phase::Cancelled, Word::Pay));
            }
        });
    }
}

/// What is set aside when docket is told to stop is answered before it ends; what has waited too
/// long is dropped undecided.
#[test]
fn what_is_set_aside_is_answered_at_the_end() {
    in_each_channel(async || {
        let late = Late::new(2, |_| {}).await;
        late.journal.set(|reads| reads.held = true);
        let pay = step(late.buyer, late.over[0], Word::Pay);
        let prepare = step(late.seller, late.over[1], Word::Prepare);
        let pay = late.send(Request::new(pay)).await;
        let gone = late.send(Request::new(prepare)).await;
        gone.abort(); // Its caller goes away; that undoes no command.
        late.until_begun(2).await;
        let journal = Arc::clone(&late.journal);
        let ending = tokio::spawn(late.running.shut_down());
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        assert!(!ending.is_finished());
        journal.set(|reads| reads.held = false);
        let world: World = ending.await.unwrap().unwrap();
        assert_eq!(pay.await.unwrap().map(drop), phase(Phase::Cancelled, Word::Pay));
        assert_eq!(world.orders[&late.over[1]].phase, Phase::AwaitingPayment);
        assert_eq!(world, engine::replay(journal.as_ref()).unwrap().0);
    });
}
