//! Environments that allocate, calculate with NaNs and run away, saved and restored at random (E1, E4).

use base::{Frame, Input, Rng, Seat, StateHash};
use host::{EnvironmentError, Fault, Module, NativeEnvironment};
use rollback::{Environment, Simulation};

use crate::support::built_module;

const SEATS: u8 = 2;
const SLOTS: usize = 8;
const OPERATIONS: u32 = 10_000;

/// What is known of a slot.
#[derive(Clone, Copy)]
struct Saved {
    frame: Frame,
    hash: StateHash,
}

/// Does the same to two instances, of which only one is looked at in between. Returns the number of steps, and the
/// error that both ended with.
fn course(module: &Module, seed: u64) -> (u32, Option<EnvironmentError>) {
    let mut played = NativeEnvironment::new(module).unwrap();
    let mut looked_at = NativeEnvironment::new(module).unwrap();
    let mut random = Rng::from_seed(seed);
    for environment in [&mut played, &mut looked_at] {
        environment.reset(SEATS, 0, seed).unwrap();
    }
    let (mut frame, mut steps, mut slots) = (0, 0, [None::<Saved>; SLOTS]);
    for _ in 0..OPERATIONS {
        let slot = random.below(SLOTS as u64) as usize;
        match random.below(8) {
            0..5 => {
                let inputs = [(); SEATS as usize].map(|()| {
                    let bytes = random.next_u64().to_le_bytes();
                    Input::new(&bytes[..module.manifest().input_bytes]).unwrap()
                });
                match (played.step(frame, &inputs), looked_at.step(frame, &inputs)) {
                    (Ok(one), Ok(other)) => {
                        assert_eq!(one.rewards.map(f64::to_bits), other.rewards.map(f64::to_bits));
                    }
                    (one, other) => {
                        assert_eq!(one, other, "both fail alike at frame {frame}");
                        return (steps, one.err());
                    }
                }
                frame += 1;
                steps += 1;
                if random.below(4) == 0 {
                    looked_at.observe().unwrap();
                    looked_at.draw(Seat::new(1).unwrap()).unwrap();
                }
            }
            5 => {
                played.save(slot);
                looked_at.save(slot);
                let hash = played.hash(slot);
                assert_eq!(looked_at.hash(slot), hash, "looking changed nothing");
                slots[slot] = Some(Saved { frame, hash });
            }
            _ => {
                let Some(saved) = slots[slot] else { continue };
                for environment in [&mut played, &mut looked_at] {
                    environment.load(slot);
                    assert_eq!(
                        environment.state_hash(),
                        Ok(saved.hash),
                        "what was saved is what is restored"
                    );
                }
                frame = saved.frame;
            }
        }
    }
    (steps, None)
}

#[test]
fn an_environment_that_allocates_is_restored_whole() {
    let (steps, error) = course(&built_module("allocating.wasm"), 1);
    assert_eq!(error, None);
    assert!(steps > OPERATIONS / 2);
}

#[test]
fn an_environment_full_of_nans_is_restored_whole() {
    let (steps, error) = course(&built_module("floating.wasm"), 2);
    assert_eq!(error, None);
    assert!(steps > OPERATIONS / 2);
}

#[test]
fn an_environment_that_runs_away_fails_at_the_same_step() {
    let module = built_module("runaway.wasm");
    let errors: Vec<_> =
        (0..20).filter_map(|seed| course(&module, seed).1).map(|error| error.fault).collect();
    assert!(errors.len() > 15, "most courses end early: {errors:?}");
    assert!(errors.contains(&Fault::OutOfFuel) && errors.contains(&Fault::TooDeep), "{errors:?}");
    assert!(!errors.iter().any(|fault| matches!(fault, Fault::Trapped(_))), "{errors:?}");
}

#[test]
fn the_states_are_those_of_a_run_without_saves_and_loads() {
    for name in ["allocating.wasm", "floating.wasm", "tag.wasm"] {
        let module = built_module(name);
        let input = |frame: u32, seat: u64| {
            let bytes = Rng::from_seed(u64::from(frame) * 8 + seat).next_u64().to_le_bytes();
            Input::new(&bytes[..module.manifest().input_bytes]).unwrap()
        };
        let mut straight = NativeEnvironment::new(&module).unwrap();
        let mut rolled = NativeEnvironment::new(&module).unwrap();
        straight.reset(SEATS, 0, 3).unwrap();
        rolled.reset(SEATS, 0, 3).unwrap();
        for frame in 0..300 {
            straight.step(frame, &[input(frame, 0), input(frame, 1)]).unwrap();
            // Predicted wrongly for eight frames, then rolled back.
            rolled.save(0);
            for ahead in 0..8 {
                rolled.step(frame + ahead, &[input(frame + ahead, 2), input(frame + ahead, 3)]).unwrap();
            }
            rolled.load(0);
            rolled.step(frame, &[input(frame, 0), input(frame, 1)]).unwrap();
            assert_eq!(rolled.state_hash(), straight.state_hash(), "{name}, frame {frame}");
        }
    }
}
