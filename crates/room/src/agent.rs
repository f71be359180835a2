//! What somebody plays with: the device and the browser, as far as they can be told (X1).
//!
//! A browser's request names it in `User-Agent`, and some say more in client hints (<https://wicg.github.io/ua-client-hints/>).
//! Both may be missing, or not say what is so: an iPad calls itself a Mac, and a phone that asks for "desktop sites" a computer.
//! The page knows better what can be touched. What nobody tells stays unknown.

use core::fmt;

use serde::{Deserialize, Serialize};

/// What a request's headers say of who sent it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Agent {
    /// `User-Agent`; empty when there is none.
    pub user_agent: String,
    /// `Sec-CH-UA`: the browser's brands.
    pub brands: String,
    /// `Sec-CH-UA-Mobile`.
    pub mobile: Option<bool>,
}

/// What the page says of its device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) touch_points: u32,
    pub(crate) fine_pointer: bool,
    pub(crate) screen: [u32; 2],
}

/// A kind of device.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// A computer with a keyboard, laptops too.
    Desktop,
    /// A phone.
    Phone,
    /// A tablet.
    Tablet,
}

impl Device {
    /// The name in the data and in experiments' files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Phone => "phone",
            Self::Tablet => "tablet",
        }
    }
}

/// A browser that lists know.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the makers'")]
pub enum Browser {
    Chrome,
    Edge,
    Firefox,
    Safari,
    /// Any other.
    Other,
}

impl Browser {
    /// All there are.
    pub const ALL: [Self; 5] = [Self::Chrome, Self::Edge, Self::Firefox, Self::Safari, Self::Other];

    /// The name in the data and in experiments' files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chrome => "chrome",
            Self::Edge => "edge",
            Self::Firefox => "firefox",
            Self::Safari => "safari",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chrome => "Chrome",
            Self::Edge => "Edge",
            Self::Firefox => "Firefox",
            Self::Safari => "Safari",
            Self::Other => "another browser",
        })
    }
}

/// A screen whose shorter side has fewer CSS pixels is a phone's: Android's own border between the two is 600.
const TABLET_SIDE: u32 = 600;

/// Browsers that call themselves Chrome or Safari too, and the views that other programs open pages in.
const OTHERS: [&str; 19] = [
    "OPR/",
    "OPiOS/",
    "OPT/",
    "Opera",
    "SamsungBrowser/",
    "Vivaldi/",
    "YaBrowser/",
    "UCBrowser/",
    "MiuiBrowser/",
    "HuaweiBrowser/",
    "DuckDuckGo/",
    "Whale/",
    "Silk/",
    "QQBrowser/",
    "SeaMonkey/",
    "FBAN/",
    "Instagram",
    "GSA/",
    "; wv)",
];

/// What each browser calls itself, and where its version stands; the first that is there counts.
const NAMES: [(&str, Browser); 10] = [
    ("Edg/", Browser::Edge),
    ("EdgA/", Browser::Edge),
    ("EdgiOS/", Browser::Edge),
    ("FxiOS/", Browser::Firefox),
    ("Firefox/", Browser::Firefox),
    ("CriOS/", Browser::Chrome),
    ("HeadlessChrome/", Browser::Chrome),
    ("Chrome/", Browser::Chrome),
    ("Chromium/", Browser::Chrome),
    // Only Safari itself has a version there.
    ("Version/", Browser::Safari),
];

impl Agent {
    fn says(&self, word: &str) -> bool {
        self.user_agent.contains(word)
    }

