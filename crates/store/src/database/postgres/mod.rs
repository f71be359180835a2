//! A Postgres database, which servers on several machines may share.
//!
//! # Isolation
//!
//! Transactions are READ COMMITTED, and whatever reads before it writes takes a row's lock first. SERIALIZABLE would need no
//! such care, but notes what was read by whole index pages, and by whole tables where those are small: two nodes that
//! commit groups of 256 jobs, each for games of its own, would undo each other all the time. The places that need care are
//! few:
//!
//! - A batch takes the row of its page's record in `durable` (`batch`), and with that everything that the page ever told: two
//!   nodes that hear one page at once do so one after another.
//! - A person's visit is inserted unless there is one, and only then looked for (`rows::insert_visit`): the index decides.
//! - Everything else is one statement, or is said by the one machine that decides of a game or a visit, whose state has a
//!   version of its own.
//!
//! What reads in several statements may see what others committed in between. `inputs::history` reads what is void first, and
//! the rest only grows: it then knows more than it would have, never less.
//!
//! # What was lost on the way
//!
//! A transaction whose COMMIT was not sent has written nothing, and is done again. When the connection goes while it is being
//! committed, nobody can know from here what became of it; and to do it again is no cure, because most writes would then be there
//! twice. So each commit that writes puts its number into the row that its writer has in `writers`. After coming back that row
//! is asked, with its lock, so that an old session that is still at it ends first. The number says whether all of it is
//! there or nothing.
//!
//! # Several nodes
//!
//! Of the nodes of an experiment one writes at a time: who holds the same lock as a server that is alone. [`stage`] says how it is
//! taken and kept, [`lookout`] how the others notice that it is free.

mod address;
mod lookout;
mod migrate;
mod session;
mod stage;
mod tls;

use core::ops::ControlFlow;
use core::time::Duration;

use futures_util::future::try_join_all;
use futures_util::{StreamExt, pin_mut};
use tokio::runtime::Runtime;
use tokio_postgres::Error;

pub use address::{DatabaseUrl, UrlError};
pub use lookout::{Lookout, Sight};
use migrate::Migrated;
use session::{Purpose, Session};
pub(crate) use stage::Claim;
pub use stage::Node;

use super::error::{is_fatal, told};
use super::{Broken, DatabaseError, Row, Value, values};
use crate::{StoreError, schema};

/// What a writer's session must not exceed, on the server: a statement, waiting for a lock, and standing still within a
/// transaction, as one does whose machine is gone. Locks wait for the latter.
const LIMITS: &str = "
    SET statement_timeout = '10s';
    SET lock_timeout = '5s';
    SET idle_in_transaction_session_timeout = '10s';";

/// How long a writer waits for an answer: longer than the server may take for it.
const ANSWER: Duration = Duration::from_secs(15);

/// How long a reader waits for all that it has asked for: a long game has a million rows.
const READING: Duration = Duration::from_secs(600);

/// How long a migration may take: it may rewrite every table.
const MIGRATION: Duration = Duration::from_secs(3600);

/// How long a server that is alone waits for the lock at the start: one that was killed is noticed at once, but not sooner.
const LET_GO: Duration = Duration::from_secs(3);

pub(crate) struct Postgres {
    runtime: Runtime,
    url: DatabaseUrl,
    purpose: Purpose,
    claim: Claim,
    /// None while the connection is lost.
    session: Option<Session>,
    /// This writer's row in `writers`, and what it last tried to put there.
    writer: String,
    commits: i64,
}

impl Postgres {
    /// Opens a database for writing, and brings its schema up to date. Must be called where blocking is allowed, as
    /// everything else here.
    pub(crate) fn open(url: DatabaseUrl, claim: Claim) -> Result<Self, StoreError> {
        let (purpose, patience) = match claim {
            Claim::Shared => (Purpose::Write, Duration::ZERO),
            Claim::Alone => (Purpose::Write, LET_GO),
            // Who waits for the stage looks again by itself.
            Claim::Stage { .. } => (Purpose::Stage, Duration::ZERO),
        };
        let mut postgres = Self::new(url, purpose, claim)?;
        postgres.connect()?;
        let mut waited = Duration::ZERO;
        while let Err(error) = postgres.take() {
            if !matches!(error, StoreError::DatabaseInUse { .. }) || waited >= patience {
                return Err(error);
            }
            let step = Duration::from_millis(50);
            std::thread::sleep(step);
            waited += step;
        }
        let migrated = postgres.run(MIGRATION, async |session| migrate::migrate(session).await);
        match migrated.map_err(|error| postgres.unusable(&error))? {
            Migrated::Current => {}
            Migrated::Newer(found) => {
                let database = postgres.url.to_string();
                return Err(StoreError::Newer { database, found, known: schema::VERSION });
            }
        }
        let register = "INSERT INTO writers VALUES (gen_random_uuid()::text, 0) RETURNING writer";
        let writer = postgres.run(ANSWER, async |session| session.ask(register).await);
        postgres.writer = writer.map_err(|error| postgres.unusable(&error))?.unwrap_or_default();
        postgres.enter()?;
        Ok(postgres)
    }

