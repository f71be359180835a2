//! Tells the study's own server when visits have ended (S5): the webhook of an experiment.
//!
//! An event is written in the commit that ends the visit, and stays in the store until the study's server has answered that
//! it got it: each is told at least once, also when this process is killed, and carries a number by which repeats are known.
//! By then everything is durable that the participant was promised to be.

use std::ops::Not;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base::WallTime;
use metrics::gauge;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::{Store, VisitEvent};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::{sleep, timeout};
use wire::control::VisitEnding;

use crate::experiment::WEB_ADDRESS;
use crate::stage::wall_time;
use crate::token::WebhookSecret;
use crate::webhook::{Backoff, Caller};

/// The most events of one request.
const BATCH: u32 = 100;

/// Who has left in mid-game may still be sending; after so long nobody waits for that any more (X3).
const LAST_RECORDS: Duration = Duration::from_secs(10);

/// How long to wait when the store cannot be read.
const AGAIN: Duration = Duration::from_secs(1);

/// Where a study wants to hear of visits that have ended.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompletionWebhook {
    /// The address that is told.
    #[schemars(regex(pattern = WEB_ADDRESS))]
    pub url: String,
    /// Whether it is told who platforms say that participants are (`PROLIFIC_PID` and the like).
    #[serde(default)]
    pub with_platform_ids: bool,
}

/// The way there.
#[derive(Clone)]
pub(crate) struct Completions {
    shared: Arc<Shared>,
    /// Its task; none within that.
    task: Option<AbortHandle>,
}

struct Shared {
    store: Store,
    data: PathBuf,
    experiment: String,
    webhook: RwLock<Option<CompletionWebhook>>,
    wake: Notify,
}

/// An event as the study's server gets it.
#[derive(Serialize)]
struct Told<'a> {
    id: String,
    r#type: &'static str,
    experiment: &'a str,
    visit: String,
    participant: String,
    ending: VisitEnding,
    /// The participant's data are deleted: whoever has some is to delete them too.
    #[serde(skip_serializing_if = "Not::not")]
    deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect: Option<&'a str>,
    /// Milliseconds since the Unix epoch.
    time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<&'a Map<String, Value>>,
}

#[derive(Serialize)]
struct Body<'a> {
    events: Vec<Told<'a>>,
}

/// Until when an event waits for what its participant may still be sending.
pub(crate) fn due(ending: VisitEnding, at: WallTime) -> WallTime {
    let wait = if ending == VisitEnding::Withdrawn { LAST_RECORDS } else { Duration::ZERO };
    WallTime(at.0.saturating_add(wait.as_millis() as u64))
}

impl Completions {
    /// Begins to tell, first what was not told before this process.
    ///
    /// # Errors
    /// When the study's server could not be told anything from here.
    pub(crate) fn start(
        store: Store,
        data: &Path,
        experiment: &str,
        webhook: Option<CompletionWebhook>,
    ) -> anyhow::Result<Self> {
        if let Some(webhook) = &webhook {
            Caller::new(WebhookSecret::open(data)?).check(&webhook.url)?;
        }
        let (data, experiment) = (data.to_owned(), experiment.to_owned());
        let shared = Shared { store, data, experiment, webhook: RwLock::new(webhook), wake: Notify::new() };
        let shared = Arc::new(shared);
        let task = tokio::spawn(Self { shared: Arc::clone(&shared), task: None }.tell());
        Ok(Self { shared, task: Some(task.abort_handle()) })
    }

    /// Tells no more. What was not told is told by whoever begins next.
    pub(crate) fn stop(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }

    /// Another version of the experiment may have another address.
    pub(crate) fn set_webhook(&self, webhook: Option<CompletionWebhook>) {
        *self.shared.webhook.write().unwrap_or_else(PoisonError::into_inner) = webhook;
        self.wake();
    }

