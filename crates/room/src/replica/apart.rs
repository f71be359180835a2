//! What goes on on one node while the store does not answer (R9).

use base::{Timestamp, WallTime};
use wire::room::{Delivery, Envelope, Epoch, Fence, MemberId, Resume, SenderId};

use super::shared::Shared;
use crate::log::{Draft, JoinError, Joined, Log, LogRules, MemberRecord, SendError};

/// The members that are on this node, by themselves: a log in which there are no messages. Its epoch is its own, so
/// that who comes meanwhile relies on nothing of it afterwards.
#[derive(Clone, Debug)]
pub(super) struct Apart {
    log: Log,
    has_spoken: bool,
}

/// A message without a number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Handed {
    /// The frame for its recipients.
    pub delivery: Delivery,
    /// Their connections.
    pub to: Vec<(MemberId, Fence)>,
}

impl Apart {
    pub(super) fn new(fresh: Epoch, rules: LogRules, now: Timestamp) -> Self {
        Self { log: Log::new(fresh, rules, now), has_spoken: false }
    }

    /// Takes those in who are connected to this node. What they have sent is known: an answer may have been lost.
    pub(super) fn take_in(&mut self, shared: &Shared, own: Vec<(MemberId, Fence)>, now: Timestamp) {
        for (id, fence) in own {
            let Some(member) = shared.log.member(&id) else { continue };
            let record =
                MemberRecord { fence: Fence(0), acknowledged: 0, tip: 0, trimmed: 0, ..member.record() };
            self.log.restore_member(id.clone(), record, now);
            // It is there now, and has no greater fence.
            let _ = self.log.join(&id, fence, Some(Resume::Live), None, member.sender(), now);
        }
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    pub(super) fn has_spoken(&self) -> bool {
        self.has_spoken
    }

    pub(super) fn join(
        &mut self,
        member: &MemberId,
        fence: Fence,
        resume: Option<Resume>,
        sender: Option<&SenderId>,
        now: Timestamp,
    ) -> Result<Joined, JoinError> {
        self.log.join(member, fence, resume, None, sender, now)
    }

    pub(super) fn drop(&mut self, member: &MemberId, fence: Fence, now: Timestamp) {
        self.log.drop(member, fence, now);
    }

    pub(super) fn leave(&mut self, member: &MemberId, now: Timestamp) {
        self.log.leave(member, None, now);
    }

    pub(super) fn send(
        &mut self,
        (member, fence, counter): (&MemberId, Fence, Option<u64>),
        draft: Draft,
        now: (Timestamp, WallTime),
    ) -> Result<Option<Handed>, SendError> {
        // One without a counter cannot be a repeat.
        let is_new = match counter {
            Some(counter) => self.log.hear(member, fence, counter, now.0)?,
            None => self.log.member(member).is_some_and(|found| found.connection() == Some(fence)),
        };
        Ok(is_new.then(|| self.hand_out(Some(member), draft, now.1)))
    }

    pub(super) fn hand_out(&mut self, from: Option<&MemberId>, draft: Draft, at: WallTime) -> Handed {
        self.has_spoken = true;
        let Draft { to, class, payload } = draft;
        let envelope = Envelope { sequence: None, from, to: to.as_ref(), class, time: at.0 };
        let delivery = Delivery::new(envelope, &payload);
        let is_for = |id: &MemberId| from != Some(id) && to.as_ref().is_none_or(|to| to == id);
        let here = self.log.members().filter(|(id, _)| is_for(id));
        let to = here.filter_map(|(id, member)| Some((id.clone(), member.connection()?))).collect();
        Handed { delivery, to }
    }
}
