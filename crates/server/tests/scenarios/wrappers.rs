//! Blocks, branches, conditions and variables, with a server that is killed at every step: what was drawn and decided stays
//! so, who counted still counts, and the way of each visit is exported (S1, S2, S6).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use base::{Input, SeatSet};
use serde_json::{Value, json};
use wire::batch::{FrameRecord, RecordBatch};
use wire::control::{ClientMessage, Scene, SceneKind, ServerMessage};

use crate::support::{Page, Server, interplay};

const EXPERIMENT: &str = r#"
id = "wrapped"
title = "Wrapped"

[[condition]]
id = "fast"
quota = 2
variables = { speed = 3 }

[[condition]]
id = "slow"
quota = 2
variables = { speed = 1 }

[assignment]
on_full = "full"

[[block]]
id = "trials"
scenes = ["a", "b", "c"]
order = "random"
repeat = 2

[[scene]]
kind = "start"
id = "welcome"

[[scene]]
kind = "form"
id = "you"
[[scene.field]]
id = "pet"
type = "choice"
label = "Which?"
options = ["Cat", "Dog"]

[[scene]]
kind = "static"
id = "a"
body = "text.md"

[[scene]]
kind = "static"
id = "b"
body = "text.md"
when = { scene = "you", field = "pet", equals = "Cat" }

[[scene]]
kind = "static"
id = "c"
body = "text.md"
conditions = ["fast"]

[[scene]]
kind = "end"
id = "thanks"

[[scene]]
kind = "static"
id = "full"
body = "full.md"

[[scene]]
kind = "end"
id = "sorry"
"#;

fn shown(page: &mut Page) -> Scene {
    page.hear_until(|message| match message {
        ServerMessage::ActivateScene { scene } => Some(scene),
        _ => None,
    })
}

/// Goes through the study as one visit; the server may be another each time. The passages on the way, and what was to
/// be read in the first of the block.
fn walk(server: &mut Server, serve: &impl Fn() -> Server, kill: bool) -> (Vec<String>, String) {
    let token = server.visit();
    let (mut way, mut read) = (Vec::new(), String::new());
    loop {
        if kill {
            server.kill();
            *server = serve();
        }
        let mut page = Page::open(server, &token);
        let scene = shown(&mut page);
        way.push(scene.id.clone());
        if matches!(scene.kind, SceneKind::End { .. }) {
            return (way, read);
        }
        if read.is_empty() && scene.id.len() == 1 {
            read = scene.kind.sheet().unwrap().body.clone();
        }
        let answers = [("pet".to_owned(), json!("Cat"))].into();
        page.say(&ClientMessage::AdvanceScene { scene_id: scene.id, answers });
        // Only what is told is durable.
        shown(&mut page);
    }
}

/// A table of an export, each row by its columns.
fn table(out: &Path, name: &str) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(out.join(name)).unwrap();
    let mut rows = text.lines().map(cells);
    let columns = rows.next().unwrap();
    rows.map(|row| columns.iter().cloned().zip(row).collect()).collect()
}

/// A row of CSV whose cells have no line breaks.
fn cells(line: &str) -> Vec<String> {
    let (mut all, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => cell.extend(letters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => all.push(std::mem::take(&mut cell)),
            letter => cell.push(letter),
        }
    }
    all.push(cell);
    all
}

