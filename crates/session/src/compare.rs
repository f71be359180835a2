//! Comparing confirmed states with the peers' (N2).

use base::{BoundedQueue, Frame, MAX_SEATS, Seat, StateHash};

/// How many own hashes are kept: a peer's hash is of a frame at most two windows and a path's delay old. At 60
/// frames a second, four seconds.
const KEPT: usize = 256;

/// How many of a peer's hashes wait for the frame to be confirmed here too.
const WAITING: usize = 64;

/// A peer's hash that differs from ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Difference {
    pub(crate) peer: Seat,
    pub(crate) frame: Frame,
    pub(crate) own: StateHash,
    pub(crate) theirs: StateHash,
}

/// Own hashes, peers' hashes, and how often they met.
#[derive(Debug)]
pub(crate) struct Comparison {
    own: Vec<Option<(Frame, StateHash)>>,
    newest: Option<(Frame, StateHash)>,
    waiting: BoundedQueue<(Seat, Frame, StateHash)>,
    /// The newest frame that each peer told a hash of: packets repeat the last one until the next is confirmed.
    heard: [Option<Frame>; MAX_SEATS],
    compared: u64,
    differing: u64,
}

impl Comparison {
    pub(crate) fn new() -> Self {
        Self {
            own: vec![None; KEPT],
            newest: None,
            waiting: BoundedQueue::new(WAITING),
            heard: [None; MAX_SEATS],
            compared: 0,
            differing: 0,
        }
    }

    /// The newest confirmed frame and its hash.
    pub(crate) fn newest(&self) -> Option<(Frame, StateHash)> {
        self.newest
    }

    /// Up to where a peer has told hashes: the frame after the newest.
    pub(crate) fn heard_until(&self, peer: Seat) -> Frame {
        self.heard[peer.index()].map_or(0, |newest| newest + 1)
    }

    /// How many hashes were compared, and how many of them differed.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.compared, self.differing)
    }

    /// Takes the hash of a frame that was confirmed here; calls `differ` for every peer whose hash differs.
    pub(crate) fn confirm(&mut self, frame: Frame, own: StateHash, mut differ: impl FnMut(Difference)) {
        self.own[frame as usize % KEPT] = Some((frame, own));
        self.newest = Some((frame, own));
        let (compared, differing) = (&mut self.compared, &mut self.differing);
        self.waiting.retain(|&(peer, at, theirs)| {
            if at == frame {
                *compared += 1;
                if theirs != own {
                    *differing += 1;
                    differ(Difference { peer, frame, own, theirs });
                }
            }
            at > frame
        });
    }

    /// Takes a peer's hash; a frame that is not confirmed here yet waits. None when there was nothing to compare.
    pub(crate) fn hear(
        &mut self,
        peer: Seat,
        frame: Frame,
        theirs: StateHash,
    ) -> Option<Result<(), Difference>> {
        let heard = &mut self.heard[peer.index()];
        if heard.is_some_and(|newest| frame <= newest) {
            return None;
        }
        *heard = Some(frame);
        if self.newest.is_none_or(|(newest, _)| frame > newest) {
            self.waiting.push_dropping_oldest((peer, frame, theirs));
            return None;
        }
        let (_, own) = self.own[frame as usize % KEPT].filter(|&(at, _)| at == frame)?;
        self.compared += 1;
        if own == theirs {
            return Some(Ok(()));
        }
        self.differing += 1;
        Some(Err(Difference { peer, frame, own, theirs }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> Seat {
        Seat::new(1).unwrap()
    }

    #[test]
    fn hashes_meet_whichever_comes_first() {
        let mut comparison = Comparison::new();
        comparison.confirm(0, StateHash(1), |difference| panic!("{difference:?}"));
        assert_eq!(comparison.hear(peer(), 0, StateHash(1)), Some(Ok(())));
        assert_eq!(comparison.hear(peer(), 0, StateHash(1)), None, "it came before");
        assert_eq!(comparison.hear(peer(), 1, StateHash(2)), None);
        comparison.confirm(1, StateHash(2), |difference| panic!("{difference:?}"));
        assert_eq!(comparison.counts(), (2, 0));
    }

    #[test]
    fn a_difference_is_found_whichever_comes_first() {
        let mut comparison = Comparison::new();
        comparison.confirm(0, StateHash(1), |difference| panic!("{difference:?}"));
        let found = comparison.hear(peer(), 0, StateHash(9)).and_then(Result::err);
        assert_eq!(found.map(|found| found.theirs), Some(StateHash(9)));
        comparison.hear(peer(), 1, StateHash(9));
        let mut found = Vec::new();
        comparison.confirm(1, StateHash(2), |difference| found.push(difference.frame));
        assert_eq!(found, [1]);
        assert_eq!(comparison.counts(), (2, 2));
    }

    #[test]
    fn a_flood_of_hashes_is_bounded() {
        let mut comparison = Comparison::new();
        for frame in 0..100_000 {
            comparison.hear(peer(), frame, StateHash(0));
        }
        assert_eq!(comparison.waiting.len(), WAITING);
    }
}
