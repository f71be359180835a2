//! A confirmed state on its way from a page that holds it to one that has lost it (P5).

use base::{FRAME_LIMIT, Frame, MAX_SEATS, StateHash};

/// The longest state: an environment's memory of 16 MiB, and its globals.
pub const MAX_STATE_BYTES: usize = 16 * 1024 * 1024 + 64 * 1024;

/// The longest transfer that is sent or read, in bytes: a state that cannot be made shorter, and what is told of it.
pub const MAX_TRANSFER_BYTES: usize = MAX_STATE_BYTES + MAX_STATE_BYTES / 128 + 256;

/// How many zeros end a run of other bytes. Fewer cost more to tell of than they save.
const ZEROS: usize = 8;

/// What is told of a state before it: five numbers of four bytes, the hash and the scores.
const HEAD: usize = 5 * 4 + 8 + 8 * MAX_SEATS;

/// A state, and where the game stands in it.
#[derive(Clone, PartialEq, Debug)]
pub struct StateTransfer {
    /// Of which pause.
    pub pause: u32,
    /// Of which round of it.
    pub round: u32,
    /// The state is that before this frame; every frame before it is confirmed.
    pub frame: Frame,
    /// The episode that is being played, or comes next.
    pub episode: u32,
    /// Its first frame; none when it has not begun.
    pub episode_first: Option<Frame>,
    /// The state's hash.
    pub hash: StateHash,
    /// What each seat has been rewarded with in the episode.
    pub scores: [f64; MAX_SEATS],
    /// The state. It travels without its zeros: an environment's memory is mostly empty.
    pub state: Vec<u8>,
}

/// What comes is no transfer of a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TransferError {
    /// It ends too early, or holds what cannot be.
    #[error("it is malformed")]
    Malformed,
    /// The state is longer than any may be.
    #[error("the state has more than {MAX_STATE_BYTES} bytes")]
    TooLong,
    /// What came is not what was sent.
    #[error("the state's hash is another than it says")]
    WrongHash,
}

impl StateTransfer {
    /// Its bytes: the fields in their order, little-endian, [`base::FRAME_LIMIT`] where there is no first frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD);
        let first = self.episode_first.unwrap_or(FRAME_LIMIT);
        for number in [self.pause, self.round, self.frame, self.episode, first] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.hash.0].into_iter().chain(self.scores.map(f64::to_bits)) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        pack(&self.state, &mut bytes);
        bytes
    }

    /// Reads one, and compares the state with its hash.
    ///
    /// # Errors
    /// When it is none. No more is allocated than the longest state needs.
    pub fn decode(bytes: &[u8]) -> Result<Self, TransferError> {
        let (head, packed) = bytes.split_at_checked(HEAD).ok_or(TransferError::Malformed)?;
        let short = |at: usize| u32::from_le_bytes(core::array::from_fn(|byte| head[4 * at + byte]));
        let long = |at: usize| u64::from(short(at)) | u64::from(short(at + 1)) << 32;
        let state = unpack(packed)?;
        let hash = StateHash(long(5));
        if base::hash_state(&state) != hash {
            return Err(TransferError::WrongHash);
        }
        Ok(Self {
            pause: short(0),
            round: short(1),
            frame: short(2),
            episode: short(3),
            episode_first: Some(short(4)).filter(|&first| first < FRAME_LIMIT),
            hash,
            scores: core::array::from_fn(|seat| f64::from_bits(long(7 + 2 * seat))),
            state,
        })
    }
}

/// Runs: how many zeros, how many other bytes, and these.
fn pack(state: &[u8], bytes: &mut Vec<u8>) {
    let mut rest = state;
    while !rest.is_empty() {
        let zeros = rest.iter().take_while(|byte| **byte == 0).count();
        rest = &rest[zeros..];
        let other = rest.windows(ZEROS).position(|window| window.iter().all(|byte| *byte == 0));
        let (run, after) = rest.split_at(other.unwrap_or(rest.len()));
        put(zeros, bytes);
        put(run.len(), bytes);
        bytes.extend_from_slice(run);
        rest = after;
    }
}

