//! One question in flight at a time, for everybody who asks the same.
//!
//! **Invariant:** nobody gets an answer to a question that was sent before they asked: it may have
//! been answered by then. Whoever asks while a question is in flight shares the next one.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

/// Shares answers among those who asked before the question was sent.
pub(super) struct Coalescer<T> {
    /// Those whose question has not been sent.
    gathering: Mutex<Arc<Round<T>>>,
    in_flight: tokio::sync::Mutex<()>,
}

/// One question and all who wait for it.
type Round<T> = OnceCell<T>;

impl<T> Default for Coalescer<T> {
    fn default() -> Self {
        Self { gathering: Mutex::default(), in_flight: tokio::sync::Mutex::default() }
    }
}

impl<T: Clone> Coalescer<T> {
    /// The answer to a question that is sent from here on, by this caller or another. One who
    /// stops waiting leaves the question to those who still do.
    pub(super) async fn ask<F: Future<Output = T>>(&self, send: impl FnOnce() -> F) -> T {
        let round = Arc::clone(&self.gathering());
        let answer = round.get_or_init(|| async {
            let _turn = self.in_flight.lock().await;
            self.close(&round); // From here on, whoever asks is in the next round.
            send().await
        });
        answer.await.clone()
    }

    fn close(&self, round: &Arc<Round<T>>) {
        let mut gathering = self.gathering();
        if Arc::ptr_eq(&gathering, round) {
            *gathering = Arc::default();
        }
    }

    fn gathering(&self) -> std::sync::MutexGuard<'_, Arc<Round<T>>> {
        self.gathering.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
