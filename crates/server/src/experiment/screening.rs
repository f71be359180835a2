//! Who may take part, as the file has it (X1).

use room::{
    Browser, BrowserRule, Browsers, CheckRule, Device, DeviceRule, FEWEST_PINGS, PingRule, Screening,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::is_web_address;
use super::mistakes::{Reading, did_you_mean};
use super::schema::{WEB_ADDRESS, Words};

/// The longest text of a rule, in characters: as long as a game's.
const MESSAGE_LIMIT: usize = 500;

/// The newest version that anybody may ask for: newer ones are a slip of the finger.
const NEWEST: u32 = 9999;

/// Who may take part.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScreeningFile {
    /// On which devices.
    device: Option<DeviceFile>,
    /// With which browsers.
    browser: Option<BrowserFile>,
    /// With how long a way to the server and back.
    ping: Option<PingFile>,
    /// A check of the study's own: an address that is asked once about everyone who has met all other rules.
    webhook: Option<WebhookFile>,
}

/// A check of the study's own.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WebhookFile {
    /// The address that is asked.
    #[schemars(regex(pattern = WEB_ADDRESS))]
    url: String,
    /// How long it has to answer, in seconds (0.1 to 30). Without an answer the participant may take part.
    #[schemars(range(min = 0.1, max = 30), extend("default" = 2))]
    deadline_s: Option<f64>,
    /// What is read by who may not take part, when the answer has no message of its own.
    #[schemars(length(max = MESSAGE_LIMIT))]
    message: Option<String>,
}

/// On which devices.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeviceFile {
    /// The devices that are allowed: `desktop`, `phone`, `tablet`.
    #[schemars(with = "Vec<Words<Device>>", length(min = 1))]
    allow: Vec<Device>,
    /// What is read by who comes on another one.
    #[schemars(length(max = MESSAGE_LIMIT))]
    message: Option<String>,
}

/// With which browsers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("anyOf" = [{ "required": ["allow"] }, { "required": ["block"] }]))]
struct BrowserFile {
    /// These alone: `chrome`, `edge`, `firefox`, `safari`, `other`, or one with its oldest version, like `firefox >= 115`.
    #[schemars(length(min = 1), inner(regex(pattern = browser_pattern(">="))))]
    allow: Option<Vec<String>>,
    /// All but these: `chrome`, `edge`, `firefox`, `safari`, `other`, or one below a version, like `safari < 16`.
    #[schemars(inner(regex(pattern = browser_pattern("<"))))]
    block: Option<Vec<String>>,
    /// What is read by who comes with another one.
    #[schemars(length(max = MESSAGE_LIMIT))]
    message: Option<String>,
}

/// With how long a way to the server and back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PingFile {
    /// The longest way to the server and back, in milliseconds (1 to 60000).
    #[schemars(range(min = 1, max = 60_000))]
    max_ms: u32,
    /// Of so many measurements the median counts (5 to 50).
    #[schemars(range(min = FEWEST_PINGS, max = 50), extend("default" = FEWEST_PINGS))]
    samples: Option<u8>,
    /// What is read by whose way is longer.
    #[schemars(length(max = MESSAGE_LIMIT))]
    message: Option<String>,
}

/// What [`browsers`] takes.
fn browser_pattern(sign: &str) -> String {
    let is_named = |browser: &Browser| *browser != Browser::Other;
    let names = Browser::ALL.into_iter().filter(is_named).map(Browser::name).collect::<Vec<_>>().join("|");
    format!(r"^\s*({}|({names})(\s*{sign}\s*\+?0*[1-9][0-9]{{0,3}})?)\s*$", Browser::Other.name())
}

impl ScreeningFile {
    pub(super) fn rules(self, file: &mut Reading<'_>) -> Screening {
        Screening {
            device: self.device.map(|device| device.rule(file)),
            browser: self.browser.map(|browser| browser.rule(file)),
            ping: self.ping.map(|ping| ping.rule(file)),
            check: self.webhook.map(|webhook| webhook.rule(file)),
        }
    }
}

