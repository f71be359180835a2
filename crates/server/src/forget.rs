//! `interplay forget`: deletes everything that was written down of a person (D5). While a server is serving from the folder,
//! it is the server that does it: somebody who is on the way must hear of it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use base::VisitId;
use serde::{Deserialize, Serialize};
use store::{Belongings, DatabaseUrl, Forget, Location, Store, StoreError};
use utoipa::ToSchema;

use crate::routes::{ForgetRequest, names};
use crate::scrubber::scrub;
use crate::stage::wall_time;
use crate::token;

/// How long a running server may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was deleted.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = ForgetAnswer)]
pub(crate) struct Total {
    /// The visits.
    #[schema(value_type = Vec<String>)]
    visits: Vec<VisitId>,
    /// Answers to questions.
    answers: u64,
    /// Games that are gone, with all that was recorded of them.
    games: u64,
    /// Games with others, which stay: what the forgotten one's own pages recorded is gone.
    games_with_others: u64,
    /// Games that are still on: what is recorded of them goes when they are over.
    games_on: u64,
    /// Nothing is left in SQLite's files any more; else it will be when nobody reads, and at the next start at the latest.
    is_scrubbed: bool,
}

impl Total {
    /// Forgets a visit more, of which this was there `before`.
    pub(crate) async fn forget(
        &mut self,
        store: &Store,
        (visit, before): (VisitId, Belongings),
        forget: Forget,
    ) -> Result<(), StoreError> {
        store.forget(visit, forget, wall_time()).await?;
        let now = store.belongings(visit).await?;
        self.visits.push(visit);
        self.answers += before.answers;
        self.games += before.seats.saturating_sub(now.seats);
        self.games_with_others += now.seats.saturating_sub(now.on);
        self.games_on += now.on;
        Ok(())
    }

    pub(crate) fn set_scrubbed(&mut self, is_scrubbed: bool) {
        self.is_scrubbed = is_scrubbed;
    }

    fn words(&self) -> String {
        let count = |count: u64, one: &str| match count {
            1 => format!("1 {one}"),
            _ => format!("{count} {one}s"),
        };
        let mut words = format!(
            "Deleted: {}, {}, {}.",
            count(self.visits.len() as u64, "visit"),
            count(self.answers, "answer"),
            count(self.games, "game")
        );
        if self.games_with_others > 0 {
            let visits: Vec<_> = self.visits.iter().map(ToString::to_string).collect();
            words += &format!(
                "\n{} with others stay, with the inputs of everyone who played and without a name to these. To delete them, too:\n  \
                 interplay forget {} --with-games",
                count(self.games_with_others, "game"),
                visits.join(" --with-games\n  interplay forget ")
            );
        }
        if self.games_on > 0 {
            words += &format!("\nStill on, and cleaned up when over: {}.", count(self.games_on, "game"));
        }
        if !self.is_scrubbed {
            words += "\nSomebody is reading the database: its log is emptied when that is over, or when the server is started again.";
        }
        words + "\nBackups, and tables that were exported before, are yours to clean up."
    }
}

/// Forgets a person.
///
/// # Errors
/// When nobody has this id, or the data cannot be used; in words for the person at the terminal.
pub(crate) fn forget(
    data: &Path,
    database: Option<DatabaseUrl>,
    id: &str,
    with_games: bool,
    is_json: bool,
) -> anyhow::Result<()> {
    if database.is_none() && !data.join(store::DATABASE).is_file() {
        bail!(
            "{} has no {}; give the folder that data was kept in with --data",
            data.display(),
            store::DATABASE
        );
    }
    let place = database.map_or_else(|| Location::from(data), Location::Postgres);
    let found = match (Store::open(&place), serving(data)) {
        (Ok(store), _) => here(&store, id, with_games)?,
        (Err(StoreError::InUse { .. } | StoreError::DatabaseInUse { .. }), Some(server)) => {
            there(server, data, id, with_games)?
        }
        (Err(error), _) => return Err(error.into()),
    };
    let Some(total) = found else {
        bail!(
            "nobody in {} has the id {id:?}; it is a platform's (like PROLIFIC_PID), a participant's or a visit's",
            data.display()
        );
    };
    if is_json {
        println!("{}", serde_json::to_string(&total)?);
    } else {
        println!("{}", total.words());
    }
    Ok(())
}

/// Where a server listens that has the data folder.
fn serving(data: &Path) -> Option<SocketAddr> {
    if let Err(StoreError::InUse { server, .. }) = store::lock(data) { server } else { None }
}

/// No server is running: the data are ours.
fn here(store: &Store, id: &str, games: bool) -> anyhow::Result<Option<Total>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let visits = store.visits_of(names(id)).await?;
        if visits.is_empty() {
            return Ok(None);
        }
        let mut found = Vec::with_capacity(visits.len());
        for visit in visits {
            found.push((visit, store.belongings(visit).await?));
        }
        if found.iter().any(|(_, before)| before.on > 0) {
            bail!("this person sits in a game that was on when the server ended; start it again, and forget then");
        }
        let mut total = Total::default();
        for visit in found {
            total.forget(store, visit, Forget { progress: true, games, tells_who: false }).await?;
        }
        total.set_scrubbed(scrub(store).await?);
        Ok(Some(total))
    })
}

/// Asks the server that is running.
fn there(server: SocketAddr, data: &Path, id: &str, with_games: bool) -> anyhow::Result<Option<Total>> {
    let key = token::api_key(data)?;
    // It may listen everywhere; here is where it surely does.
    let ip = if server.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { server.ip() };
    let server = SocketAddr::new(ip, server.port());
    let agent =
        ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false).build();
    let request = ForgetRequest { id: id.to_owned(), with_games };
    let mut answer = agent
        .new_agent()
        .post(format!("http://{server}/api/v1/forget"))
        .header("authorization", format!("Bearer {key}"))
        .send_json(request)
        .with_context(|| format!("the server at {server} has the data folder, and does not answer"))?;
    match answer.status().as_u16() {
        200 => {
            let total: Total = answer.body_mut().read_json().context("the server's answer cannot be read")?;
            Ok(Some(total).filter(|total| !total.visits.is_empty()))
        }
        status => {
            let words = answer.body_mut().read_to_string().unwrap_or_default();
            bail!("the server at {server} did not do it ({status}): {words}");
        }
    }
}