fn unpack(mut packed: &[u8]) -> Result<Vec<u8>, TransferError> {
    let mut state = Vec::new();
    while !packed.is_empty() {
        let zeros = take(&mut packed)?;
        let run = take(&mut packed)?;
        if zeros.saturating_add(run) > MAX_STATE_BYTES - state.len() {
            return Err(TransferError::TooLong);
        }
        let (run, rest) = packed.split_at_checked(run).ok_or(TransferError::Malformed)?;
        state.resize(state.len() + zeros, 0);
        state.extend_from_slice(run);
        packed = rest;
    }
    Ok(state)
}

/// A length, seven bits a byte, the lowest first.
fn put(mut length: usize, bytes: &mut Vec<u8>) {
    while length > 127 {
        bytes.push(length as u8 | 128);
        length >>= 7;
    }
    bytes.push(length as u8);
}

fn take(packed: &mut &[u8]) -> Result<usize, TransferError> {
    let mut length = 0;
    for shift in [0, 7, 14, 21] {
        let (&byte, rest) = packed.split_first().ok_or(TransferError::Malformed)?;
        *packed = rest;
        length |= usize::from(byte & 127) << shift;
        if byte < 128 {
            return Ok(length);
        }
    }
    Err(TransferError::Malformed)
}

#[cfg(test)]
mod tests {
    use base::Rng;

    use super::*;

    fn transfer(state: Vec<u8>) -> StateTransfer {
        StateTransfer {
            pause: 2,
            round: 1,
            frame: 700,
            episode: 1,
            episode_first: Some(450),
            hash: base::hash_state(&state),
            scores: [0.5; MAX_SEATS],
            state,
        }
    }

    #[test]
    fn every_state_comes_back() {
        let mut rng = Rng::from_seed(5);
        let mut states = vec![vec![], vec![0], vec![7], vec![0; 100_000], vec![1; 100_000]];
        for sparse in [1, 3, 9, 200, 40_000] {
            let mut byte = || if rng.below(sparse) == 0 { rng.below(256) as u8 } else { 0 };
            states.push((0..50_000).map(|_| byte()).collect());
        }
        for state in states {
            let transfer = transfer(state);
            assert_eq!(StateTransfer::decode(&transfer.encode()).unwrap(), transfer);
        }
    }

    #[test]
    fn an_empty_memory_costs_nothing_and_a_full_one_hardly_more_than_it_has() {
        let empty = transfer(vec![0; MAX_STATE_BYTES]).encode();
        assert!(empty.len() < 150, "{} bytes", empty.len());
        let worst: Vec<u8> = (0..MAX_STATE_BYTES).map(|at| u8::from(at % 9 == 8)).collect();
        for state in [vec![255; MAX_STATE_BYTES], worst] {
            let bytes = transfer(state).encode();
            assert!(bytes.len() <= MAX_TRANSFER_BYTES, "{} bytes", bytes.len());
        }
    }

    #[test]
    fn what_is_wrong_is_refused_within_bounds() {
        let good = transfer((0..=255).chain([0; 90]).chain(0..=255).collect()).encode();
        for end in 0..good.len() {
            assert!(StateTransfer::decode(&good[..end]).is_err(), "cut off at {end}");
        }
        let mut changed = good.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(StateTransfer::decode(&changed), Err(TransferError::WrongHash));
        // A few bytes that claim to be many.
        let mut bomb = transfer(Vec::new()).encode();
        for _ in 0..10 {
            bomb.extend_from_slice(&[0xff, 0xff, 0xff, 0x07, 0]);
        }
        assert_eq!(StateTransfer::decode(&bomb), Err(TransferError::TooLong));
    }
}
