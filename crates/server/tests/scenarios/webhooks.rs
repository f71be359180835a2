//! An application's own server hears of members: in order, at least once, signed (R6; A1).

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use wire::close::CloseCode;

use crate::member::{Api, Member};
use crate::support::Server;

/// What an application hears, while it answers.
#[derive(Clone, Default)]
pub(crate) struct Application {
    is_away: Arc<AtomicBool>,
    refused: Arc<Mutex<Vec<String>>>,
    heard: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Application {
    pub(crate) async fn start() -> (Self, String) {
        let application = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(hear)).with_state(application.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (application, url)
    }

    /// What became of whom, each event once; ids tell repeats.
    pub(crate) fn events(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let heard = self.heard.lock().unwrap();
        let events = heard.iter().flat_map(|(_, body)| body["events"].as_array().unwrap());
        let mut told = Vec::new();
        for event in events {
            let word = |key: &str| event[key].as_str().unwrap();
            if seen.insert(word("id").to_owned()) {
                told.push(format!("{}/{} {}", word("room"), word("member"), word("type")));
            }
        }
        told
    }

    pub(crate) async fn hears(&self, wanted: &[&str]) {
        let begun = Instant::now();
        while self.events() != wanted {
            assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", self.events());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn hear(State(application): State<Application>, headers: HeaderMap, body: String) -> StatusCode {
    let id = headers["webhook-id"].to_str().unwrap().to_owned();
    if application.is_away.load(Ordering::SeqCst) {
        application.refused.lock().unwrap().push(id);
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    application.heard.lock().unwrap().push((id, serde_json::from_str(&body).unwrap()));
    StatusCode::NO_CONTENT
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_becomes_of_members_is_told_in_order_through_failures_and_kills() {
    let (application, url) = Application::start().await;
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start_with(data.path(), &["--webhook", &url]);
    let api = Api::of(&server, data.path());
    let mut ann = Member::join(&server, &api, "r", "ann").await;
    let mut bob = Member::join(&server, &api, "r", "bob").await;
    let mut told = vec!["r/ann member.joined", "r/bob member.joined"];
    application.hears(&told).await;

    // While the application is away, events wait, and come in order once it answers.
    application.is_away.store(true, Ordering::SeqCst);
    bob.vanish();
    let begun = Instant::now();
    while application.refused.lock().unwrap().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bob.connect().await.unwrap();
    assert_eq!(api.ask("DELETE", "/api/v1/rooms/r/members/bob", &api.key, None).0, 204);
    assert_eq!(bob.closed_with().await, CloseCode::Kicked);
    let first = application.refused.lock().unwrap()[0].clone();
    application.is_away.store(false, Ordering::SeqCst);
    told.extend(["r/bob member.dropped", "r/bob member.returned", "r/bob member.left"]);
    application.hears(&told).await;
    let heard = application.heard.lock().unwrap().iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
    assert!(heard.contains(&first), "what is told again has the same id: {heard:?}, {first}");

    // Events that nobody has heard are told by the next process; whoever was here has dropped.
    application.is_away.store(true, Ordering::SeqCst);
    let cid = Member::join(&server, &api, "r", "cid").await;
    server.kill();
    application.is_away.store(false, Ordering::SeqCst);
    let mut server = Server::start_with(data.path(), &["--webhook", &url]);
    told.extend(["r/cid member.joined", "r/ann member.dropped", "r/cid member.dropped"]);
    application.hears(&told).await;
    ann.address.clone_from(&server.address);
    ann.connect().await.unwrap();
    told.push("r/ann member.returned");
    application.hears(&told).await;
    assert_eq!(Api::of(&server, data.path()).ask("DELETE", "/api/v1/rooms/r", &api.key, None).0, 204);
    told.extend(["r/ann member.left", "r/cid member.left"]);
    application.hears(&told).await;
    drop(cid);

    // And nothing is told a second time when the answer was noted.
    let begun = Instant::now();
    while !server.get("/metrics").1.contains("interplay_webhook_waiting 0\n") {
        assert!(begun.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.kill();
    let requests = application.heard.lock().unwrap().len();
    let server = Server::start_with(data.path(), &["--webhook", &url]);
    let api = Api::of(&server, data.path());
    let _dan = Member::join(&server, &api, "r", "dan").await;
    told.push("r/dan member.joined");
    application.hears(&told).await;
    assert_eq!(application.heard.lock().unwrap().len(), requests + 1);
}

#[tokio::test]
async fn a_python_application_checks_the_signature() {
    let data = tempfile::tempdir().unwrap();
    // The first run makes the secret that the application is given.
    drop(Server::start_with(data.path(), &["--webhook", "http://127.0.0.1:9/"]));
    let secret = std::fs::read_to_string(data.path().join("webhook-secret")).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/python/webhook.py");
    let mut application = Command::new("python3")
        .args([script, "0", "--events", "2"])
        .env("INTERPLAY_WEBHOOK_SECRET", &secret)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(application.stdout.take().unwrap()).lines().map(Result::unwrap);
    let url = lines.next().unwrap().split_whitespace().last().unwrap().to_owned();
    let forged = ureq::post(&url)
        .header("webhook-id", "1-1")
        .header("webhook-timestamp", "1")
        .header("webhook-signature", "v1,Zm9yZ2Vk")
        .send("{\"events\": []}");
    assert!(matches!(forged, Err(ureq::Error::StatusCode(401))), "{forged:?}");
    let server = Server::start_with(data.path(), &["--webhook", &url]);
    let api = Api::of(&server, data.path());
    let _ann = Member::join(&server, &api, "r", "ann").await;
    let _bob = Member::join(&server, &api, "r", "bob").await;
    let said: Vec<String> = lines.collect();
    assert_eq!(said, ["ann member.joined r", "bob member.joined r"]);
    assert!(application.wait().unwrap().success());
}

#[tokio::test]
async fn an_application_behind_https_is_believed_by_the_systems_certificates_only() {
    let data = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(made.success());
    let script = "import sys, ssl, webhook\n\
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n\
        own.load_cert_chain(sys.argv[1], sys.argv[2])\n\
        application = webhook.Application(0, sys.argv[3])\n\
        application.socket = own.wrap_socket(application.socket, server_side=True)\n\
        print(f'https://127.0.0.1:{application.server_port}/', flush=True)\n\
        while not application.seen: application.handle_request()\n";
    let secret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let mut application = Command::new("python3")
        .args(["-c", script])
        .args([&certificate, &key])
        .arg(secret)
        .env("PYTHONPATH", concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/python"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(application.stdout.take().unwrap()).lines().map(Result::unwrap);
    let url = lines.next().unwrap();
    // Nobody vouches for it: it is told nothing.
    let mut stranger =
        Server::start_in(&["--webhook", &url], data.path(), &[("INTERPLAY_WEBHOOK_SECRET", secret)]);
    let api = Api::of(&stranger, data.path());
    let ann = Member::join(&stranger, &api, "r", "ann").await;
    let begun = Instant::now();
    while !stranger.get("/metrics").1.contains("interplay_webhook_requests_total{result=\"failed\"}") {
        assert!(begun.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(ann);
    stranger.kill();
    let trusted = [("INTERPLAY_WEBHOOK_SECRET", secret), ("SSL_CERT_FILE", certificate.to_str().unwrap())];
    let _server = Server::start_in(&["--webhook", &url], data.path(), &trusted);
    assert_eq!(lines.next().unwrap(), "ann member.joined r");
    assert!(application.wait().unwrap().success());
}