    /// The browser, and its version where there is one.
    pub(crate) fn browser(&self) -> Option<(Browser, Option<u32>)> {
        if OTHERS.iter().any(|name| self.says(name)) || self.has_another_brand() {
            return Some((Browser::Other, None));
        }
        let (browser, rest) = NAMES
            .iter()
            .find_map(|(name, browser)| Some((*browser, self.user_agent.split_once(name)?.1)))
            .filter(|(browser, _)| *browser != Browser::Safari || self.says("Safari/"))?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).map_or(rest, |end| &rest[..end]);
        Some((browser, digits.parse().ok()))
    }

    /// Whether a brand is neither one that lists know, nor one of those that are made up ("Not A;Brand").
    fn has_another_brand(&self) -> bool {
        const KNOWN: [&str; 4] = ["Chromium", "Google Chrome", "Microsoft Edge", "HeadlessChrome"];
        let names = self.brands.split(", ").filter_map(|brand| brand.split('"').nth(1));
        let mut others = names.filter(|name| !KNOWN.contains(name) && !name.contains("Not"));
        others.next().is_some()
    }

    /// The kind of device.
    pub(crate) fn device(&self, facts: Facts) -> Option<Device> {
        let by_screen = || {
            let phone = facts.screen.iter().min().is_some_and(|&side| (1..TABLET_SIDE).contains(&side));
            if phone { Device::Phone } else { Device::Tablet }
        };
        let has_one = |words: &[&str]| words.iter().any(|word| self.says(word));
        if has_one(&["iPad", "Tablet", "Kindle", "Silk/"]) {
            return Some(Device::Tablet);
        }
        if has_one(&["iPhone", "iPod", "Windows Phone"]) || self.mobile == Some(true) {
            return Some(Device::Phone);
        }
        if self.says("Android") {
            return Some(if self.says("Mobile") { Device::Phone } else { Device::Tablet });
        }
        // No Mac can be touched, whatever is plugged into it; of others those that can be touched and nothing else.
        if self.says("Macintosh") && facts.touch_points > 1 {
            return Some(by_screen());
        }
        let desktop = has_one(&["Macintosh", "Windows NT", "X11", "CrOS", "Linux"]);
        desktop.then(|| {
            if facts.touch_points > 0 && !facts.fine_pointer { by_screen() } else { Device::Desktop }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36";
    const MAC: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15";
    const LINUX: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36";
    const ANDROID: &str = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36";

    fn agent(user_agent: &str) -> Agent {
        Agent { user_agent: user_agent.to_owned(), ..Agent::default() }
    }

    const MOUSE: Facts = Facts { touch_points: 0, fine_pointer: true, screen: [1920, 1080] };
    const FINGERS: Facts = Facts { touch_points: 5, fine_pointer: false, screen: [820, 1180] };
    const SMALL: Facts = Facts { screen: [393, 852], ..FINGERS };

    #[test]
    fn browsers_are_told_by_what_they_call_themselves() {
        use Browser::{Chrome, Edge, Firefox, Other, Safari};
        let version = |browser, version| Some((browser, Some(version)));
        let iphone = |name: &str| {
            format!(
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) {name} Mobile/15E148 Safari/604.1"
            )
        };
        for (text, expected) in [
            (WINDOWS.to_owned(), version(Chrome, 141)),
            (format!("{WINDOWS} Edg/140.0.3485.54"), version(Edge, 140)),
            (format!("{WINDOWS} OPR/122.0.0.0"), Some((Other, None))),
            (ANDROID.replace("Chrome", "SamsungBrowser/28.0 Chrome"), Some((Other, None))),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0".to_owned(),
                version(Firefox, 128),
            ),
            (MAC.to_owned(), version(Safari, 18)),
            (iphone("Version/18.6"), version(Safari, 18)),
            (iphone("CriOS/141.0.7390.41"), version(Chrome, 141)),
            (iphone("FxiOS/143.1"), version(Firefox, 143)),
            (iphone("EdgiOS/140.0"), version(Edge, 140)),
            (LINUX.replace("Chrome/", "HeadlessChrome/"), version(Chrome, 141)),
            (String::new(), None),
            ("curl/8.9".to_owned(), None),
            ("Version/1".to_owned(), None),
        ] {
            assert_eq!(agent(&text).browser(), expected, "{text}");
        }
        let brave = "\"Brave\";v=\"141\", \"Not?A_Brand\";v=\"8\", \"Chromium\";v=\"141\"";
        let branded = |brands: &str| Agent { brands: brands.to_owned(), ..agent(WINDOWS) };
        assert_eq!(branded(brave).browser(), Some((Other, None)));
        assert_eq!(branded(&brave.replace("Brave", "Google Chrome")).browser(), version(Chrome, 141));
    }

    #[test]
    fn devices_are_told_by_their_names_and_by_what_can_be_touched() {
        use Device::{Desktop, Phone, Tablet};
        let windows_touch = Facts { touch_points: 10, ..MOUSE };
        for (text, facts, expected) in [
            (WINDOWS, MOUSE, Some(Desktop)),
            (WINDOWS, windows_touch, Some(Desktop)),
            (WINDOWS, FINGERS, Some(Tablet)),
            (MAC, MOUSE, Some(Desktop)),
            (MAC, FINGERS, Some(Tablet)),
            (MAC, Facts { fine_pointer: true, ..FINGERS }, Some(Tablet)),
            (MAC, SMALL, Some(Phone)),
            (LINUX, MOUSE, Some(Desktop)),
            // Nothing is plugged in, as in browsers without windows.
            (LINUX, Facts::default(), Some(Desktop)),
            (LINUX, SMALL, Some(Phone)),
            (ANDROID, SMALL, Some(Phone)),
            ("Mozilla/5.0 (Android 15; Tablet; rv:143.0) Gecko/143.0 Firefox/143.0", FINGERS, Some(Tablet)),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/141.0.0.0 Safari/537.36",
                FINGERS,
                Some(Tablet),
            ),
            ("Mozilla/5.0 (iPad; CPU OS 12_5 like Mac OS X) AppleWebKit/605.1.15", FINGERS, Some(Tablet)),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X)", SMALL, Some(Phone)),
            ("", SMALL, None),
        ] {
            assert_eq!(agent(text).device(facts), expected, "{text} {facts:?}");
        }
        let hinted = Agent { mobile: Some(true), ..agent(LINUX) };
        assert_eq!(hinted.device(MOUSE), Some(Phone));
    }
}
