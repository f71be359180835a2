//! A person is forgotten: by a command while nobody serves, by the same command while a server does, and by its own wish when
//! it leaves the study (D5, S7).

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use wire::close::CloseCode;
use wire::control::{ClientMessage, SceneKind, ServerMessage, VisitEnding};

use crate::support::{Page, Server, interplay};

const EXPERIMENT: &str = r#"
id = "private"
title = "Private"
on_withdrawal = "offer_deletion"

[[scene]]
kind = "form"
id = "you"
[[scene.field]]
id = "name"
type = "text"
label = "Your name"

[[scene]]
kind = "static"
id = "more"
body = "more.md"

[[scene]]
kind = "end"
id = "thanks"
exits = { withdrawn = { code = "LEFT" } }
"#;

/// A study in a folder, and where its data are.
fn study() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("experiment.toml"), EXPERIMENT).unwrap();
    fs::write(folder.path().join("more.md"), "More.").unwrap();
    let data = folder.path().join("data");
    (folder, data)
}

fn serve(folder: &Path, data: &Path) -> Server {
    Server::start_as(&["run", folder.to_str().unwrap()], data)
}

fn forget(id: &str, data: &Path, more: &[&str]) -> Output {
    interplay(&["forget", id, "--data", data.to_str().unwrap()]).args(more).output().unwrap()
}

fn answered(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A participant with a platform's id gives an answer and is in the scene after it.
fn come(server: &Server, id: &str) -> (String, Page) {
    let token = server.visit_of(&json!({ "PROLIFIC_PID": id }));
    let mut page = Page::open(server, &token);
    scene(&mut page, "you");
    let answers = [("name".to_owned(), json!(format!("name of {id}")))].into();
    page.say(&ClientMessage::AdvanceScene { scene_id: "you".into(), answers });
    scene(&mut page, "more");
    (token, page)
}

/// The scene of this name: how the visit ended, whether its data are deleted, and the code, if it is an end.
fn scene(page: &mut Page, id: &str) -> Option<(VisitEnding, bool, Option<String>)> {
    page.hear_until(|message| match message {
        ServerMessage::ActivateScene { scene } if scene.id == id => Some(match scene.kind {
            SceneKind::End { reason, is_deleted, exit, .. } => {
                Some((reason, is_deleted, exit.and_then(|exit| exit.code)))
            }
            _ => None,
        }),
        _ => None,
    })
}

/// Whether a word is anywhere in a folder's files.
fn holds(folder: &Path, word: &str) -> bool {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.into_iter().any(|path| {
        if path.is_dir() {
            return holds(&path, word);
        }
        fs::read(path).unwrap().windows(word.len()).any(|window| window == word.as_bytes())
    })
}

#[test]
fn a_person_is_forgotten_while_nobody_serves() {
    let (folder, data) = study();
    let mut server = serve(folder.path(), &data);
    let (token, page) = come(&server, "MARK-one");
    let (_, other) = come(&server, "MARK-two");
    drop((page, other));
    server.kill();
    assert!(holds(&data, "MARK-one"));
    let total = answered(&forget("MARK-one", &data, &["--json"]));
    let counts = [&total["answers"], &total["games"], &total["games_with_others"], &total["games_on"]];
    assert_eq!((counts, &total["is_scrubbed"]), ([&json!(1), &json!(0), &json!(0), &json!(0)], &json!(true)));
    assert_eq!(total["visits"].as_array().unwrap().len(), 1);
    assert!(!holds(&data, "MARK-one"));
    assert!(holds(&data, "MARK-two"));
    // Nobody is forgotten twice; and where there are no data, nobody can be.
    let again = forget("MARK-one", &data, &[]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("has the id \"MARK-one\""));
    let nowhere = forget("MARK-one", folder.path(), &[]);
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("--data"), "{nowhere:?}");

    // The token opens nothing any more, and who comes again is somebody new.
    let server = serve(folder.path(), &data);
    assert_eq!(Page::open(&server, &token).closed_with(), CloseCode::Unauthorized);
    come(&server, "MARK-one");
}

#[test]
fn a_running_server_forgets_who_is_on_the_way() {
    let (folder, data) = study();
    let server = serve(folder.path(), &data);
    let (token, mut page) = come(&server, "MARK-one");
    come(&server, "MARK-two");
    let words = forget("MARK-one", &data, &[]);
    let words = String::from_utf8_lossy(&words.stdout).into_owned();
    assert!(words.starts_with("Deleted: 1 visit, 1 answer, 0 games."), "{words}");
    assert!(!holds(&data, "MARK-one") && holds(&data, "MARK-two"));
    let end = Some((VisitEnding::Withdrawn, true, Some("LEFT".to_owned())));
    assert_eq!(scene(&mut page, "thanks"), end);
    // Loaded anew, the page says the same.
    assert_eq!(scene(&mut Page::load(&server, &token, 2), "thanks"), end);
    assert_eq!(forget("MARK-one", &data, &[]).status.code(), Some(1));

    // Only who holds the key may ask.
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let ask = |key: &str, body: &Value| {
        let url = format!("http://{}/api/v1/forget", server.address);
        let asked = agent.post(url).header("authorization", &format!("Bearer {key}")).send_json(body);
        asked.unwrap().status().as_u16()
    };
    let key = fs::read_to_string(data.join("api-key")).unwrap();
    let two = json!({ "id": "MARK-two" });
    assert_eq!(ask("", &two), 401);
    assert_eq!(ask(&token, &two), 401);
    assert_eq!(ask(&key, &json!({ "id": "" })), 422);
    assert_eq!(ask(&key, &json!({ "id": "x", "more": 1 })), 422);
    assert_eq!(ask(&key, &json!({ "id": "%' OR '1'='1" })), 200);
    assert!(holds(&data, "MARK-two"));
    assert_eq!(ask(&key, &two), 200);
    assert!(!holds(&data, "MARK-two"));
}

#[test]
fn who_leaves_may_wish_to_be_forgotten() {
    let (folder, data) = study();
    let mut server = serve(folder.path(), &data);
    let (token, mut page) = come(&server, "MARK-one");
    let (_, mut other) = come(&server, "MARK-two");
    page.say(&ClientMessage::LeaveStudy { delete: true });
    other.say(&ClientMessage::LeaveStudy { delete: false });
    let code = Some("LEFT".to_owned());
    let end = Some((VisitEnding::Withdrawn, true, code.clone()));
    assert_eq!(scene(&mut page, "thanks"), end);
    assert_eq!(scene(&mut other, "thanks"), Some((VisitEnding::Withdrawn, false, code)));
    // Told is durable; killed at that moment, the log of the database may have it still, and the next server takes it away.
    server.kill();
    let mut server = serve(folder.path(), &data);
    assert_eq!(scene(&mut Page::load(&server, &token, 2), "thanks"), end);
    assert!(server.terminate().success());
    assert!(!holds(&data, "MARK-one") && holds(&data, "MARK-two"));

    let tables = folder.path().join("tables");
    let (data, out) = (data.to_str().unwrap(), tables.to_str().unwrap());
    let exported = interplay(&["export", "--data", data, "--out", out, "--with-platform-ids"]).status();
    assert!(exported.unwrap().success());
    let visits = fs::read_to_string(tables.join("visits.csv")).unwrap();
    assert_eq!(visits.lines().count(), 2, "{visits}");
    assert!(visits.contains("MARK-two"));
    let answers = fs::read_to_string(tables.join("answers.csv")).unwrap();
    assert!(answers.contains("name of MARK-two") && !answers.contains("MARK-one"), "{answers}");
}
