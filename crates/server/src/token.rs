//! Who somebody is: tokens that only this server can make (A1).

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use base::{ParticipantId, VisitId};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How long a token is good for: a study's data collection, not a career.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The secret's file within the data folder, and the variable that replaces it.
const SECRET_FILE: &str = "secret";
const SECRET_VARIABLE: &str = "INTERPLAY_SECRET";

/// The shortest secret that is taken from the environment, in bytes.
const SECRET_LEAST: usize = 32;

/// The API key's file within the data folder, and the variable that replaces it.
const KEY_FILE: &str = "api-key";
const KEY_VARIABLE: &str = "INTERPLAY_API_KEY";

/// The webhooks' secret: its file within the data folder, the variable that replaces it, and how it begins.
const WEBHOOK_FILE: &str = "webhook-secret";
const WEBHOOK_VARIABLE: &str = "INTERPLAY_WEBHOOK_SECRET";
const WEBHOOK_PREFIX: &str = "whsec_";

/// What an application's own server shows (A1).
#[derive(Clone)]
pub(crate) struct ApiKey {
    hash: [u8; 32],
}

impl ApiKey {
    /// The key of a data folder, which is made on first use and readable by its owner only.
    pub(crate) fn open(data: &Path) -> anyhow::Result<Self> {
        Ok(Self { hash: Sha256::digest(key_of(data)?).into() })
    }

    /// Whether this is the key. Hashes are compared: how long that takes tells nothing of the key.
    pub(crate) fn is(&self, key: &str) -> bool {
        <[u8; 32]>::from(Sha256::digest(key.as_bytes())) == self.hash
    }
}

/// The key itself, for asking a server that runs on this folder.
pub(crate) fn api_key(data: &Path) -> anyhow::Result<String> {
    String::from_utf8(key_of(data)?).context("the API key is not UTF-8")
}

fn key_of(data: &Path) -> anyhow::Result<Vec<u8>> {
    match of_environment(KEY_VARIABLE)? {
        Some(key) => Ok(key),
        None => kept_in(&data.join(KEY_FILE), || Ok(hex(&random::<SECRET_LEAST>()?).into_bytes())),
    }
}

/// With what webhooks are signed: `whsec_` and base64, as standardwebhooks.com has it.
#[derive(Clone)]
pub(crate) struct WebhookSecret {
    bytes: Arc<[u8]>,
}

impl WebhookSecret {
    /// The secret of a data folder, which is made on first use and readable by its owner only.
    pub(crate) fn open(data: &Path) -> anyhow::Result<Self> {
        let make =
            || Ok(format!("{WEBHOOK_PREFIX}{}", STANDARD.encode(random::<SECRET_LEAST>()?)).into_bytes());
        let text = match of_environment(WEBHOOK_VARIABLE)? {
            Some(text) => text,
            None => kept_in(&data.join(WEBHOOK_FILE), make)?,
        };
        Self::of_text(String::from_utf8_lossy(&text).trim())
    }

    /// Reads it as it is written.
    pub(crate) fn of_text(text: &str) -> anyhow::Result<Self> {
        let bytes = text.strip_prefix(WEBHOOK_PREFIX).and_then(|bytes| STANDARD.decode(bytes).ok());
        let bytes = bytes.context("a webhook's secret is `whsec_` and base64")?;
        Ok(Self { bytes: bytes.into() })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a token says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) visit: VisitId,
    pub(crate) participant: ParticipantId,
    /// Seconds since the Unix epoch.
    exp: u64,
    /// A random number of a token that was given for a platform's id alone: it opens a visit that is closed, and does not
    /// take over one that is open with another token (S5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) by_id: Option<u64>,
}

/// Makes and reads tokens.
#[derive(Clone)]
pub(crate) struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    secret: Arc<[u8]>,
}

impl Tokens {
    /// Tokens under the secret of a data folder, which is made on first use and readable by its owner only.
    pub(crate) fn open(data: &Path) -> anyhow::Result<Self> {
        let secret = match of_environment(SECRET_VARIABLE)? {
            Some(secret) => secret,
            None => kept_in(&data.join(SECRET_FILE), || Ok(random::<SECRET_LEAST>()?.to_vec()))?,
        };
        Ok(Self::under(secret))
    }

    /// Tokens under the secret of a data folder that a server has made.
    pub(crate) fn open_existing(data: &Path) -> anyhow::Result<Self> {
        if let Some(secret) = of_environment(SECRET_VARIABLE)? {
            return Ok(Self::under(secret));
        }
        let path = data.join(SECRET_FILE);
        let secret = std::fs::read(&path).with_context(|| {
            format!("cannot read {}; give the server's --data, or {SECRET_VARIABLE}", path.display())
        })?;
        Ok(Self::under(secret))
    }

