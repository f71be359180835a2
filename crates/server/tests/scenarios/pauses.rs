//! Games that stand still and go on: a page that is loaded anew, a partner who is lost, a server that is killed
//! (P1–P8, N5). The pages are scripted; what they hold of each other's inputs is made up here.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use base::{Frame, GameId, Seat, SeatSet, StateHash};
use store::{Location, Reader};
use tempfile::TempDir;
use wire::batch::{BatchAcknowledgement, FrameRecord, RecordBatch};
use wire::control::{
    ClientMessage, Cut, GameStart, Hex, PauseNotice, PauseReason, SceneKind, ServerMessage,
    TerminationReason, VisitEnding,
};
use wire::form::Answers;
use wire::lane::Cause;

use crate::postgres_server::PostgresServer;
use crate::support::{Page, Server, has_the_stage, interplay};

/// Two players' game, and what the folder of it is.
struct World {
    folder: TempDir,
    server: Server,
    /// Another node, and the database of both.
    other: Option<(Server, String)>,
    /// In the order of their seats.
    players: [Player; 2],
    game: GameId,
}

struct Player {
    token: String,
    page: Page,
}

const EXPERIMENT: &str = r#"
id = "mine"
title = "Mine"

[[scene]]
kind = "start"
id = "welcome"

[[scene]]
kind = "game"
id = "play"
environment = "tag.wasm"
players = 2
max_frames = 400
seed = 7
recovery = { RECOVERY }
keys = { ArrowLeft = "left" }

[[scene]]
kind = "end"
id = "thanks"
"#;

fn serve(folder: &Path) -> Server {
    Server::start_as(&["run", folder.to_str().unwrap()], &folder.join("data"))
}

/// One of several nodes, each with a folder of its own.
fn serve_as_node(folder: &Path, database: &str) -> Server {
    let data = tempfile::tempdir_in(folder).unwrap().keep();
    let server =
        Server::start_node(database, &data, &["run", folder.to_str().unwrap(), "--turn-ports", "off"]);
    while server.get("/readyz").0 != 200 {
        std::thread::sleep(Duration::from_millis(20));
    }
    server
}

fn seat(number: u8) -> Seat {
    Seat::new(number).unwrap()
}

/// Every input is told from every other of its seat.
fn input(seat: u8, frame: Frame) -> u8 {
    (frame as u8 % 8) | seat << 3
}

fn inputs(seat: u8, frames: core::ops::Range<Frame>) -> Vec<u8> {
    frames.map(|frame| input(seat, frame)).collect()
}

fn pause_of(message: ServerMessage) -> Option<PauseNotice> {
    if let ServerMessage::P2pPause(notice) = message { Some(notice) } else { None }
}

fn cut_of(message: ServerMessage) -> Option<Cut> {
    if let ServerMessage::P2pCut(cut) = message { Some(cut) } else { None }
}

fn start_of(message: ServerMessage) -> Option<GameStart> {
    if let ServerMessage::GameStart(start) = message { Some(*start) } else { None }
}

#[expect(clippy::needless_pass_by_value, reason = "all of these are used alike")]
fn go_of(message: ServerMessage) -> Option<GameId> {
    if let ServerMessage::GameGo { game_id } = message { Some(game_id) } else { None }
}

#[expect(clippy::needless_pass_by_value, reason = "all of these are used alike")]
fn resume_of(message: ServerMessage) -> Option<(u32, Frame, u32)> {
    match message {
        ServerMessage::P2pResume { pause_id, frame, countdown_ms, .. } => {
            Some((pause_id, frame, countdown_ms))
        }
        _ => None,
    }
}

/// How a game has ended early, once the page is told to send what it has.
#[expect(clippy::needless_pass_by_value, reason = "all of these are used alike")]
fn over_of(message: ServerMessage) -> Option<TerminationReason> {
    match message {
        ServerMessage::TriggerDataExport { termination_reason, is_partial: true, .. } => {
            Some(termination_reason)
        }
        _ => None,
    }
}

fn end_of(message: ServerMessage) -> Option<VisitEnding> {
    match message {
        ServerMessage::ActivateScene { scene } => match scene.kind {
            SceneKind::End { reason, .. } => Some(reason),
            _ => None,
        },
        _ => None,
    }
}

