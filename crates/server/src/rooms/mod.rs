//! Rooms: messages that survive reconnection (R1–R11).
//!
//! | module | subject |
//! | --- | --- |
//! | this | what sockets and requests ask of rooms, wherever those are |
//! | `local` | rooms in this process, with a journal |
//! | `cluster` | rooms on several nodes, ordered by Redis |
//! | `bench` | what operations take |
//! | `outbox` | what waits for one connection |
//! | `socket` | one WebSocket of a room |
//! | `token` | who may do what in which room |
//! | `webhook` | telling an application's own server what becomes of members |

pub(crate) mod bench;
mod cluster;
mod local;
mod outbox;
mod socket;
mod token;
mod webhook;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::{Timestamp, WallTime};
use metrics::counter;
use room::log::{Draft, Joined, Log, LogRules, Member, Message};
use wire::close::CloseCode;
use wire::lane::Quality;
use wire::room::{Delivery, Envelope, Epoch, Fence, Join, MemberId, RoomId, Send, SendLimits, ServerFrame};

pub(crate) use cluster::Cluster;
pub(crate) use live::Unanswered;
use outbox::Outbox;
pub(crate) use socket::serve;
pub(crate) use token::{Claims, LONGEST_TOKEN, Right, RoomTokens};
pub(crate) use webhook::Webhook;

/// What may be done in rooms, and how much of it (A2).
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of each room.
    pub log: LogRules,
    /// The most rooms.
    pub rooms: usize,
    /// The longest message, in bytes.
    pub message: usize,
    /// The most messages a second of a member.
    pub messages_per_second: f64,
    /// The most bytes a second of a member.
    pub bytes_per_second: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            log: LogRules::default(),
            rooms: 100_000,
            message: 64 * 1024,
            messages_per_second: 200.0,
            bytes_per_second: 256.0 * 1024.0,
        }
    }
}

impl Limits {
    /// As members are told.
    fn of_sending(&self) -> SendLimits {
        let Self { message, messages_per_second, bytes_per_second, .. } = *self;
        SendLimits { message_bytes: message, messages_per_second, bytes_per_second }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wall(time: Timestamp) -> WallTime {
    WallTime(time.as_micros() / 1000)
}

/// What a room looks like from outside.
#[derive(Clone, Debug)]
pub(crate) struct RoomInfo {
    pub(crate) id: RoomId,
    pub(crate) epoch: Epoch,
    pub(crate) last_sequence: u64,
    pub(crate) buffered_messages: usize,
    pub(crate) buffered_bytes: usize,
    pub(crate) members: Vec<MemberState>,
}

/// What a member looks like from outside (R5).
#[derive(Clone, Debug)]
pub(crate) struct MemberState {
    pub(crate) member: MemberId,
    pub(crate) last_sequence: u64,
    pub(crate) last_seen: WallTime,
    pub(crate) is_connected: bool,
    pub(crate) quality: Option<Quality>,
}

impl MemberState {
    /// What a log knows of a member: how good its connection is, it has told beside.
    fn of(id: &MemberId, member: &Member) -> Self {
        Self {
            member: id.clone(),
            last_sequence: member.acknowledged(),
            last_seen: wall(member.last_seen()),
            is_connected: member.is_connected(),
            quality: None,
        }
    }
}

impl RoomInfo {
    /// What a log knows of a room.
    fn of(id: &RoomId, log: &Log) -> Self {
        let (buffered_messages, buffered_bytes) = log.buffered();
        Self {
            id: id.clone(),
            epoch: log.epoch(),
            last_sequence: log.tip(),
            buffered_messages,
            buffered_bytes,
            members: log.members().map(|(id, member)| MemberState::of(id, member)).collect(),
        }
    }
}

/// Why a backend's message was not published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PublishError {
    NoSuchMember,
    TooManyRooms,
    Unavailable,
}

/// How rooms are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Health {
    /// All is well.
    Well,
    /// Members reach others on this node only, and what they say is not kept (R9).
    Apart,
    /// What is said cannot be kept.
    Broken,
}

