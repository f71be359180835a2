//! Who may take part, by device, browser and connection, before the first scene (X1).

use serde::{Deserialize, Serialize};
use wire::say;
use wire::texts::Texts;

use crate::agent::{Agent, Browser, Device, Facts};
use crate::check::CheckRule;

/// The fewest measurements that a connection is judged by.
pub const FEWEST_PINGS: u8 = 5;

/// What a study asks of those who come; nothing where there is none of it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Screening {
    /// What they come with.
    pub device: Option<DeviceRule>,
    /// What they open it in.
    pub browser: Option<BrowserRule>,
    /// How far away they are.
    pub ping: Option<PingRule>,
    /// What the study's own check says of them.
    pub check: Option<CheckRule>,
}

/// Which devices may take part.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeviceRule {
    /// These.
    pub allow: Vec<Device>,
    /// What the others read.
    pub message: Option<String>,
}

/// Which browsers may take part.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BrowserRule {
    /// These alone; all when there is no such list.
    pub allow: Option<Vec<Browsers>>,
    /// These not.
    pub block: Vec<Browsers>,
    /// What the others read.
    pub message: Option<String>,
}

/// Some versions of a browser.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Browsers {
    /// The browser.
    pub browser: Browser,
    /// From this version on.
    pub from: Option<u32>,
    /// Only versions before this one.
    pub below: Option<u32>,
}

/// How far away people may be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PingRule {
    /// The longest way to the server and back, in milliseconds: the median of the measurements.
    pub max_millis: u32,
    /// How many measurements, [`FEWEST_PINGS`] at least.
    pub samples: u8,
    /// What the others read.
    pub message: Option<String>,
}

/// A rule that somebody did not meet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "they are called as in the file")]
pub enum ScreeningRule {
    Device,
    Browser,
    Ping,
    Webhook,
}

impl ScreeningRule {
    /// The name in the data and in experiments' files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Browser => "browser",
            Self::Ping => "ping",
            Self::Webhook => "webhook",
        }
    }
}

/// What was found when somebody came.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Screened {
    /// The first rule that was not met; none for who may take part.
    pub rule: Option<ScreeningRule>,
    /// What who may not take part reads.
    pub message: Option<String>,
    /// None when it could not be told.
    pub device: Option<Device>,
    /// None when it could not be told.
    pub browser: Option<Browser>,
    /// None when it could not be told.
    pub browser_version: Option<u32>,
    /// The median of the round trips to the server, in milliseconds.
    pub ping_millis: Option<f32>,
    /// The study's own check was asked, and has not answered.
    pub unanswered: bool,
}

impl Browsers {
    /// A version that is not known is none that is too old.
    fn has(&self, browser: Browser, version: Option<u32>) -> bool {
        let from = |from| version.is_none_or(|version| version >= from);
        let below = |below| version.is_some_and(|version| version < below);
        self.browser == browser && self.from.is_none_or(from) && self.below.is_none_or(below)
    }
}

impl BrowserRule {
    fn allows(&self, known: Option<(Browser, Option<u32>)>) -> bool {
        let allow = self.allow.as_deref();
        match known {
            Some((browser, version)) => {
                allow.is_none_or(|list| list.iter().any(|some| some.has(browser, version)))
                    && !self.block.iter().any(|some| some.has(browser, version))
            }
            // Whoever cannot be told may take part, unless that is what a list says of others.
            None => !self.block.iter().any(|some| some.browser == Browser::Other),
        }
    }

    fn words(&self, texts: &Texts) -> String {
        let names = self.allow.iter().flatten().filter(|some| some.browser != Browser::Other);
        let names: Vec<_> = names
            .map(|some| match some.from {
                Some(from) => {
                    let (browser, version) = (&*some.browser.to_string(), &*from.to_string());
                    say!(texts, "screening_browser_from", browser = browser, version = version)
                }
                None => some.browser.to_string(),
            })
            .collect();
        if names.is_empty() {
            say!(texts, "screening_browser_other")
        } else {
            say!(texts, "screening_browser", browsers = &names.join(", "))
        }
    }
}

