//! Asks studies' own checks (X2, X3 `custom`). What an answer does is the stager's to say, and it does not wait for one that
//! is late.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use room::{CheckAnswer, CheckId};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::wall_time;
use crate::token::WebhookSecret;
use crate::webhook::Caller;

/// How many questions may wait for their answers; what is asked beyond that fails at once.
const WAITING: usize = 64;

pub(super) type Answered = (CheckId, CheckAnswer);

pub(super) struct Checks {
    phone: Arc<Phone>,
    waiting: Arc<Semaphore>,
    answers: mpsc::Sender<Answered>,
    /// Names this process's questions.
    start: u64,
}

/// What questions are asked with. Made when the first is: that reads files.
struct Phone {
    data: PathBuf,
    caller: OnceLock<Caller>,
}

impl Phone {
    fn caller(&self) -> anyhow::Result<&Caller> {
        if let Some(caller) = self.caller.get() {
            return Ok(caller);
        }
        let made = Caller::new(WebhookSecret::open(&self.data)?);
        Ok(self.caller.get_or_init(|| made))
    }
}

#[derive(Deserialize)]
struct Answer {
    exclude: bool,
    message: Option<String>,
}

impl Checks {
    pub(super) fn new(data: &Path) -> (Self, mpsc::Receiver<Answered>) {
        // One place for each that may wait: no answer waits for the stage.
        let (answers, answered) = mpsc::channel(WAITING + 1);
        let waiting = Arc::new(Semaphore::new(WAITING));
        let phone = Arc::new(Phone { data: data.to_owned(), caller: OnceLock::new() });
        (Self { phone, waiting, answers, start: wall_time().0 }, answered)
    }

    /// Asks, and tells the stage when there is an answer.
    pub(super) fn ask(&self, check: CheckId, url: String, patience: Duration, question: &Value) {
        let (id, body) = (format!("{:x}-{}", self.start, check.number()), question.to_string());
        let (phone, answers) = (Arc::clone(&self.phone), self.answers.clone());
        let waiting = Arc::clone(&self.waiting);
        tokio::spawn(async move {
            let Ok(Ok(place)) = timeout(patience, waiting.acquire_owned()).await else {
                let cause = format!("{WAITING} other questions wait for their answers");
                return answers.send((check, CheckAnswer::Failed(cause))).await.ok();
            };
            let asked = spawn_blocking(move || {
                let text = phone.caller().and_then(|caller| {
                    caller.check(&url)?;
                    caller.post(&url, &id, &body, patience)
                });
                // As long as it waits, it counts.
                drop(place);
                (text, url)
            });
            let (text, url) = asked.await.ok()?;
            let answer = text.and_then(|text| understand(&text)).unwrap_or_else(|error| {
                tracing::warn!(%error, url, "a study's own check was not answered; nobody is excluded for that");
                CheckAnswer::Failed(error.to_string())
            });
            answers.send((check, answer)).await.ok()
        });
    }
}

/// What an answer says.
fn understand(text: &str) -> anyhow::Result<CheckAnswer> {
    let Answer { exclude, message } = serde_json::from_str(text)
        .map_err(|error| anyhow::anyhow!("its answer is not {{\"exclude\": …}}: {error}"))?;
    let message = message.filter(|message| !message.trim().is_empty());
    Ok(if exclude { CheckAnswer::Exclude(message) } else { CheckAnswer::Keep })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_plain_or_it_is_none() {
        let exclude = |words: Option<&str>| CheckAnswer::Exclude(words.map(str::to_owned));
        for (text, expected) in [
            (r#"{"exclude": false}"#, Some(CheckAnswer::Keep)),
            (r#"{"exclude": false, "message": "x"}"#, Some(CheckAnswer::Keep)),
            (r#"{"exclude": true, "more": 1}"#, Some(exclude(None))),
            (r#"{"exclude": true, "message": " "}"#, Some(exclude(None))),
            (r#"{"exclude": true, "message": "Not you."}"#, Some(exclude(Some("Not you.")))),
            (r#"{"exclude": "yes"}"#, None),
            ("{}", None),
            ("", None),
            ("<html>", None),
        ] {
            assert_eq!(understand(text).ok(), expected, "{text}");
        }
    }
}
