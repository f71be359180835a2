//! One member of a room.

use std::collections::VecDeque;
use std::time::Duration;

use base::Timestamp;
use serde::{Deserialize, Serialize};
use wire::room::{Fence, SenderId};

use super::LogRules;

/// How many senders of a member are remembered: its page, and a few reloads of it.
const SENDERS: usize = 4;

/// For how many sends of each the answer is remembered.
const ANSWERS: usize = 256;

/// A member, here or away.
#[derive(Clone, Debug)]
pub struct Member {
    connection: Option<Fence>,
    /// The latest connection, open or not.
    fence: Fence,
    last_seen: Timestamp,
    acknowledged: u64,
    /// The newest message for it.
    tip: u64,
    /// The newest message for it that is no longer there.
    trimmed: u64,
    /// Up to here it was told that something is missing.
    told: u64,
    /// The last message that was handed to its connection.
    cursor: u64,
    /// What waits for its connection, in messages and bytes.
    owed: (usize, usize),
    /// What waited when the connection began: a long replay is not slowness.
    backlog: (usize, usize),
    /// Latest first.
    senders: Vec<SenderRecord>,
    /// Whether the latest connection has named the first of them.
    counts: bool,
}

/// What is written down of a member.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MemberRecord {
    /// Its latest connection.
    pub fence: Fence,
    /// What it has acknowledged.
    pub acknowledged: u64,
    /// The newest message for it.
    pub tip: u64,
    /// The newest message for it that is no longer there.
    pub trimmed: u64,
    /// Its senders, latest first.
    pub senders: Vec<SenderRecord>,
    /// Whether its latest connection has named the first of them.
    pub counts: bool,
}

/// What a sender's counters became.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SenderRecord {
    /// Its name.
    pub id: SenderId,
    /// Its last counter.
    pub last: u64,
    /// The latest counters, and the numbers that their messages got.
    pub answers: VecDeque<(u64, u64)>,
}

impl Member {
    pub(super) fn new(tip: u64, trimmed: u64, now: Timestamp) -> Self {
        Self {
            connection: None,
            fence: Fence(0),
            last_seen: now,
            acknowledged: tip,
            tip,
            trimmed,
            told: trimmed,
            cursor: tip,
            owed: (0, 0),
            backlog: (0, 0),
            senders: Vec::new(),
            counts: false,
        }
    }

    /// It was here when this was written down, so it was until `now`, for all that is known.
    pub(super) fn restored(record: MemberRecord, now: Timestamp) -> Self {
        Self {
            fence: record.fence,
            acknowledged: record.acknowledged,
            tip: record.tip,
            trimmed: record.trimmed,
            senders: record.senders,
            counts: record.counts,
            ..Self::new(record.tip, record.trimmed, now)
        }
    }

    /// It is as it was when this was written down; its connection, if there is one, is elsewhere.
    pub(super) fn present(record: MemberRecord, is_connected: bool, last_seen: Timestamp) -> Self {
        let member = Self::restored(record, last_seen);
        Self { connection: is_connected.then_some(member.fence), ..member }
    }

    /// What to write down of it.
    #[must_use]
    pub fn record(&self) -> MemberRecord {
        MemberRecord {
            fence: self.fence,
            acknowledged: self.acknowledged,
            tip: self.tip,
            trimmed: self.trimmed,
            senders: self.senders.clone(),
            counts: self.counts,
        }
    }

    /// Its connection, if it has one.
    #[must_use]
    pub fn connection(&self) -> Option<Fence> {
        self.connection
    }

    /// Whether it has a connection.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// The latest connection, open or not.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// Everything up to this number has come.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// When something was last heard from it.
    #[must_use]
    pub fn last_seen(&self) -> Timestamp {
        self.last_seen
    }

    /// The newest message for it.
    #[must_use]
    pub fn tip(&self) -> u64 {
        self.tip
    }

    pub(super) fn trimmed(&self) -> u64 {
        self.trimmed
    }

