//! A study's own server: asked whether somebody may begin, and told of every visit that has ended, at least once, also by a
//! server that was started since (X2, S5).

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use wire::control::{ClientMessage, SceneKind, ServerMessage, VisitEnding};

use crate::support::{Page, Server};

const EXPERIMENT: &str = r#"
id = "told"
title = "Told"

[screening]
webhook = { url = "URL/check", deadline_s = 0.5, message = "Not today." }

[webhook]
url = "URL/hook"
with_platform_ids = true

[[scene]]
kind = "start"
id = "welcome"

[[scene]]
kind = "end"
id = "thanks"
exits = { completed = { code = "DONE" } }
"#;

/// A study's own server, and what it answers next.
#[derive(Clone, Default)]
struct Study {
    checks: Arc<Mutex<Vec<Value>>>,
    answer: Arc<Mutex<&'static str>>,
    /// So many requests are heard, and not answered as they should be.
    refuses: Arc<Mutex<usize>>,
    events: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Study {
    async fn start() -> (Self, String) {
        let study = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/check", post(check)).route("/hook", post(hear));
        let router = router.with_state(study.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (study, url)
    }

    async fn hears(&self, count: usize) -> Vec<(String, Value)> {
        let begun = Instant::now();
        loop {
            let events = self.events.lock().unwrap().clone();
            if events.len() >= count {
                return events;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{events:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn check(State(study): State<Study>, headers: HeaderMap, body: String) -> String {
    assert!(headers["webhook-signature"].to_str().unwrap().starts_with("v1,"));
    study.checks.lock().unwrap().push(serde_json::from_str(&body).unwrap());
    let answer = *study.answer.lock().unwrap();
    if answer.is_empty() {
        // For longer than anybody waits.
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    answer.to_owned()
}

async fn hear(State(study): State<Study>, headers: HeaderMap, body: String) -> StatusCode {
    let id = headers["webhook-id"].to_str().unwrap().to_owned();
    let body: Value = serde_json::from_str(&body).unwrap();
    for event in body["events"].as_array().unwrap() {
        study.events.lock().unwrap().push((id.clone(), event.clone()));
    }
    let mut refuses = study.refuses.lock().unwrap();
    if *refuses > 0 {
        *refuses -= 1;
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    StatusCode::NO_CONTENT
}

/// Comes to the first scene, or the end.
fn come(server: &Server, token: &str) -> (Page, Option<(VisitEnding, String)>) {
    let mut page = Page::open(server, token);
    loop {
        match page.hear().unwrap() {
            ServerMessage::Screening { .. } => page.say(&ClientMessage::ScreeningReport {
                touch_points: 0,
                fine_pointer: true,
                screen: [800, 600],
                round_trips_millis: vec![],
            }),
            ServerMessage::ActivateScene { scene } => {
                let end = match scene.kind {
                    SceneKind::End { reason, body, .. } => {
                        Some((reason, body.lines().next().unwrap_or_default().to_owned()))
                    }
                    _ => None,
                };
                return (page, end);
            }
            _ => {}
        }
    }
}

/// Goes all the way.
fn complete(server: &Server, token: &str) {
    let (mut page, end) = come(server, token);
    assert_eq!(end, None);
    page.say(&ClientMessage::AdvanceScene { scene_id: "welcome".into(), answers: Default::default() });
    page.hear_until(|message| match message {
        ServerMessage::ActivateScene { scene } => matches!(scene.kind, SceneKind::End { .. }).then_some(()),
        _ => None,
    });
}

fn visit(server: &Server, entry: &Value) -> (String, String) {
    let url = format!("http://{}/api/v1/visits", server.address);
    let answer: Value =
        ureq::post(&url).send_json(json!({ "entry": entry })).unwrap().body_mut().read_json().unwrap();
    (answer["token"].as_str().unwrap().to_owned(), answer["visit"].as_str().unwrap().to_owned())
}

fn serve(folder: &Path, url: &str) -> Server {
    fs::write(folder.join("experiment.toml"), EXPERIMENT.replace("URL", url)).unwrap();
    Server::start_as(&["run", folder.to_str().unwrap()], &folder.join("data"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_is_asked_who_may_begin_and_nobody_waits_for_an_answer_that_does_not_come() {
    let (study, url) = Study::start().await;
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path(), &url);
    let begin = |answer: &'static str| {
        *study.answer.lock().unwrap() = answer;
        come(&server, &server.visit()).1
    };
    assert_eq!(begin(r#"{"exclude": false}"#), None);
    let words = |text: &str| Some((VisitEnding::ScreenedOut, format!("<p>{text}</p>")));
    assert_eq!(begin(r#"{"exclude": true}"#), words("Not today."));
    assert_eq!(begin(r#"{"exclude": true, "message": "Full <3"}"#), words("Full &lt;3"));
    assert_eq!(begin("nonsense"), None);
    let begun = Instant::now();
    assert_eq!(begin(""), None);
    assert!((450..3000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    let checks = study.checks.lock().unwrap().clone();
    assert!(
        checks.len() == 5 && checks[0]["type"] == "entry" && checks[0]["visit"].is_string(),
        "{checks:?}"
    );
    let metrics = server.get("/metrics").1;
    for line in [
        "interplay_checks_total{result=\"kept\"} 1",
        "interplay_checks_total{result=\"excluded\"} 2",
        "interplay_checks_total{result=\"failed\"} 1",
        "interplay_checks_total{result=\"late\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_is_told_of_visits_that_have_ended_through_failures_and_kills() {
    let (study, url) = Study::start().await;
    *study.answer.lock().unwrap() = r#"{"exclude": false}"#;
    let folder = tempfile::tempdir().unwrap();
    let mut server = serve(folder.path(), &url);
    let (token, first) = visit(&server, &json!({ "PROLIFIC_PID": "p1" }));
    complete(&server, &token);
    let (_, told) = study.hears(1).await.remove(0);
    let id = told["id"].as_str().unwrap().to_owned();
    assert!(told["time"].as_u64().unwrap() > 1_600_000_000_000 && told["participant"].is_string(), "{told}");
    for (key, value) in [
        ("type", json!("visit_ended")),
        ("experiment", json!("told")),
        ("visit", json!(first)),
        ("ending", json!("completed")),
        ("code", json!("DONE")),
        ("entry", json!({ "PROLIFIC_PID": "p1" })),
    ] {
        assert_eq!(told[key], value, "{told}");
    }
    // Coming again at the end tells nothing again.
    come(&server, &token);

    // Nobody answers; the server is killed, and the next one tells it.
    *study.refuses.lock().unwrap() = 1000;
    let (token, second) = visit(&server, &json!({}));
    complete(&server, &token);
    let refused = study.hears(2).await;
    server.kill();
    *study.refuses.lock().unwrap() = 0;
    let before = study.events.lock().unwrap().len();
    let mut server = serve(folder.path(), &url);
    let events = study.hears(before + 1).await;
    let (again, told) = events.last().unwrap();
    assert_eq!((&refused[1].0, &told["visit"]), (again, &json!(second)), "the same, under the same number");
    assert_ne!(told["id"], json!(id));

    // Once it is answered it is over, for the next server too; the numbers go on.
    let begun = Instant::now();
    while !server.get("/metrics").1.contains("interplay_visit_events_waiting 0\n") {
        assert!(begun.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.kill();
    let (count, server) = (study.events.lock().unwrap().len(), serve(folder.path(), &url));
    complete(&server, &server.visit());
    let events = study.hears(count + 1).await;
    let number = |event: &Value| event["id"].as_str().unwrap().parse::<u64>().unwrap();
    assert_eq!(events.len(), count + 1);
    assert!(number(&events[count].1) > number(&events[count - 1].1));
}
