//! Scripted participants: a study is tried alone, or by itself (H1).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use wire::control::{ClientMessage, SceneKind, ServerMessage};

use crate::support::{Page, Server, ended, interplay};

/// Longer than anything takes that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

type Row = BTreeMap<String, String>;

/// Some of the exported tables; none of their cells that are looked at has a comma.
fn exported(data: &Path, tables: &[&str]) -> Vec<Vec<Row>> {
    let out = tempfile::tempdir().unwrap();
    let paths = [data, out.path()].map(|path| path.to_str().unwrap().to_owned());
    let (code, said) = ended(&mut interplay(&["export", "--data", &paths[0], "--out", &paths[1]]));
    assert_eq!(code, Some(0), "{said}");
    let read = |table: &&str| {
        // Before the first game there are no steps.
        let text = fs::read_to_string(out.path().join(format!("{table}.csv"))).unwrap_or_default();
        let mut lines = text.lines();
        let names: Vec<_> = lines.next().unwrap_or_default().split(',').map(str::to_owned).collect();
        lines.map(|line| names.iter().cloned().zip(line.split(',').map(str::to_owned)).collect()).collect()
    };
    tables.iter().map(read).collect()
}

/// Exports until the tables are as wanted.
fn exported_until(data: &Path, tables: &[&str], wanted: impl Fn(&[Vec<Row>]) -> bool) -> Vec<Vec<Row>> {
    let began = Instant::now();
    loop {
        let found = exported(data, tables);
        if wanted(&found) {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "{:?}", found.iter().map(|rows| rows.last()).collect::<Vec<_>>());
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn two_bots_play_a_game_to_its_end_and_the_data_say_that_they_are_bots() {
    let data = tempfile::tempdir().unwrap();
    let bots = ["--bots", "2", "--bot-seed", "7", "--episodes", "2", "--max-frames", "90"];
    let server = Server::start_with(data.path(), &bots);
    let is_over = |session: &Row| !session["termination_reason"].is_empty();
    let tables = exported_until(data.path(), &["sessions", "steps", "visits"], |tables| {
        tables[0].iter().filter(|session| is_over(session)).count() >= 2
    });
    let game = &tables[0][0]["game_id"];
    let sessions: Vec<_> = tables[0].iter().filter(|session| session["game_id"] == *game).collect();
    assert_eq!(sessions.len(), 2);
    for session in sessions {
        let told = ["is_bot", "termination_reason", "is_partial", "frames_reported", "frames_verified"];
        assert_eq!(told.map(|name| session[name].as_str()), ["true", "normal", "false", "180", "180"]);
        assert_eq!(["hash_mismatches", "conflicts", "pauses"].map(|name| session[name].as_str()), ["0"; 3]);
    }
    let steps: Vec<_> = tables[1].iter().filter(|step| step["game_id"] == *game).collect();
    assert_eq!((steps.len(), steps.iter().filter(|step| step["verified"] == "true").count()), (360, 360));
    let pressed: std::collections::BTreeSet<_> = steps.iter().map(|step| &step["action"]).collect();
    assert!(pressed.len() > 4, "they press {pressed:?}");
    assert!(tables[2].iter().all(|visit| visit["is_bot"] == "true"));
    drop(server);
}

#[test]
fn who_comes_finds_a_bot_that_needs_no_direct_lane_and_is_not_marked_as_one() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start_with(data.path(), &["--bots", "1"]);
    let token = server.visit();
    let mut page = Page::open(&server, &token);
    page.enter_lobby();
    let start = page.game_start();
    let other = base::Seat::all(2).find(|&seat| seat != start.seat).unwrap();
    assert_eq!(start.relayed, [other].into_iter().collect());
    page.say(&ClientMessage::LeaveStudy { delete: false });
    page.hear_until(|message| match message {
        ServerMessage::ActivateScene { scene } => matches!(scene.kind, SceneKind::End { .. }).then_some(()),
        _ => None,
    });
    assert!(server.terminate().success(), "bots do not keep a server from stopping");
    let visits = &exported(data.path(), &["visits"])[0];
    let marks: Vec<_> =
        visits.iter().map(|visit| (visit["is_bot"] == "true", visit["ended"].as_str())).collect();
    assert!(marks.contains(&(false, "withdrawn")), "{marks:?}");
    assert_eq!(marks.iter().filter(|(is_bot, _)| !is_bot).count(), 1, "{marks:?}");
}

#[test]
fn nobody_else_can_say_that_they_are_a_bot() {
    let data = tempfile::tempdir().unwrap();
    for arguments in [&[][..], &["--bots", "1"]] {
        let server = Server::start_with(data.path(), arguments);
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = serde_json::json!({ "entry": { "bot": "1" } });
        let url = format!("http://{}/api/v1/visits", server.address);
        for key in ["", "Bearer ", "Bearer 00000000000000000000000000000000"] {
            let answer = agent.post(&url).header("Authorization", key).send_json(&request).unwrap();
            assert_eq!(answer.status().as_u16(), 422, "{key:?}");
        }
    }
}

const EXPERIMENT: &str = r#"
id = "mine"
title = "Mine"

[[scene]]
kind = "start"
id = "welcome"
consent = "I agree."

[[scene]]
kind = "form"
id = "you"

[[scene.field]]
id = "age"
type = "integer"
label = "How old are you?"
min = 18
max = 99
required = true

[[scene.field]]
id = "words"
type = "text"
label = "Say something."
max_length = 7
required = true

[[scene]]
kind = "form"
id = "understood"
attempts = 6

[[scene.field]]
id = "goal"
type = "choice"
label = "What is the goal?"
options = ["a", "b", "c", "d"]
correct = "c"
required = true

[[scene]]
kind = "game"
id = "play"
environment = "tag.wasm"
players = 2
max_frames = 60
keys = { ArrowLeft = "left" }
SETTINGS

[[scene]]
kind = "game"
id = "again"
environment = "tag.wasm"
players = 2
max_frames = 60
keys = { ArrowLeft = "left" }
lobby = { match = "same" }

[[scene]]
kind = "end"
id = "thanks"
"#;

fn study(settings: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("experiment.toml"), EXPERIMENT.replace("SETTINGS", settings)).unwrap();
    let tag = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/environments/tag.wasm");
    fs::copy(tag, folder.path().join("tag.wasm")).unwrap();
    folder
}