    fn webhook(&self) -> Option<CompletionWebhook> {
        self.shared.webhook.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether anybody wants to hear of visits.
    pub(crate) fn are_wanted(&self) -> bool {
        self.webhook().is_some()
    }

    /// Whether it is told who platforms say that participants are: then it is also told whose data to delete.
    pub(crate) fn tell_who(&self) -> bool {
        self.webhook().is_some_and(|webhook| webhook.with_platform_ids)
    }

    /// There is something new to tell.
    pub(crate) fn wake(&self) {
        self.shared.wake.notify_one();
    }

    async fn tell(self) {
        let Shared { store, data, experiment, wake, .. } = &*self.shared;
        if !self.tell_who()
            && let Err(error) = store.tell_of_nobody(experiment.clone()).await
        {
            tracing::error!(%error, "who is forgotten may still be written down for the study's own server");
        }
        let (mut caller, mut pauses) = (None, Backoff::default());
        loop {
            // Looked up each time: a wrong address may have been mended.
            let Some(webhook) = self.webhook() else {
                wake.notified().await;
                continue;
            };
            if caller.is_none() {
                caller = WebhookSecret::open(data).map(Caller::new).ok();
            }
            let found = store.visit_events(experiment.clone(), wall_time(), BATCH).await;
            let (Some(caller), Ok(found)) = (&caller, found) else {
                tracing::error!(
                    "cannot read whom to tell of visits that have ended, or the webhooks' secret; trying again"
                );
                sleep(AGAIN).await;
                continue;
            };
            gauge!("interplay_visit_events_waiting").set(f64::from(found.waiting));
            if found.due.is_empty() {
                let until = found.next.map_or(Duration::MAX, |next| {
                    Duration::from_millis(next.0.saturating_sub(wall_time().0) + 1)
                });
                timeout(until, wake.notified()).await.ok();
                continue;
            }
            // Read anew for each attempt: somebody may be forgotten in between.
            let (id, body) = message(experiment, &found.due, webhook.with_platform_ids);
            let (caller, mut own) = (caller.clone(), pauses);
            let told = spawn_blocking(move || {
                let told = caller.tell(&webhook.url, &id, &body, &mut own);
                (told, own)
            });
            let Ok((told, after)) = told.await else { return };
            pauses = after;
            if let Err(pause) = told {
                sleep(pause).await;
                continue;
            }
            pauses = Backoff::default();
            let ids: Vec<_> = found.due.iter().map(|event| event.id).collect();
            while let Err(error) = store.visit_events_were_told(ids.clone()).await {
                tracing::error!(%error, "cannot write down that a webhook was answered; trying again");
                sleep(AGAIN).await;
            }
        }
    }
}

fn message(experiment: &str, events: &[VisitEvent], with_platform_ids: bool) -> (String, String) {
    // A redirect may have platforms' ids in it too.
    let exit = |event: &VisitEvent| {
        let value = |name: &str| event.entry.get(name).filter(|_| with_platform_ids);
        event.exit.clone().map(|exit| room::with_entry(exit, value)).unwrap_or_default()
    };
    let exits: Vec<_> = events.iter().map(exit).collect();
    let told = events.iter().zip(&exits).map(|(event, exit)| Told {
        id: event.id.to_string(),
        r#type: "visit_ended",
        experiment,
        visit: event.visit.to_string(),
        participant: event.participant.to_string(),
        ending: event.ending,
        deleted: event.is_deleted,
        code: exit.code.as_deref(),
        redirect: exit.redirect.as_deref(),
        time: event.at.0,
        entry: with_platform_ids.then_some(&event.entry),
    });
    // Names, numbers and words: there is nothing in it that cannot be written.
    let body = serde_json::to_string(&Body { events: told.collect() }).unwrap_or_default();
    let numbers = events.first().zip(events.last()).map(|(first, last)| (first.id, last.id));
    let (first, last) = numbers.unwrap_or_default();
    (format!("visits-{first}-{last}"), body)
}

#[cfg(test)]
mod tests {
    use base::{ParticipantId, VisitId};
    use wire::control::Exit;

    use super::*;

    #[test]
    fn platforms_ids_are_told_only_where_they_are_wanted() {
        let redirect = Some("https://a.example/?pid={{ PROLIFIC_PID }}&c=fast".to_owned());
        let event = VisitEvent {
            id: 7,
            visit: VisitId::from_random([1; 16]),
            participant: ParticipantId::from_random([2; 16]),
            entry: serde_json::from_str(r#"{"PROLIFIC_PID": "5f3a"}"#).unwrap(),
            is_deleted: false,
            ending: VisitEnding::Completed,
            exit: Some(Exit { code: None, redirect }),
            at: WallTime(1),
        };
        let told = |with_platform_ids| {
            let (id, body) = message("study", std::slice::from_ref(&event), with_platform_ids);
            assert_eq!(id, "visits-7-7");
            serde_json::from_str::<Value>(&body).unwrap()["events"][0].clone()
        };
        let (with, without) = (told(true), told(false));
        assert_eq!(with["redirect"], "https://a.example/?pid=5f3a&c=fast");
        assert_eq!(with["entry"]["PROLIFIC_PID"], "5f3a");
        assert_eq!(without["redirect"], "https://a.example/?pid=&c=fast");
        assert!(!without.to_string().contains("5f3a"), "{without}");
    }
}