impl World {
    /// Two people have come, and everyone is ready.
    fn playing(recovery: &str) -> Self {
        Self::playing_on(recovery, None)
    }

    /// The same on two nodes that share a database, each of the people over one of them.
    fn playing_on_nodes(recovery: &str) -> Self {
        Self::playing_on(recovery, Some(PostgresServer::shared().database()))
    }

    fn playing_on(recovery: &str, database: Option<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("experiment.toml"), EXPERIMENT.replace("RECOVERY", recovery)).unwrap();
        let tag = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/environments/tag.wasm");
        fs::copy(tag, folder.path().join("tag.wasm")).unwrap();
        let (server, other) = match database {
            None => (serve(folder.path()), None),
            Some(database) => {
                let server = serve_as_node(folder.path(), &database);
                let other = serve_as_node(folder.path(), &database);
                (server, Some((other, database)))
            }
        };
        let mut players = [&server, other.as_ref().map_or(&server, |(other, _)| other)].map(|server| {
            let token = server.visit();
            let page = Page::open(server, &token);
            Player { token, page }
        });
        for player in &mut players {
            player.page.enter_lobby();
        }
        let seats = players.each_mut().map(|player| player.page.game_start());
        let game = seats[0].game_id;
        if seats[0].seat == seat(1) {
            players.swap(0, 1);
        }
        let mut world = Self { folder, server, other, players, game };
        for at in 0..2 {
            world.say(at, &ClientMessage::GameReady { game_id: game });
        }
        for player in &mut world.players {
            player.page.hear_until(go_of);
        }
        world
    }

    fn say(&mut self, at: usize, message: &ClientMessage) {
        self.players[at].page.say(message);
    }

    fn hear<T>(&mut self, wanted: impl Fn(ServerMessage) -> Option<T> + Copy) -> [T; 2] {
        self.players.each_mut().map(|player| player.page.hear_until(wanted))
    }

    /// Sends a part of a seat's record; the answer is the first frame that is not durable.
    fn upload(&self, at: u8, whose: u8, frames: core::ops::Range<Frame>) -> Frame {
        let record = |frame: Frame| FrameRecord {
            inputs: vec![input(0, frame), input(1, frame)],
            filled: SeatSet::EMPTY,
            hash: StateHash(frame.into()),
            simulated_millis: 0,
            shown_millis: None,
            predicted: SeatSet::EMPTY,
            rollback_depth: 0,
        };
        let first = frames.start;
        let frames = frames.map(record).collect();
        // Only the first seat's page is ever loaded anew here.
        let (incarnation, incarnations) = (if at == 0 { whose } else { 0 }, vec![whose, 0]);
        let batch = RecordBatch { incarnation, incarnations, first, frames, events: vec![] };
        let answer =
            ureq::post(&format!("http://{}/api/v1/games/{}/records", self.server.address, self.game))
                .header("Authorization", &format!("Bearer {}", self.players[usize::from(at)].token))
                .send(&batch.encode().unwrap()[..]);
        answer.unwrap().body_mut().read_json::<BatchAcknowledgement>().unwrap().durable_frame
    }

    /// What a page that has lost its memory asks for: status, how long it may be kept, and the bytes.
    fn inputs(&self, token: &str, query: &str) -> (u16, String, Vec<u8>) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let url = format!("http://{}/api/v1/games/{}/inputs{query}", self.server.address, self.game);
        let mut answer = agent.get(url).header("Authorization", &format!("Bearer {token}")).call().unwrap();
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let kept = header("cache-control").or(header("content-type")).unwrap_or_default();
        (answer.status().as_u16(), kept, answer.body_mut().read_to_vec().unwrap())
    }

    /// Gives a state, or asks for one when there is none to give: status and bytes.
    fn state(&self, token: &str, given: Option<&[u8]>) -> (u16, Vec<u8>) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let url = format!("http://{}/api/v1/games/{}/state", self.server.address, self.game);
        let bearer = format!("Bearer {token}");
        let answer = match given {
            Some(state) => agent.post(url).header("Authorization", &bearer).send(state),
            None => agent.get(url).header("Authorization", &bearer).call(),
        };
        let mut answer = answer.unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_vec().unwrap())
    }

    /// A seat has confirmed all before `confirmed`, and holds more: its own up to 3 frames further.
    fn report(&mut self, at: u8, (pause_id, round): (u32, u32), confirmed: Frame) {
        let first = confirmed - 32;
        let of = |seat: u8| Hex(inputs(seat, first..confirmed + if seat == at { 3 } else { 0 }));
        let inputs = vec![of(0), of(1)];
        let game_id = self.game;
        let report = ClientMessage::P2pPauseReport {
            game_id,
            pause_id,
            round,
            confirmed_frame: confirmed,
            first,
            inputs,
        };
        self.say(at.into(), &report);
    }

    fn succeed(&mut self, (pause_id, round): (u32, u32), confirmed_frame: Frame) {
        let (game_id, hash) = (self.game, StateHash(99));
        for at in 0..2 {
            let success =
                ClientMessage::P2pReconnectionSuccess { game_id, pause_id, round, confirmed_frame, hash };
            self.say(at, &success);
        }
    }

    /// A seat has lost its peer.
    fn lose(&mut self, at: usize, frame: Frame, pause_id: u32) {
        let lost = ClientMessage::P2pConnectionLost {
            game_id: self.game,
            frame,
            lost_peer: seat(1 - at as u8),
            ice_state: "failed".into(),
            dc_state: "closed".into(),
            cause: Cause::Silence,
            timestamp: 0.0,
            pause_id,
        };
        self.say(at, &lost);
    }

    /// The server is killed; the next one's pages are the same as before, and have all in mind. Where there are two nodes, pages
    /// come over the one that is left, and another takes the place of the one that was killed.
    fn restart(&mut self) {
        self.server.kill();
        match &mut self.other {
            None => self.server = serve(self.folder.path()),
            Some((other, database)) => {
                let next = serve_as_node(self.folder.path(), database);
                self.server = std::mem::replace(other, next);
                // Either may have taken the stage; the one that has it is the next to be killed.
                while !has_the_stage(&self.server) {
                    if has_the_stage(other) {
                        std::mem::swap(&mut self.server, other);
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        }
        for player in &mut self.players {
            player.page = Page::open(&self.server, &player.token);
        }
    }

    /// Everyone has played to the end.
    fn finish(&mut self, frames: Frame) {
        let finished = ClientMessage::GameFinished { game_id: self.game, frames, hash: StateHash(1) };
        for at in 0..2 {
            self.say(at, &finished);
        }
        assert_eq!(self.hear(end_of), [VisitEnding::Completed; 2]);
    }

    /// A table of an export, each row by its columns' names; for tables without quotes.
    fn exported(&self, table: &str) -> Vec<Row> {
        let (data, out) = (self.folder.path().join("data"), self.folder.path().join("tables"));
        let mut export = interplay(&["export", "--out"]);
        match &self.other {
            None => export.arg(&out).arg("--data").arg(data),
            Some((_, database)) => export.arg(&out).args(["--database", database]),
        };
        let done = export.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let text = fs::read_to_string(out.join(format!("{table}.csv"))).unwrap();
        let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
        let columns = lines.next().unwrap();
        lines.map(|cells| Row(columns.iter().cloned().zip(cells).collect())).collect()
    }

    fn kinds(&self) -> Vec<String> {
        let location = match &self.other {
            None => Location::Folder(self.folder.path().join("data")),
            Some((_, database)) => Location::Postgres(database.parse().unwrap()),
        };
        let reader = Reader::open(location).unwrap();
        reader.server_events(self.game).unwrap().into_iter().map(|event| event.kind).collect()
    }
}

struct Row(std::collections::BTreeMap<String, String>);

impl Row {
    fn get<const N: usize>(&self, columns: [&str; N]) -> [&str; N] {
        columns.map(|column| self.0[column].as_str())
    }
}

#[test]
fn a_page_that_is_loaded_in_mid_game_comes_back_to_the_same_frame() {
    let mut world = World::playing("countdown_s = 1");
    for at in 0..2 {
        assert_eq!(world.upload(at, 0, 0..100), 100);
    }
    world.players[0].page = Page::load(&world.server, &world.players[0].token, 2);
    let start = world.players[0].page.hear_until(start_of);
    assert_eq!((start.game_id, start.incarnations), (world.game, vec![1, 0]));
    for notice in world.hear(pause_of) {
        assert_eq!((notice.pause_id, notice.reason), (1, PauseReason::Reload));
        assert_eq!(
            (notice.missing, notice.playing, notice.incarnations),
            (SeatSet(1), SeatSet(3), vec![1, 0])
        );
        assert!((25_000..=30_000).contains(&notice.remaining_ms), "{}", notice.remaining_ms);
    }
    let round = (1, 2);
    world.report(1, (1, 1), 90);
    world.report(1, round, 103);
    for cut in world.hear(cut_of) {
        assert_eq!((cut.pause_id, cut.round, cut.first, cut.rebuild), (1, 2, 71, SeatSet(1)));
        let ends: Vec<_> = cut.seats.iter().map(|seat| (seat.incarnation, seat.cut_frame)).collect();
        assert_eq!(ends, [(1, 103), (0, 106)], "what seat 0 has pressed since is lost with its page");
        assert_eq!(
            (&cut.seats[0].inputs.0, &cut.seats[1].inputs.0),
            (&inputs(0, 71..103), &inputs(1, 71..106))
        );
    }
    // Told is what is written down: the old page's later words are void, whenever they come.
    assert_eq!(world.upload(0, 0, 100..110), 110);
    let (status, kept, bytes) = world.inputs(&world.players[0].token, "?from=0");
    assert_eq!((status, kept.as_str()), (200, "no-store"));
    let expected: Vec<_> = (0..103).flat_map(|frame| [input(0, frame), input(1, frame)]).collect();
    assert_eq!(bytes, expected);
    world.succeed(round, 103);
    assert_eq!(world.hear(resume_of), [(1, 103, 1000); 2]);
    assert_eq!(world.upload(0, 1, 103..120), 120);
    assert_eq!(world.upload(1, 0, 100..103), 103);
    assert_eq!(world.upload(1, 1, 103..120), 120);
    world.finish(120);

    assert_eq!(world.kinds(), ["reload", "p2p_pause", "p2p_resume"]);
    let sessions = world.exported("sessions");
    let columns = ["frames_void", "conflicts", "reloads", "pauses", "termination_reason", "frames_reported"];
    assert_eq!(sessions[0].get(columns), ["7", "0", "1", "1", "normal", "120"]);
    assert_eq!(sessions[1].get(columns), ["0", "0", "0", "1", "normal", "120"]);
    let steps = world.exported("steps");
    let agent = |agent: &str| -> Vec<[String; 2]> {
        let own = steps.iter().filter(|row| row.get(["agent"]) == [agent]);
        own.map(|row| row.get(["action", "incarnation"]).map(str::to_owned)).collect()
    };
    let expected = |agent: u8| -> Vec<[String; 2]> {
        let page = |frame| if agent == 0 && frame >= 103 { "1" } else { "0" };
        (0..120).map(|frame| [format!("{:02x}", input(agent, frame)), page(frame).to_owned()]).collect()
    };
    assert_eq!((agent("0"), agent("1")), (expected(0), expected(1)));
    let gaps = world.exported("gaps");
    let columns = ["kind", "pause_id", "reason", "cause", "seats", "last_frame", "outcome", "rebuilt"];
    assert_eq!(gaps.len(), 1);
    assert_eq!(gaps[0].get(columns), ["pause", "1", "reload", "tab", "0", "103", "resumed", "0"]);
}

#[test]
fn a_state_goes_from_one_page_to_another_and_to_nobody_else() {
    let world = World::playing("countdown_s = 1");
    let [one, two] = [0, 1].map(|at| world.players[at].token.as_str());
    let stranger = world.server.visit();
    assert_eq!(world.state(two, None), (204, vec![]), "nobody has given one");
    let state = vec![7; 3_000_000];
    assert_eq!(world.state(one, Some(&state)).0, 204);
    assert_eq!(world.state(two, None), (200, state));
    assert_eq!(world.state(&stranger, None).0, 404);
    assert_eq!(world.state(&stranger, Some(b"x")).0, 404);
    assert_eq!(world.state("forged", None).0, 401);
    assert_eq!(world.state(one, Some(&vec![1; 18 * 1024 * 1024])).0, 413);
}

#[test]
fn a_game_outlives_a_server_that_is_killed_in_the_middle_of_it_and_in_the_middle_of_a_pause() {
    is_killed_again_and_again(World::playing("reconnect_timeout_s = 2, countdown_s = 0"));
}

#[test]
fn a_game_outlives_the_nodes_that_are_killed_in_the_middle_of_it_and_in_the_middle_of_a_pause() {
    is_killed_again_and_again(World::playing_on_nodes("reconnect_timeout_s = 2, countdown_s = 0"));
}

fn is_killed_again_and_again(mut world: World) {
    world.restart();
    for start in world.hear(start_of) {
        assert_eq!((start.game_id, start.incarnations), (world.game, vec![0, 0]));
    }
    assert_eq!(world.hear(go_of), [world.game; 2]);

    world.lose(0, 50, 0);
    for notice in world.hear(pause_of) {
        assert_eq!((notice.pause_id, notice.round, notice.missing), (1, 1, SeatSet(2)));
        assert!(notice.remaining_ms <= 2000, "{}", notice.remaining_ms);
    }
    world.restart();
    assert_eq!(world.hear(go_of), [world.game; 2]);
    for notice in world.hear(pause_of) {
        assert_eq!((notice.pause_id, notice.round), (1, 1));
        assert!((8_000..=10_000).contains(&notice.remaining_ms), "{}", notice.remaining_ms);
    }
    for at in 0..2 {
        world.report(at, (1, 1), 50);
    }
    let cuts = world.hear(cut_of);
    assert_eq!(cuts[0].seats.iter().map(|seat| seat.cut_frame).collect::<Vec<_>>(), [53, 53]);

    // What was decided before a kill is decided.
    world.restart();
    assert_eq!(world.hear(cut_of), cuts);
    world.succeed((1, 1), 53);
    assert_eq!(world.hear(resume_of), [(1, 53, 0); 2]);

    world.restart();
    assert_eq!(world.hear(resume_of), [(1, 53, 0); 2], "who comes back is told that it goes on");
    // A report from before the pause is late.
    world.lose(1, 40, 0);
    world.finish(60);
    let kinds = world.kinds();
    assert_eq!(kinds.iter().filter(|kind| *kind == "server_restarted").count(), 4, "{kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| *kind == "p2p_pause").count(), 1, "{kinds:?}");
    let gaps = world.exported("gaps");
    assert_eq!(gaps[0].get(["kind", "cause", "outcome"]), ["pause", "server", "resumed"]);

    // It is over for the next server too.
    world.restart();
    assert_eq!(world.hear(end_of), [VisitEnding::Completed; 2]);
}

#[test]
fn who_reloads_after_the_server_was_killed_is_known_to_have() {
    let mut world = World::playing("countdown_s = 0");
    world.server.kill();
    world.server = serve(world.folder.path());
    for (player, page) in world.players.iter_mut().zip([1, 2]) {
        player.page = Page::load(&world.server, &player.token, page);
    }
    for notice in world.hear(pause_of) {
        assert_eq!(
            (notice.reason, notice.missing, notice.incarnations),
            (PauseReason::Reload, SeatSet(2), vec![0, 1])
        );
    }
}

#[test]
fn a_deadline_that_passes_ends_the_game_once_for_everyone() {
    let mut world = World::playing("reconnect_timeout_s = 1");
    // The one is gone from the server too.
    let gone = world.players[1].token.clone();
    world.players[1].page = Page::connect(&world.server);
    let began = Instant::now();
    world.lose(0, 70, 0);
    let notice = world.players[0].page.hear_until(pause_of);
    assert_eq!((notice.missing, notice.pause_frame), (SeatSet(2), 70));
    let mut ended = Vec::new();
    let page = &mut world.players[0].page;
    let reason = loop {
        match page.hear().unwrap() {
            ServerMessage::P2pGameEnded { reason, missing, .. } => ended.push((reason, missing)),
            message => {
                if let Some(reason) = over_of(message) {
                    break reason;
                }
            }
        }
    };
    let waited = began.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(5)).contains(&waited), "{waited:?}");
    assert_eq!((reason, ended), (TerminationReason::ReconnectTimeout, vec![(reason, SeatSet(2))]));
    let on = ClientMessage::AdvanceScene { scene_id: "play".into(), answers: Answers::new() };
    page.say(&on);
    assert_eq!(page.hear_until(end_of), VisitEnding::ReconnectTimeout);
    let mut late = Page::open(&world.server, &gone);
    assert_eq!(late.hear_until(over_of), TerminationReason::ReconnectTimeout);
    let sessions = world.exported("sessions");
    let columns = ["is_partial", "termination_reason", "terminated_at_frame", "disconnections"];
    assert_eq!(sessions[0].get(columns), ["true", "reconnect_timeout", "70", "0"]);
    assert_eq!(sessions[1].get(columns), ["true", "reconnect_timeout", "70", "1"]);
    let gaps = world.exported("gaps");
    assert_eq!(gaps[0].get(["kind", "cause", "seats", "outcome"]), ["pause", "network", "1", "ended"]);

    // A kill after the end brings nothing back.
    world.server.kill();
    world.server = serve(world.folder.path());
    let mut later = Page::open(&world.server, &gone);
    assert_eq!(later.hear_until(over_of), TerminationReason::ReconnectTimeout);
    later.say(&on);
    assert_eq!(later.hear_until(end_of), VisitEnding::ReconnectTimeout);
    assert!(world.server.get("/metrics").1.contains("interplay_games 0"));
}

#[test]
fn a_server_that_is_stopped_leaves_its_games_to_the_next() {
    let mut world = World::playing("countdown_s = 0");
    assert_eq!(world.server.terminate().code(), Some(0));
    world.server = serve(world.folder.path());
    for player in &mut world.players {
        player.page = Page::open(&world.server, &player.token);
    }
    assert_eq!(world.hear(go_of), [world.game; 2]);
    world.finish(10);
}

#[test]
fn a_game_that_cannot_go_on_is_over_and_its_people_are_not_stranded() {
    let mut world = World::playing("countdown_s = 0");
    world.server.kill();
    let path = world.folder.path().join("experiment.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("id = \"mine\"", "id = \"another\"")).unwrap();
    world.server = serve(world.folder.path());
    for player in &mut world.players {
        player.page = Page::open(&world.server, &player.token);
    }
    assert_eq!(world.hear(over_of), [TerminationReason::Server; 2]);
}

