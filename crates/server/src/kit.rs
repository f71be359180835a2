//! All that it takes to run the stage of an experiment: once on a server that is alone, and on a node of several as often as it takes
//! the stage.

use std::path::PathBuf;
use std::sync::Arc;

use room::Stager;
use store::Store;

use crate::completions::Completions;
use crate::experiment::Loaded;
use crate::routes::{App, Play, States, Study};
use crate::scrubber::Scrubber;
use crate::stage::{Context, Stage};
use crate::token::{self, Tokens};
use crate::turn::TurnOffer;

pub(crate) struct Kit {
    pub(crate) loaded: Loaded,
    pub(crate) data: PathBuf,
    pub(crate) app: App,
    pub(crate) study: Study,
    pub(crate) tokens: Tokens,
    pub(crate) turn: Option<TurnOffer>,
    /// What bots prove themselves with, if there are some.
    pub(crate) bots: Option<Arc<str>>,
}

impl Kit {
    /// Begins, with the games that were on.
    ///
    /// # Errors
    /// When those cannot be read, or there is no randomness.
    pub(crate) async fn begin(&self, store: Store) -> anyhow::Result<Play> {
        let Self { loaded, data, app, study, tokens, turn, bots } = self;
        loaded.keep(&store).await?;
        if loaded.experiment.has_checks() {
            // Made at once, so that whoever is asked can be given it.
            token::WebhookSecret::open(data)?;
        }
        let stager = Stager::new(loaded.experiment.clone(), u64::from_le_bytes(token::random()?));
        let completions = Completions::start(store.clone(), data, &loaded.id, loaded.webhook.clone())?;
        let scrubber = Scrubber::start(store.clone());
        let context = Context {
            store: store.clone(),
            experiment: loaded.id.clone(),
            turn: turn.clone(),
            completions: completions.clone(),
            scrubber: scrubber.clone(),
        };
        Ok(Play {
            app: app.clone(),
            study: study.clone(),
            stage: Stage::start(stager, context, data).await?,
            store,
            completions,
            scrubber,
            tokens: tokens.clone(),
            states: States::default(),
            bots: bots.clone(),
        })
    }
}
