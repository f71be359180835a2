//! Opening a data folder or a database: who may, and what is said to who may not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::mpsc;

use base::{ParticipantId, VisitId, WallTime};
use rusqlite::Connection;
use store::{DATABASE, FILE_PART, NewVisit, Reader, Store};

mod support;
use support::database::{Database, on_each_database};

on_each_database!(
    a_flush_finishes_what_was_asked_before,
    a_reader_sees_the_moment_of_its_opening_while_a_server_writes,
    a_person_has_one_visit_in_an_experiment_however_many_come_at_once,
    what_texts_show_is_kept_by_hash_and_kind_and_read_in_parts,
);

fn visit(number: u8) -> NewVisit {
    NewVisit {
        visit: VisitId::from_random([number; 16]),
        participant: ParticipantId::from_random([number; 16]),
        experiment: "tag".into(),
        experiment_sha256: "ab".into(),
        entry: serde_json::Map::new(),
        person: None,
        created: WallTime(u64::from(number)),
    }
}

fn refusal(folder: &Path) -> String {
    match Store::open(folder) {
        Ok(_) => panic!("opened"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_folder_has_one_server_until_that_lets_go_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = Store::open(folder.path()).unwrap();
    let text = refusal(folder.path());
    assert!(text.contains(&folder.path().display().to_string()), "{text}");
    assert!(text.contains("in use by another server; stop that one"), "{text}");
    first.flush().await.unwrap();
    drop(first);
    Store::open(folder.path()).unwrap().create_visit(visit(1)).await.unwrap();
}

async fn a_flush_finishes_what_was_asked_before(database: &Database) {
    let store = database.store();
    let asked: Vec<_> = (0..200)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.create_visit(visit(number)).await })
        })
        .collect();
    // Tasks of one thread run in the order of their making, so all have asked before the flush does.
    tokio::task::yield_now().await;
    store.flush().await.unwrap();
    drop(store);
    for asked in asked {
        asked.await.unwrap().unwrap();
    }
    assert_eq!(database.read(|reader| reader.visits().unwrap()).len(), 200);
}

#[tokio::test]
async fn a_database_of_a_newer_release_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    Store::open(folder.path()).unwrap().flush().await.unwrap();
    Connection::open(folder.path().join(DATABASE)).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let text = refusal(folder.path());
    assert!(text.contains("newer release (schema 99"), "{text}");
}

async fn a_reader_sees_the_moment_of_its_opening_while_a_server_writes(database: &Database) {
    let store = database.store();
    store.create_visit(visit(1)).await.unwrap();
    let (opened, is_open) = mpsc::channel();
    let (wrote, is_written) = mpsc::channel::<()>();
    let location = database.location.clone();
    let read = std::thread::spawn(move || {
        let reader = Reader::open(location).unwrap();
        opened.send(()).unwrap();
        is_written.recv().unwrap();
        reader.visits().unwrap().len()
    });
    is_open.recv().unwrap();
    store.create_visit(visit(2)).await.unwrap();
    wrote.send(()).unwrap();
    assert_eq!(read.join().unwrap(), 1);
    assert_eq!(database.read(|reader| reader.visits().unwrap()).len(), 2);
}

async fn what_texts_show_is_kept_by_hash_and_kind_and_read_in_parts(database: &Database) {
    let store = database.store();
    store.put_file("ab".into(), "png", b"0123456789".into()).await.unwrap();
    // Coming again changes nothing.
    store.put_file("ab".into(), "png", b"0123456789".into()).await.unwrap();
    store.put_file("cd".into(), "svg", Vec::new()).await.unwrap();
    let long: Vec<u8> = (0..=2 * FILE_PART).map(|number| number as u8).collect();
    store.put_file("ef".into(), "mp4", long.clone()).await.unwrap();
    database.read(|reader| {
        assert_eq!(reader.file_length("ab", "png").unwrap(), Some(10));
        assert_eq!(reader.file_length("cd", "svg").unwrap(), Some(0));
        assert_eq!(reader.file_length("ab", "svg").unwrap(), None);
        assert_eq!(reader.file_part(("ab", "png"), 0).unwrap().unwrap(), b"0123456789");
        assert_eq!(reader.file_part(("ab", "png"), 1).unwrap(), None);
        assert_eq!(reader.file_part(("cd", "svg"), 0).unwrap(), Some(Vec::new()));
        assert_eq!(reader.file_part(("ab", "svg"), 0).unwrap(), None);
        assert_eq!(reader.file_length("ef", "mp4").unwrap(), Some(2 * FILE_PART + 1));
        let parts = [0, 1, 2].map(|part| reader.file_part(("ef", "mp4"), part).unwrap().unwrap());
        assert_eq!(parts.concat(), long);
    });
}

#[test]
fn there_is_nothing_to_read_where_no_server_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let Err(error) = Reader::open(folder.path()) else { panic!("opened") };
    let text = error.to_string();
    assert!(text.contains(DATABASE) && text.contains("--data"), "{text}");
    assert!(!folder.path().join(DATABASE).exists(), "reading must not make a database");
}

async fn a_person_has_one_visit_in_an_experiment_however_many_come_at_once(database: &Database) {
    let store = database.store();
    let person = |number, experiment: &str, name: &str| NewVisit {
        experiment: experiment.into(),
        person: Some(name.into()),
        ..visit(number)
    };
    let all: Vec<_> = (1..=20)
        .map(|number| {
            let (store, new) = (store.clone(), person(number, "tag", "prolific:a"));
            tokio::spawn(async move { store.create_visit(new).await.unwrap() })
        })
        .collect();
    let mut found = Vec::new();
    for one in all {
        found.push(one.await.unwrap());
    }
    assert_eq!(found.iter().filter(|known| known.is_none()).count(), 1);
    let known: Vec<_> = found.iter().flatten().map(|known| known.visit).collect();
    assert!(known.iter().all(|visit| *visit == known[0]));
    for (number, experiment, name) in [(30, "tag", "prolific:b"), (31, "survey", "prolific:a")] {
        assert_eq!(store.create_visit(person(number, experiment, name)).await.unwrap(), None);
    }
    assert_eq!(store.create_visit(visit(32)).await.unwrap(), None);
    assert_eq!(
        store.create_visit(visit(33)).await.unwrap(),
        None,
        "without an id everybody is somebody else"
    );
}
