//! Watches, for a node, who runs the stage and which nodes there are; says that this node lives; and ends the session of a holder
//! that does not.
//!
//! It has a session of its own, beside the writer's, and its commits wait for no disk. A node whose disk is slow for ten seconds is
//! then not taken for one that hangs: all nodes wait for the same disk, and the stage would only go round.

use core::ops::ControlFlow;
use core::time::Duration;
use std::time::Instant;

use tokio::sync::watch;

use super::session::Purpose;
use super::stage::{LOCK, NOW};
use super::{Claim, DatabaseUrl, Node, Postgres};
use crate::StoreError;
use crate::database::values;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(250);

/// How often it says that this node lives.
const BEAT: Duration = Duration::from_secs(1);

/// Who has not said that it lives for so long does not, in milliseconds.
const LIFE_MILLIS: i64 = 10_000;

/// How long whoever has the stage may take to come back after the database was away, before another takes it: longer than a
/// writer waits between two attempts.
const RETURN: Duration = Duration::from_secs(4);

/// Rows of nodes that have been gone for so long are of no use to anybody, in milliseconds.
const GONE_MILLIS: i64 = 3_600_000;

/// What a node knows of the others.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sight {
    /// Who has the stage, and under which number; none when nobody has.
    pub holder: Option<(i64, Node)>,
    /// Whether it is held by a server that is no node.
    pub by_a_stranger: bool,
    /// Whether this node may try to take it.
    pub is_free: bool,
    /// The nodes that live, this one included.
    pub nodes: Vec<Node>,
    /// When the database was last heard.
    pub heard: Option<Instant>,
}

/// The way to the thread that watches; it ends when nobody wants to know any more.
#[derive(Clone, Debug)]
pub struct Lookout {
    sight: watch::Receiver<Sight>,
}

impl Lookout {
    /// Begins to watch a database, for a node.
    ///
    /// # Errors
    /// When the database cannot be reached at the start, or there is no thread.
    pub fn start(url: DatabaseUrl, node: Node) -> Result<Self, StoreError> {
        let (tell, sight) = watch::channel(Sight::default());
        let (opened, is_open) = std::sync::mpsc::sync_channel(1);
        let thread = move || {
            let claim = Claim::Stage { node: node.clone(), number: 0 };
            let connected = Postgres::new(url, Purpose::Stage, claim).and_then(|mut postgres| {
                postgres.connect()?;
                postgres.be_quick()?;
                Ok(postgres)
            });
            match connected {
                Ok(postgres) => {
                    opened.send(Ok(())).ok();
                    Watcher { postgres, node, since: None, beaten: None, nodes: Vec::new() }.watch(&tell);
                }
                Err(error) => drop(opened.send(Err(error))),
            }
        };
        std::thread::Builder::new().name("lookout".into()).spawn(thread).map_err(StoreError::Thread)?;
        is_open.recv().unwrap_or(Err(StoreError::Closed))?;
        Ok(Self { sight })
    }

    /// What it sees now.
    #[must_use]
    pub fn sight(&self) -> Sight {
        self.sight.borrow().clone()
    }

    /// Waits until it has looked again.
    pub async fn looked(&mut self) {
        if self.sight.changed().await.is_err() {
            // The thread lives as long as this does.
            core::future::pending::<()>().await;
        }
    }
}

struct Watcher {
    postgres: Postgres,
    node: Node,
    /// Since when there is a connection again after one was lost.
    since: Option<Instant>,
    beaten: Option<Instant>,
    nodes: Vec<Node>,
}

/// Who has the stage, as the table and the locks say.
struct Held {
    number: i64,
    node: Node,
    is_locked: bool,
    silent_millis: i64,
}

impl Watcher {
    fn watch(mut self, tell: &watch::Sender<Sight>) {
        while !tell.is_closed() {
            match self.look() {
                Ok(sight) => drop(tell.send(sight)),
                Err(_) => {
                    let came_back = self.postgres.connect().and_then(|()| self.postgres.be_quick());
                    if came_back.is_ok() {
                        self.since = Some(Instant::now());
                        continue;
                    }
                    self.postgres.session = None;
                    tell.send_modify(|sight| sight.is_free = false);
                }
            }
            std::thread::sleep(LOOK);
        }
    }

