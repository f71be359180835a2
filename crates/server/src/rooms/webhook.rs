//! Tells an application's own server what becomes of members: webhooks, signed as standardwebhooks.com describes.
//!
//! An event is in the journal before anybody hears of what it tells, and until the application has answered that it
//! got it. Events are told in order, several at a time when they come faster than they are answered, and again until
//! they are: each at least once, also when this process is killed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use base::WallTime;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use metrics::{counter, gauge};
use serde::{Deserialize, Serialize};
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use wire::room::{MemberId, Presence, RoomId};

use super::journal::{Journal, Record};
use crate::stage::wall_time;
use crate::token::WebhookSecret;

/// The most events of one request.
const BATCH: usize = 100;

/// The most events that wait; the oldest are lost when an application is away for so long.
const WAITING: usize = 100_000;

/// How long the application may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait before telling again, doubled each time up to the most.
const BACKOFF: Duration = Duration::from_millis(500);
const BACKOFF_MOST: Duration = Duration::from_secs(60);

/// Where an application wants to hear of members.
#[derive(Clone)]
pub(crate) struct Webhook {
    pub(crate) url: String,
    pub(crate) secret: WebhookSecret,
}

/// Something became of a member.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Event {
    pub(super) id: u64,
    pub(super) member: MemberId,
    pub(super) presence: Presence,
    pub(super) at: WallTime,
}

/// An event as the application gets it.
#[derive(Serialize)]
struct Told<'a> {
    id: String,
    r#type: &'static str,
    room: &'a RoomId,
    member: &'a MemberId,
    /// Milliseconds since the Unix epoch.
    time: u64,
}

#[derive(Serialize)]
struct Body<'a> {
    events: Vec<Told<'a>>,
}

/// What the application has not heard yet.
pub(super) struct Events {
    journal: Arc<Journal>,
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

struct Waiting {
    events: VecDeque<(RoomId, Event)>,
    next: u64,
}

impl Events {
    /// Begins to tell, first what was not told before this process. `next` is greater than the id of any event.
    pub(super) fn start(
        webhook: Webhook,
        journal: Arc<Journal>,
        waiting: BTreeMap<u64, (RoomId, Event)>,
        next: u64,
    ) -> anyhow::Result<Arc<Self>> {
        let waiting = Waiting { events: waiting.into_values().collect(), next };
        let events = Arc::new(Self { journal, waiting: Mutex::new(waiting), wake: Condvar::new() });
        let (endpoint, own) = (Endpoint::new(webhook)?, Arc::clone(&events));
        // It waits for another machine, and for as long as that takes: a thread of its own, which ends with the process.
        let thread = std::thread::Builder::new().name("webhook".to_owned());
        thread.spawn(move || own.deliver(&endpoint)).context("cannot start a thread")?;
        Ok(events)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something became of members: it is written down together with `records` of the room, which say why.
    pub(super) fn tell(
        &self,
        room: &RoomId,
        became: &[(&MemberId, Presence)],
        at: WallTime,
        mut records: Vec<Record>,
    ) -> anyhow::Result<()> {
        let mut waiting = self.lock();
        for &(member, presence) in became {
            let event = Event { id: waiting.next, member: member.clone(), presence, at };
            waiting.next += 1;
            records.push(Record::Event(event.clone()));
            waiting.events.push_back((room.clone(), event));
            if waiting.events.len() > WAITING {
                waiting.events.pop_front();
                counter!("interplay_webhook_lost_total").increment(1);
            }
        }
        // Before anybody can be told; a journal that fails ends rooms, and the application hears of it all the same.
        let written = self.journal.write(room, &records);
        gauge!("interplay_webhook_waiting").set(waiting.events.len() as f64);
        drop(waiting);
        self.wake.notify_one();
        written
    }

    /// Writes down again what waits, for a journal that begins another file.
    pub(super) fn write_whole(&self) -> anyhow::Result<()> {
        let waiting = self.lock();
        let told = waiting.events.front().map_or(waiting.next, |(_, event)| event.id) - 1;
        self.journal.write_events(told, waiting.events.iter())
    }

    fn deliver(&self, endpoint: &Endpoint) {
        loop {
            let batch = self.batch();
            let mut pause = BACKOFF;
            while let Err(error) = endpoint.post(&batch) {
                counter!("interplay_webhook_requests_total", "result" => "failed").increment(1);
                tracing::warn!(%error, url = %endpoint.webhook.url, again_in = ?pause, "a webhook was not answered");
                std::thread::sleep(pause);
                pause = (pause * 2).min(BACKOFF_MOST);
            }
            counter!("interplay_webhook_requests_total", "result" => "answered").increment(1);
            self.told(&batch);
        }
    }

    /// The next events, as soon as there are some.
    fn batch(&self) -> Vec<(RoomId, Event)> {
        let idle = |waiting: &mut Waiting| waiting.events.is_empty();
        let waiting = self.wake.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        waiting.events.iter().take(BATCH).cloned().collect()
    }

    fn told(&self, batch: &[(RoomId, Event)]) {
        let Some((room, last)) = batch.last() else { return };
        let mut waiting = self.lock();
        let waits = waiting.events.partition_point(|(_, event)| event.id <= last.id);
        waiting.events.drain(..waits);
        self.journal.write(room, &[Record::Told { event: last.id }]).ok();
        gauge!("interplay_webhook_waiting").set(waiting.events.len() as f64);
    }
}

/// The application's end.
struct Endpoint {
    webhook: Webhook,
    agent: ureq::Agent,
}

impl Endpoint {
    fn new(webhook: Webhook) -> anyhow::Result<Self> {
        // Who is believed is the system's to say: an application may have a certificate of its organisation's own.
        let found = rustls_native_certs::load_native_certs().certs;
        ensure!(
            !(found.is_empty() && webhook.url.starts_with("https:")),
            "this system has no root certificates, so that {} cannot be believed; install ca-certificates",
            webhook.url
        );
        let roots: Vec<_> = found.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .root_certs(RootCerts::new_with_certs(&roots))
            .build();
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(PATIENCE))
            .max_redirects(0)
            .build()
            .into();
        Ok(Self { webhook, agent })
    }

