//! One request, under an idempotency key of its own: sent, and sent again.

use std::time::Duration;

use docket::client::{Answer, Client};

use super::{
    face::{Face, Request},
    shop::{Change, Learnt, Refusal, Shop},
};

/// A request, and what is to come of it.
#[derive(Debug, Clone)]
pub struct Call {
    pub face: Face,
    pub change: Change,
    refusal: Option<Refusal>,
    request: Request,
    key: String,
}

/// A request that was accepted, and its answer as it came.
#[derive(Debug, Clone)]
pub struct Accepted {
    pub call: Call,
    pub answer: Answer,
}

impl Call {
    pub fn new(face: Face, shop: &Shop, change: Change, key: String) -> Self {
        let (refusal, request) = (shop.refusal(&change), face.request(shop, &change));
        Self { face, change, refusal, request, key }
    }

    pub async fn send(&self, client: &Client) -> anyhow::Result<Answer> {
        let Request { method, path, credential: (name, value), body } = &self.request;
        let headers = [
            (*name, value.as_str()),
            ("idempotency-key", &self.key),
            ("content-type", "application/json"),
        ];
        let sending = client.send(method.clone(), path, &headers, body.clone());
        tokio::time::timeout(Duration::from_secs(30), sending).await.expect("no answer in 30 s")
    }

    /// What the answer tells, `None` where it is the refusal that was to come. It is nothing else.
    pub fn read(&self, answer: &Answer) -> Option<Learnt> {
        let told = match self.refusal {
            Some(refusal) => self.face.refuses(refusal, answer).then_some(None),
            None => self.face.learn(&self.change, answer).map(Some),
        };
        told.unwrap_or_else(|| panic!("{self:?}: {answer:?}"))
    }

    pub fn is_accepted(&self) -> bool {
        self.refusal.is_none()
    }

    /// A session's token is a secret, so it is never told again, and takes no key.
    pub fn is_keyed(&self) -> bool {
        !matches!(self.change, Change::Login(_))
    }
}

impl Accepted {
    /// Sends it once more: the answer is the same, byte for byte, and marked so.
    pub async fn repeat(&self, client: &Client) {
        let Self { call, answer } = self;
        if !call.is_keyed() {
            return;
        }
        let again = call.send(client).await.unwrap();
        assert!(is_replay(&again), "{call:?}: {again:?}");
        assert_eq!((again.status, &again.bytes), (answer.status, &answer.bytes), "{call:?}");
        for header in ["docket-position", "location"] {
            assert_eq!(again.headers.get(header), answer.headers.get(header), "{call:?}");
        }
    }
}

pub fn is_replay(answer: &Answer) -> bool {
    answer.headers.get("idempotent-replay").is_some_and(|it| it == "true")
}
