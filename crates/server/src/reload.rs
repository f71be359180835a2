//! Takes up changes of an experiment's folder while it is served, for whoever is writing it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::bail;
use tokio::task::spawn_blocking;

use crate::bots;
use crate::experiment::{self, Loaded};
use crate::media;
use crate::routes::{Current, Play};

/// How often the folder is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What of a folder's files shows that one was changed.
type Seen = Vec<(PathBuf, Option<SystemTime>, u64)>;

fn look(folder: &Path) -> Seen {
    let mut seen = Vec::new();
    look_into(folder, true, &mut seen);
    seen.sort();
    seen
}

/// Of folders within the experiment's only those files count that its texts are in, or show: others may be data.
fn look_into(folder: &Path, is_outermost: bool, seen: &mut Seen) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if !name.starts_with('.') {
                look_into(&path, false, seen);
            }
        } else if (is_outermost
            || name.ends_with(".md")
            || name.ends_with(".html")
            || media::kind(&name).is_some())
            && let Ok(about) = entry.metadata()
        {
            seen.push((path, about.modified().ok(), about.len()));
        }
    }
}

/// Looks at a folder again and again. New visits get what there is, those that are on their way keep what they have (S2).
/// What cannot be served is told in the log, and what was there before goes on.
pub(crate) async fn watch(folder: PathBuf, play: Play) {
    let mut known = look(&folder);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let seen = look(&folder);
        if seen == known {
            continue;
        }
        known = seen;
        let place = folder.clone();
        let Ok(loaded) = spawn_blocking(move || experiment::load(&place)).await else { return };
        let taken = match loaded {
            Ok(loaded) => take_up(loaded, &play).await,
            Err(error) => Err(error),
        };
        match taken {
            Ok(version) => {
                tracing::info!(version, "the experiment was changed; new visits get it as it is now");
            }
            Err(error) => {
                tracing::warn!(
                    "the experiment was changed and cannot be served so; it goes on as it was\n{error:#}"
                );
            }
        }
    }
}

async fn take_up(loaded: Loaded, play: &Play) -> anyhow::Result<String> {
    let (id, before) = play.study.experiment();
    if loaded.id != id {
        bail!("its id was {id:?} and is {:?}; stop the server to serve another experiment", loaded.id);
    }
    if play.bots.is_some() {
        bots::check(&loaded.experiment)?;
    }
    play.completions.set_webhook(loaded.webhook.clone());
    let version = loaded.experiment.version.clone();
    if version != before {
        loaded.keep(&play.store).await?;
        let current = Current::of(&loaded.experiment);
        play.stage.take_up(loaded.experiment).await;
        play.study.set_current(current);
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_texts_show_is_looked_at_and_data_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        };
        for name in
            ["experiment.toml", "images/maps/a.png", "texts/b.md", "data/interplay.sqlite", ".git/c.md"]
        {
            write(name);
        }
        let seen: Vec<_> = look(folder.path()).into_iter().map(|(path, ..)| path).collect();
        let expected = ["experiment.toml", "images/maps/a.png", "texts/b.md"];
        assert_eq!(seen, expected.map(|name| folder.path().join(name)));
    }
}
