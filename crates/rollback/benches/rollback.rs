//! A tick in which eight frames were predicted wrongly, by this core and by ggrs, on the same simulation.
//!
//! Each iteration goes back eight frames, simulates and saves them anew, and simulates and saves one more. This
//! core hashes the one frame that this confirms. ggrs takes a state's checksum when the state is saved, so it
//! needs one for every save; it is measured with and without. It runs as its `SyncTestSession`, which does just
//! this and has no network, so that the two cores alone are compared.

use std::hint::black_box;
use std::time::Duration;

use base::{Frame, Input, Seat, StateHash, hash_state};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ggrs::{GgrsRequest, PredictRepeatLast, SessionBuilder, SyncTestSession};
use rollback::{Advance, Config, Prediction, Rollback, Simulation, StepOutcome};

/// How far each tick goes back.
const DEPTH: u8 = 8;

/// The memory of a small WASM environment; and next to nothing, for what the cores themselves cost.
const SIZES: [(&str, usize); 2] = [("192 KiB", 192 * 1024), ("64 bytes", 64)];

/// How many bytes of its state a step changes: few, since the cores are compared and not the simulation.
const TOUCHED: usize = 16;

/// A simulation that changes bytes all over its state, by the inputs.
#[derive(Clone)]
struct Memory {
    bytes: Vec<u8>,
    mixed: u64,
}

impl Memory {
    fn new(size: usize) -> Self {
        Self { bytes: vec![0; size], mixed: 1 }
    }

    /// Takes another's content into the memory that this one has.
    fn copy_from(&mut self, other: &Self) {
        self.bytes.copy_from_slice(&other.bytes);
        self.mixed = other.mixed;
    }

    fn step(&mut self, inputs: impl Iterator<Item = u8>) {
        self.mixed =
            inputs.fold(self.mixed, |mixed, input| (mixed ^ u64::from(input)).wrapping_mul(0x9e37_79b9));
        for _ in 0..TOUCHED {
            self.mixed =
                self.mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (self.mixed >> 33) as usize % self.bytes.len();
            self.bytes[at] ^= self.mixed as u8;
        }
    }
}

/// The input of a frame: never the one before, so that every prediction is wrong.
fn input(frame: Frame) -> u8 {
    1 + (frame % 250) as u8
}

struct Slots {
    memory: Memory,
    slots: Vec<Memory>,
}

impl Simulation for Slots {
    type Error = core::convert::Infallible;

    fn step(&mut self, _frame: Frame, inputs: &[Input]) -> Result<StepOutcome, Self::Error> {
        self.memory.step(inputs.iter().map(|input| input.as_bytes()[0]));
        Ok(StepOutcome::default())
    }

    fn save(&mut self, slot: usize) {
        self.slots[slot].copy_from(&self.memory);
    }

    fn load(&mut self, slot: usize) {
        self.memory.copy_from(&self.slots[slot]);
    }

    fn hash(&self, slot: usize) -> StateHash {
        hash_state(&self.slots[slot].bytes)
    }

    fn export(&self, slot: usize) -> Vec<u8> {
        self.slots[slot].bytes.clone()
    }

    fn import(&mut self, slot: usize, state: &[u8]) -> bool {
        state.clone_into(&mut self.slots[slot].bytes);
        true
    }
}

/// This core with a peer whose inputs come eight frames late, each a surprise.
struct Ours {
    core: Rollback,
    simulation: Slots,
    peer: Seat,
}

impl Ours {
    fn new(size: usize) -> Self {
        let [local, peer] = [0, 1].map(|number| Seat::new(number).expect("there are eight"));
        let config = Config {
            seats: 2,
            local,
            input_size: 1,
            input_delay: 0,
            window: DEPTH,
            prediction: Prediction::RepeatLast,
            max_frames: base::FRAME_LIMIT - 1,
        };
        let core = Rollback::new(config).expect("a valid configuration");
        let memory = Memory::new(size);
        let slots = vec![memory.clone(); usize::from(DEPTH) + 1];
        let mut ours = Self { core, simulation: Slots { memory, slots }, peer };
        ours.core.begin_episode(&mut ours.simulation);
        while ours.advance() != (Advance::Waiting { missing: [peer].into_iter().collect() }) {}
        ours
    }

    fn advance(&mut self) -> Advance {
        let local = Input::new(&[input(self.core.frame())]).expect("one byte");
        let Ok(advance) = self.core.advance(local, &mut self.simulation);
        advance
    }

    fn tick(&mut self) {
        let frame = self.core.known_until(self.peer);
        let late = Input::new(&[input(frame)]);
        self.core.add_remote(self.peer, frame, late.into_iter()).expect("the next input");
        let rollbacks = self.core.rollbacks();
        assert!(matches!(self.advance(), Advance::Stepped { .. }));
        assert_eq!(
            (self.core.rollbacks(), self.core.deepest_rollback()),
            (rollbacks + 1, Frame::from(DEPTH))
        );
        black_box(self.core.poll_confirmed());
    }
}

#[derive(Debug)]
struct Byte;

impl ggrs::Config for Byte {
    type Input = u8;
    type InputPredictor = PredictRepeatLast;
    type State = Memory;
    type Address = u8;
}

/// ggrs going back eight frames on every tick.
struct Theirs {
    session: SyncTestSession<Byte>,
    memory: Memory,
    checksums: bool,
}

impl Theirs {
    fn new(size: usize, checksums: bool) -> Self {
        let builder = SessionBuilder::new().with_num_players(2).expect("two players");
        let builder = builder.with_max_prediction_window(usize::from(DEPTH) + 1);
        let session =
            builder.with_check_distance(usize::from(DEPTH)).start_synctest_session().expect("valid");
        let mut theirs = Self { session, memory: Memory::new(size), checksums };
        for _ in 0..2 * DEPTH {
            theirs.tick();
        }
        theirs
    }

    fn tick(&mut self) {
        let value = input(self.session.current_frame() as Frame);
        for player in 0..2 {
            self.session.add_local_input(player, value).expect("a player");
        }
        for request in self.session.advance_frame().expect("equal states") {
            match request {
                GgrsRequest::SaveGameState { cell, frame } => {
                    let checksum = self.checksums.then(|| u128::from(hash_state(&self.memory.bytes).0));
                    cell.save(frame, Some(self.memory.clone()), checksum);
                }
                GgrsRequest::LoadGameState { cell, .. } => {
                    self.memory.copy_from(&cell.data().expect("it was saved"));
                }
                GgrsRequest::AdvanceFrame { inputs } => {
                    self.memory.step(inputs.iter().map(|&(input, _)| input));
                }
            }
        }
    }
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a tick with a rollback of 8 frames");
    group.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    for (name, size) in SIZES {
        let mut ours = Ours::new(size);
        group.bench_function(BenchmarkId::new("interplay", name), |bencher| bencher.iter(|| ours.tick()));
        let mut theirs = Theirs::new(size, true);
        group.bench_function(BenchmarkId::new("ggrs, with checksums", name), |bencher| {
            bencher.iter(|| theirs.tick());
        });
        let mut theirs = Theirs::new(size, false);
        group.bench_function(BenchmarkId::new("ggrs, without", name), |bencher| {
            bencher.iter(|| theirs.tick());
        });
    }
    group.finish();
}

criterion_group!(rollback_of_eight_frames, benches);
criterion_main!(rollback_of_eight_frames);
