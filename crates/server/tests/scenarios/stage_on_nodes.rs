//! One experiment on several nodes (C1, C2): whichever node somebody comes over, there is one stage; and what happens to those who
//! are there when the node that runs it is killed, stopped, hangs, or loses its database.

use std::path::Path;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use base::GameId;
use store::{Location, Reader};
use tempfile::TempDir;
use wire::control::{ClientMessage, GameStart, ServerMessage, TerminationReason};

use crate::postgres_server::{PostgresServer, Syncs};
use crate::support::{NODES_API_KEY, NODES_SECRET, Page, Server, ended, free_port, has_the_stage, interplay};

/// Longer than anything takes that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often something is looked at that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

struct World {
    folder: TempDir,
    database: String,
}

impl World {
    fn on(database: String) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), database }
    }

    fn new() -> Self {
        Self::on(PostgresServer::shared().database())
    }

    fn node(&self, name: &str, arguments: &[&str]) -> Server {
        let arguments = [&["--turn-ports", "off"], arguments].concat();
        self.node_with_turn(name, &arguments)
    }

    fn node_with_turn(&self, name: &str, arguments: &[&str]) -> Server {
        let server = Server::start_node(&self.database, &self.folder.path().join(name), arguments);
        until("a node is ready", || server.get("/readyz").0 == 200);
        server
    }

    fn read<T>(&self, read: impl FnOnce(&Reader) -> T) -> T {
        read(&Reader::open(Location::Postgres(self.database.parse().unwrap())).unwrap())
    }

    /// Writes the tables, and gives the rows of one of them.
    fn exported(&self, table: &str) -> Vec<std::collections::BTreeMap<String, String>> {
        let out = self.folder.path().join("tables");
        let (code, said) = ended(interplay(&["export", "--database", &self.database, "--out"]).arg(&out));
        assert_eq!(code, Some(0), "{said}");
        let text = std::fs::read_to_string(out.join(format!("{table}.csv"))).unwrap();
        let mut lines = text.lines();
        let names: Vec<_> = lines.next().unwrap().split(',').map(str::to_owned).collect();
        lines.map(|line| names.iter().cloned().zip(line.split(',').map(str::to_owned)).collect()).collect()
    }
}

/// Waits for something, and says how long that took.
fn until(what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "waiting until {what}");
        std::thread::sleep(LOOK_EVERY);
    }
    begun.elapsed()
}

/// Whether somebody who comes over this node now is let in.
fn lets_in(server: &Server) -> bool {
    let url = format!("http://{}/api/v1/visits", server.address);
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(20)))
        .build()
        .into();
    let answer = agent.post(&url).send_json(serde_json::json!({ "entry": {} }));
    answer.is_ok_and(|answer| answer.status() == 201)
}

/// Two people, each over a node of their own, who are in a game together.
fn two_play(nodes: [&Server; 2]) -> ([String; 2], [Page; 2], [GameStart; 2]) {
    let tokens = nodes.map(Server::visit);
    let mut pages = [0, 1].map(|at| Page::open(nodes[at], &tokens[at]));
    for page in &mut pages {
        page.enter_lobby();
    }
    let starts = pages.each_mut().map(Page::game_start);
    assert_eq!(starts[0].game_id, starts[1].game_id, "there is one lobby");
    (tokens, pages, starts)
}

