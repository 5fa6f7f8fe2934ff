//! A thread for work that no answer waits for.

use std::{io, sync::mpsc, thread};

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// What the thread is called.
const NAME: &str = "publisher";

/// Does jobs one after the other, on a thread of its own.
///
/// Linux gives that thread a core while nothing else wants it, and takes it away at once when something
/// does (`SCHED_IDLE`, sched(7)). So a job may take any time on a busy machine, and must hold nothing that
/// others wait for.
pub struct Aside(mpsc::Sender<Job>);

impl Aside {
    /// One that ends with this value, behind what it was given.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn begin() -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let run = move || {
            stand_back();
            queue.into_iter().for_each(|job| job());
        };
        thread::Builder::new().name(NAME.into()).spawn(run)?;
        Ok(Self(jobs))
    }

    /// Does a job and gives what it gave; nothing where it, or one before it, has panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (tell, told) = oneshot::channel();
        let job = move || drop(tell.send(job())); // Whoever asked may have gone away.
        self.0.send(Box::new(job)).ok()?;
        told.await.ok()
    }
}

#[cfg(target_os = "linux")]
fn stand_back() {
    use thread_priority::{
        NormalThreadSchedulePolicy::Idle, ThreadPriority, ThreadSchedulePolicy,
        set_thread_priority_and_policy, thread_native_id,
    };
    let policy = ThreadSchedulePolicy::Normal(Idle);
    let set = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy);
    if let Err(error) = set {
        tracing::debug!(?error, "what publishes competes with what answers");
    }
}

#[cfg(not(target_os = "linux"))]
fn stand_back() {}

#[cfg(test)]
mod tests {
    use super::*;

    /// The policy is the 41st word of `/proc/…/stat`, and `SCHED_IDLE` is 5 (proc_pid_stat(5)).
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn it_stands_back_behind_everything_else() {
        let aside = Aside::begin().unwrap();
        let read = || std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let policy = |stat: String| {
            let (_, words) = stat.rsplit_once(')').unwrap();
            words.split_whitespace().nth(41 - 3).unwrap().to_owned()
        };
        assert_eq!(policy(read()), "0", "of what asks");
        assert_eq!(policy(aside.run(read).await.unwrap()), "5");
    }

    #[tokio::test]
    async fn jobs_are_done_in_turn_until_one_panics() {
        let aside = Aside::begin().unwrap();
        let (tell, told) = mpsc::channel();
        for n in 0..3 {
            let tell = tell.clone();
            assert_eq!(aside.run(move || tell.send(n).map(|()| n)).await, Some(Ok(n)));
        }
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(aside.run(|| -> u8 { panic!("a job that panics") }).await, None);
        assert_eq!(aside.run(|| 1).await, None);
    }
}
