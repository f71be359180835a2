//! A server whose data is in a Postgres database: it does the same, and the same comes of it (C1, D4).

use std::fs;
use std::path::Path;
use std::process::Command;

use rusqlite::types::Value;
use store::{DATABASE, Store};
use tokio_postgres::NoTls;
use tokio_postgres::types::Type;

use crate::postgres_server::{PostgresServer, Syncs};
use crate::support::{Page, Server, ended, interplay};

fn export(from: &[&str], out: &Path) {
    let (code, said) = ended(interplay(&["export", "--out"]).arg(out).args(from));
    assert_eq!(code, Some(0), "{said}");
}

/// Every table of an export, with its name.
fn tables(folder: &Path) -> Vec<(String, String)> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut tables: Vec<_> = files
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap())
        })
        .collect();
    tables.sort();
    tables
}

/// Copies every row into a data folder's database, column by column.
async fn copy(database: &str, folder: &Path) {
    Store::open(folder).unwrap().flush().await.unwrap();
    let sqlite = rusqlite::Connection::open(folder.join(DATABASE)).unwrap();
    sqlite.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    let (client, connection) = tokio_postgres::connect(database, NoTls).await.unwrap();
    tokio::spawn(connection);
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut names = sqlite.prepare(names).unwrap();
    let names = names.query_map([], |row| row.get::<_, String>(0)).unwrap();
    for name in names.map(Result::unwrap) {
        let read = client.prepare(&format!("SELECT * FROM {name}")).await.unwrap();
        let columns: Vec<_> = read.columns().iter().map(tokio_postgres::Column::name).collect();
        let places = vec!["?"; columns.len()].join(", ");
        let insert = format!("INSERT INTO {name} ({}) VALUES ({places})", columns.join(", "));
        let mut insert = sqlite.prepare(&insert).unwrap();
        for row in client.query(&read, &[]).await.unwrap() {
            let cells = row.columns().iter().enumerate().map(|(at, column)| match *column.type_() {
                Type::INT8 => row.get::<_, Option<i64>>(at).map_or(Value::Null, Value::Integer),
                Type::BYTEA => row.get::<_, Option<Vec<u8>>>(at).map_or(Value::Null, Value::Blob),
                _ => row.get::<_, Option<String>>(at).map_or(Value::Null, Value::Text),
            });
            insert.execute(rusqlite::params_from_iter(cells)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_game_is_played_and_exported_as_from_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let database = PostgresServer::shared().database();
    let bots = ["--bots", "2", "--bot-seed", "7", "--episodes", "2", "--max-frames", "90"];
    let arguments = [&bots[..], &["--database", &database]].concat();
    let mut server = Server::start_with(&place("data"), &arguments);
    let began = std::time::Instant::now();
    loop {
        export(&["--database", &database], &place("tables"));
        let sessions = fs::read_to_string(place("tables").join("sessions.csv")).unwrap();
        if sessions.matches(",normal,").count() >= 2 {
            break;
        }
        assert!(began.elapsed().as_secs() < 60, "{sessions}");
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    assert!(server.terminate().success());
    assert!(!place("data").join(DATABASE).exists(), "nothing is kept in the folder that is in the database");
    export(&["--database", &database], &place("tables"));
    copy(&database, &place("copy")).await;
    export(&["--data", place("copy").to_str().unwrap()], &place("copied"));
    let exported = tables(&place("tables"));
    assert_eq!(exported, tables(&place("copied")));
    let steps = exported.iter().find(|(name, _)| name == "steps.csv").unwrap();
    assert!(steps.1.lines().count() > 300, "{} steps", steps.1.lines().count());
}

#[test]
fn a_participant_who_comes_back_to_the_next_server_is_where_they_were() {
    let data = tempfile::tempdir().unwrap();
    let database = PostgresServer::shared().database();
    let serve = || Server::start_with(data.path(), &["--database", &database]);
    let mut server = serve();
    let tokens = [server.visit(), server.visit()];
    let mut pages = tokens.each_ref().map(|token| Page::open(&server, token));
    for page in &mut pages {
        page.enter_lobby();
    }
    let games = pages.each_mut().map(|page| page.game_start().game_id);
    assert_eq!(games[0], games[1]);
    server.kill();
    server = serve();
    for token in &tokens {
        let mut page = Page::open(&server, token);
        assert_eq!(page.game_start().game_id, games[0]);
    }
}

#[test]
fn a_second_server_on_a_database_is_refused() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let database = PostgresServer::shared().database();
    let _first = Server::start_with(folders[0].path(), &["--database", &database]);
    let mut second = interplay(&["demo", "--listen", "127.0.0.1:0", "--database", &database]);
    let (code, said) = ended(second.arg("--data").arg(folders[1].path()));
    assert!(code == Some(1) && said.contains("in use by another server"), "{said}");
}

#[test]
fn a_password_is_in_no_help_and_in_no_mistake() {
    let secret = "postgres://ann:hush@127.0.0.1:1/study";
    for arguments in [&["run", "--help"][..], &["export", "--help"], &["export", "--out", "/nowhere"]] {
        let done = interplay(arguments).env("INTERPLAY_DATABASE", secret).output().unwrap();
        let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
        assert!(said.contains("--database") && !said.contains("hush"), "{said}");
    }
    let (code, said) = ended(&mut interplay(&["export", "--out", "/nowhere", "--database", "ann:hush@host"]));
    assert!(code == Some(1) && said.contains("postgres://user:password@host/name"), "{said}");
    assert!(!said.contains("hush@host"), "{said}");
}

#[test]
fn a_connection_is_encrypted_and_the_server_known_by_its_certificate() {
    let certificate = tempfile::tempdir().unwrap();
    let [key, cert] = ["key.pem", "cert.pem"].map(|name| certificate.path().join(name));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server =
        PostgresServer::start(Syncs::No, &["listen_addresses=localhost", &format!("port={free}")]);
    server.encrypt(&cert, &key);
    let name = server.create_database();
    let place = |mode: &str| format!("postgres://interplay@localhost:{free}/{name}?sslmode={mode}");
    let export = |mode: &str, trusted: &Path| {
        ended(
            interplay(&["export", "--out", "/nowhere", "--database", &place(mode)])
                .env("SSL_CERT_FILE", trusted),
        )
    };
    let (_, said) = export("require", &cert);
    assert!(said.contains("no server has written there yet"), "{said}");
    let others = certificate.path().join("others.pem");
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other", "-keyout", "/dev/null"])
        .arg("-out")
        .arg(&others)
        .output()
        .unwrap();
    assert!(made.status.success());
    let (_, said) = export("require", &others);
    assert!(said.contains("SSL_CERT_FILE") && said.contains("sslmode=disable"), "{said}");
    let (_, said) = export("disable", &others);
    assert!(said.contains("no server has written there yet"), "{said}");
}