    fn post(&self, batch: &[(RoomId, Event)]) -> anyhow::Result<()> {
        let told = batch.iter().map(|(room, event)| Told {
            id: event.id.to_string(),
            r#type: match event.presence {
                Presence::Joined => "member.joined",
                Presence::Dropped => "member.dropped",
                Presence::Returned => "member.returned",
                Presence::Left => "member.left",
            },
            room,
            member: &event.member,
            time: event.at.0,
        });
        let body = serde_json::to_string(&Body { events: told.collect() })?;
        let (first, last) = batch.first().zip(batch.last()).context("there are events")?;
        // The same for the same events, however often they are told.
        let id = format!("{}-{}", first.1.id, last.1.id);
        let timestamp = wall_time().0 / 1000;
        let signature = self.webhook.secret.sign(&format!("{id}.{timestamp}.{body}"))?;
        let request = self.agent.post(&self.webhook.url).header("content-type", "application/json");
        let request = request.header("webhook-id", id).header("webhook-timestamp", timestamp.to_string());
        let answer = request.header("webhook-signature", format!("v1,{signature}")).send(body)?;
        ensure!(answer.status().is_success(), "it answered {}", answer.status());
        Ok(())
    }
}

impl WebhookSecret {
    /// HMAC-SHA256, in base64.
    fn sign(&self, text: &str) -> anyhow::Result<String> {
        let key = EncodingKey::from_secret(self.bytes());
        let signature = jsonwebtoken::crypto::sign(text.as_bytes(), &key, Algorithm::HS256)?;
        Ok(STANDARD.encode(URL_SAFE_NO_PAD.decode(signature)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification.
    #[test]
    fn signatures_are_the_standards() {
        let secret = WebhookSecret::of_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let text = "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}";
        assert_eq!(secret.sign(text).unwrap(), "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(WebhookSecret::of_text("whsec_x!").is_err());
        assert!(WebhookSecret::of_text("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_err());
    }
}
