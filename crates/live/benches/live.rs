//! What an append of a room's message costs: how long it takes, how many a second there are, how long the server is
//! busy with each, and how much memory rooms take there.

#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![allow(missing_docs, reason = "criterion's macros make items without docs")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use base::Timestamp;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::join_all;
use live::Live;
use room::log::{Draft, LogRules};
use room::replica::{Command, Entry, NodeId, Opened, Origin, Replica, Snapshot};
use support::server::Server;
use support::{Node, epoch, room};
use tokio::runtime::Runtime;
use wire::room::{Class, MemberId, Payload, RoomId};

/// How many rooms are appended to at once.
const ROOMS: usize = 64;

/// A room's replica, with which it is written as a server would write it.
struct Writer {
    live: Live,
    room: RoomId,
    replica: Replica,
}

fn draft(bytes: usize) -> Draft {
    Draft { to: None, class: Class::Normal, payload: Payload::Binary(vec![7; bytes].into()) }
}

impl Writer {
    async fn begin(live: &Live) -> Self {
        let (live, room, epoch) = (live.clone(), room(), epoch(1));
        let fresh = Snapshot::of_nothing(epoch, LogRules::default()).to_bytes();
        let opened: Opened = live.open(&room, (epoch, &fresh)).await.unwrap();
        let replica = Replica::open(Origin { node: NodeId(u64::MAX / 3), opening: 1 }, &opened).unwrap();
        Self { live, room, replica }
    }

    async fn write(&mut self, command: Command) {
        self.replica.propose(command);
        let pending: Vec<Entry> = self.replica.pending().iter().cloned().collect();
        let stored = self.live.append(&self.room, self.replica.known(), &pending).await.unwrap().unwrap();
        for stored in &stored {
            self.replica.apply(stored);
        }
    }

    async fn join(&mut self, number: u64) {
        let member: MemberId = format!("member-{number:08}").parse().unwrap();
        let fence = self.replica.fence(Timestamp::from_millis(1_700_000_000_000), None);
        let sender = Some(format!("sender-{number:08}").parse().unwrap());
        self.write(Command::Join { member, fence, resume: None, after: None, sender }).await;
    }

    async fn send(&mut self, bytes: usize) {
        self.write(Command::Publish { draft: draft(bytes) }).await;
    }

    async fn compact(&self) {
        let snapshot = self.replica.snapshot().to_bytes();
        self.live.compact(&self.room, self.replica.applied(), &snapshot).await.unwrap().unwrap();
    }

    async fn end(&self) {
        self.live.end(&self.room, self.replica.applied().epoch).await.unwrap();
    }

    fn memory(&self, server: &Server) -> i64 {
        let keys = server.keys(&format!("{{{}}}", self.room));
        keys.iter().map(|key| server.number(&["MEMORY", "USAGE", key, "SAMPLES", "0"])).sum()
    }
}

/// Prints what rooms take of the server's memory.
async fn memory(live: &Live, server: &Server) {
    let mut room = Writer::begin(live).await;
    println!("memory of an empty room: {} bytes", room.memory(server));
    for _ in 0..50 {
        room.send(200).await;
    }
    println!("memory of a room with 50 messages of 200 bytes: {} bytes", room.memory(server));
    room.compact().await;
    println!("the same, with a snapshot that has them too: {} bytes", room.memory(server));
    room.end().await;
    let mut room = Writer::begin(live).await;
    room.join(0).await;
    room.compact().await;
    let one = room.memory(server);
    for number in 1..64 {
        room.join(number).await;
    }
    let joins = room.memory(server);
    println!("memory of a member's join, in the log: {} bytes", (joins - one) / 63);
    room.compact().await;
    println!("memory of a member, in log and snapshot: {} bytes", (room.memory(server) - one) / 63);
    room.end().await;
}

fn usec_per_script(server: &Server) -> String {
    let stats = server.text(&["INFO", "commandstats"]);
    let line = stats.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap_or_default();
    line.split(',').find(|field| field.starts_with("usec_per_call")).unwrap_or_default().to_owned()
}

fn appends(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let server = Server::start(&[]);
    let node = runtime.block_on(Node::of(&server.url()));
    runtime.block_on(memory(&node.live, &server));
    let mut group = criterion.benchmark_group("live");
    group.measurement_time(Duration::from_secs(3));

    let mut room = runtime.block_on(Writer::begin(&node.live));
    runtime.block_on(node.live.subscribe(&room.room)).unwrap();
    server.say(&["CONFIG", "RESETSTAT"]);
    group.bench_function("append", |bencher| {
        bencher.iter_custom(|turns| {
            runtime.block_on(async {
                let begun = Instant::now();
                for turn in 0..turns {
                    room.send(64).await;
                    if turn % 256 == 255 {
                        room.compact().await;
                    }
                }
                begun.elapsed()
            })
        });
    });
    println!("scripts of one room after another: {}", usec_per_script(&server));

    let mut rooms = runtime.block_on(async { join_all((0..ROOMS).map(|_| Writer::begin(&node.live))).await });
    server.say(&["CONFIG", "RESETSTAT"]);
    group.throughput(Throughput::Elements(ROOMS as u64));
    group.bench_function("append/64 rooms", |bencher| {
        bencher.iter_custom(|turns| {
            runtime.block_on(async {
                let begun = Instant::now();
                let writers = rooms.drain(..).map(|mut room| {
                    tokio::spawn(async move {
                        for turn in 0..turns {
                            room.send(64).await;
                            if turn % 256 == 255 {
                                room.compact().await;
                            }
                        }
                        room
                    })
                });
                let written = join_all(writers.collect::<Vec<_>>()).await;
                rooms.extend(written.into_iter().map(Result::unwrap));
                begun.elapsed()
            })
        });
    });
    println!("scripts of {ROOMS} rooms at once: {}", usec_per_script(&server));
    group.finish();
}

criterion_group!(benches, appends);
criterion_main!(benches);
