//! What the work needs beside cargo, and how to get it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::bail;

use crate::run::{program, root, run, say, target};

/// How modules for WebAssembly are built on this machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wasm {
    /// The toolchain has the target.
    Target,
    /// Debian's compiler builds the standard library too.
    Debian,
}

/// Where cargo keeps the sources of dependencies.
pub(crate) fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo");
    std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

pub(crate) fn has(name: &str) -> bool {
    let look = Command::new("sh").args(["-c", &format!("command -v {name}")]).stdout(Stdio::null()).status();
    look.is_ok_and(|status| status.success())
}

/// Sees to it that modules for WebAssembly can be built.
pub(crate) fn wasm() -> anyhow::Result<Wasm> {
    let quiet = |command: &mut Command| {
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    if has("rustup") {
        let listed = Command::new("rustup").args(["target", "list", "--installed"]).output();
        let installed = listed
            .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("wasm32-unknown-unknown"));
        if installed {
            return Ok(Wasm::Target);
        }
        say("Installing", "the wasm32-unknown-unknown target, with rustup");
        if quiet(Command::new("rustup").args(["target", "add", "wasm32-unknown-unknown"])) {
            return Ok(Wasm::Target);
        }
        say("Falling back", "to Debian's compiler: rustup could not add the target");
    }
    packages(&[("/usr/bin/rustc", "rustc-web"), ("/usr/bin/wasm-ld-19", "lld-19")], &["rust-web-src"])?;
    Ok(Wasm::Debian)
}

/// Sees to it that Debian packages are there: each is wanted for a program, and brings others with it.
pub(crate) fn packages(wanted: &[(&str, &str)], with: &[&str]) -> anyhow::Result<()> {
    let missing: Vec<&str> =
        wanted.iter().filter(|(program, _)| !has(program)).map(|&(_, package)| package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    install(&[&missing[..], with].concat().join(" "))
}

/// Installs Debian packages.
fn install(names: &str) -> anyhow::Result<()> {
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    let sudo =
        !root && has("sudo") && Command::new("sudo").args(["-n", "true"]).status().is_ok_and(|s| s.success());
    if !has("apt-get") || !(root || sudo) {
        bail!(
            "these packages are missing, and only root may install them: run\n  sudo apt-get install -y {names}"
        );
    }
    say("Installing", &format!("Debian packages: {names}"));
    let prefix = if sudo { "sudo -n " } else { "" };
    let install = format!(
        "{prefix}apt-get update -qq && {prefix}env DEBIAN_FRONTEND=noninteractive \
         apt-get install -y -qq --no-install-recommends {names} >/dev/null"
    );
    run(program("sh").args(["-c", &install]))
}

/// A C compiler, for SQLite.
pub(crate) fn compiler() -> anyhow::Result<()> {
    packages(&[("cc", "gcc")], &["libc6-dev"])
}

/// What runs the example clients in other languages, and makes certificates.
pub(crate) fn interpreters() -> anyhow::Result<()> {
    packages(&[("python3", "python3"), ("openssl", "openssl")], &[])
}

/// A Postgres server, of which tests run their own. Debian keeps its programs where no shell looks.
pub(crate) fn postgres() -> anyhow::Result<()> {
    if has("initdb") || has("/usr/lib/postgresql/*/bin/initdb") {
        return Ok(());
    }
    install("postgresql")
}

/// Redis, of which tests run servers of their own. The package starts one too, which they leave alone.
pub(crate) fn redis() -> anyhow::Result<()> {
    packages(&[("redis-server", "redis-server")], &[])
}

/// What the browser journeys need: a browser, Node, namespaces, packet filters, databases and a proxy (whose package starts one too,
/// where there is systemd); and their npm packages.
pub(crate) fn browsers() -> anyhow::Result<()> {
    postgres()?;
    redis()?;
    packages(
        &[
            ("chromium", "chromium"),
            ("node", "nodejs"),
            ("npm", "npm"),
            ("ip", "iproute2"),
            ("nft", "nftables"),
            ("turnserver", "coturn"),
            ("caddy", "caddy"),
            ("sqlite3", "sqlite3"),
            ("openssl", "openssl"),
            ("curl", "curl"),
            ("firefox-esr", "firefox-esr"),
            ("Xvfb", "xvfb"),
            ("strace", "strace"),
        ],
        &["fonts-dejavu-core"],
    )?;
    let modules = root().join("e2e/node_modules");
    let installed = |name: &str| modules.join(name).join("package.json").is_file();
    if !["axe-core", "playwright-core", "ws"].into_iter().all(installed) {
        say("Installing", "the journeys' npm packages, from their lockfile");
        run(program("npm").args(["ci", "--silent"]).current_dir(root().join("e2e")))?;
    }
    Ok(())
}

/// What the HTTP API is tried with, in versions that are known to work, in a folder of its own.
pub(crate) fn schemathesis() -> anyhow::Result<()> {
    interpreters()?;
    let whole = Command::new("python3").args(["-c", "import ensurepip, venv"]).stderr(Stdio::null()).status();
    if !whole.is_ok_and(|status| status.success()) {
        install("python3-venv")?;
    }
    let (folder, wanted) = (target().join("schemathesis"), root().join("e2e/requirements.txt"));
    let stamp = folder.join("requirements.txt");
    if std::fs::read(&stamp).is_ok_and(|had| std::fs::read(&wanted).is_ok_and(|wanted| had == wanted)) {
        return Ok(());
    }
    say("Installing", "schemathesis, from e2e/requirements.txt");
    run(program("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    run(program(folder.join("bin/pip"))
        .args(["install", "--quiet", "--no-deps", "--requirement"])
        .arg(&wanted))?;
    std::fs::copy(&wanted, &stamp)?;
    Ok(())
}

/// A program that cargo installs, in a version that is known to work.
pub(crate) fn cargo_tool(name: &str, version: &str) -> anyhow::Result<()> {
    let there = Command::new("cargo")
        .args([name.trim_start_matches("cargo-"), "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if there.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    say("Installing", &format!("{name} {version}, which takes some minutes"));
    // It runs for seconds: compiling it well would take longer than it ever saves.
    run(program("cargo").args(["install", "--quiet", "--debug", "--locked", "--version", version, name]))
}
