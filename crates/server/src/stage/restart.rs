//! Going on where the folder's last server was ended, however that happened (P6).

use std::collections::BTreeMap;
use std::time::Duration;

use base::WallTime;
use room::Counted;
use serde_json::json;
use store::{InCondition, LiveGame, StoreError, Write};

use super::{Task, wall_time};

fn since(earlier: WallTime, later: WallTime) -> Duration {
    Duration::from_millis(later.0.saturating_sub(earlier.0))
}

impl Task {
    /// Counts the visits that had got a condition, so that the next ones are balanced with them (S1).
    pub(super) async fn restore_conditions(&mut self) -> Result<(), StoreError> {
        let now = wall_time();
        let counted = self.context.store.in_conditions(self.context.experiment.clone()).await?;
        let counted = counted.into_iter().map(|InCondition { visit, condition, ended, changed }| Counted {
            visit,
            condition,
            ended,
            idle: since(changed, now),
        });
        self.stager.restore_conditions(counted, self.now());
        Ok(())
    }

    /// Takes up the games that were on. One that cannot be taken up is over; its visits learn of it when they come.
    pub(super) async fn restore_games(&mut self) -> Result<(), StoreError> {
        let live = self.context.store.live_games().await?;
        let now = wall_time();
        let mut writes = Vec::new();
        for LiveGame { game, experiment, state, saved, seats } in live.games {
            let alive = live.alive.map_or(saved, |alive| alive.max(saved));
            let (lived, down) = (since(saved, alive), since(alive, now));
            let restored = if experiment == self.context.experiment {
                let mut visits = BTreeMap::new();
                for &visit in seats.iter().flatten() {
                    visits.insert(visit, self.restored(visit).await?.unwrap_or_default());
                }
                self.stager.restore(&state, visits, lived, self.now()).map_err(|error| error.to_string())
            } else {
                Err(format!("it belongs to the experiment {experiment:?}"))
            };
            match restored {
                Ok(()) => {
                    tracing::info!(%game, ?down, "a game goes on");
                    self.lanes.add_game(game, seats);
                    let detail = json!({ "downMs": u64::try_from(down.as_millis()).unwrap_or(u64::MAX) });
                    let kind = "server_restarted";
                    writes.push(Write::ServerEvent { game, seat: None, kind, detail, at: now });
                    // As if it had been saved so much later as the server was away: that time never counts, should this
                    // server be killed before the game is saved again.
                    let at = WallTime(saved.0.saturating_add(down.as_millis() as u64));
                    writes.push(Write::SaveGame { game, state: Some(state), at });
                }
                Err(error) => {
                    tracing::warn!(%game, %error, "a game that was on cannot go on");
                    writes.push(Write::SaveGame { game, state: None, at: now });
                }
            }
        }
        if !writes.is_empty() {
            self.context.store.apply(writes).await?;
        }
        self.beat();
        Ok(())
    }

    /// Writes down that this server is alive, if that is of use to a next one.
    pub(super) fn beat(&self) {
        if self.stager.counts().1 > 0 {
            self.context.store.beat(wall_time());
        }
    }
}