    fn under(secret: Vec<u8>) -> Self {
        Self {
            encoding: EncodingKey::from_secret(&secret),
            decoding: DecodingKey::from_secret(&secret),
            secret: secret.into(),
        }
    }

    /// For deriving keys that are good for something else.
    pub(crate) fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// What whoever has the secret can make too, and nobody else: for a purpose of its own.
    pub(crate) fn derived(&self, purpose: &str) -> anyhow::Result<String> {
        Ok(jsonwebtoken::crypto::sign(purpose.as_bytes(), &self.encoding, Algorithm::HS256)?)
    }

    /// A token for whoever began a visit.
    pub(crate) fn issue(&self, visit: VisitId, participant: ParticipantId) -> anyhow::Result<String> {
        self.sign(visit, participant, None)
    }

    /// A token for whoever says to be the person of a visit, by a platform's id.
    pub(crate) fn issue_by_id(&self, visit: VisitId, participant: ParticipantId) -> anyhow::Result<String> {
        self.sign(visit, participant, Some(u64::from_be_bytes(random()?)))
    }

    fn sign(&self, visit: VisitId, participant: ParticipantId, by_id: Option<u64>) -> anyhow::Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let claims = Claims { visit, participant, exp: (now + LIFETIME).as_secs(), by_id };
        Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)?)
    }

    /// What a token says, if it is one of ours and has not expired.
    pub(crate) fn read(&self, token: &str) -> Option<Claims> {
        let validation = Validation::new(Algorithm::HS256);
        jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation).ok().map(|token| token.claims)
    }
}

/// Nodes that serve together must take each other's tokens: each is given their secrets, since what one makes the others do not know.
///
/// # Errors
/// Names those that are missing, and the cure.
pub(crate) fn are_shared(with_webhooks: bool) -> anyhow::Result<()> {
    let all = [
        (SECRET_VARIABLE, "openssl rand -hex 32", true),
        (KEY_VARIABLE, "openssl rand -hex 32", true),
        (WEBHOOK_VARIABLE, "echo whsec_$(openssl rand -base64 32)", with_webhooks),
    ];
    let is_missing = |variable: &str| std::env::var_os(variable).is_none();
    let missing: Vec<_> = all
        .into_iter()
        .filter(|(variable, _, is_needed)| *is_needed && is_missing(variable))
        .map(|(variable, make, _)| format!("\n  {variable}, made once with: {make}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    anyhow::bail!(
        "nodes that serve together need the same secrets; give each of them, in its environment:{}",
        missing.concat()
    )
}

fn of_environment(variable: &str) -> anyhow::Result<Option<Vec<u8>>> {
    match std::env::var(variable) {
        Ok(secret) if secret.len() >= SECRET_LEAST => Ok(Some(secret.into_bytes())),
        Ok(_) => anyhow::bail!("{variable} must have at least {SECRET_LEAST} bytes"),
        Err(_) => Ok(None),
    }
}

/// A secret that is kept in a file, and made when it is not there.
fn kept_in(path: &Path, make: impl FnOnce() -> anyhow::Result<Vec<u8>>) -> anyhow::Result<Vec<u8>> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    match std::fs::read(path) {
        Ok(secret) if secret.len() >= SECRET_LEAST => return Ok(secret),
        Ok(_) => {
            anyhow::bail!("{} is too short to be a secret; remove it, and a new one is made", path.display())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    let secret = make()?;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot make {}", path.display()))?;
    file.write_all(&secret)
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(secret)
}

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the system gives no randomness: {error}"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_tokens_are_read() {
        let (ours, others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (ours, others) = (Tokens::open(ours.path()).unwrap(), Tokens::open(others.path()).unwrap());
        let (visit, participant) = (VisitId::from_random([1; 16]), ParticipantId::from_random([2; 16]));
        let token = ours.issue(visit, participant).unwrap();
        assert_eq!(
            ours.read(&token).map(|claims| (claims.visit, claims.participant)),
            Some((visit, participant))
        );
        assert_eq!(others.read(&token), None);
        assert_eq!(ours.read(""), None);
        let mut forged = token.into_bytes();
        let middle = forged.len() / 2;
        forged[middle] = if forged[middle] == b'A' { b'B' } else { b'A' };
        assert_eq!(ours.read(std::str::from_utf8(&forged).unwrap()), None);
    }

    #[test]
    fn an_expired_token_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(folder.path()).unwrap();
        let claims = Claims {
            visit: VisitId::from_random([1; 16]),
            participant: ParticipantId::from_random([2; 16]),
            exp: 1_000_000,
            by_id: None,
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &tokens.encoding).unwrap();
        assert_eq!(tokens.read(&token), None);
    }

    #[test]
    fn the_secret_is_its_owners_alone_and_stays() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SECRET_FILE);
        let make = || Ok(random::<SECRET_LEAST>()?.to_vec());
        let secret = kept_in(&path, make).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(kept_in(&path, make).unwrap(), secret);
    }
}
