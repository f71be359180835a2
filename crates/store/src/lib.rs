//! What must last: visits, games, and the record of play, in SQLite or in Postgres.
//!
//! One thread writes. It takes everything that waits in its queue, does it in one transaction, commits, and only
//! then answers: a burst of batches costs one sync of the disk, and an answer means that what was asked survives
//! `kill -9` and a power loss (D1). Readers have connections of their own; they neither wait for the writer nor hold it
//! up, so an export is safe while collection goes on (D4).
//!
//! Both databases are spoken to in the same words, and one suite of tests holds for both. A folder with SQLite is one
//! server's; a Postgres database may be several nodes', of which one writes at a time (C1).

mod apply;
mod batch;
mod database;
mod error;
mod files;
mod forget;
mod inputs;
mod live;
mod location;
mod path;
mod read;
mod rows;
mod schema;
mod visit_events;
mod writer;

use std::fs::{File, TryLockError};
use std::io::{self, Seek, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{GameId, Seat, VisitId, WallTime};
use tokio::sync::oneshot;
use wire::batch::{BatchAcknowledgement, RecordBatch};

pub use apply::Write;
use database::Connection;
pub use database::DatabaseError;
use database::postgres::Claim;
use database::postgres::Postgres;
pub use database::postgres::{DatabaseUrl, Lookout, Node, Sight, UrlError};
use database::sqlite::Sqlite;
pub use error::StoreError;
pub use files::FILE_PART;
pub use forget::{Belongings, Forget};
pub use inputs::{FenceRow, Fences, HISTORY_ROWS, History};
pub use live::{LiveGame, LiveGames};
pub use location::Location;
pub use path::{InCondition, PathRow};
pub use read::Reader;
pub use rows::{
    AnswerRow, FrameRow, GameRow, NewGame, NewVisit, PlayEventRow, SeatEnding, SeatRow, ServerEventRow,
    VisitRow,
};
pub use visit_events::{VisitEvent, VisitEvents};
use writer::{Writer, job};

/// The database's name within the data folder.
pub const DATABASE: &str = "interplay.sqlite";

/// The file that a server locks, so that no other serves from the same folder. The system lets go of it when the
/// process ends, however it ends.
const LOCK: &str = "interplay.lock";

/// A data folder that is this process's alone, for as long as this lives.
#[derive(Clone, Debug)]
pub struct FolderLock {
    file: Arc<File>,
}

impl FolderLock {
    /// Says where this server listens: whoever wants something of the folder is told by [`StoreError::InUse`].
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn announce(&self, server: SocketAddr) -> io::Result<()> {
        let mut file = &*self.file;
        file.set_len(0)?;
        file.seek(io::SeekFrom::Start(0))?;
        writeln!(file, "{server}")
    }
}

/// Takes a data folder, making it where it is missing.
///
/// # Errors
/// When another server has it, or it cannot be used; names the path and the cure.
pub fn lock(folder: &Path) -> Result<FolderLock, StoreError> {
    let unusable = |source| StoreError::Folder { path: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(unusable)?;
    // What another server has written there stays until this one has the lock.
    let mut options = File::options();
    let file = options.write(true).create(true).truncate(false).open(folder.join(LOCK)).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => file.set_len(0).map_err(unusable).map(|()| FolderLock { file: Arc::new(file) }),
        Err(TryLockError::WouldBlock) => {
            let server = std::fs::read_to_string(folder.join(LOCK)).ok();
            let server = server.and_then(|server| server.trim().parse().ok());
            Err(StoreError::InUse { path: folder.to_owned(), server })
        }
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

/// A handle on the store; clones share it.
#[derive(Clone)]
pub struct Store {
    writer: Writer,
    /// SQLite's file, if it is that.
    path: Option<PathBuf>,
    /// Held while the folder is this server's.
    lock: Option<FolderLock>,
}

impl Store {
    /// Opens what is at a location, making the data folder and the database in it where they are missing. No other server may
    /// write there while this lives.
    ///
    /// # Errors
    /// Names the location and the cure.
    pub fn open(location: impl Into<Location>) -> Result<Self, StoreError> {
        match location.into() {
            Location::Folder(folder) => {
                let lock = lock(&folder)?;
                let path = folder.join(DATABASE);
                let open = {
                    let path = path.clone();
                    move || Sqlite::open(&path).map(Connection::Sqlite)
                };
                Ok(Self { writer: Writer::start(open)?, path: Some(path), lock: Some(lock) })
            }
            Location::Postgres(url) => Self::on_postgres(url, Claim::Alone).map(|(store, _)| store),
        }
    }

    /// Takes the stage of an experiment for one of its nodes. Until another node takes it, or [`Store::leave`], nobody else may
    /// write; after that everything here answers [`StoreError::Superseded`]. Answers under which number the node has it, too. Waits for
    /// the database: a task of an asynchronous runtime must not call it.
    ///
    /// # Errors
    /// [`StoreError::DatabaseInUse`] when another has it; else names the database and the cure.
    pub fn take_stage(url: DatabaseUrl, node: Node) -> Result<(Self, i64), StoreError> {
        Self::on_postgres(url, Claim::Stage { node, number: 0 })
    }

    /// Opens a database that others may write to at the same time.
    ///
    /// # Errors
    /// Names the database and the cure.
    pub fn open_shared(url: DatabaseUrl) -> Result<Self, StoreError> {
        Self::on_postgres(url, Claim::Shared).map(|(store, _)| store)
    }

    fn on_postgres(url: DatabaseUrl, claim: Claim) -> Result<(Self, i64), StoreError> {
        let (tell, taken) = std::sync::mpsc::sync_channel(1);
        let open = move || {
            let postgres = Postgres::open(url, claim)?;
            tell.send(postgres.stage_number().unwrap_or(0)).ok();
            Ok(Connection::Postgres(Box::new(postgres)))
        };
        let store = Self { writer: Writer::start(open)?, path: None, lock: None };
        let number = taken.recv().map_err(|_| StoreError::Closed)?;
        Ok((store, number))
    }

    /// A store on a connection that the caller has made: for tests that put a layer of their own under it.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn from_connection(connection: rusqlite::Connection, path: &Path) -> Result<Self, StoreError> {
        let (path, own) = (path.to_owned(), Some(path.to_owned()));
        let writer = Writer::start(move || Sqlite::over(connection, &path).map(Connection::Sqlite))?;
        Ok(Self { writer, path: own, lock: None })
    }

    /// As [`FolderLock::announce`], when this has the folder.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn announce(&self, server: SocketAddr) -> io::Result<()> {
        self.lock.as_ref().map_or(Ok(()), |lock| lock.announce(server))
    }

    /// Does a job on the writer's thread and answers when it is durable. It may be done several times, of which one counts.
    async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.writer.send(job(work, answer)).await?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Records that somebody has come. A person who has a visit in the experiment gets that one, and nothing is recorded.
    ///
    /// # Errors
    /// The database's.
    pub async fn create_visit(&self, visit: NewVisit) -> Result<Option<VisitRow>, StoreError> {
        self.write(move |connection| rows::insert_visit(connection, &visit)).await
    }

    /// A visit.
    ///
    /// # Errors
    /// The database's.
    pub async fn visit(&self, visit: VisitId) -> Result<Option<VisitRow>, StoreError> {
        self.write(move |connection| rows::visit(connection, visit)).await
    }

    /// Writes down what was decided, all of it or nothing. Answers when it is durable.
    ///
    /// # Errors
    /// The database's; nothing was written then.
    pub async fn apply(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.write(move |connection| writes.iter().try_for_each(|write| apply::apply(connection, write)))
            .await
    }

    /// Writes down that the server is alive, and waits for nothing: when it is lost, a pause that outlives the server
    /// is a second longer.
    pub fn beat(&self, at: WallTime) {
        let (answer, _) = oneshot::channel();
        self.writer.offer(job(move |connection| live::beat(connection, at), answer));
    }

    /// What is to be told of an experiment's visits that have ended: what is due, and when there is more.
    ///
    /// # Errors
    /// The database's.
    pub async fn visit_events(
        &self,
        experiment: String,
        now: WallTime,
        limit: u32,
    ) -> Result<VisitEvents, StoreError> {
        self.write(move |connection| visit_events::of_experiment(connection, &experiment, now, limit)).await
    }

    /// These were told, and need not be told again.
    ///
    /// # Errors
    /// The database's.
    pub async fn visit_events_were_told(&self, ids: Vec<i64>) -> Result<(), StoreError> {
        self.write(move |connection| visit_events::delete(connection, &ids)).await
    }

    /// The games that were on when the last server ended, and when that was.
    ///
    /// # Errors
    /// The database's.
    pub async fn live_games(&self) -> Result<LiveGames, StoreError> {
        self.write(live::all).await
    }

    /// Every visit of an experiment that is in a condition.
    ///
    /// # Errors
    /// The database's.
    pub async fn in_conditions(&self, experiment: String) -> Result<Vec<InCondition>, StoreError> {
        self.write(move |connection| path::in_conditions(connection, &experiment)).await
    }

    /// The end of a game's durable record.
    ///
    /// # Errors
    /// The database's.
    pub async fn history(&self, game: GameId) -> Result<History, StoreError> {
        // On the writer's thread, because it is short, and must see everything that was answered before.
        self.write(move |connection| inputs::history(connection, game)).await
    }

    /// The seat that a visit has in a game.
    ///
    /// # Errors
    /// The database's.
    pub async fn seat_of(&self, game: GameId, visit: VisitId) -> Result<Option<SeatRow>, StoreError> {
        self.write(move |connection| rows::seat_of(connection, game, visit)).await
    }

    /// The game that a visit sits in and that has not ended for it.
    ///
    /// # Errors
    /// The database's.
    pub async fn open_seat(&self, visit: VisitId) -> Result<Option<(GameId, Seat)>, StoreError> {
        self.write(move |connection| rows::open_seat(connection, visit)).await
    }

    /// Keeps a batch. The answer says what of the reporter's record is durable now.
    ///
    /// # Errors
    /// The database's; nothing of the batch is kept then.
    pub async fn append_batch(
        &self,
        game: GameId,
        reporter: Seat,
        batch: RecordBatch,
    ) -> Result<BatchAcknowledgement, StoreError> {
        self.write(move |connection| batch::append(connection, game, reporter, &batch)).await
    }

    /// A version of an experiment that was kept.
    ///
    /// # Errors
    /// The database's.
    pub async fn experiment(&self, sha256: String) -> Result<Option<String>, StoreError> {
        self.write(move |connection| rows::experiment(connection, &sha256)).await
    }

    /// Keeps a version of an experiment, for the visits that begin with it (S2).
    ///
    /// # Errors
    /// The database's.
    pub async fn put_experiment(&self, sha256: String, experiment: String) -> Result<(), StoreError> {
        self.write(move |connection| rows::insert_experiment(connection, &sha256, &experiment)).await
    }

    /// A prepared environment that was kept.
    ///
    /// # Errors
    /// The database's.
    pub async fn environment(&self, sha256: String) -> Result<Option<Vec<u8>>, StoreError> {
        self.write(move |connection| rows::environment(connection, &sha256)).await
    }

    /// Keeps a prepared environment, so that its games can be replayed whatever becomes of the experiment.
    ///
    /// # Errors
    /// The database's.
    pub async fn put_environment(&self, sha256: String, prepared: Vec<u8>) -> Result<(), StoreError> {
        self.write(move |connection| rows::insert_environment(connection, &sha256, &prepared)).await
    }

    /// Keeps a file that an experiment's texts show. `kind` is what its name ends with.
    ///
    /// # Errors
    /// The database's.
    pub async fn put_file(
        &self,
        sha256: String,
        kind: &'static str,
        content: Vec<u8>,
    ) -> Result<(), StoreError> {
        self.write(move |connection| files::insert(connection, (&sha256, kind), &content)).await
    }

    /// The visits that any of some names is of: their own, their participant's, or that under which a platform's person is known
    /// (as in [`NewVisit::person`]).
    ///
    /// # Errors
    /// The database's.
    pub async fn visits_of(&self, names: Vec<String>) -> Result<Vec<VisitId>, StoreError> {
        self.write(move |connection| {
            let mut visits = Vec::new();
            for name in &names {
                visits.extend(forget::visits_of(connection, name)?);
            }
            Ok(visits)
        })
        .await
    }

    /// What there is of a visit, to say what was deleted.
    ///
    /// # Errors
    /// The database's.
    pub async fn belongings(&self, visit: VisitId) -> Result<Belongings, StoreError> {
        self.write(move |connection| forget::belongings(connection, visit)).await
    }

    /// Deletes what was written down of a visit (D5). What a game needs that is still on goes when it is over.
    ///
    /// # Errors
    /// The database's; nothing was deleted then.
    pub async fn forget(&self, visit: VisitId, forget: Forget, at: WallTime) -> Result<(), StoreError> {
        self.write(move |connection| forget::visit(connection, visit, forget, at)).await
    }

    /// Nobody is to be told who it was that has been forgotten, in an experiment's events that have not been told.
    ///
    /// # Errors
    /// The database's.
    pub async fn tell_of_nobody(&self, experiment: String) -> Result<(), StoreError> {
        self.write(move |connection| visit_events::tell_of_nobody(connection, &experiment)).await
    }

    /// Takes what was deleted out of SQLite's files. False while somebody reads, or writes: then it is to be tried again; a server
    /// that is started tries it too. Postgres cleans up by itself, in its own time.
    ///
    /// # Errors
    /// The database's.
    pub async fn scrub(&self) -> Result<bool, StoreError> {
        let Some(path) = self.path.clone() else { return Ok(true) };
        let scrubbed = tokio::task::spawn_blocking(move || database::sqlite::scrub(&path));
        scrubbed.await.map_err(|_| StoreError::Closed)?
    }

    /// Answers when another node has taken the stage, or may take it.
    pub async fn superseded(&self) {
        self.writer.is_over().await;
    }

    /// Leaves the stage to another node, when everything that was asked before is durable.
    ///
    /// # Errors
    /// The database's. The stage is free all the same once this process ends.
    pub async fn leave(&self) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        self.writer.send(writer::leave(answer)).await?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Answers when everything that was asked before is durable.
    ///
    /// # Errors
    /// When the writer is gone.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.write(|_| Ok(())).await
    }
}
