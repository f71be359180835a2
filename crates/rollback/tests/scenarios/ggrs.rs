//! The same games by ggrs: two to four players, a network that delays and reorders but loses nothing, one
//! episode. Both must come to the same states, frame by frame.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use base::{Frame, Input, Rng, Seat, StateHash, derive_seed};
use ggrs::{
    Config, GgrsError, GgrsRequest, Message, NonBlockingSocket, P2PSession, PlayerType, SessionBuilder,
    SessionState,
};
use rollback::Simulation;

use crate::toy::Toy;
use crate::{seat, serial};

const SCHEDULES: u64 = 60;
const FRAMES: Frame = 200;

#[derive(Debug)]
struct Byte;

impl Config for Byte {
    type Input = u8;
    type InputPredictor = ggrs::PredictRepeatLast;
    type State = ();
    type Address = u8;
}

/// Messages under way, and the tick that it is.
struct Network {
    now: u64,
    rng: Rng,
    most_delay: u64,
    under_way: Vec<VecDeque<(u64, u8, Message)>>,
}

struct Socket {
    seat: u8,
    network: Rc<RefCell<Network>>,
}

impl NonBlockingSocket<u8> for Socket {
    fn send_to(&mut self, message: &Message, to: &u8) {
        let network = &mut *self.network.borrow_mut();
        let arrival = network.now + network.rng.below(network.most_delay + 1);
        network.under_way[usize::from(*to)].push_back((arrival, self.seat, message.clone()));
    }

    fn receive_all_messages(&mut self) -> Vec<(u8, Message)> {
        let network = &mut *self.network.borrow_mut();
        let now = network.now;
        let (come, later) =
            network.under_way[usize::from(self.seat)].drain(..).partition(|&(arrival, ..)| arrival <= now);
        network.under_way[usize::from(self.seat)] = later;
        let come: VecDeque<(u64, u8, Message)> = come;
        come.into_iter().map(|(_, from, message)| (from, message)).collect()
    }
}

/// What both are given.
struct Game {
    seed: u64,
    seats: u8,
    window: u8,
    input_delay: u8,
    most_delay: u64,
}

impl Game {
    fn of(seed: u64) -> Self {
        let rng = &mut Rng::from_seed(derive_seed(seed, 9));
        Self {
            seed,
            seats: 2 + rng.below(3) as u8,
            window: 2 + rng.below(10) as u8,
            input_delay: rng.below(5) as u8,
            most_delay: rng.below(8),
        }
    }

    /// What a seat presses for a frame: held for some frames, then something else.
    fn input(&self, seat: u8, frame: Frame) -> u8 {
        if frame < Frame::from(self.input_delay) {
            return 0;
        }
        let change = u64::from(frame) / (1 + self.seed % 4);
        derive_seed(derive_seed(self.seed, u64::from(seat)), change) as u8 % 5
    }

    fn toy(&self) -> Toy {
        let mut toy = Toy::new(self.window, self.seed, None);
        toy.begin(self.seats, 0);
        toy
    }
}

struct Player {
    seat: u8,
    session: P2PSession<Byte>,
    toy: Toy,
    frame: Frame,
    hashes: BTreeMap<Frame, StateHash>,
}

impl Player {
    fn fulfil(&mut self, game: &Game, requests: Vec<GgrsRequest<Byte>>) {
        for request in requests {
            match request {
                GgrsRequest::SaveGameState { cell, frame } => {
                    self.toy.save(frame as usize % (usize::from(game.window) + 1));
                    cell.save(frame, Some(()), None);
                }
                GgrsRequest::LoadGameState { frame, .. } => {
                    self.toy.load(frame as usize % (usize::from(game.window) + 1));
                    self.frame = frame as Frame;
                }
                GgrsRequest::AdvanceFrame { inputs } => {
                    let inputs: Vec<_> =
                        inputs.iter().map(|(input, _)| Input::new(&[*input]).unwrap()).collect();
                    let Ok(_) = self.toy.step(self.frame, &inputs);
                    self.hashes.insert(self.frame, self.toy.current_hash());
                    self.frame += 1;
                }
            }
        }
    }
}

