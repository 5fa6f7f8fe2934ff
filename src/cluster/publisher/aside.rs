//! Threads for work that no answer waits for.

use std::{io, sync::mpsc, thread, time::Duration};

type Job = Box<dyn FnOnce() + Send>;

/// What the thread is called.
const NAME: &str = "publisher";

/// Does jobs one after the other, on a thread of its own.
///
/// Linux gives that thread a core while no other thread of its control group wants it, and takes it away
/// at once when one does (`SCHED_IDLE`, sched(7)). So a job may take any time on a busy machine, and must
/// hold nothing that an answer waits for.
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

    /// Does a job and gives what it gave; nothing where that is not there in time, or where it, or one
    /// before it, has panicked. Blocks: an async thread would share with the other one what wakes it.
    pub fn run<T: Send + 'static>(
        &self,
        within: Duration,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (tell, told) = mpsc::channel();
        let job = move || drop(tell.send(job())); // Whoever asked may have gone away.
        self.0.send(Box::new(job)).ok()?;
        told.recv_timeout(within).ok()
    }
}

/// Does something on a thread that gets a tenth of what others get of a core that they want, too (nice 10,
/// sched(7)). So do the threads that it starts on Linux.
pub fn modestly<T: Send>(job: impl FnOnce() -> T + Send) -> T {
    let job = || {
        take_less();
        job()
    };
    let done = thread::scope(|scope| scope.spawn(job).join());
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(target_os = "linux")]
fn stand_back() {
    use thread_priority::{NormalThreadSchedulePolicy::Idle, ThreadPriority};
    set(ThreadPriority::Min, Idle);
}

#[cfg(target_os = "linux")]
fn take_less() {
    use thread_priority::{NormalThreadSchedulePolicy::Other, ThreadPriority, ThreadPriorityValue};
    const NICE_10: u8 = 22; // Of 0 for nice 19 to 99 for nice -20.
    let priority = ThreadPriorityValue::try_from(NICE_10).unwrap_or(ThreadPriorityValue::MIN);
    set(ThreadPriority::Crossplatform(priority), Other);
}

#[cfg(target_os = "linux")]
fn set(
    priority: thread_priority::ThreadPriority,
    policy: thread_priority::NormalThreadSchedulePolicy,
) {
    use thread_priority::{ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id};
    let policy = ThreadSchedulePolicy::Normal(policy);
    let set = set_thread_priority_and_policy(thread_native_id(), priority, policy);
    if let Err(error) = set {
        tracing::info!(?error, "threads that publish may compete with those that answer");
    }
}

#[cfg(not(target_os = "linux"))]
fn stand_back() {}

#[cfg(not(target_os = "linux"))]
fn take_less() {}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// The nice value is the 19th word of `/proc/…/stat`, and the policy the 41st; `SCHED_IDLE` is 5, and
    /// 0 is what threads have otherwise (proc_pid_stat(5)).
    #[cfg(target_os = "linux")]
    #[test]
    fn they_stand_back_and_whoever_asks_does_not() {
        let standing = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            let (_, words) = stat.rsplit_once(')').unwrap();
            let words: Vec<_> = words.split_whitespace().collect();
            (words[19 - 3].to_owned(), words[41 - 3].to_owned())
        };
        let before = standing();
        assert_eq!(Aside::begin().unwrap().run(PATIENCE, standing).unwrap().1, "5");
        let modest = ("10".into(), "0".into());
        assert_eq!(modestly(standing), modest);
        assert_eq!(modestly(|| thread::spawn(standing).join().unwrap()), modest);
        assert_eq!(standing(), before);
    }

    #[test]
    fn who_asks_waits_so_long_and_no_longer() {
        let aside = Aside::begin().unwrap();
        let (free, held) = mpsc::channel::<()>();
        assert_eq!(aside.run(Duration::from_millis(10), move || held.recv().is_ok()), None);
        free.send(()).unwrap();
        assert_eq!(aside.run(PATIENCE, || 1), Some(1));
    }

    #[test]
    fn behind_a_job_that_panics_nothing_is_done() {
        let aside = Aside::begin().unwrap();
        assert_eq!(aside.run(PATIENCE, || -> u8 { panic!("a job that panics") }), None);
        assert_eq!(aside.run(PATIENCE, || 1), None);
    }
}
