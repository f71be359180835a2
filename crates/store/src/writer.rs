//! The one thread that writes, and its group commits.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::StoreError;

/// How many jobs may wait; whoever asks for more waits with it.
const QUEUE: usize = 1024;

/// How many jobs are done in one transaction.
const GROUP: usize = 256;

/// What makes each version of the schema of the one before it. `PRAGMA user_version` says which a database has.
const MIGRATIONS: [&str; 7] = [
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
    include_str!("schema/7.sql"),
];

/// How long to wait for another process that holds the database.
pub(crate) const BUSY: Duration = Duration::from_secs(5);

/// Answers whoever asked, once it is known whether the transaction was committed.
type Reply = Box<dyn FnOnce(Result<(), String>) + Send>;

/// Does the work within a transaction; without one there is only somebody to answer.
type Work = Box<dyn FnOnce(Option<&Connection>) -> Reply + Send>;

/// One thing to do within a transaction, and whom to answer after it.
pub(crate) struct Job {
    run: Work,
}

impl Job {
    pub(crate) fn new<T: Send + 'static>(
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
        answer: oneshot::Sender<Result<T, StoreError>>,
    ) -> Self {
        let run = move |connection: Option<&Connection>| {
            let result = connection.map(|connection| savepoint(connection, work));
            let reply: Reply = Box::new(move |committed| {
                let result = match committed {
                    Ok(()) => result.unwrap_or(Err(StoreError::Closed)),
                    Err(problem) => Err(StoreError::Commit(problem)),
                };
                // Whoever asked may have gone; what was written stays.
                answer.send(result).ok();
            });
            reply
        };
        Self { run: Box::new(run) }
    }
}

/// A job that fails takes back what it did, and only that.
fn savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    connection.execute_batch("SAVEPOINT job")?;
    let result = work(connection);
    if result.is_err() {
        connection.execute_batch("ROLLBACK TO job")?;
    }
    connection.execute_batch("RELEASE job")?;
    result
}

/// The way to the writing thread, which ends when the last handle is gone.
#[derive(Clone)]
pub(crate) struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    pub(crate) fn start(connection: Connection, path: &Path) -> Result<Self, StoreError> {
        prepare(&connection, path)?;
        let (jobs, waiting) = mpsc::channel(QUEUE);
        std::thread::Builder::new()
            .name("store".into())
            .spawn(move || write(&connection, waiting))
            .map_err(|source| StoreError::Folder { path: path.to_owned(), source })?;
        Ok(Self { jobs })
    }

    pub(crate) async fn send(&self, job: Job) -> Result<(), StoreError> {
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)
    }

    /// Sends a job that may as well not be done, when others wait.
    pub(crate) fn offer(&self, job: Job) {
        self.jobs.try_send(job).ok();
    }
}

fn prepare(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let open = |source| StoreError::Open { path: path.to_owned(), source };
    connection.busy_timeout(BUSY).map_err(open)?;
    // FULL: a commit is on the disk before it is answered, also when power is lost. What is deleted is overwritten (D5).
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
             PRAGMA secure_delete = ON;",
        )
        .map_err(open)?;
    // A server that was killed may have left there what was deleted.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(open)?;
    let found: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(open)?;
    let known = MIGRATIONS.len() as u32;
    if found > known {
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    }
    let missing = MIGRATIONS[found as usize..].concat();
    if missing.is_empty() {
        return Ok(());
    }
    // All or nothing: a server that is killed meanwhile leaves the old one whole.
    let migrated = connection
        .execute_batch(&format!("BEGIN IMMEDIATE; {missing} PRAGMA user_version = {known}; COMMIT;"));
    migrated.map_err(open)
}

fn write(connection: &Connection, mut waiting: mpsc::Receiver<Job>) {
    let mut group = Vec::with_capacity(GROUP);
    while waiting.blocking_recv_many(&mut group, GROUP) > 0 {
        let mut replies = Vec::with_capacity(group.len());
        let committed = transaction(connection, group.drain(..), &mut replies);
        let outcome = committed.map_err(|error| error.to_string());
        for reply in replies {
            reply(outcome.clone());
        }
    }
}

fn transaction(
    connection: &Connection,
    jobs: impl Iterator<Item = Job>,
    replies: &mut Vec<Reply>,
) -> Result<(), rusqlite::Error> {
    // Nothing may be done outside a transaction: it would be there though everybody is told that it is not.
    let begun = connection.execute_batch("BEGIN IMMEDIATE");
    let within = begun.is_ok().then_some(connection);
    for job in jobs {
        // A disk that is full may have ended the transaction in the middle of a job.
        let within = within.filter(|connection| !connection.is_autocommit());
        replies.push((job.run)(within));
    }
    begun?;
    let committed = connection.execute_batch("COMMIT");
    if committed.is_err() {
        // Already rolled back when the failure was a full disk; then this says so and changes nothing.
        connection.execute_batch("ROLLBACK").ok();
    }
    committed
}