fn ggrs_hashes(game: &Game) -> Vec<Vec<StateHash>> {
    let network = Rc::new(RefCell::new(Network {
        now: 0,
        rng: Rng::from_seed(game.seed),
        most_delay: game.most_delay,
        under_way: vec![VecDeque::new(); usize::from(game.seats)],
    }));
    let player = |seat: Seat| {
        let mut builder = SessionBuilder::<Byte>::new()
            .with_num_players(usize::from(game.seats))
            .unwrap()
            .with_max_prediction_window(usize::from(game.window))
            .with_input_delay(usize::from(game.input_delay))
            // ggrs reads the clock; on a machine under load nobody shall be taken for gone.
            .with_disconnect_timeout(Duration::from_secs(3600))
            .with_disconnect_notify_delay(Duration::from_secs(3600));
        for number in 0..game.seats {
            let kind = if number == seat.number() { PlayerType::Local } else { PlayerType::Remote(number) };
            builder = builder.add_player(kind, usize::from(number)).unwrap();
        }
        let socket = Socket { seat: seat.number(), network: Rc::clone(&network) };
        let session = builder.start_p2p_session(socket).unwrap();
        Player { seat: seat.number(), session, toy: game.toy(), frame: 0, hashes: BTreeMap::new() }
    };
    let mut players: Vec<_> = Seat::all(game.seats).map(player).collect();
    // Frames that are confirmed are right only once ggrs has rolled back, at the next advance.
    let enough = FRAMES as i32 + i32::from(game.window);
    while !players.iter().all(|player| player.session.confirmed_frame() >= enough) {
        for player in &mut players {
            player.session.poll_remote_clients();
            if player.session.current_state() != SessionState::Running {
                continue;
            }
            let next = player.session.current_frame() as Frame + Frame::from(game.input_delay);
            player.session.add_local_input(usize::from(player.seat), game.input(player.seat, next)).unwrap();
            match player.session.advance_frame() {
                Ok(requests) => player.fulfil(game, requests),
                Err(GgrsError::PredictionThreshold) => {}
                Err(error) => panic!("{error}"),
            }
        }
        network.borrow_mut().now += 1;
    }
    let hashes = |player: Player| (0..FRAMES).map(|frame| player.hashes[&frame]).collect();
    players.into_iter().map(hashes).collect()
}

fn our_hashes(game: &Game) -> Vec<Vec<StateHash>> {
    let rng = &mut Rng::from_seed(game.seed);
    let config = |local| rollback::Config {
        seats: game.seats,
        local,
        input_size: 1,
        input_delay: game.input_delay,
        window: game.window,
        prediction: rollback::Prediction::RepeatLast,
        max_frames: 10 * FRAMES,
    };
    let mut players: Vec<_> = Seat::all(game.seats)
        .map(|seat| {
            let mut core = rollback::Rollback::new(config(seat)).unwrap();
            let mut toy = game.toy();
            core.begin_episode(&mut toy);
            (seat, core, toy, Vec::new())
        })
        .collect();
    let mut under_way: Vec<(u64, Seat, Seat, Frame, Vec<Input>)> = Vec::new();
    let mut now = 0;
    while players.iter().any(|(.., hashes)| hashes.len() < FRAMES as usize) {
        let (come, later): (Vec<_>, Vec<_>) = under_way.drain(..).partition(|&(arrival, ..)| arrival <= now);
        under_way = later;
        for (_, from, to, first, inputs) in come {
            let (_, core, ..) = &mut players[to.index()];
            assert_eq!(core.add_remote(from, first, inputs.into_iter()), Ok(()));
        }
        let known: Vec<Vec<Frame>> = players
            .iter()
            .map(|(_, core, ..)| (0..game.seats).map(|from| core.known_until(seat(from))).collect())
            .collect();
        for (seat, core, toy, hashes) in &mut players {
            let next = core.frame() + Frame::from(game.input_delay);
            let Ok(_) = core.advance(Input::new(&[game.input(seat.number(), next)]).unwrap(), toy);
            hashes.extend(core::iter::from_fn(|| core.poll_confirmed()).map(|told| told.hash));
            for to in Seat::all(game.seats).filter(|to| to != seat) {
                let first = known[to.index()][seat.index()];
                let inputs = core.inputs(*seat, first).collect();
                under_way.push((now + rng.below(game.most_delay + 1), *seat, to, first, inputs));
            }
        }
        now += 1;
    }
    players.into_iter().map(|(.., mut hashes)| hashes.drain(..FRAMES as usize).collect()).collect()
}

#[test]
fn ggrs_and_this_core_come_to_the_same_states() {
    for seed in 0..SCHEDULES {
        let game = Game::of(seed);
        let input = |seat, frame| Input::new(&[game.input(seat, frame)]).unwrap();
        let truths = serial::play(&mut game.toy(), game.seats, 1, FRAMES, input);
        let truths: Vec<_> = truths.iter().map(|truth| truth.hash).collect();
        for (theirs, ours) in ggrs_hashes(&game).iter().zip(&our_hashes(&game)) {
            assert_eq!(ours, &truths, "schedule {seed}");
            assert_eq!(theirs, &truths, "schedule {seed}: ggrs");
        }
    }
}
