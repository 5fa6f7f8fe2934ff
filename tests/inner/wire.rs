//! Whatever is written for another node is read there as the same.

use std::{collections::BTreeSet, fmt::Debug};

use docket::{
    domain::{Action, Caller, Credential, Rejection},
    engine::{Accepted, Error, KeyOwner, Request},
};
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::node;

mod drawn;

use drawn::*;

proptest! {
    #[test]
    fn a_request_crosses(request in any_request()) {
        crosses(&request)?;
    }

    #[test]
    fn an_answer_crosses(answer in any_answer()) {
        crosses(&answer)?;
    }
}

/// What is read is what was written, and is written as the same again.
fn crosses<T>(it: &T) -> Result<(), TestCaseError>
where
    T: PartialEq + Debug + Serialize + DeserializeOwned,
{
    let text = serde_json::to_string(it).unwrap();
    let read: T = serde_json::from_str(&text).unwrap();
    prop_assert_eq!(&read, it);
    // `Sealed` and others hide from `Debug` what tells them apart; the text does not.
    prop_assert_eq!(serde_json::to_string(&read).unwrap(), text);
    Ok(())
}

/// Declares which variants there are. One that is missing here does not compile, one that is here
/// and never drawn fails the test below.
macro_rules! variants {
    ($($function:ident($type:ty): $($pattern:pat,)*;)*) => {$(
        fn $function(it: &$type) -> &'static str {
            match it { $($pattern => stringify!($pattern),)* }
        }

        mod $function {
            pub const ALL: &[&str] = &[$(stringify!($pattern)),*];
        }
    )*};
}

variants! {
    action(Action):
        Action::Register { .. },
        Action::ChangePassword { .. },
        Action::Unregister,
        Action::Forget { .. },
        Action::IssueToken(_),
        Action::RevokeToken { .. },
        Action::Charge { .. },
        Action::OpenSession { .. },
        Action::CloseSession { .. },
        Action::OpenStore { .. },
        Action::AddListing(_),
        Action::AddStock { .. },
        Action::Fund { .. },
        Action::Place(_),
        Action::Step { .. },
        Action::Move { .. },
        Action::AdoptLifecycle { .. },
        Action::AdoptSettings { .. },
        Action::OpenWriter(_),
        Action::UpgradeCluster { .. },
    ;
    caller(Caller):
        Caller::System,
        Caller::Timer,
        Caller::Login(_),
        Caller::Token { .. },
        Caller::Somebody { credential: Credential::Failed, .. },
        Caller::Somebody { credential: Credential::Waived, .. },
        Caller::Somebody { credential: Credential::Verified { .. }, .. },
    ;
    owner(KeyOwner):
        KeyOwner::Account,
        KeyOwner::Login(_),
        KeyOwner::Token(_),
    ;
    error(Error):
        Error::Rejected(_),
        Error::KeyReused,
        Error::Full,
        Error::Overdue,
        Error::Unknown(_),
        Error::Unread(_),
        Error::Stopped(_),
        Error::NoWriter,
        Error::ShuttingDown,
    ;
    rejection(Rejection):
        Rejection::AccountUnknown,
        Rejection::BuyerUnknown { .. },
        Rejection::LoginTaken,
        Rejection::Unauthenticated,
        Rejection::Forbidden,
        Rejection::TokenTaken { .. },
        Rejection::TokenUnknown { .. },
        Rejection::StoreUnknown { .. },
        Rejection::StoreTaken { .. },
        Rejection::SkuUnknown { .. },
        Rejection::SkuTaken { .. },
        Rejection::Short { .. },
        Rejection::OrderUnknown { .. },
        Rejection::NotOwn,
        Rejection::Phase { .. },
        Rejection::Funds,
        Rejection::Overflow,
        Rejection::TooMany { .. },
        Rejection::Invalid { .. },
        Rejection::TooLarge { .. },
        Rejection::NotYet(_),
        Rejection::StillOpen(_),
        Rejection::Stuck(_),
        Rejection::NoLifecycle,
        Rejection::LifecycleOld { .. },
        Rejection::LifecycleBad(_),
        Rejection::SettingBad(_),
    ;
}

#[test]
fn every_variant_is_drawn() {
    drawn(any_action(), action, action::ALL);
    drawn(any_caller(), caller, caller::ALL);
    drawn(any_owner(), owner, owner::ALL);
    drawn(any_error(), error, error::ALL);
    drawn(any_rejection(), rejection, rejection::ALL);
}

fn drawn<T: Debug>(strategy: BoxedStrategy<T>, variant: fn(&T) -> &'static str, all: &[&str]) {
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(Default::default()),
    );
    let one = |_| variant(&strategy.new_tree(&mut runner).unwrap().current());
    let found: BTreeSet<&str> = (0..2000).map(one).collect();
    let missing: Vec<_> = all.iter().filter(|it| !found.contains(**it)).collect();
    assert!(missing.is_empty(), "never drawn: {missing:?}");
}

#[test]
fn a_step_is_written_by_its_word() {
    for word in docket::domain::lifecycle::Word::ALL {
        assert_eq!(serde_json::to_value(word).unwrap(), json!(word.as_str()));
    }
}

/// A newer node's command means more than this one can do: better refused than done in part.
#[test]
fn a_field_that_is_not_known_is_refused() {
    let known = serde_json::to_value(node::request("r")).unwrap();
    serde_json::from_value::<Request>(known.clone()).unwrap();
    for at in ["", "/command", "/command/action/OpenStore"] {
        let mut more = known.clone();
        let object = more.pointer_mut(at).and_then(Value::as_object_mut).unwrap();
        object.insert("more".into(), json!(1));
        let error = serde_json::from_value::<Request>(more).unwrap_err().to_string();
        assert!(error.contains("unknown field `more`"), "{at}: {error}");
    }
}

#[test]
fn what_answers_are_made_of_reads_back() {
    let accepted = Accepted { replay: true, ..node::accepted(node::request("r").command.id) };
    crosses::<Result<Accepted, Error>>(&Ok(accepted)).unwrap();
}