#[test]
fn whichever_node_somebody_comes_over_there_is_one_stage() {
    let world = World::new();
    let nodes = [world.node("a", &[]), world.node("b", &[])];
    assert_eq!(nodes.each_ref().map(has_the_stage), [true, false]);
    let (tokens, mut pages, starts) = two_play(nodes.each_ref());
    // What one says over its node the other hears over its own.
    for (page, start) in pages.iter_mut().zip(&starts) {
        page.say(&ClientMessage::GameReady { game_id: start.game_id });
    }
    for page in &mut pages {
        page.hear_until(|message| matches!(message, ServerMessage::GameGo { .. }).then_some(()));
    }
    let game = starts[0].game_id;
    for (node, token) in nodes.iter().zip(&tokens) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let url = format!("http://{}/api/v1/games/{game}/inputs", node.address);
        let ask =
            |token: &str| agent.get(&url).header("Authorization", format!("Bearer {token}")).call().unwrap();
        assert_eq!((ask(token).status().as_u16(), ask("x").status().as_u16()), (200, 401));
        // A body of any length gets there, and the answer comes back whole.
        let url = format!("http://{}/api/v1/games/{game}/state", node.address);
        let state = vec![7; 3_000_000];
        let given = agent.post(&url).header("Authorization", format!("Bearer {token}")).send(&state[..]);
        assert_eq!(given.unwrap().status().as_u16(), 204);
        let mut taken = agent.get(&url).header("Authorization", format!("Bearer {token}")).call().unwrap();
        assert_eq!(taken.body_mut().with_config().limit(4_000_000).read_to_vec().unwrap(), state);
        let forget = |key: &str| {
            let request = agent.post(format!("http://{}/api/v1/forget", node.address));
            let request = request.header("Authorization", format!("Bearer {key}"));
            request.send_json(serde_json::json!({ "id": "nobody" })).unwrap().status().as_u16()
        };
        assert_eq!((forget(NODES_API_KEY), forget("wrong")), (200, 401));
        assert_eq!(node.get("/api/v1/nothing").0, 404);
        assert_eq!(node.get("/nothing").0, 404);
        assert!(node.get("/").1.contains("<html") && node.get("/page/interplay.js").0 == 200);
        assert!(node.get("/api/v1/openapi.json").1.contains("/api/v1/games/{game}/records"));
        let own = format!("interplay_node_info{{node=\"{}\"}} 1", node.address);
        assert!(node.get("/metrics").1.contains(&own));
    }
}

#[test]
fn an_address_has_as_many_sockets_as_it_may_over_all_nodes_together() {
    let world = World::new();
    let few = ["--connections-per-address", "2"];
    let nodes = [world.node("a", &few), world.node("b", &few)];
    let tokens: Vec<_> = (0..2).map(|_| nodes[1].visit()).collect();
    let mut pages: Vec<_> = tokens.iter().map(|token| Page::open(&nodes[1], token)).collect();
    for page in &mut pages {
        page.enter_lobby();
    }
    for node in &nodes {
        let refused = tokio_tungstenite::tungstenite::connect(format!("ws://{}/ws", node.address));
        assert!(refused.unwrap_err().to_string().contains("429"));
    }
}

#[test]
fn nobody_is_sent_round_and_nobody_else_is_taken_for_a_node() {
    let world = World::new();
    let nodes = [world.node("a", &[]), world.node("b", &[])];
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let with = |token: &str| {
        let url = format!("http://{}/api/v1/visits", nodes[1].address);
        let request = agent.post(&url).header("x-interplay-node", token);
        let answer = request.send_json(serde_json::json!({ "entry": {} })).unwrap();
        (answer.status().as_u16(), answer.headers().contains_key("retry-after"))
    };
    let key = jsonwebtoken::EncodingKey::from_secret(NODES_SECRET.as_bytes());
    let token = jsonwebtoken::crypto::sign(b"interplay node", &key, jsonwebtoken::Algorithm::HS256).unwrap();
    assert_eq!(with(&token), (421, false), "it was passed on already");
    assert_eq!(with("forged"), (201, false));
}

/// Three nodes: the one that runs the stage, and two with a bot each, which play with each other over it. It is killed in the middle
/// of their game.
#[test]
fn a_game_outlives_the_node_that_ran_it_and_no_frame_is_lost() {
    let world = World::new();
    let game = ["--episodes", "1", "--max-frames", "300"];
    let mut first = world.node("a", &game);
    let bots = |seed| [&game[..], &["--bots", "1", "--bot-seed", seed]].concat();
    let others = [world.node("b", &bots("1")), world.node("c", &bots("2"))];
    let frames = |game| world.read(|reader| reader.frames(game).unwrap().len());
    let mut playing = None::<GameId>;
    until("both bots play", || {
        playing = world.read(|reader| reader.games().unwrap().first().map(|game| game.game.game));
        playing.is_some_and(|game| frames(game) > 60)
    });
    let game = playing.unwrap();
    first.kill();
    let away = until("another node has the stage", || others.iter().any(has_the_stage));
    println!("kill -9: another node had the stage after {away:?}");
    assert!(away < Duration::from_secs(3), "{away:?}");
    until("the game is over", || {
        world.read(|reader| {
            let games = reader.games().unwrap();
            let ended = games.iter().find(|row| row.game.game == game).unwrap();
            ended.endings.iter().all(Option::is_some)
        })
    });
    let sessions = world.exported("sessions");
    let sessions: Vec<_> = sessions.iter().filter(|row| row["game_id"] == game.to_string()).collect();
    assert_eq!(sessions.len(), 2);
    for row in sessions {
        let told = ["termination_reason", "is_partial", "frames_reported", "frames_verified"];
        assert_eq!(told.map(|name| row[name].as_str()), ["normal", "false", "300", "300"]);
        assert_eq!(["hash_mismatches", "conflicts"].map(|name| row[name].as_str()), ["0"; 2]);
        println!("a seat of the game was paused {} times", row["pauses"]);
    }
    let endings = world.read(|reader| reader.games().unwrap()[0].endings.clone());
    assert!(endings.iter().flatten().all(|ending| ending.reason == TerminationReason::Normal));
}

