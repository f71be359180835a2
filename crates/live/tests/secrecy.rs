//! Encrypted connections: which certificates are trusted is said by a variable, which is another process's.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::process::Command;

use live::Live;
use support::server::{Server, ports};
use support::{Node, TTL, at, entry, epoch, room, snapshot};

/// Where that other process finds the server.
const URL: &str = "INTERPLAY_TEST_REDISS_URL";

fn make_certificate(folder: &Path) {
    let name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
    let end = ["-addext", "basicConstraints=critical,CA:FALSE"];
    let kind =
        ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let mut openssl = Command::new("openssl");
    openssl
        .current_dir(folder)
        .args(kind)
        .args(name)
        .args(end)
        .args(["-keyout", "key.pem", "-out", "cert.pem"]);
    let output = openssl.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_store_is_spoken_to_in_secret() {
    if let Ok(url) = std::env::var(URL) {
        let mut node = Node::of(&url).await;
        let (room, e) = (room(), epoch(1));
        node.live.subscribe(&room).await.unwrap();
        node.live.open(&room, (e, &snapshot(e, 0))).await.unwrap();
        node.live.append(&room, at(e, 0), &[entry(1, 1)]).await.unwrap().unwrap();
        node.hear().await;
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    make_certificate(folder.path());
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let [port] = ports();
    let files = ["--tls-cert-file", certificate.to_str().unwrap(), "--tls-key-file", key.to_str().unwrap()];
    let rest = ["--tls-auth-clients", "no", "--tls-port", &port.to_string()];
    let _server = Server::start(&[&files[..], &rest[..]].concat());
    let url = format!("rediss://localhost:{port}");
    let mut trusting = Command::new(std::env::current_exe().unwrap());
    trusting
        .args(["--exact", "a_store_is_spoken_to_in_secret"])
        .env(URL, &url)
        .env("SSL_CERT_FILE", &certificate);
    let output = trusting.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    // Here it is not trusted.
    let refused = Live::connect(&url.parse().unwrap(), TTL).await.err().unwrap().to_string();
    assert!(refused.contains("SSL_CERT_FILE") && refused.contains(&url), "{refused}");
}
