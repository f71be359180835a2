//! Who may write: one server alone, or one node of several (C1).
//!
//! A session lock decides. It belongs to the very session that writes, so that whoever has lost it has lost the way to write, too: a
//! new holder gets it when the old session's last commit is over, and nothing of the old one comes after that. What remains is an
//! old holder that comes back on a new session and finds the lock free again. So each that takes the lock counts up the number in
//! the table `stage`, and who comes back goes on only if that number is still its own.

use core::ops::ControlFlow;

use super::{ANSWER, Postgres};
use crate::StoreError;
use crate::database::values;

/// Who writes holds this lock. Sharing a database means to live without, and to keep live state elsewhere than in one process.
pub(super) const LOCK: i64 = 0x696e_7465_7270_6c61;

/// The database's clock, in milliseconds since the Unix epoch: nodes' own clocks differ.
pub(super) const NOW: &str = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";

/// A node: one process of several that serve an experiment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Names the process, and no other that ever was.
    pub id: String,
    /// Where other nodes reach it.
    pub address: String,
    /// How its STUN and TURN are reached, in words that only nodes understand; none when it has none.
    pub turn: Option<String>,
}

/// On what grounds a session writes.
#[derive(Clone, Debug)]
pub(crate) enum Claim {
    /// Others may write, too.
    Shared,
    /// No other server may.
    Alone,
    /// This node may, until another takes the stage. The number is 0 until it has it.
    Stage { node: Node, number: i64 },
}

impl Postgres {
    /// Makes sure that nobody else writes, if that is claimed.
    pub(super) fn take(&mut self) -> Result<(), StoreError> {
        if matches!(self.claim, Claim::Shared) {
            return Ok(());
        }
        let ask = format!("SELECT CASE WHEN pg_try_advisory_lock({LOCK}) THEN 'taken' END");
        let taken = self.run(ANSWER, async |session| session.ask(&ask).await);
        match taken.map_err(|error| self.unusable(&error))? {
            Some(_) => Ok(()),
            None => Err(StoreError::DatabaseInUse { database: self.url.to_string() }),
        }
    }

    /// Counts itself among those who had the stage: whoever had it before does not go on.
    pub(super) fn enter(&mut self) -> Result<(), StoreError> {
        let (node, address) = match &self.claim {
            Claim::Shared => return Ok(()),
            Claim::Alone => (String::new(), String::new()),
            Claim::Stage { node, .. } => (node.id.clone(), node.address.clone()),
        };
        let sql = format!(
            "UPDATE stage SET number = number + 1, node = ?1, address = ?2, at = {NOW} RETURNING number"
        );
        let mut taken = 0;
        self.each(&sql, &values![&node, &address], |row| {
            taken = row.get(0)?;
            Ok(ControlFlow::Continue(()))
        })?;
        if let Claim::Stage { number, .. } = &mut self.claim {
            *number = taken;
        }
        Ok(())
    }

    /// One attempt to come back. Nothing is written by a session that others could have taken the place of.
    pub(crate) fn reconnect(&mut self) -> Result<(), StoreError> {
        if self.session.is_some() {
            return Ok(());
        }
        self.connect()?;
        let taken = match self.take() {
            // Another's, or this one's own last session that is not noticed to be gone.
            Err(StoreError::DatabaseInUse { database }) => {
                self.still_has_the_stage().and(Err(StoreError::DatabaseInUse { database }))
            }
            Ok(()) => self.still_has_the_stage(),
            refused => refused,
        };
        if taken.is_err() {
            self.session = None;
        }
        taken
    }

    /// Whether nobody else has had it meanwhile. Says at once that it lives: it was away, and may have been missed.
    fn still_has_the_stage(&mut self) -> Result<(), StoreError> {
        match self.beat_stage()? {
            true => Ok(()),
            false => Err(StoreError::Superseded),
        }
    }

    /// Writes down that who has the stage lives; false when that is not this node any more.
    pub(super) fn beat_stage(&mut self) -> Result<bool, StoreError> {
        let Claim::Stage { node, number } = &self.claim else { return Ok(true) };
        let (node, number) = (node.id.clone(), *number);
        let sql = format!("UPDATE stage SET at = {NOW} WHERE number = ?1 AND node = ?2");
        Ok(self.execute(&sql, &values![number, &node])? == 1)
    }

    /// Says that nobody has the stage, within the transaction that is this writer's last.
    pub(crate) fn leave(&mut self) -> Result<(), StoreError> {
        let Claim::Stage { node, number } = &self.claim else { return Ok(()) };
        let (node, number) = (node.id.clone(), *number);
        let sql = "UPDATE stage SET node = '', address = '' WHERE number = ?1 AND node = ?2";
        self.execute(sql, &values![number, &node])?;
        Ok(())
    }

    /// Lets go of the lock, and of the session.
    pub(crate) fn let_go(&mut self) {
        if !matches!(self.claim, Claim::Shared) {
            let unlock = format!("SELECT pg_advisory_unlock({LOCK})::text");
            // A session that has failed takes it along.
            self.run(ANSWER, async |session| session.ask(&unlock).await).ok();
        }
        self.session = None;
    }

    /// The number under which it has the stage; none when it claims none.
    pub(crate) fn stage_number(&self) -> Option<i64> {
        if let Claim::Stage { number, .. } = self.claim { Some(number) } else { None }
    }
}