impl DeviceRule {
    fn words(&self, texts: &Texts) -> String {
        let name = |device: &Device| match device {
            Device::Desktop => say!(texts, "device_desktop"),
            Device::Phone => say!(texts, "device_phone"),
            Device::Tablet => say!(texts, "device_tablet"),
        };
        let names: Vec<_> = self.allow.iter().map(name).collect();
        say!(texts, "screening_device", devices = &names.join(", "))
    }
}

impl Screening {
    /// Whether nothing is asked of anybody.
    pub(crate) const fn is_empty(&self) -> bool {
        self.device.is_none() && self.browser.is_none() && self.ping.is_none() && self.check.is_none()
    }

    /// How many round trips the page measures.
    pub(crate) fn pings(&self) -> u8 {
        self.ping.as_ref().map_or(0, |rule| rule.samples.max(FEWEST_PINGS))
    }

    /// What there is to say of somebody; none when more must be measured.
    pub(crate) fn judge(
        &self,
        agent: &Agent,
        facts: Facts,
        round_trips: &[f32],
        texts: &Texts,
    ) -> Option<Screened> {
        if round_trips.len() < usize::from(self.pings()) {
            return None;
        }
        let (device, browser, ping) = (agent.device(facts), agent.browser(), median(round_trips));
        let found = Screened {
            device,
            browser: browser.map(|(browser, _)| browser),
            browser_version: browser.and_then(|(_, version)| version),
            ping_millis: ping,
            ..Screened::default()
        };
        let device_rule =
            self.device.as_ref().filter(|rule| device.is_some_and(|own| !rule.allow.contains(&own)));
        let browser_rule = self.browser.as_ref().filter(|rule| !rule.allows(browser));
        let ping_rule =
            self.ping.as_ref().filter(|rule| ping.is_some_and(|ping| ping > rule.max_millis as f32));
        let own =
            |message: &Option<String>, usual: &dyn Fn() -> String| message.clone().unwrap_or_else(usual);
        let broken = if let Some(rule) = device_rule {
            Some((ScreeningRule::Device, own(&rule.message, &|| rule.words(texts))))
        } else if let Some(rule) = browser_rule {
            Some((ScreeningRule::Browser, own(&rule.message, &|| rule.words(texts))))
        } else {
            ping_rule.map(|rule| (ScreeningRule::Ping, own(&rule.message, &|| say!(texts, "screening_ping"))))
        };
        let (rule, message) = broken.unzip();
        Some(Screened { rule, message, ..found })
    }
}

impl Screened {
    /// What who may not take part reads, as HTML: the words are a text, whoever wrote them.
    pub(crate) fn html(&self) -> Option<String> {
        let escape = |c: char| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            c => c.to_string(),
        };
        let words = self.message.as_ref()?.chars().map(escape).collect::<String>();
        Some(format!("<p>{words}</p>\n"))
    }
}

