//! The one thread that writes, and its group commits.
//!
//! On Postgres others write too, on other machines, and the way there may be cut. So a job may be done several times before it
//! is answered, of which one is committed: a group that somebody else was in the way of is done again as a whole, then its
//! jobs one by one, so that one which is always in somebody's way holds up no other. While there is no connection, jobs wait;
//! those for which that takes too long are told so, and [`QUEUE`] says how many may wait.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};

use crate::StoreError;
use crate::database::{Broken, Connection};

/// How many jobs may wait; whoever asks for more waits with it.
const QUEUE: usize = 1024;

/// How many jobs are done in one transaction.
const GROUP: usize = 256;

/// How often a group is done when somebody is in its way, before its jobs are done one by one; and how often such a one.
const TOGETHER: u32 = 2;
const ALONE: u32 = 8;

/// How often a transaction is begun anew because the connection went in the middle of it. One that always ends it may be its
/// cause.
const LOST: u32 = 5;

/// How long jobs wait for a connection that is lost: a server's restart, or the failover to its standby.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same while it is not known whether they are done, because what can be said then helps nobody.
const UNCERTAINTY: Duration = Duration::from_secs(300);

/// How long to wait before something is tried again: the first time, and at most.
const SHORTEST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// One thing to do within a transaction, and whom to answer after it.
pub(crate) trait Job: Send {
    /// Does it, and keeps what came of it; whatever was done before was taken back.
    ///
    /// # Errors
    /// When the whole transaction is broken, not only this.
    fn run(&mut self, connection: &mut Connection) -> Result<(), Broken>;

    /// Answers whoever asked, once it is known what became of the transaction.
    fn answer(self: Box<Self>, outcome: Result<(), Failure>);

    /// Whether nothing is to be written after it.
    fn is_last(&self) -> bool;
}

/// Why a transaction was given up.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    Commit(String),
    Conflict(String),
    Unreachable(String),
    Unknown(String),
    Superseded,
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Commit(problem) => Self::Commit(problem),
            Failure::Conflict(problem) => Self::Conflict(problem),
            Failure::Unreachable(problem) => Self::Unreachable(problem),
            Failure::Unknown(problem) => Self::Unknown(problem),
            Failure::Superseded => Self::Superseded,
        }
    }
}

struct Asked<T, W> {
    work: W,
    result: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
    is_last: bool,
}

/// A job that may be done several times.
pub(crate) fn job<T: Send + 'static>(
    work: impl Fn(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    answer: oneshot::Sender<Result<T, StoreError>>,
) -> Box<dyn Job> {
    Box::new(Asked { work, result: None, answer, is_last: false })
}

/// The last job: another node may take over.
pub(crate) fn leave(answer: oneshot::Sender<Result<(), StoreError>>) -> Box<dyn Job> {
    Box::new(Asked { work: Connection::leave, result: None, answer, is_last: true })
}

impl<T: Send, W: Fn(&mut Connection) -> Result<T, StoreError> + Send> Job for Asked<T, W> {
    /// A job that fails takes back what it did, and only that.
    fn run(&mut self, connection: &mut Connection) -> Result<(), Broken> {
        connection.begin_part()?;
        let result = (self.work)(connection);
        if let Some(broken) = result.as_ref().err().and_then(Broken::by) {
            return Err(broken);
        }
        match (connection.end_part(result.is_err()), &result) {
            // A disk that is full has ended the transaction in the middle of the job: then that is what there is to tell.
            (Err(Broken::Failed(_)), Err(error)) => return Err(Broken::Failed(error.to_string())),
            (ended, _) => ended?,
        }
        self.result = Some(result);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), Failure>) {
        let result = match outcome {
            Ok(()) => self.result.unwrap_or(Err(StoreError::Closed)),
            Err(failure) => Err(failure.into()),
        };
        // Whoever asked may have gone; what was written stays.
        self.answer.send(result).ok();
    }

    fn is_last(&self) -> bool {
        self.is_last
    }
}

/// The way to the writing thread, which ends when the last handle is gone.
#[derive(Clone)]
pub(crate) struct Writer {
    jobs: mpsc::Sender<Box<dyn Job>>,
    is_over: watch::Receiver<bool>,
}

impl Writer {
    /// Starts the thread, which opens its connection itself: only there may it wait for a network.
    pub(crate) fn start(
        open: impl FnOnce() -> Result<Connection, StoreError> + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let (tell, opened) = std::sync::mpsc::sync_channel(1);
        let (over, is_over) = watch::channel(false);
        let thread = move || match open() {
            Ok(connection) => {
                tell.send(Ok(())).ok();
                Thread { connection, lost_since: None, over }.write(waiting);
            }
            Err(error) => drop(tell.send(Err(error))),
        };
        std::thread::Builder::new().name("store".into()).spawn(thread).map_err(StoreError::Thread)?;
        opened.recv().unwrap_or(Err(StoreError::Closed))?;
        Ok(Self { jobs, is_over })
    }

