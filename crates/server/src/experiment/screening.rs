//! Who may take part, as the file has it (X1).

use room::{
    Browser, BrowserRule, Browsers, CheckRule, Device, DeviceRule, FEWEST_PINGS, PingRule, Screening,
};
use serde::Deserialize;

use super::is_web_address;
use super::mistakes::{Reading, did_you_mean};

/// The longest text of a rule, in characters: as long as a game's.
const MESSAGE_LIMIT: usize = 500;

/// The newest version that anybody may ask for: newer ones are a slip of the finger.
const NEWEST: u32 = 9999;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScreeningFile {
    device: Option<DeviceFile>,
    browser: Option<BrowserFile>,
    ping: Option<PingFile>,
    webhook: Option<WebhookFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WebhookFile {
    url: String,
    deadline_s: Option<f64>,
    message: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceFile {
    allow: Vec<Device>,
    message: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BrowserFile {
    allow: Option<Vec<String>>,
    block: Option<Vec<String>>,
    message: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PingFile {
    max_ms: u32,
    samples: Option<u8>,
    message: Option<String>,
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
