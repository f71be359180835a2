//! Something to read and questions: answers are checked here whatever the page has checked, durable before anyone goes
//! on, and exported as they were written (S1, S2, D4).

use std::fs;

use serde_json::{Value, json};
use store::Reader;
use wire::close::CloseCode;
use wire::control::{ClientMessage, SceneKind, ServerMessage, Sheet, VisitEnding};
use wire::form::Answers;

use crate::support::{Page, Server, interplay};

const EXPERIMENT: &str = r#"
id = "survey"
title = "Survey"

[[scene]]
kind = "start"
id = "welcome"
consent = "I agree to take part."

[[scene]]
kind = "static"
id = "rules"
body = "rules.md"

[[scene]]
kind = "form"
id = "you"
[[scene.field]]
id = "age"
type = "integer"
label = "Your age"
min = 18
required = true
[[scene.field]]
id = "words"
type = "text"
label = "Anything else?"
max_length = 200

[[scene]]
kind = "end"
id = "thanks"
"#;

/// Whoever wrote this would like it to be more than a text.
const HOSTILE: &str =
    "<img src=x onerror=alert(1)>'; DROP TABLE answers; -- =1+1 \u{202e} ../../etc/passwd \"\",\n";

fn answers<const N: usize>(pairs: [(&str, Value); N]) -> Answers {
    pairs.into_iter().map(|(field, answer)| (field.to_owned(), answer)).collect()
}

fn advance(page: &mut Page, scene: &str, answers: Answers) {
    page.say(&ClientMessage::AdvanceScene { scene_id: scene.into(), answers });
}

/// The next scene that there is something to read in.
fn sheet(page: &mut Page) -> (String, Sheet) {
    page.hear_until(|message| match message {
        ServerMessage::ActivateScene { scene } => Some((scene.id.clone(), scene.kind.sheet()?.clone())),
        _ => None,
    })
}

fn refused(page: &mut Page) -> Vec<(String, String)> {
    page.hear_until(|message| match message {
        ServerMessage::AnswersRefused { problems, .. } => Some(problems.into_iter().collect()),
        _ => None,
    })
}

fn ended(page: &mut Page) -> VisitEnding {
    page.hear_until(|message| match message {
        ServerMessage::ActivateScene { scene } => match scene.kind {
            SceneKind::End { reason, .. } => Some(reason),
            _ => None,
        },
        _ => None,
    })
}

#[test]
fn answers_are_checked_kept_and_exported_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::write(folder.path().join("experiment.toml"), EXPERIMENT).unwrap();
    fs::write(folder.path().join("rules.md"), "# Rules\n\nBe *kind*.").unwrap();
    let serve = || Server::start_as(&["run", folder.path().to_str().unwrap()], &data);
    let mut server = serve();
    let token = server.visit();
    let mut page = Page::open(&server, &token);

    let (scene, start) = sheet(&mut page);
    assert_eq!((scene.as_str(), start.fields.len()), ("welcome", 1));
    advance(&mut page, "welcome", Answers::new());
    assert_eq!(refused(&mut page), [("consent".into(), "Please answer this question.".into())]);
    advance(&mut page, "you", answers([("age", json!(30))]));
    advance(&mut page, "welcome", answers([("consent", json!(true))]));

    let (scene, rules) = sheet(&mut page);
    assert_eq!((scene.as_str(), rules.body.trim()), ("rules", "<h1>Rules</h1>\n<p>Be <em>kind</em>.</p>"));
    advance(&mut page, "rules", Answers::new());
    // Told twice, as a page does that does not know whether it was heard.
    advance(&mut page, "rules", Answers::new());

    assert_eq!(sheet(&mut page).0, "you");
    let wrong = [("age", json!(17)), ("words", json!("x".repeat(201)))];
    advance(&mut page, "you", answers(wrong));
    let expected = [("age", "Please enter 18 or more."), ("words", "Please use 200 characters at most.")];
    assert_eq!(refused(&mut page), expected.map(|(field, words)| (field.to_owned(), words.to_owned())));
    let right = [("age", json!(18)), ("words", json!(HOSTILE)), ("nobody_asked", json!("x"))];
    advance(&mut page, "you", answers(right));
    assert_eq!(ended(&mut page), VisitEnding::Completed);
    // Whoever was told has it on the disk: nothing is lost with the server.
    server.kill();
    server = serve();
    let mut page = Page::open(&server, &token);
    assert_eq!(ended(&mut page), VisitEnding::Completed);
    advance(&mut page, "you", answers([("age", json!(99))]));

    let kept = Reader::open(&data).unwrap().answers().unwrap();
    let kept: Vec<_> = kept.into_iter().map(|row| (row.scene, row.field, row.answer)).collect();
    let row = |scene: &str, field: &str, answer: Value| (scene.to_owned(), field.to_owned(), answer);
    let mut expected = vec![
        row("welcome", "consent", json!(true)),
        row("you", "age", json!(18)),
        row("you", "words", json!(HOSTILE)),
    ];
    expected.sort_by_key(|(scene, field, _)| (scene.clone(), field.clone()));
    let mut sorted = kept;
    sorted.sort_by_key(|(scene, field, _)| (scene.clone(), field.clone()));
    assert_eq!(sorted, expected);

    let out = folder.path().join("tables");
    let done = interplay(&["export", "--data"]).arg(&data).arg("--out").arg(&out).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = fs::read_to_string(out.join("answers.csv")).unwrap();
    assert!(text.starts_with("visit_id,participant_id,scene,field,answer,answered_at\n"), "{text}");
    assert!(
        text.contains(",you,age,18,") && text.contains("<img src=x onerror=alert(1)>'; DROP TABLE"),
        "{text}"
    );
}

