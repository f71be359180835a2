//! A thread that owns one connection and does what it is sent, in order.
//!
//! The writer commits in groups: it takes whatever waits, runs it in one transaction, commits once, and only then
//! answers each. A commit costs one sync of the disk however many share it, so a server under load is not slower
//! than its disk. Each piece of work has a savepoint of its own: what fails is undone alone.
//!
//! Invariant: nobody is answered before the commit that holds their work; when that fails, all are told so.

use std::thread;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use crate::StoreError;

/// How many pieces of work may wait for a thread; who comes then waits before sending. With batches of at most
/// 256 KiB the queue holds at most 64 MiB.
const QUEUE: usize = 256;

/// How many pieces of work share a commit: bounds what the first of them waits.
const GROUP: usize = 256;

/// Some work and who waits for it.
trait Job: Send {
    /// Does it; false when it failed and is to be undone.
    fn run(&mut self, connection: &Connection) -> bool;

    /// Tells who waits, once it is known whether the work stands.
    fn answer(self: Box<Self>, stands: Result<(), StoreError>);
}

struct Asked<W, T> {
    work: Option<W>,
    outcome: Option<Result<T, StoreError>>,
    asker: oneshot::Sender<Result<T, StoreError>>,
}

impl<W, T> Job for Asked<W, T>
where
    W: FnOnce(&Connection) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        self.outcome = self.work.take().map(|work| work(connection));
        matches!(self.outcome, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, stands: Result<(), StoreError>) {
        let outcome = match (self.outcome, stands) {
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Err(error)), _) | (_, Err(error)) => Err(error),
            (None, Ok(())) => Err(StoreError::Closed),
        };
        // Who asked may have gone; the work stands all the same.
        let _ = self.asker.send(outcome);
    }
}

enum Message {
    Job(Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

/// Dropped when the thread has let go of everything, which tells those who closed it.
type Closers = Vec<oneshot::Sender<()>>;

/// The sending side of a thread; the thread ends when all of them are gone.
#[derive(Clone)]
pub(crate) struct Worker {
    queue: mpsc::Sender<Message>,
}

impl Worker {
    /// A thread that writes through `connection` and keeps `guard` until it ends.
    pub(crate) fn writer(mut connection: Connection, guard: impl Send + 'static) -> Result<Self, StoreError> {
        Self::spawn("store-writer", move |queue| {
            let closers = serve(queue, |group| commit(&mut connection, group));
            // What the log still holds goes into the database, so that the next start has nothing to recover. If
            // that fails, nothing is lost: the next start does it.
            let _ = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
            drop(connection);
            drop(guard);
            closers
        })
    }

    /// A thread that reads, through a connection that `open` makes when it is first needed.
    pub(crate) fn reader(
        open: impl Fn() -> Result<Connection, StoreError> + Send + 'static,
    ) -> Result<Self, StoreError> {
        Self::spawn("store-reader", move |queue| {
            let mut opened = None;
            serve(queue, |group| {
                for mut job in group.drain(..) {
                    let connection = match opened.take() {
                        Some(connection) => Ok(connection),
                        None => open(),
                    };
                    job.answer(connection.map(|connection| {
                        job.run(&connection);
                        opened = Some(connection);
                    }));
                }
            })
        })
    }

    fn spawn(
        name: &str,
        work: impl FnOnce(mpsc::Receiver<Message>) -> Closers + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (sender, queue) = mpsc::channel(QUEUE);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || drop(work(queue)))
            .map_err(StoreError::NoThread)?;
        Ok(Self { queue: sender })
    }

    /// Does some work on the thread and waits for its result, which for a writer means: for its commit.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (asker, result) = oneshot::channel();
        let job = Box::new(Asked { work: Some(work), outcome: None, asker });
        self.queue.send(Message::Job(job)).await.map_err(|_| StoreError::Closed)?;
        result.await.map_err(|_| StoreError::Closed)?
    }

    /// Lets the thread finish what waits, and end.
    pub(crate) async fn close(&self) {
        let (closer, ended) = oneshot::channel();
        if self.queue.send(Message::Close(closer)).await.is_ok() {
            // The sender is dropped, not used, when the thread has ended: an error is the answer.
            let _ = ended.await;
        }
    }
}

/// Hands over what waits, group by group, until the queue is closed and empty.
fn serve(mut queue: mpsc::Receiver<Message>, mut work: impl FnMut(&mut Vec<Box<dyn Job>>)) -> Closers {
    let mut closers = Closers::new();
    let mut group = Vec::with_capacity(GROUP);
    while let Some(first) = queue.blocking_recv() {
        let mut next = Some(first);
        while let Some(message) = next.take() {
            match message {
                Message::Job(job) => group.push(job),
                Message::Close(closer) => {
                    queue.close();
                    closers.push(closer);
                }
            }
            if group.len() < GROUP {
                next = queue.try_recv().ok();
            }
        }
        work(&mut group);
        group.clear();
    }
    closers
}

fn commit(connection: &mut Connection, group: &mut Vec<Box<dyn Job>>) {
    let outcome = together(connection, group);
    for job in group.drain(..) {
        job.answer(outcome.as_ref().copied().map_err(|error| StoreError::NotCommitted(error.to_string())));
    }
}

fn together(connection: &mut Connection, group: &mut [Box<dyn Job>]) -> Result<(), rusqlite::Error> {
    let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for job in group {
        let mut savepoint = transaction.savepoint()?;
        if !job.run(&savepoint) {
            savepoint.rollback()?;
        }
        savepoint.commit()?;
    }
    transaction.commit()
}
