//! A node: a replica, and the connections of its own. What it does is in `driver`.

use std::collections::BTreeMap;

use base::Timestamp;
use room::log::{Draft, Joined};
use room::replica::{NodeId, Origin, Replica, Stored};
use wire::room::{Epoch, Fence, MemberId, Resume, SenderId};

/// One connection, as its node sees it.
pub(crate) struct Connection {
    /// Tells it from all others.
    pub(crate) serial: u64,
    pub(crate) client: usize,
    pub(crate) member: MemberId,
    pub(crate) fence: Fence,
    pub(crate) sender: SenderId,
    /// Whether its join was answered.
    pub(crate) is_joined: bool,
    /// Whether it came while the store did not answer.
    pub(crate) is_apart: bool,
}

/// What waits for an entry to be applied.
pub(crate) enum Waiting {
    Join { serial: u64 },
    Send { serial: u64, counter: u64 },
}

/// What a client is told over a connection.
pub(crate) enum Told {
    Joined {
        epoch: Epoch,
        fence: Fence,
        joined: Joined,
        resume: Option<Resume>,
        first: u64,
        trimmed: u64,
    },
    /// A send is there, or was handed out without a number.
    Answer {
        counter: u64,
    },
    /// There is no such recipient.
    Refused {
        counter: u64,
    },
    /// A message without a number.
    Handed {
        label: u64,
    },
    /// Closed, and told to come back.
    ComeBack,
    /// Closed, and told to stop.
    Stop,
}

pub(crate) struct Node {
    pub(crate) id: NodeId,
    openings: u64,
    /// How far its clock is ahead, in milliseconds, from 10 s behind.
    skew: u64,
    pub(crate) replica: Option<Replica>,
    pub(crate) connections: Vec<Connection>,
    pub(crate) waiting: BTreeMap<u64, Waiting>,
    pub(crate) inbox: Vec<Stored>,
    /// Which store it speaks with, the newest or one that was given up.
    pub(crate) store: usize,
    /// Whether it can speak with the store.
    pub(crate) reaches: bool,
    /// The epoch that is to end because of it.
    pub(crate) doubted: Option<Epoch>,
}

impl Node {
    pub(crate) fn new(id: u64, skew: u64) -> Self {
        Self {
            id: NodeId(id),
            openings: 0,
            skew,
            replica: None,
            connections: Vec::new(),
            waiting: BTreeMap::new(),
            inbox: Vec::new(),
            store: 0,
            reaches: true,
            doubted: None,
        }
    }

    /// Another life of it.
    pub(crate) fn reborn(&self, id: u64) -> Self {
        Self { reaches: self.reaches, store: self.store, ..Self::new(id, self.skew) }
    }

    pub(crate) fn origin(&mut self) -> Origin {
        self.openings += 1;
        Origin { node: self.id, opening: self.openings }
    }

    /// Who its replica is.
    pub(crate) fn latest(&self) -> Origin {
        Origin { node: self.id, opening: self.openings }
    }

    pub(crate) fn clock(&self, now: u64) -> Timestamp {
        Timestamp::from_millis(now - 10_000 + self.skew)
    }

    pub(crate) fn at(&self, serial: u64) -> Option<usize> {
        self.connections.iter().position(|connection| connection.serial == serial)
    }

    pub(crate) fn connection(&self, serial: u64) -> Option<&Connection> {
        self.at(serial).map(|at| &self.connections[at])
    }

    pub(crate) fn take(&mut self, serial: u64) -> Option<Connection> {
        self.at(serial).map(|at| self.connections.remove(at))
    }

    pub(crate) fn has(&self, member: &MemberId, fence: Fence) -> bool {
        self.connections.iter().any(|connection| connection.member == *member && connection.fence == fence)
    }

    pub(crate) fn is_apart(&self) -> bool {
        self.replica.as_ref().is_some_and(|replica| replica.apart().is_some())
    }
}

/// What was sent, in a message's payload.
pub(crate) fn label_of(draft: &Draft) -> u64 {
    label(&draft.payload)
}

pub(crate) fn label(payload: &wire::room::Payload) -> u64 {
    let wire::room::Payload::Json(text) = payload else { panic!("only JSON is sent") };
    text.trim_start_matches('[').split(',').next().unwrap().parse().unwrap()
}