#[test]
fn a_change_is_for_those_who_come_after_it_and_a_mistake_is_for_nobody() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = folder.path().join("experiment.toml");
    fs::write(&file, EXPERIMENT).unwrap();
    fs::write(folder.path().join("rules.md"), "# Rules").unwrap();
    let place = folder.path().to_str().unwrap();
    let mut server = Server::start_as(&["run", place, "--reload"], data.path());
    let first = server.visit();
    let mut page = Page::open(&server, &first);
    assert_eq!(sheet(&mut page).0, "welcome");

    // One that cannot be served changes nothing; the next one counts.
    fs::write(&file, EXPERIMENT.replace("max_length = 200", "max_lenth = 200")).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert_eq!(sheet(&mut Page::open(&server, &server.visit())).0, "welcome");
    let changed = EXPERIMENT.replace("id = \"welcome\"", "id = \"hello\"");
    fs::write(&file, &changed).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let second = loop {
        let visit = server.visit();
        if sheet(&mut Page::open(&server, &visit)).0 == "hello" {
            break visit;
        }
        assert!(std::time::Instant::now() < deadline, "the change was not taken up");
        std::thread::sleep(std::time::Duration::from_millis(100));
    };

    // Each has its own, also with a server that has never seen the first one.
    advance(&mut page, "welcome", answers([("consent", json!(true))]));
    assert_eq!(sheet(&mut page).0, "rules");
    server.kill();
    let server = Server::start_as(&["run", place], data.path());
    let mut page = Page::open(&server, &first);
    assert_eq!(sheet(&mut page).0, "rules");
    let mut other = Page::open(&server, &second);
    assert_eq!(sheet(&mut other).0, "hello");
    advance(&mut other, "welcome", answers([("consent", json!(true))]));
    advance(&mut other, "hello", answers([("consent", json!(true))]));
    assert_eq!(sheet(&mut other).0, "rules");
    let visits = Reader::open(data.path()).unwrap().visits().unwrap();
    let versions: std::collections::BTreeSet<_> =
        visits.iter().map(|visit| &visit.experiment_sha256).collect();
    assert_eq!(versions.len(), 2);
}

#[test]
fn who_sends_far_too_much_or_no_id_at_all_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::write(folder.path().join("experiment.toml"), EXPERIMENT).unwrap();
    fs::write(folder.path().join("rules.md"), "# Rules").unwrap();
    let server = Server::start_as(&["run", folder.path().to_str().unwrap()], &data);
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let come = |id: &str| {
        let url = format!("http://{}/api/v1/visits", server.address);
        let mut answer = agent.post(url).send_json(json!({ "entry": { "PROLIFIC_PID": id } })).unwrap();
        (answer.status().as_u16(), answer.body_mut().read_json::<Value>().unwrap())
    };
    let million = "x".repeat(1 << 20);

    // An id is a text like any other: one person, whatever it says.
    let (status, first) = come(HOSTILE);
    assert_eq!(status, 201);
    assert_eq!(come(HOSTILE).0, 200);
    assert_eq!(come(&million).0, 422);

    // A million characters are no answer: the page is sent away, and is where it was when it comes back.
    let token = first["token"].as_str().unwrap();
    let mut page = Page::open(&server, token);
    advance(&mut page, "welcome", answers([("consent", json!(million))]));
    assert_eq!(page.closed_with(), CloseCode::BadMessage);
    let mut page = Page::load(&server, token, 2);
    assert_eq!(sheet(&mut page).0, "welcome");
    assert!(Reader::open(&data).unwrap().answers().unwrap().is_empty());

    // Addresses lead nowhere but where they should.
    for path in [
        "/page/..%2f..%2f..%2fetc%2fpasswd",
        "/page/%2e%2e/experiment.toml",
        "/environments/..%2f..%2fexperiment.toml",
        "/files/..%2fexperiment.toml",
        "/files/%00.png",
        "/api/v1/games/'%20OR%201=1--/inputs",
        "/%3Cscript%3Ealert(1)%3C/script%3E",
    ] {
        let (status, body) = server.get(path);
        assert!((400..500).contains(&status), "{path}: {status}");
        assert!(
            !body.contains("root:") && !body.contains("kind = ") && !body.contains("<script"),
            "{path}: {body}"
        );
    }

    let (data, tables) = (data.to_str().unwrap(), folder.path().join("tables"));
    let export = ["export", "--data", data, "--out", tables.to_str().unwrap(), "--with-platform-ids"];
    assert!(interplay(&export).status().unwrap().success());
    let visits = fs::read_to_string(tables.join("visits.csv")).unwrap();
    assert!(visits.contains("<img src=x onerror=alert(1)>'; DROP TABLE"), "{visits}");
    assert!(interplay(&["forget", HOSTILE, "--data", data]).status().unwrap().success());
    assert_eq!(come(HOSTILE).0, 201);
}