#[test]
fn bots_go_through_a_whole_study_with_questions_and_two_games() {
    let folder = study("");
    let data = folder.path().join("data");
    let server = Server::start_as(&["run", folder.path().to_str().unwrap(), "--bots", "2"], &data);
    let tables = exported_until(&data, &["visits", "answers", "sessions"], |tables| {
        tables[0].iter().filter(|visit| visit["ended"] == "completed").count() >= 2
    });
    drop(server);
    let visit = &tables[0].iter().find(|visit| visit["ended"] == "completed").unwrap()["visit_id"];
    let of_visit = |table: usize, name: &str| -> Vec<_> {
        tables[table].iter().filter(|row| row["visit_id"] == *visit).map(|row| row[name].clone()).collect()
    };
    assert_eq!(of_visit(2, "scene"), ["play", "again"]);
    let answers: BTreeMap<_, _> = of_visit(1, "field").into_iter().zip(of_visit(1, "answer")).collect();
    assert_eq!((answers["goal"].as_str(), answers["consent"].as_str()), ("c", "true"));
    assert!((18..=99).contains(&answers["age"].parse().unwrap()), "{answers:?}");
}

#[test]
fn bots_that_could_not_play_are_refused_with_the_scene_and_the_cure() {
    let no_game = "id = \"mine\"\ntitle = \"Mine\"\n[[scene]]\nkind = \"start\"\nid = \"welcome\"\n[[scene]]\nkind = \"end\"\nid = \"thanks\"\n";
    for (settings, words) in [
        (
            "lobby = { require = \"direct\" }",
            "\"play\" asks for more: lobby.require = \"direct\"; take that out",
        ),
        (
            "recovery = { on_direct_loss = \"pause\" }",
            "\"play\" asks for more: recovery.on_direct_loss = \"pause\"",
        ),
        ("", "there is no game"),
    ] {
        let folder = study(settings);
        if settings.is_empty() {
            fs::write(folder.path().join("experiment.toml"), no_game).unwrap();
        }
        let mut command = interplay(&["run", folder.path().to_str().unwrap(), "--bots", "1"]);
        let (code, said) = ended(command.current_dir(folder.path()));
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(words), "{said}");
        assert!(!folder.path().join("interplay-data").exists(), "nothing is begun");
    }
}
