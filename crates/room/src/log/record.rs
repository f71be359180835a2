//! A whole room as it is written down, for another node to take up: everything that all nodes share.
//!
//! What belongs to one node's connections (cursors, what is owed to them) is not in it: a room that is read back has
//! connections elsewhere, or none.

use std::sync::Arc;

use base::{Timestamp, WallTime};
use serde::{Deserialize, Serialize};
use wire::room::{Class, Epoch, MemberId};

use super::buffer::Buffer;
use super::member::Member;
use super::{Draft, Log, LogRules, MemberRecord, Message};

/// A room.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogRecord {
    /// How it behaves.
    pub rules: LogRules,
    /// Its epoch.
    pub epoch: Epoch,
    /// The number of the next message.
    pub next: u64,
    /// The greatest number that was trimmed.
    pub trimmed: u64,
    /// Everybody, by name.
    pub members: Vec<PresentMember>,
    /// Every message that there is, in order.
    pub messages: Vec<MessageRecord>,
    /// Since when nobody has a connection, in microseconds by the room's clock.
    pub deserted: Option<u64>,
    /// Whether somebody has been here.
    pub visited: bool,
}

/// A member, with what a restart of a single server would not keep.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PresentMember {
    /// Its name.
    pub id: MemberId,
    /// What is written down of it in any case.
    pub record: MemberRecord,
    /// Whether its latest connection is open.
    pub is_connected: bool,
    /// When something was last heard from it, in microseconds by the room's clock.
    pub last_seen: u64,
}

/// A message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MessageRecord {
    /// Its number.
    pub sequence: u64,
    /// Who sent it; the application's own server when there is none.
    pub from: Option<MemberId>,
    /// When, by the room's clock.
    pub at: WallTime,
    /// What was sent.
    pub draft: Draft,
}

impl LogRecord {
    /// Whether its numbers are such as a room can have. What is read from outside may be anything.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        const MOST: u64 = 1 << 53;
        let is_taken = |sequence: u64| sequence < self.next;
        let messages = self.messages.iter().map(|message| message.sequence);
        let LogRules { behind, behind_bytes, .. } = self.rules;
        let of_member = |PresentMember { record, .. }: &PresentMember| {
            [record.acknowledged, record.tip, record.trimmed].into_iter().all(is_taken)
        };
        (1..MOST).contains(&self.next)
            && is_taken(self.trimmed)
            && messages.clone().all(|sequence| sequence > 0 && is_taken(sequence))
            && messages.is_sorted_by(|one, other| one < other)
            && self.members.iter().all(of_member)
            && [behind, behind_bytes].iter().all(|&bound| bound as u64 <= MOST)
    }
}

impl Log {
    /// Everything of the room that is not of one node's connections only.
    #[must_use]
    pub fn record(&self) -> LogRecord {
        let member = |(id, member): (&MemberId, &Member)| PresentMember {
            id: id.clone(),
            record: member.record(),
            is_connected: member.is_connected(),
            last_seen: member.last_seen().as_micros(),
        };
        let message = |message: &Arc<Message>| {
            let Message { sequence, from, to, class, at, payload, .. } = &**message;
            let draft = Draft { to: to.clone(), class: *class, payload: payload.clone() };
            MessageRecord { sequence: *sequence, from: from.clone(), at: *at, draft }
        };
        LogRecord {
            rules: self.rules,
            epoch: self.epoch,
            next: self.next,
            trimmed: self.trimmed,
            members: self.members.iter().map(member).collect(),
            messages: self.messages().map(message).collect(),
            deserted: self.deserted.map(Timestamp::as_micros),
            visited: self.visited,
        }
    }

    /// The room of a record. A message's time is the room's own.
    #[must_use]
    pub fn of_record(record: LogRecord) -> Self {
        let LogRecord { rules, epoch, next, trimmed, members, messages, deserted, visited } = record;
        let member = |PresentMember { id, record, is_connected, last_seen }| {
            (id, Member::present(record, is_connected, Timestamp::from_micros(last_seen)))
        };
        let mut log = Self {
            rules,
            epoch,
            next,
            normal: Buffer::new(rules.normal),
            keep: Buffer::new(rules.keep),
            trimmed,
            members: members.into_iter().map(member).collect(),
            deserted: deserted.map(Timestamp::from_micros),
            visited,
        };
        for MessageRecord { sequence, from, at, draft } in messages {
            let buffer = if draft.class == Class::Keep { &mut log.keep } else { &mut log.normal };
            let time = (Timestamp::from_millis(at.0), at);
            buffer.push(Message::new(sequence, from, draft, time).into());
        }
        log
    }
}

/// A payload in a record.
pub(super) mod payload {
    use std::borrow::Cow;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use wire::room::Payload;

    #[derive(Serialize, Deserialize)]
    enum Written<'a> {
        Json(Cow<'a, str>),
        Binary(Cow<'a, [u8]>),
    }

    pub(in super::super) fn serialize<S: Serializer>(
        payload: &Payload,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let written = match payload {
            Payload::Json(text) => Written::Json(Cow::Borrowed(text)),
            Payload::Binary(bytes) => Written::Binary(Cow::Borrowed(bytes)),
        };
        written.serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Payload, D::Error> {
        Written::deserialize(deserializer).map(|written| match written {
            Written::Json(text) => Payload::Json(text.into()),
            Written::Binary(bytes) => Payload::Binary(bytes.into()),
        })
    }
}