    pub(crate) async fn send(&self, job: Box<dyn Job>) -> Result<(), StoreError> {
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)
    }

    /// Answers when nothing is written any more, because another node writes.
    pub(crate) async fn is_over(&self) {
        // A thread that has ended writes nothing either.
        self.is_over.clone().wait_for(|over| *over).await.ok();
    }

    /// Sends a job that may as well not be done, when others wait.
    pub(crate) fn offer(&self, job: Box<dyn Job>) {
        self.jobs.try_send(job).ok();
    }
}

struct Thread {
    connection: Connection,
    /// Since when there is no connection.
    lost_since: Option<Instant>,
    /// Whether another node writes now.
    over: watch::Sender<bool>,
}

impl Thread {
    fn write(mut self, mut waiting: mpsc::Receiver<Box<dyn Job>>) {
        let mut group = Vec::with_capacity(GROUP);
        while waiting.blocking_recv_many(&mut group, GROUP) > 0 {
            let outcome = self.commit(&mut group, TOGETHER);
            if matches!(outcome, Err(Failure::Conflict(_))) {
                for mut job in group.drain(..) {
                    let outcome = self.commit(core::slice::from_mut(&mut job), ALONE);
                    if outcome.is_ok() && job.is_last() {
                        self.end();
                    }
                    job.answer(outcome);
                }
            }
            // What is decided to be the last is so before anybody hears of it.
            if outcome.is_ok() && group.iter().any(|job| job.is_last()) {
                self.end();
            }
            for job in group.drain(..) {
                job.answer(outcome.clone());
            }
        }
    }

    fn end(&mut self) {
        self.connection.let_go();
        self.over.send_replace(true);
    }

    /// Does jobs in one transaction, again and again where that may help.
    fn commit(&mut self, jobs: &mut [Box<dyn Job>], attempts: u32) -> Result<(), Failure> {
        let (mut conflicts, mut losses) = (0, 0);
        loop {
            if *self.over.borrow() {
                return Err(Failure::Superseded);
            }
            match transaction(&mut self.connection, jobs) {
                Ok(()) => {
                    self.lost_since = None;
                    return Ok(());
                }
                Err(Broken::Failed(problem)) => return Err(Failure::Commit(problem)),
                Err(Broken::Conflict(problem)) => {
                    conflicts += 1;
                    if conflicts == attempts {
                        return Err(Failure::Conflict(problem));
                    }
                    wait(conflicts);
                }
                Err(Broken::Lost(problem)) => {
                    losses += 1;
                    if losses == LOST {
                        return Err(Failure::Unreachable(problem));
                    }
                    self.return_within(PATIENCE, Failure::Unreachable, Connection::reconnect)?;
                }
                Err(Broken::Unknown) => {
                    let committed = self.return_within(UNCERTAINTY, Failure::Unknown, |connection| {
                        connection.reconnect()?;
                        connection.was_committed()
                    });
                    if committed? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Tries something again and again, for so long after the connection was lost; at least once.
    fn return_within<T>(
        &mut self,
        patience: Duration,
        given_up: fn(String) -> Failure,
        attempt: impl Fn(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, Failure> {
        let since = *self.lost_since.get_or_insert_with(Instant::now);
        for times in 1.. {
            match attempt(&mut self.connection) {
                Ok(done) => {
                    self.lost_since = None;
                    return Ok(done);
                }
                Err(StoreError::Superseded) => {
                    self.end();
                    return Err(Failure::Superseded);
                }
                Err(error) if since.elapsed() >= patience => return Err(given_up(error.to_string())),
                Err(_) => wait(times),
            }
        }
        Err(given_up(String::new()))
    }
}

/// Longer each time, and never as long as another's.
fn wait(times: u32) {
    let longest = SHORTEST_WAIT.saturating_mul(1 << times.min(10)).min(LONGEST_WAIT);
    let random = RandomState::new().hash_one(times) as u32;
    std::thread::sleep(longest.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX)));
}

fn transaction(connection: &mut Connection, jobs: &mut [Box<dyn Job>]) -> Result<(), Broken> {
    // Nothing may be done outside a transaction: it would be there though everybody is told that it is not.
    connection.begin()?;
    let done = jobs.iter_mut().try_for_each(|job| job.run(connection)).and_then(|()| connection.commit());
    if done.is_err() {
        connection.roll_back();
    }
    done
}
