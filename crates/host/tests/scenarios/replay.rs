//! A game played again from its seed and inputs (D3).

use base::{Input, Seat, derive_seed};
use host::NativeEnvironment;
use host::prepare::prepare;
use host::replay::{Game, Replay};
use rollback::{Environment, Simulation};

use crate::support::{built_module, module};

fn input(frame: u32, seat: u8) -> Input {
    Input::new(&[(frame / 9 + u32::from(seat) * 3) as u8 % 32]).unwrap()
}

#[test]
fn a_replay_has_the_hashes_that_the_game_had() {
    let module = built_module("tag.wasm");
    let game = Game { seats: 3, seed: 99, max_frames: 40 };
    let mut played = NativeEnvironment::new(&module).unwrap();
    let mut replayed = NativeEnvironment::new(&module).unwrap();
    let mut replay = Replay::new(&mut replayed, game).unwrap();
    for frame in 0..120 {
        let episode = frame / 40;
        if frame % 40 == 0 {
            played.reset(game.seats, episode, derive_seed(game.seed, u64::from(episode))).unwrap();
        }
        let inputs: Vec<_> = Seat::all(3).map(|seat| input(frame, seat.number())).collect();
        let outcome = played.step(frame, &inputs).unwrap();
        let row = replay.next(&inputs).unwrap();
        assert_eq!((row.episode, row.step, row.frame), (episode, frame % 40, frame));
        assert_eq!(Ok(row.hash), played.state_hash(), "frame {frame}");
        assert_eq!(row.outcome, outcome);
        assert_eq!(Ok(row.observations), played.observe());
        assert_eq!(row.last, frame % 40 == 39);
        assert_eq!(row.flags[0], (false, row.last), "only the limit ends an episode of tag");
        assert_eq!(row.flags[3], (false, false), "nobody sits there");
    }
}

#[test]
fn an_episode_that_the_environment_ends_is_not_truncated_and_the_next_begins_anew() {
    // Over every third frame of an episode; a counter in memory would not forget by itself.
    let step = "
        (i32.store (i32.const 2048) (i32.add (i32.load (i32.const 2048)) (i32.const 1)))
        (i32.store offset=528 (i32.const 0) (i32.eq (i32.load (i32.const 2048)) (i32.const 3)))
        (i32.eq (i32.load (i32.const 2048)) (i32.const 3))";
    let prepared = prepare(&module("1", "", step)).unwrap();
    let module = host::Module::new(&prepared).unwrap();
    let mut environment = NativeEnvironment::new(&module).unwrap();
    let mut replay = Replay::new(&mut environment, Game { seats: 1, seed: 1, max_frames: 100 }).unwrap();
    let rows: Vec<_> = (0..9).map(|_| replay.next(&[Input::none(1)]).unwrap()).collect();
    for (frame, row) in (0..).zip(&rows) {
        assert_eq!((row.episode, row.step), (frame / 3, frame % 3));
        assert_eq!((row.last, row.outcome.over), (frame % 3 == 2, frame % 3 == 2));
        assert_eq!(row.flags[0], (frame % 3 == 2, false));
    }
}
