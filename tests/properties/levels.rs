//! Nothing is recorded that some node may not be able to read: what is above the level in force
//! waits for `docket cluster upgrade`. All that is written today is of the first level, so these
//! sites stand a level below it, where no real one can.

use std::sync::Arc;

use docket::{
    domain::{Action, Caller, Rejection, World},
    engine::{Decider, Error, Request},
    journal::{Journal, MemoryJournal},
};
use events::*;

use super::{
    site::{BEGIN, command_in, decisions},
    support::{
        Shop,
        decision::{deciding, recorded},
        folder,
    },
};

const BELOW: u32 = LEVEL_FIRST - 1;

#[test]
fn what_is_above_the_level_in_force_waits_for_the_upgrade() {
    let mut decider = Decider::new(World { level: BELOW, ..World::default() }, Head::default());
    let site = Channel::new("site").unwrap();
    let issued = TokenIssued {
        token: Digest([1; 32]),
        name: TokenName::new("till").unwrap(),
        role: Role::Operator,
        channel: None,
        store: None,
        expires_at: None,
    };
    let issue = command_in(&site, Caller::System, Action::IssueToken(Box::new(issued)));
    let refused = decider.decide(Request::new(issue.clone()), BEGIN);
    let Err(Error::Rejected(told @ Rejection::NotYet(_))) = refused else { panic!("{refused:?}") };
    assert_eq!(
        told.to_string(),
        "token.issued is of level 1, and events up to level 0 are written: this is possible after \
         `docket cluster upgrade`"
    );
    assert!(decider.is_empty() && decider.position() == Position(0), "a refusal leaves no trace");
    assert_eq!(decider.world(), &World { level: BELOW, ..World::default() });

    let upgrade = command_in(&site, Caller::System, Action::UpgradeCluster { level: LEVEL });
    decider.decide(Request::new(upgrade), BEGIN).unwrap();
    decider.decide(Request::new(issue), BEGIN).unwrap();
    assert_eq!((decider.world().level, decider.position()), (LEVEL, Position(2)));
}

/// Somebody's site that is one process has no other node to ask.
#[tokio::test]
async fn a_docket_alone_brings_its_own_level_into_force() {
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
    let event = Event::ClusterUpgraded(ClusterUpgraded { level: BELOW });
    let older = recorded(Position(1), Subject::cluster(), event);
    let commit =
        Commit::seal(&Head::default(), Epoch(1), vec![deciding("upgrade_cluster", &older)]);
    journal.append(Arc::new(commit), Vec::new()).await.unwrap().unwrap();
    let (_folder, data) = folder();
    for _ in 0..2 {
        let shop = Shop::on(Arc::clone(&journal), &data, "", None).await;
        shop.stop().await;
    }
    let all: Vec<_> = decisions(&*journal).into_iter().flat_map(|(_, events)| events).collect();
    let levels = all.iter().filter_map(|it| match &it.event {
        Event::ClusterUpgraded(it) => Some(it.level),
        _ => None,
    });
    assert_eq!(levels.collect::<Vec<_>>(), [BELOW, LEVEL], "once, and before anything else");
    assert!(matches!(all[1].event, Event::ClusterUpgraded(_)), "{:?}", all[1]);
}
