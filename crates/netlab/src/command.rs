//! What the lab can be told while it runs.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::impairment::Impairment;
use crate::namespaces::Lab;
use crate::router::Router;

pub(crate) fn run(line: &str, lab: &mut Lab, router: &Router) -> anyhow::Result<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["set", from, to, ref settings @ ..] => {
            let pairs = pairs(lab, from, to)?;
            // All or nothing.
            apply(&mut Impairment::default(), settings)?;
            for (from, to) in pairs {
                router.change(from, to, |impairment| apply(impairment, settings).unwrap_or_default());
            }
            Ok(String::new())
        }
        ["flap", from, to, up, down] => {
            let (up, down) = (millis(up)?, millis(down)?);
            for (from, to) in pairs(lab, from, to)? {
                router.change(from, to, |impairment| impairment.flap(up, down));
            }
            Ok(String::new())
        }
        ["move", host, address] => {
            let to: Ipv4Addr = address.parse().with_context(|| format!("{address:?} is no IPv4 address"))?;
            let site = lab.move_host(host, to)?;
            router.readdress(site, to);
            Ok(String::new())
        }
        ["stats"] => Ok(router.stats(&lab.names()).to_string()),
        _ => bail!("{line:?} is no command; netlab --help lists them"),
    }
}

/// The sites of every pair that is meant.
fn pairs(lab: &Lab, from: &str, to: &str) -> anyhow::Result<Vec<(usize, usize)>> {
    let (from, to) = (lab.sites_named(from)?, lab.sites_named(to)?);
    Ok(from.iter().flat_map(|&a| to.iter().filter(move |&&b| a != b).map(move |&b| (a, b))).collect())
}

fn apply(impairment: &mut Impairment, settings: &[&str]) -> anyhow::Result<()> {
    for setting in settings {
        let (name, value) = setting.split_once('=').with_context(|| format!("{setting:?} has no ="))?;
        match name {
            "delay" => impairment.delay = millis(value)?,
            "jitter" => impairment.jitter = millis(value)?,
            "loss" => impairment.loss = number(value, 0.0..=100.0)? / 100.0,
            "burst" => impairment.burst = number(value, 1.0..=10_000.0)?,
            "reorder" => impairment.reorder = switch(value)?,
            "cut" => impairment.cut = switch(value)?,
            _ => bail!("{name:?} is no setting; they are delay, jitter, loss, burst, reorder, cut"),
        }
    }
    Ok(())
}

fn number(value: &str, range: std::ops::RangeInclusive<f64>) -> anyhow::Result<f64> {
    let number: f64 = value.parse().with_context(|| format!("{value:?} is no number"))?;
    if !range.contains(&number) {
        bail!("{value} is not within {} to {}", range.start(), range.end());
    }
    Ok(number)
}

fn millis(value: &str) -> anyhow::Result<Duration> {
    Ok(Duration::from_secs_f64(number(value, 0.0..=60_000.0)? / 1000.0))
}

fn switch(value: &str) -> anyhow::Result<bool> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => bail!("{value:?} is neither on nor off"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_or_refused_with_the_cure() {
        let mut impairment = Impairment::default();
        apply(&mut impairment, &["delay=20", "loss=30", "burst=5", "cut=on"]).unwrap();
        assert_eq!(impairment.delay, Duration::from_millis(20));
        assert!(impairment.cut && (impairment.loss - 0.3).abs() < 1e-9);
        for (setting, expected) in [
            ("delay", "has no ="),
            ("loss=101", "not within 0 to 100"),
            ("cut=maybe", "neither on nor off"),
            ("lag=5", "they are delay"),
        ] {
            let error = apply(&mut impairment, &[setting]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