fn median(values: &[f32]) -> Option<f32> {
    let mut values: Vec<f32> = values.iter().copied().filter(|value| value.is_finite()).collect();
    values.sort_by(f32::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { f32::midpoint(values[middle - 1], upper) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(user_agent: &str) -> Agent {
        Agent { user_agent: user_agent.to_owned(), ..Agent::default() }
    }

    const PHONE: &str =
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/110.0.0.0 Mobile Safari/537.36";
    const DESKTOP: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/110.0.0.0 Safari/537.36";
    const OPERA: &str =
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/110.0.0.0 Safari/537.36 OPR/96.0";

    const fn all(browser: Browser) -> Browsers {
        Browsers { browser, from: None, below: None }
    }

    fn judge(rules: &Screening, user_agent: &str, round_trips: &[f32]) -> Option<Screened> {
        let words = [
            ("screening_device", "Only {devices}."),
            ("device_desktop", "computers"),
            ("device_tablet", "tablets"),
            ("screening_browser", "Only {browsers}."),
            ("screening_browser_from", "{browser} from {version} on"),
            ("screening_browser_other", "In another one."),
        ];
        let words = words.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        let texts = Texts { words, ..Texts::default() };
        rules.judge(&agent(user_agent), Facts::default(), round_trips, &texts)
    }

    fn broken(rules: &Screening, user_agent: &str, round_trips: &[f32]) -> Option<(ScreeningRule, String)> {
        let screened = judge(rules, user_agent, round_trips).unwrap();
        screened.rule.zip(screened.message)
    }

    #[test]
    fn the_first_rule_that_is_not_met_counts() {
        let rules = Screening {
            device: Some(DeviceRule { allow: vec![Device::Desktop, Device::Tablet], message: None }),
            browser: None,
            ping: Some(PingRule { max_millis: 100, samples: 5, message: Some("Too far.".into()) }),
            check: None,
        };
        let device = "Only computers, tablets.";
        assert_eq!(broken(&rules, PHONE, &[500.0; 5]), Some((ScreeningRule::Device, device.into())));
        assert_eq!(broken(&rules, DESKTOP, &[500.0; 5]), Some((ScreeningRule::Ping, "Too far.".into())));
        assert_eq!(broken(&rules, DESKTOP, &[100.0; 5]), None, "100 is not over 100");
        // Half of them, and no more, may be as slow as they like.
        assert_eq!(broken(&rules, DESKTOP, &[900.0, 20.0, 900.0, 30.0, 100.0]), None);
        assert_eq!(broken(&rules, "", &[1.0; 5]), None, "unknown devices may take part");
        assert_eq!(judge(&rules, DESKTOP, &[1.0; 4]), None, "four are too few");
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }

    #[test]
    fn browsers_are_allowed_and_blocked_by_name_and_version() {
        use Browser::{Chrome, Firefox, Other};
        let rules = |allow: Option<&[Browsers]>, block: &[Browsers]| Screening {
            browser: Some(BrowserRule {
                allow: allow.map(<[_]>::to_vec),
                block: block.to_vec(),
                message: None,
            }),
            ..Screening::default()
        };
        let from = |from| Browsers { from: Some(from), ..all(Chrome) };
        let below = |below| Browsers { below: Some(below), ..all(Chrome) };
        for (rules, user_agent, passes) in [
            (rules(Some(&[from(110), all(Firefox)]), &[]), DESKTOP, true),
            (rules(Some(&[from(111), all(Firefox)]), &[]), DESKTOP, false),
            (rules(Some(&[all(Chrome)]), &[]), OPERA, false),
            (rules(Some(&[all(Chrome), all(Other)]), &[]), OPERA, true),
            (rules(None, &[below(110)]), DESKTOP, true),
            (rules(None, &[below(111)]), DESKTOP, false),
            (rules(None, &[all(Other)]), OPERA, false),
            // Who cannot be told.
            (rules(Some(&[all(Chrome)]), &[]), "curl/8.9", true),
            (rules(None, &[all(Other)]), "curl/8.9", false),
        ] {
            assert_eq!(broken(&rules, user_agent, &[]).is_none(), passes, "{rules:?} {user_agent}");
        }
        let words = broken(&rules(Some(&[from(111), all(Firefox)]), &[]), DESKTOP, &[]).unwrap().1;
        assert_eq!(words, "Only Chrome from 111 on, Firefox.");
    }

    #[test]
    fn words_are_a_text() {
        let screened = Screened { message: Some("<b>1 & 2</b>".into()), ..Screened::default() };
        assert_eq!(screened.html().unwrap(), "<p>&lt;b&gt;1 &amp; 2&lt;/b&gt;</p>\n");
    }
}