/// A member's connection, as its socket sees it. When it is let go of, the connection is gone.
pub(crate) trait Membership: std::marker::Send + Sync {
    /// The member sends.
    fn send(&self, claims: &Claims, send: Send);

    /// The next messages, each with its `prev`, at most so many and about so many bytes.
    fn pull(&self, most: (usize, usize)) -> Result<Vec<(u64, Arc<Message>)>, CloseCode>;

    /// The number of the newest message for the member, if the connection has been handed it.
    fn tip(&self) -> Option<u64>;

    /// The member has everything up to a number.
    fn acknowledge(&self, sequence: u64);

    /// Something was heard from the member.
    fn heard(&self);

    /// The member leaves for good. Its connection is closed when that is done.
    fn leave(&self);
}

/// All rooms; clones share them.
#[derive(Clone)]
pub(crate) enum Rooms {
    /// In this process.
    Local(local::Rooms),
    /// On several nodes.
    Cluster(Cluster),
}

impl Rooms {
    /// Opens a data folder's rooms.
    pub(crate) fn open(data: &Path, limits: Limits, webhook: Option<Webhook>) -> anyhow::Result<Self> {
        local::Rooms::open(data, limits, webhook).map(Self::Local)
    }

    /// Sees to what is due, for as long as it runs.
    pub(crate) async fn tend(self) {
        match self {
            Self::Local(rooms) => rooms.tend().await,
            Self::Cluster(rooms) => rooms.tend().await,
        }
    }

    /// Closes every connection; rooms stay.
    pub(crate) fn stop(&self) {
        match self {
            Self::Local(rooms) => rooms.stop(),
            Self::Cluster(rooms) => rooms.stop(),
        }
    }