impl DeviceFile {
    fn rule(self, file: &mut Reading<'_>) -> DeviceRule {
        if self.allow.is_empty() {
            let text = "screening.device.allow is empty, so that nobody could take part; \
                it has \"desktop\", \"phone\" or \"tablet\"";
            file.add("screening.device.allow", text);
        }
        DeviceRule { allow: self.allow, message: message(file, "device", self.message) }
    }
}

impl BrowserFile {
    fn rule(self, file: &mut Reading<'_>) -> BrowserRule {
        if self.allow.is_none() && self.block.is_none() {
            let text = "screening.browser has neither allow nor block; it needs a list of browsers";
            file.add("screening.browser", text);
        }
        if self.allow.as_ref().is_some_and(Vec::is_empty) {
            let text = "screening.browser.allow is empty, so that nobody could take part";
            file.add("screening.browser.allow", text);
        }
        let mut list = |name: &str, list: Vec<String>, sign: &str| -> Vec<Browsers> {
            list.iter()
                .filter_map(|text| browsers(file, &format!("screening.browser.{name}"), text, sign))
                .collect()
        };
        let allow = self.allow.map(|texts| list("allow", texts, ">="));
        let block = list("block", self.block.unwrap_or_default(), "<");
        BrowserRule { allow, block, message: message(file, "browser", self.message) }
    }
}

impl PingFile {
    fn rule(self, file: &mut Reading<'_>) -> PingRule {
        PingRule {
            max_millis: file.number("screening.ping.max_ms", Some(self.max_ms), 1, 1..=60_000),
            samples: file.number("screening.ping.samples", self.samples, FEWEST_PINGS, FEWEST_PINGS..=50),
            message: message(file, "ping", self.message),
        }
    }
}

impl WebhookFile {
    fn rule(self, file: &mut Reading<'_>) -> CheckRule {
        must_be_address(file, "screening.webhook.url", &self.url);
        let field = "screening.webhook.deadline_s";
        CheckRule {
            deadline_millis: file.millis(field, self.deadline_s, USUAL_DEADLINE_MILLIS, 0.1..=30.0),
            every_millis: 0,
            message: message(file, "webhook", self.message),
            url: self.url,
        }
    }
}

/// How long a check may take to answer, in milliseconds, unless the file says otherwise.
pub(super) const USUAL_DEADLINE_MILLIS: u32 = 2_000;

pub(super) fn must_be_address(file: &mut Reading<'_>, field: &str, url: &str) {
    if !is_web_address(url) {
        file.add(field, format!("{field} is {url:?}; it must be like https://example.org/check"));
    }
}

/// `firefox`, or `firefox >= 115` where some are allowed, `firefox < 115` where some are blocked.
fn browsers(file: &mut Reading<'_>, field: &str, text: &str, sign: &str) -> Option<Browsers> {
    let (name, version) = match text.split_once(sign) {
        Some((name, version)) => (name.trim(), Some(version.trim())),
        None => (text.trim(), None),
    };
    let Some(browser) = Browser::ALL.into_iter().find(|browser| browser.name() == name) else {
        let names = Browser::ALL.map(Browser::name);
        let hint = did_you_mean(name, names.into_iter());
        let text = format!(
            "{field} has {text:?}; it may have {}, or one of them and a version like \"firefox {sign} 115\"{hint}",
            names.join(", ")
        );
        file.add(field, text);
        return None;
    };
    let version = match version.map(str::parse::<u32>) {
        None => None,
        Some(Ok(version)) if (1..=NEWEST).contains(&version) && browser != Browser::Other => Some(version),
        Some(_) => {
            let text =
                format!("{field} has {text:?}; a version is a whole number, as in \"firefox {sign} 115\"");
            file.add(field, text);
            return None;
        }
    };
    let from = version.filter(|_| sign == ">=");
    let below = version.filter(|_| sign == "<");
    Some(Browsers { browser, from, below })
}

fn message(file: &mut Reading<'_>, rule: &str, words: Option<String>) -> Option<String> {
    let length = words.as_ref().map_or(0, |words| words.chars().count());
    if length > MESSAGE_LIMIT {
        let field = format!("screening.{rule}.message");
        file.add(&field, format!("{field} has {length} characters; it must have {MESSAGE_LIMIT} at most"));
    }
    words
}