#[test]
fn a_node_that_is_stopped_hands_over_and_nobody_is_turned_away() {
    let world = World::new();
    let mut first = world.node("a", &[]);
    let second = world.node("b", &[]);
    let (tokens, mut pages, starts) = two_play([&first, &second]);
    let stopping = std::thread::spawn(move || first.terminate().success());
    let mut longest = Duration::ZERO;
    until("the other node has the stage", || {
        let begun = Instant::now();
        assert!(lets_in(&second), "somebody who came in between was turned away");
        longest = longest.max(begun.elapsed());
        has_the_stage(&second)
    });
    assert!(stopping.join().unwrap());
    println!("SIGTERM: the longest that somebody who came had to wait: {longest:?}");
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    for page in &mut pages {
        page.last_words();
    }
    for (token, start) in tokens.iter().zip(&starts) {
        assert_eq!(Page::open(&second, token).game_start().game_id, start.game_id);
    }
}

/// People come over a node that passes them on, and it is stopped as for an update.
#[test]
fn a_node_that_stops_sends_people_on_one_after_another() {
    const PEOPLE: usize = 200;
    const DRAIN: Duration = Duration::from_secs(2);
    let world = World::new();
    let arguments = ["--connections-per-address", "1000", "--drain", "2"];
    let nodes = [world.node("a", &arguments), world.node("b", &arguments)];
    let tokens: Vec<_> = (0..PEOPLE).map(|_| nodes[0].visit()).collect();
    let [first, mut second] = nodes;
    let welcomed = Arc::new(Barrier::new(PEOPLE + 1));
    let people: Vec<_> = tokens
        .iter()
        .map(|token| {
            let mut page = Page::open(&second, token);
            let welcomed = Arc::clone(&welcomed);
            std::thread::spawn(move || {
                page.hear().unwrap();
                welcomed.wait();
                page.last_words();
                Instant::now()
            })
        })
        .collect();
    welcomed.wait();
    let (status, address) = (second.get("/readyz").0, second.address.clone());
    assert_eq!(status, 200);
    let begun = Instant::now();
    let stopping = std::thread::spawn(move || (second.terminate().code(), Instant::now()));
    std::thread::sleep(DRAIN / 4);
    let ask = |path: &str| {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        agent.get(format!("http://{address}{path}")).call().unwrap().status().as_u16()
    };
    // No load balancer sends anybody there any more, and who is sent all the same is answered.
    assert_eq!(["/readyz", "/healthz", "/"].map(ask), [503, 200, 200]);
    assert_eq!(first.get("/readyz").0, 200);
    let mut closed: Vec<_> = people.into_iter().map(|page| page.join().unwrap() - begun).collect();
    closed.sort_unstable();
    let (code, ended) = stopping.join().unwrap();
    let quarters: Vec<_> =
        (1..=4).map(|quarter| closed.partition_point(|after| *after < DRAIN * quarter / 4)).collect();
    let (earliest, latest, ended) = (closed[0], closed[PEOPLE - 1], ended - begun);
    println!(
        "SIGTERM: {PEOPLE} sockets were closed from {earliest:?} to {latest:?}, by quarters of {DRAIN:?} {quarters:?}; the process ended after {ended:?}"
    );
    assert_eq!(code, Some(0));
    for (quarter, closed) in (1..4).zip(&quarters) {
        let even = PEOPLE * quarter / 4;
        assert!(closed.abs_diff(even) < PEOPLE / 8, "{quarters:?}");
    }
    assert!(latest < DRAIN + Duration::from_secs(1) && ended < DRAIN + Duration::from_secs(2));
    // They are where they were.
    let token = &tokens[0];
    assert!(matches!(Page::open(&first, token).hear().unwrap(), ServerMessage::Welcome { .. }));
}

