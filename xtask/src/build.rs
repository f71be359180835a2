//! Builds environments, page and binary. What goes into the binary is put into `assets/` first.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use wasm_bindgen_cli_support::Bindgen;

use crate::run::{cargo, root, run, say, target};
use crate::tools::{self, Wasm};

/// The most that the page may weigh, gzipped, with one language's texts and without the environment: a second on a slow line.
const PAGE_LIMIT: usize = 200 * 1024;

const TARGET: &str = "wasm32-unknown-unknown";

/// Everything.
pub(crate) fn all() -> anyhow::Result<()> {
    tools::compiler()?;
    assets()?;
    say("Building", "the binary");
    run(&mut cargo("build --release --package interplay-server"))
}

/// What goes into the binary, and the environments that tests use.
pub(crate) fn assets() -> anyhow::Result<()> {
    let wasm = tools::wasm()?;
    say("Building", "the environments");
    let assets = root().join("assets");
    for workspace in ["tag", "trials"] {
        let folder = root().join("experiments").join(workspace);
        let built = compile(wasm, &folder, &["--release"], "release", &target().join("environments"))?;
        for module in modules(&built)? {
            let name = module.file_name().context("a module has a name")?.to_owned();
            copy(&module, &assets.join("environments").join(name))?;
        }
    }
    let demo = assets.join("experiments/tag");
    copy(&assets.join("environments/tag.wasm"), &demo.join("tag.wasm"))?;
    copy(&assets.join("environments/tag.wasm"), &root().join("experiments/tag/tag.wasm"))?;
    for file in ["experiment.toml", "welcome.md"] {
        copy(&root().join("experiments/tag").join(file), &demo.join(file))?;
    }
    page(wasm)
}

fn page(wasm: Wasm) -> anyhow::Result<()> {
    say("Building", "the page");
    let paths = [root().join(""), tools::cargo_home().join("registry/src/")];
    // Panics name source files: those of this machine are nobody's business, and make the page larger.
    let remapped = paths.map(|path| format!("'--remap-path-prefix={}='", path.display())).join(",");
    // Nobody reads lines of Rust in a participant's page: what says them is a fortieth of it.
    let flags = format!("build.rustflags=[{remapped},'-Zlocation-detail=none','-Zfmt-debug=none']");
    let arguments = ["--package", "interplay-client", "--profile", "page", "--config", &flags];
    let built = compile(wasm, &root(), &arguments, "page", &target())?;
    let made = target().join("bindgen");
    Bindgen::new()
        .input_path(built.join("client.wasm"))
        .web(true)?
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .out_name("interplay")
        .generate(&made)?;
    crate::page::shrink(&made.join("interplay.js"), &made.join("interplay_bg.wasm"))?;
    let page = root().join("assets/page");
    let mut weight = 0;
    for folder in [made, root().join("crates/client/page")] {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let served = page.join(path.file_name().unwrap_or_default());
            copy(&path, &served)?;
            weight += crate::page::compress(&served)?;
        }
    }
    // The server puts one language's texts into the page.
    let mut texts = 0;
    for entry in std::fs::read_dir(root().join("texts"))? {
        texts = texts.max(crate::page::compressed(&entry?.path())?.len());
    }
    weight += texts;
    say(
        "Weighing",
        &format!("the page: {:.1} KiB gzipped, of {} KiB", weight as f64 / 1024.0, PAGE_LIMIT / 1024),
    );
    if weight > PAGE_LIMIT {
        bail!("the page weighs {weight} bytes gzipped; the most is {PAGE_LIMIT}");
    }
    Ok(())
}

/// Compiles for WebAssembly; returns the folder of what was built.
fn compile(
    wasm: Wasm,
    folder: &Path,
    arguments: &[&str],
    profile: &str,
    target: &Path,
) -> anyhow::Result<PathBuf> {
    let mut command = cargo("build --quiet --locked --target");
    // The page's flags are not stable; the released compiler takes them when it is told to.
    command.env("RUSTC_BOOTSTRAP", "1").arg(TARGET).args(arguments).current_dir(folder);
    let target = match wasm {
        Wasm::Target => target.to_owned(),
        Wasm::Debian => {
            // Another compiler, so another target folder.
            command
                .args(["-Zbuild-std=std,panic_abort"])
                .env("RUSTC", "/usr/bin/rustc")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld-19");
            target.join("debian")
        }
    };
    run(command.env("CARGO_TARGET_DIR", &target))?;
    Ok(target.join(TARGET).join(profile))
}

fn modules(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let paths = entries.into_iter().map(|entry| entry.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|ending| ending == "wasm")).collect())
}

/// Copies a file if its content differs, so that cargo sees a change only where there is one.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let content = std::fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if std::fs::read(to).is_ok_and(|old| old == content) {
        return Ok(());
    }
    std::fs::create_dir_all(to.parent().unwrap_or(to))?;
    std::fs::write(to, content).with_context(|| format!("cannot write {}", to.display()))
}

/// The binary for release.
pub(crate) fn dist() -> anyhow::Result<()> {
    all()?;
    let binary = target().join("release/interplay");
    let made = target().join("dist");
    std::fs::create_dir_all(&made)?;
    std::fs::copy(&binary, made.join("interplay"))?;
    if tools::has("strip") {
        run(Command::new("strip").arg(made.join("interplay")))?;
    }
    let bytes = std::fs::metadata(made.join("interplay"))?.len();
    say("Made", &format!("{} ({:.1} MB)", made.join("interplay").display(), bytes as f64 / 1e6));
    Ok(())
}
