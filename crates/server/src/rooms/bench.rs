//! What rooms' operations take on this machine, in this process, with the journal on a disk.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use serde_json::json;
use wire::close::CloseCode;
use wire::room::{Class, Fence, Join, MemberId, Payload, ROOM_PROTOCOL, Resume, RoomId, Send};

use super::local::{Room, Rooms};
use super::outbox::Outbox;
use super::{Claims, Limits, Right};

/// Members of each room, and messages that each misses.
const MEMBERS: usize = 10;
const MISSED: u64 = 50;

/// How long a room lives without a connection here.
const TTL: Duration = Duration::from_millis(300);

/// What one kind of operation took.
struct Measured {
    name: &'static str,
    /// The 99th percentile that it may have.
    target: Duration,
    times: Vec<Duration>,
}

impl Measured {
    fn new(name: &'static str, target: Duration) -> Self {
        Self { name, target, times: Vec::new() }
    }

    fn add<T>(&mut self, operation: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = operation();
        self.times.push(begun.elapsed());
        done
    }

    fn percentile(&self, share: f64) -> Duration {
        let last = self.times.len().saturating_sub(1);
        self.times.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
    }
}

/// Measures with so many rooms and returns the table, or one JSON object.
pub(crate) fn measure(data: &Path, rooms: usize, is_json: bool) -> anyhow::Result<String> {
    let usual = Limits::default();
    let log = room::log::LogRules { ttl: TTL, ..usual.log };
    let all = Rooms::open(data, Limits { log, ..usual }, None)?;
    let mut measured = operations(&all, rooms)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    measured.push(runtime.block_on(expiries(&all, rooms))?);
    for operation in &mut measured {
        operation.times.sort_unstable();
    }
    Ok(if is_json { as_json(&measured) } else { as_table(&measured) })
}

struct Seat {
    claims: Claims,
    fence: Fence,
    outbox: Arc<Outbox>,
}

impl Seat {
    fn join(
        all: &Rooms,
        room: &RoomId,
        member: &MemberId,
        resume: Option<Resume>,
    ) -> anyhow::Result<(Self, Arc<Room>)> {
        let rights = vec![Right::Send];
        let claims = Claims::new(room.clone(), member.clone(), rights, Duration::from_secs(3600));
        let seat = Self { claims, fence: all.accept(), outbox: Arc::default() };
        let joining = seat.request(resume)?;
        let joined = all.join(&seat.claims, &joining, seat.fence, &seat.outbox).map_err(refused)?;
        Ok((seat, joined))
    }

    fn request(&self, resume: Option<Resume>) -> anyhow::Result<Join> {
        let sender = Some("a-page".parse()?);
        Ok(Join { protocol: ROOM_PROTOCOL, token: String::new(), resume, after: None, sender })
    }
}

fn refused(code: CloseCode) -> anyhow::Error {
    anyhow!("a room refused: {}", code.reason())
}

/// Each room is filled, sent into, left for a while, come back to, and left for good.
fn operations(all: &Rooms, rooms: usize) -> anyhow::Result<Vec<Measured>> {
    let mut append = Measured::new("a message is numbered and written down", Duration::from_millis(1));
    let mut recognised = Measured::new("a return is recognised", Duration::from_millis(5));
    let mut read = Measured::new("50 missed messages are read", Duration::from_millis(10));
    let mut cleaned = Measured::new("a room is cleaned up when all have left", Duration::from_millis(100));
    let text: Arc<str> = json!("x".repeat(64)).to_string().into();
    for number in 0..rooms {
        let id: RoomId = format!("room-{number}").parse()?;
        let mut seats = Vec::new();
        for member in 0..MEMBERS {
            let (seat, room) = Seat::join(all, &id, &format!("m{member}").parse()?, None)?;
            seats.push((seat, room));
        }
        let (sender, room) = seats.first().context("there are members")?;
        let (away, _) = seats.last().context("there are members")?;
        let seen = all.info(&id).context("the room is there")?;
        all.dropped(room, &away.claims.member, away.fence);
        for n in 1..=MISSED {
            let payload = Payload::Json(Arc::clone(&text));
            let send = Send { n: Some(n), class: Class::Normal, to: None, payload, acknowledged: None };
            append.add(|| all.send(room, &sender.claims, sender.fence, send));
            while sender.outbox.take().is_some() {}
        }
        let resume = Resume::After { epoch: seen.epoch, sequence: seen.last_sequence };
        let fence = all.accept();
        let joining = away.request(Some(resume))?;
        let outbox = Arc::default();
        recognised.add(|| all.join(&away.claims, &joining, fence, &outbox)).map_err(refused)?;
        let most = (MISSED as usize, usize::MAX);
        let missed = read.add(|| all.pull(room, &away.claims.member, fence, most)).map_err(refused)?;
        anyhow::ensure!(missed.len() as u64 == MISSED, "{} messages were read", missed.len());
        for (seat, room) in &seats[1..MEMBERS - 1] {
            all.leave(room, &seat.claims.member, seat.fence);
        }
        all.leave(room, &away.claims.member, fence);
        cleaned.add(|| all.leave(room, &sender.claims.member, sender.fence));
        anyhow::ensure!(all.info(&id).is_none(), "a room that all have left is still there");
    }
    Ok(vec![append, read, recognised, cleaned])
}

/// All rooms are deserted at once; how much later than they must each is gone.
async fn expiries(all: &Rooms, rooms: usize) -> anyhow::Result<Measured> {
    let mut expired =
        Measured::new("a deserted room is cleaned up after its time", Duration::from_millis(100));
    let tending = tokio::spawn(all.clone().tend());
    let mut waiting = Vec::new();
    for number in 0..rooms {
        let id: RoomId = format!("deserted-{number}").parse()?;
        let (seat, room) = Seat::join(all, &id, &"m".parse()?, None)?;
        all.dropped(&room, &seat.claims.member, seat.fence);
        waiting.push((id, Instant::now() + TTL));
    }
    while !waiting.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
        waiting.retain(|(id, due)| {
            let is_there = all.info(id).is_some();
            if !is_there {
                expired.times.push(due.elapsed());
            }
            is_there
        });
    }
    tending.abort();
    Ok(expired)
}

fn as_table(measured: &[Measured]) -> String {
    let mut table =
        format!("{:<46}{:>8}{:>12}{:>12}{:>12}\n", "operation", "times", "p50", "p99", "target p99");
    for operation in measured {
        let times = operation.times.len();
        let [median, most] = [0.5, 0.99].map(|share| format!("{:.1?}", operation.percentile(share)));
        let target = format!("{:?}", operation.target);
        // Writing to a string cannot fail.
        writeln!(table, "{:<46}{times:>8}{median:>12}{most:>12}{target:>12}", operation.name).ok();
    }
    table
}

fn as_json(measured: &[Measured]) -> String {
    let seconds = |time: Duration| time.as_secs_f64();
    let operation = |operation: &Measured| {
        json!({
            "operation": operation.name,
            "times": operation.times.len(),
            "p50_seconds": seconds(operation.percentile(0.5)),
            "p99_seconds": seconds(operation.percentile(0.99)),
            "target_p99_seconds": seconds(operation.target),
        })
    };
    format!("{}\n", json!({"rooms": measured.iter().map(operation).collect::<Vec<_>>()}))
}