#[test]
fn a_node_that_hangs_is_replaced_and_follows_when_it_comes_to() {
    let world = World::new();
    let [first, second] = ["a", "b"].map(|name| world.node(name, &[]));
    let (tokens, _pages, starts) = two_play([&first, &second]);
    first.signal("-STOP");
    // Somebody asks it while it hangs: what comes of that is known when it has come to.
    let url = format!("http://{}/api/v1/visits", first.address);
    let asked = std::thread::spawn(move || {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        agent.post(&url).send_json(serde_json::json!({ "entry": {} })).map(|answer| answer.status().as_u16())
    });
    let away = until("somebody is let in over the other node", || lets_in(&second));
    println!("SIGSTOP: somebody was let in over the other node after {away:?}");
    assert!(away < Duration::from_secs(16), "{away:?}");
    let visits = || world.read(|reader| reader.visits().unwrap().len());
    let before = visits();
    first.signal("-CONT");
    let told = asked.join().unwrap().unwrap();
    assert!([201, 503].contains(&told), "{told}");
    let noticed = until("it follows", || !has_the_stage(&first) && first.get("/readyz").0 == 200);
    println!("SIGCONT: it follows after {noticed:?}");
    assert!(has_the_stage(&second));
    assert_eq!(visits(), before + usize::from(told == 201), "what it refused it has not written");
    for (token, start) in tokens.iter().zip(&starts) {
        assert_eq!(Page::open(&first, token).game_start().game_id, start.game_id);
    }
}

#[test]
fn a_node_keeps_the_stage_while_its_database_is_started_again() {
    let mut postgres = PostgresServer::start(Syncs::No, &["listen_addresses="]);
    let world = World::on(postgres.database());
    let [first, second] = ["a", "b"].map(|name| world.node(name, &[]));
    let (_tokens, mut pages, _starts) = two_play([&first, &second]);
    postgres.kill();
    postgres.start_again();
    let away = until("somebody is let in again", || lets_in(&second));
    println!("Postgres was started again: somebody was let in after {away:?}");
    until("both nodes are ready", || [&first, &second].iter().all(|node| node.get("/readyz").0 == 200));
    assert_eq!([&first, &second].map(has_the_stage), [true, false]);
    // Nobody had to come back for that.
    for page in &mut pages {
        page.say(&ClientMessage::Ping { time: 1.0, sequence: 0, rtt_millis: None, frame: None });
        page.hear_until(|message| matches!(message, ServerMessage::Pong { .. }).then_some(()));
    }
}

#[test]
fn a_page_is_told_of_the_turn_of_every_node() {
    let world = World::new();
    let ports = [(); 2].map(|()| free_port().to_string());
    let nodes = [0, 1].map(|at| {
        let own = format!("127.0.0.{}", 7 + at);
        world.node_with_turn(&ports[at], &["--turn-ports", &ports[at], "--external-ip", &own])
    });
    until("both see each other", || {
        let (_, _, starts) = two_play(nodes.each_ref());
        let urls: Vec<_> = starts[0].ice_servers.iter().flat_map(|server| server.urls.clone()).collect();
        [0, 1]
            .iter()
            .all(|at| urls.contains(&format!("turn:127.0.0.{}:{}?transport=udp", 7 + at, ports[*at])))
    });
}

#[test]
fn nodes_need_a_database_and_the_same_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let data = folder.path();
        let mut command = interplay(&[&["demo", "--listen", "127.0.0.1:0"], arguments].concat());
        ended(command.arg("--data").arg(data).envs(variables.iter().copied()))
    };
    let (code, said) = run(&["--node", "http://127.0.0.1:80"], &[]);
    assert!(code == Some(2) && said.contains("--database"), "{said}");
    let database = PostgresServer::shared().database();
    let node = ["--database", &database, "--node", "http://127.0.0.1:80"];
    let (code, said) = run(&node, &[("INTERPLAY_SECRET", NODES_SECRET)]);
    assert!(code == Some(1) && said.contains("INTERPLAY_API_KEY") && said.contains("openssl rand"), "{said}");
    assert!(!said.contains("INTERPLAY_SECRET,") && !said.contains("WEBHOOK"), "{said}");
    let (code, said) = run(&["--database", &database, "--node", "https://a"], &[]);
    assert!(code == Some(2) && said.contains("http://10.0.0.2:8080"), "{said}");
    assert!(Path::new(folder.path()).exists());
}
