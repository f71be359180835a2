//! `kill -9` of the server at random moments, while both seats of a game upload: what was acknowledged is there,
//! once, as it was sent, and the seats go on with the server's next process (D1).
//!
//! Real processes, real sockets, a real disk. The moments come from a seed, but not what the processes do until
//! then, so a failure names the round for the log and not for a replay. INTERPLAY_KILLS sets how many.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::time::Duration;

use base::{Frame, GameId, Rng, Seat, SeatSet, StateHash, derive_seed};
use store::{Location, Reader};
use wire::batch::{BatchAcknowledgement, FrameRecord, RecordBatch};

use crate::postgres_server::PostgresServer;
use crate::support::{Page, Server};

/// How often the server is killed when nothing else is said.
const KILLS: u64 = 10;

/// The longest that uploads go on before a kill, in milliseconds: several dozens of commits.
const LATEST_KILL_MILLIS: u64 = 250;

/// How many frames each seat uploads to the next process: a few batches.
const FRAMES_AFTER: Frame = 200;

#[test]
fn what_was_acknowledged_survives_kill_9_and_the_seats_go_on() {
    let data = tempfile::tempdir().unwrap();
    survives(&|| Server::start(data.path()), &data.path().into());
}

#[test]
fn what_was_acknowledged_survives_kill_9_and_the_seats_go_on_with_postgres() {
    let data = tempfile::tempdir().unwrap();
    let database = PostgresServer::shared().database();
    let location = Location::Postgres(database.parse().unwrap());
    survives(&|| Server::start_with(data.path(), &["--database", &database]), &location);
}

fn survives(serve: &dyn Fn() -> Server, data: &Location) {
    let kills = std::env::var("INTERPLAY_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let mut rng = Rng::from_seed(9);
    let mut server = serve();
    let mut acknowledged_in_all = 0;
    for round in 0..kills {
        let mut seats = form_a_game(&server, data);
        let moment = Duration::from_millis(rng.below(LATEST_KILL_MILLIS));
        let address = server.address.clone();
        let together = Barrier::new(seats.len() + 1);
        std::thread::scope(|scope| {
            for seat in &mut seats {
                let mut rng = Rng::from_seed(rng.next_u64());
                let (server, together) = (&address, &together);
                scope.spawn(move || {
                    together.wait();
                    while seat.upload(server, &mut rng) {}
                });
            }
            together.wait();
            std::thread::sleep(moment);
            server.kill();
        });
        let acknowledged: Frame = seats.iter().map(|seat| seat.acknowledged).sum();
        acknowledged_in_all += acknowledged;
        println!("round {round}: killed after {moment:?}, {acknowledged} frames acknowledged");

        server = serve();
        check(data, &seats);
        for seat in &mut seats {
            let goal = seat.acknowledged + FRAMES_AFTER;
            while seat.acknowledged < goal {
                assert!(seat.upload(&server.address, &mut rng), "the next process refuses a seat's record");
            }
        }
        check(data, &seats);
    }
    assert!(acknowledged_in_all > 0, "no round got as far as an acknowledgement");
    server.kill();
}

/// Every acknowledged frame of these seats is in the store, once, as it was sent; what was not is there as it was
/// sent or not at all.
fn check(data: &Location, seats: &[Uploader]) {
    let mut rows = BTreeMap::new();
    for row in Reader::open(data).unwrap().frames(seats[0].game).unwrap() {
        let sent = seats[row.reporter.index()].frame(row.frame);
        assert_eq!((&row.inputs, row.hash), (&sent.inputs, sent.hash), "frame {}", row.frame);
        let before = rows.insert((row.reporter, row.frame), row.version);
        assert_eq!(before, None, "frame {} of seat {} is there twice", row.frame, row.reporter);
    }
    for seat in seats {
        let lost = (0..seat.acknowledged).find(|&frame| !rows.contains_key(&(seat.seat, frame)));
        assert_eq!(
            lost, None,
            "seat {} was told that all before {} is durable",
            seat.seat, seat.acknowledged
        );
    }
}

/// Two people come, and are matched.
fn form_a_game(server: &Server, data: &Location) -> Vec<Uploader> {
    let tokens = [server.visit(), server.visit()];
    let mut pages = tokens.each_ref().map(|token| Page::open(server, token));
    for page in &mut pages {
        page.enter_lobby();
    }
    let starts = pages.each_mut().map(Page::game_start);
    let games = Reader::open(data).unwrap().games().unwrap();
    let input_size = games.iter().find(|game| game.game.game == starts[0].game_id).unwrap().game.input_size;
    let mut seats: Vec<_> = starts
        .into_iter()
        .zip(tokens)
        .map(|(start, token)| Uploader {
            game: start.game_id,
            seat: start.seat,
            token,
            input_size,
            acknowledged: 0,
        })
        .collect();
    seats.sort_by_key(|seat| seat.seat);
    assert!(seats.windows(2).all(|pair| pair[0].game == pair[1].game), "both are in one game");
    seats
}

/// A seat's page, as far as its record is concerned.
struct Uploader {
    game: GameId,
    seat: Seat,
    token: String,
    input_size: usize,
    /// Every frame before this one is durable, as the server has said.
    acknowledged: Frame,
}

impl Uploader {
    /// Sends a batch that goes on from what is acknowledged, and some of what is; false when nobody answers.
    fn upload(&mut self, address: &str, rng: &mut Rng) -> bool {
        let first = self.acknowledged.saturating_sub(rng.below(5) as Frame);
        let end = self.acknowledged + 1 + rng.below(60) as Frame;
        let batch = RecordBatch {
            incarnation: 0,
            incarnations: vec![0, 0],
            first,
            frames: (first..end).map(|number| self.frame(number)).collect(),
            events: vec![],
        };
        let url = format!("http://{address}/api/v1/games/{}/records", self.game);
        let sent = ureq::post(&url)
            .header("Authorization", &format!("Bearer {}", self.token))
            .send(&batch.encode().unwrap()[..]);
        let answer = match sent {
            Ok(mut answer) => answer.body_mut().read_json::<BatchAcknowledgement>(),
            Err(ureq::Error::StatusCode(status)) => panic!("the server refuses a batch with {status}"),
            Err(error) => Err(error),
        };
        let Ok(answer) = answer else { return false };
        assert!(answer.durable_frame >= end, "frames before {} of {end} are durable", answer.durable_frame);
        self.acknowledged = answer.durable_frame;
        true
    }

    fn frame(&self, number: Frame) -> FrameRecord {
        let salt = derive_seed(u64::from(self.seat.number()), u64::from(number));
        FrameRecord {
            inputs: salt.to_le_bytes().into_iter().cycle().take(2 * self.input_size).collect(),
            filled: SeatSet::EMPTY,
            hash: StateHash(salt),
            simulated_millis: number * 33,
            shown_millis: None,
            predicted: SeatSet::EMPTY,
            rollback_depth: 0,
        }
    }
}