#[test]
fn what_was_drawn_and_decided_outlives_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::write(folder.path().join("experiment.toml"), EXPERIMENT).unwrap();
    fs::write(folder.path().join("text.md"), "At {{ speed }} with a {{ you.pet }}.").unwrap();
    fs::write(folder.path().join("full.md"), "Full.").unwrap();
    let serve = || Server::start_as(&["run", folder.path().to_str().unwrap()], &data);
    let mut server = serve();
    let mut ways = Vec::new();
    for number in 0..5 {
        ways.push(walk(&mut server, &serve, number % 2 == 0));
    }
    server.terminate();
    let out = folder.path().join("tables");
    let done = interplay(&["export", "--data"]).arg(&data).arg("--out").arg(&out).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    let (last, known) = ways.split_last().unwrap();
    assert_eq!(last.0, ["welcome", "full", "sorry"], "there is room for four");
    let visits = table(&out, "visits.csv");
    let path = table(&out, "path.csv");
    let mut counted = BTreeMap::<&str, u32>::new();
    for ((way, read), visit) in known.iter().zip(&visits) {
        assert_eq!(visit["path"], way.join(" "));
        assert_eq!(visit["ended"], "completed");
        let condition = visit["condition"].as_str();
        *counted.entry(condition).or_default() += 1;
        let (speed, per_round) = if condition == "fast" { (3, 3) } else { (1, 2) };
        assert_eq!(read.trim(), format!("<p>At {speed} with a Cat.</p>"));
        let variables: Value = serde_json::from_str(&visit["variables"]).unwrap();
        assert_eq!(variables, json!({ "speed": speed, "you.pet": "Cat" }));
        // Two rounds of the scenes that are for it, in the orders that were drawn.
        let drawn: Vec<Value> = path
            .iter()
            .filter(|row| row["visit_id"] == visit["visit_id"] && row["kind"] == "order")
            .map(|row| serde_json::from_str(&row["detail"]).unwrap())
            .collect();
        assert_eq!(drawn.len(), 2);
        let rounds = way[2..way.len() - 1].chunks(per_round);
        for ((round, drawn), repetition) in rounds.zip(&drawn).zip(1..) {
            assert_eq!(drawn["repetition"], repetition);
            let order = drawn["order"].as_array().unwrap().iter().filter_map(Value::as_str);
            let expected = order.filter(|part| condition == "fast" || *part != "c");
            let expected = expected.map(|part| match repetition {
                1 => part.to_owned(),
                _ => format!("{part}.{repetition}"),
            });
            assert_eq!(round, expected.collect::<Vec<_>>());
        }
    }
    assert_eq!(counted, [("fast", 2), ("slow", 2)].into());
    assert_eq!((visits[4]["condition"].as_str(), visits[4]["ended"].as_str()), ("", "screened_out"));
    for (row, before) in path.iter().filter(|row| row["kind"] == "condition").zip(0..) {
        let counts: Value = serde_json::from_str::<Value>(&row["detail"]).unwrap()["counts"].clone();
        let all = counts["fast"].as_u64().unwrap() + counts["slow"].as_u64().unwrap();
        assert_eq!(all, before, "those of earlier servers count");
    }
}

#[test]
fn a_game_is_played_and_exported_with_the_options_of_those_who_play() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let environment =
        fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/environments/tag.wasm")).unwrap();
    fs::write(folder.path().join("tag.wasm"), &environment).unwrap();
    let experiment = r#"
id = "options"
title = "Options"

[[condition]]
id = "only"
variables = { stand = 5 }

[[scene]]
kind = "start"
id = "welcome"

[[scene]]
kind = "game"
id = "play"
environment = "tag.wasm"
players = 2
max_frames = 90
options = { frozen_frames = "{{ stand }}" }

[[scene]]
kind = "end"
id = "thanks"
"#;
    fs::write(folder.path().join("experiment.toml"), experiment).unwrap();
    let mut server = Server::start_as(&["run", folder.path().to_str().unwrap()], &data);
    let tokens = [server.visit(), server.visit()];
    let mut pages = tokens.each_ref().map(|token| Page::open(&server, token));
    pages.iter_mut().for_each(Page::enter_lobby);
    let starts = pages.each_mut().map(Page::game_start);
    for start in &starts {
        assert_eq!(start.options, [5.0]);
    }

    // What pages would record: the environment with these options, run here.
    let module = host::Module::new(&host::prepare::prepare(&environment).unwrap()).unwrap();
    let mut played = host::NativeEnvironment::new(&module).unwrap();
    assert!(played.set_options(&starts[0].options));
    let rules = host::replay::Game { seats: 2, seed: starts[0].seed.0, max_frames: 90 };
    let mut replay = host::replay::Replay::new(&mut played, rules).unwrap();
    let inputs = [0_u8; 2];
    let frames: Vec<_> = (0..60)
        .map(|frame| FrameRecord {
            inputs: inputs.to_vec(),
            filled: SeatSet::EMPTY,
            hash: replay.next(&inputs.map(|input| Input::new(&[input]).unwrap())).unwrap().hash,
            simulated_millis: frame * 33,
            shown_millis: None,
            predicted: SeatSet::EMPTY,
            rollback_depth: 0,
        })
        .collect();
    let batch = RecordBatch { incarnation: 0, incarnations: vec![0, 0], first: 0, frames, events: vec![] };
    let url = format!("http://{}/api/v1/games/{}/records", server.address, starts[0].game_id);
    for token in &tokens {
        let request = ureq::post(&url)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/octet-stream");
        request.send(&batch.encode().unwrap()[..]).unwrap();
    }
    server.terminate();
    let out = folder.path().join("tables");
    let done = interplay(&["export", "--data"]).arg(&data).arg("--out").arg(&out).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let steps = table(&out, "steps.csv");
    assert_eq!(steps.len(), 120);
    assert!(steps.iter().all(|row| row["verified"] == "true"), "the export plays it with the same options");
    for row in table(&out, "sessions.csv") {
        assert_eq!(row["options"], r#"{"frozen_frames":5.0}"#);
    }
}