    /// Waits, when connections are closed, until others can know it.
    pub(crate) async fn finish(&self) {
        match self {
            Self::Local(_) => {}
            Self::Cluster(rooms) => rooms.finish().await,
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        match self {
            Self::Local(rooms) => rooms.limits(),
            Self::Cluster(rooms) => rooms.limits(),
        }
    }

    pub(crate) fn health(&self) -> Health {
        match self {
            Self::Local(rooms) => rooms.health(),
            Self::Cluster(rooms) => rooms.health(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        match self {
            Self::Local(rooms) => rooms.now(),
            Self::Cluster(rooms) => rooms.now(),
        }
    }

    /// The number of a connection that is accepted now.
    pub(crate) fn accept(&self) -> Fence {
        match self {
            Self::Local(rooms) => rooms.accept(),
            Self::Cluster(rooms) => Fence(rooms.now().as_micros()),
        }
    }

    /// A member comes, or comes back, over a connection that was accepted under `fence`.
    async fn join(
        &self,
        claims: &Claims,
        join: &Join,
        fence: Fence,
        outbox: &Arc<Outbox>,
    ) -> Result<Box<dyn Membership>, CloseCode> {
        match self {
            Self::Local(rooms) => rooms.take_in(claims, join, fence, outbox),
            // Its state is large, and would be a part of the connection's for as long as that lives.
            Self::Cluster(rooms) => Box::pin(rooms.join(claims, join, fence, outbox)).await,
        }
    }

    /// Whether a token was given before its member was removed, for all that is known without asking others.
    pub(crate) fn is_known_as_revoked(&self, claims: &Claims) -> bool {
        match self {
            Self::Local(rooms) => rooms.is_revoked(claims),
            Self::Cluster(rooms) => rooms.is_known_as_revoked(claims),
        }
    }

    /// Whether a token was given before its member was removed.
    pub(crate) async fn is_revoked(&self, claims: &Claims) -> bool {
        match self {
            Self::Local(rooms) => rooms.is_revoked(claims),
            Self::Cluster(rooms) => rooms.is_revoked(claims).await,
        }
    }

    /// The application's own server sends. A room that is not there begins.
    pub(crate) async fn publish(
        &self,
        id: &RoomId,
        draft: Draft,
    ) -> Result<(Epoch, Option<u64>), PublishError> {
        match self {
            Self::Local(rooms) => rooms.publish(id, draft),
            Self::Cluster(rooms) => rooms.publish(id, draft).await,
        }
    }

    /// A member is removed if it is there, and its tokens of before are void in this room.
    pub(crate) async fn kick(&self, id: RoomId, member: MemberId) -> anyhow::Result<()> {
        match self {
            Self::Local(rooms) => {
                let rooms = rooms.clone();
                // It waits for the disk.
                tokio::task::spawn_blocking(move || rooms.kick(&id, &member)).await?
            }
            Self::Cluster(rooms) => Ok(rooms.kick(&id, &member).await?),
        }
    }

    /// Ends a room with everything in it. False when there is none.
    pub(crate) async fn delete(&self, id: &RoomId) -> Result<bool, Unanswered> {
        match self {
            Self::Local(rooms) => Ok(rooms.delete(id)),
            Self::Cluster(rooms) => rooms.delete(id).await,
        }
    }

    /// One room.
    pub(crate) async fn info(&self, id: &RoomId) -> Result<Option<RoomInfo>, Unanswered> {
        match self {
            Self::Local(rooms) => Ok(rooms.info(id)),
            Self::Cluster(rooms) => rooms.info(id).await,
        }
    }

    /// One member.
    pub(crate) async fn member(
        &self,
        id: &RoomId,
        member: &MemberId,
    ) -> Result<Option<MemberState>, Unanswered> {
        match self {
            Self::Local(rooms) => Ok(rooms.member(id, member)),
            Self::Cluster(rooms) => rooms.member(id, member).await,
        }
    }

    /// A member has told how good its connection is. False when it is not there.
    pub(crate) async fn set_quality(
        &self,
        id: &RoomId,
        member: &MemberId,
        quality: Quality,
    ) -> Result<bool, Unanswered> {
        match self {
            Self::Local(rooms) => Ok(rooms.set_quality(id, member, quality)),
            Self::Cluster(rooms) => rooms.set_quality(id, member, quality).await,
        }
    }

    /// The first rooms by name, after one if it is given.
    pub(crate) async fn list(&self, after: Option<&str>, most: usize) -> Result<Vec<RoomInfo>, Unanswered> {
        match self {
            Self::Local(rooms) => Ok(rooms.list(after, most)),
            Self::Cluster(rooms) => rooms.list(after, most).await,
        }
    }
}

/// What a member that has joined is told first (R3).
fn welcome(
    outbox: &Outbox,
    (room, log): (&RoomId, &Log),
    (member, fence): (&MemberId, Fence),
    joined: &Joined,
    limits: &Limits,
) {
    // Who is not known any more may miss something too.
    if joined.away.is_some() || joined.gap.is_some() {
        counter!("interplay_room_returns_total").increment(1);
        counter!("interplay_room_replayed_total").increment(joined.missed);
        counter!("interplay_room_gaps_total").increment(joined.gap.is_some().into());
        outbox.tell(&ServerFrame::ReconnectionDetected {
            disconnect_duration: joined.away.unwrap_or_default().as_secs_f64(),
            missed_message_count: joined.missed,
            gap: joined.gap,
        });
    }
    outbox.tell(&ServerFrame::Joined {
        room: room.clone(),
        member: member.clone(),
        epoch: log.epoch(),
        connection: fence,
        position: joined.position,
        accepted: joined.accepted,
        members: log.roster(),
        limits: limits.of_sending(),
    });
}

/// Hands a volatile message to one who is here.
fn offer(outbox: &Outbox, delivery: &Delivery) {
    let result = if outbox.offer(delivery.frame(None)) { "relayed" } else { "dropped" };
    counter!("interplay_room_volatile_total", "result" => result).increment(1);
}

/// A volatile message as its recipients get it.
fn volatile(from: Option<&MemberId>, draft: &Draft, time: WallTime) -> Delivery {
    let Draft { to, class, payload } = draft;
    let envelope = Envelope { sequence: None, from, to: to.as_ref(), class: *class, time: time.0 };
    Delivery::new(envelope, payload)
}