/// Another process keeps the database for itself, for longer than the server waits; a full disk looks the same.
#[test]
fn what_cannot_be_written_down_is_not_told_until_it_can() {
    let mut world = World::playing("reconnect_timeout_s = 300");
    let database = world.folder.path().join("data").join(store::DATABASE);
    let other = rusqlite::Connection::open(database).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    world.lose(0, 50, 0);
    for player in &mut world.players {
        let told = player.page.last_words();
        assert!(
            told.into_iter().all(|message| pause_of(message).is_none()),
            "told before it was written down"
        );
    }
    other.execute_batch("ROLLBACK").unwrap();
    for player in &mut world.players {
        player.page = Page::open(&world.server, &player.token);
    }
    assert_eq!(world.hear(pause_of).map(|notice| notice.pause_id), [1, 1]);
    world.restart();
    assert_eq!(world.hear(pause_of).map(|notice| notice.pause_id), [1, 1]);
    assert_eq!(world.kinds(), ["p2p_connection_lost", "p2p_pause", "server_restarted"]);
}

#[test]
fn inputs_are_for_those_who_play() {
    let world = World::playing("countdown_s = 0");
    world.upload(1, 0, 0..30);
    let own = &world.players[0].token;
    let status = |token: &str, query: &str| world.inputs(token, query).0;
    assert_eq!((status("", ""), status("nonsense", ""), status(&world.server.visit(), "")), (401, 401, 404));
    assert_eq!(world.inputs(own, "?from=28").2, [input(0, 28), input(1, 28), input(0, 29), input(1, 29)]);
    assert_eq!((world.inputs(own, "").2.len(), world.inputs(own, "?from=30").2.len()), (60, 0));
    assert_eq!(world.inputs(own, &format!("?from={}", u32::MAX)).2.len(), 0);
    for nonsense in ["?from=", "?from=-1", "?from=1.5", "?from=x", "?from=4294967296", "?frm=1"] {
        let (status, kind, _) = world.inputs(own, nonsense);
        assert_eq!((status, kind.as_str()), (400, "application/problem+json"), "{nonsense}");
    }
}
