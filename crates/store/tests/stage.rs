//! One of several nodes writes: who that is, how another takes its place, and that the one before writes nothing more (C1, C2).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use base::WallTime;
use store::{DatabaseUrl, Location, Lookout, Node, Reader, Sight, Store, StoreError, Write};
use support::postgres::{PostgresServer, Syncs};
use support::{GAME, put_a_game};
use tokio_postgres::NoTls;

/// Longer than anything takes that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

fn url(text: &str) -> DatabaseUrl {
    text.parse().unwrap()
}

fn node(name: &str) -> Node {
    let turn = Some(format!("{name}'s"));
    Node { id: name.to_owned(), address: format!("http://{name}:80"), turn }
}

/// Takes the stage, off the test's own runtime.
fn take(database: &str, name: &str) -> Result<(Store, i64), StoreError> {
    std::thread::scope(|scope| scope.spawn(|| Store::take_stage(url(database), node(name))).join().unwrap())
}

fn mark(number: u64) -> Vec<Write> {
    let at = WallTime(number);
    vec![Write::ServerEvent { game: GAME, seat: None, kind: "mark", detail: serde_json::Value::Null, at }]
}

fn marks(database: &str) -> Vec<u64> {
    let location = Location::from(url(database));
    let read = || Reader::open(location).unwrap().server_events(GAME).unwrap();
    let rows = std::thread::scope(|scope| scope.spawn(read).join().unwrap());
    rows.iter().map(|row| row.at.0).collect()
}

/// Ends the session of whoever writes, as a cut or a restart would.
async fn end_the_writers_session(database: &str) {
    let (client, connection) = tokio_postgres::connect(database, NoTls).await.unwrap();
    tokio::spawn(connection);
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks
               WHERE locktype = 'advisory' AND granted
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(client.query_one(end, &[]).await.unwrap().get::<_, i64>(0), 1);
    let gone = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while client.query_one(gone, &[]).await.unwrap().get::<_, i64>(0) > 0 {}
}

