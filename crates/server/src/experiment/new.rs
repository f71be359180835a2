//! Makes a folder to begin with.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

use super::schema::{self, SCHEMA_FILE};
use super::{FILE, is_plain};
use crate::assets;

/// What there is to begin with: the folders in `experiments/templates`.
pub const TEMPLATES: [&str; 2] = ["two-player", "survey-and-game"];

/// The languages that they are in. The folders of all but the first are named after theirs, like `two-player.de`.
pub const LANGUAGES: [&str; 2] = ["en", "de"];

/// The environment that every template plays.
const ENVIRONMENT: &str = "tag.wasm";

/// Makes a folder with an experiment of that name; its files, in the order of their names.
///
/// # Errors
/// When the name is none, or something is there already.
pub fn make(folder: &Path, template: &str, language: &str) -> anyhow::Result<Vec<String>> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if name.is_empty() || !name.chars().all(is_plain) {
        bail!("{:?} cannot be an experiment's id; it needs letters, digits, - and _ only", folder.display());
    }
    let is_empty = |folder: &Path| fs::read_dir(folder).is_ok_and(|mut files| files.next().is_none());
    if folder.exists() && !is_empty(folder) {
        bail!("{} is there already, and nothing in it was changed; choose another name", folder.display());
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let place = if language == LANGUAGES[0] { template.to_owned() } else { format!("{template}.{language}") };
    let mut files = assets::template(&place);
    if let Some(environment) = assets::demo(ENVIRONMENT) {
        files.push((ENVIRONMENT.to_owned(), environment));
    }
    files.push((SCHEMA_FILE.to_owned(), schema::file().into_bytes()));
    files.sort();
    for (file, contents) in &files {
        let path = folder.join(file);
        let written = if file == FILE {
            let text = String::from_utf8_lossy(contents);
            let own_id = text.replacen(&format!("id = {template:?}"), &format!("id = {name:?}"), 1);
            fs::write(&path, schema::beside(&own_id))
        } else {
            fs::write(&path, contents)
        };
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(files.into_iter().map(|(file, _)| file).collect())
}

#[cfg(test)]
mod tests {
    use room::SceneSpec;

    use super::*;
    use crate::experiment::load;

    #[test]
    fn every_template_is_in_order_and_has_its_own_id() {
        for template in TEMPLATES {
            let mut shapes = Vec::new();
            for language in LANGUAGES {
                let folder = tempfile::tempdir().unwrap();
                let study = folder.path().join("my-study_2");
                let files = make(&study, template, language).unwrap();
                assert_eq!(files, [SCHEMA_FILE, FILE, ENVIRONMENT, "welcome.md"]);
                let text = fs::read_to_string(study.join(FILE)).unwrap();
                assert!(text.starts_with("#:schema ./experiment.schema.json\n"), "{text}");
                assert_eq!(fs::read_to_string(study.join(SCHEMA_FILE)).unwrap(), schema::file());
                let loaded = load(&study).unwrap();
                assert_eq!(
                    (loaded.id.as_str(), loaded.experiment.texts.language.as_str()),
                    ("my-study_2", language)
                );
                let shape = |scene: &SceneSpec| (scene.id.clone(), scene.kind.name());
                shapes.push(loaded.experiment.scenes.iter().map(shape).collect::<Vec<_>>());
                let again = make(&study, template, language).unwrap_err().to_string();
                assert!(again.contains("is there already"), "{again}");
                let wrong =
                    make(&folder.path().join("my study"), template, language).unwrap_err().to_string();
                assert!(wrong.contains("letters, digits"), "{wrong}");
            }
            assert!(shapes.iter().all(|shape| *shape == shapes[0]), "{template}: {shapes:?}");
        }
    }
}
