//! Tells and asks other people's servers: signed as standardwebhooks.com describes, so that they know who asks.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use metrics::counter;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use crate::stage::wall_time;
use crate::token::WebhookSecret;

/// How long somebody may take to answer what need not be answered at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait before telling again, doubled each time up to the most.
const BACKOFF: Duration = Duration::from_millis(500);
const BACKOFF_MOST: Duration = Duration::from_secs(60);

/// The most of an answer that is read, in bytes.
const ANSWER_LIMIT: u64 = 64 * 1024;

/// Speaks to other servers.
#[derive(Clone)]
pub(crate) struct Caller {
    secret: WebhookSecret,
    agent: ureq::Agent,
    has_roots: bool,
}

impl Caller {
    pub(crate) fn new(secret: WebhookSecret) -> Self {
        // Who is believed is the system's to say: an application may have a certificate of its organisation's own.
        let found = rustls_native_certs::load_native_certs().certs;
        let roots: Vec<_> = found.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
        let has_roots = !roots.is_empty();
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .root_certs(RootCerts::new_with_certs(&roots))
            .build();
        let agent = ureq::Agent::config_builder().tls_config(tls).max_redirects(0).build().into();
        Self { secret, agent, has_roots }
    }

    /// Whether an address can be spoken to at all.
    pub(crate) fn check(&self, url: &str) -> anyhow::Result<()> {
        ensure!(
            self.has_roots || !url.starts_with("https:"),
            "this system has no root certificates, so that {url} cannot be believed; install ca-certificates"
        );
        Ok(())
    }

    /// Posts a JSON text, and reads the answer. `id` is the same for the same message, however often it is told. Waits: for a
    /// thread that may.
    pub(crate) fn post(&self, url: &str, id: &str, body: &str, patience: Duration) -> anyhow::Result<String> {
        let timestamp = wall_time().0 / 1000;
        let signature = self.secret.sign(&format!("{id}.{timestamp}.{body}"))?;
        let request = self.agent.post(url).config().timeout_global(Some(patience)).build();
        let mut answer = request
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp.to_string())
            .header("webhook-signature", format!("v1,{signature}"))
            .send(body)?;
        ensure!(answer.status().is_success(), "it answered {}", answer.status());
        Ok(answer.body_mut().with_config().limit(ANSWER_LIMIT).read_to_string()?)
    }

    /// Tells something that must arrive. When it was not answered: how long to wait before telling it again.
    pub(crate) fn tell(&self, url: &str, id: &str, body: &str, pauses: &mut Backoff) -> Result<(), Duration> {
        let told = self.post(url, id, body, PATIENCE);
        let result = if told.is_ok() { "answered" } else { "failed" };
        counter!("interplay_webhook_requests_total", "result" => result).increment(1);
        told.map(|_| ()).map_err(|error| {
            let again_in = pauses.next_pause();
            tracing::warn!(%error, url, ?again_in, "a webhook was not answered");
            again_in
        })
    }
}

/// How long to wait before telling again.
#[derive(Clone, Copy)]
pub(crate) struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(BACKOFF)
    }
}

impl Backoff {
    fn next_pause(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(BACKOFF_MOST);
        pause
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