async fn see(lookout: &mut Lookout, wanted: impl Fn(&Sight) -> bool) -> Sight {
    let begun = Instant::now();
    loop {
        let sight = lookout.sight();
        if wanted(&sight) {
            return sight;
        }
        assert!(begun.elapsed() < PATIENCE, "{sight:?}");
        lookout.looked().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_place_was_taken_writes_nothing_more_even_when_the_stage_is_free_again() {
    let database = PostgresServer::shared().database();
    let (first, one) = take(&database, "a").unwrap();
    put_a_game(&first).await;
    first.apply(mark(1)).await.unwrap();
    assert!(matches!(take(&database, "b"), Err(StoreError::DatabaseInUse { .. })));
    end_the_writers_session(&database).await;
    let (second, two) = take(&database, "b").unwrap();
    assert_eq!(two, one + 1);
    second.apply(mark(2)).await.unwrap();
    // What it would write now, and what it would write when the other has gone.
    assert!(matches!(first.apply(mark(3)).await, Err(StoreError::Superseded)));
    first.superseded().await;
    second.leave().await.unwrap();
    assert!(matches!(first.apply(mark(4)).await, Err(StoreError::Superseded)));
    assert!(matches!(first.flush().await, Err(StoreError::Superseded)));
    assert_eq!(marks(&database), [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_cut_off_while_another_had_the_stage_does_not_go_on() {
    let database = PostgresServer::shared().database();
    let (first, _) = take(&database, "a").unwrap();
    put_a_game(&first).await;
    end_the_writers_session(&database).await;
    let (second, _) = take(&database, "b").unwrap();
    second.leave().await.unwrap();
    // The lock is free, and yet it is not this one's any more.
    assert!(matches!(first.apply(mark(1)).await, Err(StoreError::Superseded)));
    assert!(marks(&database).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_alone_in_between_counts_too() {
    let database = PostgresServer::shared().database();
    let (first, _) = take(&database, "a").unwrap();
    put_a_game(&first).await;
    assert!(matches!(Store::open(url(&database)), Err(StoreError::DatabaseInUse { .. })));
    end_the_writers_session(&database).await;
    let alone = Store::open(url(&database)).unwrap();
    assert!(matches!(take(&database, "b"), Err(StoreError::DatabaseInUse { .. })));
    alone.apply(mark(1)).await.unwrap();
    drop(alone);
    assert!(matches!(first.apply(mark(2)).await, Err(StoreError::Superseded)));
    assert_eq!(marks(&database), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_goes_on_when_its_session_was_lost_and_nobody_has_taken_its_place() {
    let mut server = PostgresServer::start(Syncs::No, &["listen_addresses="]);
    let database = server.database();
    let (store, _) = take(&database, "a").unwrap();
    put_a_game(&store).await;
    end_the_writers_session(&database).await;
    store.apply(mark(1)).await.unwrap();
    // Everything that the database server had in its memory is gone, the locks too.
    server.kill();
    server.start_again();
    store.apply(mark(2)).await.unwrap();
    assert!(matches!(take(&database, "b"), Err(StoreError::DatabaseInUse { .. })));
    assert_eq!(marks(&database), [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_leaves_at_once_and_all_that_was_asked_before_is_durable() {
    let database = PostgresServer::shared().database();
    let (first, _) = take(&database, "a").unwrap();
    put_a_game(&first).await;
    let waiting: Vec<_> = (0..300)
        .map(|number| {
            let store = first.clone();
            tokio::spawn(async move { store.apply(mark(number)).await })
        })
        .collect();
    first.apply(mark(300)).await.unwrap();
    first.leave().await.unwrap();
    let (_second, _) = take(&database, "b").unwrap();
    let mut written = 1;
    for waiting in waiting {
        match waiting.await.unwrap() {
            Ok(()) => written += 1,
            Err(error) => assert!(matches!(error, StoreError::Superseded), "{error}"),
        }
    }
    assert_eq!(marks(&database).len(), written);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_see_who_has_the_stage_and_which_of_them_live() {
    let database = PostgresServer::shared().database();
    let mut lookouts = ["a", "b"].map(|name| {
        let database = database.clone();
        std::thread::spawn(move || Lookout::start(url(&database), node(name)).unwrap()).join().unwrap()
    });
    see(&mut lookouts[1], |sight| sight.is_free).await;
    let (store, number) = take(&database, "a").unwrap();
    let sight = see(&mut lookouts[1], |sight| sight.holder.is_some() && sight.nodes.len() == 2).await;
    let holder = sight.holder.unwrap();
    assert_eq!((holder.0, holder.1.address.as_str(), sight.is_free), (number, "http://a:80", false));
    assert_eq!(sight.nodes, [node("a"), node("b")]);
    store.leave().await.unwrap();
    let begun = Instant::now();
    see(&mut lookouts[1], |sight| sight.is_free && sight.holder.is_none()).await;
    println!("noticed {:?} after the stage was left", begun.elapsed());
    drop(Store::open(url(&database)).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_does_not_say_that_it_lives_is_ended_and_a_slow_one_is_not() {
    let database = PostgresServer::shared().database();
    // It has no lookout, as when its process hangs.
    let (hung, _) = take(&database, "a").unwrap();
    put_a_game(&hung).await;
    let mut lookout = {
        let database = database.clone();
        std::thread::spawn(move || Lookout::start(url(&database), node("b")).unwrap()).join().unwrap()
    };
    let begun = Instant::now();
    see(&mut lookout, |sight| sight.holder.is_some()).await;
    see(&mut lookout, |sight| sight.is_free).await;
    let took = begun.elapsed();
    println!("ended after {took:?}");
    assert!(took > Duration::from_secs(8) && took < Duration::from_secs(13), "{took:?}");
    let (second, _) = take(&database, "b").unwrap();
    assert!(matches!(hung.apply(mark(1)).await, Err(StoreError::Superseded)));
    // With its lookout it may be silent for as long as it likes.
    tokio::time::sleep(Duration::from_secs(11)).await;
    second.apply(mark(2)).await.unwrap();
    assert_eq!(marks(&database), [2]);
}