    /// The last message that was handed to its connection.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    pub(super) fn away(&self, now: Timestamp) -> Duration {
        now.saturating_since(self.last_seen)
    }

    pub(super) fn seen(&mut self, now: Timestamp) {
        self.last_seen = self.last_seen.max(now);
    }

    /// A connection begins; returns the one that it replaces.
    pub(super) fn connect(
        &mut self,
        fence: Fence,
        position: u64,
        backlog: (usize, usize),
        now: Timestamp,
    ) -> Option<Fence> {
        self.fence = fence;
        self.cursor = position;
        // What it has, it need not be sent again, whether it said so or not.
        self.acknowledged = self.acknowledged.max(position.min(self.tip));
        (self.owed, self.backlog) = (backlog, backlog);
        self.told = self.trimmed;
        self.seen(now);
        self.connection.replace(fence)
    }

    pub(super) fn disconnect(&mut self, now: Timestamp) {
        self.connection = None;
        self.seen(now);
    }

    /// There is a message for it.
    pub(super) fn owe(&mut self, sequence: u64, weight: usize) {
        self.tip = self.tip.max(sequence);
        self.owed = (self.owed.0 + 1, self.owed.1 + weight);
    }

    /// A message for it is no longer there.
    pub(super) fn lose(&mut self, sequence: u64) {
        self.trimmed = self.trimmed.max(sequence);
    }

    /// A message is handed to its connection; returns the number of the one before.
    pub(super) fn deliver(&mut self, sequence: u64, weight: usize) -> u64 {
        self.owed = (self.owed.0.saturating_sub(1), self.owed.1.saturating_sub(weight));
        self.backlog = (self.backlog.0.min(self.owed.0), self.backlog.1.min(self.owed.1));
        std::mem::replace(&mut self.cursor, sequence)
    }

    /// Whether its connection has not read what it must have read by now.
    pub(super) fn is_overrun(&self, rules: &LogRules) -> bool {
        let (messages, bytes) = (self.backlog.0 + rules.behind, self.backlog.1 + rules.behind_bytes);
        self.trimmed > self.cursor.max(self.told) || self.owed.0 > messages || self.owed.1 > bytes
    }

    pub(super) fn acknowledge(&mut self, sequence: u64) -> bool {
        let news = sequence > self.acknowledged && sequence <= self.cursor;
        if news {
            self.acknowledged = sequence;
        }
        news
    }

    /// As [`Member::acknowledge`], where its cursor is not.
    pub(super) fn acknowledge_anywhere(&mut self, sequence: u64) -> bool {
        let news = sequence > self.acknowledged && sequence <= self.tip;
        if news {
            self.acknowledged = sequence;
        }
        news
    }

    /// It was gone before the restart already.
    pub(super) fn restore_drop(&mut self, at: Timestamp) {
        self.last_seen = at;
    }

    pub(super) fn restore_acknowledgement(&mut self, sequence: u64) {
        self.acknowledged = self.acknowledged.max(sequence);
    }

    /// This sender speaks from here on; returns its last counter that was accepted.
    pub(super) fn begin_sender(&mut self, id: Option<&SenderId>) -> u64 {
        self.counts = id.is_some();
        let Some(id) = id else { return 0 };
        if let Some(at) = self.senders.iter().position(|sender| sender.id == *id) {
            self.senders[..=at].rotate_right(1);
        } else {
            self.senders.truncate(SENDERS - 1);
            self.senders.insert(0, SenderRecord { id: id.clone(), last: 0, answers: VecDeque::new() });
        }
        self.accepted()
    }

    /// The last counter that was accepted of who sends now.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.senders.first().filter(|_| self.counts).map_or(0, |sender| sender.last)
    }

    /// Who counts what is sent, if somebody does.
    #[must_use]
    pub fn sender(&self) -> Option<&SenderId> {
        self.senders.first().filter(|_| self.counts).map(|sender| &sender.id)
    }

    /// What a counter became, if it was accepted before.
    pub(super) fn repeat(&self, counter: u64) -> Option<Option<u64>> {
        let sender = self.senders.first().filter(|_| self.counts)?;
        if counter > sender.last {
            return None;
        }
        let answer = sender.answers.iter().find(|(own, _)| *own == counter).map(|&(_, sequence)| sequence);
        // What is not among the latest was refused, unless it is older than they are.
        let is_old = sender.answers.len() == ANSWERS && sender.answers.iter().all(|(own, _)| *own > counter);
        (answer.is_some() || is_old).then_some(answer)
    }

    pub(super) fn accept(&mut self, counter: u64, sequence: u64) {
        if let Some(sender) = self.senders.first_mut().filter(|_| self.counts) {
            sender.last = sender.last.max(counter);
            if sender.answers.len() == ANSWERS {
                sender.answers.pop_front();
            }
            sender.answers.push_back((counter, sequence));
        }
    }
}