    fn look(&mut self) -> Result<Sight, StoreError> {
        let is_made =
            "SELECT to_regclass('nodes')::text IS NOT NULL AND to_regclass('stage')::text IS NOT NULL";
        let is_made = self.ask_truth(is_made)?;
        let mut sight = Sight { heard: Some(Instant::now()), ..Sight::default() };
        if !is_made {
            // The first that takes the stage makes them.
            sight.is_free = !self.is_locked()?;
            return Ok(sight);
        }
        if self.beaten.is_none_or(|beaten| beaten.elapsed() >= BEAT) {
            self.beat()?;
            self.beaten = Some(Instant::now());
        }
        let held = self.held()?;
        // After the database was away everybody comes back at once: whoever has the stage goes first.
        let others_first = self.since.is_some_and(|since| since.elapsed() < RETURN);
        let is_own = held.node.id == self.node.id;
        let is_nobodys = held.node.id.is_empty();
        sight.is_free = !held.is_locked && (is_nobodys || is_own || !others_first);
        sight.by_a_stranger = held.is_locked && is_nobodys;
        if held.is_locked && !is_nobodys {
            if held.silent_millis > LIFE_MILLIS && !is_own && !others_first {
                self.end(&held)?;
            }
            sight.holder = Some((held.number, held.node));
        }
        sight.nodes.clone_from(&self.nodes);
        Ok(sight)
    }

    fn ask_truth(&mut self, sql: &str) -> Result<bool, StoreError> {
        let mut answer = false;
        self.postgres.each(&format!("SELECT CAST(CAST(({sql}) AS INTEGER) AS BIGINT)"), &[], |row| {
            answer = row.get(0)?;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(answer)
    }

    fn is_locked(&mut self) -> Result<bool, StoreError> {
        self.ask_truth(&format!("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE {})", this_lock()))
    }

    fn held(&mut self) -> Result<Held, StoreError> {
        let lock = this_lock();
        let sql = format!(
            "SELECT number, node, address, {NOW} - at,
                    CAST(CAST(EXISTS (SELECT 1 FROM pg_locks WHERE {lock}) AS INTEGER) AS BIGINT) FROM stage"
        );
        let mut held = None;
        self.postgres.each(&sql, &[], |row| {
            let node = Node { id: row.get(1)?, address: row.get(2)?, turn: None };
            held =
                Some(Held { number: row.get(0)?, node, silent_millis: row.get(3)?, is_locked: row.get(4)? });
            Ok(ControlFlow::Continue(()))
        })?;
        held.ok_or_else(|| StoreError::Unreadable { what: "stage", value: "none".to_owned() })
    }

    /// Says that this node lives, and sees who else does.
    fn beat(&mut self) -> Result<(), StoreError> {
        let Node { id, address, turn } = &self.node;
        let turn = turn.as_ref().map_or(crate::database::Value::Null, Into::into);
        let sql = format!(
            "INSERT INTO nodes VALUES (?1, ?2, ?3, {NOW}) ON CONFLICT (node) DO UPDATE SET at = excluded.at"
        );
        self.postgres.execute(&sql, &[id.into(), address.into(), turn])?;
        let sql = format!("UPDATE stage SET at = {NOW} WHERE node = ?1");
        self.postgres.execute(&sql, &values![id])?;
        if self.beaten.is_none() {
            let sql = format!("DELETE FROM nodes WHERE at < {NOW} - {GONE_MILLIS}");
            self.postgres.execute(&sql, &[])?;
        }
        let mut nodes = Vec::new();
        let sql =
            format!("SELECT node, address, turn FROM nodes WHERE at > {NOW} - {LIFE_MILLIS} ORDER BY node");
        self.postgres.each(&sql, &[], |row| {
            nodes.push(Node { id: row.get(0)?, address: row.get(1)?, turn: row.get(2)? });
            Ok(ControlFlow::Continue(()))
        })?;
        self.nodes = nodes;
        Ok(())
    }

    /// Ends the session of a holder that hangs, if it is still that one.
    fn end(&mut self, held: &Held) -> Result<(), StoreError> {
        let lock = this_lock();
        let sql = format!(
            "SELECT CAST(CAST(pg_terminate_backend(pid) AS INTEGER) AS BIGINT) FROM pg_locks, stage
             WHERE {lock} AND number = ?1 AND node = ?2 AND at < {NOW} - {LIFE_MILLIS}"
        );
        self.postgres.each(&sql, &values![held.number, &held.node.id], |_| Ok(ControlFlow::Continue(())))
    }
}

/// Which of all locks of the database server is the one of this database's writer.
fn this_lock() -> String {
    format!(
        "locktype = 'advisory' AND classid = {}::oid AND objid = {}::oid AND objsubid = 1 AND granted
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        LOCK >> 32,
        LOCK & 0xffff_ffff
    )
}

impl Postgres {
    /// Nothing that it writes has to last.
    fn be_quick(&mut self) -> Result<(), StoreError> {
        self.batch("SET synchronous_commit = off; SET statement_timeout = '3s'; SET lock_timeout = '1s'")?;
        Ok(())
    }
}
