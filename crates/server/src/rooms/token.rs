//! Who may do what in which room: tokens that an application's own server asks for (A1).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::room::{MemberId, RoomId};

/// For whom these tokens are: another kind of token under the same secret is none of these.
const AUDIENCE: &str = "interplay-room";

/// For how many seconds a token may be good.
pub(crate) const LONGEST_TOKEN: u64 = 30 * 24 * 60 * 60;

/// What a member may do, beside listening.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Right {
    /// Send messages.
    Send,
}

/// What a token says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    aud: String,
    /// The room.
    pub(crate) room: RoomId,
    /// Who this is in it.
    pub(crate) member: MemberId,
    /// What it may do.
    pub(crate) rights: Vec<Right>,
    /// Seconds since the Unix epoch.
    #[serde(rename = "iat")]
    pub(crate) issued: u64,
    #[serde(rename = "exp")]
    pub(crate) expires: u64,
}

impl Claims {
    /// What a token says that is given now.
    pub(super) fn new(room: RoomId, member: MemberId, rights: Vec<Right>, lifetime: Duration) -> Self {
        let now = since_epoch();
        let (issued, expires) = (now.as_secs(), (now + lifetime).as_secs());
        Self { aud: AUDIENCE.to_owned(), room, member, rights, issued, expires }
    }

    pub(crate) fn may(&self, right: Right) -> bool {
        self.rights.contains(&right)
    }

    /// For how long the token is still good.
    pub(crate) fn left(&self) -> Duration {
        Duration::from_secs(self.expires).saturating_sub(since_epoch())
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Makes and reads tokens.
#[derive(Clone)]
pub(crate) struct RoomTokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl RoomTokens {
    pub(crate) fn under(secret: &[u8]) -> Self {
        Self { encoding: EncodingKey::from_secret(secret), decoding: DecodingKey::from_secret(secret) }
    }

    /// A token, and when it expires, in seconds since the Unix epoch.
    pub(crate) fn issue(
        &self,
        room: RoomId,
        member: MemberId,
        rights: Vec<Right>,
        lifetime: Duration,
    ) -> anyhow::Result<(String, u64)> {
        let claims = Claims::new(room, member, rights, lifetime);
        Ok((jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)?, claims.expires))
    }

    /// What a token says, if it is one of ours and has not expired.
    pub(crate) fn read(&self, token: &str) -> Option<Claims> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        validation.leeway = 0;
        jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation).ok().map(|token| token.claims)
    }
}
