//! A room's task: it does what the room needs of the store, one thing after another, until nobody needs the room here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::room::replica::{Opened, Origin, Refusal, Replica, Snapshot};
use live::Unanswered;
use tokio::time::{sleep, sleep_until, timeout};

use super::room::{Next, Room, State};
use super::{Cluster, fresh_epoch};
use crate::rooms::lock;

/// After so long without an answer members are by themselves (R9).
const SILENCE: Duration = Duration::from_secs(1);

/// How long to wait before the store is asked again that has not answered.
const RETRY: Duration = Duration::from_millis(100);

/// How often a room looks by itself whether the store answers again.
const PROBE: Duration = Duration::from_secs(1);

/// Sees to a room until it is closed here.
pub(super) async fn tend(cluster: Cluster, room: Arc<Room>) {
    let mut task = Task { cluster, room, is_subscribed: false, silent: None };
    loop {
        let next = lock(&task.room.state).next(&task.cluster.shared);
        if matches!(next, Next::Close) {
            break;
        }
        task.step(next).await;
    }
    let Task { cluster, room, .. } = task;
    // Also where it was not answered that it is subscribed: it may be later.
    if let Err(error) = cluster.shared.live.unsubscribe(&room.id).await {
        tracing::debug!(room = %room.id, %error, "cannot unsubscribe");
    }
    cluster.forget(&room);
}

struct Task {
    cluster: Cluster,
    room: Arc<Room>,
    is_subscribed: bool,
    /// Since when the store has not answered.
    silent: Option<Instant>,
}

impl Task {
    async fn step(&mut self, next: Next) {
        let (live, id) = (&self.cluster.shared.live, &self.room.id);
        let asked = Instant::now();
        let is_read = matches!(next, Next::Read(_));
        let answered = match next {
            Next::Open => return self.open(asked).await,
            Next::Wait(until) => return self.wait(until).await,
            Next::Close => return,
            Next::End(epoch) => {
                let ended = live.end(id, epoch).await;
                if ended.is_ok() {
                    self.with(|state, _| state.ended(epoch));
                }
                ended
            }
            Next::Read(at) => live.read_after(id, at).await.map(|read| {
                self.refused_or(read, |state, stored, task| state.read(id, &stored, &task.shared));
            }),
            Next::Append(at, entries) => live.append(id, at, &entries).await.map(|appended| {
                self.refused_or(appended, |state, stored, task| state.apply_all(id, &stored, &task.shared));
            }),
            Next::Compact(at, snapshot) => live
                .compact(id, at, &snapshot)
                .await
                .map(|compacted| self.refused_or(compacted, |state, (), _| state.compacted())),
            Next::Probe => {
                if live.probe(id).await.is_err() {
                    // When one room is answered, all are told.
                    timeout(PROBE, self.room.work.notified()).await.ok();
                    return;
                }
                self.with(|state, _| state.reunite(id));
                self.cluster.suspect_apart();
                Ok(())
            }
        };
        match answered {
            // One that is full can be read, and takes nothing.
            Ok(()) if is_read && self.with(|state, _| state.has_pending()) => {}
            Ok(()) => self.silent = None,
            Err(error) => self.unanswered(asked, &error).await,
        }
    }

    fn with<T>(&self, does: impl FnOnce(&mut State, &Cluster) -> T) -> T {
        does(&mut lock(&self.room.state), &self.cluster)
    }

    /// Does something with an answer, or gives the replica up.
    fn refused_or<T>(&self, answer: Result<T, Refusal>, does: impl FnOnce(&mut State, T, &Cluster)) {
        let mut state = lock(&self.room.state);
        match answer {
            Ok(answer) => does(&mut state, answer, &self.cluster),
            Err(refusal) => {
                let epoch = state.seen(|replica| replica.applied().epoch);
                tracing::info!(room = %self.room.id, ?epoch, %refusal, "a room is given up; its members come back");
                let doubted = epoch.filter(|_| refusal == Refusal::Behind);
                state.give_up(doubted);
                if refusal == Refusal::Compacted {
                    state.reopen();
                }
            }
        }
    }

    async fn open(&mut self, asked: Instant) {
        let origin = self.cluster.origin();
        match self.opened(origin).await {
            Ok((replica, opened)) => {
                self.silent = None;
                self.with(|state, cluster| {
                    state.opened(&self.room.id, replica, &opened.entries, &cluster.shared);
                });
            }
            Err(Problem::Unanswered(error)) => {
                let since = *self.silent.get_or_insert(asked);
                if since.elapsed() < SILENCE {
                    return sleep(RETRY).await;
                }
                self.open_apart(origin, &error);
            }
            Err(Problem::Unreadable(error)) => {
                tracing::error!(room = %self.room.id, %error, "a room cannot be opened by this version of the program");
                self.with(|state, _| state.refuse_all());
                sleep(RETRY).await;
            }
        }
    }

    fn open_apart(&self, origin: Origin, error: &Unanswered) {
        tracing::debug!(room = %self.room.id, %error, "a room begins while Redis does not answer");
        let (rules, now) = (self.cluster.shared.limits.log, self.cluster.now());
        let replica = Replica::open_apart(origin, fresh_epoch(), rules, now);
        self.with(|state, cluster| state.opened(&self.room.id, replica, &[], &cluster.shared));
    }

    async fn opened(&mut self, origin: Origin) -> Result<(Replica, Opened), Problem> {
        let (live, id) = (&self.cluster.shared.live, &self.room.id);
        if !self.is_subscribed {
            live.subscribe(id).await?;
            self.is_subscribed = true;
        }
        let fresh = fresh_epoch();
        let nothing = Snapshot::of_nothing(fresh, self.cluster.shared.limits.log).to_bytes();
        let mut opened = live.open(id, (fresh, &nothing)).await?;
        // What came of entries is told by applying them one by one.
        let entries = std::mem::take(&mut opened.entries);
        let replica =
            Replica::open(origin, &opened).map_err(|error| Problem::Unreadable(error.to_string()))?;
        Ok((replica, Opened { entries, ..opened }))
    }

    async fn wait(&self, until: Instant) {
        tokio::select! {
            () = self.room.work.notified() => {}
            () = sleep_until(until.into()) => {}
        }
    }

    async fn unanswered(&mut self, asked: Instant, error: &Unanswered) {
        let since = *self.silent.get_or_insert(asked);
        tracing::debug!(room = %self.room.id, %error, silent = ?since.elapsed(), "Redis does not answer");
        if since.elapsed() >= SILENCE {
            self.with(|state, cluster| state.part(&self.room.id, &cluster.shared));
            // An epoch that is to be ended first keeps nobody out.
            if self.with(|state, _| state.is_waited_for()) {
                self.open_apart(self.cluster.origin(), error);
            }
        }
        sleep(RETRY).await;
    }
}

enum Problem {
    Unanswered(Unanswered),
    Unreadable(String),
}

impl From<Unanswered> for Problem {
    fn from(error: Unanswered) -> Self {
        Self::Unanswered(error)
    }
}