    /// Opens a database for reading only, in one transaction. Answers its schema's version too.
    pub(crate) fn open_to_read(url: DatabaseUrl) -> Result<(Self, u32), StoreError> {
        let mut postgres = Self::new(url, Purpose::Read, Claim::Shared)?;
        postgres.connect()?;
        let version = postgres.run(ANSWER, async |session| {
            session.client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
            migrate::version(session).await
        });
        match version.map_err(|error| postgres.unusable(&error))? {
            Some(version) => Ok((postgres, version)),
            None => Err(postgres.unusable(&"no server has written there yet")),
        }
    }

    fn new(url: DatabaseUrl, purpose: Purpose, claim: Claim) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime
            .map_err(|error| StoreError::Connect { database: url.to_string(), problem: error.to_string() })?;
        Ok(Self { runtime, url, purpose, claim, session: None, writer: String::new(), commits: 0 })
    }

    fn unusable(&self, problem: &dyn core::fmt::Display) -> StoreError {
        StoreError::Connect { database: self.url.to_string(), problem: problem.to_string() }
    }

    fn connect(&mut self) -> Result<(), StoreError> {
        self.session = None;
        let (url, purpose) = (&self.url, self.purpose);
        let opened = self.runtime.block_on(async {
            // Each host has its own time to connect, but all together must come to an end, what is said afterwards too.
            tokio::time::timeout(2 * ANSWER, Session::open(url, purpose)).await
        });
        let session = opened.unwrap_or_else(|_| Err("it does not answer".to_owned()));
        self.session = Some(session.map_err(|problem| self.unusable(&problem))?);
        if purpose != Purpose::Read {
            let limited = self.run(ANSWER, async |session| session.client.batch_execute(LIMITS).await);
            limited.map_err(|error| self.unusable(&error))?;
        }
        Ok(())
    }

    /// Waits for an answer. A session that fails as such, or does not answer in time, is given up.
    fn run<T>(
        &mut self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut Session) -> Result<T, Error>,
    ) -> Result<T, DatabaseError> {
        let Some(session) = &mut self.session else {
            return Err(DatabaseError::Lost("not connected".to_owned()));
        };
        let answer = self.runtime.block_on(async { tokio::time::timeout(limit, work(session)).await });
        let lost = match answer {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => {
                let is_over = error.as_db_error().is_none() && session.client.is_closed();
                if !is_over && !is_fatal(&error) {
                    return Err(DatabaseError::Postgres(error));
                }
                told(&error)
            }
            Err(_) => format!("no answer within {} s", limit.as_secs()),
        };
        self.session = None;
        Err(DatabaseError::Lost(lost))
    }

    fn limit(&self) -> Duration {
        match self.purpose {
            Purpose::Write | Purpose::Stage => ANSWER,
            Purpose::Read => READING,
        }
    }

    pub(super) fn batch(&mut self, sql: &'static str) -> Result<(), DatabaseError> {
        self.run(ANSWER, async |session| session.client.batch_execute(sql).await)
    }

    pub(super) fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, DatabaseError> {
        self.run(ANSWER, async |session| {
            let statement = session.prepare(sql).await?;
            session.client.execute_raw(&statement, values).await
        })
    }

    /// All of them are on their way before the first is answered: they cost one way there and back.
    pub(super) fn execute_each<const N: usize>(
        &mut self,
        sql: &str,
        rows: &[[Value<'_>; N]],
    ) -> Result<(), DatabaseError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.run(ANSWER, async |session| {
            let statement = session.prepare(sql).await?;
            try_join_all(rows.iter().map(|row| session.client.execute_raw(&statement, row))).await?;
            Ok(())
        })
    }

    pub(super) fn each(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        self.run(self.limit(), async |session| {
            let statement = session.prepare(sql).await?;
            let rows = session.client.query_raw(&statement, values).await?;
            pin_mut!(rows);
            while let Some(row) = rows.next().await {
                match read(&Row::Postgres(&row?)) {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(())) => break,
                    Err(error) => return Ok(Err(error)),
                }
            }
            Ok(Ok(()))
        })?
    }

    pub(super) fn commit(&mut self) -> Result<(), Broken> {
        let number = self.commits + 1;
        let writer = self.writer.clone();
        // What has only read has nothing to commit, and waits for no disk.
        let mark = "UPDATE writers SET commits = ?2
                    WHERE writer = ?1 AND pg_current_xact_id_if_assigned() IS NOT NULL";
        let wrote = self.execute(mark, &values![&writer, number])? > 0;
        self.commits = number;
        match self.batch("COMMIT") {
            Err(DatabaseError::Lost(_)) if wrote => Err(Broken::Unknown),
            committed => Ok(committed?),
        }
    }

    pub(super) fn was_committed(&mut self) -> Result<bool, StoreError> {
        let (writer, number) = (self.writer.clone(), self.commits);
        let mut found = None;
        self.each("SELECT commits FROM writers WHERE writer = ?1 FOR UPDATE", &values![&writer], |row| {
            found = Some(row.get::<i64>(0)?);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found == Some(number))
    }

    pub(super) fn roll_back(&mut self) {
        if self.session.is_some() && self.batch("ROLLBACK").is_err() {
            // It is in a state that nobody knows.
            self.session = None;
        }
    }
}
