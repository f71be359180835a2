//! By which nodes know each other: what only somebody can make who has their secret.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use crate::token::Tokens;

/// The header in which a node shows it.
const HEADER: HeaderName = HeaderName::from_static("x-interplay-node");

/// What sets it apart from anything else that is made of the same secret.
const PURPOSE: &str = "interplay node";

/// The token, and its hash.
#[derive(Clone)]
pub(crate) struct NodeToken {
    header: HeaderValue,
    hash: Arc<[u8; 32]>,
}

impl NodeToken {
    pub(crate) fn of(tokens: &Tokens) -> anyhow::Result<Self> {
        let token = tokens.derived(PURPOSE)?;
        let hash = Arc::new(Sha256::digest(token.as_bytes()).into());
        let mut header = HeaderValue::try_from(token)?;
        header.set_sensitive(true);
        Ok(Self { header, hash })
    }

    /// Whether another node has sent this. Hashes are compared: how long that takes tells nothing of the token.
    pub(crate) fn is_in(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(HEADER);
        shown.is_some_and(|shown| <[u8; 32]>::from(Sha256::digest(shown.as_bytes())) == *self.hash)
    }

    /// Shows it in the place of whatever was there.
    pub(super) fn put(&self, headers: &mut HeaderMap) {
        headers.insert(HEADER, self.header.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_has_the_secret_is_believed() {
        let [one, other] = [(); 2].map(|()| {
            let folder = tempfile::tempdir().unwrap();
            NodeToken::of(&Tokens::open(folder.path()).unwrap()).unwrap()
        });
        let mut headers = HeaderMap::new();
        assert!(!one.is_in(&headers));
        one.put(&mut headers);
        assert!(one.is_in(&headers) && !other.is_in(&headers));
        headers.insert(HEADER, HeaderValue::from_static(""));
        assert!(!one.is_in(&headers));
    }
}
